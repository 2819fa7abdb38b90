"""Tests of `vectors.py`: look-up and fingerprints of static vectors."""

from collections.abc import Callable

import numpy
import pytest
from spacy.strings import get_string_id
from spacy.tokens import Doc
from spacy.vectors import Vectors
from spacy.vocab import Vocab

from spacy_lstm_tagger.model import vectors as vectors_module
from spacy_lstm_tagger.model.types import Floats2d
from spacy_lstm_tagger.model.vectors import fingerprints, table_fingerprint

MakeDocs = Callable[..., list[Doc]]
WithVectors = Callable[..., list[Doc]]


def static_vectors(vocab: Vocab, forms: list[str]) -> Floats2d:
    """Look up forms that the vocab's strings may lack."""
    of_hashes = {get_string_id(form): form for form in forms}
    hashes = [get_string_id(form) for form in forms]
    return vectors_module.static_vectors(vocab, hashes, of_hashes.__getitem__)


def test_words_without_a_vector_are_zero(with_vectors: WithVectors, make_docs: MakeDocs) -> None:
    docs = with_vectors(make_docs("a dog", "dog barks"), {"a": [5.0, 6.0], "dog": [1.0, 2.0]})
    vectors = static_vectors(docs[0].vocab, ["a", "dog", "dog", "barks"])
    assert vectors.tolist() == [[5.0, 6.0], [1.0, 2.0], [1.0, 2.0], [0.0, 0.0]]


@pytest.mark.parametrize(
    "attr, expected", [("ORTH", [[1.0], [1.0], [2.0]]), ("LOWER", [[1.0], [1.0], [1.0]])]
)
def test_the_table_decides_which_attribute_is_the_key(
    with_vectors: WithVectors, make_docs: MakeDocs, attr: str, expected: list[list[float]]
) -> None:
    docs = make_docs("dog Dog DOG")
    for token in docs[0]:
        token.lex.lower = docs[0].vocab.strings.add("dog")
    with_vectors(docs, {"dog": [1.0], "DOG": [2.0]}, attr)
    assert static_vectors(docs[0].vocab, ["dog", "Dog", "DOG"]).tolist() == expected


def test_forms_without_a_vector_get_the_vector_of_another_case(
    with_vectors: WithVectors, make_docs: MakeDocs
) -> None:
    docs = with_vectors(make_docs("dog DOG"), {"dog": [1.0], "DOG": [2.0], "Paris": [3.0]})
    n_strings = len(docs[0].vocab.strings)
    forms = ["dog", "Dog", "DOG", "dOG", "Paris", "PARIS", "paris", "Cat"]
    expected = [[1.0], [1.0], [2.0], [1.0], [3.0], [3.0], [3.0], [0.0]]
    assert static_vectors(docs[0].vocab, forms).tolist() == expected
    assert len(docs[0].vocab.strings) == n_strings


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_static_vectors_are_float32_copies(
    with_vectors: WithVectors, make_docs: MakeDocs, dtype: str
) -> None:
    docs = with_vectors(make_docs("dog cat"), {"dog": [1.0], "bird": [2.0]})
    docs[0].vocab.vectors.data = docs[0].vocab.vectors.data.astype(dtype)
    assert static_vectors(docs[0].vocab, ["dog", "cat"]).dtype == "float32"
    assert docs[0].vocab.vectors.data.tolist() == [[1.0], [2.0]]


def test_floret_vectors_are_those_of_the_vocab(make_docs: MakeDocs) -> None:
    docs = make_docs("dog cat unheard-of")
    table = numpy.random.RandomState(0).normal(size=(10, 4)).astype("float32")
    docs[0].vocab.vectors = Vectors(
        strings=docs[0].vocab.strings, data=table, mode="floret", hash_count=2, minn=2, maxn=3
    )
    expected = [docs[0].vocab.get_vector(token.text) for token in docs[0]]
    found = static_vectors(docs[0].vocab, [token.text for token in docs[0]])
    numpy.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_norm_set_in_a_text_changes_no_vector(
    with_vectors: WithVectors, make_docs: MakeDocs
) -> None:
    docs = make_docs("not n't", "n't")
    docs[1][0].norm_ = "not"  # as tokenizer exceptions set it
    with_vectors(docs, {"not": [1.0], "n't": [2.0]}, "NORM")
    for form in ("not", "n't"):
        docs[0].vocab[form].norm = docs[0].vocab.strings.add(form)
    assert static_vectors(docs[0].vocab, ["not", "n't"]).tolist() == [[1.0], [2.0]]


@pytest.mark.parametrize("width", [1, 2, 5, 300])
def test_different_rows_have_different_fingerprints(width: int) -> None:
    rows = numpy.random.default_rng(0).normal(size=(100, width)).astype("float32")
    twice = fingerprints(numpy.concatenate((rows, rows)))
    assert (twice[:100] == twice[100:]).all()
    assert (fingerprints(numpy.asfortranarray(rows)) == twice[:100]).all()
    assert len(set(twice.tolist())) == 100
    for column in range(width):
        changed = rows.copy()
        changed[:, column] = numpy.nextafter(changed[:, column], numpy.float32(9))
        assert (fingerprints(changed) != twice[:100]).all()


def test_fingerprints_of_nothing_are_zero() -> None:
    assert fingerprints(numpy.zeros((2, 3), dtype="float32")).tolist() == [0, 0]
    assert fingerprints(numpy.zeros((0, 4), dtype="float32")).tolist() == []


@pytest.mark.parametrize("n_rows", [1, 10, 64, 1000])
def test_different_tables_have_different_fingerprints(n_rows: int) -> None:
    table = numpy.random.default_rng(0).normal(size=(n_rows, 4)).astype("float32")
    first, same, other = (
        table_fingerprint(Vectors(data=data)) for data in (table, table.copy(), 2 * table)
    )
    assert first == same != other
