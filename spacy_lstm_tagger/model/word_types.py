"""Word types of a batch of Docs: the keys that identify them in every batch, and their ids."""

from collections.abc import Iterable, Sequence
from itertools import chain, groupby, repeat
from operator import itemgetter
from typing import Any

import numpy
from spacy.attrs import IS_SPACE, ORTH
from spacy.tokens import Doc
from spacy.vocab import Vocab

from .types import Floats2d, Ints1d, Keys1d, TypeIds
from .vectors import (
    check_finite,
    check_vectors,
    fingerprints,
    is_floret,
    static_vectors,
    table_fingerprint,
)
from .vocabulary import UNKNOWN, Vocabulary, affixes, spelling

FEW = 64  # tokens: to find the distinct ones among them costs more than it saves
NO_VECTORS: Floats2d = numpy.zeros((0, 0), dtype="float32")


class WordTypes:
    """The word types of a batch: its distinct word forms or, if the network reads static vectors,
    the distinct pairs of a form and its vector.

    forms: (tokens,) the hash of each token's form, the same in every vocab.
    is_word: (tokens,) whether a token is a word; whitespace isn't, and no model reads it.
    keys: (tokens,) the key of each token's type. Equal keys mean equal types, in all batches and
        vocabs. If vectors are replaced, types get other keys.
    """

    def __init__(self, docs: Sequence[Doc], vector_width: int = 0):
        """Find the types.

        docs (Sequence[Doc]): The batch, at least one Doc.
        vector_width (int): Width of the static vectors that the network reads; 0 for none.
        RAISES: ValueError if the vocab of a Doc has no vectors of this width.
        """
        self._docs = docs
        self._vocabs = list({id(doc.vocab): doc.vocab for doc in docs}.values())
        self._vector_width = vector_width
        self._with_vectors: list[_TypesOfVocab] = []
        attributes = numpy.concatenate([doc.to_array([ORTH, IS_SPACE]) for doc in docs])
        self.forms = self.keys = numpy.ascontiguousarray(attributes[:, 0])
        self.is_word = attributes[:, 1] == 0
        if vector_width:
            check_vectors(docs, vector_width)
            self.keys = self._find_with_vectors()

    def _find_with_vectors(self) -> Keys1d:
        if len(self._vocabs) == 1:  # fast path
            types = _TypesOfVocab(self._vocabs[0], self.forms)
            self._with_vectors.append(types)
            return types.keys[types.of_tokens]
        keys = self.forms.copy()
        lengths = [len(doc) for doc in self._docs]
        vocab_of = numpy.repeat([id(doc.vocab) for doc in self._docs], lengths)
        for vocab in self._vocabs:
            tokens = vocab_of == id(vocab)
            types = _TypesOfVocab(vocab, self.forms[tokens])
            self._with_vectors.append(types)
            keys[tokens] = types.keys[types.of_tokens]
        return keys

    def ids(self, keys: Sequence[int], vocabulary: Vocabulary) -> TypeIds:
        """Describe some types by ids.

        keys (Sequence[int]): (types,) their keys, each once.
        vocabulary (Vocabulary): The vocabulary.
        RETURNS (TypeIds): The ids.
        RAISES: ValueError if a static vector contains NaN or infinity.
        """
        if not self._with_vectors:
            return ids_of(self.strings(keys), vocabulary)
        places = {
            key: (types, i)
            for types in self._with_vectors
            for i, key in enumerate(types.keys.tolist())
        }
        runs = groupby((places[key] for key in keys), key=itemgetter(0))
        described = [types.describe([i for _, i in run]) for types, run in runs]
        strings = [string for some, _ in described for string in some]
        vectors: Floats2d = numpy.zeros((0, self._vector_width), dtype="float32")
        vectors = numpy.concatenate([vectors, *(some for _, some in described)])
        return ids_of(strings, vocabulary, vectors)

    def strings(self, forms: Sequence[int]) -> list[str]:
        """Return the strings of forms, from whichever of the Docs' vocabs has them."""
        stores: list[Any] = [vocab.strings for vocab in self._vocabs]
        if len(stores) == 1:  # fast path
            return [stores[0][form] for form in forms]
        return [next(store[form] for store in stores if form in store) for form in forms]

    def contexts(self) -> Keys1d:
        """Return (tokens,) a hash of the forms before and after each token."""
        ends = numpy.cumsum([len(doc) for doc in self._docs])
        padded = [numpy.pad(forms, 1) for forms in numpy.split(self.forms, ends[:-1])]
        return numpy.concatenate([3 * forms[:-2] + forms[2:] for forms in padded])


class _TypesOfVocab:
    """The word types of the Docs of one vocab, with static vectors.

    keys: (types,) the keys of the types. A few can be equal.
    of_tokens: (tokens,) the type of each token.
    """

    def __init__(self, vocab: Vocab, forms: Keys1d):
        self._vocab, self._vectors = vocab, NO_VECTORS
        self._forms, self.of_tokens = forms, numpy.arange(len(forms))
        if len(forms) > FEW:
            self._forms, self.of_tokens = numpy.unique(forms, return_inverse=True)
        self._is_floret = is_floret(vocab.vectors)
        if self._is_floret:  # computed only for types that are described
            self.keys = self._forms + table_fingerprint(vocab.vectors)
        else:
            string_of = vocab.strings.__getitem__
            self._vectors = static_vectors(vocab, self._forms.tolist(), string_of)
            self.keys = self._forms + fingerprints(self._vectors)

    def describe(self, types: list[int]) -> tuple[list[str], Floats2d]:
        """Return the strings and the static vectors of some types."""
        string_of: Any = self._vocab.strings.__getitem__
        forms = self._forms[types].tolist()
        strings = list(map(string_of, forms))
        if self._is_floret:
            return strings, static_vectors(self._vocab, forms, string_of)
        return strings, self._vectors[types]


def ids_of(
    strings: Sequence[str], vocabulary: Vocabulary, vectors: Floats2d = NO_VECTORS
) -> TypeIds:
    """Describe word forms by ids.

    strings (Sequence[str]): (types,) the forms.
    vocabulary (Vocabulary): The vocabulary.
    vectors (Floats2d): (types, vector_width) their static vectors, if the network reads any.
    RETURNS (TypeIds): The ids.
    RAISES: ValueError if a static vector contains NaN or infinity.
    """
    check_finite(vectors, strings)
    spellings = list(map(spelling, strings))
    found = _look_up(chain.from_iterable(map(affixes, strings)), vocabulary.affixes)
    return TypeIds(
        words=_look_up(map(str.lower, strings), vocabulary.words),
        affixes=found.reshape(-1, 3),
        spellings=_look_up(chain.from_iterable(spellings), vocabulary.characters),
        spelling_lengths=numpy.fromiter(map(len, spellings), dtype="int64"),
        vectors=vectors,
    )


def with_unknown(ids: TypeIds, vocabulary: Vocabulary, rate: float) -> TypeIds:
    """Return ids in which some rare words are UNKNOWN, so that training teaches the network about
    unknown words.

    ids (TypeIds): What `ids_of` returned.
    vocabulary (Vocabulary): The vocabulary.
    rate (float): The probability that a rare word becomes UNKNOWN.
    """
    if not rate:
        return ids
    dropped = vocabulary.is_rare[ids.words] & (numpy.random.random(len(ids.words)) < rate)
    return ids._replace(words=numpy.where(dropped, UNKNOWN, ids.words))


def _look_up(keys: Iterable[str], ids: dict[str, int]) -> Ints1d:
    return numpy.fromiter(map(ids.get, keys, repeat(UNKNOWN)), dtype="int64")
