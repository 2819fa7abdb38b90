"""Word forms in, their static vectors out."""

from collections.abc import Callable, Sequence
from functools import cache
from itertools import repeat

import numpy
from spacy.attrs import NAMES
from spacy.strings import get_string_id
from spacy.tokens import Doc
from spacy.vectors import Mode, Vectors
from spacy.vocab import Vocab
from thinc.api import get_array_module, to_numpy

from ..prediction.inputs import Floats2d, Ints1d

StringOf = Callable[[int], str]
MULTIPLIER = 0x9E3779B97F4A7C15  # odd, so that powers of it are (Knuth 1998, section 6.4)
NO_ROW = -1
OTHER_CASES = (str.lower, str.title)  # in which forms that have no vector are looked up
SAMPLE = 64  # rows, at most, by which a table is known again


def static_vectors(vocab: Vocab, forms: Sequence[int], string_of: StringOf) -> Floats2d:
    """Look up the vectors of word forms in a vocab, by the attribute that its vectors have as keys:
    the form itself, or what the vocab knows of the form without a text, such as its lower case. A
    form that has no vector gets that of its lower case; if there is none, that of its title case.

    vocab (Vocab): The vocab.
    forms (Sequence[int]): The hashes of the forms.
    string_of (Callable[[int], str]): Takes a hash, and returns the form.
    RETURNS (Floats2d): (forms, vector_width); zeros where the vocab has no vector.
    """
    vectors = vocab.vectors
    if is_floret(vectors):  # which makes one of any form
        return to_numpy(vectors.get_batch(list(map(string_of, forms)))).astype("float32")
    name, row_of = NAMES[vectors.attr].lower(), vectors.key2row.get

    def key_in_vocab(form: str) -> int:
        return getattr(vocab[form], name)

    key_of = get_string_id if name == "orth" else key_in_vocab

    def find(keys: Sequence[int]) -> Ints1d:
        return numpy.fromiter(map(row_of, keys, repeat(NO_ROW)), dtype="int64", count=len(keys))

    rows = find(forms if name == "orth" else [key_of(string_of(form)) for form in forms])
    for in_case in OTHER_CASES:
        missing = numpy.flatnonzero(rows == NO_ROW)
        if not len(missing):
            break
        others = [in_case(string_of(forms[i])) for i in missing.tolist()]
        rows[missing] = find(list(map(key_of, others)))
    on_their_device = get_array_module(vectors.data).asarray(rows)
    found = to_numpy(vectors.data[on_their_device]).astype("float32", copy=False)
    found[rows == NO_ROW] = 0
    return found


def in_all_cases(form: str) -> list[str]:
    """Return a form in the cases in which its vector is looked up, one after another."""
    return [form, *(in_case(form) for in_case in OTHER_CASES)]


def check_finite(vectors: Floats2d, forms: Sequence[str]) -> None:
    """Raise a ValueError if the vector of a form has values that are no finite numbers."""
    finite = numpy.isfinite(vectors).all(axis=1)
    if not finite.all():
        form = forms[int(finite.argmin())]
        raise ValueError(f"the word vector of {form!r} has values that are no finite numbers")


def is_floret(vectors: Vectors) -> bool:
    """Return whether vectors are made of parts of words, each time anew, which takes long."""
    return vectors.mode == Mode.floret


def fingerprints(vectors: Floats2d) -> Ints1d:
    """Return (rows,) a number for each row: equal where the rows are, and else, but for chance,
    another one. It is 0 for a row of zeros.
    """
    if vectors.shape[1] % 2:
        vectors = numpy.pad(vectors, ((0, 0), (0, 1)))
    bits = numpy.ascontiguousarray(vectors).view("uint64")
    return numpy.einsum("ij,j->i", bits, _powers(bits.shape[1]))


@cache
def _powers(n: int) -> Ints1d:
    return numpy.full(n, MULTIPLIER, dtype="uint64").cumprod()


def table_fingerprint(vectors: Vectors) -> numpy.uint64:
    """Return a number for all vectors, made of some rows of their table: another one if they were
    exchanged, but not if a few numbers were changed in place.
    """
    some = vectors.data[:: 1 + len(vectors.data) // SAMPLE]
    return fingerprints(to_numpy(some).astype("float32")).sum()


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
