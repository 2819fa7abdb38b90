"""Report on the errors of one or two pipelines: an HTML page, and its figures as JSON.

The page is self-contained. It has no script, and its content security policy forbids scripts and
requests.
"""

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import srsly
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from spacy.glossary import GLOSSARY
from spacy.language import Language
from spacy.morphology import Morphology
from spacy.vocab import Vocab
from wasabi import msg

from ..pipeline.labels import labels_of
from ..pipeline.tagger import find_tagger
from . import figures
from .evaluation import Evaluation, evaluate, known_words, word_counts
from .io import (
    counted,
    load_pipeline,
    name_of,
    read_corpus,
    require_annotation,
    require_free,
    require_known_labels,
    require_paths,
)
from .span_figures import span_figures

Report = dict[str, Any]

TEMPLATES = Path(__file__).parent / "templates"
UNNAMED = "pipeline"  # what spaCy calls pipelines without a name
FEW_TOKENS = 30  # smaller groups are marked: their error rates may be chance
N_LABELS, N_SUSPECTS = 15, 20  # shown without unfolding
AXIS_STEPS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5]
VISIBLE = {" ": "␣", "\n": "⏎", "\r": "⏎", "\t": "⇥", "\u00a0": "⍽"}


class Training(NamedTuple):
    """The training corpus: how often each word occurs, in lower case, and with which labels."""

    size: Report
    words: Counter[str]
    labels: dict[str, Counter[str]]


def write_report(
    pipelines: list[str],
    corpus: Path,
    output: Path,
    *,
    train: Path | None = None,
    log: Path | None = None,
    component: str | None = None,
    own_tokens: bool = False,
    force: bool = False,
) -> Report:
    """Write a page about one or two pipelines, and a JSON file with its figures. The arguments are
    those of the command.

    pipelines (list[str]): Names or paths. The first needs an `lstm_tagger`; in the second, any
        component can write the same attribute.
    output (Path): The page. The JSON file has the same name with the suffix ".json".
    RETURNS (Report): The figures.
    RAISES: ValueError if input is missing or output exists. Nothing is written then.
    """
    figures_path = output.with_suffix(".json")
    if figures_path == output:
        raise ValueError(f"{output}: give the page another suffix than .json, such as report.html")
    require_free([output, figures_path], force=force)
    require_paths([path for path in (corpus, train, log) if path is not None])
    loaded = [load_pipeline(name) for name in pipelines]
    _, tagger = find_tagger(loaded[0], component)
    attribute = tagger.attribute
    curve = read_log(log, attribute) if log is not None else None
    references = read_corpus(corpus, Vocab(), as_written=own_tokens)
    require_annotation(references, attribute, corpus)
    require_known_labels(references, attribute, tagger.labels)
    training = None if train is None else _read_training(train, attribute)
    report: Report = {
        "written": datetime.now(timezone.utc).date().isoformat(),
        "versions": {name: version(name) for name in ("spacy-lstm-tagger", "spacy")},
        "attribute": attribute,
        "lang": loaded[0].lang,
        "corpus": {"name": short_name(corpus), "docs": len(references)},
        "train": training and training.size,
        "own_tokens": own_tokens,
        "curve": curve,
        "pipelines": [],
    }
    evaluations = [evaluate(nlp, references, attribute, own_tokens=own_tokens) for nlp in loaded]
    names = [_pipeline_name(*pair) for pair in zip(pipelines, loaded, strict=True)]
    for name, nlp, scored in zip(names, loaded, evaluations, strict=True):
        known = known_words(nlp) if training is None else training.words
        report["pipelines"].append({"name": name, **_figures(scored, attribute, known, training)})
    if len(evaluations) == 2:
        report["comparison"] = figures.comparison(*evaluations)
    page = render_page(report)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(page, encoding="utf8", newline="\n")
    srsly.write_json(figures_path, report)
    _print_summary(report, output, figures_path)
    return report


def _read_training(path: Path, attribute: str) -> Training:
    docs = read_corpus(path, Vocab())
    labels: dict[str, Counter[str]] = defaultdict(Counter)
    for doc in docs:
        for token, label in zip(doc, labels_of(doc, attribute), strict=True):
            labels[token.text][label] += 1
    size = {"name": short_name(path), "docs": len(docs), "tokens": sum(map(len, docs))}
    return Training(size, word_counts(docs), labels)


def _figures(
    scored: Evaluation, attribute: str, known: Iterable[str] | None, training: Training | None
) -> Report:
    labels = figures.per_label(scored, attribute)
    meanings = {Morphology.EMPTY_MORPH: "no features"} if attribute == "morph" else GLOSSARY
    for row in labels:
        row["meaning"] = meanings.get(row["label"], "")
    return {
        "overall": figures.overall(scored),
        "knowledge": figures.by_knowledge(scored, known),
        "frequency": figures.by_frequency(scored, training and training.words),
        "length": figures.by_length(scored),
        "docs": figures.by_doc(scored),
        "labels": labels,
        "spans": span_figures(scored),
        "matrix": figures.confusion_matrix(scored),
        "confusions": figures.confusions(scored),
        "calibration": figures.calibration(scored),
        "suspects": figures.suspects(scored, training and training.labels),
    }


def short_name(path: Path) -> str:
    """Return the last two parts of a path; those above may name the machine or its user."""
    path = path if path.name else path.resolve()
    parts = [part for part in path.parts if part not in (path.anchor, "..", ".")]
    if path.is_relative_to(Path.home()):
        parts = list(path.relative_to(Path.home()).parts)
    return "/".join(parts[-2:])


def _pipeline_name(name: str, nlp: Language) -> str:
    """Return the name and version in a pipeline's meta; its path if it has no name."""
    if nlp.meta["name"] != UNNAMED:
        return f"{nlp.lang}_{nlp.meta['name']} {nlp.meta['version']}"
    return short_name(Path(name))


def read_log(path: Path, attribute: str) -> Report:
    """Read the accuracy after each evaluation of a training.

    path (Path): What `spacy train` printed, or the `output_file` of `spacy.ConsoleLogger.v3`.
    RETURNS (Report): "measure", the name of the score, and "points", each with a "step" and a
        "score" from 0 to 1. The score is the attribute's accuracy if the log has it, or the
        weighted score of all components.
    RAISES: ValueError if the log has no evaluation.
    """
    header: list[str] = []
    entries: list[dict[str, float]] = []
    for line in path.read_text(encoding="utf-8-sig").splitlines():
        cells = line.split()
        if cells[:2] == ["E", "#"]:
            header = cells
        elif entry := _from_json(line) or _from_row(cells, header, f"{attribute}_acc"):
            entries.append(entry)
    if not entries:
        raise ValueError(f"{path} isn't a log of spacy train: no line has a step and a score")
    measured = all(f"{attribute}_acc" in entry for entry in entries)
    measure = f"{attribute}_acc" if measured else "score"
    points = [{"step": entry["step"], "score": entry[measure]} for entry in entries]
    return {"measure": measure, "points": points}


def _from_json(line: str) -> dict[str, float] | None:
    if not line.lstrip().startswith("{"):
        return None
    try:
        entry: dict[str, Any] = json.loads(line)
        scores = {name: score / 100 for name, score in entry.get("scores", {}).items()}
        return {**scores, "step": float(entry["step"]), "score": float(entry["score"])}
    except (ValueError, KeyError, TypeError, AttributeError):  # not a line of an evaluation
        return None


def _from_row(cells: list[str], header: list[str], measure: str) -> dict[str, float] | None:
    """Read a row of the table: epoch, step, losses, scores in percent, and the weighted score."""
    if len(cells) < 4 or not all(re.fullmatch(r"\d+(\.\d+)?", cell) for cell in cells):
        return None
    entry = {"step": float(cells[1]), "score": float(cells[-1])}
    # Names of losses have spaces, so columns are counted from the right.
    for name, cell in zip(reversed(header), reversed(cells), strict=False):
        shown = name.lower()  # shortened if the name is long
        if shown == measure or (shown.endswith("...") and measure.startswith(shown[:-3])):
            entry[measure] = float(cell) / 100
    return entry


def render_page(report: Report) -> str:
    """Return the page. All text of the corpus is escaped."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count": lambda number: f"{number:,}",
        "counted": counted,
        "p_value": p_value,
        "percent": percent,
        "unseen": _unseen,
        "visible": _visible,
        "worst": _worst_rate,
    }
    return environment.get_template("report.html").render(
        report=report,
        written=datetime.fromisoformat(report["written"]).strftime("%d %B %Y").lstrip("0"),
        what=name_of(report["attribute"]),
        axis=curve_axis(report["curve"]["points"]) if report["curve"] else None,
        sure=f"{figures.SURE:.0%}",
        few=FEW_TOKENS,
        min_sentences=figures.MIN_SENTENCES,
        n_labels=N_LABELS,
        n_suspects=N_SUSPECTS,
    )


def percent(share: float) -> str:
    """Return a share with one decimal; 0% and 100% only if that is exact."""
    if 0 < share < 0.0005:
        return "<0.1%"
    if 0.9995 <= share < 1:
        return ">99.9%"
    return f"{100 * share:.1f}%"


def p_value(p: float) -> str:
    """Return what follows "p" for a p-value."""
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"


def _unseen(groups: Sequence[Report]) -> Report | None:
    """Return the group of words that were not seen in training, if there is one."""
    return next((group for group in groups if group["name"] == "unseen words"), None)


def _visible(word: str) -> str:
    """Replace a word that is whitespace by symbols."""
    return word if word.strip() else "".join(VISIBLE.get(letter, "␣") for letter in word)


def _worst_rate(rows: Sequence[Report]) -> float:
    """Return the highest error rate of groups, to scale their bars by. Groups of few tokens count
    only if there are no others.
    """
    large = [row for row in rows if row["tokens"] >= FEW_TOKENS] or rows
    return max([1 - row["accuracy"] for row in large], default=0.0) or 1.0


def curve_axis(points: Sequence[dict[str, float]]) -> Report:
    """Return the range and the ticks of a learning curve's axis.

    Untrained networks score far below all others. The axis leaves such points out if the rest would
    look flat otherwise.

    RETURNS (Report): "low", "high", "ticks" (from bottom to top) and "last", the last step.
    """
    scores = sorted(point["score"] for point in points)
    best, median = scores[-1], scores[len(scores) // 2]
    lowest = best - 8 * (best - median)
    shown = [score for score in scores if score >= lowest] if best > median else scores
    span = max(best - shown[0], AXIS_STEPS[0])
    step = next((step for step in AXIS_STEPS if span / step <= 4), AXIS_STEPS[-1])
    first = math.floor(shown[0] / step + 1e-9)
    last = math.ceil(best / step - 1e-9)
    if first == last:
        first, last = (first - 1, last) if first else (0, 1)
    ticks = [round(i * step, 4) for i in range(first, last + 1)]
    steps = max(point["step"] for point in points)
    return {"low": ticks[0], "high": ticks[-1], "ticks": ticks, "last": steps or 1}


def _print_summary(report: Report, output: Path, figures_path: Path) -> None:
    has_spans = any(pipeline["spans"] for pipeline in report["pipelines"])
    header = ["Pipeline", "Accuracy", "95% interval", "Unseen words"]
    header += ["F1 of spans"] if has_spans else []
    rows = []
    for pipeline in report["pipelines"]:
        overall = pipeline["overall"]
        interval = " to ".join(map(percent, overall["interval"] or [])) or "-"
        group = _unseen(pipeline["knowledge"])
        unseen = percent(group["accuracy"]) if group else "-"
        rows.append([pipeline["name"], percent(overall["accuracy"]), interval, unseen])
        if has_spans:
            spans = pipeline["spans"]
            rows[-1].append(percent(spans["overall"]["f"]) if spans else "-")
    msg.table(rows, header=header, divider=True, aligns=["l", *"rrrr"][: len(header)], max_col=100)
    if "comparison" in report:
        msg.info(f"Paired permutation test: p {p_value(report['comparison']['p'])}")
    msg.good(f"Wrote {output} and {figures_path}")
