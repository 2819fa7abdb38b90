"""The figures of a report in, one self-contained HTML page out.

Charts are SVG that the templates draw: they follow the page's colours, light and dark, and need no
plotting library. The page has no script, and its policy forbids any, and all requests.
"""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from .figures import SURE
from .io import ATTRIBUTES

TEMPLATES = Path(__file__).parent / "templates"


def render_page(report: dict[str, Any]) -> str:
    """Return the page; whatever the corpus has in its words and labels is escaped."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda share: f"{100 * share:.2f}%"
    environment.filters["thousands"] = lambda number: f"{number:,}"
    template = environment.get_template("report.html")
    return template.render(report=report, what=ATTRIBUTES[report["attribute"]], sure=SURE)
