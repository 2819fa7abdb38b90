"""Tests of `spans.py`: schemes, and the spans that labels mark."""

from itertools import pairwise, product

import pytest

from spacy_lstm_tagger.pipeline.spans import (
    MarkedSpan,
    allowed_pairs,
    find_scheme,
    mark,
    misfits,
    partners,
    peers_of,
    repair,
    spans_of,
)

LABELS = {
    "bio": ["O", "B-a", "I-a", "B-b", "I-b"],
    "bilou": ["O", "B-a", "I-a", "L-a", "U-a", "B-b", "L-b"],
    "bioes": ["O", "B-a", "I-a", "E-a", "S-a"],
}


@pytest.mark.parametrize(
    ("labels", "scheme"),
    [
        ("O B-a I-a", "bio"),
        ("B-a I-a", "bio"),
        ("I-a O", "bio"),
        ("B I O", "bio"),
        ("O B-a-b I-a-b", "bio"),
        ("O B-a I-a L-a U-b", "bilou"),
        ("U-a O", "bilou"),
        ("O B-a I-a E-a S-a", "bioes"),
        ("O B-a L-a S-a", None),
        ("O B-a I-a NN", None),
        ("O B-a a", None),
        ("O B- I-a", None),
        ("O", None),
        ("I O", None),
        ("B O", None),
        ("B E S", None),
        ("B I E S", "bioes"),
        ("NN VB B", None),
        ("", None),
    ],
)
def test_the_scheme_is_that_of_all_labels(labels: str, scheme: str | None) -> None:
    assert find_scheme(labels.split()) == scheme


def test_labels_that_do_not_fit_are_named() -> None:
    assert misfits(["O", "B-a", "U-a", "NN", "I-a"], "bio") == ["U-a", "NN"]
    assert misfits(["O", "B-a", "U-a", "L-a"], "bilou") == []


@pytest.mark.parametrize(
    ("labels", "scheme", "lacking"),
    [
        ("O B-a I-a", "bio", ""),
        ("O I-a", "bio", "B-a"),
        ("I-a", "bio", "B-a"),
        ("O L-a", "bilou", "B-a"),
        ("O B-a I-b", "bilou", "L-a B-b L-b"),
        ("O U-a", "bilou", ""),
        ("B-a L-a", "bilou", "O"),
        ("O I-a", "bioes", "B-a E-a"),
    ],
)
def test_labels_get_partners_that_make_them_possible(
    labels: str, scheme: str, lacking: str
) -> None:
    assert partners(labels.split(), scheme) == lacking.split()


def is_allowed(sequence: tuple[str, ...], labels: list[str], scheme: str) -> bool:
    pairs = allowed_pairs(labels, scheme)
    path = [0, *(1 + labels.index(label) for label in sequence), 0]
    return all(pairs[pair] for pair in pairwise(path))


@pytest.mark.parametrize("scheme", LABELS)
@pytest.mark.parametrize("length", [1, 2, 3, 4])
def test_allowed_sequences_are_those_that_spans_are_marked_with(scheme: str, length: int) -> None:
    labels = LABELS[scheme]
    for sequence in product(labels, repeat=length):
        is_right = mark(spans_of(sequence), length, scheme) == [*sequence]
        assert is_allowed(sequence, labels, scheme) == is_right, sequence


def test_pairs_of_labels_to_come_leave_the_others_as_they_are() -> None:
    labels = LABELS["bio"]
    before = allowed_pairs(labels, "bio")
    after = allowed_pairs([*labels, "B-c", "I-c"], "bio")
    assert (after[: len(before), : len(before)] == before).all()


@pytest.mark.parametrize(
    ("labels", "spans"),
    [
        ("O B-a I-a O", [(1, 3, "a")]),
        ("B-a B-a", [(0, 1, "a"), (1, 2, "a")]),
        ("I-a I-a", [(0, 2, "a")]),
        ("O I-a I-b", [(1, 2, "a"), (2, 3, "b")]),
        ("B-a I-b", [(0, 1, "a"), (1, 2, "b")]),
        ("B-a L-a U-a", [(0, 2, "a"), (2, 3, "a")]),
        ("B-a E-a I-a", [(0, 2, "a"), (2, 3, "a")]),
        ("L-a S-b", [(0, 1, "a"), (1, 2, "b")]),
        ("B-a _ I-a", [(0, 1, "a"), (2, 3, "a")]),
        ("B I O B", [(0, 2, ""), (3, 4, "")]),
        ("O NN B-a", [(2, 3, "a")]),
        ("", []),
    ],
)
def test_spans_are_read_as_conlleval_reads_them(
    labels: str, spans: list[tuple[int, int, str]]
) -> None:
    read = [None if label == "_" else label for label in labels.split()]
    assert spans_of(read) == [MarkedSpan(*span) for span in spans]


@pytest.mark.parametrize(
    ("scheme", "labels", "repaired"),
    [
        ("bio", "O I-a I-a", "O B-a I-a"),
        ("bio", "B-a I-b I-b", "B-a B-b I-b"),
        ("bio", "I-a B-a I-a", "B-a B-a I-a"),
        ("bio", "_ I-a O", "_ I-a O"),
        ("bio", "O _ B-a _ I-a", "O _ B-a _ I-a"),
        ("bio", "O I-a _", "O B-a _"),
        ("bio", "!B-a I-a", "!B-a I-a"),
        ("bilou", "B-a O I-a", "U-a O U-a"),
        ("bilou", "I-a I-a I-a", "B-a I-a L-a"),
        ("bilou", "B-a _ L-a", "B-a _ L-a"),
        ("bilou", "B-a I-a _", "B-a I-a _"),
        ("bilou", "_ I-a O", "_ L-a O"),
        ("bioes", "B-a", "S-a"),
    ],
)
def test_repaired_labels_mark_the_same_spans(scheme: str, labels: str, repaired: str) -> None:
    given = [None if label == "_" else label for label in labels.split()]
    found = repair(given, scheme)
    assert " ".join(label or "_" for label in found) == repaired
    assert [span[:2] for span in spans_of(found)] == [span[:2] for span in spans_of(given)]


@pytest.mark.parametrize("scheme", LABELS)
def test_right_labels_need_no_repair(scheme: str) -> None:
    for sequence in product(LABELS[scheme], repeat=4):
        expected = repair(sequence, scheme)
        assert is_allowed(tuple(map(str, expected)), [*LABELS[scheme], *more(scheme)], scheme)
        if is_allowed(sequence, LABELS[scheme], scheme):
            assert expected == [*sequence]


def more(scheme: str) -> list[str]:
    """Return the labels that a repair can bring."""
    return ["I-b", "U-b"] if scheme == "bilou" else []


@pytest.mark.parametrize(
    ("labels", "new", "peers"),
    [
        ("O B-a I-a B-b I-b B-c", "B-d I-d", [[1, 3], [2, 4]]),
        ("O B-a I-a B-b I-b B-c", "B-d", [[1, 3, 5]]),
        ("O B-a I-a B-b", "I-b", [[0]]),
        ("O B-a", "I-b B-b", [[0], [0]]),
        ("B-a I-a", "O", None),
    ],
)
def test_new_labels_have_peers_that_can_be_where_they_can_be(
    labels: str, new: str, peers: list[list[int]] | None
) -> None:
    assert peers_of(labels.split(), new.split(), "bio") == peers
