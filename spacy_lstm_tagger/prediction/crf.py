"""A linear-chain CRF in NumPy: marginal probabilities, the best sequence, the k best sequences.

A sequence of labels y has the score sum_t emissions[t, y_t] + sum_t transitions[y_t, y_t+1]; its
probability is exp(score), divided by the sum of that over all sequences (Lafferty et al. 2001).
Messages pass over the sequence from both ends, label by label. Summing over the labels of a step
gives marginal probabilities (forward-backward); maximizing gives the best sequence (Viterbi). There
are no labels for start and end, since in training a sequence can be a window of a text.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy
from numpy.typing import NDArray

from .blas import one_thread
from .recurrence import Schedule, schedule
from .types import Ints1d, Ints2d

MAX_PAIRS = 2**18  # pairs of labels compared at a time: more would leave the processor's caches

Floats = NDArray[numpy.floating[Any]]  # float32 for a batch, float64 for the k best sequences


def log_marginals(emissions: Floats, lengths: Ints1d, transitions: Floats) -> Floats:
    """Score each label by the sum over all sequences that have it.

    emissions (Floats): (positions, labels) sequences one after another; -inf for a label that is
        excluded.
    lengths (Ints1d): (sequences,) at least one sequence, each of at least one position.
    transitions (Floats): (labels, labels) the score of going from one label to another; -inf for a
        pair that is excluded.
    RETURNS (Floats): (positions, labels) the logarithm of each label's marginal probability, plus
        a constant for each position.
    """
    step = _sum_step(numpy.stack((transitions, transitions.T)))
    order = schedule(lengths, 2)
    with one_thread:
        messages = _pass_messages(emissions, order, step)
    before, after = order.cells.T
    marginals = messages[before]
    marginals += messages[after]
    marginals += emissions
    return marginals


def viterbi(emissions: Floats, lengths: Ints1d, transitions: Floats) -> Ints1d:
    """Find the best sequence of labels for each sequence of positions.

    Arguments as for `log_marginals`.
    RETURNS (Ints1d): (positions,) the labels.
    """
    backwards = numpy.ascontiguousarray(transitions.T)
    order = schedule(lengths, 1)
    messages = _pass_messages(emissions, order, _pairwise_step(transitions[None], numpy.max))
    labels = numpy.empty(len(messages), dtype="int64")
    later, end = labels[:0], len(messages)
    for n_here in reversed(order.columns):
        begin = end - n_here
        scores = emissions[order.positions[begin:end]] + messages[begin:end]
        scores[: len(later)] += backwards[later]
        later = scores.argmax(axis=1, out=labels[begin:end])
        end = begin
    return labels[order.cells[:, 0]]


def _sum_step(transitions: Floats) -> Callable[[Floats], Floats]:
    """Return a step of message passing that sums over labels.

    transitions (Floats): (directions, from, to).
    """
    exp_transitions = numpy.exp(transitions - transitions.max())
    pairwise_step = _pairwise_step(transitions, _logsumexp)
    numbers = numpy.finfo(transitions.dtype)
    smallest = numbers.tiny / numbers.eps  # a lower sum can lack terms that were rounded to zero

    def step(scores: Floats) -> Floats:
        sums = numpy.exp(scores) @ exp_transitions
        low = (sums < smallest).any(axis=(0, 2))
        if not low.any():
            return numpy.log(sums)
        messages = numpy.log(numpy.maximum(sums, smallest))
        messages[:, low] = pairwise_step(scores[:, low])
        return messages

    return step


def _pairwise_step(
    transitions: Floats, reduce: Callable[..., NDArray[Any]]
) -> Callable[[Floats], Floats]:
    """Return a step of message passing that compares each pair of labels.

    transitions (Floats): (directions, from, to).
    reduce (Callable): Reduces an axis: `numpy.max` or `_logsumexp`.
    """
    pairs = numpy.ascontiguousarray(transitions.swapaxes(1, 2))[:, None]  # (..., to, from)
    n_columns = max(1, MAX_PAIRS // pairs.size)

    def step(scores: Floats) -> Floats:
        messages = numpy.empty_like(scores)
        for begin in range(0, scores.shape[1], n_columns):
            some = slice(begin, begin + n_columns)
            messages[:, some] = reduce(scores[:, some, None] + pairs, axis=-1)
        return messages

    return step


def _pass_messages(emissions: Floats, order: Schedule, step: Callable[[Floats], Floats]) -> Floats:
    """Return (cells, labels): the message that each label gets from all positions before its own,
    in the direction of reading.

    order: The order of computation.
    step: Takes (directions, sequences, labels) the scores of a step, at most 0, and returns the
        messages to the next step.
    """
    directions, n_labels = order.cells.shape[1], emissions.shape[1]
    messages = numpy.zeros((len(order.positions), n_labels), dtype=emissions.dtype)
    begin = 0
    for n_here, n_next in pairwise(order.columns):
        end = begin + directions * n_here
        cells = numpy.arange(begin, end).reshape(directions, n_here)[:, :n_next]
        scores = emissions[order.positions[cells]]
        scores += messages[cells]
        scores -= scores.max(axis=-1, keepdims=True)
        messages[end : end + directions * n_next] = step(scores).reshape(-1, n_labels)
        begin = end
    return messages


def k_best(emissions: Floats, transitions: Floats, k: int) -> tuple[Ints2d, Floats]:
    """Find the k best sequences of labels: Viterbi's recursion with k candidates for each label.

    emissions (Floats): (positions, labels) one sequence of at least one position; -inf for a label
        that is excluded.
    transitions (Floats): (labels, labels) as for `log_marginals`.
    k (int): Number of sequences, at most as many as there are.
    RETURNS (tuple[Ints2d, Floats]): (k, positions) the sequences, the best first; (k,) the
        logarithms of their probabilities.
    """
    scores = emissions[0][:, None]  # (labels, candidates)
    logs = emissions[0]
    steps = []
    for step in emissions[1:]:
        logs = _logsumexp(logs[:, None] + transitions, axis=0) + step
        paths = scores[:, :, None] + transitions[:, None]  # (from, candidates, to)
        chosen = _highest(paths.reshape(-1, len(step)), k)
        best = numpy.take_along_axis(paths.reshape(-1, len(step)), chosen, axis=0)
        steps.append(numpy.divmod(chosen, scores.shape[1]))
        scores = (best + step).T
    chosen = _highest(scores.reshape(-1, 1), k)[:, 0]
    best = scores.ravel()[chosen]
    labels, candidates = numpy.divmod(chosen, scores.shape[1])
    sequences = [labels]
    for origins, ranks in reversed(steps):
        labels, candidates = origins[candidates, labels], ranks[candidates, labels]
        sequences.append(labels)
    return numpy.stack(sequences[::-1], axis=1), best - _logsumexp(logs, axis=0)


def _highest(scores: Floats, k: int) -> Ints2d:
    """Return (k, columns): the indices of the k highest scores of each column, or of all."""
    if k < len(scores):
        some = numpy.argpartition(-scores, k - 1, axis=0)[:k]
    else:
        some = numpy.broadcast_to(numpy.arange(len(scores))[:, None], scores.shape)
    order = numpy.argsort(-numpy.take_along_axis(scores, some, axis=0), axis=0, kind="stable")
    return numpy.take_along_axis(some, order, axis=0)


def _logsumexp(scores: Floats, axis: int = -1) -> Floats:
    """Return the logarithm of the sum of exponentials along an axis."""
    highest = scores.max(axis=axis, keepdims=True)
    with numpy.errstate(invalid="ignore", divide="ignore"):
        shift = numpy.where(numpy.isfinite(highest), highest, 0)
        return numpy.log(numpy.exp(scores - shift).sum(axis=axis)) + shift.squeeze(axis)
