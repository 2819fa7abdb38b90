"""Docs in, integer ids out: the distinct word forms of a batch, and what describes each."""

from collections.abc import Iterable, Sequence
from itertools import chain

import numpy
from numpy.typing import NDArray
from spacy.attrs import ORTH
from spacy.tokens import Doc
from thinc.api import to_numpy

from ..network.inputs import TypeIds
from .vocabulary import UNKNOWN, Vocabulary, affixes, spelling
from .windows import Ints1d

Floats2d = NDArray[numpy.float32]

NO_VECTORS: Floats2d = numpy.zeros((0, 0), dtype="float32")


def find_types(docs: Sequence[Doc]) -> tuple[Ints1d, Ints1d, Ints1d]:
    """Number the word types of a batch.

    docs (Sequence[Doc]): At least one Doc, all of one vocab; empty ones do no harm.
    RETURNS (tuple[Ints1d, Ints1d, Ints1d]): (types,) the orth of each type, (types,) one of its
        tokens; (tokens,) the type of each token. Tokens count through all Docs.
    """
    return numpy.unique(_attribute(docs, ORTH), return_index=True, return_inverse=True)


def type_ids(
    docs: Sequence[Doc],
    orths: Ints1d,
    tokens: Ints1d,
    vocabulary: Vocabulary,
    *,
    include_static_vectors: bool = False,
    unknown_rate: float = 0.0,
) -> TypeIds:
    """Describe word types in ids.

    docs (Sequence[Doc]): The batch.
    orths (Ints1d): (types,) the orth of each type, as `find_types` returns it.
    tokens (Ints1d): (types,) one token of each type, likewise.
    vocabulary (Vocabulary): The vocabulary.
    include_static_vectors (bool): Whether to look up the static vectors of the Docs' vocab.
    unknown_rate (float): The probability of each rare word to become UNKNOWN, for training.
    RETURNS (TypeIds): The ids.
    """
    forms = [docs[0].vocab.strings[orth] for orth in orths.tolist()]
    words = _look_up((form.lower() for form in forms), vocabulary["words"])
    if unknown_rate:
        rare = words > vocabulary["n_frequent"]
        words[rare & (numpy.random.random(len(words)) < unknown_rate)] = UNKNOWN
    spellings = [spelling(form) for form in forms]
    return TypeIds(
        words=words,
        affixes=_look_up(
            chain.from_iterable(affixes(form) for form in forms), vocabulary["affixes"]
        ).reshape(-1, 3),
        spellings=_look_up(chain.from_iterable(spellings), vocabulary["characters"]),
        spelling_lengths=numpy.asarray([len(s) for s in spellings], dtype="int64"),
        vectors=static_vectors(docs, tokens) if include_static_vectors else NO_VECTORS,
    )


def static_vectors(docs: Sequence[Doc], tokens: Ints1d) -> Floats2d:
    """Look up the vectors of some tokens, numbered through all Docs, in the Docs' vocab.

    RETURNS (Floats2d): (tokens, vector_width); zeros where the vocab has no vector.
    """
    vectors = docs[0].vocab.vectors
    keys = _attribute(docs, vectors.attr)[tokens].tolist()
    found = to_numpy(vectors.get_batch(keys)).astype("float32")
    found[[key not in vectors for key in keys]] = 0  # get_batch returns the table's last row
    return found


def _attribute(docs: Sequence[Doc], attribute: int) -> Ints1d:
    return numpy.concatenate([doc.to_array(attribute) for doc in docs])


def _look_up(keys: Iterable[str], ids: dict[str, int]) -> Ints1d:
    return numpy.fromiter((ids.get(key, UNKNOWN) for key in keys), dtype="int64")
