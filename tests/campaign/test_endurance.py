"""A million Docs of new words: no wrong answer, no more memory than spaCy's strings take."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parent / "endure.py"
N_DOCS = 1_000_000
SLACK = 64  # megabytes: what is remembered of word types is forgotten when it is so much


def endure(*arguments: object) -> dict[str, Any]:
    command = [sys.executable, SCRIPT, *map(str, arguments)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=3600)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def growth(memory: list[int]) -> int:
    """Return how many megabytes the second half took."""
    return memory[-1] - memory[len(memory) // 2 - 1]


@pytest.mark.parametrize("mode", ["pipe", "zones", "server"])
def test_memory_is_flat_and_answers_are_right(
    saved: Path, size: Callable, tell: Callable, mode: str
) -> None:
    if not size(True, False):
        pytest.skip("only --campaign does so: it takes minutes")
    found = endure(saved, mode, N_DOCS)
    allowed = growth(endure(saved, "tokens", N_DOCS)["MB"]) if mode == "pipe" else 0
    tell(f"Endurance: {mode}: {found}; spaCy's strings alone took {allowed} MB of the second half")
    assert found["docs"] == N_DOCS and found["checked"] >= N_DOCS // 100 and not found["wrong"]
    assert growth(found["MB"]) <= allowed + SLACK


@pytest.mark.parametrize("mode", ["pipe", "zones", "server"])
def test_answers_are_right(saved: Path, monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    if mode == "server":
        pytest.importorskip("fastapi")
        pytest.importorskip("httpx")
    monkeypatch.syspath_prepend(SCRIPT.parent)
    from endure import endure

    found = endure(saved, mode, 1600)
    assert (found["docs"], found["checked"], found["wrong"]) == (1600, 16, 0)
