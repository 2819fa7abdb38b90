"""Measure the calibration of trained taggers.

    python benchmarks/calibration.py FOLDER PIPELINE ...

FOLDER has one file *dev.conllu and, read only with --test, one *test.conllu. Each pipeline has an
`lstm_tagger`. The expected calibration error (Guo et al. 2017) is the difference between the
confidence of labels and their accuracy, averaged over bins of confidence that are weighted by their
number of tokens.
"""

import argparse
from pathlib import Path

import numpy
import spacy
from numpy.typing import NDArray
from spacy.tokens import Doc
from spacy.training.converters import conllu_to_docs
from thinc.api import to_numpy

from spacy_lstm_tagger.pipeline.labels import labels_of
from spacy_lstm_tagger.pipeline.tagger import find_tagger

N_BINS = 10
Floats = NDArray[numpy.float64]


def predict(path: Path, treebank: Path) -> tuple[Floats, Floats]:
    """Tag a treebank on its own tokens, in texts of ten sentences.

    RETURNS (tuple[Floats, Floats]): (tokens, labels) the probabilities; (tokens, labels) 1 for the
        right label.
    """
    nlp = spacy.load(path)
    _, tagger = find_tagger(nlp)
    gold = list(conllu_to_docs(treebank.read_text(encoding="utf8"), n_sents=10, no_print=True))
    docs = [Doc(nlp.vocab, words=[token.text for token in doc]) for doc in gold]
    labels = [label for doc in gold for label in labels_of(doc, tagger.attribute)]
    is_right = numpy.asarray(labels)[:, None] == numpy.asarray(tagger.labels)
    probabilities = numpy.concatenate([to_numpy(p) for p in tagger.predict_probabilities(docs)])
    return probabilities.astype(float), is_right.astype(float)


def reliability(confidence: Floats, correct: Floats) -> list[tuple[float, int, float, float]]:
    """Return, for each bin, its lower end, its tokens, their mean confidence and accuracy."""
    bins = numpy.minimum((confidence * N_BINS).astype(int), N_BINS - 1)
    rows = []
    for i in range(N_BINS):
        chosen = bins == i
        if chosen.any():
            sure, right = float(confidence[chosen].mean()), float(correct[chosen].mean())
            rows.append((i / N_BINS, int(chosen.sum()), sure, right))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="with …dev.conllu")
    parser.add_argument("pipelines", type=Path, nargs="+", help="trained pipelines")
    parser.add_argument("--test", action="store_true", help="evaluate on …test.conllu")
    arguments = parser.parse_args()
    split = "test" if arguments.test else "dev"
    paths = sorted(arguments.folder.glob(f"*{split}.conllu"))
    if len(paths) != 1:
        parser.error(f"{arguments.folder} must have one file *{split}.conllu, has {len(paths)}")
    print("| pipeline | accuracy | confidence | calibration error | -log p of the right label |")
    print("|---|---:|---:|---:|---:|")
    tables = {}
    for path in arguments.pipelines:
        probabilities, is_right = predict(path, paths[0])
        confidence = probabilities.max(axis=1)
        correct = is_right[numpy.arange(len(is_right)), probabilities.argmax(axis=1)]
        tables[path] = rows = reliability(confidence, correct)
        error = sum(n * abs(sure - right) for _, n, sure, right in rows) / len(correct)
        known = is_right.any(axis=1)  # a label that training never showed has no probability
        loss = -numpy.log((probabilities * is_right).sum(axis=1)[known]).mean()
        print(
            f"| {path} | {100 * correct.mean():.2f} | {100 * confidence.mean():.2f} "
            f"| {error:.4f} | {loss:.3f} |"
        )
    for path, rows in tables.items():
        print(f"\n{path}\n\n| confidence | tokens | mean confidence | accuracy |")
        print("|---|---:|---:|---:|")
        for low, n, sure, right in rows:
            print(f"| {low:.1f} to {low + 1 / N_BINS:.1f} | {n:,} | {sure:.3f} | {right:.3f} |")


if __name__ == "__main__":
    main()
