"""Tests of `shim.py`: prediction caches word types, and never uses stale weights or vectors."""

from collections.abc import Callable
from typing import Any

import numpy
import pytest
from numpy.testing import assert_allclose
from spacy.tokens import Doc
from spacy.vectors import Vectors
from spacy.vocab import Vocab
from thinc.api import SGD, Adam, Model

from spacy_lstm_tagger.model.architectures import LSTMTagger, LSTMTok2Vec
from spacy_lstm_tagger.model.shim import network_of
from spacy_lstm_tagger.model.types import DocModel, Floats2d
from spacy_lstm_tagger.network import encoder
from spacy_lstm_tagger.prediction.types import TypeIds

MakeModel = Callable[..., DocModel]
Function = Callable[..., Any]


def listen(model: Model, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows by the number of types whenever some are embedded."""
    reader, embedded = network_of(model).prepare().reader, []
    embed = reader.embed

    def embed_and_count(types: TypeIds) -> Floats2d:
        embedded.append(len(types.words))
        return embed(types)

    monkeypatch.setattr(reader, "embed", embed_and_count)
    return embedded


def assert_fresh(model: Model, docs: list[Doc]) -> None:
    """Check that a model predicts as its copy, whose cache is empty."""
    scores, expected = (numpy.concatenate(m.predict(docs)) for m in (model, model.copy()))
    assert_allclose(scores, expected, atol=1e-6)


@pytest.mark.parametrize("include_static_vectors", [False, True])
@pytest.mark.parametrize("architecture", [LSTMTagger, LSTMTok2Vec])
def test_each_type_is_embedded_once(
    make_model: MakeModel,
    docs: list[Doc],
    architecture: Callable,
    include_static_vectors: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = make_model(architecture, include_static_vectors=include_static_vectors)
    embedded = listen(model, monkeypatch)
    first = [model.predict(docs[:1]), model.predict(docs), model.predict(docs[::-1])]
    assert embedded == [4, 6]  # "the dog saw the cat", and the six other words
    for found, expected in zip(first[1], first[2][::-1], strict=True):
        assert_allclose(found, expected, atol=1e-6)


def test_the_cache_is_emptied_when_the_weights_change(
    make_model: MakeModel, update: Function, docs: list[Doc]
) -> None:
    model, optimizer = make_model(), Adam(0.1, use_averages=True)
    model.predict(docs)
    update(model, docs, optimizer, 5)
    assert_fresh(model, docs)
    with model.use_params(optimizer.averages):
        assert_fresh(model, docs)
    assert_fresh(model, docs)
    other = make_model()
    update(other, docs, Adam(0.3), 5)
    model.from_bytes(other.to_bytes())
    assert_fresh(model, docs)
    model.initialize(X=docs, Y=[numpy.zeros((len(doc), 3), "float32") for doc in docs])
    assert_fresh(model, docs)


def test_an_update_that_fails_leaves_no_stale_weights(
    make_model: MakeModel, train_step: Function, docs: list[Doc]
) -> None:
    model, sgd, changed = make_model(), SGD(0.5), []

    def fail_at_second(key: Any, weights: Any, gradient: Any) -> Any:
        if changed:
            raise KeyError
        changed.append(key)
        return sgd(key, weights, gradient)

    model.predict(docs)
    train_step(model, docs)
    with pytest.raises(KeyError):
        model.finish_update(fail_at_second)
    assert_fresh(model, docs)


def test_a_loaded_model_predicts_without_a_torch_network(
    make_model: MakeModel,
    widths: dict[str, int],
    docs: list[Doc],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("a network was made")

    model = make_model()
    data, expected = model.to_bytes(), model.predict(docs)
    restored = LSTMTagger(**widths)
    monkeypatch.setattr(encoder, "network_of", refuse)
    for scores, own in zip(restored.from_bytes(data).predict(docs), expected, strict=True):
        assert scores.tolist() == own.tolist()
    assert restored.to_bytes() == data
    with pytest.raises(AssertionError):
        restored.begin_update(docs)


@pytest.mark.parametrize("attr", ["ORTH", "NORM"])
def test_static_vectors_do_not_depend_on_the_batch(
    make_model: MakeModel, docs: list[Doc], attr: str
) -> None:
    """Not on the vocabs of other Docs, and not on a norm that a text gave a token."""
    model = make_model(include_static_vectors=True)
    table = numpy.random.RandomState(1).normal(size=(3, 4)).astype("float32")
    other = Vocab()
    other.vectors = Vectors(strings=other.strings, data=table, keys=["dog", "bird", "saw"])
    vocab = docs[0].vocab
    vocab.vectors = Vectors(
        strings=vocab.strings, data=table[::-1], keys=["dog", "bird", "the"], attr=attr
    )
    docs[3][2].norm_ = "bird"  # "old"
    batch = [*docs, Doc(other, words=["the", "dog", "saw"]), Doc(vocab, words=["old"])]
    alone = [model.predict([doc])[0] for doc in batch]
    for order in ([*range(7)], [*range(7)][::-1]):
        together = model.predict([batch[i] for i in order])
        for i, scores in zip(order, together, strict=True):
            assert_allclose(scores, alone[i], atol=1e-6)
    assert abs(alone[5] - alone[0][:3]).max() > 0.01


def replace(vocab: Vocab) -> None:
    data = numpy.full((3, 4), 5.0, dtype="float32")
    vocab.vectors = Vectors(strings=vocab.strings, data=data, keys=["dog", "bird", "the"])


CHANGES: dict[str, Callable[[Vocab], Any]] = {
    "other vectors": replace,
    "other data": lambda vocab: setattr(vocab.vectors, "data", vocab.vectors.data[::-1].copy()),
    "all in place": lambda vocab: vocab.vectors.data.fill(5.0),
    "one number in place": lambda vocab: vocab.vectors.data[0].__setitem__(3, 5.0),
    "set_vector": lambda vocab: vocab.set_vector("dog", numpy.ones(4, "float32")),
    "another row": lambda vocab: vocab.vectors.add("dog", row=2),
    "a key that was missing": lambda vocab: vocab.vectors.add("saw", row=2),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_changed_static_vectors_are_used(
    make_model: MakeModel, docs: list[Doc], change: Callable[[Vocab], Any]
) -> None:
    model = make_model(include_static_vectors=True)
    before = numpy.concatenate(model.predict(docs))
    change(docs[0].vocab)
    assert (numpy.concatenate(model.predict(docs)) != before).any()
    assert_fresh(model, docs)


def test_changed_floret_vectors_are_used(
    make_model: MakeModel, docs: list[Doc], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, vocab = make_model(include_static_vectors=True), docs[0].vocab
    tables = numpy.random.RandomState(0).normal(size=(2, 9, 4)).astype("float32")
    embedded, before = listen(model, monkeypatch), []
    for table in tables:
        vocab.vectors = Vectors(strings=vocab.strings, data=table, mode="floret", minn=2, maxn=3)
        for _ in range(2):
            scores = numpy.concatenate(model.predict(docs)).tolist()
        assert scores not in before
        before.append(scores)
        assert_fresh(model, docs)
    assert embedded == [10, 10]
