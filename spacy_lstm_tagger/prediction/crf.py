"""Scores in, scores that know their neighbours out: a linear-chain CRF; NumPy alone.

A sequence of labels y has the score sum_t emissions[t, y_t] + sum_t transitions[y_t, y_t+1], and
the probability exp(score) over the sum of that for all sequences (Lafferty et al. 2001). What
comes before a label and what comes after it each send a message about it, step by step; the label's
own score and the two messages together say all there is to know of it. Added up over the labels
before, messages make marginal probabilities (forward-backward); maximized, the best sequence
(Viterbi): one recursion, two uses. There are no labels for start and end, as a sequence may be a
window that was cut out of a text.
"""

from collections.abc import Callable
from itertools import pairwise

import numpy

from .blas import one_thread
from .inputs import Floats2d, Floats3d, Ints1d, Ints2d
from .recurrence import schedule

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
    tiny = numpy.finfo(emissions.dtype).tiny

    def add_up(scores: Floats3d) -> Floats3d:
        highest = scores.max(axis=-1, keepdims=True)
        return numpy.log(numpy.maximum(numpy.exp(scores - highest) @ exp_transitions, tiny))

    with one_thread:
        return _pass_messages(emissions, lengths, add_up)


def max_marginals(emissions: Floats2d, lengths: Ints1d, transitions: Floats2d) -> Floats2d:
    """Score each label by the best sequence that has it: the best label of each position is that
    of the best sequence (unless two sequences are equally good).

    Arguments as those of `log_marginals`.
    RETURNS (Floats2d): (positions, labels) the score of that sequence, plus a constant for each
        position.
    """
    # (directions, 1, to, from)
    both = numpy.ascontiguousarray(numpy.stack((transitions.T, transitions)))[:, None]
    n_columns = max(1, LARGEST_STEP // both.size)

    def maximize(scores: Floats3d) -> Floats3d:
        scores = scores - scores.max(axis=-1, keepdims=True)
        messages = numpy.empty_like(scores)
        for begin in range(0, scores.shape[1], n_columns):
            some = slice(begin, begin + n_columns)
            numpy.max(scores[:, some, None] + both, axis=-1, out=messages[:, some])
        return messages

    return _pass_messages(emissions, lengths, maximize)


def _pass_messages(
    emissions: Floats2d, lengths: Ints1d, carry: Callable[[Floats3d], Floats3d]
) -> Floats2d:
    """Return the emissions and the messages from both sides, added up: (positions, labels).

    carry: Takes (2, sequences, labels) scores, those of all before and all after a step, and
        returns the messages to the next step.
    """
    columns, positions, cells = schedule(lengths, 2)
    messages = numpy.zeros((2, *emissions.shape), dtype=emissions.dtype)
    begin = 0
    for n_here, n_next in pairwise(columns):
        end = begin + n_here
        going_on = slice(begin, begin + n_next)
        scores = emissions[positions[:, going_on]] + messages[:, going_on]
        messages[:, end : end + n_next] = carry(scores)
        begin = end
    before, after = messages
    return emissions + before[cells[0]] + after[cells[1]]


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
        logs = _log_sum(logs[:, None] + transitions) + step
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
    return numpy.stack(sequences[::-1], axis=1), best - _log_sum(logs[:, None])


def _highest(scores: Floats2d, k: int) -> Ints2d:
    """Return (k, columns): the indices of the k highest scores of each column, or of all."""
    if k < len(scores):
        some = numpy.argpartition(-scores, k - 1, axis=0)[:k]
    else:
        some = numpy.broadcast_to(numpy.arange(len(scores))[:, None], scores.shape)
    order = numpy.argsort(-numpy.take_along_axis(scores, some, axis=0), axis=0, kind="stable")
    return numpy.take_along_axis(some, order, axis=0)


def _log_sum(scores: Floats2d) -> Floats2d:
    """Return the logarithm of the sum of exponentials of each column."""
    highest = scores.max(axis=0)
    with numpy.errstate(invalid="ignore", divide="ignore"):
        shift = numpy.where(numpy.isfinite(highest), highest, 0)
        return numpy.log(numpy.exp(scores - shift).sum(axis=0)) + shift
