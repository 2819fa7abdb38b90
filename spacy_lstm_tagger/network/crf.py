"""Marginal probabilities of a linear-chain CRF in PyTorch, for training.

See `prediction/crf.py` for the definition.
"""

import torch
from torch import Tensor

from .lstm import lay_out


def log_marginals(emissions: Tensor, lengths: Tensor, transitions: Tensor) -> Tensor:
    """Score each label by the sum over all sequences that have it.

    emissions: (positions, labels) sequences one after another; -inf for a label that is excluded.
    lengths: (sequences,) at least one sequence, each of at least one position.
    transitions: (labels, labels) the score of going from one label to another; -inf for a pair
        that is excluded.
    RETURNS: (positions, labels) the logarithm of each label's marginal probability, plus a
        constant for each position.
    """
    both = torch.stack((transitions, transitions.T))  # (2, from, to)
    exp_transitions = (both - both.detach().max()).exp()
    numbers = torch.finfo(emissions.dtype)
    smallest = numbers.tiny / numbers.eps

    def step(scores: Tensor) -> Tensor:
        scores = scores - scores.detach().amax(dim=-1, keepdim=True)  # avoids overflow
        sums = scores.exp() @ exp_transitions
        if float(sums.detach().min()) >= smallest:
            return sums.log()
        # Low sums can lack terms that were rounded to zero.
        pairs = scores[..., None] + both[:, None]
        excluded = (pairs == -torch.inf).all(dim=-2)  # where logsumexp has no gradient
        pairs = pairs.masked_fill(excluded[..., None, :], 0.0)
        return pairs.logsumexp(dim=-2).masked_fill(excluded, -torch.inf)

    layout = lay_out(lengths, 2)
    cells = []
    for grids in zip(*layout.grids, strict=True):
        grid = torch.stack(grids, dim=1)  # (steps, 2, sequences)
        scores = emissions.index_select(0, grid.flatten()).view(*grid.shape, -1)
        messages = [torch.zeros_like(scores[0])]
        for step_scores in scores[:-1]:
            messages.append(step(step_scores + messages[-1]))
        cells.append(torch.stack(messages, dim=1).flatten(1, 2))  # (2, cells, labels)
    before, after = torch.cat(cells, dim=1)
    return emissions + before[layout.cells[0]] + after[layout.cells[1]]
