"""Figures of spans, for labels that mark some: precision, recall, F1 and kinds of errors."""

from collections import Counter
from itertools import groupby

from ..pipeline.spans import NO_TYPE, MarkedSpan, find_scheme, spans_of
from .evaluation import NOT_TAGGED, Evaluation
from .figures import Figures, label_rows, scores

KINDS = ("boundary", "type", "both", "missed", "extra")


def span_figures(scored: Evaluation) -> Figures | None:
    """Return the figures of spans; None if the labels mark none.

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
    types = label_rows(n_gold, n_predicted, n_right)
    overall = scores(n_gold.total(), n_predicted.total(), n_right.total())
    return {"overall": overall, "types": types, "errors": dict(errors)}


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
            last = len(scored.sentences[sentence - 1]) - 1  # of the sentence before
            follows = before in ((sentence, place - 1), (sentence - 1, last))
            if before is not None and not follows:  # tokens between them have no gold label
                gold.append(None)
                predicted.append(None)
            gold.append(right)
            predicted.append(own)
            before = (sentence, place)
        found.append((set(spans_of(gold)), set(spans_of(predicted))))
    return found


def _kind(span: MarkedSpan, predicted: set[MarkedSpan]) -> str:
    """Return the kind of error of a gold span that is not predicted."""
    others = [other for other in predicted if _overlap(span, other)]
    if any(other[:2] == span[:2] for other in others):
        return "type"
    if any(other.type == span.type for other in others):
        return "boundary"
    return "both" if others else "missed"


def _overlap(one: MarkedSpan, other: MarkedSpan) -> bool:
    return one.start < other.end and other.start < one.end
