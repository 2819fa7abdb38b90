"""Windows in, vectors or scores out: a trained network as a CPU predicts with it; NumPy alone.

Without dropout, what a network makes of a word type is the same for all of its tokens: what its
LSTM reads of it, and what the skip connections tell the output. A `Reader` keeps both in tables
that have a row for each type, and computes of each token only what they don't say.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy

from .blas import one_thread
from .inputs import Floats2d, Floats3d, Ints1d, TypeIds, Windows
from .memory import Memory, Tables
from .recurrence import Recurrence, Schedule, schedule
from .weights import Weights, part

ONE_WORD = numpy.ones(1, dtype="int64")  # the length of its text
MAX_TYPES = 2**10  # that are embedded at a time: more would leave the caches


class Reader:
    """Read as an `LSTMEncoder` does, with weights that no longer change.

    memory: What it knows of word types.
    """

    def __init__(self, weights: Weights):
        """Prepare a network for prediction.

        weights (Mapping): The parameters of an `LSTMEncoder`, by name. They are not copied, except
            what is needed in another order.
        """
        self.memory = Memory()
        self._weights = weights
        self._directions = 2 if "layers.0.lstms.1.weight_hh_l0" in weights else 1
        depth = sum(name.endswith(".lstms.0.weight_hh_l0") for name in part(weights, "layers"))
        self._layers = [self._recurrence(f"layers.{i}.lstms") for i in range(depth)]
        has_characters = "characters.embedding.weight" in weights
        self._characters = self._recurrence("characters.layer.lstms") if has_characters else None
        if self._characters:
            embedded = self._characters.project(weights["characters.embedding.weight"])
            self._embedded_characters = embedded

    def _recurrence(self, name: str) -> Recurrence:
        return Recurrence(part(self._weights, name), self._directions)

    @property
    def width(self) -> int:
        """Width of the output."""
        return self._directions * self._layers[-1].width + self._n_inputs * self._input_width

    @property
    def _n_inputs(self) -> int:
        """How many words the skip connections show the output."""
        return 3 if self._directions == 2 else 1

    @property
    def _input_width(self) -> int:
        return self._weights["layers.0.lstms.0.weight_ih_l0"].shape[1]

    def read(self, windows: Windows, describe: Callable[[list[int]], TypeIds]) -> Floats2d:
        """Read the windows of a batch. Safe to call from many threads at a time.

        windows (Windows): The windows, at least one; at each position stands a number by which its
            type is known in other batches, too.
        describe (Callable): Takes the numbers of some types, and returns their `TypeIds`.
        RETURNS (Floats2d): (tokens, width) what the network returns of the tokens.
        """

        with one_thread:
            tables, rows = self._find(windows.types.tolist(), describe)
            order = schedule(windows.lengths, self._directions)
            outputs = self._join(self._run(tables[-1], rows, order), order, tables, rows, windows)
        return outputs if len(windows.kept) == len(outputs) else outputs[windows.kept]

    def _find(
        self, types: list[int], describe: Callable[[list[int]], TypeIds]
    ) -> tuple[Tables, Ints1d]:
        """Return tables, and the row in them for each type; see `Memory.find`."""

        def make(types: list[int]) -> Tables:
            parts = [types[i : i + MAX_TYPES] for i in range(0, len(types), MAX_TYPES)]
            tables = [self._tables_of(self.embed(describe(some))) for some in parts]
            if len(tables) == 1:
                return tables[0]
            return [numpy.concatenate(table) for table in zip(*tables, strict=True)]

        return self.memory.find(types, make)

    def embed(self, types: TypeIds) -> Floats2d:
        """Return (types, input_width): what the LSTM over words reads of each type. An id that the
        vocabulary got later than these weights is UNKNOWN to them.
        """
        weights = self._weights
        words = weights["words.weight"]
        ids = _known(types.words, words)
        vectors = words[ids]
        vectors[ids == 0] = 0  # a word's embedding is its difference from UNKNOWN
        vectors += words[0]
        if "affixes.weight" in weights:
            rows = weights["affixes.weight"]
            for affix in _known(types.affixes, rows).T:
                vectors += rows[affix]
        if "vectors.weight" in weights:
            vectors += types.vectors @ weights["vectors.weight"].T
        appended = [] if self._characters is None else [self._spell(types)]
        if "vectors.output.weight" in weights:
            hidden = types.vectors @ weights["vectors.hidden.weight"].T
            hidden = numpy.maximum(hidden + weights["vectors.hidden.bias"], 0)
            appended.append(hidden @ weights["vectors.output.weight"].T)
        return numpy.concatenate((vectors, *appended), axis=1) if appended else vectors

    def _spell(self, types: TypeIds) -> Floats2d:
        """Return (types, directions * width): what the LSTM over characters ends with."""
        assert self._characters
        order = schedule(types.spelling_lengths, self._directions)
        spellings = _known(types.spellings, self._weights["characters.embedding.weight"])
        gates_of = self._characters.gates_of_types(
            self._embedded_characters, spellings[order.positions]
        )
        states = self._characters.run(gates_of, order.columns)
        ends = types.spelling_lengths.cumsum()
        last_read = (ends - 1, ends - types.spelling_lengths)
        return numpy.concatenate(
            [
                own[cells[last]]
                for own, cells, last in zip(states, order.cells, last_read, strict=False)
            ],
            axis=1,
        )

    def _tables_of(self, vectors: Floats2d) -> Tables:
        """Return tables, (types, width) each: what the output needs of a type, and last what it
        tells the gates of the first LSTM.

        vectors: (types, input_width) what `embed` returned.
        """
        return [vectors, self._layers[0].project(vectors)]

    def _run(
        self,
        projected: Floats2d,
        rows: Ints1d,
        order: Schedule,
        layer_states: Sequence[Floats3d | None] = (None,) * 3,
    ) -> Floats3d:
        """Return (directions, cells, width): hidden states of the last layer.

        layer_states: For each layer what `Recurrence.run` calls its state.
        """
        first, *others = self._layers
        gates_of = first.gates_of_types(projected, rows[order.positions])
        states = first.run(gates_of, order.columns, layer_states[0])
        for layer, state in zip(others, layer_states[1:], strict=False):
            below = numpy.concatenate(
                [own[cells] for own, cells in zip(states, order.cells, strict=True)], axis=1
            )
            gates_of = layer.gates_of_states(below, order.positions)
            states = layer.run(gates_of, order.columns, state)
        return states

    def _look_up(self, tables: Tables, rows: Ints1d, lengths: Ints1d) -> Iterator[Floats2d]:
        """Yield (positions, width) for each skip connection: what a table says of the word at a
        position, of the one before it, and of the one after it; zeros where there is none.
        """
        yield tables[0][rows]
        if self._n_inputs == 3:
            before, after = numpy.empty_like(rows), numpy.empty_like(rows)
            before[1:], after[:-1] = rows[:-1], rows[1:]
            ends = lengths.cumsum()
            before[ends - lengths] = after[ends - 1] = 0
            yield tables[1 % len(tables)][before]
            yield tables[2 % len(tables)][after]

    def _join(
        self, states: Floats3d, order: Schedule, tables: Tables, rows: Ints1d, windows: Windows
    ) -> Floats2d:
        """Return the network's output at all positions."""
        hidden = [own[cells] for own, cells in zip(states, order.cells, strict=True)]
        inputs = self._look_up(tables[:1], rows, windows.lengths)
        return numpy.concatenate((*hidden, *inputs), axis=1)


def _known(ids: Ints1d, rows: Floats2d) -> Ints1d:
    """Return ids, UNKNOWN (0) for those that have no row."""
    return numpy.where(ids < len(rows), ids, 0)


class TaggerReader(Reader):
    """Read as a `TaggerNetwork` does: the output layer scores the skip connections once for each
    type, and hidden states where the recurrence left them.

    lookahead: How many of the words that follow have a say in the scores of a word.
    """

    def __init__(self, weights: Weights):
        super().__init__(weights)
        self._bias = weights["output.bias"]
        columns = numpy.ascontiguousarray(weights["output.weight"].T)
        n_of_states = len(columns) - self._n_inputs * self._input_width
        n_states = n_of_states // self._layers[-1].width
        self.lookahead = n_states - self._directions
        parts = numpy.split(columns[:n_of_states], n_states)
        self._of_states, self._of_next = parts[: self._directions], parts[self._directions :]
        self._of_inputs = numpy.split(columns[n_of_states:], self._n_inputs)

    @property
    def width(self) -> int:
        """Number of labels."""
        return len(self._bias)

    def _tables_of(self, vectors: Floats2d) -> Tables:
        scores = [vectors @ weights for weights in self._of_inputs]
        scores[0] += self._bias
        return [*scores, self._layers[0].project(vectors)]

    def _join(
        self, states: Floats3d, order: Schedule, tables: Tables, rows: Ints1d, windows: Windows
    ) -> Floats2d:
        skips = self._look_up(tables[:-1], rows, windows.lengths)
        scores = next(skips)
        for found in skips:
            scores += found
        for own, weights, cells in zip(states, self._of_states, order.cells, strict=True):
            scores += (own @ weights)[cells]
        ends = windows.lengths.cumsum().repeat(windows.lengths)
        for distance, weights in enumerate(self._of_next, start=1):
            there = numpy.arange(distance, distance + len(rows))
            here = numpy.flatnonzero(there < ends)
            scores[here] += (states[0] @ weights)[order.cells[0, there[here]]]
        return scores

    def start(self) -> list[Floats3d]:
        """Return the state before the first word: zeros, (2, 1, width) for each layer."""
        return [numpy.zeros((2, 1, layer.width), dtype="float32") for layer in self._layers]

    def step(
        self,
        word: int,
        describe: Callable[[list[int]], TypeIds],
        state: list[Floats3d],
    ) -> Floats2d:
        """Read the next word of a text from left to right.

        word (int): The number of its type.
        describe (Callable): As for `read`.
        state (list[Floats3d]): What `start` returned, or what the step before left there;
            overwritten.
        RETURNS (Floats2d): (1 + lookahead, labels) what the word adds to its own scores, to those
            of the word before it, and so on.
        """
        with one_thread:
            tables, rows = self._find([word], describe)
            (hidden,) = self._run(tables[-1], rows, schedule(ONE_WORD, 1), state)
            scores = [hidden[0] @ weights for weights in (*self._of_states, *self._of_next)]
            scores[0] += tables[0][rows[0]]
        return numpy.stack(scores)


def reader_of(weights: Weights) -> Reader:
    """Prepare the network that has these weights for prediction."""
    return TaggerReader(weights) if "output.weight" in weights else Reader(weights)
