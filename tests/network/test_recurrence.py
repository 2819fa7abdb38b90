"""Tests of `recurrence.py` against `nn.LSTM`, one sequence at a time."""

from itertools import product

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from spacy_lstm_tagger.network import recurrence
from spacy_lstm_tagger.network.lstm import LSTMLayer
from spacy_lstm_tagger.network.recurrence import PackedLinear, Recurrence, schedule

INPUT_WIDTH, WIDTH, N_INPUTS = 5, 4, 6
LENGTHS = [[1], [7], [1, 1, 1], [3, 3], [2, 5, 1, 5, 9], [20, 1], [*range(1, 30)]]


def make_layer(directions: int, std: float = 0.5) -> LSTMLayer:
    torch.manual_seed(0)
    layer = LSTMLayer(INPUT_WIDTH, WIDTH, directions)
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=std)
    return layer


def make_inputs(lengths: list[int]) -> tuple[Tensor, Tensor]:
    """Return some vectors, and which of them stands at each position."""
    random = torch.Generator().manual_seed(1)
    rows = torch.randint(N_INPUTS, (sum(lengths),), generator=random)
    return torch.randn((N_INPUTS, INPUT_WIDTH), generator=random), rows


def run_slowly(layer: LSTMLayer, inputs: Tensor, lengths: list[int]) -> Tensor:
    """Run torch's own LSTMs over one sequence at a time."""
    outputs = []
    for sequence in inputs.split(lengths):
        forth, *back = layer.lstms
        directions = [forth(sequence)[0], *(lstm(sequence.flip(0))[0].flip(0) for lstm in back)]
        outputs.append(torch.cat(directions, dim=1))
    return torch.cat(outputs)


def schedule_slowly(lengths: list[int], directions: int, group: int) -> list[list[int]]:
    """Number all readings step by step, of each step direction by direction, the longest first;
    sequences of a group are as long as their longest.
    """
    begins = [sum(lengths[:i]) for i in range(len(lengths))]
    longest_first = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    cells = [[-1] * directions for _ in range(sum(lengths))]
    n_cells = 0
    for step, direction in product(range(max(lengths)), range(directions)):
        for rank, i in enumerate(longest_first):
            if step < lengths[i]:
                offset = lengths[i] - 1 - step if direction else step
                cells[begins[i] + offset][direction] = n_cells
            n_cells += step < lengths[longest_first[rank - rank % group]]
    return cells


@pytest.mark.parametrize("group", [1, 3, 8])
@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("lengths", LENGTHS)
def test_all_sequences_are_read_step_by_step(
    lengths: list[int], directions: int, group: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recurrence, "GROUP", group)
    runs, cells = schedule(torch.tensor(lengths), directions)
    assert cells.tolist() == schedule_slowly(lengths, directions, group)
    ranked = sorted(lengths, reverse=True)
    padded = [ranked[i - i % group] for i in range(len(ranked))]
    assert [columns for columns, steps in runs for _ in range(steps)] == [
        sum(length > step for length in padded) for step in range(max(lengths))
    ]


@pytest.mark.parametrize("block_rows", [1, 5, 256])
@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("lengths", LENGTHS)
def test_a_recurrence_equals_torch_lstm(
    lengths: list[int], directions: int, block_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recurrence, "BLOCK_ROWS", block_rows)
    layer, (vectors, rows) = make_layer(directions), make_inputs(lengths)
    with torch.inference_mode():
        own = Recurrence(layer)
        hidden = own.run(own.project(vectors), rows, torch.tensor(lengths))
    assert_close(hidden, run_slowly(layer, vectors[rows], lengths))


def test_gates_may_be_wide_open_or_shut() -> None:
    layer, (vectors, rows) = make_layer(2, std=1000.0), make_inputs([20, 3])
    with torch.inference_mode():
        own = Recurrence(layer)
        hidden = own.run(own.project(vectors), rows, torch.tensor([20, 3]))
    assert_close(hidden, run_slowly(layer, vectors[rows], [20, 3]))


def test_projections_may_be_used_again() -> None:
    layer, (vectors, rows) = make_layer(2), make_inputs([4, 2])
    with torch.inference_mode():
        own = Recurrence(layer)
        projected = own.project(vectors)
        first, second = (own.run(projected, rows, torch.tensor([4, 2])) for _ in range(2))
    assert_close(first, second, rtol=0, atol=0)


@pytest.mark.parametrize("n_rows", [0, 1, 4, 5, 9])
@pytest.mark.parametrize("has_bias", [False, True])
@pytest.mark.parametrize("has_onednn", [False, True])
def test_packed_weights_are_the_same_weights(
    n_rows: int, has_bias: bool, has_onednn: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recurrence, "BLOCK_ROWS", 4)
    if not has_onednn:
        monkeypatch.setattr(torch.ops, "mkldnn", None)
    linear = nn.Linear(8, 6, bias=has_bias)
    rows = torch.randn(n_rows, 6)
    with torch.inference_mode():
        packed = PackedLinear(linear.weight[:, 2:], linear.bias)
        expected = nn.functional.linear(rows, linear.weight[:, 2:], linear.bias)
        assert_close(packed(rows), expected)
        assert_close(packed.multiply(rows), expected)


def test_weights_of_other_devices_are_not_packed() -> None:
    rows = PackedLinear(torch.ones(3, 2, device="meta"))(torch.ones(5, 2, device="meta"))
    assert rows.device.type == "meta" and rows.shape == (5, 3)
