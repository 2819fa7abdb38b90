"""Tests of `lstm.py`: the arrangement of sequences, and their neighbours."""

from collections.abc import Sequence
from itertools import product

import pytest
import torch

from spacy_lstm_tagger.network.lstm import following, lay_out, neighbours


def check_layout(lengths: Sequence[int], padded: bool) -> None:
    """Check that each sequence is a column of a grid, in both directions."""
    sequences = [part.tolist() for part in torch.arange(sum(lengths)).split(list(lengths))]
    layout = lay_out(torch.tensor(lengths), 2, padded=padded)
    columns = [int(i) for column in layout.columns for i in column]
    assert columns == sorted(range(len(lengths)), key=lambda i: -lengths[i])
    for direction, (grids, cells) in enumerate(zip(layout.grids, layout.cells, strict=True)):
        found = [column.tolist() for grid in grids for column in grid.T]
        for i, column in zip(columns, found, strict=True):
            expected = sequences[i][:: -1 if direction else 1]
            padding = len(column) - len(expected)
            assert column == expected + expected[-1:] * padding
            assert padded or not padding
        read = torch.cat([grid.flatten() for grid in grids])[cells]
        assert read.tolist() == list(range(sum(lengths)))


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("n_sequences", [1, 2, 3, 4])
def test_each_sequence_is_a_column_in_both_directions(n_sequences: int, padded: bool) -> None:
    for lengths in product(range(1, 5), repeat=n_sequences):
        check_layout(lengths, padded)
        check_layout([60 * length for length in lengths], padded)


def test_similar_lengths_share_a_grid_and_any_lengths_a_small_one() -> None:
    lengths = torch.tensor([100, 30, 70, 80, 60, 2, 5, 99, 50])
    layout = lay_out(lengths, 1)
    assert [columns.tolist() for columns in layout.columns] == [[0, 7, 3, 2], [4, 8, 1, 6, 5]]
    assert [tuple(grid.shape) for grid in layout.grids[0]] == [(100, 4), (60, 5)]


@pytest.mark.parametrize("lengths", [[1], [3], [2, 1, 4]])
@pytest.mark.parametrize("distance", [1, 2, 5])
def test_neighbours_are_of_the_same_sequence(lengths: list[int], distance: int) -> None:
    vectors = 1 + torch.arange(2.0 * sum(lengths)).view(-1, 2)
    before, after, ahead = [], [], []
    for sequence in vectors.split(lengths):
        padded = torch.cat((torch.zeros(1, 2), sequence, torch.zeros(distance, 2)))
        before.append(padded[: len(sequence)])
        after.append(padded[2:][: len(sequence)])
        ahead.append(padded[1 + distance :])
    found = neighbours(vectors, torch.tensor(lengths))
    assert torch.equal(found[0], torch.cat(before))
    assert torch.equal(following(vectors, torch.tensor(lengths), 1), found[1])
    assert torch.equal(following(vectors, torch.tensor(lengths), distance), torch.cat(ahead))
    if distance == 1:
        assert torch.equal(found[1], torch.cat(after))
