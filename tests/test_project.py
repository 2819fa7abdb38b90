"""The project: from a treebank in a repository to a package, as `spacy project run all` does it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import spacy

ROOT = Path(__file__).parent.parent
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
