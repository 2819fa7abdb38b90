"""Layers that get more rows while they are trained: embeddings, and an output layer.

Rows that are added are parameters of their own. So an optimizer that keeps something of each
parameter, such as its mean or its momentum, has nothing to resize: it meets a new parameter, and
what it knows of the others stays. A state that is saved has all rows in one piece.
"""

from string import digits
from typing import Any

import torch
from torch import Tensor, nn

SMALLEST_BLOCK = 1024  # rows that an embedding gets at least, so that blocks stay few
GROWTH = 2  # an embedding gets a part of the rows that it has: one in so many


class Growing(nn.Module):
    """A layer whose parameters come in blocks of rows: "weight", "weight1", "weight2" and so on."""

    def add_block(self, name: str, rows: Tensor) -> None:
        """Add rows below those of a parameter."""
        number = len(self.blocks(name))
        self.register_parameter(f"{name}{number}", nn.Parameter(rows.detach().clone()))

    def blocks(self, name: str) -> list[Tensor]:
        """Return the blocks of a parameter, the first rows first."""
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
    """An embedding that can get more rows. They begin as what row 0 is, that of UNKNOWN, and are
    trained as differences from it.

    n_rows: How many rows it has at first.
    width: Width of a row.
    differences: Whether all rows but row 0 are differences from it, not only those that are added.
        Then a row is returned as it is: as a difference.
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
        """What the rows that were added are differences from."""
        return 0 if self.differences else self.weight[:1]

    def forward(self, ids: Tensor) -> Tensor:
        """Return (…, width) the row of each id."""
        first, *others = self.blocks("weight")
        if not others:
            return nn.functional.embedding(ids, first)
        # Block by block: a table of all of them would be copied, and so would its gradient.
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
    n_outputs: Width of the output at first.
    """

    def __init__(self, input_width: int, n_outputs: int):
        super().__init__(input_width, n_outputs, dtype=torch.float32)

    def grow(self, n_outputs: int) -> None:
        """Add outputs. Each is the mean of those that there are, so it is never the highest."""
        n_new = n_outputs - len(self.joined("bias"))
        if n_new:
            for name in ("weight", "bias"):
                rows = self.joined(name)
                self.add_block(name, rows.mean(dim=0, keepdim=True).expand(n_new, *rows.shape[1:]))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return (…, n_outputs)."""
        return nn.functional.linear(inputs, self.joined("weight"), self.joined("bias"))
