"""Tests of `crf.py`: the CRF as a layer of a Thinc model."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from time import sleep
from typing import Any

import numpy
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from spacy.language import Language
from spacy.tokens import Doc
from thinc.api import SGD, Adam, Model

from spacy_lstm_tagger.model.crf import (
    best_path,
    best_paths,
    emitter_of,
    is_crf,
    join_transitions,
    marginal_scores,
    transitions_of,
    with_crf,
)
from spacy_lstm_tagger.model.types import DocModel
from spacy_lstm_tagger.network import crf as training
from spacy_lstm_tagger.prediction.crf import log_marginals, viterbi

MakeCRF = Callable[..., tuple[DocModel, list[Doc]]]

N_LABELS = 4


@pytest.fixture
def make_crf(nlp: Language) -> MakeCRF:
    """Return a function that makes a CRF over random scores, and Docs of given lengths or words."""

    def make(*texts: int | list[str], seed: int = 0) -> tuple[DocModel, list[Doc]]:
        random = numpy.random.default_rng(seed)
        words = [["a"] * text if isinstance(text, int) else text for text in texts]
        docs = [Doc(nlp.vocab, words=some) for some in words]
        scores = {id(doc): random.normal(size=(len(doc), 9)).astype("f") for doc in docs}

        def emit(model: Model, docs: list[Doc], is_train: bool) -> tuple[Any, Callable]:
            model.attrs["gradients"] = None

            def backprop(dY: Any) -> list[Doc]:
                model.attrs["gradients"] = dY
                return []

            return [scores[id(doc)][:, : model.get_dim("nO")] for doc in docs], backprop

        def resize(model: Model, n_labels: int) -> None:
            model.set_dim("nO", n_labels, force=True)

        dims, attrs = {"nO": N_LABELS}, {"resize_output": resize}
        model: Any = with_crf(Model("emitter", emit, dims=dims, attrs=attrs))
        model.initialize()
        transitions = random.normal(size=(N_LABELS, N_LABELS)).astype("f")
        model.set_param("transitions", transitions)
        return model, docs

    return make


def resize(model: DocModel, n_labels: int) -> None:
    model.attrs["resize_output"](model, n_labels)


def step(model: DocModel, docs: list[Doc]) -> None:
    """Add the gradients of a batch in which all tokens have the first label."""
    probabilities, backprop = model.begin_update(docs)
    backprop([p - numpy.eye(p.shape[1], dtype="f")[[0] * len(p)] for p in probabilities])


def whole(score: Callable[..., numpy.ndarray], model: Model, doc: Doc) -> numpy.ndarray:
    """Score a Doc without windows."""
    (emissions,) = model.layers[0].predict([doc])
    return score(emissions, numpy.asarray([len(doc)]), model.get_param("transitions"))


def softmax(scores: numpy.ndarray) -> numpy.ndarray:
    return torch.from_numpy(scores).softmax(1).numpy()


def test_prediction_marks_the_labels_of_the_best_sequence(make_crf: MakeCRF) -> None:
    model, docs = make_crf(3, 0, 1, 40, 0)
    for doc, scores in zip(docs, model.predict(docs), strict=True):
        labels = whole(viterbi, model, doc).tolist() if len(doc) else []
        assert scores.tolist() == [[float(i == label) for i in range(N_LABELS)] for label in labels]
        assert scores.shape == (len(doc), N_LABELS)


@pytest.mark.parametrize("lengths", [[], [0], [0, 0]])
@pytest.mark.parametrize("is_train", [False, True])
def test_docs_without_tokens_have_no_scores(
    make_crf: MakeCRF, lengths: list[int], is_train: bool
) -> None:
    model, docs = make_crf(*lengths)
    scores, backprop = model(docs, is_train)
    assert [s.shape for s in scores] == [(0, N_LABELS)] * len(lengths)
    assert backprop(scores) == []


def test_training_returns_marginal_probabilities(make_crf: MakeCRF) -> None:
    model, docs = make_crf(3, 0, 1, 20)
    probabilities, _ = model.begin_update(docs)
    for doc, own in zip(docs, probabilities, strict=True):
        assert_allclose(own.sum(axis=1), 1, rtol=1e-5)
        if len(doc):
            assert_allclose(own, softmax(whole(log_marginals, model, doc)), rtol=1e-4, atol=1e-6)


def test_gradients_are_those_of_the_gold_labels_marginals(make_crf: MakeCRF) -> None:
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


def test_tokens_without_gradient_train_nothing(make_crf: MakeCRF) -> None:
    model, docs = make_crf(6)
    _, backprop = model.begin_update(docs)
    backprop([numpy.zeros((6, N_LABELS), dtype="f")])
    assert not model.get_grad("transitions").any()


def test_an_optimizer_changes_the_transitions_and_averages_them(make_crf: MakeCRF) -> None:
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
def test_a_doc_is_decoded_as_a_whole(make_crf: MakeCRF, length: int, scale: float) -> None:
    model, docs = make_crf(9, 0, length, 20)
    transitions = scale * model.get_param("transitions")
    model.set_param("transitions", transitions)
    emissions = model.layers[0].predict(docs)
    assert best_path(model, emissions)[2].tolist() == best_paths(model, emissions[2], 1)[0][0]
    expected = softmax(whole(log_marginals, model, docs[2]))
    assert_allclose(softmax(marginal_scores(model, emissions)[2]), expected, atol=1e-5)


def test_bytes_contain_the_transitions(make_crf: MakeCRF) -> None:
    model, _ = make_crf(6)
    other, _ = make_crf(6, seed=1)
    other.from_bytes(model.to_bytes())
    assert_array_equal(other.get_param("transitions"), model.get_param("transitions"))


def test_a_crf_is_told_apart_from_its_emitter(make_crf: MakeCRF) -> None:
    model, _ = make_crf()
    assert is_crf(model) and is_crf(model.copy())
    assert not is_crf(model.layers[0])
    assert emitter_of(model) is emitter_of(model.layers[0]) is model.layers[0]


def test_whitespace_is_left_out_of_sequences_in_training(make_crf: MakeCRF) -> None:
    model, docs = make_crf(["\n"], ["a", " ", "a", "\n", "a"], [])
    step(model, docs)
    (_, found, _), _ = model.begin_update(docs)
    emissions = torch.tensor(model.layers[0].predict(docs)[1][::2], requires_grad=True)
    transitions = torch.tensor(model.get_param("transitions"), requires_grad=True)
    logs = training.log_marginals(emissions, torch.tensor([3]), transitions).log_softmax(1)
    (-logs[:, 0].sum()).backward()
    assert_allclose(found[::2], logs.detach().exp(), rtol=1e-4)
    assert not found[1::2].any()
    assert_allclose(model.get_grad("transitions"), transitions.grad, rtol=1e-4, atol=1e-5)


def test_whitespace_has_no_gradient(make_crf: MakeCRF) -> None:
    model, docs = make_crf(["\n"], ["a", " ", "a", "\n", "a"])
    step(model, docs)
    of_space, of_words = model.layers[0].attrs["gradients"]
    assert of_words[::2].any(axis=1).all()
    assert not of_words[1::2].any() and not of_space.any()


@pytest.mark.parametrize("n_labels", [5, 7])
def test_new_labels_change_no_best_sequence(make_crf: MakeCRF, n_labels: int) -> None:
    model, docs = make_crf(6, 1, 30)
    emissions = model.layers[0].predict(docs)
    before, transitions = best_path(model, emissions), transitions_of(model)
    resize(model, n_labels)
    n_new = n_labels - N_LABELS
    with_new = [
        numpy.concatenate((scores, scores.mean(axis=1, keepdims=True).repeat(n_new, 1)), axis=1)
        for scores in emissions
    ]
    for found, expected in zip(best_path(model, with_new), before, strict=True):
        assert found.tolist() == expected.tolist()
    after = transitions_of(model)
    assert after.shape == (n_labels, n_labels)
    assert_array_equal(after[:N_LABELS, :N_LABELS], transitions)
    of_mean = numpy.broadcast_to(transitions.mean(axis=1)[:, None], after[:4, 4:].shape)
    assert_allclose(after[:N_LABELS, N_LABELS:], of_mean, rtol=1e-6)


def test_a_label_between_two_batches_keeps_the_gradients_of_the_first(make_crf: MakeCRF) -> None:
    model, docs = make_crf(6, 5)
    before = model.get_param("transitions").copy()
    step(model, docs[:1])
    of_first = model.get_grad("transitions").copy()
    resize(model, N_LABELS + 1)
    assert of_first.any()
    assert_array_equal(model.get_grad("transitions"), of_first)
    step(model, docs[1:])
    assert (model.get_grad("transitions") != of_first).any()
    model.finish_update(SGD(1.0, grad_clip=0.0))
    other, docs = make_crf(6, 5)
    resize(other, N_LABELS + 1)
    step(other, docs[1:])
    expected = before - of_first - other.get_grad("transitions")
    assert_allclose(model.get_param("transitions"), expected, rtol=1e-5, atol=1e-6)


def test_a_label_between_forward_and_backward_keeps_the_gradients(make_crf: MakeCRF) -> None:
    model, docs = make_crf(6)
    step(model, docs)
    expected = model.get_grad("transitions").copy()
    other, docs = make_crf(6)
    probabilities, backprop = other.begin_update(docs)
    resize(other, N_LABELS + 1)
    backprop([p - numpy.eye(N_LABELS, dtype="f")[[0] * len(p)] for p in probabilities])
    assert_array_equal(other.get_grad("transitions"), expected)
    other.finish_update(SGD(0.1))
    assert transitions_of(other).shape == (5, 5)


@pytest.mark.parametrize("change", [Model.initialize, join_transitions])
def test_other_transitions_have_no_gradients_yet(
    make_crf: MakeCRF, change: Callable[[Model], object]
) -> None:
    model, docs = make_crf(6)
    resize(model, 5)
    step(model, docs)
    change(model)
    assert model.get_param("transitions").shape == (5, 5)
    assert not (model.has_grad("transitions") and model.get_grad("transitions").any())
    step(model, docs)
    model.finish_update(SGD(0.1))


def test_transitions_of_new_labels_are_trained(make_crf: MakeCRF) -> None:
    model, docs = make_crf(6)
    resize(model, 5)
    resize(model, 6)
    before = transitions_of(model)
    optimizer = Adam(0.1, use_averages=True)
    for _ in range(3):
        step(model, docs)
        model.finish_update(optimizer)
    assert (transitions_of(model) != before).all()
    trained = transitions_of(model)
    join_transitions(model)
    assert_array_equal(model.get_param("transitions"), trained)
    assert model.param_names and transitions_of(model).shape == (6, 6)


@pytest.mark.usefixtures("eager_threads")
def test_threads_read_whole_transitions_while_labels_are_added(make_crf: MakeCRF) -> None:
    model, docs = make_crf(8)
    emissions = model.layers[0].predict(docs)
    other, _ = make_crf(8)
    expected = {N_LABELS: transitions_of(other)}
    for n_labels in range(N_LABELS + 1, 40):
        resize(other, n_labels)
        expected[n_labels] = transitions_of(other)
    path = best_path(model, emissions)[0].tolist()
    is_done = Event()

    def read() -> set[int]:
        seen = set()
        while not is_done.is_set():
            transitions = transitions_of(model)
            assert_array_equal(transitions, expected[len(transitions)])
            assert best_path(model, emissions)[0].tolist() == path
            seen.add(len(transitions))
        return seen

    with ThreadPoolExecutor(3) as pool:
        runs = [pool.submit(read) for _ in range(3)]
        try:
            for n_labels in range(N_LABELS + 1, 40):
                resize(model, n_labels)
                sleep(0.001)
        finally:
            is_done.set()
        assert len(set.union(*(run.result() for run in runs))) > 1
    assert_array_equal(transitions_of(model), expected[39])
