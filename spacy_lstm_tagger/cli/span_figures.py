"""Figures of spans, for labels that mark some: precision, recall, F1 and kinds of errors."""

from collections import Counter
from itertools import groupby

from ..pipeline.spans import NO_TYPE, MarkedSpan, find_scheme, spans_of
from .evaluation import NOT_TAGGED, Evaluation
from .figures import Figures

KINDS = ("boundary", "type", "both", "missed", "extra")


def span_figures(scored: Evaluation) -> Figures | None:
    """Return the figures of spans; None if the labels mark none.

    scored (Evaluation): The scored tokens.
    RETURNS (Figures | None): "overall" has the number of gold spans, precision, recall and F1;
        "types" has a row for each type, the one with most errors first; "errors" how many spans
        have another boundary, another type or both, are missed, or are extra. A gold span that
        overlaps with predicted ones counts once; extra spans overlap with none.
    """
    if find_scheme({*scored.gold.tolist(), *scored.predicted.tolist()} - {NOT_TAGGED}) is None:
        return None
    n_gold: Counter[str] = Counter()
    n_predicted: Counter[str] = Counter()
    n_right: Counter[str] = Counter()
    errors = Counter(dict.fromkeys(KINDS, 0))
    for gold, predicted in _spans_of_docs(scored):
        n_gold.update(span.type or NO_TYPE for span in gold)
        n_predicted.update(span.type or NO_TYPE for span in predicted)
        n_right.update(span.type or NO_TYPE for span in gold & predicted)
        errors.update(_kind(span, predicted) for span in gold - predicted)
        errors["extra"] += sum(
            not any(_overlap(span, other) for other in gold) for span in predicted - gold
        )
    types = [
        {
            "label": type_,
            "meaning": "",
            **_scores(n_gold[type_], n_predicted[type_], n_right[type_]),
        }
        for type_ in n_gold | n_predicted
    ]
    types.sort(key=lambda row: (-row["missed"] - row["extra"], -row["tokens"], row["label"]))
    overall = _scores(n_gold.total(), n_predicted.total(), n_right.total())
    return {"overall": overall, "types": types, "errors": dict(errors)}


def _scores(n_gold: int, n_predicted: int, n_right: int) -> Figures:
    """Return figures under the names that the table of labels has; "tokens" are spans."""
    return {
        "tokens": n_gold,
        "missed": n_gold - n_right,
        "extra": n_predicted - n_right,
        "precision": n_right / n_predicted if n_predicted else 0.0,
        "recall": n_right / n_gold if n_gold else 0.0,
        "f": 2 * n_right / (n_gold + n_predicted) if n_gold + n_predicted else 0.0,
    }


def _spans_of_docs(scored: Evaluation) -> list[tuple[set[MarkedSpan], set[MarkedSpan]]]:
    """Return the gold and the predicted spans of each Doc."""
    found = []
    columns = (scored.doc, scored.sentence, scored.place, scored.gold, scored.predicted)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    for _, tokens in groupby(rows, key=lambda row: row[0]):
        gold: list[str | None] = []
        predicted: list[str | None] = []
        before: tuple[int, int] | None = None
        for _, sentence, place, right, own in tokens:
            follows = before in ((sentence, place - 1), (sentence - 1, _last(scored, sentence - 1)))
            if before is not None and not follows:  # tokens between them have no gold label
                gold.append(None)
                predicted.append(None)
            gold.append(right)
            predicted.append(own)
            before = (sentence, place)
        found.append((set(spans_of(gold)), set(spans_of(predicted))))
    return found


def _last(scored: Evaluation, sentence: int) -> int:
    return len(scored.sentences[sentence]) - 1


def _kind(span: MarkedSpan, predicted: set[MarkedSpan]) -> str:
    """Return what is wrong with the prediction of a gold span."""
    others = [other for other in predicted if _overlap(span, other)]
    if any(other[:2] == span[:2] for other in others):
        return "type"
    if any(other.type == span.type for other in others):
        return "boundary"
    return "both" if others else "missed"


def _overlap(one: MarkedSpan, other: MarkedSpan) -> bool:
    return one.start < other.end and other.start < one.end
