"""Read and write lines of JSON."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from spacy.tokens import Doc, Token

from ..pipeline.labels import labels_of
from ..pipeline.pairing import describe, find_words
from .texts import Text, flaw_of

Place = tuple[int, int]


class Number(NamedTuple):
    """A number in the digits of the file, as Python's numbers would lose some."""

    digits: str


def read_records(lines: Iterable[str], source: str, text_key: str) -> Iterator[Text]:
    """Yield the texts that the JSON objects of lines have under `text_key`. A line without a text
    says so in its `error`.
    """
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield _read_record(line, f"{source}, line {number}", text_key)


def _read_record(line: str, where: str, text_key: str) -> Text:
    try:
        record = json.loads(line, parse_float=Number, parse_int=Number)
    except (ValueError, RecursionError) as reason:
        return Text("", record={}, where=where, error=f"it is no JSON: {describe(reason)}")
    if not isinstance(record, dict):
        return Text("", record={}, where=where, error="it is no JSON object")
    text = record.get(text_key)
    if not isinstance(text, str):
        error = f"it has no text under the key {text_key!r}"
        return Text("", record=record, where=where, error=error)
    error = flaw_of(text)
    words, places = _given_words(record.get("tokens"), text)
    if not words:
        return Text(text, record=record, where=where, error=error)
    starts = [*(start for start, _ in places[1:]), len(text) + 1]
    spaces = [
        start > end and text[end : end + 1].isspace()
        for (_, end), start in zip(places, starts, strict=True)
    ]
    return Text(text, words, spaces, places, record=record, where=where, error=error)


def _given_words(tokens: Any, text: str) -> tuple[list[str], list[Place]]:
    """Return the words of a record and their places; none if it has no tokens of its text."""
    if not isinstance(tokens, list):
        return [], []
    words: Any = [token.get("text") if isinstance(token, dict) else token for token in tokens]
    if not all(isinstance(word, str) and word for word in words):
        return [], []
    try:
        places = [(int(token["start"].digits), int(token["end"].digits)) for token in tokens]
    except (AttributeError, KeyError, TypeError, ValueError):  # tokens without offsets
        places = find_words(words, text) or []
    ends = [0, *(end for _, end in places)]
    starts = [*(start for start, _ in places), len(text)]
    gaps = [text[end:start] for end, start in zip(ends, starts, strict=True)]
    is_whole = all(end <= start for end, start in zip(ends, starts, strict=True))
    if not is_whole or "".join(gaps).strip() or [text[i:j] for i, j in places] != words:
        return [], []
    return words, places


def write_record(doc: Doc, text: Text, text_key: str, extensions: Sequence[str] = ()) -> str:
    """Return the line of a Doc: the record of its text, and the tokens with their annotation.

    extensions (Sequence[str]): Attributes of tokens, `token._.NAME`, that are written, too.
    """
    keys = [key for key in ("TAG", "POS", "MORPH", "LEMMA") if doc.has_annotation(key)]
    labels = {key.lower(): [_value(token, key) for token in doc] for key in keys}
    labels.update({name: labels_of(doc, name) for name in extensions})
    tokens: list[dict[str, Any]] = [
        {
            "text": token.text,
            "start": start,
            "end": end,
            "id": token.i,
            "ws": bool(token.whitespace_),
            **{name: found[token.i] for name, found in labels.items()},
        }
        for token, (start, end) in zip(doc, text.places_in(doc), strict=True)
    ]
    record = _record_of(text)
    given = record.get("tokens")
    if text.words is not None and isinstance(given, list) and isinstance(given[0], dict):
        for i, token in enumerate(given):
            tokens[i] = {**tokens[i], **token, **{name: tokens[i][name] for name in labels}}
        return to_json({**record, "tokens": tokens}) + "\n"
    return to_json({**record, _free_key(record, "tokens", text_key): tokens}) + "\n"


def write_failure(text: Text, message: str, text_key: str) -> str:
    """Return the line of a text that could not be tagged: its record, and what is wrong."""
    record = _record_of(text)
    error = {_free_key(record, "error", text_key): message}
    try:
        return to_json({**record, **error}) + "\n"
    except RecursionError:
        return to_json(error) + "\n"


def _record_of(text: Text) -> dict[str, Any]:
    return text.record if isinstance(text.record, dict) else {"text": text.text}


def _free_key(record: dict[str, Any], key: str, text_key: str) -> str:
    """Return a key that a record doesn't have yet."""
    while key in record:
        key = f"{text_key}_{key}"
    return key


def to_json(value: Any) -> str:
    """Return a value in JSON, with numbers as they were."""
    if isinstance(value, Number):
        return value.digits
    if isinstance(value, dict):
        items = (f"{to_json(key)}: {to_json(item)}" for key, item in value.items())
        return "{" + ", ".join(items) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(to_json, value)) + "]"
    return json.dumps(value, ensure_ascii=isinstance(value, str) and bool(flaw_of(value)))


def _value(token: Token, key: str) -> str:
    return str(token.morph) if key == "MORPH" else str(getattr(token, f"{key.lower()}_"))
