"""Scores in, scores that know their neighbours out: a linear-chain CRF; NumPy alone.

A sequence of labels y has the score sum_t emissions[t, y_t] + sum_t transitions[y_t, y_t+1], and
the probability exp(score) over the sum of that for all sequences (Lafferty et al. 2001). What
comes before a label and what comes after it each send a message about it, step by step; the label's
own score and the two messages together say all there is to know of it. Added up over the labels
before, messages make marginal probabilities (forward-backward); maximized, the best sequence
(Viterbi): one recursion, two uses. There are no labels for start and end, as a sequence may be a
window that was cut out of a text, in training.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy
from numpy.typing import DTypeLike, NDArray

from .blas import one_thread
from .inputs import Floats2d, Floats3d, Ints1d, Ints2d
from .recurrence import Schedule, schedule

LARGEST_STEP = 2**18  # pairs of labels compared at a time: more would leave the caches


def log_marginals(emissions: Floats2d, lengths: Ints1d, transitions: Floats2d) -> Floats2d:
    """Score each label by the sum over all sequences that have it.

    emissions (Floats2d): (positions, labels) sequences one after another; -inf for a label that is
        excluded.
    lengths (Ints1d): (sequences,) at least one sequence, of at least one position each.
    transitions (Floats2d): (labels, labels) the score of going from the one to the other; finite.
    RETURNS (Floats2d): (positions, labels) the logarithm of the marginal probability of each label,
        plus a constant for each position.
    """
    both = numpy.stack((transitions, transitions.T))
    exp_transitions = numpy.exp(both - both.max())

    def add_up(scores: Floats3d) -> Floats3d:
        return numpy.log(numpy.exp(scores) @ exp_transitions)

    is_narrow = both.max() - both.min() < widest_spread(emissions.dtype)
    carry = add_up if is_narrow else _pair_by_pair(both, _log_sum)
    order = schedule(lengths, 2)
    with one_thread:
        messages = _pass_messages(emissions, order, carry)
    before, after = messages
    marginals = before[order.cells[0]]
    marginals += after[order.cells[1]]
    marginals += emissions
    return marginals


def widest_spread(dtype: DTypeLike) -> float:
    """Return how far apart transitions can be for their exponentials to be added up as they are:
    with more, the small ones among them would be lost.
    """
    numbers = numpy.finfo(dtype)
    return float(numpy.log(numbers.eps / numbers.tiny))


def viterbi(emissions: Floats2d, lengths: Ints1d, transitions: Floats2d) -> Ints1d:
    """Find the best sequence of labels of each sequence.

    Arguments as those of `log_marginals`.
    RETURNS (Ints1d): (positions,) the labels.
    """
    backwards = numpy.ascontiguousarray(transitions.T)
    order = schedule(lengths, 1)
    (messages,) = _pass_messages(emissions, order, _pair_by_pair(transitions[None], numpy.max))
    (positions,), (cells,) = order.positions, order.cells
    labels = numpy.empty(len(cells), dtype="int64")
    later, end = labels[:0], len(cells)
    for n_here in reversed(order.columns):
        begin = end - n_here
        scores = emissions[positions[begin:end]] + messages[begin:end]
        scores[: len(later)] += backwards[later]
        later = scores.argmax(axis=1, out=labels[begin:end])
        end = begin
    return labels[cells]


def _pair_by_pair(
    transitions: Floats3d, reduce: Callable[..., NDArray[Any]]
) -> Callable[[Floats3d], Floats3d]:
    """Return a function that takes scores a step further by looking at each pair of labels.

    transitions (Floats3d): (directions, from, to).
    reduce (Callable): Reduces an axis: `numpy.max` or `_log_sum`.
    """
    pairs = numpy.ascontiguousarray(transitions.swapaxes(1, 2))[:, None]  # (..., to, from)
    n_columns = max(1, LARGEST_STEP // pairs.size)

    def carry(scores: Floats3d) -> Floats3d:
        messages = numpy.empty_like(scores)
        for begin in range(0, scores.shape[1], n_columns):
            some = slice(begin, begin + n_columns)
            messages[:, some] = reduce(scores[:, some, None] + pairs, axis=-1)
        return messages

    return carry


def _pass_messages(
    emissions: Floats2d, order: Schedule, carry: Callable[[Floats3d], Floats3d]
) -> Floats3d:
    """Return (directions, cells, labels): what is known of each label before it is read.

    order: When each position is read.
    carry: Takes (directions, sequences, labels) scores of all that was read, 0 for the best label,
        and returns the messages to the next step.
    """
    messages = numpy.zeros((*order.positions.shape, emissions.shape[1]), dtype=emissions.dtype)
    begin = 0
    for n_here, n_next in pairwise(order.columns):
        end = begin + n_here
        going_on = slice(begin, begin + n_next)
        scores = emissions[order.positions[:, going_on]]
        scores += messages[:, going_on]
        scores -= scores.max(axis=-1, keepdims=True)
        messages[:, end : end + n_next] = carry(scores)
        begin = end
    return messages


def k_best(emissions: Floats2d, transitions: Floats2d, k: int) -> tuple[Ints2d, Floats2d]:
    """Find the best sequences of labels, by Viterbi's recursion with k candidates for each label.

    emissions (Floats2d): (positions, labels) one sequence, of at least one position; -inf for a
        label that is excluded.
    transitions (Floats2d): (labels, labels) as those of `log_marginals`.
    k (int): How many sequences to find; no more than there are.
    RETURNS (tuple[Ints2d, Floats1d]): (k, positions) the sequences, the best first; (k,) the
        logarithms of their probabilities.
    """
    scores = emissions[0][:, None]  # (labels, candidates)
    logs = emissions[0]
    steps = []
    for step in emissions[1:]:
        logs = _log_sum(logs[:, None] + transitions, axis=0) + step
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
    return numpy.stack(sequences[::-1], axis=1), best - _log_sum(logs, axis=0)


def _highest(scores: Floats2d, k: int) -> Ints2d:
    """Return (k, columns): the indices of the k highest scores of each column, or of all."""
    if k < len(scores):
        some = numpy.argpartition(-scores, k - 1, axis=0)[:k]
    else:
        some = numpy.broadcast_to(numpy.arange(len(scores))[:, None], scores.shape)
    order = numpy.argsort(-numpy.take_along_axis(scores, some, axis=0), axis=0, kind="stable")
    return numpy.take_along_axis(some, order, axis=0)


def _log_sum(scores: NDArray[Any], axis: int = -1) -> NDArray[Any]:
    """Return the logarithm of the sum of exponentials along an axis."""
    highest = scores.max(axis=axis, keepdims=True)
    with numpy.errstate(invalid="ignore", divide="ignore"):
        shift = numpy.where(numpy.isfinite(highest), highest, 0)
        return numpy.log(numpy.exp(scores - shift).sum(axis=axis)) + shift.squeeze(axis)
