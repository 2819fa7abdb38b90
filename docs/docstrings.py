"""Docstrings of the package as Markdown tables of settings and as fields for Sphinx."""

import inspect
import json
import re
import sys
from collections.abc import Callable
from typing import Any

import spacy
from spacy.language import Language

ARGUMENT = re.compile(r"(\w+) \((.*?)\): (.*)")
RESULT = re.compile(r"(?:RETURNS|YIELDS) \(.*?\)(?:: (.*))?")
REQUIRED = inspect.Parameter.empty


def as_fields(lines: list[str]) -> list[str]:
    """Turn "name (type): meaning.", RETURNS, YIELDS and RAISES into Sphinx's fields."""
    fields = []
    for line in lines:
        if match := RESULT.fullmatch(line):
            fields.append(f":returns: {match[1]}")
        elif match := ARGUMENT.fullmatch(line):
            fields.append(f":param {match[1]}: {match[3]}")
        else:
            fields.append(re.sub(r"^RAISES: (\w+)", r":raises \1:", line))
    return fields


def meanings_of(function: Callable[..., Any]) -> dict[str, str]:
    """Return the meaning of each argument in a docstring. If the docstring says "see `other`", the
    arguments of that function of the same module are included.
    """
    text = inspect.getdoc(function) or ""
    meanings: dict[str, str] = {}
    for other in re.findall(r"see `(\w+)`", text):
        meanings.update(meanings_of(getattr(sys.modules[function.__module__], other)))
    name = None
    for line in text.splitlines():
        if match := ARGUMENT.fullmatch(line):
            name = match[1]
            meanings[name] = match[3]
        elif name and line.startswith("    "):
            meanings[name] += f" {line.strip()}"
        else:
            name = None
    return meanings


def settings_of(kind: str, name: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the settings of a registered function with their defaults, and their meanings.

    kind (str): The registry: "architectures", "readers" and so on; "factories" for components.
    name (str): The registered name.
    """
    defaults: dict[str, Any] = {}
    if kind == "factories":
        spacy.blank("xx").get_factory_meta(name)  # finds the entry point
        defaults = dict(Language.get_factory_meta(name).default_config or {})
    function = spacy.registry.get(kind, name)
    meanings = meanings_of(function)
    signature = inspect.signature(function, eval_str=True)
    settings = {p.name: defaults.get(p.name, p.default) for p in signature.parameters.values()}
    if kind == "factories":
        del settings["nlp"], settings["name"]
        meanings |= meanings_of(signature.return_annotation.__init__)
    return settings, meanings


def table(settings: dict[str, Any], meanings: dict[str, str]) -> str:
    """Return a Markdown table of settings; ValueError if one has no meaning."""
    rows = ["| setting | default | meaning |", "|---|---|---|"]
    for name, default in settings.items():
        if name not in meanings:
            raise ValueError(f"the docstring doesn't describe the setting {name}")
        shown = "required" if default is REQUIRED else f"`{json.dumps(default)}`"
        meaning = meanings[name].replace("|", r"\|")
        rows.append(f"| `{name}` | {shown} | {meaning} |")
    return "\n".join(rows)
