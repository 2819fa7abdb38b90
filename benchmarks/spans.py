"""Compare taggers of spans with spaCy's `ner`: F, speed and size.

    python benchmarks/spans.py TABLES FOLDER --seeds 0 1 2

TABLES is a folder with train.tsv, dev.tsv and test.tsv, such as corpus/slots. FOLDER gets the
DocBins and the trained pipelines; those that are there already are not trained again. `lstm` is
`configs/labels.cfg`, `lstm without CRF` the same with crf = false, and `ner` what
`spacy init config -p ner` writes. Figures are means of the seeds, and ± is the standard deviation
of F. Speed is that of the component alone, on Docs of N_TOKENS tokens together, in one thread: set
OMP_NUM_THREADS=1. The best of three runs counts. Labels that break the scheme are counted in as
many tokens, of words in random order.
"""

import argparse
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy
import spacy
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.training import Example

from spacy_lstm_tagger.cli.compact import size_of
from spacy_lstm_tagger.cli.convert import convert
from spacy_lstm_tagger.pipeline.labels import labels_of
from spacy_lstm_tagger.pipeline.spans import repair
from spacy_lstm_tagger.pipeline.tagger import find_tagger

CONFIG = Path(__file__).parent.parent / "configs" / "labels.cfg"
SYSTEMS = {
    "lstm": [],
    "lstm without CRF": ["--components.lstm_tagger.model.crf", "false"],
    "ner": [],
}
N_TOKENS = 100_000
N_RUNS = 3


class Result(NamedTuple):
    """What was measured of a pipeline.

    f, precision, recall: Of the spans of the test data, in percent.
    types: The F of each type of spans.
    speed: Tokens per second.
    size: Size of the pipeline's folder in MB.
    broken: Labels that break the scheme; None for `ner`, which has no labels.
    """

    f: float
    precision: float
    recall: float
    types: dict[str, float]
    speed: float
    size: float
    broken: int | None


def train(system: str, seed: int, folder: Path, max_steps: int) -> Path:
    """Train a pipeline, unless it is there, and return its folder."""
    output = folder / f"{system.replace(' ', '-')}-{seed}"
    if not (output / "model-best").exists():
        config = CONFIG
        if system == "ner":
            config = folder / "ner.cfg"
            _run("init", "config", "-p", "ner", "-l", "en", "-F", config)
        paths = [word for name in ("train", "dev") for word in (f"--paths.{name}", folder / name)]
        paths = [f"{word}.spacy" if isinstance(word, Path) else word for word in paths]
        settings = "--system.seed", seed, "--training.max_steps", max_steps, *SYSTEMS[system]
        _run("train", config, "-o", output, *paths, *settings)
    return output / "model-best"


def _run(*words: Any) -> None:
    subprocess.run([sys.executable, "-m", "spacy", *map(str, words)], check=True)


def measure(path: Path, test: Path) -> Result:
    """Measure a pipeline on test data."""
    nlp = spacy.load(path)
    gold = list(DocBin().from_disk(test).get_docs(nlp.vocab))
    scores = nlp.evaluate([Example(_unlabelled(nlp, doc), doc) for doc in gold])
    words = [[token.text for token in doc] for doc in gold]
    return Result(
        100 * scores["ents_f"],
        100 * scores["ents_p"],
        100 * scores["ents_r"],
        {type_: 100 * figures["f"] for type_, figures in scores["ents_per_type"].items()},
        max(_speed(nlp, words) for _ in range(N_RUNS)),
        size_of(path) / 1e6,
        None if "ner" in nlp.pipe_names else _count_broken(nlp, words),
    )


def _unlabelled(nlp: Language, doc: Doc) -> Doc:
    return Doc(nlp.vocab, words=[token.text for token in doc])


def _many(
    nlp: Language, words: Sequence[list[str]], change: Callable[[list[str]], Any]
) -> list[Doc]:
    """Return Docs of N_TOKENS tokens together."""
    docs: list[Doc] = []
    n_tokens = 0
    while n_tokens < N_TOKENS:
        for own in words:
            changed = list(own)
            change(changed)
            docs.append(Doc(nlp.vocab, words=changed))
            n_tokens += len(own)
    return docs


def _speed(nlp: Language, words: Sequence[list[str]]) -> float:
    docs = _many(nlp, words, lambda _: None)
    begin = perf_counter()
    for _ in nlp.pipe(docs, batch_size=128):
        pass
    return sum(map(len, docs)) / (perf_counter() - begin)


def _count_broken(nlp: Language, words: Sequence[list[str]]) -> int:
    _, tagger = find_tagger(nlp)
    docs = nlp.pipe(_many(nlp, words, random.Random(0).shuffle))
    sequences = (labels_of(doc, tagger.attribute) for doc in docs)
    scheme = tagger.scheme or ""
    return sum(
        label != right
        for labels in sequences
        for label, right in zip(labels, repair(labels, scheme), strict=True)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("tables", type=Path, help="folder with train.tsv, dev.tsv and test.tsv")
    parser.add_argument("folder", type=Path, help="for DocBins and pipelines")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--systems", nargs="+", default=list(SYSTEMS), choices=SYSTEMS)
    parser.add_argument("--max-steps", type=int, default=20_000, help="of training, at most")
    arguments = parser.parse_args()
    tables = [arguments.tables / f"{name}.tsv" for name in ("train", "dev", "test")]
    convert(tables, arguments.folder, force=True)
    of_systems = {}
    for system in arguments.systems:
        paths = [
            train(system, seed, arguments.folder, arguments.max_steps) for seed in arguments.seeds
        ]
        results = [measure(path, arguments.folder / "test.spacy") for path in paths]
        print(system, *(f"{result.f:.1f}" for result in results), flush=True)
        of_systems[system] = results
    _print(of_systems)


def _print(of_systems: dict[str, list[Result]]) -> None:
    print("\n| system | F | ± | precision | recall | tokens per second | MB | broken labels |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for system, results in of_systems.items():
        f, precision, recall, speed, size = numpy.mean(
            [(one.f, one.precision, one.recall, one.speed, one.size) for one in results], axis=0
        )
        spread = numpy.std([one.f for one in results], ddof=1) if len(results) > 1 else 0.0
        broken = "" if results[0].broken is None else sum(one.broken or 0 for one in results)
        print(
            f"| {system} | {f:.1f} | {spread:.1f} | {precision:.1f} | {recall:.1f} | {speed:,.0f} "
            f"| {size:.1f} | {broken} |"
        )
    types = sorted({type_ for results in of_systems.values() for type_ in results[0].types})
    print(f"\n| F of | {' | '.join(types)} |")
    print(f"|---{'|---:' * len(types)}|")
    for system, results in of_systems.items():
        figures = [numpy.mean([one.types.get(type_, 0.0) for one in results]) for type_ in types]
        print(f"| {system} | {' | '.join(f'{figure:.1f}' for figure in figures)} |")


if __name__ == "__main__":
    main()
