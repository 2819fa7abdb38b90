"""LSTMs over sequences of mixed lengths."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from .growing import GrowingEmbedding

SIMILARITY = 0.7  # of lengths in a grid; less costs more padding, more costs more calls
SMALL_GRID = 256  # cells of padding that take as long as a call


class State(NamedTuple):
    """The state of all LSTMs over words, between two parts of a text.

    hidden, cell: (layers * directions, windows, width) each; layer by layer, left to right first.
    """

    hidden: Tensor
    cell: Tensor


class Layout(NamedTuple):
    """Sequences that are stored one after another, arranged in grids: a column is a sequence, a row
    is a time step. Sequences of similar length share a grid.

    columns: For each grid, (columns,) the sequence in each column.
    grids: For each direction of reading, for each grid: (steps, columns) the position in each cell.
        Columns are padded with the last position of their sequence.
    cells: For each direction, (positions,) the cell that reads each position. Cells are numbered
        row by row, grid by grid.
    """

    columns: list[Tensor]
    grids: list[list[Tensor]]
    cells: list[Tensor]


def lay_out(lengths: Tensor, directions: int, *, padded: bool = True) -> Layout:
    """Lay out sequences for LSTMs. This replaces `PackedSequence`, for which PyTorch does not use
    oneDNN if lengths are mixed: on a CPU that takes two to three times as long.

    lengths (Tensor): (sequences,) at least one sequence, each of at least one position.
    directions (int): 1 for left to right only, 2 for both.
    padded (bool): Whether sequences of similar length share a grid, and sequences of any length a
        small grid; if not, only sequences of equal length do.
    RETURNS (Layout): The layout.
    """
    if len(lengths) == 1:  # fast path
        steps = torch.arange(int(lengths), device=lengths.device)
        both = [steps, steps.flip(0)][:directions]
        return Layout([torch.zeros_like(lengths)], [[grid[:, None]] for grid in both], both)
    ranked, ranks = lengths.sort(descending=True, stable=True)
    different, counts = ranked.unique_consecutive(return_counts=True)
    sizes, longest = [0], int(ranked[0])
    for length, count in zip(different.tolist(), counts.tolist(), strict=True):
        is_similar = length >= SIMILARITY * longest or sizes[-1] * longest < SMALL_GRID
        if length < longest and not (padded and is_similar):
            longest = length
            sizes.append(0)
        sizes[-1] += count
    starts = lengths.cumsum(0) - lengths
    columns = list(ranks.split(sizes))
    grids: list[list[Tensor]] = [[] for _ in range(directions)]
    cells = [starts.new_empty(int(lengths.sum())) for _ in range(directions)]
    n_cells = 0
    for sequences in columns:
        length, start = lengths[sequences], starts[sequences]
        steps = torch.arange(int(length[0]), device=lengths.device)[:, None]
        offsets = torch.minimum(steps, length - 1)
        numbers = n_cells + torch.arange(offsets.numel(), device=lengths.device).view_as(offsets)
        is_read = steps < length
        for direction in range(directions):
            grid = start + (length - 1 - offsets if direction else offsets)
            grids[direction].append(grid)
            cells[direction][grid[is_read]] = numbers[is_read]
        n_cells += offsets.numel()
    return Layout(columns, grids, cells)


def neighbours(vectors: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Return the previous and the next vectors, (positions, width) each; zeros at the ends.

    vectors (Tensor): (positions, width), sequences one after another.
    lengths (Tensor): (sequences,) each at least 1.
    """
    ends = lengths.cumsum(0)
    before, after = vectors.roll(1, 0), vectors.roll(-1, 0)
    before[ends - lengths] = 0
    after[ends - 1] = 0
    return before, after


def following(vectors: Tensor, lengths: Tensor, distance: int) -> Tensor:
    """Return the vectors at a distance to the right, (positions, width); zeros beyond the ends.

    vectors (Tensor): (positions, width), sequences one after another.
    lengths (Tensor): (sequences,) each at least 1.
    distance (int): Number of positions.
    """
    ends = lengths.cumsum(0).repeat_interleave(lengths)
    there = torch.arange(len(vectors), device=vectors.device) + distance
    return vectors.roll(-distance, 0) * (there < ends)[:, None]


class LSTMLayer(nn.Module):
    """An LSTM for each direction of reading, left to right first.

    input_width: Width of the input.
    width: Width of the LSTM, per direction.
    directions: 1 for left to right only, 2 for both.
    """

    def __init__(self, input_width: int, width: int, directions: int):
        super().__init__()
        self.lstms = nn.ModuleList(
            nn.LSTM(input_width, width, dtype=torch.float32) for _ in range(directions)
        )

    def forward(
        self, inputs: Tensor, layout: Layout, state: State | None = None
    ) -> tuple[Tensor, State | None]:
        """Read sequences.

        inputs (Tensor): (positions, input_width).
        layout (Layout): The arrangement of the sequences; not padded, if there is a state. Its
            `cells` can be a selection.
        state (State | None): (directions, sequences, width) each, the initial state; None for
            zeros.
        RETURNS (tuple[Tensor, State | None]): (cells, directions * width) hidden states; and the
            final state, if an initial one was given.
        """
        outputs = []
        end = state and State(*map(torch.empty_like, state))
        for i, (lstm, grids) in enumerate(zip(self.lstms, layout.grids, strict=True)):
            cells = []
            for columns, grid in zip(layout.columns, grids, strict=True):
                begin = state and (state.hidden[i, None, columns], state.cell[i, None, columns])
                rows = inputs.index_select(0, grid.flatten()).view(*grid.shape, -1)
                output, (hidden, cell) = lstm(rows, begin)
                cells.append(output.flatten(0, 1))
                if end is not None:
                    end.hidden[i, columns], end.cell[i, columns] = hidden[0], cell[0]
            outputs.append(torch.cat(cells).index_select(0, layout.cells[i]))
        return torch.cat(outputs, dim=1), end


class CharacterLSTM(nn.Module):
    """An LSTM over the characters of each word (Ling et al. 2015).

    n_characters: Number of characters in the vocabulary, without UNKNOWN.
    character_width: Width of the embedding of a character.
    lstm_width: Width of the LSTM, per direction.
    directions: 1 for left to right only, 2 for both.
    """

    def __init__(self, n_characters: int, character_width: int, lstm_width: int, directions: int):
        super().__init__()
        self.embedding = GrowingEmbedding(1 + n_characters, character_width)
        nn.init.normal_(self.embedding.weight, std=0.3)
        self.layer = LSTMLayer(character_width, lstm_width, directions)

    def forward(self, spellings: Tensor, lengths: Tensor) -> Tensor:
        """Return (types, directions * lstm_width): the final hidden state for each type.

        spellings: (characters,) ids of the characters of all types, one type after another.
        lengths: (types,) number of characters of each type.
        """
        layout = lay_out(lengths, len(self.layer.lstms))
        ends = lengths.cumsum(0)
        last_read = (ends - 1, ends - lengths)
        cells = [cells[last] for cells, last in zip(layout.cells, last_read, strict=False)]
        outputs, _ = self.layer(self.embedding(spellings), layout._replace(cells=cells))
        return outputs
