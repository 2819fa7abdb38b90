"""Tests of `compact.py`: a pipeline becomes smaller, and tags nearly as before."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy
import pytest
import spacy
from numpy.testing import assert_allclose
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.vocab import Vocab

from spacy_lstm_tagger.cli import compact as module
from spacy_lstm_tagger.cli.compact import compact, save, size_of

TEXT = "The dog ate the apple"


def n_words(nlp: Language, name: str = "lstm_tagger") -> int:
    return len(next(iter(nlp.get_pipe(name).model.shims)).vocabulary.words)


def test_a_pipeline_becomes_smaller(
    run: Callable, pipeline: str, texts: Path, tmp_path: Path
) -> None:
    before = spacy.load(pipeline)
    for arguments in ([], ["--texts", texts]):
        result = run("compact", pipeline, "-o", tmp_path / "small", "--force", *arguments)
        assert result.exit_code == 0, result.output
        nlp = spacy.load(tmp_path / "small")
        assert n_words(nlp) < n_words(before)
        assert [t.tag_ for t in nlp(TEXT)] == [t.tag_ for t in before(TEXT)]
        assert size_of(tmp_path / "small") < size_of(Path(pipeline))
        assert len(nlp.vocab.strings) <= len(before.vocab.strings)
    assert "of 1,000 tokens get other labels" in result.output


def test_as_many_words_are_dropped_as_change_hardly_a_label(
    pipeline: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    nlp = spacy.load(pipeline)
    docs = [Doc(spacy.blank("xx").vocab, words=TEXT.split())]
    labels = iter([0, 3, 2, 1])

    def fake_labels(nlp: Language, docs: list[Doc]) -> numpy.ndarray:
        changed = numpy.zeros((1000, 1))
        changed[: next(labels)] = 1
        return changed

    monkeypatch.setattr(module, "_labels", fake_labels)
    assert compact(nlp, docs) == (module.SHARES[2], 0.001)
    assert n_words(nlp) == n_words(spacy.load(pipeline)) - int(
        module.SHARES[2] * n_words(spacy.load(pipeline))
    )


def test_taggers_that_share_an_encoder(
    shared: Language, make_examples: Callable, tmp_path: Path, run: Callable
) -> None:
    shared.initialize(lambda: make_examples(shared))
    shared.to_disk(tmp_path / "shared")
    result = run("compact", tmp_path / "shared", "-o", tmp_path / "small")
    assert result.exit_code == 0, result.output
    nlp = spacy.load(tmp_path / "small")
    assert n_words(nlp, "tok2vec") < n_words(shared, "tok2vec")
    assert nlp(TEXT).has_annotation("POS")


def test_other_models_keep_their_strings(
    teacher: Path, pipeline: str, tmp_path: Path, run: Callable
) -> None:
    nlp = spacy.load(teacher)
    nlp.vocab.strings.add("a string")
    nlp.add_pipe("lstm_tagger", source=spacy.load(pipeline))
    nlp.to_disk(tmp_path / "both")
    assert run("compact", tmp_path / "both", "-o", tmp_path / "small").exit_code == 0
    small = spacy.load(tmp_path / "small")
    assert "a string" in small.vocab.strings
    docs = [one.get_pipe("tok2vec")(one.make_doc(TEXT)) for one in (nlp, small)]
    models = [one.get_pipe("senter").model for one in (nlp, small)]
    assert_allclose(*(model.predict([doc])[0] for model, doc in zip(models, docs, strict=True)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "there is no pipeline nowhere"),
        (["{teacher}"], "has no component of this package"),
        (["{pipeline}", "--texts", "nowhere"], "there is no nowhere"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(
    run: Callable,
    pipeline: str,
    teacher: Path,
    tmp_path: Path,
    arguments: list[str],
    message: str,
) -> None:
    words = [word.format(teacher=teacher, pipeline=pipeline) for word in arguments]
    result = run("compact", *words, "-o", tmp_path / "small")
    assert result.exit_code == 1
    assert message in " ".join(result.output.split())
    assert not (tmp_path / "small").exists()


def test_nothing_is_overwritten_without_force(run: Callable, pipeline: str, tmp_path: Path) -> None:
    result = run("compact", pipeline, "-o", tmp_path)
    assert result.exit_code == 1
    assert "exists already" in " ".join(result.output.split())
    assert not list(tmp_path.iterdir())


def test_a_failure_leaves_the_old_pipeline(
    pipeline: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "file").touch()

    def fail(path: Path) -> None:
        path.mkdir()
        raise OSError(28, "No space left on device")

    nlp = spacy.load(pipeline)
    monkeypatch.setattr(nlp, "to_disk", fail)
    with pytest.raises(OSError, match="No space left"):
        save(nlp, tmp_path / "old")
    assert [path.name for path in tmp_path.rglob("*")] == ["old", "file"]


def test_labels_in_an_extension_are_compared(
    tiny: dict,
) -> None:
    nlp = spacy.blank("xx")
    nlp.add_pipe("lstm_label_tagger", config={"model": tiny, "extension": "slot"})
    words = [f"word{i}" for i in range(20)]
    reference = Doc(nlp.vocab, words=words)
    for token in reference:
        token._.slot = f"label{token.i}"
    examples = [Example(Doc(nlp.vocab, words=words), reference)]
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = 0.03
    for _ in range(60):
        nlp.update(examples, sgd=optimizer)
    found = module._labels(nlp, [Doc(Vocab(), words=words)])
    labels = [token._.slot for token in nlp(Doc(nlp.vocab, words=words))]
    assert [nlp.vocab.strings[int(row[-1])] for row in found] == labels
    assert len(set(labels)) > 10


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_only_a_pipeline_is_overwritten(
    run: Callable, pipeline: str, tmp_path: Path, kind: str
) -> None:
    notes = tmp_path / "precious" / "notes.txt" if kind == "folder" else tmp_path / "precious"
    notes.parent.mkdir(exist_ok=True)
    notes.write_text("mine")
    result = run("compact", pipeline, "-o", tmp_path / "precious", "--force")
    assert result.exit_code == 1
    assert "is no pipeline, so it isn't overwritten" in " ".join(result.output.split())
    assert notes.read_text() == "mine"


def test_a_pipeline_can_be_written_to_the_working_folder(
    run: Callable, pipeline: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(pipeline, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    result = run("compact", pipeline, "-o", ".", "--force")
    assert result.exit_code == 0, result.output
    assert size_of(tmp_path / "here") < size_of(Path(pipeline))
