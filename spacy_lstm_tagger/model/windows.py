"""Windows: the sequences of tokens that an LSTM or a CRF reads at a time."""

from collections.abc import Iterator, Sequence

import numpy
from spacy.tokens import Doc

from .types import Bools1d, Ints1d, Windows


def windows_of(
    docs: Sequence[Doc], is_word: Bools1d, window_length: int, context: int = 0
) -> Windows:
    """Cut Docs into windows of words.

    docs (Sequence[Doc]): The batch.
    is_word (Bools1d): (tokens,) which tokens of all Docs are read; the others are left out.
    window_length (int): Maximum length of a window; longer Docs are cut.
    context (int): Number of words that a window also reads on either side.
    RETURNS (Windows): The windows; `kept` has an entry for each word.
    """
    lengths = lengths_of(docs, is_word)
    if lengths.max(initial=0) <= window_length:  # fast path
        positions = numpy.arange(lengths.sum())
        windows = Windows(positions, lengths[lengths > 0], positions)
    else:
        windows = Windows(*cut(lengths, window_length, context))
    if len(windows.kept) == len(is_word):
        return windows
    return windows._replace(tokens=numpy.flatnonzero(is_word)[windows.tokens])


def lengths_of(docs: Sequence[Doc], is_word: Bools1d) -> Ints1d:
    """Return (docs,) the number of words of each Doc."""
    lengths = numpy.asarray([len(doc) for doc in docs], dtype="int64")
    if is_word.all():
        return lengths
    ends = numpy.concatenate([[0], is_word.cumsum()])[lengths.cumsum()]
    return numpy.diff(ends, prepend=0)


def split(windows: Windows, max_windows: int) -> Iterator[tuple[Ints1d, Windows]]:
    """Split a batch into parts that can be computed one after another. Windows of similar length
    are put together, since they are computed side by side.

    windows (Windows): The batch.
    max_windows (int): Maximum number of windows of a part.
    YIELDS (tuple[Ints1d, Windows]): (kept,) the words whose outputs a part gives, by their place
        in `kept` of the batch; and the part. A batch without words has no parts.
    """
    if len(windows.lengths) <= max_windows:
        if len(windows.lengths):
            yield numpy.arange(len(windows.kept)), windows
        return
    order = numpy.argsort(-windows.lengths, kind="stable")
    ends = windows.lengths.cumsum()
    begins = ends - windows.lengths
    first_tokens, last_tokens = numpy.searchsorted(windows.kept, [begins, ends])
    n_tokens = last_tokens - first_tokens
    for i in range(0, len(order), max_windows):
        part = order[i : i + max_windows]
        lengths = windows.lengths[part]
        tokens = _ranges(first_tokens[part], n_tokens[part])
        moved = begins[part] - (lengths.cumsum() - lengths)
        yield (
            tokens,
            Windows(
                tokens=windows.tokens[_ranges(begins[part], lengths)],
                lengths=lengths,
                kept=windows.kept[tokens] - numpy.repeat(moved, n_tokens[part]),
            ),
        )


def cut(lengths: Ints1d, window_length: int, context: int = 0) -> tuple[Ints1d, Ints1d, Ints1d]:
    """Cut texts that are stored one after another into windows of about equal length.

    lengths (Ints1d): (texts,) number of tokens of each text.
    window_length (int): Maximum length of a window without its context.
    context (int): Number of tokens that a window also reads on either side, within its text.
    RETURNS (tuple[Ints1d, Ints1d, Ints1d]): (positions,) the token at each position; (windows,)
        the length of each window with its context; (tokens,) the position whose output is used
        for each token.
    """
    n_windows = -(-lengths // window_length)
    text = numpy.repeat(numpy.arange(len(lengths)), n_windows)
    index = _count_up(n_windows)
    begin = index * lengths[text] // n_windows[text]
    end = (index + 1) * lengths[text] // n_windows[text]
    read_from = numpy.maximum(begin - context, 0)
    window_lengths = numpy.minimum(end + context, lengths[text]) - read_from
    offsets = window_lengths.cumsum() - window_lengths
    text_starts = (lengths.cumsum() - lengths)[text]
    positions = _count_up(window_lengths) + numpy.repeat(text_starts + read_from, window_lengths)
    kept = _count_up(end - begin) + numpy.repeat(offsets + begin - read_from, end - begin)
    return positions, window_lengths, kept


def _count_up(lengths: Ints1d) -> Ints1d:
    """Count from 0 up to each length in turn: [2, 3] gives [0, 1, 0, 1, 2]."""
    return numpy.arange(lengths.sum()) - numpy.repeat(lengths.cumsum() - lengths, lengths)


def _ranges(begins: Ints1d, lengths: Ints1d) -> Ints1d:
    """Return ranges one after another: [5, 0] and [2, 3] give [5, 6, 0, 1, 2]."""
    return _count_up(lengths) + numpy.repeat(begins, lengths)
