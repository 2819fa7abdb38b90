"""Tests of `compat.py`: PyTorch is imported in one place, and is optional."""

import ast
from pathlib import Path

import pytest
import torch

from spacy_lstm_tagger.model import compat

PACKAGE = Path(compat.__file__).parent.parent


def test_torch_is_returned_if_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert compat.require_torch() is torch
    monkeypatch.setattr(compat, "torch", None)
    with pytest.raises(ImportError, match="pip install torch"):
        compat.require_torch()


def imported(path: Path) -> set[str]:
    """Return the top-level names of the modules that a file imports from other packages."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


def test_only_networks_and_compat_import_torch() -> None:
    importing = {path for path in PACKAGE.rglob("*.py") if "torch" in imported(path)}
    networks = {path for path in importing if path.parent.name == "network"}
    assert importing - networks == {PACKAGE / "model" / "compat.py"}
    assert networks
