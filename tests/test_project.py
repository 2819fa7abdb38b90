"""The project: from a treebank to a package, as `spacy project run all` does it, and releases."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

import pytest
import spacy

import spacy_lstm_tagger

ROOT = Path(__file__).parent.parent
INSTALLED = Path(spacy_lstm_tagger.__file__).is_relative_to(sysconfig.get_path("purelib"))
# A program of a user, with one mistake in its last line.
PROGRAM = """\
from spacy.tokens import Doc

from spacy_lstm_tagger import render

def show(doc: Doc) -> str | None:
    return render(doc, attribute="pos", k=3)

def mistake(doc: Doc) -> str | None:
    return render(doc, k="three")
"""
# What is behind the signatures would take a minute: the package must bring along its types alone.
MYPY = """\
[mypy]
strict = true
[mypy-spacy.*,thinc.*,torch.*,numpy.*,srsly.*]
follow_imports = skip
ignore_missing_imports = true
[mypy-spacy_lstm_tagger.*]
ignore_errors = true
"""
README = "# Summary\n\nA corpus to test with.\n\nLicense: CC0 1.0\n"


def run(*command: str, folder: Path) -> str:
    """Run a command in a folder, and return what it prints."""
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert not done.returncode, done.stdout
    return done.stdout


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with the repository of a treebank, laid out as Universal Dependencies are."""
    if shutil.which("git") is None:
        pytest.skip("needs git")
    repository = tmp_path / "source" / "UD_English-Small"
    repository.mkdir(parents=True)
    for split in ("train", "dev", "test"):
        corpus = ROOT / "corpus" / "english" / f"{split}.conllu"
        shutil.copy(corpus, repository / f"en_small-ud-{split}.conllu")
    (repository / "README.md").write_text(README, encoding="utf8")
    (repository / "LICENSE.txt").write_text("CC0", encoding="utf8")
    author = ("-c", "user.name=Test", "-c", "user.email=test@example.com")
    run("git", "init", "--quiet", "--initial-branch=main", folder=repository)
    run("git", "add", ".", folder=repository)
    run("git", *author, "commit", "--quiet", "--message=Add", folder=repository)
    run("git", "branch", "r2.16", folder=repository)
    return repository.parent


@pytest.mark.slow
def test_a_treebank_becomes_a_package(source: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    shutil.copy(ROOT / "project.yml", project)
    for folder in ("configs", "scripts"):
        shutil.copytree(ROOT / folder, project / folder)
    values = {
        "source": source.as_uri(),
        "treebank": "UD_English-Small",
        "max_steps": "20",
        "build": "none",
    }
    overrides = [word for name, value in values.items() for word in (f"--vars.{name}", value)]
    run(sys.executable, "-m", "spacy", "project", "run", "all", ".", *overrides, folder=project)
    package = project / "packages" / "en_ud_small_lstm-1.0.0"
    meta = json.loads((package / "meta.json").read_text(encoding="utf8"))
    reports = project / "reports"
    report = json.loads((reports / "UD_English-Small.json").read_text(encoding="utf8"))
    scores = json.loads((reports / "UD_English-Small-evaluation.json").read_text(encoding="utf8"))
    accuracy = report["pipelines"][0]["overall"]["accuracy"]
    assert meta["license"] == meta["sources"][0]["license"] == "CC0 1.0"
    assert meta["performance"]["tag_acc"] == scores["tag_acc"] > 0.1
    assert f"{100 * accuracy:.2f} of 100 tags are right" in meta["notes"]
    assert any(one.startswith("spacy-lstm-tagger") for one in meta["requirements"])
    assert "on UD_English-Small r2.16" in (package / "README.md").read_text(encoding="utf8")
    assert (package / "LICENSES_SOURCES").read_text(encoding="utf8") == "CC0"
    nlp = spacy.load(package / "en_ud_small_lstm" / "en_ud_small_lstm-1.0.0")
    assert nlp("The dog ate.")[0].tag_


@pytest.mark.parametrize(
    ("script", "arguments", "message"),
    [
        ("convert", ["nothing", "out"], "must have one file *train.conllu; it has none"),
        ("package", ["a", "b", "c", "d", "e", "--release", "r1", "--version", "1.0.0"], "b"),
    ],
)
def test_scripts_name_what_is_missing(
    script: str, arguments: list[str], message: str, tmp_path: Path
) -> None:
    command = [sys.executable, str(ROOT / "scripts" / f"{script}.py"), *arguments]
    refused = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert message in refused.stderr.splitlines()[-1]
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.skipif(find_spec("mypy") is None, reason="needs mypy")
@pytest.mark.skipif(not INSTALLED, reason="mypy doesn't find a package that is installed with -e")
def test_a_type_checker_sees_the_types_of_the_installed_package(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf8")
    (tmp_path / "mypy.ini").write_text(MYPY, encoding="utf8")
    command = [sys.executable, "-m", "mypy", "--no-error-summary", "program.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    line = PROGRAM.splitlines().index('    return render(doc, k="three")') + 1
    errors = done.stdout.splitlines()
    assert len(errors) == 1, done.stdout + done.stderr
    assert errors[0].startswith(f'program.py:{line}: error: Argument "k" to "render"')


def test_the_entry_for_the_universe_of_spacy_is_complete_and_its_example_is_in_the_readme() -> None:
    entry = json.loads((ROOT / "universe.json").read_text(encoding="utf8"))
    texts = {"id", "title", "slogan", "description", "pip", "code_language", "author"}
    lists = {"code_example", "category", "tags"}
    assert all(isinstance(entry[name], str) and entry[name] for name in texts)
    assert all(isinstance(entry[name], list) and entry[name] for name in lists)
    assert entry.keys() == texts | lists
    code = "\n".join(line for line in entry["code_example"] if not line.startswith("#"))
    assert code in (ROOT / "README.md").read_text(encoding="utf8")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with what is checked before a release, as it must be for v1.2.3."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "check_version.py", tmp_path / "scripts")
    (tmp_path / "setup.cfg").write_text("[metadata]\nversion = 1.2.3\n", encoding="utf8")
    (tmp_path / "CITATION.cff").write_text("cff-version: 1.2.0\nversion: 1.2.3\n", encoding="utf8")
    changes = "# Changelog\n\n## [1.2.3] - 2026-11-26\n\n## [1.2.2] - 2026-01-01\n"
    (tmp_path / "CHANGELOG.md").write_text(changes, encoding="utf8")
    return tmp_path


def check_version(checkout: Path, tag: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(checkout / "scripts" / "check_version.py"), tag]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_version_that_is_the_same_everywhere_can_be_released(checkout: Path) -> None:
    checked = check_version(checkout, "v1.2.3")
    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("setup.cfg", "1.2.3", "1.2.4", "setup.cfg has version 1.2.4: make it 1.2.3"),
        ("CITATION.cff", "version: 1.2.3", "version: 1", "CITATION.cff has version 1: make it"),
        ("CHANGELOG.md", "[1.2.3]", "[1.2.4]", "the first section is 1.2.4, not 1.2.3"),
        ("CHANGELOG.md", "2026-11-26", "Unreleased", "1.2.3 has Unreleased in place of a date"),
    ],
)
def test_what_differs_from_the_tag_is_named(
    file: str, old: str, new: str, message: str, checkout: Path
) -> None:
    text = (checkout / file).read_text(encoding="utf8")
    (checkout / file).write_text(text.replace(old, new), encoding="utf8")
    refused = check_version(checkout, "v1.2.3")
    assert refused.returncode == 1
    assert message in refused.stderr


@pytest.mark.parametrize("tag", ["1.2.3", "v1.2", "v1.2.3-final", "main"])
def test_a_tag_that_is_no_version_is_refused(tag: str, checkout: Path) -> None:
    refused = check_version(checkout, tag)
    assert refused.returncode == 1
    assert f"{tag} is no tag of a version" in refused.stderr


def test_the_version_of_the_package_is_that_of_its_citation_and_its_changelog() -> None:
    spec = (ROOT / "setup.cfg").read_text(encoding="utf8")
    version = next(line for line in spec.splitlines() if line.startswith("version = "))[10:]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf8")
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf8")
    assert f"\nversion: {version}\n" in citation
    assert changes.partition("\n## [")[2].startswith(f"{version}] - ")
