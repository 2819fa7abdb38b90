"""README and guide: their code runs, and prints what the text block below it shows.

Python blocks of a page run one after another, with an English pipeline in `training/model-best`.
Here its training is short, so only the form of the output is compared, not numbers and labels.
`--pipeline training/model-best` takes a fully trained pipeline and compares labels too, and numbers
roughly, since trainings differ between processors. With `-m slow`, shell blocks run too. A block
below a line `<!-- not run: REASON -->` is left out.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from spacy.training.initialize import init_nlp
from spacy.training.loop import train
from spacy.util import load_config

import spacy_lstm_tagger
from spacy_lstm_tagger.cli.convert import convert

ROOT = Path(__file__).parent.parent
PACKAGE = Path(spacy_lstm_tagger.__file__).parent.parent
INDEX = ROOT / "docs" / "index.md"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
MARKDOWN = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *ROOT.glob("corpus/*/*.md")]
LEFT_TO_RIGHT = ("network", "streams")  # pages that train a pipeline of their own
BLOCK = re.compile(
    r"(?P<skipped><!-- not run: [^\n]+ -->\n)?"
    r"^```(?P<language>python|bash)\n(?P<code>.*?)^```\n"
    r"(?:\n```text\n(?P<shown>.*?)^```\n)?",
    re.M | re.S,
)
NUMBER = re.compile(r"-?\d+(?:[.,]\d+)*(?:e-?\d+)?")
LABEL = re.compile(r"'[A-Z$.,:`-]+'|\b[A-Z]{2,5}\b\$?|\b[BI]-[a-z]+|\bO\b")
SHORT_TRAINING = """#!/bin/sh
if [ "$3" = train ] || [ "$4" = distill ]; then
  set -- "$@" --training.max_steps 20 --training.eval_frequency 10
fi
exec "{python}" "$@"
"""


class Block(NamedTuple):
    """A code block of a page: its language, its first line, and the output shown below it."""

    language: str
    code: str
    line: int
    shown: str | None


def blocks_of(page: str) -> Iterator[Block]:
    """Yield the blocks of a page that are run."""
    for match in BLOCK.finditer(page):
        if not match["skipped"]:
            line = page[: match.start()].count("\n") + 1
            yield Block(match["language"], match["code"], line, match["shown"])


def numbers_of(text: str) -> list[float]:
    return [float(number.replace(",", "")) for number in NUMBER.findall(text)]


def form_of(text: str, *, labels: bool) -> list[str]:
    """Return the lines of a text without numbers, spaces and, unless asked for, labels."""
    text = NUMBER.sub("0", text)
    if not labels:
        text = LABEL.sub("_", text)
    return ["".join(line.split()) for line in text.splitlines()]


def run_python(block: Block, page: Path, names: dict[str, object], *, exact: bool) -> None:
    """Run a Python block, and compare its output with the one shown."""
    printed = StringIO()
    with redirect_stdout(printed):
        exec(compile("\n" * block.line + block.code, str(page), "exec"), names)
    if block.shown is None:
        return
    assert form_of(printed.getvalue(), labels=exact) == form_of(block.shown, labels=exact)
    if exact:
        shown = pytest.approx(numbers_of(block.shown), rel=0.15, abs=0.1)
        assert numbers_of(printed.getvalue()) == shown


def train_quickly(folder: Path, **settings: Any) -> Path:
    """Train `configs/tagger.cfg` for 100 steps, and return the folder of the pipeline."""
    overrides = {
        "training.max_steps": 100,
        "training.eval_frequency": 50,
        "paths.train": str(ROOT / "corpus/english/train.spacy"),
        "paths.dev": str(ROOT / "corpus/english/dev.spacy"),
        **{f"components.lstm_tagger.model.{name}": value for name, value in settings.items()},
    }
    train(init_nlp(load_config(ROOT / "configs" / "tagger.cfg", overrides=overrides)), folder)
    return folder / "model-best"


@pytest.fixture(scope="session")
def pipeline(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a trained pipeline: the one that `--pipeline` names, or a quick one."""
    if named := request.config.getoption("--pipeline"):
        return Path(named).resolve()
    return train_quickly(tmp_path_factory.mktemp("training"))


@pytest.fixture(scope="session")
def left_to_right(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_quickly(tmp_path_factory.mktemp("left_to_right"), bidirectional=False)


@pytest.fixture(scope="session")
def slots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a pipeline for the labels of `corpus/slots`, trained quickly."""
    folder = tmp_path_factory.mktemp("labels")
    convert([ROOT / "corpus/slots/dev.tsv"], folder)
    overrides: dict[str, Any] = {
        "training.max_steps": 20,
        "training.eval_frequency": 10,
        "paths.train": str(folder / "dev.spacy"),
        "paths.dev": str(folder / "dev.spacy"),
    }
    train(init_nlp(load_config(ROOT / "configs" / "labels.cfg", overrides=overrides)), folder)
    return folder / "model-best"


@pytest.fixture
def workplace(pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as after the README: a trained pipeline, the configs and the corpora."""
    shutil.copytree(pipeline, tmp_path / "training" / "model-best")
    for name in ("configs", "corpus"):
        shutil.copytree(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_python_blocks_run(page: Path, workplace: Path, request: pytest.FixtureRequest) -> None:
    folder = workplace / "guide" / page.stem
    folder.mkdir(parents=True)
    if page.stem in LEFT_TO_RIGHT:
        shutil.copytree(request.getfixturevalue("left_to_right"), folder / "model-best")
    if page.stem == "labels":
        shutil.copytree(request.getfixturevalue("slots"), folder / "model-best")
    # The pipeline of the labels page is always trained quickly here.
    exact = bool(request.config.getoption("--pipeline")) and page.stem != "labels"
    names: dict[str, object] = {"__name__": page.stem}
    for block in blocks_of(page.read_text(encoding="utf8")):
        if block.language == "python":
            run_python(block, page, names, exact=exact)


@pytest.mark.slow
def test_each_page_can_be_followed_and_writes_to_its_own_folder(
    workplace: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    if shutil.which("bash") is None:
        pytest.skip("needs bash")
    wrapper = tmp_path_factory.mktemp("bin") / "python"
    wrapper.write_text(SHORT_TRAINING.format(python=sys.executable), encoding="utf8")
    wrapper.chmod(0o755)
    environment = {**os.environ, "PATH": f"{wrapper.parent}{os.pathsep}{os.environ['PATH']}"}
    files = times_of(workplace)
    for name in re.findall(r"^- \[.+?\]\((.+?)\.md\)", INDEX.read_text(encoding="utf8"), re.M):
        page = INDEX.with_name(f"{name}.md")
        names: dict[str, object] = {"__name__": name}
        for block in blocks_of(page.read_text(encoding="utf8")):
            if block.language == "python":
                run_python(block, page, names, exact=False)
                continue
            command = ["bash", "-euo", "pipefail", "-c", block.code]
            done = subprocess.run(command, env=environment, capture_output=True, text=True)
            assert not done.returncode, f"{name}.md, line {block.line}: {done.stdout}{done.stderr}"
        before, files = files, times_of(workplace)
        changed = [path for path in before | files if before.get(path) != files.get(path)]
        assert [path for path in changed if not path.startswith(f"guide/{name}/")] == []


def times_of(folder: Path) -> dict[str, int]:
    """Return when each file in a folder was last changed."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.stat().st_mtime_ns for path in files}


def test_every_block_of_a_page_is_found() -> None:
    page = (
        "Text.\n\n```python\na = 1\n```\n\n```text\n1\n```\n\n```bash\nls\n```\n"
        "<!-- not run: why -->\n```python\nb\n```\n"
    )
    assert list(blocks_of(page)) == [
        Block("python", "a = 1\n", 3, "1\n"),
        Block("bash", "ls\n", 11, None),
    ]


def test_readme_is_short_and_has_both_commands() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf8")
    assert len(readme.splitlines()) <= 130
    install = "pip install -c constraints.txt "
    for command in (
        f"{install}. && python -m spacy train configs/tagger.cfg --output training",
        f'{install}".[test]" && python -m pytest',
    ):
        assert f"\n{command}\n" in readme


def anchors_of(page: str) -> set[str]:
    """Return the anchors that GitHub gives to the titles of a page."""
    titles = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", page, flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", MARKDOWN, ids=lambda page: page.stem)
def test_links_lead_to_files_and_to_their_sections(page: Path) -> None:
    text = re.sub(r"^```.*?^```|`[^`\n]*`", "", page.read_text(encoding="utf8"), flags=re.M | re.S)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"\w+:", link):
            continue
        path, _, section = link.partition("#")
        target = page.parent / path if path else page
        if path.startswith("spacy_lstm_tagger"):
            target = PACKAGE / path  # which is installed elsewhere
        assert target.exists(), link
        assert not section or section in anchors_of(target.read_text(encoding="utf8")), link


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=lambda page: page.stem)
def test_pages_read_well_on_github_and_name_files_that_exist(page: Path) -> None:
    text = page.read_text(encoding="utf8")
    assert re.findall(r"^% .*|\[\]\(.*\)|^```\{(?!settings|eval-rst)\w.*", text, re.M) == []
    folders = "configs|benchmarks|scripts|examples|tests|spacy_lstm_tagger"
    paths = re.findall(rf"(?<![\w/.])(?:{folders})/[\w/-]+\.\w+", text)
    roots = {"spacy_lstm_tagger": PACKAGE}  # which is installed elsewhere
    found = [roots.get(path.split("/")[0], ROOT) / path for path in paths]
    assert [path for path in found if not path.exists()] == []
