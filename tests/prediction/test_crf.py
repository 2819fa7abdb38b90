"""Tests of `crf.py`: against enumeration of all sequences, and against pytorch-crf."""

from itertools import product
from typing import Any

import numpy
import pytest
import torch
from numpy.testing import assert_allclose

from spacy_lstm_tagger.prediction import crf as crf_module
from spacy_lstm_tagger.prediction.crf import k_best, log_marginals, viterbi
from spacy_lstm_tagger.prediction.types import Floats1d, Floats2d, Ints1d, Ints2d

INFINITY = float("inf")
LENGTHS = [[1], [2], [4], [3, 1, 5], [5, 5, 5], [1, 1], [2, 4, 3, 1, 5, 2]]
CHAINS = list(product(LENGTHS, [1, 2, 3, 4]))


def random_chain(
    lengths: list[int], n_labels: int, seed: int = 0
) -> tuple[Floats2d, Ints1d, Floats2d]:
    random = numpy.random.default_rng(seed)
    emissions: Any = 3 * random.normal(size=(sum(lengths), n_labels))
    transitions: Any = 2 * random.normal(size=(n_labels, n_labels))
    return emissions, numpy.asarray(lengths), transitions


def softmax(scores: Floats2d, axis: int = -1) -> Floats2d:
    exponentials = numpy.exp(scores - scores.max(axis=axis, keepdims=True))
    return exponentials / exponentials.sum(axis=axis, keepdims=True)


def enumerate_sequences(emissions: Floats2d, transitions: Floats2d) -> tuple[Ints2d, Floats1d]:
    """Return (sequences, positions) all sequences of labels, and (sequences,) probabilities."""
    n_positions, n_labels = emissions.shape
    sequences = numpy.asarray(list(product(range(n_labels), repeat=n_positions)))
    scores = emissions[numpy.arange(n_positions), sequences].sum(1)
    scores += transitions[sequences[:, :-1], sequences[:, 1:]].sum(1)
    return sequences, softmax(scores)


def sequences_of(emissions: Floats2d, lengths: Ints1d) -> list[Floats2d]:
    return numpy.split(emissions, lengths.cumsum()[:-1])


def enumerate_marginals(emissions: Floats2d, transitions: Floats2d) -> Floats2d:
    """Return (positions, labels) the probabilities of the labels of one sequence."""
    sequences, probabilities = enumerate_sequences(emissions, transitions)
    has_label = sequences[:, :, None] == numpy.arange(emissions.shape[1])
    return (has_label * probabilities[:, None, None]).sum(axis=0)


def enumerate_best(emissions: Floats2d, transitions: Floats2d) -> list[int]:
    """Return the labels of the best sequence."""
    sequences, probabilities = enumerate_sequences(emissions, transitions)
    return sequences[probabilities.argmax()].tolist()


@pytest.mark.parametrize(("lengths", "n_labels"), CHAINS)
@pytest.mark.parametrize("seed", range(3))
def test_marginals_are_sums_over_all_sequences(
    lengths: list[int], n_labels: int, seed: int
) -> None:
    emissions, sizes, transitions = random_chain(lengths, n_labels, seed)
    parts = sequences_of(emissions, sizes)
    expected = [enumerate_marginals(part, transitions) for part in parts]
    marginals = softmax(log_marginals(emissions, sizes, transitions))
    assert_allclose(marginals, numpy.concatenate(expected))


@pytest.mark.parametrize(("lengths", "n_labels"), CHAINS)
@pytest.mark.parametrize("seed", range(3))
def test_best_labels_form_the_best_sequence(lengths: list[int], n_labels: int, seed: int) -> None:
    emissions, sizes, transitions = random_chain(lengths, n_labels, seed)
    expected = [enumerate_best(part, transitions) for part in sequences_of(emissions, sizes)]
    best = viterbi(emissions, sizes, transitions)
    assert best.tolist() == [label for labels in expected for label in labels]


@pytest.mark.parametrize("n_positions", [1, 2, 4])
@pytest.mark.parametrize("n_labels", [1, 2, 4])
@pytest.mark.parametrize("seed", range(3))
def test_k_best_sequences_are_the_best_of_all(n_positions: int, n_labels: int, seed: int) -> None:
    emissions, _, transitions = random_chain([n_positions], n_labels, seed)
    labels, probabilities = enumerate_sequences(emissions, transitions)
    ranks = numpy.argsort(-probabilities)
    for k in {1, min(3, len(labels)), len(labels)}:
        sequences, logs = k_best(emissions, transitions, k)
        assert sequences.tolist() == labels[ranks[:k]].tolist()
        assert_allclose(numpy.exp(logs), probabilities[ranks[:k]])


@pytest.mark.parametrize("scale", [1.0, 200.0])
@pytest.mark.parametrize("seed", range(5))
def test_excluded_labels_are_never_chosen(seed: int, scale: float) -> None:
    emissions, sizes, transitions = random_chain([4, 2, 3], 4, seed)
    excluded = numpy.random.default_rng(seed).random(emissions.shape) < 0.5
    excluded[range(len(emissions)), emissions.argmax(1)] = False
    masked = numpy.where(excluded, -INFINITY, emissions)
    transitions *= scale
    scores = log_marginals(masked, sizes, transitions)
    assert (scores[excluded] == -INFINITY).all()
    assert numpy.isfinite(scores[~excluded]).all()
    best = viterbi(masked, sizes, transitions)
    parts = (sequences_of(array, sizes) for array in (masked, scores, best))
    for sequence, own, labels in zip(*parts, strict=True):
        assert labels.tolist() == enumerate_best(sequence, transitions)
        assert_allclose(softmax(own), enumerate_marginals(sequence, transitions), atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", [1.0, 30.0, 200.0])
@pytest.mark.parametrize("seed", range(8))
def test_excluded_transitions_are_never_made(seed: int, scale: float, dtype: Any) -> None:
    emissions, sizes, transitions = random_chain([4, 2, 3, 1], 4, seed)
    emissions *= scale
    random = numpy.random.default_rng(seed)
    transitions[random.random(transitions.shape) < 0.5] = -INFINITY
    transitions[:, 0] = random.normal(size=4)  # so there is a way from each label
    given = emissions.astype(dtype), sizes, transitions.astype(dtype)
    parts = sequences_of(emissions, sizes)
    expected = numpy.concatenate([enumerate_marginals(part, transitions) for part in parts])
    with numpy.errstate(all="raise", under="ignore"):
        marginals = softmax(log_marginals(*given))
    assert_allclose(marginals, expected, atol=1e-4)
    best = [label for part in parts for label in enumerate_best(part, transitions)]
    assert viterbi(*given).tolist() == best


def test_a_label_is_possible_however_unlikely_all_labels_before_it_are() -> None:
    """Only label 1, which is very unlikely, can come before label 2, which is very likely."""
    emissions = numpy.asarray([[0, -150, 0], [-300, -300, 0]], dtype="float32")
    transitions = numpy.asarray([[0, 0, -INFINITY], [0, 0, 0], [0, 0, -INFINITY]], dtype="float32")
    sizes = numpy.asarray([2])
    marginals = softmax(log_marginals(emissions, sizes, transitions))
    assert_allclose(marginals, [[0, 1, 0], [0, 0, 1]], atol=1e-6)
    assert viterbi(emissions, sizes, transitions).tolist() == [1, 2]


def test_k_best_makes_no_excluded_transition() -> None:
    emissions, _, transitions = random_chain([4], 3)
    transitions[0, 1] = transitions[2, 2] = -INFINITY
    labels, probabilities = enumerate_sequences(emissions, transitions)
    n_valid = int((probabilities > 0).sum())
    sequences, logs = k_best(emissions, transitions, n_valid)
    assert sequences.tolist() == labels[numpy.argsort(-probabilities)[:n_valid]].tolist()
    assert numpy.exp(logs).sum() == pytest.approx(1)


def test_k_best_sequences_have_no_excluded_labels() -> None:
    emissions, _, transitions = random_chain([3], 3)
    emissions[1, :2] = -INFINITY
    sequences, logs = k_best(emissions, transitions, 9)
    assert (sequences[:, 1] == 2).all()
    assert len(set(map(tuple, sequences.tolist()))) == 9
    assert numpy.exp(logs).sum() == pytest.approx(1)


@pytest.mark.parametrize("score", [log_marginals, viterbi])
def test_a_sequence_has_the_same_scores_in_any_batch(score: Any) -> None:
    emissions, sizes, transitions = random_chain([30, 2, 17, 1, 30, 5, 300], 5)
    together = score(emissions, sizes, transitions)
    alone = [
        score(sequence, numpy.asarray([len(sequence)]), transitions)
        for sequence in sequences_of(emissions, sizes)
    ]
    assert_allclose(together, numpy.concatenate(alone))


def test_without_transitions_marginals_are_a_softmax() -> None:
    emissions, sizes, transitions = random_chain([3, 6], 4)
    marginals = log_marginals(emissions, sizes, numpy.zeros_like(transitions))
    assert_allclose(softmax(marginals), softmax(emissions))


def test_steps_computed_in_parts_equal_whole_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    emissions, sizes, transitions = random_chain([6] * 7, 4)
    transitions *= 1000
    expected = [score(emissions, sizes, transitions) for score in (log_marginals, viterbi)]
    monkeypatch.setattr(crf_module, "MAX_PAIRS", 100)
    found = [score(emissions, sizes, transitions) for score in (log_marginals, viterbi)]
    assert all((own == whole).all() for own, whole in zip(found, expected, strict=True))


@pytest.mark.parametrize("scale", [1.0, 40.0])
def test_single_precision_is_enough_for_long_sequences(scale: float) -> None:
    emissions, sizes, transitions = random_chain([400], 6)
    expected = softmax(log_marginals(scale * emissions, sizes, transitions))
    single = [(scale * emissions).astype("float32"), sizes, transitions.astype("float32")]
    assert_allclose(softmax(log_marginals(*single)), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("constant", [-300.0, 90.0, 300.0])
def test_transitions_can_be_large(constant: float) -> None:
    emissions, sizes, transitions = random_chain([4, 3], 3)
    expected = softmax(log_marginals(emissions, sizes, transitions))
    for dtype in ("float32", "float64"):
        single = [emissions.astype(dtype), sizes, (transitions + constant).astype(dtype)]
        assert_allclose(softmax(log_marginals(*single)), expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", [10.0, 40.0, 60.0, 200.0])
@pytest.mark.parametrize("seed", range(5))
def test_transitions_can_be_far_apart(seed: int, scale: float, dtype: Any) -> None:
    emissions, sizes, _ = random_chain([5, 1, 3], 3, seed)
    emissions *= 20
    transitions = numpy.random.default_rng(seed).uniform(-scale, scale, size=(3, 3))
    parts = sequences_of(emissions, sizes)
    given = emissions.astype(dtype), sizes, transitions.astype(dtype)
    expected = numpy.concatenate([enumerate_marginals(part, transitions) for part in parts])
    assert_allclose(softmax(log_marginals(*given)), expected, atol=1e-4)
    best = [label for part in parts for label in enumerate_best(part, transitions)]
    assert viterbi(*given).tolist() == best


@pytest.mark.parametrize("length", [1000, 3000])
def test_the_first_token_can_decide_a_long_sequence(length: int) -> None:
    emissions, transitions = numpy.zeros((length, 3), "float32"), numpy.eye(3, dtype="float32")
    emissions[0, 2] = 0.5
    sizes, sticky = numpy.asarray([length]), 1000 * transitions
    assert viterbi(emissions, sizes, sticky).tolist() == [2] * length
    expected = numpy.broadcast_to(softmax(emissions[0]), emissions.shape)
    assert_allclose(softmax(log_marginals(emissions, sizes, sticky)), expected, rtol=1e-4)
    (best,), _ = k_best(emissions, sticky, 1)
    assert best.tolist() == [2] * length


@pytest.mark.filterwarnings("ignore:where received a uint8:UserWarning")  # pytorch-crf's own
@pytest.mark.parametrize("seed", range(5))
def test_pytorch_crf_finds_the_same_best_sequences_and_probabilities(seed: int) -> None:
    torchcrf = pytest.importorskip("torchcrf")
    lengths = [7, 3, 12, 1]
    emissions, sizes, transitions = random_chain(lengths, 5, seed)
    peer = torchcrf.CRF(5, batch_first=True).double()
    with torch.no_grad():
        peer.transitions.copy_(torch.from_numpy(transitions))
        peer.start_transitions.zero_()
        peer.end_transitions.zero_()
    parts = [torch.from_numpy(part) for part in sequences_of(emissions, sizes)]
    batch = torch.nn.utils.rnn.pad_sequence(parts, batch_first=True)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    best = sequences_of(viterbi(emissions, sizes, transitions), sizes)
    assert [labels.tolist() for labels in best] == peer.decode(batch, mask)
    for part in parts:
        (labels, *_), (log, *_) = k_best(part.numpy(), transitions, 2 if len(part) > 1 else 1)
        expected = peer(part[None], torch.from_numpy(labels)[None]).item()
        assert log == pytest.approx(expected)
