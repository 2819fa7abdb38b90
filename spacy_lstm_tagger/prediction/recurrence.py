"""The recurrence of an LSTM in NumPy.

An LSTM multiplies its input at every position with weights. As a text has fewer word types than
tokens, these products are computed once for each type. The recurrence is left, less than half of
the arithmetic. Each step computes one position of all sequences, in both directions of reading, the
longest sequences first; so there is no padding.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy
from numpy import add, tanh
from numpy import multiply as times

from .blas import multiply
from .config import Weights
from .types import Floats1d, Floats2d, Floats3d, Ints1d, Ints2d

BLOCK_CELLS = 256  # cells whose gates are made at a time, so that they stay in the cache

ONE, HALF = numpy.ones(1, dtype="float32"), numpy.full(1, 0.5, dtype="float32")

GatesOf = Callable[[int, int], Floats3d]


class Schedule(NamedTuple):
    """The order of computation for sequences that are stored one after another. A cell is the
    computation of one position. Cells are numbered step by step; within a step, the longest
    sequence comes first.

    columns: Number of sequences that are still read at each step.
    positions: (directions, cells) the position that each cell computes.
    cells: (directions, positions) the cell that computes each position.
    """

    columns: list[int]
    positions: Ints2d
    cells: Ints2d


def schedule(lengths: Ints1d, directions: int) -> Schedule:
    """Schedule the reading of sequences.

    lengths (Ints1d): (sequences,) at least one sequence, of at least one position each.
    directions (int): 1 for left to right only, 2 for right to left as well.
    RETURNS (Schedule): The schedule.
    """
    if len(lengths) == 1:  # fast path
        both = numpy.empty((directions, lengths[0]), dtype="int64")
        both[0] = numpy.arange(lengths[0])
        both[1:] = both[0, ::-1]
        return Schedule([1] * both.shape[1], both, both)
    ranking = numpy.argsort(-lengths, kind="stable")
    ranked = lengths[ranking]
    steps = numpy.arange(ranked[0])
    columns = len(ranked) - numpy.searchsorted(ranked[::-1], steps, side="right")
    begins = columns.cumsum() - columns
    sequences = numpy.arange(len(lengths))
    places = numpy.empty_like(sequences)
    places[ranking] = sequences
    sequence = numpy.repeat(sequences, lengths)
    place = places[sequence]
    everywhere = numpy.arange(len(sequence))
    step = everywhere - (lengths.cumsum() - lengths)[sequence]
    cells = numpy.empty((directions, len(sequence)), dtype="int64")
    cells[0] = begins[step] + place
    if directions == 2:
        cells[1] = begins[lengths[sequence] - 1 - step] + place
    positions = numpy.empty_like(cells)
    for reading, cell in zip(positions, cells, strict=True):
        reading[cell] = everywhere
    return Schedule(columns.tolist(), positions, cells)


class Recurrence:
    """The LSTMs of a layer, one for each direction of reading.

    Sigmoids are computed as sigmoid(x) = (tanh(x / 2) + 1) / 2, so one call of tanh serves all
    gates; NumPy computes tanh faster than exp. The factors 1/2 are moved out of the loop into the
    weights; therefore hidden states are doubled until the end.
    """

    def __init__(self, weights: Weights, directions: int):
        """Prepare a layer.

        weights (Mapping): `weight_ih_l0`, `weight_hh_l0`, `bias_ih_l0` and `bias_hh_l0` of torch's
            `LSTM` for each direction, after its number and a dot: (4 * width, ...) each.
        directions (int): 1 for left to right only, 2 for right to left as well.
        """
        self.directions = directions
        self.width = weights["0.weight_hh_l0"].shape[1]

        def arrange(name: str) -> Floats3d:
            """Return (directions, ..., 4 * width): gates in the order input, forget, output, cell,
            and all but the last, which is no sigmoid, divided by two.
            """
            arranged = []
            for direction in range(directions):
                i, f, z, o = numpy.split(weights[f"{direction}.{name}"], 4)
                arranged.append(numpy.concatenate((i / 2, f / 2, o / 2, z)).T)
            return numpy.ascontiguousarray(numpy.stack(arranged), dtype="float32")

        self._bias = arrange("bias_ih_l0") + arrange("bias_hh_l0")
        self._of_hidden = arrange("weight_hh_l0")
        self._of_hidden /= 2
        self._of_all_inputs = numpy.concatenate(list(arrange("weight_ih_l0")), axis=1)
        by_direction = self._of_all_inputs.reshape(-1, directions, 4 * self.width)
        self._of_input = by_direction.transpose(1, 0, 2)

    def project(self, inputs: Floats2d) -> Floats2d:
        """Return (inputs, directions * 4 * width): each input's contribution to the gates.

        inputs (Floats2d): (inputs, input_width).
        """
        projected = inputs @ self._of_all_inputs
        projected += self._bias.ravel()
        return projected

    def gates_of_types(self, projected: Floats2d, rows: Ints2d) -> GatesOf:
        """Return a function that looks up the inputs' contribution to the gates of some cells.

        projected (Floats2d): (types, directions * 4 * width) what `project` returned.
        rows (Ints2d): (directions, cells) the row for each cell.
        RETURNS (Callable): Takes the first cell and the end of a range; returns (directions,
            cells, 4 * width).
        """
        by_direction = projected.reshape(-1, 4 * self.width)
        rows = self.directions * rows
        rows[1:] += 1
        return lambda begin, end: by_direction.take(rows[:, begin:end], axis=0)

    def gates_of_states(self, states: Floats2d, positions: Ints2d) -> GatesOf:
        """Return the same kind of function for inputs that differ at each position.

        states (Floats2d): (positions, input_width) the inputs.
        positions (Ints2d): (directions, cells) the position for each cell.
        """

        def gates_of(begin: int, end: int) -> Floats3d:
            gates = states.take(positions[:, begin:end], axis=0) @ self._of_input
            gates += self._bias[:, None]
            return gates

        return gates_of

    def run(self, gates_of: GatesOf, columns: list[int], state: Floats3d | None = None) -> Floats3d:
        """Read sequences.

        gates_of (Callable): What `gates_of_types` or `gates_of_states` returned.
        columns (list[int]): Number of sequences at each step, for at least one step.
        state (Floats3d | None): (2, sequences, width) the initial hidden and cell state, for
            sequences of equal length that are read left to right; overwritten with the final
            state. None for zeros.
        RETURNS (Floats3d): (directions, cells, width) hidden states.
        """
        directions, width, most = self.directions, self.width, columns[0]
        states = numpy.empty((directions, sum(columns), width), dtype="float32")
        products = numpy.empty(most * directions * 4 * width, dtype="float32")
        # Each step writes to one buffer, and reads the cell states of the last step in the other.
        buffers = numpy.empty((2, len(products)), dtype="float32")
        hidden = cell = numpy.zeros((directions, most, width), dtype="float32")
        if state is not None:
            hidden, cell = 2 * state[:1], state[1:]
        n_before, here, end = 0, 0, 0
        for block in _blocks(columns):
            begin, end = end, end + sum(block)
            gates, written, first = gates_of(begin, end), states[:, begin:end], 0
            for n in block:
                if n != n_before:
                    size, n_before = n * directions * 4 * width, n
                    hidden, cell = hidden[:, :n], cell[:, :n]
                    product = products[:size].reshape(directions, n, 4 * width)
                    by_gate = product.reshape(directions, n, 4, width)
                    views = [_views(buffer[:size], by_gate) for buffer in buffers]
                last, here = first + n, 1 - here
                in_rows, all_gates, sigmoids, (i, f, o, z) = views[here]
                multiply(hidden, self._of_hidden, product)
                add(by_gate, gates[:, first:last].reshape(by_gate.shape), out=in_rows)
                tanh(all_gates, out=all_gates)
                add(sigmoids, ONE, out=sigmoids)
                times(f, cell, out=f)
                times(z, i, out=z)
                add(f, z, out=f)
                cell = times(f, HALF, out=f)
                hidden = tanh(cell, out=written[:, first:last])
                times(hidden, o, out=hidden)
                first = last
        times(states, HALF, out=states)
        if state is not None:
            state[:1], state[1:] = hidden, cell
        return states


def _views(buffer: Floats1d, by_gate: Floats3d) -> tuple[Floats3d, Floats3d, Floats3d, Floats3d]:
    """Return views of a buffer that holds gate after gate: with the axes of a product, all of it,
    its sigmoid gates, and its four gates.
    """
    directions, n, n_gates, width = by_gate.shape
    gates = buffer.reshape(n_gates, directions, n, width)
    return gates.transpose(1, 2, 0, 3), buffer, gates[:3], gates


def _blocks(columns: list[int]) -> Iterator[list[int]]:
    """Yield the numbers of columns in blocks of steps that have at most BLOCK_CELLS cells."""
    block: list[int] = []
    n_cells = 0
    for n in columns:
        if block and n_cells + n > BLOCK_CELLS:
            yield block
            block, n_cells = [], 0
        block.append(n)
        n_cells += n
    yield block
