"""Draw a sentence with the tags and confidences of a trained pipeline, as an SVG.

python docs/picture.py training/model-best docs/picture.svg
"""

import argparse
from html import escape
from pathlib import Path

import spacy
from spacy.tokens import Token

SENTENCE = "She wants to book the table we saw in the book."
SURE, N_BEST = 0.9, 3  # tokens that are less sure show their best labels, as in render
MARGIN, GAP, ROW, LETTER = 16, 10, 22, 7.8  # in pixels; LETTER is the width of a character
CHIP = f'height="{ROW - 3}" rx="4"'
STYLE = """
    text { font: 13px ui-monospace, Menlo, Consolas, monospace; fill: #5b6370; }
    .word { font: 16px system-ui, sans-serif; fill: #16181d; text-anchor: middle; }
    .unsure { font-weight: 600; } .share { text-anchor: end; }
    .back { fill: #ffffff; } .chip { fill: #f4f5f7; } .bar { fill: #e3e6ea; }
    .chosen { font-weight: 700; fill: #2b2f8f; } .chosen-bar { fill: #dcdefb; }
    .line { stroke: #4a4fd8; stroke-width: 1.5; stroke-dasharray: 3 2; }
    @media (prefers-color-scheme: dark) {
      text { fill: #a9b0bc; } .word { fill: #e9ebef; } .back { fill: #101216; }
      .chip { fill: #1c2027; } .bar { fill: #31363f; } .chosen { fill: #d6d8ff; }
      .chosen-bar { fill: #34387a; } .line { stroke: #8f94ff; }
    }
  """


def rows_of(token: Token) -> list[tuple[str, float]]:
    """Return the labels that are shown below a token, with their probabilities."""
    if token._.tag_confidence >= SURE:
        return [(token.tag_, 1.0)]
    return list(token._.tag_k_best(N_BEST))


def draw_token(token: Token, left: float, width: float) -> str:
    """Return the drawing of a token: its word, and its labels in rows below."""
    rows, centre = rows_of(token), left + width / 2
    unsure = " unsure" if len(rows) > 1 else ""
    drawn = [f'<text class="word{unsure}" x="{centre:.1f}" y="30">{escape(token.text)}</text>']
    if unsure:
        half = LETTER * len(token.text) / 2
        drawn.append(
            f'<path class="line" d="M{centre - half:.1f} 36H{centre + half:.1f}" fill="none"/>'
        )
    for i, (label, share) in enumerate(rows):
        top, chosen = 44 + i * ROW, "chosen" if unsure and label == token.tag_ else "other"
        drawn.append(f'<rect class="chip" x="{left:.1f}" y="{top}" width="{width:.1f}" {CHIP}/>')
        x, y = left + 6, top + 14
        if unsure:
            bar = "chosen-bar" if chosen == "chosen" else "bar"
            size = f'y="{top}" width="{width * share:.1f}" {CHIP}'
            drawn.append(f'<rect class="{bar}" x="{left:.1f}" {size}/>')
            right = f'x="{left + width - 6:.1f}" y="{y}"'
            drawn.append(f'<text class="share {chosen}" {right}>{share:.0%}</text>')
        drawn.append(f'<text class="{chosen}" x="{x:.1f}" y="{y}">{escape(label)}</text>')
    return "\n  ".join(drawn)


def width_of(token: Token) -> float:
    """Return the width of a token in pixels."""
    rows = rows_of(token)
    lengths = [len(label) + (5 if len(rows) > 1 else 0) for label, _ in rows]
    return LETTER * max(1.1 * len(token.text), *lengths) + 12


def draw(tokens: list[Token]) -> str:
    """Return an SVG of tokens, from left to right."""
    drawn, left = [], float(MARGIN)
    for token in tokens:
        drawn.append(draw_token(token, left, width_of(token)))
        left += width_of(token) + GAP
    width = f"{left - GAP + MARGIN:.0f}"
    height = 44 + ROW * max(len(rows_of(token)) for token in tokens) + MARGIN
    said = ", ".join(f"{t.text} {t.tag_} {t._.tag_confidence:.0%}" for t in tokens)
    content = "\n  ".join(drawn)
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"
  width="{width}" role="img">
  <title>A sentence with the tags and confidences of a trained lstm_tagger</title>
  <desc>{escape(said)}</desc>
  <style>{STYLE}</style>
  <rect class="back" width="{width}" height="{height}" rx="8"/>
  {content}
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
