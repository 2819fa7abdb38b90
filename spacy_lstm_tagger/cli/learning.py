"""What `spacy train` printed or logged in, the learning curve out."""

import json
import re
from pathlib import Path
from typing import Any

Point = dict[str, float]


def read_log(path: Path) -> list[Point]:
    """Read the steps of a training and their scores.

    path (Path): What `spacy train` printed, or the `output_file` of `spacy.ConsoleLogger.v3`.
    RETURNS (list[Point]): "step" and "score" of each evaluation.
    RAISES: ValueError if there are none.
    """
    lines = path.read_text(encoding="utf8").splitlines()
    points = [point for line in lines if (point := _from_json(line) or _from_row(line))]
    if not points:
        raise ValueError(f"{path} is no log of spacy train: it has no line with a step and a score")
    return points


def _from_json(line: str) -> Point | None:
    if not line.lstrip().startswith("{"):
        return None
    try:
        entry: dict[str, Any] = json.loads(line)
        return {"step": float(entry["step"]), "score": float(entry["score"])}
    except (ValueError, KeyError, TypeError):  # a line of something else; evaluations have both
        return None


def _from_row(line: str) -> Point | None:
    """Read a row of the table: epoch, step, losses, scores, and the score from 0 to 1."""
    cells = line.split()
    if len(cells) < 4 or not all(re.fullmatch(r"\d+(\.\d+)?", cell) for cell in cells):
        return None
    return {"step": float(cells[1]), "score": float(cells[-1])}
