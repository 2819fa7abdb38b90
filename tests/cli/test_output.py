"""Output files: complete or not there, and a killed run is continued."""

from pathlib import Path

import pytest
import spacy
from spacy.tokens import Doc, DocBin

from spacy_lstm_tagger.cli.output import Conllu, DocBins, Format, Jsonl, Output
from spacy_lstm_tagger.cli.texts import Text

TEXTS = ["The dog", "Everybody", "Read !"]
FORMATS: dict[str, Format] = {
    "conllu": Conllu(columns=[4]),
    "jsonl": Jsonl(text_key="text"),
    "spacy": DocBins(),
}
ORIGIN = {"pipeline": "a"}


@pytest.fixture(params=FORMATS)
def output_format(request: pytest.FixtureRequest) -> Format:
    return FORMATS[request.param]


def write(output: Output, output_format: Format, texts: list[str]) -> None:
    nlp = spacy.blank("xx")
    for text in texts:
        doc = nlp(text)
        packed = output_format.pack([output_format.row(doc, Text(text))])
        output.add(packed, 1, len(doc), 0)


def complete(path: Path, output_format: Format) -> bytes:
    """Write all texts at once, and return the file."""
    output = Output(path, ORIGIN, resume=False)
    write(output, output_format, TEXTS)
    assert not path.exists()
    output.finish(output_format)
    return path.read_bytes()


def test_a_file_has_its_name_only_when_it_is_complete(
    tmp_path: Path, output_format: Format
) -> None:
    complete(tmp_path / "a", output_format)
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("n_before", range(len(TEXTS) + 1))
def test_a_killed_run_is_continued(tmp_path: Path, output_format: Format, n_before: int) -> None:
    expected = complete(tmp_path / "expected", output_format)
    killed = Output(tmp_path / "a", ORIGIN, resume=False)
    write(killed, output_format, TEXTS[:n_before])
    killed.close()
    output = Output(tmp_path / "a", ORIGIN, resume=True)
    assert output.done.n_texts == n_before
    write(output, output_format, TEXTS[n_before:])
    output.finish(output_format)
    assert (tmp_path / "a").read_bytes() == expected


@pytest.mark.parametrize("resume, origin", [(False, ORIGIN), (True, {"pipeline": "b"})])
def test_another_run_starts_afresh(tmp_path: Path, resume: bool, origin: dict[str, str]) -> None:
    output_format = FORMATS["jsonl"]
    killed = Output(tmp_path / "a", ORIGIN, resume=False)
    write(killed, output_format, TEXTS)
    killed.close()
    output = Output(tmp_path / "a", origin, resume=resume)
    output.close()
    assert output.done.n_texts == 0


def test_texts_that_failed_are_rows_of_a_docbin(tmp_path: Path) -> None:
    output, output_format = Output(tmp_path / "a", ORIGIN, resume=False), DocBins()
    row: Doc = output_format.failed_row(Text("The dog"), "it is broken")
    output.add(output_format.pack([row]), 1, 0, 1)
    output.finish(output_format)
    (doc,) = DocBin().from_disk(tmp_path / "a").get_docs(spacy.blank("xx").vocab)
    assert doc.text.strip() == "The dog" and doc.user_data["error"] == "it is broken"
