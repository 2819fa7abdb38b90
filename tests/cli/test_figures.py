"""Tests of `figures.py`: tokens made by hand, figures worked out by hand."""

from collections import Counter

import numpy
import pytest

from spacy_lstm_tagger.cli import figures
from spacy_lstm_tagger.cli.evaluation import Evaluation

GOLD = ["A", "A", "B", "B", "B", "C"]
PREDICTED = ["A", "B", "B", "B", "A", "A"]
CONFIDENCE = [0.95, 0.99, 0.5, 1.0, 0.92, 0.3]
SENTENCES = [["x ", "y ", "z "], ["x ", "y"], ["w"]]


def scored(gold=GOLD, predicted=PREDICTED, confidence=CONFIDENCE) -> Evaluation:
    return Evaluation(
        SENTENCES,
        sentence=numpy.asarray([0, 0, 0, 1, 1, 2]),
        place=numpy.asarray([0, 1, 2, 0, 1, 0]),
        doc=numpy.asarray([0, 0, 0, 0, 0, 1]),
        gold=numpy.asarray(gold),
        predicted=numpy.asarray(predicted),
        confidence=None if confidence is None else numpy.asarray(confidence),
        n_gold=6,
        spacy_accuracy=0.5,
    )


def test_overall() -> None:
    found = figures.overall(scored())
    assert (found["tokens"], found["right"], found["accuracy"]) == (6, 3, 0.5)
    assert (found["sentences"], found["sentences_right"]) == (3, 0)


def test_an_interval_needs_enough_sentences_and_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    assert figures.overall(scored())["interval"] is None
    monkeypatch.setattr(figures, "MIN_SENTENCES", 3)
    low, high = figures.overall(scored())["interval"]
    assert low < 0.5 < high
    assert figures.overall(scored(predicted=GOLD))["interval"] is None
    assert figures.overall(scored(predicted=["X"] * 6))["interval"] is None


def test_groups() -> None:
    unseen, seen = figures.by_knowledge(scored(), {"x", "y"})
    assert (unseen["name"], unseen["tokens"], unseen["right"]) == ("unseen words", 2, 1)
    assert (seen["tokens"], seen["accuracy"]) == (4, 0.5)
    rows = figures.by_frequency(scored(), {"x": 1, "y": 9, "z": 1000})
    assert [(r["name"], r["tokens"]) for r in rows] == [
        ("never", 1),
        ("once", 2),
        ("2 to 9", 2),
        ("1,000 or more", 1),
    ]
    assert [(r["name"], r["tokens"]) for r in figures.by_length(scored())] == [("1 to 5", 6)]


def test_what_is_not_known_of_the_training_is_left_out() -> None:
    assert figures.by_knowledge(scored(), None) == []
    assert figures.by_frequency(scored(), None) == []


def test_docs_with_most_errors_come_first() -> None:
    first, second = figures.by_doc(scored())
    assert figures.by_doc(scored(predicted=[*PREDICTED[:5], "C"])) == [first]
    assert (first["name"], first["tokens"], first["right"]) == ("1", 5, 3)
    assert (first["begins"], second["begins"]) == ("x y z", "w")


def test_precision_and_recall_of_each_label() -> None:
    rows = {row["label"]: row for row in figures.per_label(scored(), "tag")}
    assert [*rows] == ["A", "B", "C"]  # 3, 2 and 1 errors
    assert rows["A"]["precision"] == pytest.approx(1 / 3)
    assert rows["A"]["recall"] == pytest.approx(1 / 2)
    assert rows["A"]["f"] == pytest.approx(2 / 5)
    assert (rows["A"]["missed"], rows["A"]["extra"], rows["A"]["tokens"]) == (1, 2, 2)
    assert rows["C"]["precision"] == rows["C"]["recall"] == rows["C"]["f"] == 0


def test_morph_is_scored_per_feature() -> None:
    gold, predicted = ["N=S|P=3", "N=S", "_", "_", "_", "_"], ["N=S|P=1", "N=S", "_", "_", "_", "_"]
    rows = {r["label"]: r for r in figures.per_label(scored(gold, predicted), "morph")}
    assert (rows["N=S"]["f"], rows["P=3"]["recall"], rows["P=1"]["precision"]) == (1, 0, 0)


def test_the_confusion_matrix_counts_each_error_once(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = figures.confusion_matrix(scored())
    assert matrix["labels"] == ["A", "B", "C"]  # 3, 2 and 1 errors
    assert matrix["counts"] == [[0, 1, 0], [1, 0, 0], [1, 0, 0]]
    monkeypatch.setattr(figures, "MAX_LABELS", 1)
    assert figures.confusion_matrix(scored()) == {
        "labels": ["A"],
        "others": 2,
        "counts": [[0, 1], [2, 0]],
    }


def test_a_perfect_tagger_has_no_confusions() -> None:
    perfect = scored(predicted=GOLD)
    assert figures.confusion_matrix(perfect) == {"labels": [], "others": 0, "counts": []}
    assert figures.confusions(perfect) == figures.by_doc(perfect) == []


def test_confusions_come_with_context() -> None:
    first, *_ = figures.confusions(scored())
    assert (first["gold"], first["predicted"], first["tokens"]) == ("A", "B", 1)
    (example,) = first["examples"]
    assert (example["before"], example["word"], example["after"]) == ("x ", "y", " z ")
    assert len(figures.confusions(scored())) == 3


def test_confidence_against_accuracy() -> None:
    found = figures.calibration(scored())
    assert [(b["name"], b["tokens"]) for b in found["bins"]] == [
        ("30% to 40%", 1),
        ("50% to 60%", 1),
        ("90% to 100%", 4),
    ]
    error = (0.3 + 0.5 + 4 * abs((0.95 + 0.99 + 1 + 0.92) / 4 - 0.5)) / 6
    assert found["error"] == pytest.approx(error)
    assert figures.calibration(scored(confidence=None)) is None


def test_suspects_are_sure_and_wrong() -> None:
    found = figures.suspects(scored(), {"y": Counter(B=2, A=1)})
    assert found["tokens"] == 2
    assert [row["confidence"] for row in found["examples"]] == [0.99, 0.92]
    assert found["examples"][0]["training"] == [("B", 2), ("A", 1)]
    assert figures.suspects(scored(confidence=None), None)["tokens"] == 0


def test_comparison() -> None:
    other = scored(predicted=["A", "A", "B", "A", "A", "A"])
    found = figures.comparison(scored(), other)
    assert (found["both"], found["neither"]) == (2, 2)
    first, second = found["only"]
    assert (first["tokens"], first["instead_of"]) == (1, [["B", "A", 1]])
    assert (second["tokens"], second["instead_of"]) == (1, [["A", "B", 1]])
    assert found["p"] == 1


def test_other_tokens_are_not_compared() -> None:
    other = scored()._replace(sentences=[["xy z "], ["x ", "y"], ["w"]])
    with pytest.raises(ValueError, match="without --tokenizer"):
        figures.comparison(scored(), other)
