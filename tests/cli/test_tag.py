"""Tests of `tag.py` and `writing.py`: files of each kind become files of each kind."""

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
import spacy
from spacy.tokens import DocBin
from spacy.vocab import Vocab

from spacy_lstm_tagger.cli import tag
from spacy_lstm_tagger.cli.io import ConlluWriter, read_corpus

TAGS = ["DET", "NN", "V", "DET", "NN"]
SECOND = ["NN", "V", "DET", "NN"]
EMPTY = "\t_" * 8
LINE = "{}\t{}\tlemma\tX\tOLD\tA=B\t{}\tdep\t_\tMisc=1\n"


@pytest.fixture
def files(corpus: Path, tmp_path: Path) -> Path:
    """A folder with a file of each kind, all with the same two sentences."""
    folder = tmp_path / "in"
    folder.mkdir()
    first, second = "The dog ate the apple", "Everybody read that book"
    (folder / "a.txt").write_text(f"{first}\n{second}\n")
    (folder / "b.jsonl").write_text(f'{{"text": "{first}", "id": 1}}\n{{"text": "{second}"}}\n')
    sentences = ["".join(LINE.format(i, w, i - 1) for i, w in enumerate(s.split(), 1))
                 for s in (first, second)]  # fmt: skip
    sentences[0] = sentences[0].replace("\n4\t", f"\n4-5\ttheapple{EMPTY}\n4\t")
    (folder / "c.conllu").write_text("# sent_id = 7\n" + "\n".join(sentences))
    docs = list(DocBin().from_disk(corpus).get_docs(spacy.blank("xx").vocab))
    DocBin(docs=docs[:2]).to_disk(folder / "d.spacy")
    return folder


def tags_of(path: Path) -> list[list[str]]:
    """Return the tags of the sentences of a file."""
    if path.suffix == ".conllu":
        (doc,) = read_corpus(path, Vocab())
        return [[token.tag_ for token in sentence] for sentence in doc.sents]
    if path.suffix == ".jsonl":
        records = [json.loads(line) for line in path.read_text(encoding="utf8").splitlines()]
        return [[token["tag"] for token in record["tokens"]] for record in records]
    docs = DocBin().from_disk(path).get_docs(spacy.blank("xx").vocab)
    return [[token.tag_ for token in doc] for doc in docs]


@pytest.mark.parametrize("output_format", ["conllu", "jsonl", "spacy"])
def test_all_kinds_of_files(
    run: Callable, pipeline: str, files: Path, output_format: str, tmp_path: Path
) -> None:
    result = run("tag", pipeline, files, "-o", tmp_path / "out", "-f", output_format)
    assert result.exit_code == 0, result.output
    written = sorted((tmp_path / "out").iterdir())
    assert [path.name for path in written] == [f"{x}.{output_format}" for x in "abcd"]
    assert [tags_of(path) for path in written] == [[TAGS, SECOND]] * 4


def test_json_lines_keep_their_keys_and_have_offsets(
    run: Callable, pipeline: str, files: Path, tmp_path: Path
) -> None:
    run("tag", pipeline, files / "b.jsonl", "-o", tmp_path, "-f", "jsonl")
    record = json.loads((tmp_path / "b.jsonl").read_text().splitlines()[0])
    assert (record["id"], record["text"]) == (1, "The dog ate the apple")
    assert record["tokens"][1] == {
        "text": "dog",
        "start": 4,
        "end": 7,
        "id": 1,
        "ws": True,
        "tag": "NN",
    }


def test_conllu_keeps_what_the_pipeline_does_not_write(
    run: Callable, pipeline: str, files: Path, tmp_path: Path
) -> None:
    run("tag", pipeline, files / "c.conllu", "-o", tmp_path)
    before = (files / "c.conllu").read_text().replace("OLD", "{}").rstrip()
    assert (tmp_path / "c.conllu").read_text().rstrip() == before.format(*TAGS, *SECOND)


def test_conllu_has_sentences_and_spaces(run: Callable, pipeline: str, tmp_path: Path) -> None:
    nlp = spacy.load(pipeline)
    nlp.add_pipe("sentencizer", first=True)
    nlp.to_disk(tmp_path / "nlp")
    (tmp_path / "a.txt").write_text("The dog. The apple.")
    run("tag", tmp_path / "nlp", tmp_path / "a.txt", "-o", tmp_path)
    first, second = (tmp_path / "a.conllu").read_text().strip().split("\n\n")
    assert first.splitlines()[0] == "# text = The dog."
    assert second.splitlines()[2].split("\t") == [
        "2",
        "apple",
        *"__",
        "NN",
        *"____",
        "SpaceAfter=No",
    ]


def test_what_is_done_is_not_done_again(
    run: Callable, pipeline: str, files: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.conllu").write_text("kept")
    words = ["tag", pipeline, files, "-o", out]
    assert run(*words).exit_code == 1
    assert [path.name for path in out.iterdir()] == ["a.conllu"]
    result = run(*words, "--resume")
    assert "1 files are done, 3 are not" in result.output
    assert (out / "a.conllu").read_text() == "kept"
    assert len(list(out.iterdir())) == 4
    assert run(*words, "--resume").exit_code == 0
    assert run(*words, "--force").exit_code == 0
    assert tags_of(out / "a.conllu") == [TAGS, SECOND]


@pytest.mark.parametrize("broken", ['{"txt": 1}', json.dumps({"text": "a " * 500_001})])
def test_a_broken_file_does_not_stop_the_others(
    run: Callable, pipeline: str, files: Path, broken: str, tmp_path: Path
) -> None:
    (files / "b.jsonl").write_text(f'{{"text": "The dog"}}\n{broken}\n')
    result = run("tag", pipeline, files, "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert "1 files were not tagged." in result.output
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == ["a.conllu", "c.conllu", "d.conllu"]


@pytest.mark.parametrize(
    ("names", "output", "message"),
    [(["a.txt", "a.jsonl"], "out", "would both become"), (["a.conllu"], ".", "by its own output")],
)
def test_no_file_is_written_over_another(
    run: Callable, pipeline: str, names: list[str], output: str, message: str, tmp_path: Path
) -> None:
    for name in names:
        (tmp_path / name).write_text("kept")
    paths = [tmp_path / name for name in names]
    result = run("tag", pipeline, *paths, "-o", tmp_path / output, "--force")
    assert result.exit_code == 1
    assert message in " ".join(result.output.split())
    assert {path.read_text() for path in paths} == {"kept"}


@pytest.mark.parametrize("output_format", ["conllu", "spacy"])
def test_processes_write_the_same(
    run: Callable, pipeline: str, files: Path, output_format: str, tmp_path: Path
) -> None:
    words = ["tag", pipeline, files, "-f", output_format, "-b", "1"]
    run(*words, "-o", tmp_path / "one")
    result = run(*words, "-o", tmp_path / "two", "-n", "2")
    assert result.exit_code == 0, result.output
    one, two = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        for name in ("one", "two")
    )
    assert one == two


def test_processes_share_one_file(
    pipeline: str, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared: list[int] = []

    def share_out(tag: Callable, batches: Iterable, *, n_process: int) -> Iterator:
        shared.append(n_process)
        for batch in batches:
            shared.append(len(batch.texts))
            yield tag(batch)

    monkeypatch.setattr(tag, "share_out", share_out)
    tag.tag_files(pipeline, [files / "a.txt"], tmp_path / "out", n_process=3, batch_size=1)
    assert shared == [3, 1, 1, 0]
    assert tags_of(tmp_path / "out" / "a.conllu") == [TAGS, SECOND]


def test_an_interruption_leaves_no_unfinished_file(
    pipeline: str, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ConlluWriter, "add", interrupt)
    with pytest.raises(KeyboardInterrupt):
        tag.tag_files(pipeline, [files], tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())
