"""Words in, one at a time, what each tells of labels out: a tagger that reads left to right."""

from typing import cast

from spacy.strings import get_string_id
from spacy.vocab import Vocab

from ..prediction.inputs import Floats2d, Floats3d, TypeIds
from ..prediction.reader import TaggerReader
from .features import NO_VECTORS, ids_of
from .shim import NetworkShim
from .vectors import fingerprints, static_vectors
from .with_crf import DocModel, is_crf


class WordReader:
    """Read words one after another, with the weights that a model has now. Only NumPy computes.

    lookahead: How many of the words that follow have a say in the scores of a word.
    n_labels: How many labels it scores.
    """

    def __init__(self, model: DocModel, vocab: Vocab):
        """Prepare a model.

        model (Model[list[Doc], list[Floats2d]]): The model of a tagger.
        vocab (Vocab): Whose static vectors it reads, if it reads any.
        RAISES: ValueError if the model can't read word by word, or has no weights yet.
        """
        prepared = _left_to_right(model).prepare()
        has_vectors = cast(NetworkShim, model.shims[0]).cfg["include_static_vectors"]
        self._reader = cast(TaggerReader, prepared.reader)
        self._vocabulary = prepared.vocabulary
        self._with_vectors = vocab if has_vectors else None
        self.lookahead, self.n_labels = self._reader.lookahead, self._reader.width

    def start(self) -> list[Floats3d]:
        """Return the state before the first word: (2, 1, width) for each layer."""
        return self._reader.start()

    def read(self, word: str, state: list[Floats3d]) -> Floats2d:
        """Read the next word.

        word (str): The word, as a token has it.
        state (list[Floats3d]): The state before it; overwritten with the one after it.
        RETURNS (Floats2d): (1 + lookahead, labels) what the word adds to its own scores, to those
            of the word before it, and so on.
        """

        # As a Doc has it, so that both share what is remembered.
        vectors, number = NO_VECTORS, get_string_id(word)
        if self._with_vectors is not None:
            vectors = static_vectors(self._with_vectors, [number], lambda _: word)
            number = (number + int(fingerprints(vectors)[0])) % 2**64

        def describe(_: list[int]) -> TypeIds:
            return ids_of([word], self._vocabulary, vectors)

        return self._reader.step(number, describe, state)


def _left_to_right(model: DocModel) -> NetworkShim:
    if is_crf(model):
        raise ValueError(
            "a model with crf = true chooses labels when it knows the whole text, so it can't tag "
            "a stream. Train one with crf = false."
        )
    if model.name != "lstm_tagger":
        raise ValueError(
            "only the architecture spacy-lstm-tagger.LSTMTagger.v1 can tag a stream; this model is "
            f"{model.name!r}"
        )
    shim = cast(NetworkShim, model.shims[0])
    if shim.cfg["bidirectional"]:
        raise ValueError(
            "a model that reads in both directions needs the whole text, so it can't tag a stream. "
            "Train one with bidirectional = false, for instance by configs/streaming.cfg."
        )
    return shim
