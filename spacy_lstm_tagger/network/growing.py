"""Layers that can get more rows during training: embeddings, and an output layer.

New rows are separate parameters. So an optimizer that stores momentum or averages of each
parameter has nothing to resize: it meets a new parameter, and keeps what it stored of the others.
In a saved state, all rows are one array.
"""

from collections.abc import Sequence
from string import digits
from typing import Any

import torch
from torch import Tensor, nn

SMALLEST_BLOCK = 1024  # rows that an embedding grows by at least, so that blocks stay few
GROWTH = 2  # an embedding grows by at least 1 / GROWTH of its rows


class Growing(nn.Module):
    """A layer whose parameters are blocks of rows: "weight", "weight1", "weight2" and so on."""

    def add_block(self, name: str, rows: Tensor) -> None:
        """Add rows below those of a parameter."""
        number = len(self.blocks(name))
        self.register_parameter(f"{name}{number}", nn.Parameter(rows.detach().clone()))

    def blocks(self, name: str) -> list[Tensor]:
        """Return the blocks of a parameter in order."""
        return [block for key, block in self.named_parameters() if key.rstrip(digits) == name]

    def joined(self, name: str) -> Tensor:
        """Return all rows of a parameter."""
        first, *others = self.blocks(name)
        return torch.cat((first, *others)) if others else first

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        for name in dict.fromkeys(key.rstrip(digits) for key in self._parameters):
            rows = self.joined(name)
            destination[prefix + name] = rows if keep_vars else rows.detach()


class GrowingEmbedding(Growing, nn.Embedding):
    """An embedding that can get more rows. New rows equal row 0, the row of UNKNOWN, at first, and
    are trained as differences from it.

    n_rows: Initial number of rows.
    width: Width of a row.
    differences: Whether the first rows are differences from row 0, too. Then all rows are returned
        as differences.
    """

    def __init__(self, n_rows: int, width: int, *, differences: bool = False):
        super().__init__(n_rows, width, dtype=torch.float32)
        self.n_rows, self.differences = n_rows, differences

    def grow(self, n_rows: int) -> None:
        """Make room for more rows."""
        room = sum(map(len, self.blocks("weight")))
        if n_rows > room:
            size = max(SMALLEST_BLOCK, room // GROWTH, n_rows - room)
            self.add_block("weight", self.weight.new_zeros(size, self.embedding_dim))
        self.n_rows = n_rows

    def joined(self, name: str = "weight") -> Tensor:
        """Return all rows, (n_rows, width)."""
        first, *others = self.blocks(name)
        if not others:
            return first
        return torch.cat((first, *(self._start + block for block in others)))[: self.n_rows]

    @property
    def _start(self) -> Tensor | int:
        """The row that new rows are differences from, if they are not returned as differences."""
        return 0 if self.differences else self.weight[:1]

    def forward(self, ids: Tensor) -> Tensor:
        """Return (…, width) the row of each id."""
        first, *others = self.blocks("weight")
        if not others:
            return nn.functional.embedding(ids, first)
        # Block by block: joining them would copy all rows, and their gradient.
        flat, begin, places, rows = ids.flatten(), 0, [], []
        for block in (first, *others):
            place = ((flat >= begin) & (flat < begin + len(block))).nonzero()[:, 0]
            found = nn.functional.embedding(flat[place] - begin, block)
            places.append(place)
            rows.append(self._start + found if begin else found)
            begin += len(block)
        order = torch.cat(places).argsort()
        return torch.cat(rows).index_select(0, order).view(*ids.shape, -1)


class GrowingLinear(Growing, nn.Linear):
    """A linear layer with a bias that can get more outputs.

    input_width: Width of the input.
    n_outputs: Initial width of the output.
    """

    def __init__(self, input_width: int, n_outputs: int):
        super().__init__(input_width, n_outputs, dtype=torch.float32)

    def grow(self, n_outputs: int, peers: Sequence[Sequence[int]] | None = None) -> None:
        """Add outputs. Each is the mean of the existing ones, so it is never the highest.

        n_outputs: Number of outputs, with the new ones.
        peers: The outputs that each new one is the mean of; None for all.
        """
        n_new = n_outputs - len(self.joined("bias"))
        if not n_new:
            return
        for name in ("weight", "bias"):
            rows = self.joined(name)
            if peers is None:
                new = rows.mean(dim=0, keepdim=True).expand(n_new, *rows.shape[1:])
            else:
                new = rows[torch.tensor(peers, device=rows.device)].mean(dim=1)
            self.add_block(name, new)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return (…, n_outputs)."""
        return nn.functional.linear(inputs, self.joined("weight"), self.joined("bias"))
