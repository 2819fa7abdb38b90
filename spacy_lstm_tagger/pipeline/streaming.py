"""Incremental tagging, word by word."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy

from ..model.streaming import WordReader
from ..model.types import Floats1d, Floats2d

Decide = Callable[[list[str], Floats2d], list[tuple[str, float]]]


class TaggedWord(NamedTuple):
    """A word of a stream, its label, and the probability of that label."""

    word: str
    label: str
    confidence: float


class TokenStream:
    """Tag words one after another. Each is read once, in constant time; its label is decided when
    as many words as the model's lookahead have followed. Whitespace is no word, and not read.
    Labels and probabilities equal those of a Doc of all the words. A stream must not be shared
    between threads.
    """

    def __init__(
        self,
        reader: WordReader,
        decide: Decide,
        space_label: str,
        state: dict[str, Any] | None = None,
    ):
        """Begin a stream.

        reader (WordReader): Reads the words.
        decide (Callable): Takes words and their (words, labels) scores; returns the label of each
            word, and its probability.
        space_label (str): The label of whitespace.
        state (dict[str, Any] | None): The `state` of another stream, to continue from.
        RAISES: ValueError if the state is damaged, or of a model with other weights.
        """
        self._reader, self._decide, self._space_label = reader, decide, space_label
        self._states = reader.start()
        self._words: list[str] = []  # not decided yet, with the whitespace among them
        self._scores: list[Floats1d] = []  # (labels,) partial scores of each that is not whitespace
        self._is_finished = False
        if state is not None:
            self._restore(state)

    def push(self, word: str) -> list[TaggedWord]:
        """Read the next word.

        word (str): The word, as the pipeline's tokenizer splits it.
        RETURNS (list[TaggedWord]): The word that is decided now, `lookahead` words before this one,
            and whitespace after it; nothing at the beginning of a stream.
        RAISES: ValueError if it is not a string, or empty, or if the stream is finished.
        """
        self._check_open()
        if not isinstance(word, str) or not word:
            raise ValueError(f"a stream takes one word at a time, as a string, not {word!r:.80}")
        if word.isspace():
            self._words = [*self._words, word]
            return self._take(0)
        states = [state.copy() for state in self._states]
        first, *added = self._reader.read(word, states)
        before = zip(self._scores[::-1], added, strict=False)
        scores = [known + more for known, more in before][::-1]
        self._states = states
        self._words, self._scores = [*self._words, word], [*scores, first]
        return self._take(len(self._scores) - self._reader.lookahead)

    def finish(self) -> list[TaggedWord]:
        """End the stream; a second call does nothing.

        RETURNS (list[TaggedWord]): The words that were not decided yet.
        """
        self._is_finished = True
        return self._take(len(self._scores))

    @property
    def state(self) -> dict[str, Any]:
        """The state of the stream, as values for JSON, from which `LSTMTagger.stream` continues;
        ValueError if the stream is finished.
        """
        self._check_open()
        return {
            "model": self._reader.checksum,
            "layers": [state[:, 0].tolist() for state in self._states],
            "words": list(self._words),
            "scores": [scores.tolist() for scores in self._scores],
        }

    def _take(self, n_words: int) -> list[TaggedWord]:
        """Label the first n words, and the whitespace after them, and remove them."""
        n_words = max(0, n_words)
        scores, self._scores = self._scores[:n_words], self._scores[n_words:]
        places = [i for i, word in enumerate(self._words) if not word.isspace()]
        end = places[n_words] if n_words < len(places) else len(self._words)
        taken, self._words = self._words[:end], self._words[end:]
        words = [word for word in taken if not word.isspace()]
        labels = iter(self._decide(words, numpy.stack(scores)) if words else [])
        return [
            TaggedWord(word, *((self._space_label, 1.0) if word.isspace() else next(labels)))
            for word in taken
        ]

    def _check_open(self) -> None:
        if self._is_finished:
            raise ValueError("the stream is finished; begin another one with stream()")

    def _restore(self, state: dict[str, Any]) -> None:
        try:
            layers = [numpy.asarray(layer, dtype="float32")[:, None] for layer in state["layers"]]
            scores = [numpy.asarray(partial, dtype="float32") for partial in state["scores"]]
            words = [str(word) for word in state["words"]]
            checksum = state["model"]
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise ValueError(f"this is not the state of a stream: {state!r:.80}") from error
        if checksum != self._reader.checksum:
            raise ValueError(
                "this state is of a stream of another model, or of other weights: begin another one"
            )
        if not all(numpy.isfinite(values).all() for values in (*layers, *scores)):
            raise ValueError("this state of a stream has values that are not finite")
        expected = [values.shape for values in self._states]
        n_words = sum(not word.isspace() for word in words)
        expected += [(self._reader.n_labels,)] * n_words
        found = [values.shape for values in (*layers, *scores)]
        if found != expected or n_words > self._reader.lookahead:
            raise ValueError("this state of a stream is damaged: its numbers do not fit the model")
        self._states, self._words, self._scores = layers, words, scores
