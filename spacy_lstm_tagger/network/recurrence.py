"""Projected inputs in, hidden states out: LSTMs as a CPU predicts with them; pure PyTorch.

`nn.LSTM` multiplies the input at every position with its weights. Where few different inputs stand
at many positions, as word types do in a text, these products are computed once for each of them.
What is left is the recurrence, less than half of the arithmetic. It takes all sequences and both
directions of reading a step further at a time, the longest sequences first, so that there is hardly
any padding.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import linear

from .lstm import LSTMLayer

GROUP = 8  # sequences that are read to the end of the longest: so there are few numbers of columns
BLOCK_ROWS = 256  # of gates, to be gathered at a time: they stay in the cache


class Schedule(NamedTuple):
    """When each position of sequences, which stand one after another, is read in each direction.

    runs: (columns, steps) stretches of steps in which so many sequences are read side by side.
    cells: (positions, directions) the place of each reading in the order of computation: step by
        step, of each the directions, of each the sequences. Other places are padding.
    """

    runs: list[tuple[int, int]]
    cells: Tensor


def schedule(lengths: Tensor, directions: int) -> Schedule:
    """Schedule the reading of sequences.

    lengths (Tensor): (sequences,) at least one sequence, of at least one position each.
    directions (int): 1 for left to right only, 2 for right to left as well.
    RETURNS (Schedule): The schedule.
    """
    ranked, ranks = lengths.sort(descending=True, stable=True)
    columns = torch.empty_like(ranks)
    columns[ranks] = torch.arange(len(ranks))
    steps = torch.arange(int(ranked[0]))
    padded = ranked[::GROUP].repeat_interleave(GROUP)[: len(ranked)]
    active = len(padded) - torch.searchsorted(padded.flip(0), steps, right=True)
    begins = directions * (active.cumsum(0) - active)  # of each step, in the order of computation
    sizes, counts = active.unique_consecutive(return_counts=True)
    runs = list(zip(sizes.tolist(), counts.tolist(), strict=True))
    ends, sequences = lengths.cumsum(0), torch.arange(len(lengths)).repeat_interleave(lengths)
    column, positions = columns[sequences], torch.arange(len(sequences))
    step = positions - (ends - lengths)[sequences]
    cells = [begins[step] + column]
    if directions == 2:
        step = ends[sequences] - 1 - positions
        cells.append(begins[step] + active[step] + column)
    return Schedule(runs, torch.stack(cells, dim=1))


class Recurrence:
    """The LSTMs of a layer, one for each direction of reading, with their weights in an order that
    is good for prediction. The weights must not change any more.

    A sigmoid is faster to compute than a tanh; so tanh(x) is computed as 2 * sigmoid(2 * x) - 1.
    """

    def __init__(self, layer: LSTMLayer):
        """Prepare a layer."""
        lstms: Any = layer.lstms
        self.directions, self.width = len(lstms), lstms[0].hidden_size
        scale = torch.ones(4, self.width)
        scale[2] = 2  # in torch's order of gates: input, forget, cell, output
        scale = scale.view(-1, 1)
        self._multiply = [PackedLinear(scale * lstm.weight_hh_l0).multiply for lstm in lstms]
        self.project = PackedLinear(
            torch.cat([scale * lstm.weight_ih_l0 for lstm in lstms]),
            torch.cat([scale[:, 0] * (lstm.bias_ih_l0 + lstm.bias_hh_l0) for lstm in lstms]),
        )

    def run(self, projected: Tensor, rows: Tensor, lengths: Tensor) -> Tensor:
        """Read sequences.

        projected (Tensor): (inputs, directions * 4 * width) what `project` returned of the
            different inputs.
        rows (Tensor): (positions,) the input that stands at each position.
        lengths (Tensor): (sequences,) their lengths, at least 1.
        RETURNS (Tensor): (positions, directions * width) hidden states.
        """
        directions, width = self.directions, self.width
        order = schedule(lengths, directions)
        n_cells = directions * sum(columns * steps for columns, steps in order.runs)
        inputs = torch.zeros(n_cells, dtype=torch.int64)
        inputs[order.cells] = directions * rows[:, None] + torch.arange(directions)
        gates_of = projected.view(-1, 4 * width)
        hidden = projected.new_empty(n_cells, width)
        before = projected.new_zeros(directions, order.runs[0][0], width)
        cell = torch.zeros_like(before)
        begin = 0
        for columns, steps in order.runs:
            before, cell = before[:, :columns], cell[:, :columns]
            rows_per_step = directions * columns
            end = begin + steps * rows_per_step
            rows_per_block = max(1, BLOCK_ROWS // rows_per_step) * rows_per_step
            for block in range(begin, end, rows_per_block):
                read = slice(block, min(block + rows_per_block, end))
                gates = gates_of.index_select(0, inputs[read])
                shape = (-1, directions, columns)
                before = self._advance(
                    gates.view(*shape, 4 * width), before, cell, hidden[read].view(*shape, width)
                )
            begin = end
        return hidden.index_select(0, order.cells.flatten()).view(len(rows), -1)

    def _advance(self, gates: Tensor, before: Tensor, cell: Tensor, states: Tensor) -> Tensor:
        """Take sequences some steps further.

        gates: (steps, directions, columns, 4 * width) what comes from the inputs; overwritten.
        before: (directions, columns, width) hidden states.
        cell: likewise, twice the states of the cells; overwritten.
        states: (steps, directions, columns, width) where the hidden states are written.
        RETURNS (Tensor): the last of them.
        """
        parts = (part.unbind() for part in gates.chunk(4, dim=3))
        for gate, write, keep, new, show, state in zip(gates, *parts, states, strict=True):
            for i, multiply in enumerate(self._multiply):
                gate[i].add_(multiply(before[i]))
            gate.sigmoid_()
            new.sub_(0.5)
            cell.mul_(keep).addcmul_(write, new, value=4)
            torch.sigmoid(cell, out=state)
            before = torch.addcmul(show.neg(), show, state, value=2, out=state)
        return before


class PackedLinear:
    """Multiply rows with weights as `linear` does, but have the weights in the order in which
    oneDNN reads them. PyTorch offers this to its compiler only; `linear` itself orders the weights
    at each call, and for few rows that takes as long as the product. In return, oneDNN takes half
    a millisecond to prepare for each number of rows that it hasn't met.

    weight: (output_width, input_width)
    bias: (output_width,)
    """

    def __init__(self, weight: Tensor, bias: Tensor | None = None):
        self._linear = partial(linear, weight=weight, bias=bias)
        self.multiply: Callable[[Tensor], Tensor] = self._linear
        try:
            operations = torch.ops.mkldnn
            packed = operations._reorder_linear_weight(weight.contiguous())
            multiply = operations._linear_pointwise.default
            self.multiply = lambda rows: multiply(rows, packed, bias, "none", [], "")
        except (AttributeError, RuntimeError):
            pass  # a device or a torch without oneDNN

    def __call__(self, rows: Tensor) -> Tensor:
        """Multiply any number of rows, (rows, input_width), in blocks of one size."""
        if len(rows) <= BLOCK_ROWS or self.multiply is self._linear:
            return self._linear(rows)
        *blocks, rest = rows.split(BLOCK_ROWS)
        return torch.cat([*map(self.multiply, blocks), self._linear(rest)])
