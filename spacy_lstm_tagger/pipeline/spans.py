"""Span schemes: labels such as B-city, I-city and O, and the spans that they mark.

O is the label outside of all spans. Spans are read as leniently as conlleval reads them: I-city
after O begins a span.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy
from spacy.attrs import IS_SPACE
from spacy.scorer import Scorer, get_ner_prf
from spacy.tokens import Doc, Span
from spacy.training import Example

from ..model.types import Bools2d
from .pairing import bare_copy


class Prefixes(NamedTuple):
    """The prefixes of a scheme: of the first token of a span, the tokens inside it, the last one,
    and of a span of one token.
    """

    first: str
    inside: str
    last: str
    single: str


OUTSIDE = "O"
SCHEMES = {"bio": Prefixes(*"BIIB"), "bilou": Prefixes(*"BILU"), "bioes": Prefixes(*"BIES")}
GOING_ON = set("ILE")  # prefixes of tokens that belong to the span of the token before
LAST = set("LUES")  # prefixes of tokens that end a span
NO_TYPE = "SPAN"  # the label of spans that labels without a type mark: B, I, O


class MarkedSpan(NamedTuple):
    """A span of tokens, from `start` to before `end`, and its type; "" for the labels B and I."""

    start: int
    end: int
    type: str


def scheme_of(labels: Iterable[str], setting: str | None) -> str | None:
    """Return the scheme that labels have by a setting.

    setting (str | None): "auto" for the scheme that is found, or a scheme; None for none.
    RETURNS (str | None): "bio", "bilou", "bioes" or None.
    RAISES: ValueError if there are labels that are none of the scheme.
    """
    if setting == "auto":
        return find_scheme(labels)
    wrong = misfits(labels, setting) if setting is not None else []
    if wrong:
        raise ValueError(
            f"scheme = {setting!r}, but these labels are none of it: {', '.join(wrong)}. Set "
            'scheme = "auto" for the scheme of the labels, or scheme = null'
        )
    return setting


def find_scheme(labels: Iterable[str]) -> str | None:
    """Find the scheme of a set of labels.

    RETURNS (str | None): "bio", "bilou" or "bioes"; None if some labels belong to no scheme or to
        different ones, or if all are O.
    """
    labels = set(labels)
    prefixes = {_split(label)[0] for label in labels} - {OUTSIDE}
    is_typed = any("-" in label for label in labels)
    if not prefixes or not (is_typed or prefixes >= {"B", "I"}):  # "S" and "E" could be languages
        return None
    return next((name for name, all_ in SCHEMES.items() if prefixes <= set(all_)), None)


def misfits(labels: Iterable[str], scheme: str) -> list[str]:
    """Return the labels that are none of a scheme, in their order."""
    prefixes = {*SCHEMES[scheme], OUTSIDE}
    return [label for label in labels if _split(label)[0] not in prefixes]


def partners(labels: Iterable[str], scheme: str) -> list[str]:
    """Return the labels that a set of labels of a scheme lacks, and without which others could not
    be in any sequence: B-city for I-city, and O if no label could be the only one of a Doc.
    """
    first, inside, last, single = SCHEMES[scheme]
    complete = dict.fromkeys(labels)
    for label in list(complete):
        prefix, type_ = _split(label)
        if prefix in (first, inside, last) and first != single:
            complete |= dict.fromkeys((_join(first, type_), _join(last, type_)))
        elif prefix == inside:
            complete |= dict.fromkeys((_join(first, type_),))
    if not any(_split(label)[0] in (OUTSIDE, single) for label in complete):
        complete[OUTSIDE] = None
    return [label for label in complete if label not in set(labels)]


def peers_of(labels: Sequence[str], new: Sequence[str], scheme: str) -> list[list[int]] | None:
    """Find for each new label those labels that can be where it can be.

    RETURNS (list[list[int]] | None): The indices of the labels with the same prefix, of each type
        that has all prefixes of the new labels. If there is no such type, or if new labels complete
        a type, the index of O; None without O.
    """
    ids = {label: i for i, label in enumerate(labels)}
    types = dict.fromkeys(_split(label)[1] for label in labels if label != OUTSIDE)
    peers = [
        [ids.get(_join(prefix, type_), -1) for type_ in types] for prefix, _ in map(_split, new)
    ]
    columns = [column for column in zip(*peers, strict=True) if min(column) >= 0]
    if columns and types.keys().isdisjoint(_split(label)[1] for label in new):
        return [list(row) for row in zip(*columns, strict=True)]
    return [[ids[OUTSIDE]]] * len(new) if OUTSIDE in ids else None


def allowed_pairs(labels: Sequence[str], scheme: str) -> Bools2d:
    """Find the pairs of labels that their scheme allows.

    RETURNS (NDArray[bool]): (labels + 1, labels + 1) whether label j - 1 can follow label i - 1;
        index 0 is the boundary of a text.
    """
    first, inside, _, single = SCHEMES[scheme]
    both = [(OUTSIDE, ""), *map(_split, labels)]  # at the boundary as after O, and as before it
    types = numpy.asarray([type_ for _, type_ in both])
    is_open = numpy.asarray([prefix in (first, inside) for prefix, _ in both])
    must_go_on = is_open & (first != single)
    goes_on = numpy.asarray([prefix in GOING_ON for prefix, _ in both])
    same_span = is_open[:, None] & (types[:, None] == types)
    allowed: Bools2d = numpy.where(goes_on, same_span, ~must_go_on[:, None])
    return allowed


def spans_of(labels: Iterable[str | None]) -> list[MarkedSpan]:
    """Return the spans that labels mark, whatever their scheme, and whether or not they keep to it.

    labels (Iterable[str | None]): The label of each token; None if it is not known, which ends a
        span.
    """
    spans: list[MarkedSpan] = []
    start, open_type = 0, None  # the type of the span that is not ended yet
    n_tokens = 0
    for i, label in enumerate(labels):
        n_tokens = i + 1
        prefix, type_ = _split(label or OUTSIDE)
        if open_type is not None and not (prefix in GOING_ON and type_ == open_type):
            spans.append(MarkedSpan(start, i, open_type))
            open_type = None
        if prefix in ("", OUTSIDE):
            continue
        if open_type is None:
            start, open_type = i, type_
        if prefix in LAST:
            spans.append(MarkedSpan(start, i + 1, open_type))
            open_type = None
    if open_type is not None:
        spans.append(MarkedSpan(start, n_tokens, open_type))
    return spans


def mark(spans: Iterable[MarkedSpan], n_tokens: int, scheme: str) -> list[str]:
    """Return the label of each token, given spans that don't overlap."""
    labels = [OUTSIDE] * n_tokens
    for start, end, type_ in spans:
        labels[start:end] = _labels_of_span(end - start, type_, scheme)
    return labels


def repair(labels: Sequence[str | None], scheme: str) -> list[str | None]:
    """Return labels that keep to a scheme and mark the same spans: B-city for I-city after O.

    labels (Sequence[str | None]): The label of each token; None if it is not known. Spans beside
        such a token can reach beyond it. What is no label of any scheme stays as it is.
    """
    prefixes = [_split(label)[0] if label else "" for label in labels]
    repaired = [OUTSIDE if prefix else labels[i] for i, prefix in enumerate(prefixes)]
    for start, end, type_ in spans_of(labels):
        begins_before = start > 0 and not prefixes[start - 1] and prefixes[start] in GOING_ON
        ends_after = end < len(labels) and not prefixes[end] and prefixes[end - 1] not in LAST
        whole = _labels_of_span(begins_before + end - start + ends_after, type_, scheme)
        repaired[start:end] = whole[begins_before : begins_before + end - start]
    return repaired


def write_spans(doc: Doc, labels: Sequence[str | None], key: str, overwrite: bool) -> None:
    """Write the spans that labels mark to a Doc. Whitespace tokens can be inside a span, but not
    at its ends.

    labels (Sequence[str | None]): The label of each token; None for whitespace.
    key (str): "ents", or a key of `doc.spans`.
    overwrite (bool): Whether to replace spans. Otherwise entities stay, and those that overlap
        with them are left out; a key of `doc.spans` that has spans stays as it is.
    """
    spans = doc_spans(doc, labels)
    if key != "ents":
        if overwrite or not doc.spans.get(key):
            doc.spans[key] = spans
        return
    if not overwrite and doc.ents:
        taken = {i for entity in doc.ents for i in range(entity.start, entity.end)}
        free = [span for span in spans if taken.isdisjoint(range(span.start, span.end))]
        spans = [*doc.ents, *free]
    doc.set_ents(spans)


def score_spans(
    examples: Sequence[Example], gold: Sequence[Sequence[str | None]], key: str
) -> dict[str, Any]:
    """Score the spans of the predicted Docs by spaCy's scorer.

    gold (Sequence[Sequence[str | None]]): The gold labels of the tokens of each reference Doc. If
        there are none, the gold spans are those of the Doc itself.
    key (str): "ents", or a key of `doc.spans`.
    RETURNS (dict[str, Any]): "ents_p", "ents_r", "ents_f" and "ents_per_type", or "spans_KEY_p" and
        so on.
    """
    marked = [
        Example(example.x, _with_spans(example.y, labels, key)) if any(labels) else example
        for example, labels in zip(examples, gold, strict=True)
    ]
    if key == "ents":
        return get_ner_prf(marked)
    return Scorer.score_spans(
        marked,
        f"spans_{key}",
        getter=lambda doc, _: doc.spans.get(key, []),
        has_annotation=lambda doc: key in doc.spans,
        allow_overlap=True,
    )


def _with_spans(doc: Doc, labels: Sequence[str | None], key: str) -> Doc:
    """Return a Doc of the same tokens with the spans that labels mark."""
    marked = bare_copy(doc, doc.vocab)
    spans = doc_spans(marked, labels)
    if key == "ents":
        unknown = [i for i, label in enumerate(labels) if not label and not doc[i].is_space]
        marked.set_ents(spans, missing=[marked[i : i + 1] for i in unknown])
    else:
        marked.spans[key] = spans
    return marked


def doc_spans(doc: Doc, labels: Sequence[str | None]) -> list[Span]:
    """Return the spans of a Doc that the labels of its tokens mark; whitespace has none."""
    words = [i for i, is_space in enumerate(doc.to_array(IS_SPACE).tolist()) if not is_space]
    return [
        Span(doc, words[start], words[end - 1] + 1, label=type_ or NO_TYPE)
        for start, end, type_ in spans_of([labels[i] for i in words])
    ]


def _labels_of_span(length: int, type_: str, scheme: str) -> list[str]:
    first, inside, last, single = SCHEMES[scheme]
    prefixes = single if length == 1 else f"{first}{inside * (length - 2)}{last}"
    return [_join(prefix, type_) for prefix in prefixes]


@cache
def _split(label: str) -> tuple[str, str]:
    """Return prefix and type of a label, "" if it has none."""
    if label == OUTSIDE:
        return OUTSIDE, ""
    prefix, hyphen, type_ = label.partition("-")
    is_marked = len(prefix) == 1 and prefix in "BILUES" and (type_ or not hyphen)
    return (prefix, type_) if is_marked else ("", "")


def _join(prefix: str, type_: str) -> str:
    return f"{prefix}-{type_}" if type_ else prefix
