"""Pipelines and a corpus in; a page that shows where they err, and its figures as JSON, out."""

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import srsly
from spacy.tokens import Doc
from spacy.vocab import Vocab
from wasabi import msg

from ..pipeline.finding import find_tagger
from . import figures
from .evaluation import Evaluation, evaluate, known_words, word_counts
from .io import (
    load_pipeline,
    read_corpus,
    require_annotation,
    require_free,
    require_paths,
)
from .learning import read_log
from .page import render_page

Report = dict[str, Any]


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
    """Write a page about one or two pipelines, and its figures beside it.

    pipelines (list[str]): Names or paths. The first has an `lstm_tagger`; of the second, whatever
        it writes to the same attribute is compared.
    corpus (Path): The annotated corpus.
    output (Path): The page; the figures get the same name with ".json".
    train (Path | None): The training corpus.
    log (Path | None): The log of the training.
    component (str | None): Name of the component; None for the first `lstm_tagger`.
    own_tokens (bool): Whether to score the tokens of the pipelines, not those of the corpus.
    force (bool): Whether to overwrite.
    RETURNS (Report): The figures.
    RAISES: ValueError if something is missing, or would be overwritten; nothing is written then.
    """
    figures_path = output.with_suffix(".json")
    if figures_path == output:
        raise ValueError(f"{output}: the page needs another name than its figures, as report.html")
    require_free([output, figures_path], force=force)
    require_paths([path for path in (corpus, train, log) if path is not None])
    curve = read_log(log) if log is not None else []
    loaded = [load_pipeline(name) for name in pipelines]
    _, tagger = find_tagger(loaded[0], component)
    attribute = tagger.attribute
    references = read_corpus(corpus, Vocab())
    require_annotation(references, attribute, corpus)
    seen = read_corpus(train, Vocab()) if train is not None else None
    report: Report = {
        "attribute": attribute,
        "corpus": str(corpus),
        "docs": len(references),
        "own_tokens": own_tokens,
        "curve": curve,
        "pipelines": [],
    }
    evaluations = []
    for name, nlp in zip(pipelines, loaded, strict=True):
        scored = evaluate(nlp, references, attribute, own_tokens=own_tokens)
        evaluations.append(scored)
        known = known_words(nlp) if seen is None else None
        report["pipelines"].append({"name": name, **_figures(scored, attribute, known, seen)})
    if len(evaluations) == 2:
        report["comparison"] = figures.comparison(*evaluations)
    _write(output, figures_path, report)
    _tell(report, output, figures_path)
    return report


def _figures(
    scored: Evaluation, attribute: str, known: set[str] | None, seen: list[Doc] | None
) -> Report:
    frequencies = word_counts(seen) if seen is not None else None
    return {
        "overall": figures.overall(scored),
        "knowledge": figures.by_knowledge(scored, known if frequencies is None else frequencies),
        "frequency": figures.by_frequency(scored, frequencies),
        "length": figures.by_length(scored),
        "docs": figures.by_doc(scored),
        "labels": figures.per_label(scored, attribute),
        "matrix": figures.confusion_matrix(scored),
        "confusions": figures.confusions(scored),
        "calibration": figures.calibration(scored),
        "suspects": figures.suspects(scored, _labels_of_words(seen, attribute)),
    }


def _labels_of_words(docs: list[Doc] | None, attribute: str) -> dict[str, Counter[str]] | None:
    """Count the labels that training gave each word."""
    if docs is None:
        return None
    labels: dict[str, Counter[str]] = defaultdict(Counter)
    for doc in docs:
        strings = doc.vocab.strings
        for token, value in zip(doc, doc.to_array(attribute.upper()).tolist(), strict=True):
            labels[token.text][strings[value]] += 1
    return labels


def _write(output: Path, figures_path: Path, report: Report) -> None:
    page = render_page(report)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(page, encoding="utf8")
    srsly.write_json(figures_path, report)


def _tell(report: Report, output: Path, figures_path: Path) -> None:
    rows = []
    for pipeline in report["pipelines"]:
        overall = pipeline["overall"]
        low, high = overall["interval"]
        accuracies = {row["name"]: f"{row['accuracy']:.2%}" for row in pipeline["knowledge"]}
        unknown = accuracies.get("unknown words", "-")
        accuracy = f"{overall['accuracy']:.2%}"
        rows.append((pipeline["name"], accuracy, f"{low:.2%} to {high:.2%}", unknown))
    header = ("Pipeline", "Accuracy", "95% interval", "Unknown words")
    msg.table(rows, header=header, divider=True, aligns=("l", "r", "r", "r"), max_col=100)
    if "comparison" in report:
        msg.info(f"Paired permutation test: p = {report['comparison']['p']:.4f}")
    msg.good(f"Wrote {output} and {figures_path}")
