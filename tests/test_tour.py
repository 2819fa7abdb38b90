"""Tests of `examples/tour.ipynb`: it runs from top to bottom, and its outputs are committed."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOK = ROOT / "examples" / "tour.ipynb"


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def text_of(cell: Any) -> str:
    """Return what a cell shows as text."""
    shown = [output.get("text") or output["data"]["text/plain"] for output in cell["outputs"]]
    return "".join("".join(text) for text in shown)


def test_outputs_are_committed() -> None:
    cells = code_cells(json.loads(NOTEBOOK.read_text(encoding="utf8")))
    assert [cell["execution_count"] for cell in cells] == [*range(1, len(cells) + 1)]
    assert "'EMOJI'" in text_of(cells[-1])
    assert str(Path.home()) not in json.dumps(cells)


@pytest.mark.slow
def test_it_runs_from_top_to_bottom(tmp_path: Path) -> None:
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    (tmp_path / "examples").mkdir()
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    shutil.copytree(ROOT / "corpus", tmp_path / "corpus")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    committed = json.loads(NOTEBOOK.read_text(encoding="utf8"))
    folder = {"metadata": {"path": str(tmp_path / "examples")}}
    nbclient.NotebookClient(notebook, timeout=600, resources=folder).execute()
    kinds, committed_kinds = (
        [{output["output_type"] for output in cell["outputs"]} for cell in code_cells(one)]
        for one in (notebook, committed)
    )
    assert kinds == committed_kinds
    assert "'EMOJI'" in text_of(code_cells(notebook)[-1])
    assert (tmp_path / "guide" / "tour" / "report.html").exists()
