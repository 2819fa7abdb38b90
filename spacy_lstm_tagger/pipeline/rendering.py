"""Rendering of a tagged Doc as HTML."""

from collections.abc import Iterator
from html import escape
from zlib import crc32

from spacy.morphology import Morphology
from spacy.tokens import Doc, Token
from spacy.util import is_in_jupyter

from .labels import FACTORIES, LABEL_FACTORY, has_labels, labels_of
from .probabilities import check_number, confidence, k_best, register_extensions

STYLE = """
.lstm-tags { line-height: 3.1; color: #1b1f24; background: #fff; padding: .5rem; }
.lstm-tags .token { position: relative; display: inline-block; line-height: 1.3; margin: 0 .1rem;
  padding: .1rem .3rem; border-radius: .25rem; text-align: center;
  background: hsl(var(--hue) var(--sure) 86%); }
.lstm-tags .label { display: block; font: 700 .7rem system-ui, sans-serif; }
.lstm-tags .best { display: none; position: absolute; z-index: 1; top: 100%; left: 0; margin: 0;
  padding: .3rem .6rem; list-style: none; text-align: left; white-space: nowrap;
  font: .8rem system-ui, sans-serif; color: #1b1f24; background: #fff; border: 1px solid #57606a; }
.lstm-tags .token:hover .best, .lstm-tags .token:focus .best { display: block; }
.lstm-tags .token:focus { outline: 3px solid #0550ae; }
@media (prefers-color-scheme: dark) {
  .lstm-tags, .lstm-tags .best { color: #e6edf3; background: #0d1117; }
  .lstm-tags .token { background: hsl(var(--hue) var(--sure) 24%); }
  .lstm-tags .token:focus { outline-color: #79b8ff; }
}
"""
PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,"><title>Labels</title>
<style>:root {{ color-scheme: light dark; }}</style></head>
<body><main><h1>Labels</h1>{body}</main></body>
</html>
"""


def render(
    doc: Doc, *, attribute: str = "tag", k: int = 3, page: bool = False, jupyter: bool | None = None
) -> str | None:
    """Show a Doc with its labels, in a notebook or as HTML. If the Doc has probabilities
    (`store_probabilities = true`), less probable labels are paler, and a token shows its k best
    labels when the pointer or the focus is on it.

    doc (Doc): The tagged Doc.
    attribute (str): "tag", "pos", "morph", or the name of an extension.
    k (int): How many labels of a token to show at most.
    page (bool): Whether to return a whole page, not only the element that shows the Doc.
    jupyter (bool | None): Whether to display it in a notebook; None to detect one.
    RETURNS (str | None): The HTML; None if it was displayed.
    RAISES: ValueError if k is less than 1, or the Doc has no such annotation.
    """
    if not has_labels(doc, attribute):
        factory = FACTORIES.get(attribute, LABEL_FACTORY)
        raise ValueError(f"this Doc has no {attribute} to show: tag it with an {factory} first")
    k = check_number("k", k)
    register_extensions(attribute)
    has_probabilities = doc._.get(f"{attribute}_probabilities") is not None
    n_best = min(k, len(doc._.get(f"{attribute}_labels"))) if has_probabilities else 0
    tokens = "".join(_tokens(doc, attribute, n_best))
    language = f' lang="{escape(doc.lang_)}"' if doc.lang_ not in ("", "xx") else ""
    html = f'<style>{STYLE}</style><div class="lstm-tags" dir="auto"{language}>{tokens}</div>'
    if page:
        html = PAGE.format(body=html)
    if jupyter or (jupyter is None and is_in_jupyter()):
        from IPython.display import HTML, display

        display(HTML(html))
        return None
    return html


def _tokens(doc: Doc, attribute: str, n_best: int) -> Iterator[str]:
    for token, label in zip(doc, labels_of(doc, attribute), strict=True):
        if label and label != Morphology.EMPTY_MORPH and not token.is_space:
            yield _token(token, label, attribute, n_best)
        else:
            yield escape(token.text)
        yield escape(token.whitespace_) + "<wbr>"


def _token(token: Token, label: str, attribute: str, n_best: int) -> str:
    sure = confidence(attribute, token) if n_best else 1.0
    best = k_best(token, n_best, attribute=attribute) if n_best else []
    rows = "".join(f"<li>{escape(name)} {share:.2f}</li>" for name, share in best)
    shown = f'<ul class="best">{rows}</ul>' if rows else ""
    focus = ' tabindex="0"' if best else ""
    return (
        f'<span class="token"{focus} style="--hue: {_hue(label)}; --sure: {round(100 * sure)}%">'
        f'{escape(token.text)} <span class="label">{escape(label)}</span>'
        f"{shown}</span>"
    )


def _hue(label: str) -> int:
    """Return the hue of a label, the same in all Docs."""
    return crc32(label.encode("utf8")) * 137 % 360
