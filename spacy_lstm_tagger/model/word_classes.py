"""A lexicon in, word vectors out: what a config can add to the vectors of a pipeline."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy
import srsly
from spacy.attrs import ORTH
from spacy.language import Language
from spacy.strings import get_string_id
from spacy.training.initialize import load_vectors_into_model
from spacy.util import registry
from spacy.vectors import Vectors
from spacy.vocab import Vocab
from thinc.api import get_current_ops, to_numpy

from .vectors import NO_ROW, in_all_cases, is_floret

Classes = Mapping[str, Sequence[str]]  # of word forms


@registry.callbacks("spacy-lstm-tagger.add_vectors.v1")
def create_vector_adder(
    *, vectors: str | None = None, lexicon: str | None = None
) -> Callable[[Language], None]:
    """Return a callback for [initialize] before_init that gives a pipeline word vectors, the
    classes of words in a lexicon, or both side by side.

    vectors (str | None): A pipeline that has vectors, installed or a folder.
    lexicon (str | None): A file with a JSON object: to each word form a list of classes, of any
        names, such as {"walks": ["noun plural", "verb"]}. It can lack any forms. A form that it
        lacks has the classes of its lower case; if they are missing, those of its title case.
    RETURNS (Callable[[Language], None]): The callback.
    """

    def add_vectors(nlp: Language) -> None:
        if nlp.config.interpolate()["initialize"]["vectors"] is not None:
            raise ValueError(
                "spacy-lstm-tagger.add_vectors.v1: [initialize] vectors must be null, as they "
                "would take the place of these; name them in [initialize.before_init] alone."
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
    """Add a column for each class to the vectors of a vocab: 1 for the forms that it has, else 0. A
    model that projects vectors so adds up an embedding for each class of a word.

    vocab (Vocab): The vocab, with or without vectors.
    lexicon (Mapping[str, Sequence[str]]): The classes of each word form.
    RETURNS (Vectors): Vectors of all forms that had one, and of those in the lexicon; forms that
        share a vector and all classes share a row.
    RAISES: ValueError if there are no classes, or if the vocab's vectors have no row for each form.
    """
    old = vocab.vectors
    if old.shape[0] and (is_floret(old) or old.attr != ORTH):
        raise ValueError(
            "the word vectors beside it must have a row for each form; these are made of parts of "
            "words (floret), or looked up by another attribute than the form"
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
        cases = in_all_cases(form)
        keys = (key, *map(get_string_id, cases))
        row = next((old.key2row[key] for key in keys if key in old.key2row), NO_ROW)
        own = next((lexicon[case] for case in cases if case in lexicon), ())
        rows[key] = numbers.setdefault((row, frozenset(own)), len(numbers))
    data: Any = numpy.zeros((len(numbers), n_columns + len(names)), dtype="float32")
    table: Any = to_numpy(old.data)
    for (row, classes), number in numbers.items():
        if row != NO_ROW:
            data[number, :n_columns] = table[row]
        data[number, [column_of[name] for name in classes]] = 1
    vectors = Vectors(strings=strings, data=get_current_ops().asarray(data), name=old.name)
    for key, row in rows.items():
        vectors.add(key, row=row)
    return vectors
