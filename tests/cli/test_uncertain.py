"""Tests of `uncertain.py`: what annotation tools read."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

TEXT = "The dog read. Nobody ate that unheard-of book"


@pytest.fixture
def texts(tmp_path: Path) -> list[Path]:
    (tmp_path / "a.txt").write_text(f"The dog\n{TEXT}\n")
    (tmp_path / "b.jsonl").write_text('{"text": "the dog"}\n{"text": "Zzz qqq"}\n')
    return [tmp_path / "a.txt", tmp_path / "b.jsonl"]


def chosen(run: Callable, pipeline: str, texts: list[Path], *options: str) -> list[dict]:
    """Run the command, and return what it wrote."""
    output = texts[0].with_name("out.jsonl")
    result = run("uncertain", pipeline, *texts, "-o", output, *options)
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in output.read_text(encoding="utf8").splitlines()]


def test_sentences_come_with_tags_and_offsets(run: Callable, pipeline: str, texts) -> None:
    records = chosen(run, pipeline, texts)
    assert len(records) == 3  # "the dog" is "The dog" again
    scores = [record["meta"]["score"] for record in records]
    assert scores == sorted(scores, reverse=True)
    for record in records:
        spans = zip(record["tokens"], record["spans"], record["label"], strict=True)
        for token, span, (start, end, label) in spans:
            assert record["text"][start:end] == token["text"]
            assert (span["start"], span["end"], span["label"]) == (start, end, label)
            assert 0 < span["confidence"] <= 1


def test_a_record_says_where_it_is_from(run: Callable, pipeline: str, texts) -> None:
    origins = {r["text"]: r["meta"] for r in chosen(run, pipeline, texts)}
    assert origins[TEXT]["source"] == str(texts[0])
    assert (origins[TEXT]["text"], origins["Zzz qqq"]["text"]) == (2, 2)
    assert origins["Zzz qqq"]["source"] == str(texts[1])


def test_single_tokens_are_chosen(run: Callable, pipeline: str, texts) -> None:
    records = chosen(run, pipeline, texts, "--level", "token", "-n", "4", "--measure", "margin")
    assert [len(record["spans"]) for record in records] == [1] * 4
    assert len({(r["text"], r["spans"][0]["start"]) for r in records}) == 4
