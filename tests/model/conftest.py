"""Small Docs and models that the tests of this layer share."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy
import pytest
import torch
from spacy.tokens import Doc
from spacy.vectors import Vectors
from thinc.api import Model
from torch import nn

from spacy_lstm_tagger.model.architectures import LSTMTagger
from spacy_lstm_tagger.model.crf import emitter_of
from spacy_lstm_tagger.model.shim import NetworkShim, is_tagger, network_of
from spacy_lstm_tagger.model.types import DocModel, Floats2d
from spacy_lstm_tagger.model.vocabulary import Vocabulary, learn_vocabulary
from spacy_lstm_tagger.prediction.config import TaggerConfig

MakeDocs = Callable[..., list[Doc]]

TEXTS = ["the dog saw the cat", "", "The cat saw a bird", "a 🙂 old dog", "Oh"]
WITH_VECTORS = ["dog", "bird", "the"]
ODD_WORDS = ["🙂👍🏽", "e\u0301\u0323", "ⵣⴰⵎ", "İ", "ß" * 40, "x" * 10_000]
N_LABELS = 3
VARIANTS: list[dict[str, Any]] = [
    {},
    {"depth": 3},
    {"depth": 2, "bidirectional": False},
    {"character_lstm_width": 0},
    {"affixes": False, "window_length": 2},
    {"include_static_vectors": True},
]


@pytest.fixture
def docs(make_docs: MakeDocs) -> list[Doc]:
    """Docs of different lengths. Their vocab has vectors of three words."""
    docs = make_docs(*TEXTS)
    table = numpy.random.RandomState(0).normal(size=(3, 4)).astype("float32")
    strings = docs[0].vocab.strings
    docs[0].vocab.vectors = Vectors(strings=strings, data=table, keys=WITH_VECTORS)
    return docs


@pytest.fixture
def long_doc(make_docs: MakeDocs) -> Callable[[int], list[Doc]]:
    """Return a function that makes a Doc of a given length, of the words of the others."""
    words = " ".join(TEXTS).split()

    def make(length: int) -> list[Doc]:
        random = numpy.random.RandomState(0)
        return make_docs(" ".join(words[i] for i in random.randint(len(words), size=length)))

    return make


@pytest.fixture
def vocabulary(docs: list[Doc]) -> Vocabulary:
    return learn_vocabulary(docs)


@pytest.fixture
def frequencies() -> dict[str, int]:
    """How often the Docs have each word."""
    return dict(Counter(word.lower() for text in TEXTS for word in text.split()))


@pytest.fixture(scope="session")
def odd_words() -> list[str]:
    return ODD_WORDS


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


@pytest.fixture(params=VARIANTS, ids=str)
def variant(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Settings of a model, one kind of model after another."""
    return request.param


@pytest.fixture
def make_model(docs: list[Doc], widths: dict[str, int]) -> Callable[..., DocModel]:
    """Return a function that makes a model for some Docs, with weights far from zero."""

    def make(
        architecture: Callable[..., DocModel] = LSTMTagger,
        some: list[Doc] | None = None,
        n_labels: int = N_LABELS,
        **settings: Any,
    ) -> DocModel:
        torch.manual_seed(0)
        model = architecture(**{**widths, "unknown_rate": 0.0, **settings})
        width = n_labels if architecture is LSTMTagger else model.get_dim("nO")
        X = docs if some is None else some
        model.initialize(X=X, Y=[numpy.zeros((len(doc), width), "float32") for doc in X])
        for parameter in network_of(emitter_of(model)).network.parameters():
            nn.init.normal_(parameter, std=0.5)
        return model

    return make


@pytest.fixture
def shim(widths: dict[str, int]) -> NetworkShim:
    """The shim of a small tagger."""
    torch.manual_seed(0)
    shim = NetworkShim(TaggerConfig(**widths))
    shim.build(Vocabulary("abcde", "abcde", "abcde", n_frequent=2), n_labels=N_LABELS)
    return shim


@pytest.fixture(scope="session")
def weight_lists() -> Callable[[Model], dict[str, list]]:
    """Return a function that copies the weights of a model, as lists that can be compared."""

    def copy(model: Model) -> dict[str, list]:
        return {name: p.tolist() for name, p in network_of(model).network.named_parameters()}

    return copy


@pytest.fixture(scope="session")
def train_step() -> Callable[..., tuple[float, list[Floats2d]]]:
    """Return a function that runs a model forward and backward."""

    def run(model: Model, docs: list[Doc]) -> tuple[float, list[Floats2d]]:
        """Return the loss, and its gradient."""
        torch.manual_seed(0)
        Y, backprop = model.begin_update(docs)
        random = numpy.random.RandomState(1)
        if is_tagger(model):
            n_labels = model.get_dim("nO")
            target = [numpy.eye(n_labels)[random.randint(n_labels, size=len(y))] for y in Y]
            loss = -sum((t * numpy.log(y)).sum() for t, y in zip(target, Y, strict=True))
            dY = [(y - t).astype(y.dtype) for t, y in zip(target, Y, strict=True)]
        else:
            dY = [random.normal(size=y.shape).astype(y.dtype) for y in Y]
            loss = sum((d * y).sum() for d, y in zip(dY, Y, strict=True))
        backprop(dY)
        return float(loss), dY

    return run


@pytest.fixture(scope="session")
def update(train_step: Callable) -> Callable[..., None]:
    """Return a function that trains a model on a batch."""

    def train(model: Model, docs: list[Doc], optimizer: Any, n_times: int = 1) -> None:
        for _ in range(n_times):
            train_step(model, docs)
            model.finish_update(optimizer)

    return train
