"""Docs in, integer ids out: the distinct word forms of a batch, and what describes each."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, repeat
from typing import Any

import numpy
from spacy.attrs import NAMES, ORTH
from spacy.strings import get_string_id
from spacy.tokens import Doc
from spacy.vocab import Vocab
from thinc.api import to_numpy

from ..prediction.inputs import Floats2d, Ints1d, TypeIds
from .vocabulary import UNKNOWN, Vocabulary, affixes, spelling

NO_VECTORS: Floats2d = numpy.zeros((0, 0), dtype="float32")


def forms_of(docs: Sequence[Doc]) -> Ints1d:
    """Return (tokens,) the hash of each token's form, the same in every vocab. Empty Docs do no
    harm; there must be one Doc at least.
    """
    return numpy.concatenate([doc.to_array(ORTH) for doc in docs])


def by_vocab(docs: Sequence[Doc]) -> Iterator[tuple[Ints1d, list[Doc]]]:
    """Yield the Docs of each vocab, and their tokens, counted through all Docs."""
    vocabs = numpy.asarray([id(doc.vocab) for doc in docs])
    of_tokens = numpy.repeat(vocabs, [len(doc) for doc in docs])
    for vocab in dict.fromkeys(vocabs.tolist()):
        yield numpy.flatnonzero(of_tokens == vocab), [d for d in docs if id(d.vocab) == vocab]


def type_ids(
    docs: Sequence[Doc],
    forms: Iterable[int],
    vocabulary: Vocabulary,
    *,
    include_static_vectors: bool = False,
) -> TypeIds:
    """Describe word types in ids.

    docs (Sequence[Doc]): The batch, whose vocabs know the forms.
    forms (Iterable[int]): (types,) the hash of each type's form, as `forms_of` returns it.
    vocabulary (Vocabulary): The vocabulary.
    include_static_vectors (bool): Whether to look up the static vectors of the Docs' vocab.
    RETURNS (TypeIds): The ids.
    """
    return ids_of(
        find_strings(docs, forms),
        vocabulary,
        docs[0].vocab if include_static_vectors else None,
    )


def ids_of(
    strings: Sequence[str],
    vocabulary: Vocabulary,
    with_vectors: Vocab | None = None,
) -> TypeIds:
    """Describe word forms in ids; see `type_ids`.

    strings (Sequence[str]): (types,) the forms.
    vocabulary (Vocabulary): The vocabulary.
    with_vectors (Vocab | None): The vocab whose static vectors to look up, if any.
    RETURNS (TypeIds): The ids.
    """
    spellings = list(map(spelling, strings))
    found = _look_up(chain.from_iterable(map(affixes, strings)), vocabulary.affixes)
    return TypeIds(
        words=_look_up(map(str.lower, strings), vocabulary.words),
        affixes=found.reshape(-1, 3),
        spellings=_look_up(chain.from_iterable(spellings), vocabulary.characters),
        spelling_lengths=numpy.fromiter(map(len, spellings), dtype="int64"),
        vectors=static_vectors(with_vectors, strings) if with_vectors is not None else NO_VECTORS,
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


def static_vectors(vocab: Vocab, forms: Sequence[str]) -> Floats2d:
    """Look up the vectors of word forms in a vocab, by the attribute that its vectors have as keys:
    the form itself, or what the vocab knows of the form without a text, such as its lower case. A
    form that has no vector gets that of its lower case; if there is none, that of its title case.

    RETURNS (Floats2d): (forms, vector_width); zeros where the vocab has no vector.
    RAISES: ValueError if a vector has values that are no finite numbers.
    """
    vectors = vocab.vectors
    name = NAMES[vectors.attr].lower()

    def key_of(form: str) -> int:
        return get_string_id(form) if name == "orth" else getattr(vocab[form], name)

    keys = [key_of(form) for form in forms]
    for in_another_case in (str.lower, str.title):
        for i, key in enumerate(keys):
            if key not in vectors:
                keys[i] = key_of(in_another_case(forms[i]))
    found = to_numpy(vectors.get_batch(keys)).astype("float32")
    found[[key not in vectors for key in keys]] = 0  # get_batch returns the table's last row
    finite = numpy.isfinite(found).all(axis=1)
    if not finite.all():
        form = forms[int(finite.argmin())]
        raise ValueError(f"the word vector of {form!r} has values that are no finite numbers")
    return found


def check_vectors(docs: Sequence[Doc], width: int) -> None:
    """Raise a ValueError if the vocab of a Doc has no vectors of the width that is needed."""
    for vocab in {id(doc.vocab): doc.vocab for doc in docs}.values():
        if vocab.vectors_length != width or not vocab.vectors.shape[0]:
            found = (
                f"they are {vocab.vectors_length} wide" if vocab.vectors_length else "it has none"
            )
            raise ValueError(
                f"the model reads word vectors {width} wide, which it was trained with, but those "
                f"of the Doc's vocab don't fit: {found}. Give the pipeline the vectors that it had."
            )


def _look_up(keys: Iterable[str], ids: dict[str, int]) -> Ints1d:
    return numpy.fromiter(map(ids.get, keys, repeat(UNKNOWN)), dtype="int64")
