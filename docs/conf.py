"""Settings of Sphinx for the guide: python -m sphinx --fail-on-warning docs docs/_build"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

project = "spacy-lstm-tagger"
author = "The spacy-lstm-tagger authors"
copyright = f"2026, {author}"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_extension"]
exclude_patterns = ["_build"]
autoclass_content = "both"
myst_heading_anchors = 3
default_role = "code"  # in docstrings, as in Markdown
html_theme = "furo"
html_title = "spacy-lstm-tagger"
html_copy_source = False
