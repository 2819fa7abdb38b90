"""Tests of `crf.py`: against enumeration of all sequences, and against pytorch-crf."""

from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from spacy_lstm_tagger.network import crf as crf_module
from spacy_lstm_tagger.network.crf import k_best, log_marginals, max_marginals

torchcrf = pytest.importorskip("torchcrf")
INFINITY = float("inf")
LENGTHS = [[1], [2], [4], [3, 1, 5], [5, 5, 5], [1, 1], [2, 4, 3, 1, 5, 2]]
CHAINS = list(product(LENGTHS, [1, 2, 3, 4]))


def random_chain(
    lengths: list[int], n_labels: int, seed: int = 0, dtype: Any = torch.float64
) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    emissions = 3 * torch.randn(sum(lengths), n_labels, generator=generator, dtype=dtype)
    transitions = 2 * torch.randn(n_labels, n_labels, generator=generator, dtype=dtype)
    return emissions, torch.tensor(lengths), transitions


def enumerate_sequences(emissions: Tensor, transitions: Tensor) -> tuple[Tensor, Tensor]:
    """Return (sequences, positions) all sequences of labels, and (sequences,) probabilities."""
    n_positions, n_labels = emissions.shape
    sequences = torch.tensor(list(product(range(n_labels), repeat=n_positions)))
    scores = emissions[torch.arange(n_positions), sequences].sum(1)
    scores += transitions[sequences[:, :-1], sequences[:, 1:]].sum(1)
    return sequences, scores.softmax(0)


def sequences_of(emissions: Tensor, lengths: Tensor) -> list[Tensor]:
    return list(emissions.split(lengths.tolist()))


def enumerate_marginals(emissions: Tensor, transitions: Tensor) -> Tensor:
    """Return (positions, labels) the probabilities of the labels of one sequence."""
    labels, probabilities = enumerate_sequences(emissions, transitions)
    has_label = torch.nn.functional.one_hot(labels, emissions.shape[1]).double()
    return torch.einsum("spl,s->pl", has_label, probabilities)


def enumerate_best(emissions: Tensor, transitions: Tensor) -> Tensor:
    """Return (positions,) the labels of the best sequence."""
    labels, probabilities = enumerate_sequences(emissions, transitions)
    return labels[probabilities.argmax()]


@pytest.mark.parametrize(("lengths", "n_labels"), CHAINS)
@pytest.mark.parametrize("seed", range(3))
def test_marginals_are_sums_over_all_sequences(
    lengths: list[int], n_labels: int, seed: int
) -> None:
    emissions, lengths, transitions = random_chain(lengths, n_labels, seed)
    parts = sequences_of(emissions, lengths)
    expected = [enumerate_marginals(part, transitions) for part in parts]
    marginals = log_marginals(emissions, lengths, transitions).softmax(1)
    assert_close(marginals, torch.cat(expected))


@pytest.mark.parametrize(("lengths", "n_labels"), CHAINS)
@pytest.mark.parametrize("seed", range(3))
def test_best_labels_are_those_of_the_best_sequence(
    lengths: list[int], n_labels: int, seed: int
) -> None:
    emissions, lengths, transitions = random_chain(lengths, n_labels, seed)
    parts = sequences_of(emissions, lengths)
    expected = [enumerate_best(part, transitions) for part in parts]
    best = max_marginals(emissions, lengths, transitions).argmax(1)
    assert best.tolist() == torch.cat(expected).tolist()


@pytest.mark.parametrize("n_positions", [1, 2, 4])
@pytest.mark.parametrize("n_labels", [1, 2, 4])
@pytest.mark.parametrize("seed", range(3))
def test_k_best_sequences_are_the_first_of_all(n_positions: int, n_labels: int, seed: int) -> None:
    emissions, _, transitions = random_chain([n_positions], n_labels, seed)
    labels, probabilities = enumerate_sequences(emissions, transitions)
    ranks = probabilities.argsort(descending=True)
    for k in {1, min(3, len(labels)), len(labels)}:
        sequences, logs = k_best(emissions, transitions, k)
        assert sequences.tolist() == labels[ranks[:k]].tolist()
        assert_close(logs.exp(), probabilities[ranks[:k]])


@pytest.mark.parametrize("score", [log_marginals, max_marginals])
@pytest.mark.parametrize("seed", range(5))
def test_excluded_labels_are_as_if_they_were_not_there(score: Any, seed: int) -> None:
    emissions, lengths, transitions = random_chain([4, 2, 3], 4, seed)
    random = torch.Generator().manual_seed(seed)
    excluded = torch.rand(emissions.shape, generator=random) < 0.5
    excluded[range(len(emissions)), emissions.argmax(1)] = False
    masked = emissions.masked_fill(excluded, -INFINITY)
    scores = score(masked, lengths, transitions)
    assert (scores[excluded] == -INFINITY).all()
    assert scores[~excluded].isfinite().all()
    for sequence, own in zip(
        sequences_of(masked, lengths), scores.split(lengths.tolist()), strict=True
    ):
        if score is max_marginals:
            assert own.argmax(1).tolist() == enumerate_best(sequence, transitions).tolist()
        else:
            assert_close(own.softmax(1), enumerate_marginals(sequence, transitions))


def test_k_best_keeps_to_labels_that_are_not_excluded() -> None:
    emissions, _, transitions = random_chain([3], 3)
    emissions[1, :2] = -INFINITY
    sequences, logs = k_best(emissions, transitions, 9)
    assert (sequences[:, 1] == 2).all()
    assert len(set(map(tuple, sequences.tolist()))) == 9
    assert_close(logs.exp().sum(), torch.tensor(1.0, dtype=torch.float64))


@pytest.mark.parametrize("score", [log_marginals, max_marginals])
def test_a_sequence_has_the_same_scores_in_any_batch(score: Any) -> None:
    emissions, lengths, transitions = random_chain([30, 2, 17, 1, 30, 5, 300], 5)
    together = score(emissions, lengths, transitions)
    alone = [
        score(sequence, torch.tensor([len(sequence)]), transitions)
        for sequence in sequences_of(emissions, lengths)
    ]
    assert_close(together, torch.cat(alone))


def test_without_transitions_marginals_are_a_softmax() -> None:
    emissions, lengths, transitions = random_chain([3, 6], 4)
    marginals = log_marginals(emissions, lengths, torch.zeros_like(transitions))
    assert_close(marginals.softmax(1), emissions.softmax(1))


def test_steps_in_parts_are_whole_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    emissions, lengths, transitions = random_chain([6] * 7, 4)
    whole = max_marginals(emissions, lengths, transitions)
    monkeypatch.setattr(crf_module, "LARGEST_STEP", 100)
    assert_close(max_marginals(emissions, lengths, transitions), whole, rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1.0, 40.0])
def test_single_precision_is_enough_for_long_sequences(dtype: Any, scale: float) -> None:
    emissions, lengths, transitions = random_chain([400], 6)
    expected = log_marginals(scale * emissions, lengths, transitions).softmax(1)
    emissions, transitions = (scale * emissions).to(dtype), transitions.to(dtype)
    marginals = log_marginals(emissions, lengths, transitions).softmax(1)
    assert_close(marginals.double(), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("lengths", [[1], [4], [3, 1, 2]])
def test_gradients_are_those_of_finite_differences(lengths: list[int]) -> None:
    emissions, lengths, transitions = random_chain(lengths, 3)

    def probabilities(emissions: Tensor, transitions: Tensor) -> Tensor:
        return log_marginals(emissions, lengths, transitions).softmax(1)

    inputs = emissions.requires_grad_(), transitions.requires_grad_()
    assert torch.autograd.gradcheck(probabilities, inputs)


@pytest.mark.filterwarnings("ignore:where received a uint8:UserWarning")  # pytorch-crf's own
@pytest.mark.parametrize("seed", range(5))
def test_pytorch_crf_finds_the_same_best_sequences_and_probabilities(seed: int) -> None:
    lengths = [7, 3, 12, 1]
    emissions, sizes, transitions = random_chain(lengths, 5, seed)
    peer = torchcrf.CRF(5, batch_first=True).double()
    with torch.no_grad():
        peer.transitions.copy_(transitions)
        peer.start_transitions.zero_()
        peer.end_transitions.zero_()
    parts = sequences_of(emissions, sizes)
    batch = torch.nn.utils.rnn.pad_sequence(parts, batch_first=True)
    mask = torch.arange(max(lengths)) < sizes[:, None]
    best = max_marginals(emissions, sizes, transitions).argmax(1).split(lengths)
    assert [labels.tolist() for labels in best] == peer.decode(batch, mask)
    for part in parts:
        (labels, *_), (log, *_) = k_best(part, transitions, 2 if len(part) > 1 else 1)
        assert_close(log, peer(part[None], labels[None])[()].detach())
