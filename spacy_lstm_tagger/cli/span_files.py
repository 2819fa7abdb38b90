"""Texts with character spans: JSONL of Prodigy and doccano, JSON of Label Studio."""

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from spacy.language import Language
from spacy.tokens import Doc

from ..pipeline.spans import MarkedSpan, mark
from .tables import Labelled, read_utf8

UNUSED = {"reject", "ignore"}  # answers in Prodigy's files
SPAN_KEYS = ("spans", "entities", "label", "labels")  # Prodigy's; the others are doccano's
DONE_KEYS = {"answer", "annotation_id"}  # in Prodigy and Label Studio, also of texts without spans


class CharSpan(NamedTuple):
    """A span of characters of a text, from `start` to before `end`, and its type."""

    start: int
    end: int
    type: str


class CutSpan(NamedTuple):
    """A span that begins or ends inside a token: its place in the file, and a description."""

    place: str
    description: str


def read_spans(path: Path, nlp: Language, text_key: str, cut: list[CutSpan]) -> Iterator[Labelled]:
    """Read texts with character spans, and label their tokens by the scheme "bio". If each word is
    a span by itself, as `uncertain` writes them, its label is taken as it is. What Prodigy rejected
    or ignored is left out, and so are Label Studio's tasks without annotations.

    path (Path): A file of JSON lines; or, if its name ends in .json, of one list of texts.
    nlp (Language): Tokenizes the texts that have no tokens.
    text_key (str): Where a text stands.
    cut (list[CutSpan]): Gets the spans that begin or end inside a token, which are left out.
    YIELDS (Labelled): The texts.
    RAISES: ValueError if the file is no JSON, if a text lacks its key, if spans overlap, or if one
        isn't inside its text.
    """
    annotated = [
        (place, *found)
        for place, record in _records(path)
        if (found := _read(place, record, nlp, text_key))
    ]
    is_sentence = any(len(chars) > 1 for _, _, chars in annotated)
    if is_sentence and all(_are_words(doc, chars) for _, doc, chars in annotated):
        for place, doc, chars in annotated:
            labels = {char.start: char.type for char in chars}
            yield _labelled(doc, [labels.get(token.idx, "") for token in doc], place)
        return
    for place, doc, chars in annotated:
        yield _labelled(doc, _mark(doc, chars, place, cut), place)


def _read(
    place: str, record: dict[str, Any], nlp: Language, text_key: str
) -> tuple[Doc, list[CharSpan]] | None:
    """Return the tokens and the spans of a record; None if it is not annotated."""
    try:
        spans = None if record.get("answer") in UNUSED else _annotated_spans(record)
        if spans is None:
            return None
        text = _text(record, text_key)
        chars = sorted({_strip(char, text) for char in _char_spans(spans, text)})
        doc = _tokenize(record, text, nlp)
        for one, other in pairwise(chars):
            if other.start < one.end:
                raise ValueError(
                    f"the spans {_describe(one, doc)} and {_describe(other, doc)} overlap; a token "
                    "can have one label only"
                )
        return doc, chars
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{place}: {error}") from error


def _are_words(doc: Doc, chars: list[CharSpan]) -> bool:
    """Return whether each word is a span by itself, and there are no other spans."""
    words = [(token.idx, token.idx + len(token)) for token in doc if not token.is_space]
    return words == [(char.start, char.end) for char in chars]


def _records(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each record of a file and where it stands."""
    content = read_utf8(path)
    if path.suffix.lower() == ".json":
        values = _parse(content, str(path))
        if not isinstance(values, list):
            raise ValueError(f"{path} is no list of texts")
        numbered = [(f"{path}, text {i}", value) for i, value in enumerate(values, 1)]
    else:
        lines = [(f"{path}, line {i}", line) for i, line in enumerate(content.split("\n"), 1)]
        numbered = [(place, _parse(line, place)) for place, line in lines if line.strip()]
    if not numbered:
        raise ValueError(f"{path} has no texts")
    for place, record in numbered:
        if not isinstance(record, dict):
            raise ValueError(f"{place} is no JSON object: {record!r:.80}")
        yield place, record


def _parse(content: str, place: str) -> Any:
    try:
        return json.loads(content)
    except (RecursionError, ValueError) as error:
        raise ValueError(f"{place} is no JSON: {error}") from error


def _text(record: dict[str, Any], text_key: str) -> str:
    values = record["data"] if isinstance(record.get("data"), dict) else record
    if not isinstance(values.get(text_key), str):
        strings = ", ".join(repr(key) for key, value in values.items() if isinstance(value, str))
        raise ValueError(
            f"there is no text under the key {text_key!r}; keys with strings: {strings or 'none'}"
        )
    return str(values[text_key])


def _annotated_spans(record: dict[str, Any]) -> list[Any] | None:
    """Return the spans of a record; None if nobody annotated it."""
    if isinstance(record.get("annotations"), list):
        return _label_studio_spans(record["annotations"])
    for key in SPAN_KEYS:
        if isinstance(record.get(key), list):
            return list(record[key])
    if not DONE_KEYS.isdisjoint(record):
        return []
    raise ValueError(f"there is no list of spans under any of the keys {', '.join(SPAN_KEYS)}")


def _label_studio_spans(annotations: list[Any]) -> list[Any] | None:
    done = [
        [
            result["value"]
            for result in annotation.get("result", [])
            if result.get("type") in ("labels", "hypertextlabels")
        ]
        for annotation in annotations
        if not annotation.get("was_cancelled")
    ]
    if not done:
        return None
    if any(_sorted(other) != _sorted(done[0]) for other in done):
        raise ValueError(f"it has {len(done)} annotations that differ; keep one of them")
    return done[0]


def _sorted(spans: list[Any]) -> list[tuple[Any, ...]]:
    return sorted((span.get("start"), span.get("end"), *span.get("labels", ())) for span in spans)


def _char_spans(spans: list[Any], text: str) -> list[CharSpan]:
    """Read the spans of a text. If those that quote it are not at their places, they are counted in
    units of UTF-16, as JavaScript and so Label Studio count.
    """
    chars = [_char_span(span) for span in spans]
    quotes = [span.get("text") if isinstance(span, dict) else None for span in spans]
    if _misplaced(chars, quotes, text) is not None:
        chars = [
            CharSpan(_characters(char.start, text), _characters(char.end, text), char.type)
            for char in chars
        ]
    if (wrong := _misplaced(chars, quotes, text)) is not None:
        raise ValueError(f"the span {quotes[wrong]!r} is not at its place in the text")
    return chars


def _characters(n_units: int, text: str) -> int:
    """Return how many characters of a text a number of units of UTF-16 are."""
    units = text.encode("utf-16-le")[: 2 * max(0, n_units)]
    return len(units.decode("utf-16-le", "ignore"))


def _misplaced(chars: list[CharSpan], quotes: list[Any], text: str) -> int | None:
    """Return the number of the first span that quotes another text than it has."""
    for i, (char, quote) in enumerate(zip(chars, quotes, strict=True)):
        fits = char.end <= len(text) and text[char.start : char.end] == quote
        if isinstance(quote, str) and not fits:
            return i
    return None


def _char_span(span: Any) -> CharSpan:
    """Read a span, which is [start, end, type] or an object with these."""
    if isinstance(span, dict):
        start = span.get("start", span.get("start_offset"))
        end = span.get("end", span.get("end_offset"))
        type_ = span.get("label", span.get("labels"))
        if isinstance(type_, list):
            if len(type_) != 1:
                raise ValueError(f"a span must have one type, not {type_}: {span!r:.80}")
            type_ = type_[0]
    elif isinstance(span, list) and len(span) == 3:
        start, end, type_ = span
    else:
        start = end = type_ = None
    if type(start) is not int or type(end) is not int or not isinstance(type_, str) or not type_:
        raise ValueError(f"a span needs start, end and label, not {span!r:.80}")
    type_.encode("utf8")  # refuses halves of characters, as spaCy would
    return CharSpan(start, end, type_)


def _strip(char: CharSpan, text: str) -> CharSpan:
    """Return a span without spaces at its ends."""
    start, end, type_ = char
    if not 0 <= start < end <= len(text):
        raise ValueError(f"the span from {start} to {end} ({type_}) is not inside the text")
    inner = text[start:end]
    if not inner.strip():
        raise ValueError(f"the span from {start} to {end} ({type_}) has nothing but spaces")
    start += len(inner) - len(inner.lstrip())
    return CharSpan(start, start + len(inner.strip()), type_)


def _tokenize(record: dict[str, Any], text: str, nlp: Language) -> Doc:
    """Return the tokens of a record, as Prodigy writes them; without any, tokenize its text."""
    tokens = record.get("tokens")
    if not isinstance(tokens, list):
        return nlp.make_doc(text)
    words: list[str] = []
    spaces: list[bool] = []
    end = 0
    for token in [*tokens, {"text": "", "start": len(text)}]:  # with what follows the last one
        word, start = token.get("text"), token.get("start")
        is_placed = isinstance(word, str) and type(start) is int and start >= end
        if not is_placed or text[start : start + len(word)] != word:
            raise ValueError(
                f"the token {token!r:.80} is not at its place in the text, or overlaps with the "
                "one before"
            )
        between = text[end:start]
        if words and between[:1] == " ":
            spaces[-1], between = True, between[1:]
        new = [part for part in (between, word) if part]
        words += new
        spaces += [False] * len(new)
        end = start + len(word)
    return Doc(nlp.vocab, words=words, spaces=spaces)


def _mark(doc: Doc, chars: list[CharSpan], place: str, cut: list[CutSpan]) -> list[str]:
    """Return the labels of tokens that are marked by spans."""
    starts = {token.idx: token.i for token in doc}
    ends = {token.idx + len(token): token.i + 1 for token in doc}
    spans = []
    for char in chars:
        if char.start in starts and char.end in ends:
            spans.append(MarkedSpan(starts[char.start], ends[char.end], char.type))
        else:
            whole = doc.char_span(char.start, char.end, alignment_mode="expand")
            tokens = "" if whole is None else ", ".join(repr(token.text) for token in whole)
            cut.append(CutSpan(place, f"{_describe(char, doc)} in the tokens {tokens}"))
    return mark(spans, len(doc), "bio")


def _labelled(doc: Doc, labels: list[str], place: str) -> Labelled:
    return Labelled(
        words=[token.text for token in doc],
        labels=labels,
        places=[place] * len(doc),
        spaces=[bool(token.whitespace_) for token in doc],
    )


def _describe(char: CharSpan, doc: Doc) -> str:
    return f"{doc.text[char.start : char.end]!r} ({char.start} to {char.end}, {char.type})"
