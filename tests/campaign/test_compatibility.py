"""Pipelines that were saved in each format of the files, by `make_pipelines.py`, still load."""

import json
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest
import spacy
from numpy.testing import assert_allclose
from spacy.language import Language

from spacy_lstm_tagger.pipeline.serialization import FORMAT

HERE = Path(__file__).parent
ARCHIVES = sorted((HERE / "pipelines").glob("*/*.zip"))


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Callable[[Language], dict]:
    """The function of `make_pipelines.py` that asks a pipeline what it says."""
    monkeypatch.syspath_prepend(HERE)
    import make_pipelines

    return make_pipelines.answers


def test_each_format_has_its_pipelines() -> None:
    kinds = {"tag", "pos", "morph", "crf", "shared"}
    for number in range(1, FORMAT + 1):
        folder = HERE / "pipelines" / f"format-{number}"
        assert {path.stem for path in folder.iterdir()} == kinds


@pytest.mark.parametrize("path", ARCHIVES, ids=lambda path: f"{path.parent.name} {path.stem}")
def test_saved_pipeline_says_what_it_said(
    path: Path, tmp_path: Path, answers: Callable, tell: Callable
) -> None:
    with ZipFile(path) as archive:
        archive.extractall(tmp_path)
    expected = json.loads((tmp_path / "answers.json").read_text())
    found = answers(spacy.load(tmp_path / "pipeline"))
    assert found["labels"] == expected["labels"]
    assert found["probabilities"].keys() == expected["probabilities"].keys()
    for name, by_doc in expected["probabilities"].items():
        for own, other in zip(found["probabilities"][name], by_doc, strict=True):
            assert_allclose(own, other, atol=1e-4)
    tell(f"Compatibility: {path.parent.name}, {path.stem}: the same labels and probabilities")


def test_unknown_format_is_refused(tmp_path: Path) -> None:
    with ZipFile(HERE / "pipelines" / f"format-{FORMAT}" / "tag.zip") as archive:
        archive.extractall(tmp_path)
    path = tmp_path / "pipeline" / "lstm_tagger" / "cfg"
    contents = json.loads(path.read_text())
    path.write_text(json.dumps({**contents, "format": FORMAT + 1}))
    with pytest.raises(ValueError, match=rf"format {FORMAT + 1}, of a newer version"):
        spacy.load(tmp_path / "pipeline")
