"""Tests of `soft_labels.py`: what a Doc carries, and what of it another Doc's tokens get."""

from collections.abc import Callable

import numpy
import pytest
from numpy.testing import assert_allclose
from spacy.tokens import Doc, DocBin
from spacy.training import Example
from spacy.vocab import Vocab

from spacy_lstm_tagger.pipeline.soft_labels import (
    KEY,
    SoftLabels,
    aligned_soft_labels,
    soft_labels,
    store,
)

LABELS = ["A", "B", "C", "D"]
PROBABILITIES = numpy.asarray(
    [[0.1, 0.6, 0.1, 0.2], [0.7, 0.2, 0.1, 0.0], [0.0, 0.0, 0.0, 0.0]], dtype="float32"
)


@pytest.fixture
def doc(make_docs: Callable) -> Doc:
    (doc,) = make_docs("cannot read it")
    return doc


def test_all_labels_come_back(doc: Doc) -> None:
    store(doc, "tag", LABELS, PROBABILITIES)
    soft = soft_labels(doc, "tag")
    assert_allclose(soft.dense(LABELS), PROBABILITIES, atol=1e-3)
    assert_allclose(soft.dense(["X", *reversed(LABELS)])[:, 0], 0)
    assert soft.best == ["B", "A", ""]
    assert soft_labels(doc, "pos") is None


def test_only_the_best_labels_are_kept_and_their_sum_is_one(doc: Doc) -> None:
    store(doc, "tag", LABELS, PROBABILITIES, k=2)
    soft = soft_labels(doc, "tag")
    assert soft.ids.shape == (3, 2)
    expected = numpy.asarray([[0, 0.75, 0, 0.25], [7 / 9, 2 / 9, 0, 0], [0, 0, 0, 0]])
    assert_allclose(soft.dense(LABELS), expected, atol=1e-3)


def test_more_labels_than_a_byte_can_count(doc: Doc, make_docs: Callable) -> None:
    (long,) = make_docs(" ".join(map(str, range(500))))
    labels = [f"L{i:03}" for i in range(500)]
    store(long, "tag", labels, numpy.eye(500, dtype="float32"), k=3)
    assert soft_labels(long, "tag").best == labels


@pytest.mark.parametrize("attributes", [["tag"], ["tag", "morph"]])
def test_a_docbin_keeps_them(doc: Doc, attributes: list[str]) -> None:
    for attribute in attributes:
        store(doc, attribute, LABELS, PROBABILITIES)
    data = DocBin(store_user_data=True, docs=[doc]).to_bytes()
    (loaded,) = DocBin().from_bytes(data).get_docs(Vocab())
    for attribute in attributes:
        soft = soft_labels(loaded, attribute)
        assert_allclose(soft.dense(LABELS), PROBABILITIES, atol=1e-3)


def test_an_empty_doc_has_no_labels(make_docs: Callable) -> None:
    (doc,) = make_docs("")
    store(doc, "tag", LABELS, PROBABILITIES[:0])
    soft = soft_labels(doc, "tag")
    assert soft.dense(LABELS).shape == (0, 4)
    assert soft.best == []


def test_tokens_that_the_reference_cuts_otherwise_have_none(doc: Doc) -> None:
    store(doc, "tag", LABELS, PROBABILITIES)
    predicted = Doc(doc.vocab, words=["can", "not", "read", "it"], spaces=[False, True, True, True])
    soft = aligned_soft_labels(Example(predicted, doc), "tag")
    assert soft.best == ["", "", "A", ""]
    predicted = Doc(doc.vocab, words=["cannot", "read", "it"])
    assert aligned_soft_labels(Example(predicted, doc), "tag").best == ["B", "A", ""]
    predicted = Doc(doc.vocab, words=["cannot", "readit"], spaces=[True, False])
    reference = doc.copy()
    assert aligned_soft_labels(Example(predicted, reference), "tag").best == ["B", ""]


def test_labels_of_other_tokens_are_refused(doc: Doc) -> None:
    store(doc, "tag", LABELS, PROBABILITIES)
    with doc.retokenize() as retokenizer:
        retokenizer.merge(doc[:2])
    with pytest.raises(ValueError, match="those of other tokens: 3 instead of 2"):
        soft_labels(doc, "tag")


def test_what_the_caller_has_in_user_data_stays(doc: Doc) -> None:
    doc.user_data["mine"] = 1
    store(doc, "tag", LABELS, PROBABILITIES)
    assert set(doc.user_data) == {"mine", KEY}
    assert isinstance(soft_labels(doc, "tag"), SoftLabels)
