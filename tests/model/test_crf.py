"""Tests of `with_crf.py`: the CRF as a layer of a Thinc model."""

from collections.abc import Callable
from typing import Any

import numpy
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from spacy.tokens import Doc
from spacy.vocab import Vocab
from thinc.api import Adam, Model

from spacy_lstm_tagger.model.crf import (
    best_path,
    best_paths,
    is_crf,
    marginal_scores,
    with_crf,
)
from spacy_lstm_tagger.network import crf as training
from spacy_lstm_tagger.prediction.crf import log_marginals, viterbi

N_LABELS = 4


@pytest.fixture
def make_crf() -> Callable[..., tuple[Model, list[Doc]]]:
    """Return a function that makes a CRF over given scores of Docs of given lengths."""

    def make(*lengths: int, seed: int = 0) -> tuple[Model, list[Doc]]:
        random = numpy.random.default_rng(seed)
        docs = [Doc(Vocab(), words=["a"] * length) for length in lengths]
        scores = {id(doc): random.normal(size=(len(doc), N_LABELS)).astype("f") for doc in docs}

        def emit(model: Model, docs: list[Doc], is_train: bool) -> tuple[Any, Callable]:
            model.attrs["gradients"] = None

            def backprop(dY: Any) -> list[Doc]:
                model.attrs["gradients"] = dY
                return []

            return [scores[id(doc)] for doc in docs], backprop

        model = with_crf(Model("emitter", emit, dims={"nO": N_LABELS}))
        model.initialize()
        transitions = random.normal(size=(N_LABELS, N_LABELS)).astype("f")
        model.set_param("transitions", transitions)
        return model, docs

    return make


def whole(score: Callable[..., numpy.ndarray], model: Model, doc: Doc) -> numpy.ndarray:
    """Score a Doc without windows."""
    (emissions,) = model.layers[0].predict([doc])
    return score(emissions, numpy.asarray([len(doc)]), model.get_param("transitions"))


def softmax(scores: numpy.ndarray) -> numpy.ndarray:
    return torch.from_numpy(scores).softmax(1).numpy()


def test_prediction_marks_the_labels_of_the_best_sequence(make_crf) -> None:
    model, docs = make_crf(3, 0, 1, 40, 0)
    for doc, scores in zip(docs, model.predict(docs), strict=True):
        labels = whole(viterbi, model, doc).tolist() if len(doc) else []
        assert scores.tolist() == [[float(i == label) for i in range(N_LABELS)] for label in labels]
        assert scores.shape == (len(doc), N_LABELS)


@pytest.mark.parametrize("lengths", [[], [0], [0, 0]])
@pytest.mark.parametrize("is_train", [False, True])
def test_docs_without_tokens_have_no_scores(make_crf, lengths: list[int], is_train: bool) -> None:
    model, docs = make_crf(*lengths)
    scores, backprop = model(docs, is_train)
    assert [s.shape for s in scores] == [(0, N_LABELS)] * len(lengths)
    assert backprop(scores) == []


def test_training_returns_marginal_probabilities(make_crf) -> None:
    model, docs = make_crf(3, 0, 1, 20)
    probabilities, _ = model.begin_update(docs)
    for doc, own in zip(docs, probabilities, strict=True):
        assert_allclose(own.sum(axis=1), 1, rtol=1e-5)
        if len(doc):
            assert_allclose(own, softmax(whole(log_marginals, model, doc)), rtol=1e-4, atol=1e-6)


def test_gradients_are_those_of_the_marginals_of_the_gold_labels(make_crf) -> None:
    model, docs = make_crf(3, 0, 5)
    gold = [numpy.eye(N_LABELS, dtype="f")[[1, 2, 0]], numpy.zeros((0, N_LABELS), dtype="f")]
    gold.append(numpy.eye(N_LABELS, dtype="f")[[3, 0, 0, 1, 2]])
    probabilities, backprop = model.begin_update(docs)
    backprop([own - right for own, right in zip(probabilities, gold, strict=True)])

    gradients = model.layers[0].attrs["gradients"]
    emissions = [torch.tensor(s, requires_grad=True) for s in model.layers[0].predict(docs)]
    transitions = torch.tensor(model.get_param("transitions"), requires_grad=True)
    loss = torch.zeros(())
    for scores, right in zip(emissions, gold, strict=True):
        if len(right):
            logs = training.log_marginals(scores, torch.tensor([len(right)]), transitions)
            loss = loss - (logs.log_softmax(1) * torch.from_numpy(right)).sum()
    loss.backward()
    assert_allclose(model.get_grad("transitions"), transitions.grad, rtol=1e-4, atol=1e-5)
    for own, scores in zip(gradients, emissions, strict=True):
        expected = numpy.zeros_like(own) if scores.grad is None else scores.grad
        assert_allclose(own, expected, rtol=1e-4, atol=1e-5)


def test_a_token_without_gradient_teaches_nothing(make_crf) -> None:
    model, docs = make_crf(6)
    _, backprop = model.begin_update(docs)
    backprop([numpy.zeros((6, N_LABELS), dtype="f")])
    assert not model.get_grad("transitions").any()


def test_an_optimizer_changes_the_transitions_and_averages_them(make_crf) -> None:
    model, docs = make_crf(6)
    before = model.get_param("transitions").copy()
    optimizer = Adam(0.1, use_averages=True)
    for _ in range(3):
        probabilities, backprop = model.begin_update(docs)
        backprop([p - numpy.eye(N_LABELS, dtype="f")[[0] * 6] for p in probabilities])
        model.finish_update(optimizer)
    after = model.get_param("transitions").copy()
    assert (after != before).any()
    with model.use_params(optimizer.averages):
        assert (model.get_param("transitions") != after).any()
    assert_array_equal(model.get_param("transitions"), after)


@pytest.mark.parametrize("length", [5, 700])
@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_a_doc_is_decoded_as_a_whole(make_crf, length: int, scale: float) -> None:
    model, docs = make_crf(9, 0, length, 20)
    transitions = scale * model.get_param("transitions")
    model.set_param("transitions", transitions)
    emissions = model.layers[0].predict(docs)
    assert best_path(model, emissions)[2].tolist() == best_paths(model, emissions[2], 1)[0][0]
    expected = softmax(whole(log_marginals, model, docs[2]))
    assert_allclose(softmax(marginal_scores(model, emissions)[2]), expected, atol=1e-5)


def test_bytes_carry_the_transitions(make_crf) -> None:
    model, _ = make_crf(6)
    other, _ = make_crf(6, seed=1)
    other.from_bytes(model.to_bytes())
    assert_array_equal(other.get_param("transitions"), model.get_param("transitions"))


def test_only_a_crf_is_one(make_crf) -> None:
    model, _ = make_crf()
    assert is_crf(model)
    assert not is_crf(model.layers[0])
