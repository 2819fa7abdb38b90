"""Docstrings of the package in, what Sphinx reads out."""

import re
from typing import Any

from sphinx.application import Sphinx

ARGUMENT = re.compile(r"(\w+) \(([^)]*(?:\([^)]*\))?[^)]*)\): (.*)")
RESULT = re.compile(r"(RETURNS|YIELDS) \((.*?)\): (.*)")


def as_fields(lines: list[str]) -> list[str]:
    """Turn "name (type): meaning." and RETURNS, YIELDS and RAISES into Sphinx's fields."""
    fields = []
    for line in lines:
        if match := ARGUMENT.fullmatch(line):
            fields.append(f":param {match[1]}: {match[3]}")
        elif match := RESULT.fullmatch(line):
            fields.append(f":returns: {match[3]}")
        elif line.startswith("RAISES: "):
            fields.append(f":raises: {line.removeprefix('RAISES: ')}")
        else:
            fields.append(line)
    return fields


def process(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    lines[:] = as_fields(lines)


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("autodoc-process-docstring", process)
    return {"parallel_read_safe": True}
