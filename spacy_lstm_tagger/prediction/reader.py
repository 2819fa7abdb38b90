"""Prediction on a CPU: a trained network, run by NumPy.

Without dropout, a word type gives the same input to the LSTM, and the same scores by the skip
connections, wherever it occurs. A `Reader` caches both for each type, and computes the rest for
each token.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from zlib import crc32

import numpy

from .blas import one_thread
from .cache import Tables, TypeCache
from .config import EncoderConfig, TaggerConfig, Weights, weights_of
from .recurrence import Recurrence, Schedule, schedule
from .types import Floats2d, Floats3d, Ints1d, Ints2d, Keys1d, TypeIds, Windows

ONE_WORD = numpy.ones(1, dtype="int64")  # the length of a text of one word
BLOCK_ROWS = 2**9  # whose scores are added up at a time, so that they stay in the cache
MAX_TYPES = 2**10  # embedded at a time: more would leave the processor's caches

Describe = Callable[[list[int]], TypeIds]


class Reader:
    """Compute what an `LSTMEncoder` computes, with weights that no longer change.

    cache: Tables with a row for each word type.
    """

    def __init__(self, config: EncoderConfig, weights: Weights):
        """Prepare a network for prediction.

        config (EncoderConfig): Its settings.
        weights (Mapping): Its parameters by name. They are copied only where another memory layout
            is needed.
        """
        self.config = config
        self.cache = TypeCache()
        self._weights = weights
        self._layers = [self._recurrence(f"layers.{i}.lstms") for i in range(config.depth)]
        self._characters: Recurrence | None = None
        if config.character_lstm_width:
            self._characters = self._recurrence("characters.layer.lstms")
            embeddings = weights["characters.embedding.weight"]
            self._character_gates = self._characters.project(embeddings)

    def _recurrence(self, module: str) -> Recurrence:
        return Recurrence(weights_of(self._weights, module), self.config.directions)

    @property
    def width(self) -> int:
        """Width of the output."""
        return self.config.width

    @cached_property
    def checksum(self) -> int:
        """A checksum of the weights."""
        checksum = 0
        for name, values in sorted(self._weights.items()):
            checksum = crc32(numpy.ascontiguousarray(values).data, crc32(name.encode(), checksum))
        return checksum

    def read(self, keys: Keys1d, windows: Windows, describe: Describe) -> Floats2d:
        """Read the windows of a batch. Safe to call from many threads at a time.

        keys (Keys1d): (tokens,) the key of each token's type, the same in every batch.
        windows (Windows): At least one window.
        describe (Callable): Takes the keys of some types, and returns their `TypeIds`.
        RETURNS (Floats2d): (kept, width) the network's output for each token that is kept.
        """
        with one_thread:
            tables, rows = self._find(keys[windows.tokens].tolist(), describe)
            order = schedule(windows.lengths, self.config.directions)
            states = self._run(tables[-1], rows, order)
            return self._join(states, order.cells, tables, rows, windows)

    def _find(self, keys: list[int], describe: Describe) -> tuple[Tables, Ints1d]:
        """Return tables, and the row of each key in them; see `TypeCache.find`."""

        def make(keys: list[int]) -> Tables:
            parts = [keys[i : i + MAX_TYPES] for i in range(0, len(keys), MAX_TYPES)]
            tables = [self._tables_of(self.embed(describe(part))) for part in parts]
            if len(tables) == 1:
                return tables[0]
            return [numpy.concatenate(table) for table in zip(*tables, strict=True)]

        return self.cache.find(keys, make)

    def embed(self, types: TypeIds) -> Floats2d:
        """Return (types, input_width): the input of the LSTM over words for each type. Ids that the
        vocabulary got after these weights were prepared are UNKNOWN.
        """
        weights = self._weights
        words = weights["words.weight"]
        ids = _known(types.words, words)
        vectors = words[ids]
        vectors[ids == 0] = 0  # rows are differences from the row of UNKNOWN
        vectors += words[0]
        if self.config.affixes:
            rows = weights["affixes.weight"]
            for affix in _known(types.affixes, rows).T:
                vectors += rows[affix]
        appended = [] if self._characters is None else [self._spell(types)]
        if self.config.include_static_vectors:
            hidden = types.vectors @ weights["vectors.hidden.weight"].T
            hidden = numpy.maximum(hidden + weights["vectors.hidden.bias"], 0)
            appended.append(hidden @ weights["vectors.output.weight"].T)
        return numpy.concatenate((vectors, *appended), axis=1) if appended else vectors

    def _spell(self, types: TypeIds) -> Floats2d:
        """Return (types, directions * width): the final states of the LSTM over characters."""
        assert self._characters
        order = schedule(types.spelling_lengths, self.config.directions)
        spellings = _known(types.spellings, self._weights["characters.embedding.weight"])
        inputs_of = self._characters.inputs_of_types(self._character_gates, spellings, order)
        states = self._characters.run(inputs_of, order.columns)
        ends = types.spelling_lengths.cumsum()
        last_read = (ends - 1, ends - types.spelling_lengths)
        cells = [read[last] for read, last in zip(order.cells.T, last_read, strict=False)]
        return _side_by_side(states, numpy.stack(cells, axis=1))

    def _tables_of(self, vectors: Floats2d) -> Tables:
        """Return tables, (types, width) each: what the skip connections need of a type, and last
        the gates of the first LSTM.

        vectors: (types, input_width) what `embed` returned.
        """
        return [vectors, self._layers[0].project(vectors)]

    def _run(
        self,
        gates: Floats2d,
        rows: Ints1d,
        order: Schedule,
        layer_states: Sequence[Floats3d | None] = (None,) * 3,
    ) -> Floats2d:
        """Return (cells, width): the hidden states of the last layer.

        gates: (types, ...) the last table that `_tables_of` returned.
        rows: (positions,) the row of each position in it.
        layer_states: For each layer the `state` of `Recurrence.run`.
        """
        first, *others = self._layers
        inputs_of = first.inputs_of_types(gates, rows, order)
        states = first.run(inputs_of, order.columns, layer_states[0])
        for layer, state in zip(others, layer_states[1:], strict=False):
            inputs_of = layer.inputs_of_states(_side_by_side(states, order.cells), order)
            states = layer.run(inputs_of, order.columns, state)
        return states

    def _skip_rows(self, rows: Ints1d, lengths: Ints1d) -> Iterator[Ints1d]:
        """Yield (positions,) for each skip connection: the row of the word at a position, of the
        word before it, and of the word after it; 0 at the ends of windows.
        """
        yield rows
        if self.config.n_skips == 3:
            before, after = numpy.empty_like(rows), numpy.empty_like(rows)
            before[1:], after[:-1] = rows[:-1], rows[1:]
            ends = lengths.cumsum()
            before[ends - lengths] = after[ends - 1] = 0
            yield before
            yield after

    def _join(
        self, states: Floats2d, cells: Ints2d, tables: Tables, rows: Ints1d, windows: Windows
    ) -> Floats2d:
        """Return (kept, width): the network's output."""
        kept, skips = windows.kept, self._skip_rows(rows, windows.lengths)
        hidden = _side_by_side(states, cells[kept])
        of_skips = [tables[0].take(some[kept], axis=0) for some in skips]
        return numpy.concatenate((hidden, *of_skips), axis=1)


def _side_by_side(states: Floats2d, cells: Ints2d) -> Floats2d:
    """Return (positions, directions * width): the states of the cells of each position."""
    return states.take(cells, axis=0).reshape(len(cells), cells.shape[1] * states.shape[1])


def _known(ids: Ints1d, rows: Floats2d) -> Ints1d:
    """Return ids, UNKNOWN (0) for those that have no row."""
    return numpy.where(ids < len(rows), ids, 0)


class TaggerReader(Reader):
    """Compute what a `TaggerNetwork` computes. The scores of the skip connections are computed once
    for each type.
    """

    config: TaggerConfig

    def __init__(self, config: TaggerConfig, weights: Weights):
        super().__init__(config, weights)
        self._bias = weights["output.bias"]
        columns = numpy.ascontiguousarray(weights["output.weight"].T)
        from_states, from_skips = numpy.split(columns, [config.n_states * config.lstm_width])
        n_read = config.directions * config.lstm_width
        self._of_states = from_states[:n_read]
        self._of_following = from_states[n_read:].reshape(-1, config.lstm_width, self.width)
        self._of_skips = numpy.split(from_skips, config.n_skips)

    @property
    def width(self) -> int:
        """Number of labels."""
        return len(self._bias)

    def _tables_of(self, vectors: Floats2d) -> Tables:
        scores = [vectors @ weights for weights in self._of_skips]
        scores[0] += self._bias
        return [*scores, self._layers[0].project(vectors)]

    def _join(
        self, states: Floats2d, cells: Ints2d, tables: Tables, rows: Ints1d, windows: Windows
    ) -> Floats2d:
        """Return (kept, labels): the scores."""
        kept, skips = windows.kept, list(self._skip_rows(rows, windows.lengths))
        scores = numpy.empty((len(kept), self.width), dtype="float32")
        for begin in range(0, len(kept), BLOCK_ROWS):
            here, block = kept[begin : begin + BLOCK_ROWS], scores[begin : begin + BLOCK_ROWS]
            numpy.matmul(_side_by_side(states, cells[here]), self._of_states, out=block)
            for table, some in zip(tables, skips, strict=False):
                block += table.take(some[here], axis=0)
        for distance, weights in enumerate(self._of_following, start=1):
            there = kept + distance
            exists = there < windows.lengths.cumsum().repeat(windows.lengths)[kept]
            scores[exists] += states[cells[there[exists], 0]] @ weights
        return scores

    def start(self) -> list[Floats3d]:
        """Return the state before the first word: zeros, (2, 1, width) for each layer."""
        return [numpy.zeros((2, 1, layer.width), dtype="float32") for layer in self._layers]

    def step(self, key: int, describe: Describe, state: list[Floats3d]) -> Floats2d:
        """Read the next word of a text from left to right.

        key (int): The key of its type.
        describe (Callable): As for `read`.
        state (list[Floats3d]): What `start` returned, or the state after the step before;
            overwritten.
        RETURNS (Floats2d): (1 + lookahead, labels) what the word contributes to its own scores, to
            those of the word before it, and so on.
        """
        with one_thread:
            tables, rows = self._find([key], describe)
            (hidden,) = self._run(tables[-1], rows, schedule(ONE_WORD, 1), state)
            scores = [hidden @ weights for weights in (self._of_states, *self._of_following)]
            scores[0] += tables[0][rows[0]]
        return numpy.stack(scores)


def reader_of(config: EncoderConfig, weights: Weights) -> Reader:
    """Prepare a network for prediction."""
    if isinstance(config, TaggerConfig):
        return TaggerReader(config, weights)
    return Reader(config, weights)
