"""Static word vectors: look-up, fingerprints, and vectors made of a lexicon's classes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy
import srsly
from spacy.attrs import NAMES, ORTH
from spacy.language import Language
from spacy.strings import get_string_id
from spacy.tokens import Doc
from spacy.training.initialize import load_vectors_into_model
from spacy.util import registry
from spacy.vectors import Mode, Vectors
from spacy.vocab import Vocab
from thinc.api import get_array_module, get_current_ops, to_numpy

from .types import Floats2d, Keys1d

StringOf = Callable[[int], str]
Classes = Mapping[str, Sequence[str]]  # the classes of each word form

MULTIPLIER = 0x9E3779B97F4A7C15  # odd, so its powers are odd, too (Knuth 1998, section 6.4)
NO_ROW = -1
SAMPLE = 64  # rows at most that the fingerprint of a table reads


def static_vectors(vocab: Vocab, forms: Sequence[int], string_of: StringOf) -> Floats2d:
    """Look up the vectors of word forms. A form without a vector gets that of its lower case or, if
    there is none, of its title case. If the keys of the vectors are another attribute than the
    form, the vocab looks that up, without a context.

    forms (Sequence[int]): The hashes of the forms.
    string_of (Callable[[int], str]): Takes a hash, and returns the form.
    RETURNS (Floats2d): (forms, vector_width); zeros where the vocab has no vector.
    """
    vectors = vocab.vectors
    if is_floret(vectors):
        return to_numpy(vectors.get_batch(list(map(string_of, forms)))).astype("float32")
    name, row_of = NAMES[vectors.attr].lower(), vectors.key2row.get

    def key_in_vocab(form: str) -> int:
        return getattr(vocab[form], name)

    key_of = get_string_id if name == "orth" else key_in_vocab
    keys = forms if name == "orth" else [key_of(string_of(form)) for form in forms]
    rows = numpy.fromiter(map(row_of, keys, repeat(NO_ROW)), dtype="int64", count=len(forms))
    for i in numpy.flatnonzero(rows == NO_ROW).tolist():
        others = (row_of(key_of(other), NO_ROW) for other in _other_cases(string_of(forms[i])))
        rows[i] = next((row for row in others if row != NO_ROW), NO_ROW)
    on_their_device = get_array_module(vectors.data).asarray(rows)
    found = to_numpy(vectors.data[on_their_device]).astype("float32", copy=False)
    found[rows == NO_ROW] = 0
    return found


def _other_cases(form: str) -> Iterator[str]:
    """Yield the fallbacks for a form without an entry: its lower case and its title case."""
    yield form.lower()
    yield form.title()


def is_floret(vectors: Vectors) -> bool:
    """Return whether vectors are computed from character n-grams: every form has one, slowly."""
    return vectors.mode == Mode.floret


def fingerprints(vectors: Floats2d) -> Keys1d:
    """Return (rows,) a hash of each row; 0 for a row of zeros."""
    if vectors.shape[1] % 2:
        vectors = numpy.pad(vectors, ((0, 0), (0, 1)))
    bits = numpy.ascontiguousarray(vectors).view("uint64")
    return numpy.einsum("ij,j->i", bits, _powers(bits.shape[1]))


@cache
def _powers(n: int) -> Keys1d:
    return numpy.full(n, MULTIPLIER, dtype="uint64").cumprod()


def table_fingerprint(vectors: Vectors) -> numpy.uint64:
    """Return a hash of some rows of a table: it changes if the table is replaced, but not always if
    single numbers are changed in place.
    """
    some = vectors.data[:: 1 + len(vectors.data) // SAMPLE]
    return fingerprints(to_numpy(some).astype("float32")).sum()


def check_finite(vectors: Floats2d, forms: Sequence[str]) -> None:
    """Raise a ValueError if the vector of a form contains NaN or infinity."""
    finite = numpy.isfinite(vectors).all(axis=1)
    if not finite.all():
        form = forms[int(finite.argmin())]
        raise ValueError(f"the word vector of {form!r} contains NaN or infinity")


def check_vectors(docs: Sequence[Doc], width: int) -> None:
    """Raise a ValueError if the vocab of a Doc has no vectors of the width that is needed."""
    for vocab in {id(doc.vocab): doc.vocab for doc in docs}.values():
        if vocab.vectors_length != width or not vocab.vectors.shape[0]:
            length = vocab.vectors_length
            found = f"vectors of width {length}" if length else "no vectors"
            raise ValueError(
                f"the model was trained with word vectors of width {width}, but the vocab of the "
                f"Doc has {found}. Give the pipeline the vectors it was trained with."
            )


@registry.callbacks("spacy-lstm-tagger.add_vectors.v1")
def create_vector_adder(
    *, vectors: str | None = None, lexicon: str | None = None
) -> Callable[[Language], None]:
    """Return a callback for [initialize] before_init that gives a pipeline word vectors, the
    classes of words in a lexicon, or both side by side.

    vectors (str | None): An installed pipeline or a folder that has vectors.
    lexicon (str | None): A file with a JSON object: for each word form a list of classes, whatever
        their names, such as {"walks": ["noun plural", "verb"]}. It need not be complete. A form
        that is missing has the classes of its lower case or, if that is missing, of its title case.
    RETURNS (Callable[[Language], None]): The callback.
    """

    def add_vectors(nlp: Language) -> None:
        if nlp.config.interpolate()["initialize"]["vectors"] is not None:
            raise ValueError(
                "spacy-lstm-tagger.add_vectors.v1: [initialize] vectors must be null, since they "
                "would replace these vectors. Name vectors in [initialize.before_init] only."
            )
        if vectors is not None:
            load_vectors_into_model(nlp, vectors)
        if lexicon is not None:
            try:
                nlp.vocab.vectors = with_classes(nlp.vocab, read_classes(Path(lexicon)))
            except ValueError as error:
                raise ValueError(f"the lexicon {lexicon} can't be used: {error}") from None

    return add_vectors


def read_classes(path: Path) -> Classes:
    """Read a lexicon; ValueError if it isn't one."""
    lexicon = srsly.read_json(path)
    if not isinstance(lexicon, dict):
        raise ValueError("it must be a JSON object, with a list of classes for each word form")
    for form, classes in lexicon.items():
        if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
            raise ValueError(f"its entry {form!r} must be a list of strings, not {classes!r:.80}")
    return lexicon


def with_classes(vocab: Vocab, lexicon: Classes) -> Vectors:
    """Add a column for each class to the vectors of a vocab, if it has any: 1 for the forms of the
    class, else 0. So a network that projects vectors learns an embedding of each class.

    RETURNS (Vectors): Vectors of all forms that had one, and of those in the lexicon; forms with
        the same vector and classes share a row.
    RAISES: ValueError if there are no classes, or if the vocab's vectors have no row for each form.
    """
    old = vocab.vectors
    if old.shape[0] and (is_floret(old) or old.attr != ORTH):
        raise ValueError(
            "the word vectors beside it must have a row for each form; these are computed from "
            "character n-grams (floret), or have another attribute than the form as their key"
        )
    strings, n_columns = vocab.strings, old.shape[1] if old.shape[0] else 0
    names = sorted(set().union(*lexicon.values()))
    if not names:
        raise ValueError("it has no classes")
    column_of = {name: column for column, name in enumerate(names, n_columns)}
    forms = {key: strings[key] if key in strings else "" for key in old}  # noqa: SIM401
    forms |= {strings.add(form): form for form in lexicon}
    numbers: dict[tuple[int, frozenset[str]], int] = {}
    rows: dict[int, int] = {}
    for key, form in forms.items():
        cases = [form, *_other_cases(form)]
        keys = (key, *map(get_string_id, cases))
        row = next((old.key2row[key] for key in keys if key in old.key2row), NO_ROW)
        classes = next((lexicon[case] for case in cases if case in lexicon), ())
        rows[key] = numbers.setdefault((row, frozenset(classes)), len(numbers))
    data: Any = numpy.zeros((len(numbers), n_columns + len(names)), dtype="float32")
    table: Any = to_numpy(old.data)
    for (row, of_row), number in numbers.items():
        if row != NO_ROW:
            data[number, :n_columns] = table[row]
        data[number, [column_of[name] for name in of_row]] = 1
    vectors = Vectors(strings=strings, data=get_current_ops().asarray(data), name=old.name)
    for key, row in rows.items():
        vectors.add(key, row=row)
    return vectors
