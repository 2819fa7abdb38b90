"""Lengths of Docs in, windows out: what an LSTM or a CRF reads as one sequence each."""

from collections.abc import Iterator, Sequence

import numpy
from spacy.tokens import Doc

from ..prediction.inputs import Ints1d, Windows


def windows_of(docs: Sequence[Doc], types: Ints1d, window_length: int, context: int = 0) -> Windows:
    """Cut Docs into windows.

    docs (Sequence[Doc]): The batch.
    types (Ints1d): (tokens,) the type of each token.
    window_length (int): A longer Doc is cut into windows of at most so many tokens.
    context (int): How many tokens a window also gets to see on either side.
    RETURNS (Windows): The windows.
    """
    lengths = numpy.asarray([len(doc) for doc in docs], dtype="int64")
    if lengths.max(initial=0) <= window_length:  # quickly
        return Windows(types, lengths[lengths > 0], numpy.arange(len(types)))
    positions, window_lengths, kept = cut(lengths, window_length, context)
    return Windows(types[positions], window_lengths, kept)


def split(windows: Windows, max_windows: int) -> Iterator[tuple[Ints1d, Windows]]:
    """Split a batch between windows, so that the parts can be computed one after another. Windows
    of similar length come together, as they are computed side by side.

    windows (Windows): The batch.
    max_windows (int): How many windows a part has at most.
    YIELDS (tuple[Ints1d, Windows]): (tokens,) the tokens of a part; and the part. There is none
        without tokens.
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
                types=windows.types[_ranges(begins[part], lengths)],
                lengths=lengths,
                kept=windows.kept[tokens] - numpy.repeat(moved, n_tokens[part]),
            ),
        )


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


def _count_up(lengths: Ints1d) -> Ints1d:
    """Count from 0 up to each length in turn: [2, 3] gives [0, 1, 0, 1, 2]."""
    return numpy.arange(lengths.sum()) - numpy.repeat(lengths.cumsum() - lengths, lengths)


def _ranges(begins: Ints1d, lengths: Ints1d) -> Ints1d:
    """Count up from each beginning: from [5, 0], [2, 3] times gives [5, 6, 0, 1, 2]."""
    return _count_up(lengths) + numpy.repeat(begins, lengths)
