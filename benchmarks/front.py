"""Compare accuracy and speed of trained pipelines, and draw them as points of a picture.

    python benchmarks/front.py CORPUS.spacy tagger=training/model-best spaCy=other/model-best \
        --svg docs/front.svg

Each pipeline is NAME=FOLDER, or NAME=PACKAGE. All read the tokens of the corpus, in batches of 128
Docs, on one thread; they take turns, and the median of the repeats counts. Speed is that of the
whole pipeline, without the tokenizer; so leave out what a comparison doesn't need, by --disable.
"""

import argparse
import time
from collections.abc import Sequence
from html import escape
from math import log10
from pathlib import Path
from typing import NamedTuple

import numpy
import spacy
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from threadpoolctl import threadpool_limits

BATCH_SIZE = 128
WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 640, 380, 56, 48, 24, 150  # pixels
STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #24292f; }
  .axis { font-size: 12px; fill: #57606a; }
  line { stroke: #d0d7de; }
  path { fill: none; stroke: #0969da; stroke-width: 2; stroke-dasharray: 4 4; }
  circle { fill: #0969da; stroke: #ffffff; stroke-width: 1.5; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; } .axis { fill: #9198a1; } line { stroke: #3d444d; }
    path { stroke: #4493f8; } circle { fill: #4493f8; stroke: #0d1117; }
  }
"""


class Point(NamedTuple):
    """A pipeline: its name, tokens per second, and accuracy in percent."""

    name: str
    speed: float
    accuracy: float


def tag(nlp: Language, words: Sequence[list[str]]) -> tuple[list[Doc], float]:
    """Tag texts; return the Docs, and the seconds that it took."""
    docs = [Doc(nlp.vocab, words=text) for text in words]
    start = time.perf_counter()
    tagged = list(nlp.pipe(docs, batch_size=BATCH_SIZE))
    return tagged, time.perf_counter() - start


def accuracy_of(docs: Sequence[Doc], gold: Sequence[list[str]], attribute: str) -> float:
    """Return the accuracy of tags or parts of speech, in percent."""
    pairs = [
        (str(getattr(token, f"{attribute}_")), label)
        for doc, labels in zip(docs, gold, strict=True)
        for token, label in zip(doc, labels, strict=True)
    ]
    return 100 * sum(found == label for found, label in pairs) / len(pairs)


def compare(
    pipelines: dict[str, Language], docs: Sequence[Doc], attribute: str, repeats: int
) -> list[Point]:
    """Measure the pipelines, which take turns; the first turn is not counted."""
    words = [[token.text for token in doc] for doc in docs]
    gold = [[str(getattr(token, f"{attribute}_")) for token in doc] for doc in docs]
    n_tokens = sum(map(len, words))
    seconds: dict[str, list[float]] = {name: [] for name in pipelines}
    accuracies = {}
    for _ in range(1 + repeats):
        for name, nlp in pipelines.items():
            tagged, taken = tag(nlp, words)
            seconds[name].append(taken)
            accuracies[name] = accuracy_of(tagged, gold, attribute)
    return [
        Point(name, n_tokens / float(numpy.median(seconds[name][1:])), accuracies[name])
        for name in pipelines
    ]


def best(points: Sequence[Point]) -> list[Point]:
    """Return the Pareto front: the points that none exceeds in both speed and accuracy, the
    slowest first.
    """
    front: list[Point] = []
    for point in sorted(points, key=lambda point: -point.speed):
        if not front or point.accuracy > front[-1].accuracy:
            front.append(point)
    return front[::-1]


def draw(points: Sequence[Point]) -> str:
    """Return an SVG: speed to the right on a logarithmic scale, accuracy upwards."""
    slowest, fastest = (f(log10(p.speed) for p in points) for f in (min, max))
    lowest, highest = (f(p.accuracy for p in points) for f in (min, max))

    def x(speed: float) -> float:
        share = (log10(speed) - slowest) / ((fastest - slowest) or 1)
        return LEFT + 20 + share * (WIDTH - LEFT - RIGHT - 20)

    def y(accuracy: float) -> float:
        share = (accuracy - lowest) / ((highest - lowest) or 1)
        return HEIGHT - BOTTOM - 16 - share * (HEIGHT - BOTTOM - TOP - 16)

    parts = []
    for power in range(int(slowest), int(fastest) + 1):
        for speed in (10**power, 3 * 10**power):
            if 10**slowest <= speed <= 10**fastest:
                parts.append(
                    f'<line x1="{x(speed):.0f}" x2="{x(speed):.0f}" y1="{TOP}" '
                    f'y2="{HEIGHT - BOTTOM}"/><text class="axis" x="{x(speed):.0f}" '
                    f'y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{speed:,}</text>'
                )
    for accuracy in numpy.arange(numpy.ceil(2 * lowest) / 2, highest + 0.01, 0.5).tolist():
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT + 30}" y1="{y(accuracy):.0f}" '
            f'y2="{y(accuracy):.0f}"/><text class="axis" x="{LEFT - 8}" '
            f'y="{y(accuracy) + 4:.0f}" text-anchor="end">{accuracy:.1f}</text>'
        )
    corners = " L ".join(f"{x(p.speed):.0f} {y(p.accuracy):.0f}" for p in best(points))
    parts.append(f'<path d="M {corners}"/>')
    for p in points:
        parts.append(
            f'<circle cx="{x(p.speed):.0f}" cy="{y(p.accuracy):.0f}" r="5"/>'
            f'<text x="{x(p.speed) + 9:.0f}" y="{y(p.accuracy) + 4:.0f}">{escape(p.name)}</text>'
        )
    said = "; ".join(f"{p.name}: {p.speed:,.0f} tokens/s, {p.accuracy:.2f}%" for p in points)
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">
<title>Accuracy and speed of taggers</title>
<desc>{escape(said)}</desc>
<style>{STYLE}</style>
{chr(10).join(parts)}
<text class="axis" x="{LEFT}" y="{HEIGHT - 10}">tokens per second</text>
<text class="axis" x="{LEFT - 40}" y="14">accuracy in percent</text>
</svg>
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("corpus", type=Path, help="annotated Docs, as a DocBin")
    parser.add_argument("pipelines", nargs="+", help="NAME=FOLDER or NAME=PACKAGE")
    parser.add_argument("--attribute", default="tag", choices=["tag", "pos"])
    parser.add_argument("--disable", nargs="*", default=[], help="components to leave out")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--svg", type=Path, help="the picture to write")
    arguments = parser.parse_args()
    named = dict(name.split("=", 1) for name in arguments.pipelines)
    loaded = {name: spacy.load(path) for name, path in named.items()}
    for nlp in loaded.values():
        nlp.select_pipes(disable=[n for n in arguments.disable if n in nlp.pipe_names])
    docs = list(DocBin().from_disk(arguments.corpus).get_docs(spacy.blank("xx").vocab))
    with threadpool_limits(1):
        points = compare(loaded, docs, arguments.attribute, arguments.repeats)
    print("| pipeline | accuracy | tokens/s |\n|---|---:|---:|")
    for point in points:
        print(f"| {point.name} | {point.accuracy:.2f} | {point.speed:,.0f} |")
    if arguments.svg is not None:
        arguments.svg.write_text(draw(points), encoding="utf8")


if __name__ == "__main__":
    main()
