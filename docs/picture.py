"""Draw a sentence with the tags and confidences of a trained pipeline, as an SVG.

python docs/picture.py training/model-best docs/picture.svg
"""

import argparse
from html import escape
from pathlib import Path

import spacy
from spacy.tokens import Token

SENTENCE = "She wants to book the table we saw in the book."
COLOURS = {"N": "#3b82c4", "V": "#c2513f", "M": "#c2513f", "P": "#7d5bb5", "D": "#5d7f36"}
OTHER = "#6b7280"
HEIGHT, MARGIN, GAP, LETTER = 96, 12, 6, 9.2  # in pixels; LETTER is the width of a character
FONT = "font-family='ui-monospace, Menlo, Consolas, monospace' text-anchor='middle'"


def box(token: Token, left: float, width: float) -> str:
    """Return the drawing of a token: its word, tag and confidence."""
    colour, centre = COLOURS.get(token.tag_[0], OTHER), left + width / 2
    confidence = token._.tag_confidence
    return f"""
  <text x="{centre:.1f}" y="30" font-size="15" fill="#111827">{escape(token.text)}</text>
  <rect x="{left:.1f}" y="40" width="{width:.1f}" height="22" rx="4" fill="{colour}"/>
  <text x="{centre:.1f}" y="56" font-size="13" fill="#ffffff">{escape(token.tag_)}</text>
  <rect x="{left:.1f}" y="66" width="{width:.1f}" height="4" rx="2" fill="#e5e7eb"/>
  <rect x="{left:.1f}" y="66" width="{width * confidence:.1f}" height="4" rx="2" fill="{colour}"/>
  <text x="{centre:.1f}" y="84" font-size="11" fill="#4b5563">{confidence:.2f}</text>"""


def draw(tokens: list[Token]) -> str:
    """Return an SVG of tokens, from left to right."""
    boxes, left = [], float(MARGIN)
    for token in tokens:
        width = LETTER * max(4, len(token.text), len(token.tag_))
        boxes.append(box(token, left, width))
        left += width + GAP
    size = f"{left - GAP + MARGIN:.0f}"
    said = ", ".join(f"{t.text} {t.tag_} {t._.tag_confidence:.2f}" for t in tokens)
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size} {HEIGHT}" width="{size}"
  role="img" {FONT}>
  <title>A sentence with the tags and confidences of a trained lstm_tagger</title>
  <desc>{escape(said)}</desc>
  <rect width="{size}" height="{HEIGHT}" rx="8" fill="#ffffff"/>{"".join(boxes)}
</svg>
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pipeline", help="a trained pipeline with the component lstm_tagger")
    parser.add_argument("output", type=Path, help="the SVG file to write")
    arguments = parser.parse_args()
    settings = {"components": {"lstm_tagger": {"store_probabilities": True}}}
    nlp = spacy.load(arguments.pipeline, config=settings)
    arguments.output.write_text(draw(list(nlp(SENTENCE))), encoding="utf8")


if __name__ == "__main__":
    main()
