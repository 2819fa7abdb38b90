"""Incremental scoring, word by word, with a model that reads left to right."""

from typing import cast

from spacy.strings import get_string_id
from spacy.vocab import Vocab

from ..prediction.reader import TaggerReader
from .crf import is_crf, pairs_of
from .shim import NetworkShim, is_tagger, network_of
from .types import DocModel, Floats2d, Floats3d, TypeIds
from .vectors import fingerprints, static_vectors
from .word_types import NO_VECTORS, ids_of


class WordReader:
    """Score labels while words are read one after another, with the weights that the model has
    when the reader is made. Only NumPy computes.

    lookahead: How many of the words that follow contribute to the scores of a word.
    n_labels: Number of labels.
    """

    def __init__(self, model: DocModel, vocab: Vocab):
        """Prepare a tagger's model; `vocab` has the static vectors, if it reads any. ValueError if
        it can't read word by word, or has no weights yet.
        """
        shim = _left_to_right(model)
        prepared = shim.prepare()
        self._vocab = vocab if shim.config.include_static_vectors else None
        self._reader = cast(TaggerReader, prepared.reader)
        self._vocabulary = prepared.vocabulary
        self.lookahead, self.n_labels = self._reader.config.lookahead, self._reader.width

    @property
    def checksum(self) -> int:
        """A checksum of the weights."""
        return self._reader.checksum

    def start(self) -> list[Floats3d]:
        """Return the state before the first word: (2, 1, width) for each layer."""
        return self._reader.start()

    def read(self, word: str, state: list[Floats3d]) -> Floats2d:
        """Read the next word.

        word (str): The word, as the tokenizer returns it.
        state (list[Floats3d]): The state before it; overwritten with the one after it.
        RETURNS (Floats2d): (1 + lookahead, labels) what to add to the scores of the word, of the
            word before it, and so on.
        """
        vectors, key = NO_VECTORS, get_string_id(word)
        if self._vocab is not None:
            vectors = static_vectors(self._vocab, [key], lambda _: word)
            key = (key + int(fingerprints(vectors)[0])) % 2**64

        def describe(_: list[int]) -> TypeIds:
            return ids_of([word], self._vocabulary, vectors)

        return self._reader.step(key, describe, state)


def _left_to_right(model: DocModel) -> NetworkShim:
    if is_crf(model):
        raise ValueError(
            "a model with crf = true needs the whole text to choose labels, so it can't tag a "
            "stream. Train one with crf = false."
        )
    if pairs_of(model) is not None:
        raise ValueError(
            "labels that mark spans need the whole text to be chosen, so they can't be those of a "
            "stream. Set scheme = null for the component."
        )
    if not is_tagger(model):
        raise ValueError(
            "only the architecture spacy-lstm-tagger.LSTMTagger.v1 can tag a stream, not the model "
            f"{model.name!r}"
        )
    shim = network_of(model)
    if shim.config.bidirectional:
        raise ValueError(
            "a model that reads in both directions needs the whole text, so it can't tag a stream. "
            "Train one with bidirectional = false."
        )
    return shim
