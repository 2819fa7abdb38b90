"""README and guide: their Python blocks run, and print what the text block below them shows.

The blocks of a page run one after another, in a folder where `training/model-best` is an English
pipeline. Here its training is short; so of what it prints only the form is compared, not numbers
and labels. `--pipeline training/model-best` takes a pipeline that was trained to the end, and
compares labels, too, and numbers roughly: trainings differ from processor to processor. A block
below a line `% not run: REASON` is left out.
"""

import inspect
import re
import shutil
from collections.abc import Iterator
from contextlib import redirect_stdout
from importlib.metadata import distribution
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from spacy.training.initialize import init_nlp
from spacy.training.loop import train
from spacy.util import load_config

import spacy_lstm_tagger

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
NUMBER = re.compile(r"-?\d+(?:[.,]\d+)*(?:e-?\d+)?")
LABEL = re.compile(r"'[A-Z$.,:`-]+'|\b[A-Z]{2,5}\b\$?")


class Block(NamedTuple):
    """A Python block of a page, with the line that it starts on; and what it shows, if it does."""

    code: str
    line: int
    shown: str | None


def blocks_of(page: str) -> Iterator[Block]:
    """Yield the blocks of a page that are run."""
    for match in re.finditer(
        r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", page, re.M | re.S
    ):
        above = page[: match.start()].splitlines()[-1:]
        if not "".join(above).startswith("% not run:"):
            yield Block(match[1], page[: match.start()].count("\n") + 1, match[2])


def numbers_of(text: str) -> list[float]:
    return [float(number.replace(",", "")) for number in NUMBER.findall(text)]


def form_of(text: str, *, labels: bool) -> list[str]:
    """Return the lines of a text without its numbers, its spaces and, if asked, its labels."""
    text = NUMBER.sub("0", text)
    if not labels:
        text = LABEL.sub("_", text)
    return ["".join(line.split()) for line in text.splitlines()]


@pytest.fixture(scope="session")
def pipeline(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a trained pipeline: the one that was named, or else one trained quickly."""
    if named := request.config.getoption("--pipeline"):
        return Path(named).resolve()
    folder = tmp_path_factory.mktemp("training")
    overrides = {
        "training.max_steps": 100,
        "training.eval_frequency": 50,
        "paths.train": str(ROOT / "corpus/english/train.spacy"),
        "paths.dev": str(ROOT / "corpus/english/dev.spacy"),
    }
    train(init_nlp(load_config(ROOT / "configs" / "tagger.cfg", overrides=overrides)), folder)
    return folder / "model-best"


@pytest.fixture
def workplace(pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as the pages have it: a trained pipeline, the configs and the corpora."""
    shutil.copytree(pipeline, tmp_path / "training" / "model-best")
    for name in ("configs", "corpus"):
        (tmp_path / name).symlink_to(ROOT / name, target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_python_blocks_run(page: Path, workplace: Path, request: pytest.FixtureRequest) -> None:
    names: dict[str, object] = {"__name__": page.stem}
    for block in blocks_of(page.read_text(encoding="utf8")):
        printed = StringIO()
        with redirect_stdout(printed):
            exec(compile("\n" * block.line + block.code, str(page), "exec"), names)
        if block.shown is None:
            continue
        exact = bool(request.config.getoption("--pipeline"))
        assert form_of(printed.getvalue(), labels=exact) == form_of(block.shown, labels=exact)
        if exact:
            shown = pytest.approx(numbers_of(block.shown), rel=0.15, abs=0.1)
            assert numbers_of(printed.getvalue()) == shown


def test_every_block_of_a_page_is_found() -> None:
    page = "Text.\n\n```python\na = 1\n```\n\n```text\n1\n```\n% not run: why\n```python\nb\n```\n"
    assert list(blocks_of(page)) == [Block("a = 1\n", 3, "1\n")]


def test_readme_is_short_and_has_both_commands() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf8")
    assert len(readme.splitlines()) <= 130
    install = "pip install -c constraints.txt "
    for command in (
        f"{install}. && python -m spacy train configs/tagger.cfg --output training",
        f'{install}".[test]" && python -m pytest',
    ):
        assert f"\n{command}\n" in readme


def test_links_from_the_readme_lead_to_sections_of_the_guide() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf8")
    links = re.findall(r"\((docs/[\w-]+\.\w+)(?:#([\w-]+))?\)", readme)
    assert links
    for path, section in links:
        page = (ROOT / path).read_text(encoding="utf8")
        titles = re.findall(r"^#+ (.*)$", page, re.M)
        ids = {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}
        assert not section or section in ids, f"{path}#{section}"


def test_every_registered_function_that_has_settings_is_in_the_guide() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf8")
    names: dict[Any, list[str]] = {}
    for entry_point in distribution("spacy-lstm-tagger").entry_points:
        kind = entry_point.group.removeprefix("spacy_")
        if kind != "cli" and inspect.signature(function := entry_point.load()).parameters:
            names.setdefault(function, []).append(f"{{settings}} {kind} {entry_point.name}\n")
    for directives in names.values():
        assert any(directive in page for directive in directives), directives


def test_every_file_or_its_folder_is_in_the_guide() -> None:
    page = (ROOT / "docs" / "how-it-works.md").read_text(encoding="utf8")
    listed = set(re.findall(r"^\| `(\S+(?:\.py|/))`", page, re.M))
    package = Path(spacy_lstm_tagger.__file__).parent
    paths = [path.relative_to(package) for path in package.rglob("[!_]*.py")]
    names = {path.as_posix(): f"{path.parent.as_posix()}/" for path in paths}
    assert [file for file, folder in names.items() if not {file, folder} & listed] == []
    assert listed <= {*names, *names.values()}
