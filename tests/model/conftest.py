"""A few small Docs, and what they teach."""

from collections.abc import Callable

import numpy
import pytest
from spacy.tokens import Doc
from spacy.vectors import Vectors

from spacy_lstm_tagger.model.vocabulary import Vocabulary, learn_vocabulary

MakeDocs = Callable[..., list[Doc]]

TEXTS = ["the dog saw the cat", "The cat saw a bird", "a dog"]


@pytest.fixture
def docs(make_docs: MakeDocs) -> list[Doc]:
    return make_docs(*TEXTS)


@pytest.fixture
def vocabulary(docs: list[Doc]) -> Vocabulary:
    return learn_vocabulary(docs)


@pytest.fixture
def frequencies() -> dict[str, int]:
    """How often the Docs have each word."""
    return {"the": 3, "dog": 2, "saw": 2, "cat": 2, "a": 2, "bird": 1}


@pytest.fixture
def with_vectors() -> Callable[..., list[Doc]]:
    """Return a function that gives the Docs' vocab a table of vectors."""

    def give(docs: list[Doc], vectors: dict[str, list[float]], attr: str = "ORTH") -> list[Doc]:
        table = numpy.asarray(list(vectors.values()), dtype="float64")
        docs[0].vocab.vectors = Vectors(
            strings=docs[0].vocab.strings, data=table, keys=list(vectors), attr=attr
        )
        return docs

    return give
