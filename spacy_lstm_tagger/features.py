"""Docs in, integer ids out; and the vocabulary that stands between them, learnt from Docs."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple, TypedDict, cast

import numpy
from numpy.typing import NDArray
from spacy.attrs import ORTH
from spacy.lang.lex_attrs import word_shape
from spacy.tokens import Doc
from thinc.api import to_numpy

Ints1d = NDArray[numpy.int64]
Floats2d = NDArray[numpy.float32]
Array = Any  # of numpy where Docs are read, of torch in the network

UNKNOWN = 0  # the id of every word, affix and character that the vocabulary lacks
NO_VECTORS: Floats2d = numpy.zeros((0, 0), dtype="float32")
MAX_SPELLING = 32  # characters of a word that are read; of a longer one, both ends


class Vocabulary(TypedDict):
    """What the training Docs taught; plain, so that it can be saved with the weights.

    words, affixes, characters: Ids from 1 on, the most frequent first.
    n_frequent: The words with higher ids are rare: seen no more often than they must be to count.
    """

    words: dict[str, int]
    affixes: dict[str, int]
    characters: dict[str, int]
    n_frequent: int


class TypeIds(NamedTuple):
    """The word types of a batch: distinct word forms, each described once however often it stands.

    All are integers but the vectors, which are floats of 32 bits.

    words: (types,) the word, lower-cased.
    affixes: (types, 3) prefix, suffix and shape.
    spellings: (characters,) the characters of each type, one type after another.
    spelling_lengths: (types,) how many characters each type has, at least 1.
    vectors: (types, vector_width) static vectors; zeros for a type that has none.
    """

    words: Array
    affixes: Array
    spellings: Array
    spelling_lengths: Array
    vectors: Array


class Windows(NamedTuple):
    """What the LSTM reads as one sequence each. A token that is also the context of another window
    has several positions.

    types: (positions,) the type that stands at each position.
    lengths: (windows,) how many positions each window has, at least 1.
    kept: (tokens,) the position that counts for each token of the batch, ascending.
    """

    types: Array
    lengths: Array
    kept: Array


def affixes(form: str) -> tuple[str, str, str]:
    """Return prefix, suffix and shape of a word form, each marked by its kind."""
    lower = form.lower()
    return f"<{lower[:2]}", f">{lower[-3:]}", f"={word_shape(form)}"


def spelling(form: str) -> str:
    """Return the characters of a word form that are read, at least one."""
    if len(form) > MAX_SPELLING:
        return form[: MAX_SPELLING // 2] + form[-MAX_SPELLING // 2 :]
    return form or " "


def learn_vocabulary(
    docs: Iterable[Doc], *, min_frequency: int = 1, more_forms: Iterable[str] = ()
) -> Vocabulary:
    """Number the words, affixes and characters of the training Docs.

    docs (Iterable[Doc]): The Docs.
    min_frequency (int): What they contain less often stays unknown.
    more_forms (Iterable[str]): Further word forms to know, of whatever frequency; in any order.
    RETURNS (Vocabulary): The vocabulary.
    """
    forms: Counter[str] = Counter()
    for doc in docs:
        forms.update(token.text for token in doc)
    forms.update({form: min_frequency for form in sorted(more_forms) if form not in forms})
    words: Counter[str] = Counter()
    affix_counts: Counter[str] = Counter()
    characters: Counter[str] = Counter()
    for form, count in forms.items():
        words[form.lower()] += count
        affix_counts.update(dict.fromkeys(affixes(form), count))
        for character in spelling(form):
            characters[character] += count
    return {
        "words": _number(words, min_frequency),
        "affixes": _number(affix_counts, min_frequency),
        "characters": _number(characters, min_frequency),
        "n_frequent": sum(count > min_frequency for count in words.values()),
    }


def to_lists(vocabulary: Vocabulary) -> dict[str, Any]:
    """Return the keys in the order of their ids, which are read from a file in a fraction of the
    time that keys and ids take.
    """
    return {
        name: list(part) if isinstance(part, dict) else part for name, part in vocabulary.items()
    }


def from_lists(lists: dict[str, Any]) -> Vocabulary:
    """Return the vocabulary of which `to_lists` returned this."""
    parts = {name: _ids(part) if isinstance(part, list) else part for name, part in lists.items()}
    return cast(Vocabulary, parts)


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


def windows_of(docs: Sequence[Doc], types: Ints1d, window_length: int, context: int = 0) -> Windows:
    """Cut Docs into windows.

    docs (Sequence[Doc]): The batch.
    types (Ints1d): (tokens,) the type of each token, as `find_types` returns it.
    window_length (int): A longer Doc is cut into windows of at most so many tokens.
    context (int): How many tokens a window also gets to see on either side.
    RETURNS (Windows): The windows.
    """
    lengths = numpy.asarray([len(doc) for doc in docs])
    positions, window_lengths, kept = cut(lengths, window_length, context)
    return Windows(types[positions], window_lengths, kept)


def split(windows: Windows, max_positions: int) -> Iterator[tuple[Ints1d, Windows]]:
    """Split a batch between windows, so that the parts can be computed one after another. Windows
    of similar length come together, as they are computed side by side.

    windows (Windows): The batch.
    max_positions (int): How many positions a part has; it may be a window more.
    YIELDS (tuple[Ints1d, Windows]): (tokens,) the tokens of a part; and the part. There is none
        without tokens.
    """
    if len(windows.types) <= max_positions:
        if len(windows.types):
            yield numpy.arange(len(windows.kept)), windows
        return
    order = numpy.argsort(-windows.lengths, kind="stable")
    ends = windows.lengths.cumsum()
    begins = ends - windows.lengths
    first_tokens, last_tokens = numpy.searchsorted(windows.kept, [begins, ends])
    n_tokens = last_tokens - first_tokens
    sizes = windows.lengths[order].cumsum()
    for part in numpy.split(order, numpy.flatnonzero(numpy.diff(sizes // max_positions)) + 1):
        lengths = windows.lengths[part]
        tokens = _ranges(first_tokens[part], n_tokens[part])
        moved = begins[part] - (lengths.cumsum() - lengths)
        yield (
            tokens,
            Windows(
                types=windows.types[_ranges(begins[part], lengths)],
                lengths=lengths,
                kept=windows.kept[tokens] - numpy.repeat(moved, n_tokens[part]),
            ),
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


def cut(lengths: Ints1d, window_length: int, context: int = 0) -> tuple[Ints1d, Ints1d, Ints1d]:
    """Cut texts that stand one after another into windows of about equal length.

    lengths (Ints1d): (texts,) how many tokens each text has.
    window_length (int): The greatest length of a window without its context.
    context (int): How many tokens a window also sees on either side, where its text has them.
    RETURNS (tuple[Ints1d, Ints1d, Ints1d]): (positions,) the token at each position; (windows,)
        the length of each window with its context; (tokens,) the position that counts for it.
    """
    n_windows = -(-lengths // window_length)
    text = numpy.repeat(numpy.arange(len(lengths)), n_windows)
    index = _count_up(n_windows)
    begin = index * lengths[text] // n_windows[text]
    end = (index + 1) * lengths[text] // n_windows[text]
    seen_from = numpy.maximum(begin - context, 0)
    window_lengths = numpy.minimum(end + context, lengths[text]) - seen_from
    offsets = window_lengths.cumsum() - window_lengths
    text_starts = (lengths.cumsum() - lengths)[text]
    positions = _count_up(window_lengths) + numpy.repeat(text_starts + seen_from, window_lengths)
    kept = _count_up(end - begin) + numpy.repeat(offsets + begin - seen_from, end - begin)
    return positions, window_lengths, kept


def _attribute(docs: Sequence[Doc], attribute: int) -> Ints1d:
    return numpy.concatenate([doc.to_array(attribute) for doc in docs])


def _count_up(lengths: Ints1d) -> Ints1d:
    """Count from 0 up to each length in turn: [2, 3] gives [0, 1, 0, 1, 2]."""
    return numpy.arange(lengths.sum()) - numpy.repeat(lengths.cumsum() - lengths, lengths)


def _ranges(begins: Ints1d, lengths: Ints1d) -> Ints1d:
    """Count up from each beginning: from [5, 0], [2, 3] times gives [5, 6, 0, 1, 2]."""
    return _count_up(lengths) + numpy.repeat(begins, lengths)


def _number(counts: "Counter[str]", min_frequency: int) -> dict[str, int]:
    return _ids([key for key, count in counts.most_common() if count >= min_frequency])


def _ids(keys: list[str]) -> dict[str, int]:
    first = UNKNOWN + 1
    return dict(zip(keys, range(first, first + len(keys)), strict=True))


def _look_up(keys: Iterable[str], ids: dict[str, int]) -> Ints1d:
    return numpy.fromiter((ids.get(key, UNKNOWN) for key in keys), dtype="int64")
