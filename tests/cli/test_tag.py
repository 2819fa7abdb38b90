"""Tests of `tag.py` and `output.py`: files of each kind become files of each kind."""

import io
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import spacy
from spacy.cli._util import import_code
from spacy.tokens import Doc, DocBin
from spacy.training import Example
from spacy.vocab import Vocab

from spacy_lstm_tagger.cli import tag
from spacy_lstm_tagger.cli.io import FileProgress, read_corpus
from spacy_lstm_tagger.cli.output import Output

TEXTS = ["The dog ate the apple", "Everybody read that book"]
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
    assert "Done before: 1 file of 4" in result.output
    assert (out / "a.conllu").read_text() == "kept"
    assert len(list(out.iterdir())) == 4
    assert run(*words, "--resume").exit_code == 0
    assert run(*words, "--force").exit_code == 0
    assert tags_of(out / "a.conllu") == [TAGS, SECOND]


def test_a_text_of_any_length_is_tagged(run: Callable, pipeline: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("The dog " * 150_000)
    result = run("tag", pipeline, tmp_path / "a.txt", "-o", tmp_path / "out")
    assert result.exit_code == 0
    assert "✔ Tagged 300,000 tokens of 1 text" in result.output


@pytest.mark.parametrize("output_format", ["conllu", "jsonl", "spacy"])
def test_a_broken_text_is_a_row_with_its_error(
    run: Callable, pipeline: str, files: Path, output_format: str, tmp_path: Path
) -> None:
    lines = ['{"text": "The dog"}', '{"txt": 1}', "{", '{"text": "ate \\ud800"}', '{"text": "dog"}']
    (files / "b.jsonl").write_text("\n".join(lines))
    out = tmp_path / "out"
    result = run("tag", pipeline, files, "-o", out, "-f", output_format)
    printed = " ".join(result.output.split())
    assert result.exit_code == 1
    assert "✔" not in printed
    assert "Not tagged: 3 texts; the output says why." in printed
    for number, reason in [(2, "no text under"), (3, "is no JSON"), (4, "half a character")]:
        assert f"b.jsonl, line {number}: it " in printed and reason in printed
    assert len(list(out.iterdir())) == 4
    path = out / f"b.{output_format}"
    if output_format == "conllu":
        blocks = path.read_text().split("\n\n")[:-1]
        errors = ["# error = " in block for block in blocks]
    elif output_format == "jsonl":
        errors = ["error" in json.loads(line) for line in path.read_text().splitlines()]
    else:
        docs = DocBin(store_user_data=True).from_disk(path).get_docs(Vocab())
        errors = ["error" in doc.user_data for doc in docs]
    assert errors == [False, True, True, True, False]


def test_a_file_that_cannot_be_read_does_not_stop_the_others(
    run: Callable, pipeline: str, files: Path, tmp_path: Path
) -> None:
    (files / "b.spacy").write_text("x")
    (files / f"{'e' * 250}.txt").write_text("The dog")
    (files / "f.txt").symlink_to(files / "nothing")
    words = ["tag", pipeline, files, "-o", tmp_path / "out"]
    (files / "b.jsonl").unlink()
    result = run(*words)
    printed = " ".join(result.output.split())
    assert result.exit_code == 1
    assert "Not tagged: 3 files." in printed and "✔" not in printed
    for error in ("b.spacy is no DocBin", "File name too long", "No such file"):
        assert error in printed
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == ["a.conllu", "c.conllu", "d.conllu"]
    result = run(*words[:2], files / "b.spacy", "-o", tmp_path / "other")
    assert result.exit_code == 1 and "Tagged" not in result.output


CHANGES = """
from spacy.language import Language
from spacy.tokens import Doc
from spacy.util import registry

@Language.component("spoil")
def spoil(doc):
    if "dog" in doc.text:
        raise KeyError("dog")
    return doc

@Language.component("split")
def split(doc):
    words = [part for token in doc for part in ([token.text, "!"] if token.text == "dog"
                                                else [token.text])]
    return Doc(doc.vocab, words=words, tags=["X"] * len(words))

@registry.callbacks("forgive.v1")
def forgive():
    def change(nlp):
        nlp.set_error_handler(lambda *args: None)
        return nlp
    return change
"""


@pytest.mark.parametrize("component", ["spoil", "split"])
@pytest.mark.parametrize("forgives", [False, True])
@pytest.mark.parametrize("output_format", ["conllu", "jsonl", "spacy"])
def test_each_row_is_of_its_text(
    run: Callable,
    pipeline: str,
    files: Path,
    component: str,
    forgives: bool,
    output_format: str,
    tmp_path: Path,
) -> None:
    code = tmp_path / "code.py"
    code.write_text(CHANGES)
    import_code(code)
    nlp = spacy.load(pipeline)
    nlp.add_pipe(component, last=True)
    if forgives:
        nlp.config["nlp"]["after_pipeline_creation"] = {"@callbacks": "forgive.v1"}
    nlp.to_disk(tmp_path / "nlp")
    command = ["tag", tmp_path / "nlp", files, "-o", tmp_path / "out", "-c", code]
    result = run(*command, "-f", output_format)
    assert result.exit_code == 1
    for name in "abcd":
        path = tmp_path / "out" / f"{name}.{output_format}"
        if output_format == "conllu":
            lines = path.read_text().split("\n\n")[-2].splitlines()
            found = [line.split("\t")[1:5:3] for line in lines if "\t" in line]
        elif output_format == "jsonl":
            record = json.loads(path.read_text().splitlines()[1])
            found = [[token["text"], token["tag"]] for token in record["tokens"]]
        else:
            docs = list(DocBin().from_disk(path).get_docs(Vocab()))
            found = [[token.text, token.tag_] for token in docs[1]]
        expected = ["X"] * 4 if component == "split" else SECOND
        words = ["Everybody", "read", "that", "book"]
        assert found == [list(pair) for pair in zip(words, expected, strict=True)]
    error = "KeyError: 'dog'" if component == "spoil" else "the pipeline changed the"
    assert error in " ".join(result.output.split())


@pytest.mark.parametrize(
    ("names", "output", "message"),
    [
        (["a.txt", "a.jsonl"], "out", "would both become"),
        (["A.txt", "a.jsonl"], "out", "would both become"),
        (["a.conllu"], ".", "by its own output"),
    ],
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


def test_an_interruption_leaves_what_can_be_gone_on_with(
    pipeline: str, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add, out, n_texts = Output.add, tmp_path / "out", []

    def interrupt(output: Output, *batch: Any) -> None:
        add(output, *batch)
        n_texts.append(batch[1])
        if len(n_texts) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(Output, "add", interrupt)
    with pytest.raises(KeyboardInterrupt):
        tag.tag_files(pipeline, [files], out, batch_size=1)
    assert sorted(path.suffix for path in out.iterdir()) == [".conllu", ".journal", ".unfinished"]
    tag.tag_files(pipeline, [files], out, batch_size=2, resume=True)
    assert n_texts == [1, 1, 1, 1, 2, 2]
    assert [tags_of(path) for path in sorted(out.iterdir())] == [[TAGS, SECOND]] * 4


@pytest.mark.parametrize("change", ["source", "key", "journal", "unfinished", "pipeline"])
def test_what_no_longer_fits_is_begun_anew(
    pipeline: str, tmp_path: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = tmp_path / "a.jsonl", tmp_path / "out"
    source.write_text('{"text": "The dog", "t": "that book"}\n' * 3)
    add = Output.add

    def interrupt(output: Output, *batch: Any) -> None:
        add(output, *batch)
        if output.done.n_texts == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Output, "add", interrupt)
        tag.tag_files(pipeline, [source], out, output_format="jsonl", batch_size=1)
    (journal,), (unfinished,) = out.glob(".*.journal"), out.glob(".*.unfinished")
    if change == "source":
        source.write_text('{"text": "that", "t": "that book"}\n' * 3)
    elif change == "journal":
        journal.write_text("{")
    elif change == "unfinished":
        unfinished.write_bytes(b"")
    elif change == "pipeline":
        shutil.copytree(pipeline, tmp_path / "nlp")
        pipeline = str(tmp_path / "nlp")
    key = "t" if change == "key" else "text"
    (done,) = tag.tag_files(
        pipeline, [source], out, output_format="jsonl", text_key=key, resume=True
    )
    assert (done.progress.n_texts, done.progress.n_failed) == (3, 0)
    records = [json.loads(line) for line in (out / "a.jsonl").read_text().splitlines()]
    words = [[token["text"] for token in record["tokens"]] for record in records]
    expected = {"source": ["that"], "key": ["that", "book"]}.get(change, ["The", "dog"])
    assert words == [expected] * 3


def test_the_output_is_not_read(run: Callable, pipeline: str, files: Path) -> None:
    words = ["tag", pipeline, files, "-o", files / "out"]
    assert run(*words).exit_code == 0
    result = run(*words, "--resume")
    assert "Done before: 4 files of 4" in result.output
    result = run("tag", pipeline, files, "-o", files)
    assert result.exit_code == 1
    assert "would be read and written" in " ".join(result.output.split())


def test_upos_is_kept_where_the_pipeline_writes_none(
    run: Callable, pipeline: str, files: Path, tmp_path: Path
) -> None:
    nlp = spacy.load(pipeline)
    ruler = nlp.add_pipe("attribute_ruler")
    ruler.add([[{"LOWER": "dog"}]], {"POS": "NOUN"})
    nlp.to_disk(tmp_path / "nlp")
    run("tag", tmp_path / "nlp", files / "c.conllu", "-o", tmp_path)
    rows = [line.split("\t") for line in (tmp_path / "c.conllu").read_text().splitlines()]
    upos = [row[3] for row in rows if row[0].isdecimal()]
    assert upos == ["X", "NOUN", *["X"] * 7]


def test_output_has_the_line_ends_of_unix(
    run: Callable, pipeline: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "linesep", "\r\n")
    (tmp_path / "a.TXT").write_bytes("\ufeffThe dog é\r\nate\r\n".encode())
    for output_format in ("conllu", "jsonl"):
        run("tag", pipeline, tmp_path / "a.TXT", "-o", tmp_path / "out", "-f", output_format)
        content = (tmp_path / "out" / f"a.{output_format}").read_bytes()
        assert b"\r" not in content and "\ufeff" not in content.decode("utf8")
        assert "é" in content.decode("utf8")


def test_a_bar_shows_file_and_share(
    pipeline: str, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = []
    show = FileProgress.show
    monkeypatch.setattr(
        FileProgress, "show", lambda bar, *args: (shown.append(args), show(bar, *args))
    )
    tag.tag_files(pipeline, [files], tmp_path / "out", batch_size=1)
    sources = sorted(files.iterdir())
    for source in sources:
        counts = [n for path, n in shown if path == source]
        assert counts == sorted(counts) and counts[-1] == source.stat().st_size
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(FileProgress, "DELAY", 0)
    with FileProgress(sources) as bar:
        show(bar, sources[-1], sources[-1].stat().st_size)
        bar.refresh()
    assert "d.spacy: 100%" in terminal.getvalue()


@pytest.mark.parametrize("output_format", ["conllu", "jsonl", "spacy"])
def test_labels_in_an_extension_are_written(
    run: Callable, pipeline: str, files: Path, output_format: str, tiny: Any, tmp_path: Path
) -> None:
    nlp = spacy.load(pipeline)
    config = {"model": tiny, "extension": "slot"}
    tagger = nlp.add_pipe("lstm_label_tagger", name="slots", config=config)
    words, labels = ["The", "dog"], ["X|Y", "Z"]
    doc = Doc(nlp.vocab, words=words)
    for token, label in zip(doc, labels, strict=True):
        token._.slot = label
    examples = [Example(Doc(nlp.vocab, words=words), doc)]
    tagger.initialize(lambda: examples, nlp=nlp)
    nlp.to_disk(tmp_path / "nlp")
    expected = [[token._.slot for token in doc] for doc in nlp.pipe(TEXTS)]
    (files / "b.jsonl").unlink()
    run("tag", tmp_path / "nlp", files, "-o", tmp_path / "out", "-f", output_format)
    for name in "acd":
        path = tmp_path / "out" / f"{name}.{output_format}"
        if output_format == "conllu":
            rows = [line.split("\t")[9] for line in path.read_text().split("\n") if "\t" in line]
            found = [re.findall("slot=([XZ]( Y)?)", row)[0][0] for row in rows if row != "_"]
            assert found == [label.replace("|", " ") for labels in expected for label in labels]
            assert name != "c" or all(row == "_" or "Misc=1|slot=" in row for row in rows)
        elif output_format == "jsonl":
            records = [json.loads(line) for line in path.read_text().splitlines()]
            assert [[t["slot"] for t in record["tokens"]] for record in records] == expected
        else:
            docs = list(DocBin(store_user_data=True).from_disk(path).get_docs(Vocab()))
            assert [[token._.slot for token in doc] for doc in docs] == expected
            assert all(key[:2] == ("._.", "slot") for doc in docs for key in doc.user_data)
