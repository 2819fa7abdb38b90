"""A trained network in, the same network in a form that predicts fast out; pure PyTorch.

Without dropout, what a network makes of a word type is the same for all of its tokens: what the
LSTM reads of it, and what the skip connections tell the output. A `Reader` keeps both in tables
that have a row for each type, and computes of each token only what they don't say.
"""

from collections.abc import Callable, Iterator, Sequence
from threading import Lock
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

from .encoder import LSTMEncoder, TaggerNetwork
from .inputs import TypeIds, Windows
from .lstm import lay_out
from .memory import Memory, Tables
from .recurrence import PackedLinear, Recurrence

MAX_TYPES = 2**12  # that are embedded at a time: more would cost memory, not save time
MIN_COLUMNS = 16  # sequences side by side that make a `Recurrence` faster than an `nn.LSTM`


class Reader:
    """Read as an encoder does whose weights won't change any more.

    memory: What it knows of word types.
    """

    def __init__(self, network: LSTMEncoder, bf16: bool):
        """Prepare a network for prediction on its device.

        network (LSTMEncoder): The network.
        bf16 (bool): Whether its LSTMs over words shall compute in bfloat16.
        """
        self.network, self.bf16, self.memory = network, bf16, Memory()
        self._turn = Lock()
        is_on_cpu = network.words.weight.device.type == "cpu"
        first: Any = network.layers[0]
        self._recurrence = Recurrence(first) if is_on_cpu and not bf16 else None

    def read(
        self,
        keys: Sequence[int],
        describe: Callable[[Sequence[int]], TypeIds],
        windows: Windows,
        *,
        remember: bool = True,
    ) -> Tensor:
        """Read the windows of a batch. Safe to call from many threads at a time.

        keys (Sequence[int]): (types,) a number by which each type is known in other batches.
        describe (Callable): Takes the indices of some types, and returns their `TypeIds`.
        windows (Windows): The windows, at least one.
        remember (bool): Whether to remember types from batch to batch.
        RETURNS (Tensor): (tokens, width) what the network returns of the tokens.
        """

        def tables_of(some: Sequence[int]) -> Tables:
            parts = [some[i : i + MAX_TYPES] for i in range(0, len(some), MAX_TYPES)]
            tables = [self._tables_of(describe(part)) for part in parts]
            return [torch.cat(table) for table in zip(*tables, strict=True)]

        if not remember:
            return self._read(tables_of(range(len(keys))), windows)
        tables, rows = self.memory.find(keys, tables_of)
        types = torch.tensor(rows, device=windows.types.device)[windows.types]
        return self._read(tables, windows._replace(types=types))

    def _tables_of(self, types: TypeIds) -> Tables:
        """Return tables, (types, width) each: what the LSTM reads, what the output needs of it,
        and last, if there is a `Recurrence`, what that reads.
        """
        vectors = self.network.embed(types)
        tables = [vectors, *self._skips(vectors)]
        return [*tables, self._recurrence.project(vectors)] if self._recurrence else tables

    def _read(self, tables: Tables, windows: Windows) -> Tensor:
        """Read windows whose types are rows of tables."""
        device = tables[0].device.type
        with torch.autocast(device, torch.bfloat16, enabled=self.bf16):
            hidden = self._run(tables, windows.types, windows.lengths)
        outputs = self._join(hidden.float(), tables, windows)
        if len(windows.kept) < len(outputs):
            outputs = outputs.index_select(0, windows.kept)
        return outputs

    def _run(self, tables: Tables, types: Tensor, lengths: Tensor) -> Tensor:
        """Return (positions, directions * width) hidden states of the last layer."""
        first, *others = self.network.layers
        hidden = self._recur(tables[-1], types, lengths)
        if hidden is not None and not others:
            return hidden
        layout = lay_out(lengths, self.network.directions)
        if hidden is None:  # straight from the types
            by_type = [[types[grid] for grid in grids] for grids in layout.grids]
            hidden, _ = first(tables[0], layout._replace(grids=by_type))
        for layer in others:
            hidden, _ = layer(hidden, layout)
        return hidden

    def _recur(self, projected: Tensor, types: Tensor, lengths: Tensor) -> Tensor | None:
        """Run the first layer as a `Recurrence`, if that is faster. One thread does so at a time,
        as Python takes part in each step: several would wait for each other at each, while an
        `nn.LSTM` leaves Python alone.
        """
        is_dense = len(types) >= MIN_COLUMNS * lengths.max()
        if not self._recurrence or not is_dense or not self._turn.acquire(blocking=False):
            return None
        try:
            return self._recurrence.run(projected, types, lengths)
        finally:
            self._turn.release()

    def _look_up(self, tables: Tables, windows: Windows) -> Iterator[Tensor]:
        """Yield (positions, width) for each skip connection: what a table says of the word at a
        position, of the one before it, and of the one after it; zeros where there is none.
        """
        ends = windows.lengths.cumsum(0)
        neighbours = ((0, ends[:0]), (1, ends - windows.lengths), (-1, ends - 1))
        for i, (shift, outside) in enumerate(neighbours[: self.network.n_inputs]):
            found = tables[i % len(tables)].index_select(0, windows.types.roll(shift))
            found[outside] = 0
            yield found

    def _skips(self, vectors: Tensor) -> list[Tensor]:
        """Return what the output needs of a type that is not what the LSTM reads of it."""
        return []

    def _join(self, hidden: Tensor, tables: Tables, windows: Windows) -> Tensor:
        """Return the network's output at all positions."""
        return torch.cat((hidden, *self._look_up(tables[:1], windows)), dim=1)


class TaggerReader(Reader):
    """Read as a tagger does: the output layer scores the skip connections once for each type."""

    def __init__(self, network: TaggerNetwork, bf16: bool):
        super().__init__(network, bf16)
        hidden_width = network.width - network.n_inputs * network.input_width
        weight = network.output.weight
        self._skip_weights = weight[:, hidden_width:].split(network.input_width, dim=1)
        self._output = PackedLinear(weight[:, :hidden_width], network.output.bias)

    def _skips(self, vectors: Tensor) -> list[Tensor]:
        return [linear(vectors, weight) for weight in self._skip_weights]

    def _join(self, hidden: Tensor, tables: Tables, windows: Windows) -> Tensor:
        scores = self._output(hidden)
        for found in self._look_up(tables[1 : 1 + len(self._skip_weights)], windows):
            scores += found
        return scores


def reader_of(network: LSTMEncoder, bf16: bool) -> Reader:
    """Prepare a network for prediction; arguments as `Reader`'s."""
    if isinstance(network, TaggerNetwork):
        return TaggerReader(network, bf16)
    return Reader(network, bf16)
