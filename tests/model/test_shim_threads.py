"""Tests of `shim.py`: threads that predict while others predict, train, or load weights."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy
import pytest
from numpy.testing import assert_allclose
from spacy.tokens import Doc
from spacy.vectors import Vectors
from spacy.vocab import Vocab
from thinc.api import SGD, Model, set_dropout_rate
from torch import nn

from spacy_lstm_tagger.model import shim as shim_module
from spacy_lstm_tagger.model.shim import NetworkShim, network_of
from spacy_lstm_tagger.model.types import DocModel
from spacy_lstm_tagger.model.vocabulary import Vocabulary
from spacy_lstm_tagger.prediction.reader import Reader, reader_of

MakeModel = Callable[..., DocModel]
Function = Callable[..., Any]


def scores_of(model: Model, docs: list[Doc]) -> list[list]:
    return [scores.tolist() for scores in model.predict(docs)]


def with_another_vocabulary(shim: NetworkShim) -> bytes:
    """Return the bytes of a shim with other words and weights."""
    other = NetworkShim(shim.config)
    other.build(Vocabulary(["that"]), vector_width=0, n_labels=3)
    for parameter in other.network.parameters():
        nn.init.normal_(parameter)
    return other.to_bytes()


@pytest.mark.parametrize("training", [False, True])
def test_prediction_in_many_threads_equals_prediction_in_one(
    make_model: MakeModel, docs: list[Doc], training: bool
) -> None:
    model = make_model(depth=2)
    set_dropout_rate(model, 0.5)
    batches = [docs[i % 4 :] + docs[: i % 3] for i in range(60)]
    expected = [scores_of(model, batch) for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        runs = [pool.submit(model.begin_update, docs) for _ in range(60 * training)]
        found = list(pool.map(model.predict, batches))
    assert [[scores.tolist() for scores in batch] for batch in found] == expected
    assert all(run.exception() is None for run in runs)


def test_each_thread_uses_the_vectors_of_its_docs(make_model: MakeModel) -> None:
    model, batches = make_model(include_static_vectors=True), []
    for i in range(4):
        vocab = Vocab()
        vocab.vectors = Vectors(data=numpy.full((1, 4), i, "float32"), keys=["dog"])
        batches.append([Doc(vocab, words=["the", "dog", f"w{j}"]) for j in range(20)])
    expected = [numpy.concatenate(model.copy().predict(batch)) for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        for i, scores in enumerate(pool.map(model.predict, 10 * batches)):
            assert_allclose(numpy.concatenate(scores), expected[i % 4], atol=1e-6)


def test_weights_that_change_while_a_reader_is_made_are_not_missed(
    make_model: MakeModel, update: Function, docs: list[Doc], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, optimizer = make_model(), SGD(0.5)

    def update_meanwhile(config: Any, weights: Any) -> Reader:
        stale = reader_of(config, {name: values.copy() for name, values in weights.items()})
        monkeypatch.setattr(shim_module, "reader_of", reader_of)
        update(model, docs, optimizer)  # as another thread could
        return stale

    monkeypatch.setattr(shim_module, "reader_of", update_meanwhile)
    model.predict(docs)
    for scores, expected in zip(model.predict(docs), model.copy().predict(docs), strict=True):
        assert_allclose(scores, expected, atol=1e-6)


def test_a_vocabulary_is_only_used_with_its_weights(
    make_model: MakeModel, docs: list[Doc], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model()
    expected, data = scores_of(model.copy(), docs), with_another_vocabulary(network_of(model))

    def load_meanwhile(config: Any, weights: Any) -> Reader:
        monkeypatch.setattr(shim_module, "reader_of", reader_of)
        network_of(model).from_bytes(data)  # as another thread could
        return reader_of(config, weights)

    monkeypatch.setattr(shim_module, "reader_of", load_meanwhile)
    assert scores_of(model, docs) == expected
    assert scores_of(model, docs) == scores_of(model.copy(), docs) != expected


def test_threads_predict_with_old_weights_or_new_ones_while_others_are_loaded(
    make_model: MakeModel, update: Function, docs: list[Doc]
) -> None:
    model, other = make_model(), make_model()
    update(other, docs, SGD(0.5))
    shim = network_of(model)
    versions = [shim.to_bytes(), with_another_vocabulary(shim), network_of(other).to_bytes()]
    expected = []
    for data in versions:
        shim.from_bytes(data)
        expected.append(scores_of(model, docs))

    def load(i: int) -> None:
        shim.from_bytes(versions[i % 3])
        shim.network  # noqa: B018  # as training would

    with ThreadPoolExecutor(4) as pool:
        found = [pool.submit(scores_of, model, docs) for _ in range(200)]
        for i in range(50):
            load(i)
    assert all(run.result() in expected for run in found)
    assert scores_of(model, docs) == scores_of(model.copy(), docs)
