"""Tests of `jsonl.py`: records keep what they had."""

import json
import random
import struct
from typing import Any

import pytest
from spacy.language import Language
from spacy.tokens import Doc

from spacy_lstm_tagger.cli.jsonl import read_records, to_json, write_failure, write_record
from spacy_lstm_tagger.cli.texts import Text

PRODIGY = {
    "text": "The  dog!",
    "tokens": [
        {"text": "The", "start": 0, "end": 3, "id": 0, "ws": True, "style": "b"},
        {"text": " ", "start": 4, "end": 5, "id": 1, "ws": False},
        {"text": "dog!", "start": 5, "end": 9, "id": 2, "ws": False, "disabled": True},
    ],
    "spans": [{"start": 5, "end": 9, "token_start": 2, "token_end": 2, "label": "X"}],
}


def read(*lines: str, key: str = "text") -> list[Text]:
    return list(read_records([f"{line}\n" for line in lines], "a.jsonl", key))


def tagged(nlp: Language, line: str, key: str = "text") -> dict[str, Any]:
    """Read a line, tag it, and return what is written."""
    (text,) = read(line, key=key)
    doc = text.to_doc(nlp)
    for token in doc:
        token.tag_ = f"TAG{token.i}"
    record: dict[str, Any] = json.loads(write_record(doc, text, key))
    return record


def test_lines_have_texts_and_places() -> None:
    first, second = read('{"body": "The dog", "id": 3}', " ", '{"body": ""}', key="body")
    assert (first.text, first.where) == ("The dog", "a.jsonl, line 1")
    assert (second.text, second.where) == ("", "a.jsonl, line 3")


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ('{"txt": 1}', "it has no text under the key 'text'"),
        ('{"text": 1}', "it has no text under the key 'text'"),
        ('{"text": null}', "it has no text"),
        ("[1]", "it is no JSON object"),
        ("{", "it is no JSON: Expecting property name"),
        ("[" * 100_000, "it is no JSON: RecursionError"),
        ('{"text": "\\ud800"}', "it has half a character: 0xd800"),
        ('{"text": "\udce0"}', "it is not UTF-8: it has the byte 0xe0"),
    ],
)
def test_a_broken_line_is_named_and_spoils_no_other(line: str, error: str) -> None:
    good = '{"text": "good"}'
    first, broken, last = read(good, line, good)
    assert error in broken.error and broken.where == "a.jsonl, line 2"
    assert first.text == last.text == "good" and not first.error + last.error


def test_numbers_keep_their_digits() -> None:
    generator = random.Random(0)
    doubles = [struct.unpack("d", generator.randbytes(8))[0] for _ in range(1000)]
    numbers = [repr(x) for x in doubles if x == x and abs(x) != float("inf")]
    numbers += ["1.10", "1e400", "-0", "1E5", "12345678901234567890123", "7" * 5000, "NaN"]
    line = f'{{"text": "a", "deep": [{{"x": [{", ".join(numbers)}]}}]}}'
    (text,) = read(line)
    assert to_json(text.record) == line


def test_a_record_keeps_its_keys(nlp: Language) -> None:
    record = tagged(nlp, '{"text": "The dog", "id": "é", "tags": ["x"]}')
    assert record["text"] == "The dog" and record["id"] == "é" and record["tags"] == ["x"]
    assert record["tokens"][1] == {
        **{"text": "dog", "start": 4, "end": 7, "id": 1, "ws": False, "tag": "TAG1"}
    }


@pytest.mark.parametrize(
    "others",
    [
        {"text": "title", "tokens": 17},
        {"text": None, "tokens": ["a"], "body_tokens": 1},
        {"tokens": []},
        {"tokens": [{"text": "x", "start": 0, "end": 1}]},
    ],
)
def test_what_is_under_other_keys_stays(nlp: Language, others: dict[str, Any]) -> None:
    record = tagged(nlp, json.dumps({"body": "The dog", **others}), key="body")
    assert {key: record[key] for key in others} == others
    (key,) = record.keys() - others.keys() - {"body"}
    assert [token["tag"] for token in record[key]] == ["TAG0", "TAG1"]


def test_given_tokens_are_used_and_kept(nlp: Language) -> None:
    record = tagged(nlp, json.dumps(PRODIGY))
    labels = [{"tag": f"TAG{i}"} for i in range(3)]
    tokens: Any = PRODIGY["tokens"]
    assert record["tokens"] == [{**t, **label} for t, label in zip(tokens, labels, strict=True)]
    assert record["spans"] == PRODIGY["spans"]


@pytest.mark.parametrize("bare", [True, False])
def test_given_tokens_need_no_offsets(nlp: Language, bare: bool) -> None:
    words = ["The", "dog!"]
    tokens = words if bare else [{"text": word} for word in words]
    record = tagged(nlp, json.dumps({"text": "The  dog!", "tokens": tokens}))
    written = record["text_tokens" if bare else "tokens"]
    assert [(t["text"], t["start"]) for t in written] == [("The", 0), ("dog!", 5)]


@pytest.mark.parametrize(
    "tokens",
    [
        [{"text": "The", "start": 0, "end": 3}],
        [{"text": "dog", "start": 4, "end": 7}, {"text": "The", "start": 0, "end": 3}],
        [{"text": "The", "start": 0, "end": 3}, {"text": "cat", "start": 4, "end": 7}],
        ["The", "cat"],
        ["The", "", "dog"],
        ["The", 3],
        {"The": "dog"},
    ],
)
def test_tokens_of_something_else_are_no_words(nlp: Language, tokens: Any) -> None:
    record = tagged(nlp, json.dumps({"text": "The dog", "tokens": tokens}))
    assert record["tokens"] == tokens
    assert [token["text"] for token in record["text_tokens"]] == ["The", "dog"]


def test_words_of_a_multiword_token_have_its_place(nlp: Language) -> None:
    text = Text("au lit", ["à", "le", "lit"], [False, True, False], [(0, 2), (0, 2), (3, 6)])
    record = json.loads(write_record(text.to_doc(nlp), text, "text"))
    assert record["text"] == "au lit"
    assert [(t["text"], t["start"], t["end"]) for t in record["tokens"]] == [
        ("à", 0, 2),
        ("le", 0, 2),
        ("lit", 3, 6),
    ]


def test_a_doc_of_another_text_is_refused(nlp: Language) -> None:
    with pytest.raises(ValueError, match="the pipeline changed the text 'The dog'"):
        write_record(Doc(nlp.vocab, words=["cat"]), Text("The dog"), "text")
    (text,) = read(json.dumps(PRODIGY))
    with pytest.raises(ValueError, match="from token 1 on they are 'cat' instead of 'The'"):
        write_record(Doc(nlp.vocab, words=["cat"]), text, "text")


def test_a_line_that_was_not_tagged_says_why() -> None:
    (text,) = read('{"text": "a", "id": 1.10, "error": 0}')
    assert write_failure(text, "no", "text") == (
        '{"text": "a", "id": 1.10, "error": 0, "text_error": "no"}\n'
    )
    assert json.loads(write_failure(Text("a"), "no", "text")) == {"text": "a", "error": "no"}
    deep: list[Any] = []
    for _ in range(2000):
        deep = [deep]
    assert json.loads(write_failure(Text("a", record={"x": deep}), "no", "text")) == {"error": "no"}


def test_half_characters_are_written_as_they_were() -> None:
    (text,) = read('{"text": "é", "meta": {"\\ud800": "é\\udc00"}}')
    written = write_failure(text, "no", "text").encode("utf8")
    assert json.loads(written)["meta"] == {"\ud800": "é\udc00"}
