"""Sphinx extension of the guide: tables of settings, API fields, and the navigation."""

import re
from typing import Any

from docstrings import as_fields, settings_of, table
from docutils.nodes import Node
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

SECTION = re.compile(r"^## (.+)\n\n((?:- \[.+\n)+)", re.M)


class SettingsTable(SphinxDirective):
    """`{settings} KIND NAME`: the table of settings of a registered function."""

    required_arguments = 2

    def run(self) -> list[Node]:
        return self.parse_text_to_nodes(table(*settings_of(*self.arguments)))


def add_navigation(app: Sphinx, page: str, source: list[str]) -> None:
    """Add a table of contents for each list of pages on the index, which GitHub shows as it is."""
    if page == "index":
        for caption, links in SECTION.findall(source[0]):
            pages = "\n".join(re.findall(r"\(([\w-]+)\.md\)", links))
            source[0] += f"\n```{{toctree}}\n:caption: {caption}\n:hidden:\n\n{pages}\n```\n"


def shorten(
    app: Sphinx, what: str, name: str, thing: Any, options: Any, signature: Any, returned: Any
) -> tuple[Any, Any]:
    """Leave out modules where Sphinx writes "~module.Name" into a signature."""
    return signature and re.sub(r"~[\w.]*\.(\w+)", r"\1", signature), returned


def process(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    lines[:] = as_fields(lines)


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("settings", SettingsTable)
    app.connect("source-read", add_navigation)
    app.connect("autodoc-process-docstring", process)
    app.connect("autodoc-process-signature", shorten)
    return {"parallel_read_safe": True}
