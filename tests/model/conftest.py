"""A few small Docs, and what they teach."""

from collections.abc import Callable

import pytest
from spacy.tokens import Doc

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
