"""Tests of `crf.py`: the CRF as a layer of a Thinc model."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise, product
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
    constrain,
    emitter_of,
    is_crf,
    join_transitions,
    joins_labels,
    marginal_scores,
    pairs_of,
    transitions_of,
    with_crf,
)
from spacy_lstm_tagger.model.types import DocModel
from spacy_lstm_tagger.network import crf as training
from spacy_lstm_tagger.prediction.crf import log_marginals, viterbi

MakeCRF = Callable[..., tuple[DocModel, list[Doc]]]

N_LABELS = 4
# Whether a label can follow another: the boundary of a Doc, then O, B, I and B of another type, or
# O, B, I and L.
BIO = numpy.asarray(
    [
        [True, True, True, False, True],
        [True, True, True, False, True],
        [True, True, True, True, True],
        [True, True, True, True, True],
        [True, True, True, False, True],
    ]
)
BILOU = numpy.asarray(
    [
        [True, True, True, False, False],
        [True, True, True, False, False],
        [False, False, False, True, True],
        [False, False, False, True, True],
        [True, True, True, False, False],
    ]
)


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

        def resize(model: Model, n_labels: int, peers: Any = None) -> None:
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


def allowed(sequence: tuple[int, ...], pairs: numpy.ndarray) -> bool:
    """Return whether a whole Doc can have these labels."""
    path = [0, *(label + 1 for label in sequence), 0]
    return all(pairs[pair] for pair in pairwise(path))


def enumerate_doc(
    model: Model, emissions: numpy.ndarray, pairs: numpy.ndarray
) -> list[tuple[tuple[int, ...], float]]:
    """Return all sequences that a Doc can have and their probabilities, the best first."""
    transitions = model.get_param("transitions") if is_crf(model) else numpy.zeros((4, 4))
    scores = {
        sequence: sum(emissions[range(len(sequence)), sequence])
        + sum(transitions[pair] for pair in pairwise(sequence))
        for sequence in product(range(N_LABELS), repeat=len(emissions))
        if allowed(sequence, pairs)
    }
    total = numpy.logaddexp.reduce([float(score) for score in scores.values()])
    ranked = sorted(scores, key=lambda sequence: -scores[sequence])
    return [(sequence, numpy.exp(float(scores[sequence]) - total)) for sequence in ranked]


def marginals_of(sequences: list[tuple[tuple[int, ...], float]]) -> numpy.ndarray:
    marginals = numpy.zeros((len(sequences[0][0]), N_LABELS))
    for sequence, probability in sequences:
        marginals[range(len(sequence)), sequence] += probability
    return marginals


@pytest.mark.parametrize("pairs", [BIO, BILOU], ids=["bio", "bilou"])
@pytest.mark.parametrize("with_transitions", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_excluded_sequences_have_no_probability(
    make_crf, seed: int, with_transitions: bool, pairs: numpy.ndarray
) -> None:
    model, docs = make_crf(4, 0, 1, 3, 2, 5, seed=seed)
    emissions = model.layers[0].predict(docs)
    model = model if with_transitions else model.layers[0]
    constrain(model, pairs)
    assert joins_labels(model)
    paths, scores = best_path(model, emissions), marginal_scores(model, emissions)
    for i in (0, 2, 3, 4, 5):
        expected = enumerate_doc(model, emissions[i], pairs)
        assert tuple(paths[i]) == expected[0][0]
        assert_allclose(softmax(scores[i]), marginals_of(expected), atol=1e-5)
        n = min(10, len(expected))
        best = best_paths(model, emissions[i], n)
        assert [tuple(labels) for labels, _ in best] == [labels for labels, _ in expected[:n]]
        assert_allclose(
            numpy.exp([log for _, log in best]), [p for _, p in expected[:n]], rtol=1e-3
        )
    assert len(paths[1]) == 0


@pytest.mark.parametrize("pairs", [BIO, BILOU], ids=["bio", "bilou"])
@pytest.mark.parametrize("seed", range(4))
def test_training_gives_excluded_sequences_no_probability(
    make_crf, seed: int, pairs: numpy.ndarray
) -> None:
    model, docs = make_crf(4, 1, 3, 2, seed=seed)
    constrain(model, pairs)
    probabilities, backprop = model.begin_update(docs)
    for emissions, own in zip(model.layers[0].predict(docs), probabilities, strict=True):
        assert_allclose(own, marginals_of(enumerate_doc(model, emissions, pairs)), atol=1e-5)
    # Smoothed labels, which also expect something of what is excluded.
    backprop([own - numpy.full_like(own, 0.25) for own in probabilities])
    excluded = ~pairs[1:, 1:]
    gradient = model.get_grad("transitions")
    assert not gradient[excluded].any()
    assert gradient[~excluded].any()
    of_emissions = model.layers[0].attrs["gradients"]
    for own in of_emissions:
        assert numpy.isfinite(own).all()
        assert not own[0][~pairs[0, 1:]].any()
        assert not own[-1][~pairs[1:, 0]].any()


@pytest.mark.parametrize("pairs", [BIO, BILOU], ids=["bio", "bilou"])
def test_gradients_of_a_constrained_crf_are_finite_differences(
    make_crf, pairs: numpy.ndarray
) -> None:
    """Of the product of the probabilities of the labels that smoothing expects and can be."""
    model, docs = make_crf(3, 2)
    constrain(model, pairs)
    random = numpy.random.default_rng(1)
    wanted = [random.dirichlet(numpy.ones(N_LABELS), len(doc)).astype("f") for doc in docs]

    def loss() -> float:
        probabilities, _ = model.begin_update(docs)
        return -sum(
            float((right * numpy.log(own, where=own > 0, out=numpy.zeros_like(own))).sum())
            for own, right in zip(probabilities, wanted, strict=True)
        )

    probabilities, backprop = model.begin_update(docs)
    backprop([own - right for own, right in zip(probabilities, wanted, strict=True)])
    gradient, transitions = model.get_grad("transitions"), model.get_param("transitions")
    step = 1e-2
    for i, j in product(range(N_LABELS), repeat=2):
        losses = []
        for change in (step, -step):
            changed = transitions.copy()
            changed[i, j] += change
            model.set_param("transitions", changed)
            losses.append(loss())
        assert gradient[i, j] == pytest.approx((losses[0] - losses[1]) / (2 * step), abs=5e-3)


def test_a_window_of_training_can_begin_inside_a_span(make_crf) -> None:
    model, docs = make_crf(90)
    constrain(model, BIO)
    (probabilities,), _ = model.begin_update(docs)
    assert probabilities[0, 2] == 0
    assert (probabilities[1:, 2] > 0).all()


@pytest.mark.parametrize("with_transitions", [True, False])
def test_constraints_are_copied_and_saved(make_crf, with_transitions: bool) -> None:
    model, _ = make_crf(6)
    other, _ = make_crf(6)
    if not with_transitions:
        model, other = model.layers[0], other.layers[0]
    assert pairs_of(model) is None
    constrain(model, BIO)
    assert_array_equal(pairs_of(model.copy()), BIO)
    assert_array_equal(pairs_of(other.from_bytes(model.to_bytes())), BIO)
    constrain(model, None)
    assert not joins_labels(model.layers[0] if with_transitions else model)


def test_labels_to_come_can_be_constrained_before_they_are_added(make_crf) -> None:
    model, docs = make_crf(6)
    emissions = model.layers[0].predict(docs)
    constrain(model, BIO)
    expected = best_path(model, emissions)[0].tolist()
    larger = numpy.ones((8, 8), dtype=bool)
    larger[:5, :5] = BIO
    constrain(model, larger)
    assert best_path(model, emissions)[0].tolist() == expected
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


def test_new_labels_are_the_mean_of_their_peers(make_crf: MakeCRF) -> None:
    """B and I of a new type, next to O, B, I and B of another type: its peers are 1 and 2."""
    model, _ = make_crf(6)
    old = transitions_of(model).copy()
    model.attrs["resize_output"](model, 6, [[1], [2]])
    new = transitions_of(model)
    assert_array_equal(new[:4, :4], old)
    assert_array_equal(new[4:], new[1:3])
    assert_array_equal(new[:, 4:], new[:, 1:3])
    model.attrs["resize_output"](model, 7, [[1, 3]])
    assert_allclose(transitions_of(model)[6, :6], new[[1, 3]].mean(axis=0))
    assert transitions_of(model)[6, 6] == pytest.approx((new[1, 1] + new[3, 3]) / 2)
