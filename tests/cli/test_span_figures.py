"""Tests of `span_figures.py`: labels made by hand, figures worked out by hand."""

import numpy
import pytest

from spacy_lstm_tagger.cli.evaluation import Evaluation
from spacy_lstm_tagger.cli.span_figures import span_figures


def scored(
    gold: str, predicted: str, docs: list[int] | None = None, places: list[int] | None = None
) -> Evaluation:
    n = len(gold.split())
    last = max(places or [n - 1])
    return Evaluation(
        [["w "] * (last + 1)],
        sentence=numpy.zeros(n, dtype="int64"),
        place=numpy.asarray(places or range(n)),
        doc=numpy.asarray(docs or [0] * n),
        gold=numpy.asarray(gold.split()),
        predicted=numpy.asarray(predicted.split()),
        confidence=None,
        n_gold=n,
        spacy_accuracy=0.5,
    )


def test_precision_recall_and_f_are_those_of_spans() -> None:
    found = span_figures(scored("B-a I-a O B-b B-b O", "B-a I-a O B-b O B-a"))
    assert found is not None
    overall = found["overall"]
    assert (overall["tokens"], overall["missed"], overall["extra"]) == (3, 1, 1)
    assert overall["precision"] == overall["recall"] == overall["f"] == pytest.approx(2 / 3)
    assert [(row["label"], row["tokens"], row["f"]) for row in found["types"]] == [
        ("b", 2, pytest.approx(2 / 3)),
        ("a", 1, pytest.approx(2 / 3)),
    ]


@pytest.mark.parametrize(
    ("gold", "predicted", "errors"),
    [
        ("B-a I-a O", "B-a O O", {"boundary": 1}),
        ("B-a I-a O", "B-b I-b O", {"type": 1}),
        ("B-a I-a O", "B-b O O", {"both": 1}),
        ("B-a I-a O", "O O O", {"missed": 1}),
        ("O O O", "B-a O O", {"extra": 1}),
        ("B-a I-a O", "B-a B-a O", {"boundary": 1}),
        ("B-a B-a O", "B-a I-a O", {"boundary": 2}),
        ("B-a B-b O", "B-a B-b O", {}),
        ("B-a I-a O", "I-a I-a O", {}),
    ],
)
def test_each_wrong_span_has_one_kind_of_error(
    gold: str, predicted: str, errors: dict[str, int]
) -> None:
    found = span_figures(scored(gold + " B-b", predicted + " B-b"))
    assert found is not None
    assert {kind: n for kind, n in found["errors"].items() if n} == errors


def test_spans_end_with_their_doc_and_where_labels_are_unknown() -> None:
    found = span_figures(scored("B-a I-a", "B-a I-a", docs=[0, 1]))
    assert found is not None and found["overall"]["tokens"] == 2
    found = span_figures(scored("B-a I-a", "B-a I-a", places=[0, 2]))
    assert found is not None and found["overall"]["tokens"] == 2


@pytest.mark.parametrize("gold", ["NN VB", "O O", "B-a NN"])
def test_labels_that_mark_no_spans_have_no_figures(gold: str) -> None:
    assert span_figures(scored(gold, gold)) is None


def test_tokens_without_a_label_are_outside_of_spans() -> None:
    found = span_figures(scored("B-a I-a", "(none) (none)"))
    assert found is not None and found["errors"]["missed"] == 1
