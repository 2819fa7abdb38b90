"""Tests of `span_files.py`: each kind of file, and what is wrong with one."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import spacy

from spacy_lstm_tagger.cli.span_files import CutSpan, read_spans
from spacy_lstm_tagger.cli.tables import Labelled

TEXT = "Play Miles Davis now"
LABELS = ["O", "B-artist", "I-artist", "O"]
LABEL_STUDIO = {
    "from_name": "label",
    "to_name": "text",
    "type": "labels",
    "value": {"start": 5, "end": 16, "text": "Miles Davis", "labels": ["artist"]},
}
TOKENS = [
    {"text": "Play", "start": 0, "end": 4, "id": 0, "ws": True},
    {"text": "Miles Davis", "start": 5, "end": 16, "id": 1, "ws": True},
    {"text": "now", "start": 17, "end": 20, "id": 2, "ws": False},
]

Read = Callable[..., tuple[list[Labelled], list[CutSpan]]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Return a function that reads records, as JSON lines or as a list."""

    def read_records(*records: Any, name: str = "a.jsonl", key: str = "text") -> Any:
        path = tmp_path / name
        lines = "\n".join(json.dumps(record) for record in records)
        path.write_text(json.dumps(records) if name == "a.json" else lines, encoding="utf8")
        cut: list[CutSpan] = []
        return list(read_spans(path, spacy.blank("xx"), key, cut)), cut

    return read_records


@pytest.mark.parametrize(
    ("name", "record"),
    [
        (
            "a.jsonl",
            {
                "text": TEXT,
                "spans": [{"start": 5, "end": 16, "label": "artist"}],
                "answer": "accept",
            },
        ),
        ("a.jsonl", {"text": TEXT, "label": [[5, 16, "artist"]]}),
        ("a.jsonl", {"text": TEXT, "labels": [[5, 16, "artist"], [5, 16, "artist"]]}),
        ("a.jsonl", {"text": TEXT, "label": [[4, 17, "artist"]]}),
        (
            "a.jsonl",
            {
                "text": TEXT,
                "entities": [{"id": 1, "start_offset": 5, "end_offset": 16, "label": "artist"}],
            },
        ),
        ("a.json", {"data": {"text": TEXT}, "annotations": [{"result": [LABEL_STUDIO]}]}),
        (
            "a.json",
            {
                "data": {"text": TEXT},
                "annotations": [
                    {"was_cancelled": True, "result": []},
                    {"result": [LABEL_STUDIO]},
                    {"result": [{**LABEL_STUDIO, "id": "x"}]},
                ],
            },
        ),
        (
            "a.json",
            {
                "data": {"text": TEXT},
                "annotations": [
                    {"result": [{"type": "choices", "value": {"choices": ["x"]}}, LABEL_STUDIO]}
                ],
            },
        ),
        ("a.json", {"text": TEXT, "label": [LABEL_STUDIO["value"]]}),
    ],
)
def test_each_kind_of_file_gives_the_same_labels(read: Read, name: str, record: Any) -> None:
    (document,), cut = read(record, name=name)
    assert document.words == TEXT.split()
    assert document.labels == LABELS
    assert document.spaces == [True, True, True, False]
    assert document.starts is None
    assert cut == []


def test_tokens_of_the_file_are_kept(read: Read) -> None:
    span = {"start": 5, "end": 16, "label": "artist"}
    (document,), _ = read({"text": TEXT, "tokens": TOKENS, "spans": [span]})
    assert document.words == ["Play", "Miles Davis", "now"]
    assert document.labels == ["O", "B-artist", "O"]
    assert document.spaces == [True, True, False]


def test_text_between_tokens_of_the_file_is_kept(read: Read) -> None:
    tokens = [{"text": "a", "start": 1}, {"text": "b", "start": 5}, {"text": "c", "start": 6}]
    (document,), _ = read({"text": " a   bc", "tokens": tokens, "spans": [[6, 7, "x"]]})
    assert document.words == [" ", "a", "  ", "b", "c"]
    assert document.labels == ["O", "O", "O", "O", "B-x"]


def test_text_after_the_tokens_of_the_file_is_kept(read: Read) -> None:
    tokens = [{"text": "a", "start": 0}, {"text": "b", "start": 2}]
    (document,), _ = read({"text": "a b. c", "tokens": tokens, "spans": [[0, 1, "x"]]})
    assert document.words == ["a", "b", ". c"]
    assert document.spaces == [True, False, False]


def test_spans_of_texts_of_one_word_are_spans(read: Read) -> None:
    first = {"text": "Rome", "spans": [[0, 4, "city"]]}
    second = {"text": "jazz", "spans": [[0, 4, "genre"]]}
    documents, _ = read(first, second)
    assert [document.labels for document in documents] == [["B-city"], ["B-genre"]]


def test_words_that_are_all_spans_have_their_labels_as_they_are(read: Read) -> None:
    first = {"text": "Play  it", "spans": [[0, 4, "O"], [6, 8, "B-title"]]}
    second = {"text": "now", "spans": [[0, 3, "NN"]]}
    labels = [document.labels for document in read(first, second)[0]]
    assert labels == [["O", "", "B-title"], ["NN"]]
    third = {"text": "Play it", "spans": [[0, 4, "verb"]]}
    labels = [document.labels for document in read(second, third)[0]]
    assert labels == [["B-NN"], ["B-verb", "O"]]


def test_what_was_not_annotated_is_left_out(read: Read) -> None:
    rejected = {"text": "x", "spans": [], "answer": "reject"}
    accepted = {"text": "y", "spans": [], "answer": "accept"}
    ignored = {"text": "z", "spans": [], "answer": "ignore"}
    assert [document.words for document in read(rejected, accepted, ignored)[0]] == [["y"]]
    without_spans = (
        {"text": "v", "answer": "accept"},
        {"text": "w", "annotation_id": 1, "label": None},
    )
    assert [document.labels for document in read(*without_spans)[0]] == [["O"], ["O"]]
    task = {"data": {"text": "x"}, "annotations": []}
    cancelled = {"data": {"text": "x"}, "annotations": [{"was_cancelled": True, "result": []}]}
    assert read(task, cancelled, name="a.json")[0] == []


@pytest.mark.parametrize(
    ("text", "spans", "labels"),
    [
        ("🎵 jazz", [(3, 7, "jazz")], ["O", "B-x"]),
        ("jazz 🎵", [(5, 7, "🎵")], ["O", "B-x"]),
        ("🎵 a a a now", [(5, 6, "a"), (9, 12, "now")], ["O", "O", "B-x", "O", "B-x"]),
        ("🎵 a a a now", [(4, 5, "a"), (8, 11, "now")], ["O", "O", "B-x", "O", "B-x"]),
    ],
)
def test_spans_that_quote_are_counted_in_characters_or_units_of_utf_16(
    read: Read, text: str, spans: list[tuple[int, int, str]], labels: list[str]
) -> None:
    values = [{"start": a, "end": b, "text": quote, "labels": ["x"]} for a, b, quote in spans]
    results = [{**LABEL_STUDIO, "value": value} for value in values]
    (document,), _ = read(
        {"data": {"text": text}, "annotations": [{"result": results}]}, name="a.json"
    )
    assert document.labels == labels


def test_spans_that_cut_tokens_are_collected(read: Read) -> None:
    record = {"text": TEXT, "label": [[6, 16, "artist"], [17, 20, "when"]]}
    (document,), cut = read({"text": "a", "label": []}, record)[0][1:], read(record)[1]
    assert document.labels == ["O", "O", "O", "B-when"]
    ((place, description),) = cut
    assert place.endswith("a.jsonl, line 1")
    assert description == "'iles Davis' (6 to 16, artist) in the tokens 'Miles', 'Davis'"


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"text": TEXT}, "no list of spans under any of the keys spans, entities, label, labels"),
        ({"body": TEXT, "label": []}, "no text under the key 'text'; keys with strings: 'body'"),
        (
            {"text": TEXT, "label": [[5, 10, "a"], [9, 16, "b"]]},
            r"the spans 'Miles' \(5 to 10, a\) and 's Davis' .* overlap",
        ),
        ({"text": TEXT, "label": [[5, 16, "a"], [5, 16, "b"]]}, "overlap"),
        ({"text": TEXT, "label": [[5, 99, "a"]]}, r"the span from 5 to 99 \(a\) is not inside"),
        ({"text": TEXT, "label": [[16, 5, "a"]]}, "is not inside the text"),
        ({"text": TEXT, "label": [[-2, 5, "a"]]}, "is not inside the text"),
        ({"text": TEXT, "label": [[4, 5, "a"]]}, "nothing but spaces"),
        ({"text": TEXT, "label": [[5, "16", "a"]]}, "a span needs start, end and label"),
        ({"text": TEXT, "label": [[5, 16, ""]]}, "a span needs start, end and label"),
        ({"text": TEXT, "label": ["a"]}, "a span needs start, end and label"),
        (
            {"text": TEXT, "label": [{"start": 5, "end": 16, "labels": ["a", "b"]}]},
            "a span must have one type",
        ),
        (
            {"text": TEXT, "label": [{"start": 5, "end": 16, "text": "x", "label": "a"}]},
            "the span 'x' is not at its place",
        ),
        (
            {"text": TEXT, "tokens": [{"text": "x", "start": 0}], "label": []},
            "the token .* is not at its place",
        ),
        ({"text": TEXT, "tokens": ["x"], "label": []}, "a.jsonl, line 2"),
        (
            {"text": TEXT, "tokens": [TOKENS[0], {"text": "ay", "start": 2}], "label": []},
            "the token .*'ay'.* or overlaps with the one before",
        ),
        ({"text": TEXT, "label": [[0, 4, "\ud83d"]]}, "surrogates not allowed"),
        (
            {"data": {"text": TEXT}, "annotations": [{"result": [LABEL_STUDIO]}, {"result": []}]},
            "2 annotations that differ",
        ),
        ({"data": {"text": TEXT}, "annotations": ["x"]}, "a.jsonl, line 2"),
        ([1], "is no JSON object"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(read: Read, record: Any, message: str) -> None:
    with pytest.raises(ValueError, match=r"a\.jsonl, line 2") as error:
        read({"text": "right", "label": []}, record)
    assert re.search(message, str(error.value))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"text": "x", "label": []}\n{', "line 2 is no JSON"),
        ("a.json", b"[1", "a.json is no JSON"),
        ("a.jsonl", b"[" * 100_000, "line 1 is no JSON"),
        ("a.json", b"{}", "is no list of texts"),
        ("a.json", b"[]", "has no texts"),
        ("a.jsonl", b"\n", "has no texts"),
        ("a.jsonl", b'{"text": "x", "label": []}\r\n\xff', "line 2 is no text in UTF-8"),
    ],
)
def test_broken_files_are_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        list(read_spans(tmp_path / name, spacy.blank("xx"), "text", []))
