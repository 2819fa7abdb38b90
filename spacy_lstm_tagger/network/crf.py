"""Scores in, scores that know their neighbours out: a linear-chain CRF; pure PyTorch.

A sequence of labels y has the score sum_t emissions[t, y_t] + sum_t transitions[y_t, y_t+1], and
the probability exp(score) over the sum of that for all sequences (Lafferty et al. 2001). What
comes before a label and what comes after it each send a message about it, step by step; the label's
own score and the two messages together say all there is to know of it. Added up over the labels
before, messages make marginal probabilities (forward-backward); maximized, the best sequence
(Viterbi): one recursion, two uses. There are no labels for start and end, as a sequence may be a
window that was cut out of a text.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from .lstm import lay_out

LARGEST_STEP = 2**18  # pairs of labels compared at a time: more would leave the caches


def log_marginals(emissions: Tensor, lengths: Tensor, transitions: Tensor) -> Tensor:
    """Score each label by the sum over all sequences that have it.

    emissions: (positions, labels) sequences one after another; -inf for a label that is excluded.
    lengths: (sequences,) at least one sequence, of at least one position each.
    transitions: (labels, labels) the score of going from the one to the other; finite.
    RETURNS: (positions, labels) the logarithm of the marginal probability of each label, plus a
        constant for each position.
    """
    exp_transitions = torch.stack((transitions, transitions.T)).exp()
    tiny = torch.finfo(emissions.dtype).tiny

    def add_up(scores: Tensor) -> Tensor:
        highest = scores.detach().amax(dim=-1, keepdim=True)  # a constant, which is left out
        return ((scores - highest).exp() @ exp_transitions).clamp(min=tiny).log()

    return _pass_messages(emissions, lengths, add_up)


def max_marginals(emissions: Tensor, lengths: Tensor, transitions: Tensor) -> Tensor:
    """Score each label by the best sequence that has it: the best label of each position is that
    of the best sequence (unless two sequences are equally good).

    Arguments as those of `log_marginals`.
    RETURNS: (positions, labels) the score of that sequence, plus a constant for each position.
    """
    both = torch.stack((transitions, transitions.T))[:, None]
    n_columns = max(1, LARGEST_STEP // both.numel())

    def maximize(scores: Tensor) -> Tensor:
        scores = scores - scores.amax(dim=-1, keepdim=True)
        parts = scores.split(n_columns, dim=1)
        messages = [(part[..., None] + both).amax(dim=-2) for part in parts]
        return torch.cat(messages, dim=1) if len(messages) > 1 else messages[0]

    return _pass_messages(emissions, lengths, maximize)


def _pass_messages(emissions: Tensor, lengths: Tensor, carry: Callable[[Tensor], Tensor]) -> Tensor:
    """Return the emissions and the messages from both sides, added up: (positions, labels).

    carry: Takes (2, sequences, labels) scores, those of all before and all after a step, and
        returns the messages to the next step.
    """
    layout = lay_out(lengths, 2)
    cells = []
    for grids in zip(*layout.grids, strict=True):
        grid = torch.stack(grids, dim=1)  # (steps, 2, sequences)
        scores = emissions.index_select(0, grid.flatten()).view(*grid.shape, -1)
        messages = [torch.zeros_like(scores[0])]
        for step in scores[:-1]:
            messages.append(carry(step + messages[-1]))
        cells.append(torch.stack(messages, dim=1).flatten(1, 2))  # (2, cells, labels)
    before, after = torch.cat(cells, dim=1)
    return emissions + before[layout.cells[0]] + after[layout.cells[1]]


def k_best(emissions: Tensor, transitions: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Find the best sequences of labels, by Viterbi's recursion with k candidates for each label.

    emissions: (positions, labels) one sequence, of at least one position; -inf for a label that
        is excluded.
    transitions: (labels, labels) as those of `log_marginals`.
    k: How many sequences to find; no more than there are.
    RETURNS: (k, positions) the sequences, the best first; (k,) the logarithms of their
        probabilities.
    """
    scores = emissions[:1].T  # (labels, candidates)
    logs = emissions[0]
    steps = []
    for step in emissions[1:]:
        logs = (logs[:, None] + transitions).logsumexp(dim=0) + step
        paths = scores[:, :, None] + transitions[:, None]  # (from, candidates, to)
        best, chosen = paths.flatten(0, 1).topk(min(k, paths[..., 0].numel()), dim=0)
        steps.append((chosen // scores.shape[1], chosen % scores.shape[1]))
        scores = (best + step).T
    best, chosen = scores.flatten().topk(k)
    labels, candidates = chosen // scores.shape[1], chosen % scores.shape[1]
    sequences = [labels]
    for origins, ranks in reversed(steps):
        labels, candidates = origins[candidates, labels], ranks[candidates, labels]
        sequences.append(labels)
    return torch.stack(sequences[::-1], dim=1), best - logs.logsumexp(dim=0)
