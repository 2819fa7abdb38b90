"""Rendering of a tagged Doc as HTML."""

import unicodedata
from collections.abc import Iterator
from html import escape

from spacy.morphology import Morphology
from spacy.tokens import Doc, Span, Token
from spacy.util import is_in_jupyter

from .labels import FACTORIES, LABEL_FACTORY, has_labels, labels_of
from .probabilities import check_number, confidence, k_best, register_extensions
from .spans import doc_spans, find_scheme

JOINER = "\u200d"
MODIFIERS = {chr(i) for i in range(0x1F3FB, 0x1F400)}  # colours of the skin
FLAG_LETTERS = {chr(i) for i in range(0x1F1E6, 0x1F200)}  # two make a flag
SURE = 0.9  # tokens whose label is less probable show other labels, too
STYLE = """
.lstm-tags { --back: #fff; --text: #16181d; --soft: #5b6370; --line: #e3e6ea; --raised: #f4f5f7;
  --tint: #dcdefb; --on-tint: #2b2f8f; --accent: #4a4fd8;
  display: flex; flex-wrap: wrap; gap: .7rem .4rem; padding: 1rem; border-radius: .5rem;
  color: var(--text); background: var(--back); font: 1rem/1.4 system-ui, sans-serif; }
.lstm-tags .token { max-width: 100%; overflow-wrap: anywhere; unicode-bidi: isolate; }
.lstm-tags .word { display: block; padding: 0 .35rem; }
.lstm-tags .space { white-space: pre; }
.lstm-tags .line { flex-basis: 100%; height: 0; overflow: hidden; }
.lstm-tags .label { display: flex; gap: .6rem; justify-content: space-between; direction: ltr;
  margin-top: 2px; padding: .1rem .35rem; border-radius: .25rem; color: var(--soft);
  background: linear-gradient(var(--bar), var(--bar)) no-repeat 0 / var(--share, 0) 100%;
  background-color: var(--raised);
  font: .75rem/1.4 ui-monospace, Menlo, Consolas, monospace; --bar: var(--line); }
.lstm-tags .label span { white-space: nowrap; }
.lstm-tags .unsure .word { font-weight: 600; text-decoration: underline dashed var(--accent) 1.5px;
  text-underline-offset: .25em; }
.lstm-tags .span { max-width: 100%; padding: .1rem .15rem; border: 1px solid var(--accent);
  border-radius: .35rem; }
.lstm-tags .words { display: flex; flex-wrap: wrap; gap: .3rem; }
.lstm-tags .type { display: block; padding: 0 .35rem; color: var(--accent); direction: ltr;
  font: 600 .75rem/1.4 ui-monospace, Menlo, Consolas, monospace; }
.lstm-tags .chosen { color: var(--on-tint); font-weight: 700; --bar: var(--tint); }
@media (prefers-color-scheme: dark) {
  .lstm-tags { --back: #101216; --text: #e9ebef; --soft: #a9b0bc; --line: #31363f;
    --raised: #1c2027; --tint: #34387a; --on-tint: #d6d8ff; --accent: #8f94ff; }
}
"""
PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,"><title>Labels</title>
<style>
:root {{ color-scheme: light dark; }}
html {{ background: #fff; }}
body {{ max-width: 60rem; margin: 0 auto; padding: 1rem; font-family: system-ui, sans-serif; }}
h1 {{ padding: 0 1rem; font-size: 1.25rem; }}
@media (prefers-color-scheme: dark) {{ html {{ background: #101216; color: #e9ebef; }} }}
</style></head>
<body><main><h1>{title}</h1>{body}</main></body>
</html>
"""
TITLES = {"tag": "Tags", "pos": "Parts of speech", "morph": "Morphological features"}


def render(
    doc: Doc, *, attribute: str = "tag", k: int = 3, page: bool = False, jupyter: bool | None = None
) -> str | None:
    """Show a Doc with its labels: in a notebook, or as HTML. If the Doc has probabilities
    (`store_probabilities = true`), tokens whose label is less than 90% probable are emphasised, and
    show their k best labels. Labels that mark spans are shown as spans.

    doc (Doc): The tagged Doc.
    attribute (str): "tag", "pos", "morph", or the name of an extension.
    k (int): Maximum number of labels of such a token.
    page (bool): Whether to return a complete page.
    jupyter (bool | None): Whether to display the HTML in a notebook. None detects notebooks.
    RETURNS (str | None): The HTML, or None if it was displayed.
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
        html = PAGE.format(title=TITLES.get(attribute, "Labels"), body=html)
    if jupyter or (jupyter is None and is_in_jupyter()):
        from IPython.display import HTML, display

        display(HTML(html))
        return None
    return html


def _tokens(doc: Doc, attribute: str, n_best: int) -> Iterator[str]:
    labels = labels_of(doc, attribute)
    of_words = {label for token, label in zip(doc, labels, strict=True) if not token.is_space}
    marked = doc_spans(doc, labels) if find_scheme(of_words - {""}) else []
    first, last = {span.start for span in marked}, {span.end: span.label_ for span in marked}
    for span in _characters(doc):
        if not first.isdisjoint(range(span.start, span.end)):
            yield '<span class="span"><span class="words">'
        yield from _token(span, labels[span.start], attribute, n_best, in_spans=bool(marked))
        for end in range(span.start + 1, span.end + 1):
            if end in last:
                yield f'</span><span class="type">{escape(last[end])}</span></span> '


def _token(span: Span, label: str, attribute: str, n_best: int, *, in_spans: bool) -> Iterator[str]:
    """Yield the HTML of tokens that are shown as one."""
    token, word = span[0], escape(_visible(span.text))
    if not word.strip():
        kind = "line" if "\n" in word else "space"
        yield f'<span class="{kind}">{word}</span>'
        return
    sure = confidence(attribute, token) if label and n_best else 1.0
    kind = "token" if sure >= SURE else "token unsure"
    shown = ""
    if not (in_spans and sure >= SURE):
        shown = "".join(_labels(token, label, sure, attribute, n_best))
    yield f'<span class="{kind}"><span class="word">{word}</span> {shown}</span> '


def _characters(doc: Doc) -> Iterator[Span]:
    """Yield spans of tokens that look like one character, such as emoji with joiners."""
    start = 0
    for i in range(1, len(doc) + 1):
        if i < len(doc) and not doc[i - 1].whitespace_ and _joins(doc[i - 1].text, doc[i].text):
            continue
        yield doc[start:i]
        start = i


def _visible(word: str) -> str:
    """Return the numbers of a word's characters if none can be seen, such as U+200B."""
    can_be_seen = any(unicodedata.category(letter)[0] not in "CZM" for letter in word)
    if can_be_seen or not word.strip():
        return word
    return " ".join(f"U+{ord(letter):04X}" for letter in word)


def _joins(left: str, right: str) -> bool:
    is_modifier = right[0] in MODIFIERS or unicodedata.category(right[0]) in ("Mn", "Me", "Cf")
    return is_modifier or left[-1] == JOINER or (left in FLAG_LETTERS and right in FLAG_LETTERS)


def _labels(token: Token, label: str, sure: float, attribute: str, n_best: int) -> Iterator[str]:
    """Yield the label of a token, and if it isn't sure, others of the n best with probabilities."""
    if sure >= SURE:
        if label not in ("", Morphology.EMPTY_MORPH):
            yield f'<span class="label">{escape(label)}</span>'
        return
    others = [pair for pair in k_best(token, n_best, attribute=attribute) if pair[0] != label]
    for name, share in [(label, sure), *others][:n_best]:
        kind = "label chosen" if name == label else "label"
        yield (
            f'<span class="{kind}" style="--share: {share:.0%}">{escape(name)} '
            f"<span>{share:.0%}</span></span> "
        )
