"""Tests of `recurrence.py` against `nn.LSTM`, one sequence at a time."""

from itertools import product

import numpy
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn

from spacy_lstm_tagger.prediction import blas, recurrence
from spacy_lstm_tagger.prediction.recurrence import Recurrence, schedule
from spacy_lstm_tagger.prediction.types import Floats2d, Ints1d

INPUT_WIDTH, WIDTH, N_INPUTS = 5, 4, 6
LENGTHS = [[1], [7], [1, 1, 1], [3, 3], [2, 5, 1, 5, 9], [20, 1], [*range(1, 30)]]


def make_lstms(directions: int, std: float = 0.5) -> nn.ModuleList:
    torch.manual_seed(0)
    lstms = nn.ModuleList(nn.LSTM(INPUT_WIDTH, WIDTH) for _ in range(directions))
    for parameter in lstms.parameters():
        nn.init.normal_(parameter, std=std)
    return lstms


def prepare(lstms: nn.ModuleList) -> Recurrence:
    weights = {name: values.numpy() for name, values in lstms.state_dict().items()}
    return Recurrence(weights, len(lstms))


def make_inputs(lengths: list[int]) -> tuple[Floats2d, Ints1d]:
    """Return some vectors, and the row of the vector at each position."""
    random = numpy.random.default_rng(1)
    rows = random.integers(N_INPUTS, size=sum(lengths))
    return random.normal(size=(N_INPUTS, INPUT_WIDTH)).astype("float32"), rows


def run(own: Recurrence, vectors: Floats2d, rows: Ints1d, lengths: list[int]) -> Floats2d:
    order = schedule(numpy.asarray(lengths), own.directions)
    states = own.run(own.inputs_of_types(own.project(vectors), rows, order), order.columns)
    return states[order.cells].reshape(len(rows), -1)


def run_slowly(lstms: nn.ModuleList, inputs: Floats2d, lengths: list[int]) -> Floats2d:
    """Run torch's own LSTMs over one sequence at a time."""
    outputs = []
    with torch.inference_mode():
        for sequence in torch.from_numpy(inputs).split(lengths):
            forth, *back = lstms
            directions = [forth(sequence)[0], *(lstm(sequence.flip(0))[0].flip(0) for lstm in back)]
            outputs.append(torch.cat(directions, dim=1))
    return torch.cat(outputs).numpy()


def schedule_slowly(lengths: list[int], directions: int) -> list[list[int]]:
    """Number all cells step by step, within a step direction by direction, and then the longest
    sequence first.
    """
    begins = [sum(lengths[:i]) for i in range(len(lengths))]
    longest_first = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    cells = [[-1] * directions for _ in range(sum(lengths))]
    n_cells = 0
    for step, direction, i in product(range(max(lengths)), range(directions), longest_first):
        if step < lengths[i]:
            position = begins[i] + (lengths[i] - 1 - step if direction else step)
            cells[position][direction] = n_cells
            n_cells += 1
    return cells


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("lengths", LENGTHS)
def test_all_sequences_are_read_step_by_step(lengths: list[int], directions: int) -> None:
    columns, positions, cells = schedule(numpy.asarray(lengths), directions)
    assert cells.tolist() == schedule_slowly(lengths, directions)
    assert positions[cells].tolist() == [[i] * directions for i in range(sum(lengths))]
    assert columns == [sum(n > step for n in lengths) for step in range(max(lengths))]


@pytest.mark.parametrize("few_rows", [1, 6])
@pytest.mark.parametrize("block_positions", [1, 5, 256])
@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("lengths", LENGTHS)
def test_a_recurrence_equals_torch_lstm(
    lengths: list[int],
    directions: int,
    block_positions: int,
    few_rows: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recurrence, "BLOCK_POSITIONS", block_positions)
    monkeypatch.setattr(blas, "_few_rows", lambda: few_rows)
    lstms, (vectors, rows) = make_lstms(directions), make_inputs(lengths)
    hidden = run(prepare(lstms), vectors, rows, lengths)
    assert_allclose(hidden, run_slowly(lstms, vectors[rows], lengths), atol=1e-5)


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("lengths", LENGTHS)
def test_inputs_can_differ_at_each_position(lengths: list[int], directions: int) -> None:
    own, (vectors, rows) = prepare(make_lstms(directions)), make_inputs(lengths)
    order = schedule(numpy.asarray(lengths), directions)
    of_types = own.inputs_of_types(own.project(vectors), rows, order)
    of_states = own.inputs_of_states(vectors[rows], order)
    assert_allclose(own.run(of_states, order.columns), own.run(of_types, order.columns), atol=1e-6)


def test_gates_can_be_wide_open_or_shut() -> None:
    lstms, (vectors, rows) = make_lstms(2, std=1000.0), make_inputs([20, 3])
    hidden = run(prepare(lstms), vectors, rows, [20, 3])
    assert_allclose(hidden, run_slowly(lstms, vectors[rows], [20, 3]), atol=1e-5)


def test_projections_can_be_used_again() -> None:
    own, (vectors, rows) = prepare(make_lstms(2)), make_inputs([4, 2])
    order, projected = schedule(numpy.asarray([4, 2]), 2), own.project(vectors)
    inputs_of = own.inputs_of_types(projected, rows, order)
    assert (own.run(inputs_of, order.columns) == own.run(inputs_of, order.columns)).all()
