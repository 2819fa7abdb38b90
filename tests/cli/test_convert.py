"""Tests of `convert.py`: the command, and what is checked across files."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from spacy.tokens import Doc, DocBin
from spacy.vocab import Vocab
from typer.testing import Result

SENTENCES = "play\tO\njazz\tB-genre\n\nI\tO\nlike\tO\nMiles\tB-artist\nDavis\tI-artist\n"
TEXT = {"text": "Play Miles Davis", "label": [[5, 16, "artist"]]}
CUTTING = {"text": "Play Miles Davis", "label": [[0, 4, "verb"], [6, 16, "artist"]]}

Convert = Callable[..., Result]


@pytest.fixture
def convert(run: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Convert:
    """Return a function that writes files, and converts them to the folder `out`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "1000")

    def convert_files(files: dict[str, str], *options: Any) -> Result:
        for name, text in files.items():
            Path(name).write_text(text, encoding="utf8")
        return run("convert", *files, "-o", "out", *options)

    return convert_files


def docs(name: str) -> list[Doc]:
    return list(DocBin().from_disk(Path("out") / f"{name}.spacy").get_docs(Vocab()))


def labels(doc: Doc, name: str = "label") -> list[Any]:
    return [doc.user_data.get(("._.", name, token.idx, None)) for token in doc]


def spans(doc: Doc) -> list[tuple[str, str]]:
    return [(span.text, span.label_) for span in doc.ents]


def test_labels_become_an_extension_and_their_spans_entities(convert: Convert) -> None:
    result = convert({"a.tsv": SENTENCES})
    assert result.exit_code == 0, result.output
    first, second = docs("a")
    assert labels(first) == ["O", "B-genre"]
    assert labels(second) == ["O", "O", "B-artist", "I-artist"]
    assert spans(second) == [("Miles Davis", "artist")]
    assert second.has_unknown_spaces
    assert second.has_annotation("SENT_START")
    assert not second.has_annotation("TAG")


def test_what_was_found_is_said(convert: Convert) -> None:
    output = " ".join(convert({"a.tsv": SENTENCES}).output.split())
    assert "a.tsv: 2 sentences, 6 tokens" in output
    assert "O 3 B-genre 1 B-artist 1 I-artist 1" in output
    assert "Scheme bio: 2 spans of 2 types (genre, artist)" in output
    assert "Saved 2 Docs to out/a.spacy" in output


@pytest.mark.parametrize(
    ("attribute", "column", "found"),
    [("tag", 2, ["VB", "NN"]), ("pos", 3, ["VERB", "NOUN"]), ("morph", 4, ["Mood=Imp", ""])],
)
def test_labels_can_be_attributes_of_spacy(
    convert: Convert, attribute: str, column: int, found: list[str]
) -> None:
    table = "play\tVB\tVERB\tMood=Imp\njazz\tNN\tNOUN\t_\n"
    result = convert({"a.tsv": table}, "-a", attribute, "-l", str(column))
    assert result.exit_code == 0, result.output
    (doc,) = docs("a")
    values = [str(t.morph) if attribute == "morph" else getattr(t, f"{attribute}_") for t in doc]
    assert values == found
    assert doc.has_annotation(attribute.upper())
    assert not doc.has_annotation("ENT_IOB")


def test_the_name_of_the_extension_can_be_chosen(convert: Convert) -> None:
    convert({"a.tsv": SENTENCES}, "--attribute", "slot")
    assert labels(docs("a")[0], "slot") == ["O", "B-genre"]


def test_texts_with_spans_get_labels_and_spaces(convert: Convert) -> None:
    result = convert({"a.jsonl": json.dumps(TEXT)})
    assert "a.jsonl: 1 text, 3 tokens" in result.output
    (doc,) = docs("a")
    assert doc.text == TEXT["text"]
    assert not doc.has_unknown_spaces
    assert labels(doc) == ["O", "B-artist", "I-artist"]
    assert spans(doc) == [("Miles Davis", "artist")]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.tsv", "to\tO\nNew\tB-city\n\u3000\tI-city\nYork\tI-city\n"),
        ("a.jsonl", json.dumps({"text": "to New\u3000York", "spans": [[3, 11, "city"]]})),
    ],
)
def test_whitespace_has_no_label_but_can_be_inside_a_span(
    convert: Convert, name: str, content: str
) -> None:
    assert convert({name: content}).exit_code == 0
    (doc,) = docs("a")
    assert [token.text for token in doc] == ["to", "New", "\u3000", "York"]
    assert labels(doc) == ["O", "B-city", None, "I-city"]
    assert [(span.start, span.end) for span in doc.ents] == [(1, 4)]


def test_documents_are_split_at_random_but_always_alike(convert: Convert) -> None:
    table = "".join(f"w{i}\tO\nx\tB-a\n\n" for i in range(20))
    sizes, words = {}, []
    for seed in ("0", "0", "1"):
        result = convert({"a.tsv": table}, "--split", "0.8,0.15,0.05", "--seed", seed, "-F")
        assert result.exit_code == 0, result.output
        sizes = {name: len(docs(name)) for name in ("train", "dev", "test")}
        words.append([doc[0].text for name in sizes for doc in docs(name)])
    assert sizes == {"train": 16, "dev": 3, "test": 1}
    assert words[0] == words[1] != words[2]
    assert sorted(words[0]) == sorted(words[2]) == sorted(f"w{i}" for i in range(20))


def test_two_shares_make_no_test_data(convert: Convert) -> None:
    convert({"a.tsv": SENTENCES}, "--split", "0.5,0.5")
    assert sorted(path.name for path in Path("out").iterdir()) == ["dev.spacy", "train.spacy"]


@pytest.mark.parametrize(
    ("table", "scheme", "repaired", "first"),
    [
        ("a\tO\nb\tI-x\nc\tI-x\n", "bio", ["O", "B-x", "I-x"], "line 2: I-x is read as B-x"),
        ("a\tI-y\nb\tI-x\nc\tB-x\n", "bio", ["B-y", "B-x", "B-x"], "2 labels .*line 1"),
        ("a\tB-x\nb\tO\nc\tU-x\n", "bilou", ["U-x", "O", "U-x"], "line 1: B-x is read as U-x"),
    ],
)
def test_labels_are_repaired_as_conlleval_reads_them(
    convert: Convert, table: str, scheme: str, repaired: list[str], first: str
) -> None:
    result = convert({"a.tsv": table})
    assert f"Scheme {scheme}" in result.output
    assert first.split(".*")[-1] in " ".join(result.output.split())
    assert labels(docs("a")[0]) == repaired


def test_spans_without_a_type_have_one_as_entities(convert: Convert) -> None:
    convert({"a.tsv": "a\tO\nb\tB\nc\tI\n"})
    assert labels(docs("a")[0]) == ["O", "B", "I"]
    assert spans(docs("a")[0]) == [("b c", "SPAN")]


def test_spans_that_cut_tokens_are_named_or_left_out(convert: Convert) -> None:
    refused = convert({"a.jsonl": json.dumps(CUTTING)})
    assert refused.exit_code == 1
    assert "a.jsonl, line 1: a span cuts a token: 'iles Davis' (6 to 16, artist)" in refused.output
    assert not Path("out").exists()
    forced = convert({"a.jsonl": json.dumps(CUTTING)}, "--force")
    assert "1 span within a token: left out" in forced.output
    assert labels(docs("a")[0]) == ["B-verb", "O", "O"]


@pytest.mark.parametrize(
    ("files", "options", "message"),
    [
        ({"a.tsv": "a\t-\nb\t-\n"}, [], "all tokens have the label '-', from a.tsv, line 1 on"),
        (
            {"a.tsv": "a\tB-x\nb\tO\nc\tL-x\nd\tE-x\n"},
            [],
            "a.tsv, line 4: the label 'E-x' doesn't fit",
        ),
        ({"a.tsv": "a\tB-x\nb\tO\nc\tPER\n"}, [], "a.tsv, line 3: the label 'PER' doesn't fit"),
        (
            {"a.tsv": "mot\tétiquette\na\tB-x\nb\tO\n"},
            [],
            "a.tsv, line 1: the label 'étiquette' .* give the names",
        ),
        (
            {"a.tsv": "a\tB-x\nb\tO\n", "b.tsv": "\na\tU-x\nb\tS-x\n"},
            [],
            "b.tsv, line 3: the label 'S-x'",
        ),
        ({"a.tsv": "a\tB-x\nb\tI-x\n\nc\to\n"}, [], "a.tsv, line 4: the label 'o' doesn't fit"),
        ({"a.jsonl": '{"text": " ", "spans": []}'}, [], "all tokens have the label 'O', from a"),
        ({"a.jsonl": '{"text": "", "spans": []}'}, [], "no token has a label"),
        ({"a.tsv": "a\tNN\nb\tX\n"}, ["-a", "pos"], "a.tsv, line 1: 'NN' is not a universal part"),
        ({"a.tsv": "a\tO\nb\tB-x\tO\n"}, [], "a.tsv, line 2 has 3 columns"),
        ({"a.tsv": SENTENCES}, ["--split", "0.5,0.6"], "'0.5,0.6' must be two or three shares"),
        ({"a.tsv": SENTENCES}, ["--split", "1"], "must be two or three shares"),
        ({"a.tsv": SENTENCES}, ["--split", "nan,0.5"], "must be two or three shares"),
        ({"a.tsv": SENTENCES}, ["--split", "-0.5,1.5"], "must be two or three shares"),
        ({"a.tsv": SENTENCES}, ["--split", "0.9,0.05,0.05"], "2 documents are too few"),
        ({"a.tsv": SENTENCES, "a.csv": "a,O\nb,B-x\n"}, [], "would both become a.spacy"),
        ({"a.tsv": SENTENCES, "A.csv": "a,O\nb,B-x\n"}, [], "would both become"),
        ({"a.conllu": ""}, [], "use spacy convert"),
        ({"a.tsv": SENTENCES}, ["-a", "two words"], "extension = 'two words' must be a name"),
        (
            {"a.jsonl": '{"text": "x", "spans": [], "answer": "ignore"}'},
            [],
            "has no annotated texts",
        ),
    ],
)
def test_what_contradicts_itself_is_refused(
    convert: Convert, files: dict[str, str], options: list[str], message: str
) -> None:
    result = convert(files, *options)
    assert result.exit_code == 1

    assert re.search(message, " ".join(result.output.split()))
    assert not Path("out").exists()


def test_nothing_is_overwritten(convert: Convert) -> None:
    convert({"a.tsv": SENTENCES})
    again = convert({"a.tsv": SENTENCES})
    assert again.exit_code == 1
    assert "exists already; use --force" in again.output
    assert convert({"a.tsv": SENTENCES}, "--force").exit_code == 0


def test_the_output_is_a_folder(convert: Convert) -> None:
    Path("out").touch()
    refused = convert({"a.tsv": SENTENCES})
    assert refused.exit_code == 1
    assert "out is a file; name a folder" in refused.output


def test_what_uncertain_writes_can_be_converted(
    convert: Convert, run: Callable[..., Result], pipeline: str
) -> None:
    Path("texts.txt").write_text("The dog ate the apple\nEverybody read that book\n")
    assert run("uncertain", pipeline, "texts.txt", "-o", "chosen.jsonl").exit_code == 0
    result = convert({}, "chosen.jsonl", "-a", "tag")
    assert result.exit_code == 0, result.output
    tags = {token.text: token.tag_ for doc in docs("chosen") for token in doc}
    assert {tags["The"], tags["dog"], tags["ate"]} == {"DET", "NN", "V"}


def test_other_files_of_a_folder_are_left_out(convert: Convert) -> None:
    Path("corpus").mkdir()
    Path("corpus/README.md").write_text("# A corpus\n")
    refused = convert({}, "corpus")
    assert refused.exit_code == 1
    assert "corpus has no files whose names end in .bio" in " ".join(refused.output.split())
    Path("corpus/a.tsv").write_text(SENTENCES)
    assert convert({}, "corpus").exit_code == 0
    assert len(docs("a")) == 2
