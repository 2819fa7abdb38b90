"""Tests of `labelling.py`: texts are labelled once, and what was done is not done again."""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import spacy
from numpy.testing import assert_allclose
from spacy.tokens import Doc, DocBin
from spacy.vocab import Vocab

from spacy_lstm_tagger.cli import labelling
from spacy_lstm_tagger.cli.labelling import (
    check_manifest,
    count_words,
    label_texts,
    manifest_of,
    survey,
)
from spacy_lstm_tagger.pipeline.distillation import Teacher, Teachers
from spacy_lstm_tagger.pipeline.soft_labels import soft_labels


@pytest.fixture
def teachers(teacher: Path) -> Teachers:
    return Teachers([Teacher(spacy.load(teacher))])


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labelling, "SHARD", 10)


def read(folder: Path) -> list[Doc]:
    shards = sorted(folder.glob("*.spacy"))
    return [doc for path in shards for doc in DocBin().from_disk(path).get_docs(Vocab())]


def label_all(teachers: Teachers, path: Path, folder: Path, gold: Sequence[Doc] = ()) -> None:
    texts = survey([path])
    label_texts(teachers, texts, gold, folder, manifest_of(teachers, texts, gold))


def test_every_text_is_learnt_from_or_held_out(
    teachers: Teachers, texts: Path, tmp_path: Path, small_shards: None
) -> None:
    label_all(teachers, texts, tmp_path)
    learnt, held_out = read(tmp_path / "texts"), read(tmp_path / "held_out")
    lines = [line for line in texts.read_text().splitlines() if line]
    assert sorted(doc.text for doc in [*learnt, *held_out]) == sorted(lines)
    assert 0.1 * len(lines) <= len(held_out) <= 0.1 * len(lines) + 1
    assert len(list((tmp_path / "texts").iterdir())) == 5
    for doc in learnt:
        expected = teachers.teachers[0].probabilities([doc])
        for attribute, (values,) in expected.items():
            labels = teachers.labels[attribute]
            assert_allclose(soft_labels(doc, attribute).dense(labels), values, atol=1e-3)
    nlp = teachers.teachers[0].nlp
    for doc in held_out:
        with nlp.select_pipes(enable=["tok2vec", "tagger", "morphologizer"]):
            theirs = nlp(doc.text)
        assert [t.tag_ for t in doc] == [t.tag_ for t in theirs]
        assert doc.has_annotation("POS") and doc.has_annotation("MORPH")


def test_equal_texts_are_on_the_same_side(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_text("one two\nthree four\n" * 20)
    texts = survey([path])
    sides = [set(texts.read(held_out=held_out)) for held_out in (True, False)]
    assert sorted(map(len, sides)) == [1, 1]
    assert not sides[0] & sides[1]
    assert survey([path], hold_out=False)._replace(limit=texts.limit) == texts
    assert not list(survey([path], hold_out=False).read(held_out=True))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "there are no texts in .*: all is blank"),
        (" \n\t\n", "there are no texts in .*: all is blank"),
        ("The only one\n", "too few to hold one out"),
        ("Twice the same\nTwice the same\n", "too few to hold one out"),
    ],
)
def test_too_few_texts_are_refused(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        survey([path])


def test_what_is_labelled_is_not_labelled_again(
    teachers: Teachers,
    texts: Path,
    tmp_path: Path,
    small_shards: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    label_all(teachers, texts, tmp_path / "whole")
    n_calls, label = 0, labelling.label

    def fail_later(*arguments: Any) -> Any:
        nonlocal n_calls
        n_calls += 1
        if n_calls == 3:
            raise KeyboardInterrupt
        return label(*arguments)

    monkeypatch.setattr(labelling, "label", fail_later)
    with pytest.raises(KeyboardInterrupt):
        label_all(teachers, texts, tmp_path / "parts")
    files = [path for path in (tmp_path / "parts").rglob("*") if path.is_file()]
    assert sorted(path.suffix for path in files) == [".json", ".spacy", ".spacy"]
    label_all(teachers, texts, tmp_path / "parts")
    assert n_calls == 3 + 4
    whole, parts = ({path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.*")}
                    for folder in (tmp_path / "whole", tmp_path / "parts"))  # fmt: skip
    assert whole == parts


def test_a_full_disk_leaves_no_half_shard(
    teachers: Teachers, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_half(path: Path, data: bytes) -> None:
        with path.open("wb") as file:
            file.write(data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    labelling.write(tmp_path / "a", b"whole")
    monkeypatch.setattr(Path, "write_bytes", write_half)
    for name in ("a", "b"):
        with pytest.raises(OSError, match="No space left"):
            labelling.write(tmp_path / name, b"other")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"whole")]


def test_labels_of_other_teachers_or_texts_are_refused(
    teachers: Teachers, teacher: Path, texts: Path, tmp_path: Path
) -> None:
    found, labelled = survey([texts]), tmp_path / "labelled"
    labelled.mkdir()
    manifest = manifest_of(teachers, found, [])
    (labelled / "manifest.json").write_text(json.dumps(manifest))
    check_manifest(labelled, manifest)
    check_manifest(tmp_path, manifest)
    other = Teachers([Teacher(spacy.load(teacher), ["tagger"])])
    with pytest.raises(ValueError, match="were made with other teachers, so"):
        check_manifest(labelled, manifest_of(other, found, []))
    (tmp_path / "texts.txt").write_text("Another\ntext\n")
    with pytest.raises(ValueError, match="were made with other texts and held-out texts, so"):
        check_manifest(labelled, manifest_of(teachers, survey([tmp_path / "texts.txt"]), []))
    gold = [Doc(Vocab(), words=["The"], tags=["DET"])]
    with pytest.raises(ValueError, match="were made with other gold, so"):
        check_manifest(labelled, manifest_of(teachers, found, gold))
    (labelled / "manifest.json").write_text("[")
    with pytest.raises(ValueError, match=r"manifest\.json is damaged"):
        check_manifest(labelled, manifest)


def test_gold_docs_keep_their_labels_and_get_soft_ones(
    teachers: Teachers, texts: Path, tmp_path: Path, make_examples: Callable
) -> None:
    gold = [example.reference for example in make_examples(spacy.blank("xx"))]
    label_all(teachers, texts, tmp_path, gold)
    docs = read(tmp_path / "gold")
    for doc, reference in zip(docs, gold, strict=True):
        assert [t.tag_ for t in doc] == [t.tag_ for t in reference]
        assert [str(t.morph) for t in doc] == [str(t.morph) for t in reference]
        assert len(soft_labels(doc, "pos").ids) == len(doc)


def test_long_texts_are_cut_between_words(
    teachers: Teachers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labelling, "LONGEST", 12)
    path = tmp_path / "texts.txt"
    path.write_text("one two three four five sixteenletterslong\nother words\n")
    texts = survey([path], hold_out=False)
    expected = ["one two", "three four", "five", "sixteenlette", "rslong", "other words"]
    assert list(texts.read(held_out=False)) == expected


def test_the_text_of_conllu_is_what_its_author_wrote(teachers: Teachers, tmp_path: Path) -> None:
    empty = "\t_" * 8
    lines = [f"1-2\tdu{empty}", f"1\tde{empty}", f"2\tle{empty}", f"3\tpain{empty}"]
    (tmp_path / "a.conllu").write_text("\n".join(lines) + "\n")
    texts = survey([tmp_path / "a.conllu"], hold_out=False)
    assert list(texts.read(held_out=False)) == ["du pain"]


def test_texts_that_cant_be_read_are_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "a.txt").write_bytes(b"caf\xe9\nThe dog\n \nThe cat\n")
    (tmp_path / "b.jsonl").write_text('{"text": "A book"}\n{"other": 1}\n')
    texts = survey([tmp_path], hold_out=False)
    assert list(texts.read(held_out=False)) == ["The dog", "The cat", "A book"]
    assert "2 texts left out, as not readable. The first is" in " ".join(
        capsys.readouterr().out.split()
    )


def test_the_output_is_no_input(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "config.cfg").write_text("no text\n")
    (tmp_path / "a.txt").write_text("The dog\n")
    texts = survey([tmp_path], hold_out=False, output=tmp_path / "out")
    assert list(texts.read(held_out=False)) == ["The dog"]


def test_whitespace_has_no_labels(teachers: Teachers) -> None:
    (doc,) = labelling.label(teachers, labelling.tokenize(teachers.teachers[0].nlp, ["The  dog"]))
    assert [token.text for token in doc] == ["The", " ", "dog"]
    assert [bool(label) for label in soft_labels(doc, "tag").best] == [True, False, True]
    assert [bool(t.tag_) for t in labelling.annotated(doc, ["tag"])] == [True, False, True]


@pytest.mark.parametrize(
    "text, n", [("", 0), ("The dog  ate it\n", 4), ("我" * 50, 25), ("Donaudampfschifffahrt", 10)]
)
def test_words_are_counted_without_blanks_too(text: str, n: int) -> None:
    assert count_words(text) == n


@pytest.mark.parametrize("blank", [" ", "\n", "\u3000"])
def test_long_texts_are_cut_between_words_before_any_is_held_out(
    blank: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labelling, "LONGEST", 100)
    words = [f"word{i}" for i in range(2000)]
    path = tmp_path / "texts.jsonl"
    path.write_text(json.dumps({"text": blank.join(words)}) + "\n" + '{"text": "A short one"}\n')
    texts = survey([path])
    learnt, held_out = (list(texts.read(held_out=side)) for side in (False, True))
    assert texts.n_texts == len(learnt) + len(held_out) > 150
    assert 200 <= sum(map(count_words, held_out)) <= 220
    assert texts.n_words == 2003
    assert sorted(" ".join([*learnt, *held_out]).split()) == sorted([*words, "A", "short", "one"])
    assert max(map(len, [*learnt, *held_out])) <= 100


def test_a_pipe_is_refused_as_it_can_be_read_only_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="pipe is no regular file, and texts are read more than"):
        survey([tmp_path / "pipe"])
