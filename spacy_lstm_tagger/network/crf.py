"""Marginal probabilities of a linear-chain CRF in PyTorch, for training.

See `prediction/crf.py` for the definition.
"""

from math import log

import torch
from torch import Tensor

from .lstm import lay_out


def log_marginals(emissions: Tensor, lengths: Tensor, transitions: Tensor) -> Tensor:
    """Score each label by the sum over all sequences that have it.

    emissions: (positions, labels) sequences one after another; -inf for a label that is excluded.
    lengths: (sequences,) at least one sequence, each of at least one position.
    transitions: (labels, labels) the score of going from one label to another; finite.
    RETURNS: (positions, labels) the logarithm of each label's marginal probability, plus a
        constant for each position.
    """
    both = torch.stack((transitions, transitions.T))  # (2, from, to)
    exp_transitions = (both - both.detach().max()).exp()
    numbers = torch.finfo(emissions.dtype)
    is_narrow = float(both.detach().max() - both.detach().min()) < log(numbers.eps / numbers.tiny)

    def step(scores: Tensor) -> Tensor:
        scores = scores - scores.detach().amax(dim=-1, keepdim=True)  # avoids overflow
        if is_narrow:
            return (scores.exp() @ exp_transitions).log()
        # The exponentials of the lowest transitions would underflow.
        return (scores[..., None] + both[:, None]).logsumexp(dim=-2)

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
