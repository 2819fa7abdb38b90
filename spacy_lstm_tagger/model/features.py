"""Docs in, integer ids out: the distinct word forms of a batch, and what describes each."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, repeat
from typing import Any

import numpy
from spacy.attrs import ORTH
from spacy.tokens import Doc

from ..prediction.inputs import Floats2d, Ints1d, TypeIds
from .vectors import check_finite, fingerprints, is_floret, static_vectors, table_fingerprint
from .vocabulary import UNKNOWN, Vocabulary, affixes, spelling

FEW = 64  # tokens, whose types are not worth counting
NO_VECTORS: Floats2d = numpy.zeros((0, 0), dtype="float32")


def forms_of(docs: Sequence[Doc]) -> Ints1d:
    """Return (tokens,) the hash of each token's form, the same in every vocab. Empty Docs do no
    harm; there must be one Doc at least.
    """
    return numpy.concatenate([doc.to_array(ORTH) for doc in docs])


def by_vocab(docs: Sequence[Doc]) -> Iterator[tuple[Ints1d | slice, Sequence[Doc]]]:
    """Yield the Docs of each vocab, and their tokens, counted through all Docs."""
    if all(doc.vocab is docs[0].vocab for doc in docs):  # quickly
        yield slice(None), docs
        return
    vocabs = numpy.asarray([id(doc.vocab) for doc in docs])
    of_tokens = numpy.repeat(vocabs, [len(doc) for doc in docs])
    for vocab in dict.fromkeys(vocabs.tolist()):
        yield numpy.flatnonzero(of_tokens == vocab), [d for d in docs if id(d.vocab) == vocab]


def type_ids(
    docs: Sequence[Doc],
    forms: Sequence[int],
    vocabulary: Vocabulary,
    *,
    include_static_vectors: bool = False,
) -> TypeIds:
    """Describe word types in ids.

    docs (Sequence[Doc]): The batch, whose vocabs know the forms.
    forms (Sequence[int]): (types,) the hash of each type's form, as `forms_of` returns it.
    vocabulary (Vocabulary): The vocabulary.
    include_static_vectors (bool): Whether to look up the static vectors of the Docs' vocab.
    RETURNS (TypeIds): The ids.
    """
    strings = find_strings(docs, forms)
    vectors = NO_VECTORS
    if include_static_vectors:
        string_of = dict(zip(forms, strings, strict=True)).__getitem__
        vectors = static_vectors(docs[0].vocab, forms, string_of)
    return ids_of(strings, vocabulary, vectors)


def number_types(docs: Sequence[Doc], forms: Ints1d) -> tuple[Ints1d, Callable[..., TypeIds]]:
    """Number the word types of a batch so that a number stands for a form and its static vector. So
    a number never stands for vectors that were there before others took their place.

    docs (Sequence[Doc]): The batch, all of one vocab.
    forms (Ints1d): (tokens,) what `forms_of` returned.
    RETURNS (tuple[Ints1d, Callable]): (tokens,) the numbers; and a function that takes some of
        them, each once, and the vocabulary, and describes their types.
    """
    vocab = docs[0].vocab
    if is_floret(vocab.vectors):
        key = table_fingerprint(vocab.vectors)

        def describe(numbers: list[int], vocabulary: Vocabulary) -> TypeIds:
            some = (numpy.asarray(numbers, dtype="uint64") - key).tolist()
            return type_ids(docs, some, vocabulary, include_static_vectors=True)

        return forms + key, describe
    distinct, types = forms, numpy.arange(len(forms))
    if len(forms) > FEW:
        distinct, types = numpy.unique(forms, return_inverse=True)
    vectors = static_vectors(vocab, distinct.tolist(), vocab.strings.__getitem__)
    of_types = distinct + fingerprints(vectors)

    def describe_found(numbers: list[int], vocabulary: Vocabulary) -> TypeIds:
        indices = {number: i for i, number in enumerate(of_types.tolist())}
        some = [indices[number] for number in numbers]
        return ids_of(find_strings(docs, distinct[some].tolist()), vocabulary, vectors[some])

    return of_types[types], describe_found


def ids_of(
    strings: Sequence[str],
    vocabulary: Vocabulary,
    vectors: Floats2d = NO_VECTORS,
) -> TypeIds:
    """Describe word forms in ids; see `type_ids`.

    strings (Sequence[str]): (types,) the forms.
    vocabulary (Vocabulary): The vocabulary.
    vectors (Floats2d): (types, vector_width) their static vectors, if the network reads any.
    RETURNS (TypeIds): The ids.
    RAISES: ValueError if a static vector has values that are no finite numbers.
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
    """Return ids in which rare words are UNKNOWN now and then, so that a model in training learns
    about unknown words.

    ids (TypeIds): What `ids_of` returned.
    vocabulary (Vocabulary): The vocabulary.
    rate (float): The probability of each rare word to become UNKNOWN.
    """
    if not rate:
        return ids
    dropped = vocabulary.is_rare[ids.words] & (numpy.random.random(len(ids.words)) < rate)
    return ids._replace(words=numpy.where(dropped, UNKNOWN, ids.words))


def find_strings(docs: Sequence[Doc], forms: Iterable[int]) -> list[str]:
    """Return the strings of forms, from whichever of the Docs' vocabs knows them."""
    stores: dict[int, Any] = {id(doc.vocab): doc.vocab.strings for doc in docs}
    first, *others = stores.values()
    if not others:
        return [first[form] for form in forms]
    return [next(s[form] for s in stores.values() if form in s) for form in forms]


def _look_up(keys: Iterable[str], ids: dict[str, int]) -> Ints1d:
    return numpy.fromiter(map(ids.get, keys, repeat(UNKNOWN)), dtype="int64")
