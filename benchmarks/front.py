"""Compare accuracy, speed and size of trained pipelines, and draw them as points of a picture.

    python benchmarks/front.py DEV.spacy spaCy=other/model-best tagger=training/model-best \
        --train TRAIN.spacy --svg docs/front.svg

Each pipeline is NAME=FOLDER, or NAME=PACKAGE. All read the tokens of the corpus, in batches of 128
Docs, on one thread; they take turns, and the median of the repeats counts. A pipeline that was
trained on sentences (gold_preproc = true in its config) reads the corpus's sentences. Speed is that
of the whole pipeline, without the tokenizer; so leave out what a comparison doesn't need, by
--disable. Words that TRAIN.spacy doesn't have, in this case, are unseen.
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

from spacy_lstm_tagger.cli.compact import size_of
from spacy_lstm_tagger.pipeline.distillation import trained_on_sentences

BATCH_SIZE = 128
WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 640, 380, 56, 48, 28, 100  # pixels
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
    """A pipeline: its name, tokens per second, accuracy and accuracy of unseen words in percent
    (NaN if there are none), and size of its folder in MB.
    """

    name: str
    speed: float
    accuracy: float
    unseen: float
    size: float


def read(path: Path) -> list[Doc]:
    """Read the Docs of a DocBin."""
    return list(DocBin().from_disk(path).get_docs(spacy.blank("xx").vocab))


def tag(nlp: Language, words: Sequence[list[str]]) -> tuple[list[Doc], float]:
    """Tag texts; return the Docs, and the seconds that it took."""
    docs = [Doc(nlp.vocab, words=text) for text in words]
    start = time.perf_counter()
    tagged = list(nlp.pipe(docs, batch_size=BATCH_SIZE))
    return tagged, time.perf_counter() - start


def texts_for(nlp: Language, docs: Sequence[Doc]) -> list[Doc]:
    """Return Docs as a pipeline reads them: texts, or sentences if it was trained on sentences."""
    if not trained_on_sentences(nlp):
        return list(docs)
    return [sentence.as_doc() for doc in docs for sentence in doc.sents]


def percent_right(
    tagged: Sequence[Doc], gold: Sequence[Doc], attribute: str, known: set[str]
) -> float:
    """Return the accuracy of the tokens that are not among the known words, in percent."""
    name = f"{attribute}_"
    right = [
        getattr(token, name) == getattr(label, name)
        for pair in zip(tagged, gold, strict=True)
        for token, label in zip(*pair, strict=True)
        if getattr(label, name) and label.text not in known
    ]
    return 100 * sum(right) / len(right) if right else float("nan")


def compare(
    pipelines: dict[str, Language],
    docs: Sequence[Doc],
    known: set[str],
    attribute: str,
    repeats: int,
) -> list[Point]:
    """Measure the pipelines, which take turns; the first turn is not counted."""
    gold = {name: texts_for(nlp, docs) for name, nlp in pipelines.items()}
    seconds: dict[str, list[float]] = {name: [] for name in pipelines}
    tagged: dict[str, list[Doc]] = {}
    for _ in range(1 + repeats):
        for name, nlp in pipelines.items():
            words = [[token.text for token in doc] for doc in gold[name]]
            tagged[name], taken = tag(nlp, words)
            seconds[name].append(taken)
    n_tokens = sum(map(len, docs))
    return [
        Point(
            name,
            n_tokens / float(numpy.median(seconds[name][1:])),
            percent_right(tagged[name], gold[name], attribute, set()),
            percent_right(tagged[name], gold[name], attribute, known) if known else float("nan"),
            size_of(nlp.path) / 1e6,
        )
        for name, nlp in pipelines.items()
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
        return LEFT + 50 + share * (WIDTH - LEFT - RIGHT - 50)

    def y(accuracy: float) -> float:
        share = (accuracy - lowest) / ((highest - lowest) or 1)
        return HEIGHT - BOTTOM - 30 - share * (HEIGHT - BOTTOM - TOP - 30)

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
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT + 50}" y1="{y(accuracy):.0f}" '
            f'y2="{y(accuracy):.0f}"/><text class="axis" x="{LEFT - 8}" '
            f'y="{y(accuracy) + 4:.0f}" text-anchor="end">{accuracy:.1f}</text>'
        )
    corners = " L ".join(f"{x(p.speed):.0f} {y(p.accuracy):.0f}" for p in best(points))
    parts.append(f'<path d="M {corners}"/>')
    places = [(x(p.speed), y(p.accuracy)) for p in points]
    for p, (left, top) in zip(points, places, strict=True):
        reach = 4 * len(p.name)
        is_hidden = any(abs(i - left) < reach and 5 < j - top < 25 for i, j in places)
        name_top = top - 10 if is_hidden else top + 20
        parts.append(
            f'<circle cx="{left:.0f}" cy="{top:.0f}" r="5"/><text x="{left:.0f}" '
            f'y="{name_top:.0f}" text-anchor="middle">{escape(p.name)}</text>'
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
    parser.add_argument("--train", type=Path, help="the corpus that tells which words are unseen")
    parser.add_argument("--code", type=Path, help="Python file to be imported first")
    parser.add_argument("--attribute", default="tag", choices=["tag", "pos"])
    parser.add_argument("--disable", nargs="*", default=[], help="components to leave out")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--svg", type=Path, help="the picture to write")
    arguments = parser.parse_args()
    if arguments.code is not None:
        spacy.util.import_file("code", arguments.code)
    if any("=" not in name for name in arguments.pipelines):
        parser.error("each pipeline must be NAME=FOLDER or NAME=PACKAGE")
    named = dict(name.split("=", 1) for name in arguments.pipelines)
    loaded = {name: spacy.load(path) for name, path in named.items()}
    for nlp in loaded.values():
        nlp.select_pipes(disable=[n for n in arguments.disable if n in nlp.pipe_names])
    docs = read(arguments.corpus)
    trained_on = read(arguments.train) if arguments.train else []
    known = {token.text for doc in trained_on for token in doc}
    with threadpool_limits(1):
        points = compare(loaded, docs, known, arguments.attribute, arguments.repeats)
    print("| pipeline | accuracy | unseen words | tokens/s | speed | MB |")
    print("|---|---:|---:|---:|---:|---:|")
    for point in points:
        print(
            f"| {point.name} | {point.accuracy:.2f} | {point.unseen:.2f} | {point.speed:,.0f} "
            f"| {point.speed / points[0].speed:.1f} | {point.size:.1f} |"
        )
    if arguments.svg is not None:
        arguments.svg.write_text(draw(points), encoding="utf8")


if __name__ == "__main__":
    main()
