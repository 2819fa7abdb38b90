"""Tests of `windows.py`: cutting texts into windows, and batches into parts."""

from itertools import pairwise, product

import numpy
import pytest
from spacy.tokens import Doc

from spacy_lstm_tagger.model.types import Bools1d, Ints1d, Windows
from spacy_lstm_tagger.model.windows import cut, lengths_of, split, windows_of

LENGTHS = [*product(range(6), repeat=3), *((length,) for length in range(40)), (0, 17, 0, 23)]


def all_words(docs: list[Doc]) -> Bools1d:
    return numpy.ones(sum(map(len, docs)), dtype=bool)


@pytest.mark.parametrize("context", [0, 2])
@pytest.mark.parametrize("max_windows", [1, 2, 3, 5, 8, 100])
def test_parts_of_a_batch_make_up_the_batch(
    docs: list[Doc], max_windows: int, context: int
) -> None:
    windows = windows_of(docs, all_words(docs), 2, context)
    parts = list(split(windows, max_windows))
    of_parts = [window for _, part in parts for window in listed(part)]
    assert sorted(of_parts) == sorted(listed(windows))
    found = {}
    for tokens, part in parts:
        assert 1 <= len(part.lengths) <= max_windows
        assert (numpy.diff(part.kept) > 0).all()
        found.update(zip(tokens.tolist(), part.tokens[part.kept].tolist(), strict=True))
    assert found == dict(enumerate(windows.tokens[windows.kept].tolist()))
    lengths = [n for _, part in parts for n in part.lengths]
    assert len(parts) == 1 or lengths == sorted(lengths, reverse=True)


def listed(windows: Windows) -> list[tuple[list[int], list[int]]]:
    """Return the tokens of each window, and its positions that are kept."""
    ends = windows.lengths.cumsum()
    return [
        (windows.tokens[begin:end].tolist(), [k - begin for k in windows.kept if begin <= k < end])
        for begin, end in zip(ends - windows.lengths, ends, strict=True)
    ]


@pytest.mark.parametrize("window_length, context", [(2, 0), (2, 1), (3, 5), (100, 1)])
def test_windows_of_docs_are_cut_by_their_lengths(
    docs: list[Doc], window_length: int, context: int
) -> None:
    lengths = numpy.asarray([len(doc) for doc in docs])
    found = windows_of(docs, all_words(docs), window_length, context)
    for own, expected in zip(found, cut(lengths, window_length, context), strict=True):
        assert own.tolist() == expected.tolist()


@pytest.mark.parametrize("window_length", [1, 2, 9])
@pytest.mark.parametrize("empty_at", [(0,), (1,), (3,), (0, 3), (0, 0, 1, 2, 2, 3)])
def test_empty_docs_change_nothing(
    docs: list[Doc], empty_at: tuple[int, ...], window_length: int
) -> None:
    mixed = list(docs)
    for place in sorted(empty_at, reverse=True):
        mixed.insert(place, Doc(docs[0].vocab))
    with_empty = windows_of(mixed, all_words(mixed), window_length, 1)
    for found, expected in zip(
        with_empty, windows_of(docs, all_words(docs), window_length, 1), strict=True
    ):
        assert found.tolist() == expected.tolist()
        assert found.dtype == "int64"


@pytest.mark.parametrize("window_length, context", [(1, 0), (2, 1), (3, 5), (100, 1)])
@pytest.mark.parametrize("seed", range(5))
def test_tokens_that_are_not_read_are_as_if_they_were_not_there(
    docs: list[Doc], window_length: int, context: int, seed: int
) -> None:
    is_word = numpy.random.default_rng(seed).random(sum(map(len, docs))) < 0.6
    n_words, begin = [], 0
    for doc in docs:
        n_words.append(int(is_word[begin : begin + len(doc)].sum()))
        begin += len(doc)
    assert lengths_of(docs, is_word).tolist() == n_words
    found = windows_of(docs, is_word, window_length, context)
    tokens, lengths, kept = cut(numpy.asarray(n_words), window_length, context)
    assert found.tokens.tolist() == numpy.flatnonzero(is_word)[tokens].tolist()
    assert found.lengths.tolist() == lengths.tolist()
    assert found.kept.tolist() == kept.tolist()


def test_a_batch_of_empty_docs_has_no_parts(docs: list[Doc]) -> None:
    empty = [Doc(docs[0].vocab)]
    assert not list(split(windows_of(empty, all_words(empty), 2), 1))


def cut_slowly(
    lengths: tuple[int, ...], window_length: int, context: int
) -> tuple[list[int], list[int], list[int]]:
    """Do what `cut` does, token by token."""
    positions: list[int] = []
    window_lengths: list[int] = []
    kept: list[int] = []
    text_start = 0
    for length in lengths:
        n_windows = next(n for n in range(length + 1) if n * window_length >= length)
        cuts = [length * n // n_windows for n in range(n_windows + 1)] if length else []
        for begin, end in pairwise(cuts):
            window = []
            for token in range(begin - context, end + context):
                if 0 <= token < length:
                    if begin <= token < end:
                        kept.append(len(positions) + len(window))
                    window.append(text_start + token)
            positions += window
            window_lengths.append(len(window))
        text_start += length
    return positions, window_lengths, kept


def tokens_of(
    cut_texts: tuple[Ints1d, Ints1d, Ints1d],
) -> list[tuple[list[int], list[int]]]:
    """Return the tokens of each window, and those of them that count."""
    positions, window_lengths, kept = cut_texts
    windows = numpy.split(numpy.arange(len(positions)), window_lengths.cumsum()[:-1])
    counting = set(kept.tolist())
    return [
        (positions[window].tolist(), [int(positions[i]) for i in window if int(i) in counting])
        for window in windows
        if len(window)
    ]


@pytest.mark.parametrize("context", [0, 1, 2, 7])
@pytest.mark.parametrize("window_length", [1, 2, 3, 4, 7, 50])
def test_cut_equals_a_slow_reference(window_length: int, context: int) -> None:
    for lengths in LENGTHS:
        found = cut(numpy.asarray(lengths), window_length, context)
        assert tuple(part.tolist() for part in found) == cut_slowly(lengths, window_length, context)


@pytest.mark.parametrize("context", [0, 1, 3])
@pytest.mark.parametrize("window_length", [1, 2, 3, 5])
def test_every_token_is_kept_exactly_once(window_length: int, context: int) -> None:
    for lengths in LENGTHS:
        positions, _, kept = cut(numpy.asarray(lengths), window_length, context)
        assert positions[kept].tolist() == list(range(sum(lengths)))


@pytest.mark.parametrize("context", [0, 1, 3])
@pytest.mark.parametrize("window_length", [1, 2, 3, 5])
def test_a_window_has_its_context_and_nothing_of_other_texts(
    window_length: int, context: int
) -> None:
    for lengths in LENGTHS:
        ends = numpy.cumsum(lengths)
        for seen, counting in tokens_of(cut(numpy.asarray(lengths), window_length, context)):
            text = numpy.searchsorted(ends, counting[0], side="right")
            begin, end = ends[text] - lengths[text], ends[text]
            first, last = max(counting[0] - context, begin), min(counting[-1] + context, end - 1)
            assert seen == list(range(first, last + 1))


@pytest.mark.parametrize("window_length", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("length", range(1, 34))
def test_windows_are_bounded_few_and_balanced(length: int, window_length: int) -> None:
    windows = tokens_of(cut(numpy.asarray([length]), window_length, 2))
    sizes = [len(counting) for _, counting in windows]
    assert len(sizes) == -(-length // window_length)
    assert max(sizes) <= window_length
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("context", [0, 3])
def test_texts_that_fit_into_a_window_stay_whole(context: int) -> None:
    for lengths in product(range(5), repeat=4):
        positions, window_lengths, kept = cut(numpy.asarray(lengths), 4, context)
        assert positions.tolist() == kept.tolist() == list(range(sum(lengths)))
        assert window_lengths.tolist() == [length for length in lengths if length]
