"""Tests of `commands.py`: what every `spacy` command imports; mistakes get one line."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import spacy
from spacy.tokens import Doc, DocBin
from spacy.vocab import Vocab

IMPORT = """
import json, sys
import spacy.cli
before = set(sys.modules)
from importlib.metadata import entry_points
(entry_point,) = entry_points(group="spacy_cli", name="lstm-tagger")
entry_point.load()
names = sorted(set(sys.modules) - before)
from typer.main import get_command
group = get_command(spacy.cli.app).commands["lstm-tagger"]
print(json.dumps([names, sorted(group.commands)]))
"""
COMMANDS = ["report", "debug", "uncertain", "tag", "convert", "distill", "compact"]


def test_the_entry_point_imports_next_to_nothing(without_torch: str) -> None:
    command = [sys.executable, "-c", without_torch + IMPORT]
    names, commands = json.loads(subprocess.check_output(command, text=True))
    assert commands == sorted(COMMANDS)
    others = {name.split(".")[0] for name in names}
    assert others <= {
        "spacy_lstm_tagger",
        "numpy",
        "safetensors",
        "threadpoolctl",
        "importlib",
        "email",
    }
    assert not [name for name in names if name.startswith("spacy_lstm_tagger.network")]
    own = {name for name in names if name.startswith("spacy_lstm_tagger.cli")}
    assert own == {"spacy_lstm_tagger.cli", "spacy_lstm_tagger.cli.commands"}


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help(run: Callable, name: str) -> None:
    result = run(name, "--help")
    assert result.exit_code == 0
    assert "--code" in result.output


@pytest.mark.parametrize(
    "words", [["report", "x"], ["tag", "x", "y"], ["debug", "--examples", "0"]]
)
def test_a_command_that_lacks_a_word_exits_with_2(run: Callable, words: list[str]) -> None:
    assert run(*words).exit_code == 2


def test_three_pipelines_exit_with_2(run: Callable) -> None:
    assert run("report", "a", "b", "c", "dev.spacy", "-o", "x.html").exit_code == 2


MISTAKES = {
    "no pipeline": (["report", "{tmp}/nothing", "{corpus}", "-o", "{tmp}/new"], "no pipeline"),
    "no corpus": (["report", "{pipeline}", "{tmp}/nothing", "-o", "{tmp}/new"], "there is no"),
    "no log": (
        ["report", "{pipeline}", "{corpus}", "-o", "{tmp}/new", "--log", "{tmp}/old"],
        "is no log of spacy train",
    ),
    "no component": (["report", "{blank}", "{corpus}", "-o", "{tmp}/new"], "has no lstm_tagger"),
    "other component": (
        ["report", "{pipeline}", "{corpus}", "-o", "{tmp}/new", "--component", "x"],
        "no lstm_tagger of the name 'x'; its components: lstm_tagger",
    ),
    "no attribute": (["report", "{pipeline}", "{bare}", "-o", "{tmp}/new"], "has no tags"),
    "no Docs": (["report", "{pipeline}", "{tmp}", "-o", "{tmp}/new"], "no annotated Docs"),
    "no DocBin": (["report", "{pipeline}", "{tmp}/x.spacy", "-o", "{tmp}/new"], "is no DocBin"),
    "old page": (["report", "{pipeline}", "{corpus}", "-o", "{tmp}/old"], "use --force"),
    "no config": (["debug", "{tmp}/nothing"], "there is no"),
    "uncertain: pipeline": (
        ["uncertain", "{tmp}/nothing", "{corpus}", "-o", "{tmp}/new"],
        "no pip",
    ),
    "uncertain: file": (["uncertain", "{pipeline}", "{tmp}/nothing", "-o", "{tmp}/new"], "no "),
    "uncertain: component": (
        ["uncertain", "{blank}", "{corpus}", "-o", "{tmp}/new"],
        "has no lstm",
    ),
    "uncertain: old": (["uncertain", "{pipeline}", "{corpus}", "-o", "{tmp}/old"], "use --force"),
    "uncertain: level": (
        ["uncertain", "{pipeline}", "{corpus}", "-o", "{tmp}/new", "--level", "word"],
        "level = 'word' must be one of sentence, token",
    ),
    "uncertain: nothing": (
        ["uncertain", "{pipeline}", "{tmp}/e.txt", "-o", "{tmp}/new"],
        "no texts",
    ),
    "tag: pipeline": (["tag", "{tmp}/nothing", "{corpus}", "-o", "{tmp}/new"], "no pipeline"),
    "tag: component": (["tag", "{blank}", "{corpus}", "-o", "{tmp}/new"], "has no lstm_tagger"),
    "tag: file": (["tag", "{pipeline}", "{tmp}/nothing", "-o", "{tmp}/new"], "there is no"),
    "tag: format": (
        ["tag", "{pipeline}", "{corpus}", "-o", "{tmp}/new", "-f", "xml"],
        "'xml' must",
    ),
    "tag: folder": (["tag", "{pipeline}", "{corpus}", "-o", "{tmp}/old"], "is a file"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_gets_one_line_and_writes_nothing(
    mistake: str, run: Callable, pipeline: str, corpus: Path, tmp_path: Path
) -> None:
    words, message = MISTAKES[mistake]
    (tmp_path / "old").write_text("kept")
    (tmp_path / "x.spacy").write_text("kept")
    (tmp_path / "e.txt").write_text("\n")
    blank, bare = tmp_path.parent / f"{tmp_path.name}-blank", tmp_path.parent / "bare.spacy"
    spacy.blank("xx").to_disk(blank)
    DocBin(docs=[Doc(Vocab(), words=["x"])]).to_disk(bare)
    names = {"tmp": tmp_path, "pipeline": pipeline, "corpus": corpus, "blank": blank, "bare": bare}
    if mistake == "no Docs":
        (tmp_path / "x.spacy").unlink()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    result = run(*(word.format(**names) for word in words))
    assert result.exit_code == 1, result.output
    (line,) = " ".join(result.output.replace("Using CPU", "").split()).split("✘")[1:]
    assert message in line
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
