"""The recurrence of an LSTM in NumPy.

An LSTM multiplies its input at every position with weights. As a text has fewer word types than
tokens, these products are computed once for each type. The recurrence is left, less than half of
the arithmetic. Each step computes one position of all sequences, in both directions of reading, the
longest sequences first; so there is no padding. The gates of a step are stored gate by gate, and
not sequence by sequence: so each is one contiguous array, which NumPy computes fastest.
"""

from collections.abc import Callable, Iterator
from math import prod
from typing import NamedTuple

import numpy
from numpy import add, tanh
from numpy import multiply as times

from .blas import multiply
from .config import Weights
from .types import Floats2d, Floats3d, Floats4d, Ints1d, Ints2d

BLOCK_POSITIONS = 256  # whose inputs are found at a time, so that they stay in the cache
N_GATES = 4

# Without axes, since NumPy then computes on short arrays three times as fast as with one axis.
ONE, HALF = numpy.array(1, dtype="float32"), numpy.array(0.5, dtype="float32")

InputsOf = Callable[[int, int], tuple[Floats2d, Ints1d]]


class Schedule(NamedTuple):
    """The order of computation for sequences that are stored one after another. A cell is the
    computation of one position in one direction. Cells are numbered step by step; within a step,
    direction by direction, and then the longest sequence first.

    columns: Number of sequences that are still read at each step.
    positions: (cells,) the position that each cell computes.
    cells: (positions, directions) the cells that compute each position.
    """

    columns: list[int]
    positions: Ints1d
    cells: Ints2d


def schedule(lengths: Ints1d, directions: int) -> Schedule:
    """Schedule the reading of sequences.

    lengths (Ints1d): (sequences,) at least one sequence, of at least one position each.
    directions (int): 1 for left to right only, 2 for right to left as well.
    RETURNS (Schedule): The schedule.
    """
    n_positions = int(lengths.sum())
    cells = numpy.empty((n_positions, directions), dtype="int64")
    if len(lengths) == 1:  # fast path
        all_cells = numpy.arange(cells.size)
        cells[:, 0] = all_cells[::directions]
        cells[:, 1:] = all_cells[::-directions, None]
        return Schedule([1] * n_positions, (cells // directions).ravel(), cells)
    ranking = numpy.argsort(-lengths, kind="stable")
    ranked = lengths[ranking]
    columns = numpy.searchsorted(-ranked, -numpy.arange(ranked[0]))
    begins = directions * (columns.cumsum() - columns)
    places = numpy.empty_like(ranking)
    places[ranking] = numpy.arange(len(lengths))
    place = places.repeat(lengths)
    everywhere = numpy.arange(n_positions)
    step = everywhere - (lengths.cumsum() - lengths).repeat(lengths)
    cells[:, 0] = begins[step] + place
    if directions == 2:
        step = lengths.repeat(lengths) - 1 - step
        cells[:, 1] = (begins + columns)[step] + place
    positions = numpy.empty(cells.size, dtype="int64")
    positions[cells] = everywhere[:, None]
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

        def arrange(name: str) -> Floats4d:
            """Return (4, directions, ..., width): gates in the order input, forget, output, cell,
            and all but the last, which is no sigmoid, divided by two.
            """
            arranged = []
            for direction in range(directions):
                i, f, z, o = numpy.split(weights[f"{direction}.{name}"], N_GATES)
                arranged.append([gate.T for gate in (i / 2, f / 2, o / 2, z)])
            return numpy.stack(arranged, axis=1, dtype="float32")

        self._of_hidden = arrange("weight_hh_l0")
        self._of_hidden /= 2
        self._of_input = numpy.concatenate(list(arrange("weight_ih_l0")), axis=2)
        self._of_all_inputs = numpy.concatenate(list(self._of_input), axis=1)
        bias = arrange("bias_ih_l0") + arrange("bias_hh_l0")
        self._bias = numpy.concatenate(list(bias[:, :, None]), axis=2)

    def project(self, inputs: Floats2d) -> Floats2d:
        """Return (inputs, directions * 4 * width): each input's contribution to the gates.

        inputs (Floats2d): (inputs, input_width).
        """
        projected = inputs @ self._of_all_inputs
        projected += self._bias.ravel()
        return projected

    def inputs_of_types(self, projected: Floats2d, types: Ints1d, order: Schedule) -> InputsOf:
        """Return a function that finds the inputs' contribution to the gates of some cells.

        projected (Floats2d): (types, directions * 4 * width) what `project` returned.
        types (Ints1d): (positions,) the type at each position.
        order (Schedule): The order of computation.
        RETURNS (Callable): Takes the first cell and the end of a range; returns a table, (rows,
            4 * width), and (cells,) the row of each cell.
        """
        table = projected.reshape(-1, N_GATES * self.width)
        rows = numpy.empty_like(order.positions)
        rows[order.cells] = self.directions * types[:, None] + numpy.arange(self.directions)
        return lambda begin, end: (table, rows[begin:end])

    def inputs_of_states(self, states: Floats2d, order: Schedule) -> InputsOf:
        """Return the same kind of function for inputs that differ at each position.

        states (Floats2d): (positions, input_width) the inputs.
        order (Schedule): The order of computation.
        """
        by_direction = numpy.sort(order.cells, axis=0).T

        def inputs_of(begin: int, end: int) -> tuple[Floats2d, Ints1d]:
            cells = by_direction[:, begin // self.directions : end // self.directions]
            table = states.take(order.positions[cells], axis=0) @ self._of_input
            table += self._bias
            rows = numpy.empty(end - begin, dtype="int64")
            rows[cells - begin] = numpy.arange(end - begin).reshape(cells.shape)
            return table.reshape(-1, N_GATES * self.width), rows

        return inputs_of

    def run(
        self, inputs_of: InputsOf, columns: list[int], state: Floats3d | None = None
    ) -> Floats2d:
        """Read sequences.

        inputs_of (Callable): What `inputs_of_types` or `inputs_of_states` returned.
        columns (list[int]): Number of sequences at each step, for at least one step.
        state (Floats3d | None): (2, sequences, width) the initial hidden and cell state, for
            sequences of equal length that are read left to right; overwritten with the final
            state. None for zeros.
        RETURNS (Floats2d): (cells, width) hidden states.
        """
        directions, width, most = self.directions, self.width, columns[0]
        states = numpy.empty((directions * sum(columns), width), dtype="float32")
        buffers = numpy.empty((2, N_GATES * directions * most * width), dtype="float32")
        hidden = cell = numpy.zeros((directions, most, width), dtype="float32")
        if state is not None:
            hidden, cell = 2 * state[:1], state[1:]
        n_before, end = 0, 0
        for block in _blocks(columns):
            begin, end = end, end + directions * sum(block)
            table, rows = inputs_of(begin, end)
            by_gate = table.reshape(-1, width)
            rows_by_gate = N_GATES * rows + numpy.arange(N_GATES)[:, None]
            first = 0
            for n in block:
                if n != n_before:
                    n_before, shape = n, (N_GATES, directions, n, width)
                    hidden, cell = hidden[:, :n], cell[:, :n].copy()
                    gates, products = (buffer[: prod(shape)].reshape(shape) for buffer in buffers)
                    inputs = gates.reshape(N_GATES, directions * n, width)
                    sigmoids, (i, f, o, z) = gates[:3], gates
                last = first + directions * n
                # NumPy would copy `inputs`, if it were to check the rows.
                by_gate.take(rows_by_gate[:, first:last], 0, inputs, mode="clip")
                multiply(hidden, self._of_hidden, products)
                add(products, gates, gates)
                tanh(gates, gates)
                add(sigmoids, ONE, sigmoids)
                times(f, cell, f)
                times(z, i, z)
                add(f, z, f)
                times(f, HALF, cell)
                hidden = states[begin + first : begin + last].reshape(cell.shape)
                tanh(cell, hidden)
                times(hidden, o, hidden)
                first = last
        times(states, HALF, states)
        if state is not None:
            state[:1], state[1:] = hidden, cell
        return states


def _blocks(columns: list[int]) -> Iterator[list[int]]:
    """Yield the numbers of columns in blocks of steps with at most BLOCK_POSITIONS positions."""
    block: list[int] = []
    n_positions = 0
    for n in columns:
        if block and n_positions + n > BLOCK_POSITIONS:
            yield block
            block, n_positions = [], 0
        block.append(n)
        n_positions += n
    yield block
