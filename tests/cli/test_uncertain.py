"""Tests of `uncertain.py`: what annotation tools read."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import spacy
from spacy.cli._util import import_code

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


def test_offsets_are_those_of_the_text(run: Callable, pipeline: str, tmp_path: Path) -> None:
    nlp = spacy.load(pipeline)
    nlp.add_pipe("sentencizer", first=True)
    nlp.to_disk(tmp_path / "nlp")
    text = "  The dog.  \n\n  Nobody\u00a0ate.\n"
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": text}) + "\n" + '{"text": " \\n "}')
    records = chosen(run, str(tmp_path / "nlp"), [tmp_path / "a.jsonl"])
    assert len(records) == 2
    for record in records:
        start = record["meta"]["start_char"]
        assert text[start : start + len(record["text"])] == record["text"]
        for token in record["tokens"]:
            assert record["text"][token["start"] : token["end"]] == token["text"]
        for start, end, _ in record["label"]:
            assert record["text"][start:end].strip() == record["text"][start:end] != ""
        assert [s["token_start"] for s in record["spans"]] == [
            t["id"] for t in record["tokens"] if t["text"].strip()
        ]


def test_the_source_is_the_file_of_the_text(run: Callable, pipeline: str, tmp_path: Path) -> None:
    for name, text in [("z1", "one"), ("a2", ""), ("m3", "\n\n"), ("b4", "two\nthree")]:
        (tmp_path / f"{name}.txt").write_text(text)
    files = [tmp_path / f"{name}.txt" for name in ("z1", "a2", "m3", "b4")]
    records = chosen(run, pipeline, files)
    assert {r["text"]: (Path(r["meta"]["source"]).name, r["meta"]["text"]) for r in records} == {
        "one": ("z1.txt", 1),
        "two": ("b4.txt", 1),
        "three": ("b4.txt", 2),
    }


def test_multiword_tokens_are_as_they_were_written(
    run: Callable, pipeline: str, tmp_path: Path
) -> None:
    rows = ["1\tQuant", "2-3\tau", "2\tà", "3\tle", "4\tlit"]
    lines = "".join(row + "\t_" * 8 + "\n" for row in rows)
    (tmp_path / "a.conllu").write_text("# nothing\n\n" + lines)
    (record,) = chosen(run, pipeline, [tmp_path / "a.conllu"])
    assert record["text"] == "Quant au lit"
    assert [(t["text"], t["start"], t["end"]) for t in record["tokens"]] == [
        ("Quant", 0, 5),
        ("à", 6, 8),
        ("le", 6, 8),
        ("lit", 9, 12),
    ]


def test_what_cannot_be_read_is_named_after_the_rest(
    run: Callable, pipeline: str, tmp_path: Path
) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\n{\n{"text": "two"}\n')
    (tmp_path / "b.spacy").write_text("x")
    (tmp_path / "c.txt").write_text("three")
    output = tmp_path / "out.jsonl"
    result = run("uncertain", pipeline, tmp_path, "-o", output)
    printed = " ".join(result.output.split())
    assert result.exit_code == 1 and "✔" not in printed
    assert "Not read: 2 of the texts or files." in printed
    assert "a.jsonl, line 2: it is no JSON" in printed and "b.spacy is no DocBin" in printed
    records = [json.loads(line) for line in output.read_text(encoding="utf8").splitlines()]
    assert {(r["text"], r["meta"]["text"]) for r in records} == {
        ("one", 1),
        ("two", 3),
        ("three", 1),
    }
    assert run("uncertain", pipeline, tmp_path, "-o", output, "--force").exit_code == 1


def test_a_text_that_the_pipeline_fails_on_is_named(
    run: Callable, pipeline: str, tmp_path: Path
) -> None:
    (tmp_path / "code.py").write_text(
        "from spacy.language import Language\n"
        "@Language.component('no_dogs')\n"
        "def no_dogs(doc):\n"
        "    assert 'dog' not in doc.text\n"
        "    return doc\n"
    )
    import_code(tmp_path / "code.py")
    nlp = spacy.load(pipeline)
    nlp.add_pipe("no_dogs")
    nlp.to_disk(tmp_path / "nlp")
    (tmp_path / "a.txt").write_text("one\na dog\ntwo\n")
    words = ["uncertain", tmp_path / "nlp", tmp_path / "a.txt", "-o", tmp_path / "out.jsonl"]
    result = run(*words, "-c", tmp_path / "code.py")
    assert result.exit_code == 1
    assert "a.txt, text 2: AssertionError" in " ".join(result.output.split())
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    assert {json.loads(line)["meta"]["text"] for line in lines} == {1, 3}
