"""Words in, one at a time, labelled words out, as soon as their labels are decided."""

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import numpy
from thinc.types import Floats2d

from ..model.streaming import WordReader

Decide = Callable[[list[str], Floats2d], list[tuple[str, float]]]


class TaggedWord(NamedTuple):
    """A word of a stream, its label, and the probability of that label."""

    word: str
    label: str
    confidence: float


class TokenStream:
    """Tag words as they come. Each is read once, in the same time however long the stream is; its
    label is decided when as many words as the model's lookahead have followed. Labels and
    probabilities are those of a Doc that has all the words. A stream belongs to one thread.
    """

    def __init__(self, reader: WordReader, decide: Decide, state: dict[str, Any] | None = None):
        """Begin a stream.

        reader (WordReader): Reads the words.
        decide (Callable): Takes words and their scores, (words, labels); returns the label of
            each, and its probability.
        state (dict[str, Any] | None): Where to go on: the `state` of another stream.
        RAISES: ValueError if the state is not one of the same model.
        """
        self._reader, self._decide = reader, decide
        self._states = reader.start()
        self._words: list[str] = []
        self._scores: list[Any] = []  # (labels,) of each of these words, as far as they are known
        self._is_finished = False
        if state is not None:
            self._go_on(state)

    def push(self, word: str) -> list[TaggedWord]:
        """Read the next word.

        word (str): The word, as the tokenizer of the pipeline would have it.
        RETURNS (list[TaggedWord]): What is decided now: the word before which the last `lookahead`
            words follow, or nothing at the beginning of a stream.
        RAISES: ValueError if it is no string or an empty one, or if the stream is finished.
        """
        self._check_open()
        if not isinstance(word, str) or not word:
            raise ValueError(f"a stream takes one word at a time, a string, not {word!r:.80}")
        states = [state.copy() for state in self._states]
        own, *of_others = self._reader.read(word, states)
        before = self._scores[::-1]
        scores = [known + added for known, added in zip(before, of_others, strict=False)]
        self._states = states
        self._words, self._scores = [*self._words, word], [*scores[::-1], own]
        return self._take(len(self._words) - self._reader.lookahead)

    def finish(self) -> list[TaggedWord]:
        """End the stream; to do so again does nothing.

        RETURNS (list[TaggedWord]): The words that were not decided yet.
        """
        self._is_finished = True
        return self._take(len(self._words))

    @property
    def state(self) -> dict[str, Any]:
        """Where the stream stands, as plain values that JSON can hold, for `LSTMTagger.stream`;
        ValueError if it is finished.
        """
        self._check_open()
        return {
            "layers": [state[:, 0].tolist() for state in self._states],
            "words": list(self._words),
            "scores": [scores.tolist() for scores in self._scores],
        }

    def _take(self, n_words: int) -> list[TaggedWord]:
        if n_words <= 0:
            return []
        words, self._words = self._words[:n_words], self._words[n_words:]
        scores, self._scores = self._scores[:n_words], self._scores[n_words:]
        decided = self._decide(words, cast(Floats2d, numpy.stack(scores)))
        return [TaggedWord(word, *label) for word, label in zip(words, decided, strict=True)]

    def _check_open(self) -> None:
        if self._is_finished:
            raise ValueError("the stream is finished; begin another one with stream()")

    def _go_on(self, state: dict[str, Any]) -> None:
        """Take up a state."""
        try:
            layers = [numpy.asarray(layer, dtype="float32")[:, None] for layer in state["layers"]]
            scores = [numpy.asarray(known, dtype="float32") for known in state["scores"]]
            words = [str(word) for word in state["words"]]
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise ValueError(f"this is no state of a stream: {state!r:.80}") from error
        if not all(numpy.isfinite(known).all() for known in (*layers, *scores)):
            raise ValueError("this state of a stream has values that are no finite numbers")
        expected = [known.shape for known in self._states] + [(self._reader.n_labels,)] * len(words)
        found = [known.shape for known in (*layers, *scores)]
        if found != expected or len(words) > self._reader.lookahead:
            raise ValueError("this state is of a stream of another model")
        self._states, self._words, self._scores = layers, words, scores
