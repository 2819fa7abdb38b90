"""The recipes of CONTRIBUTING.md: what is added to the package is tested and in the guide."""

import inspect
import re
import sys
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest

import spacy_lstm_tagger
from spacy_lstm_tagger.cli.commands import lstm_tagger_cli

ROOT = Path(__file__).parent.parent
PACKAGE = Path(spacy_lstm_tagger.__file__).parent
MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("[!_]*.py"))
LAYERS = sorted({path.split("/")[0] for path in MODULES if "/" in path})
# Files that only define types or import others.
WITHOUT_TESTS = {"model/compat.py", "model/types.py", "prediction/types.py"}


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf8")


def forgotten(missing: list[str], where: str, recipe: str) -> str:
    return f'not in {where}: {", ".join(missing)}; see the recipe "{recipe}" in CONTRIBUTING.md'


def test_every_file_is_in_the_table_of_files() -> None:
    listed = re.findall(r"^\| `(\S+(?:\.py|/))`", read("docs/how-it-works.md"), re.M)
    missing = [path for path in MODULES if not {path, f"{Path(path).parent}/"} & {*listed}]
    assert not missing, forgotten(missing, "docs/how-it-works.md", "A file")
    gone = [path for path in listed if not (PACKAGE / path).exists()]
    assert not gone, f"docs/how-it-works.md lists what isn't there: {', '.join(gone)}"


def test_every_file_has_a_test_file_of_its_name() -> None:
    paths = [Path("tests", path) for path in MODULES if path not in WITHOUT_TESTS]
    expected = [path.with_name(f"test_{path.name}") for path in paths]
    missing = [path.as_posix() for path in expected if not (ROOT / path).exists()]
    assert not missing, forgotten(missing, "tests/", "A file")


def test_every_test_file_of_a_layer_has_the_name_of_a_file_or_begins_with_it() -> None:
    names = {path.removesuffix(".py") for path in MODULES}
    others = []
    for path in (path for layer in LAYERS for path in ROOT.glob(f"tests/{layer}/test_*.py")):
        words = path.stem.split("_")[1:]
        starts = {f"{path.parent.name}/{'_'.join(words[: i + 1])}" for i in range(len(words))}
        if not starts & names:
            others.append(path.relative_to(ROOT).as_posix())
    assert not others, f"no file of the package has the name of {', '.join(others)}"


@pytest.mark.parametrize(
    "entry_point",
    [e for e in distribution("spacy-lstm-tagger").entry_points if e.group != "spacy_cli"],
    ids=lambda entry_point: entry_point.name,
)
def test_every_registered_function_and_its_settings_are_described(
    entry_point: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, name = entry_point.group.removeprefix("spacy_"), entry_point.name
    recipe = "An architecture, a reader, a callback"
    page = read("docs/settings.md")
    assert name in page, forgotten([name], "docs/settings.md", recipe)
    function = entry_point.load()
    if kind == "factories" or inspect.signature(function).parameters:
        monkeypatch.setattr(sys, "path", [str(ROOT / "docs"), *sys.path])
        from docstrings import settings_of

        settings, meanings = settings_of(kind, name)
        missing = sorted(settings.keys() - meanings.keys())
        assert not missing, forgotten(missing, f"the docstring of {name}", "A setting")
        has_table = f"{{settings}} {kind} {name}\n" in page
        assert has_table or kind == "factories", forgotten([name], "a table of settings", recipe)
    else:
        assert inspect.getdoc(function), forgotten([name], "any docstring", recipe)


def test_every_command_is_in_the_guide() -> None:
    commands = [str(command.name) for command in lstm_tagger_cli.registered_commands]
    page = read("docs/commands.md")
    missing = [name for name in commands if not re.search(rf"^\| `{name}\b", page, re.M)]
    assert commands and not missing, forgotten(missing, "docs/commands.md", "A command")


def test_every_config_is_in_the_guide_and_compared_with_the_recommended_one() -> None:
    page, tests = read("docs/train.md"), read("tests/test_configs.py")
    names = sorted(path.stem for path in ROOT.glob("configs/*.cfg"))
    missing = [name for name in names if f"| `configs/{name}.cfg` |" not in page]
    assert not missing, forgotten(missing, "the table in docs/train.md", "A config")
    missing = [name for name in names if f'"{name}": [' not in tests]
    assert not missing, forgotten(missing, "tests/test_configs.py", "A config")


def test_every_page_is_in_the_index() -> None:
    index = read("docs/index.md")
    pages = sorted(path.name for path in ROOT.glob("docs/*.md") if path.stem != "index")
    missing = [page for page in pages if f"]({page})" not in index]
    assert not missing, forgotten(missing, "docs/index.md", "A page of the guide")


def test_every_public_name_is_in_the_api() -> None:
    page = read("docs/api.md")
    missing = [n for n in spacy_lstm_tagger.__all__ if f":: spacy_lstm_tagger.{n}\n" not in page]
    assert not missing, forgotten(missing, "docs/api.md", "A file")
