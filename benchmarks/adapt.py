"""Adapt a tagger to a new domain, with few sentences.

    python benchmarks/adapt.py FOLDER --domain reviews --seeds 3

FOLDER has one file *train.conllu and one *dev.conllu whose comments "# sent_id = …" begin with the
domain. A tagger is trained with configs/tagger.cfg without this domain, and then with
configs/adapt.cfg on the first sentences of the domain. It is compared with taggers that are trained
from scratch on these sentences alone, and on all old and new sentences. The best pipeline of each
training is selected on equally many new and old Docs of the dev set.
"""

import argparse
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy
import spacy
import torch
from accuracy import ROOT
from spacy.tokens import DocBin
from spacy.training import Corpus
from spacy.training.converters import conllu_to_docs
from spacy.training.initialize import init_nlp
from spacy.training.loop import train
from spacy.util import load_config

from spacy_lstm_tagger.corpora import use_reference_tokens

QUIET = {"@loggers": "spacy.ConsoleLogger.v3", "console_output": False}
Scores = tuple[float, float]


def write(folder: Path, name: str, sentences: list[str]) -> str:
    """Write sentences of CoNLL-U as texts of ten sentences; return the path."""
    docs = conllu_to_docs("\n\n".join(sentences) + "\n\n", n_sents=10, no_print=True)
    path = folder / f"{name}.spacy"
    DocBin(["ORTH", "SPACY", "TAG", "SENT_START"], docs=docs).to_disk(path)
    return str(path)


def split(treebank: Path, domain: str) -> tuple[list[str], list[str]]:
    """Return the sentences of the domain, and the others."""
    sentences = treebank.read_text(encoding="utf8").strip().split("\n\n")
    is_new = [re.search(rf"^# sent_id = {domain}\b", text, re.M) is not None for text in sentences]
    return (
        [text for text, new in zip(sentences, is_new, strict=True) if new],
        [text for text, new in zip(sentences, is_new, strict=True) if not new],
    )


def run(config: str, folder: Path, seed: int, dev: dict[str, str], **overrides: Any) -> Scores:
    """Train by a config into a folder; return the accuracy on the new and the old dev set."""
    folder.mkdir(exist_ok=True)
    settings = {"system.seed": seed, "training.logger": QUIET, **overrides}
    train(init_nlp(load_config(ROOT / "configs" / config, overrides=settings)), folder)
    nlp = spacy.load(folder / "model-best")
    return tuple(
        100 * nlp.evaluate(list(Corpus(dev[part], augmenter=use_reference_tokens)(nlp)))["tag_acc"]
        for part in ("new", "old")
    )  # type: ignore[return-value]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="with …train.conllu and …dev.conllu")
    parser.add_argument("--domain", default="reviews")
    parser.add_argument("--sentences", type=int, nargs="+", default=[50, 200, 1000])
    parser.add_argument(
        "--ratio", type=float, nargs="+", default=[1.0], help="old for each new Doc"
    )
    parser.add_argument("--seeds", type=int, default=3, help="how many, from 0 on")
    parser.add_argument("--only-adapt", action="store_true", help="leave out training from scratch")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    new, old = split(next(arguments.folder.glob("*train.conllu")), arguments.domain)
    new_dev, old_dev = split(next(arguments.folder.glob("*dev.conllu")), arguments.domain)
    found: dict[str, list[Scores]] = {}

    def note(name: str, scores: Scores) -> None:
        found.setdefault(name, []).append(scores)
        print(f"{name}: new {scores[0]:.2f}, old {scores[1]:.2f}", flush=True)

    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        dev = {"new": write(folder, "new-dev", new_dev), "old": write(folder, "old-dev", old_dev)}
        paths = {"paths.train": write(folder, "old", old), "paths.dev": dev["old"]}
        for seed in range(arguments.seeds):
            note("not adapted", run("tagger.cfg", folder / "base", seed, dev, **paths))
            for n in arguments.sentences:
                few = write(folder, "few", new[:n])
                adapting = {
                    "paths.pipeline": str(folder / "base" / "model-best"),
                    "paths.train": few,
                    "paths.dev": dev["new"],
                    "paths.old_train": paths["paths.train"],
                    "paths.old_dev": dev["old"],
                }
                for ratio in arguments.ratio:
                    adapting["corpora.train.ratio"] = ratio
                    scores = run("adapt.cfg", folder / "adapted", seed, dev, **adapting)
                    note(f"{n} sentences, {ratio:g} old for each new Doc", scores)
                if arguments.only_adapt:
                    continue
                alone = {"paths.train": few, "paths.dev": dev["new"]}
                note(f"{n} sentences alone", run("tagger.cfg", folder / "new", seed, dev, **alone))
                both = {"paths.train": write(folder, "all", old + new[:n]), "paths.dev": dev["old"]}
                scores = run("tagger.cfg", folder / "all", seed, dev, **both)
                note(f"{n} sentences and all old ones, from scratch", scores)
    print("| trained on | new domain | old domains |\n|---|---:|---:|")
    for name, runs in found.items():
        print("| {} | {:.2f} | {:.2f} |".format(name, *numpy.mean(runs, axis=0)))


if __name__ == "__main__":
    main()
