"""Train whole pipelines from scratch on a treebank, and compare ours with spaCy's own.

    python benchmarks/pipeline.py FOLDER --seeds 3

FOLDER has one file *train.conllu and one *dev.conllu. Two pipelines learn tags, parts of speech,
morphological features, lemmas, sentence boundaries and dependencies: that of
`spacy init config -p tagger,morphologizer,trainable_lemmatizer,senter,parser`, and that of
configs/pipeline.cfg. Both are trained and evaluated on the treebank's own tokens, in texts of ten
sentences. Trained pipelines are kept in a folder, so that an interrupted benchmark continues where
it stopped. At the end their speed is measured in turns, from text, on one thread. For an ablation,
give it a name, and change settings of our config:

    python benchmarks/pipeline.py FOLDER --name dropout --change training.dropout=0.2
"""

import argparse
import json
import time
from collections.abc import Callable, Iterable
from itertools import product
from pathlib import Path
from statistics import mean, median
from typing import Any

import spacy
import torch
from accuracy import REFERENCE_TOKENS, ROOT
from spacy.cli.init_config import init_config
from spacy.language import Language
from spacy.scorer import Scorer
from spacy.tokens import Doc, DocBin, Token
from spacy.training import Example
from spacy.training.converters import conllu_to_docs
from spacy.training.initialize import init_nlp
from spacy.training.loop import train
from spacy.util import load_config
from thinc.api import Config

from spacy_lstm_tagger.cli.compact import size_of

SPACY, OURS = "spaCy", "pipeline.cfg"
COMPONENTS = ["tagger", "morphologizer", "trainable_lemmatizer", "senter", "parser"]
LABELS: dict[str, Callable[[Token], str]] = {
    "TAG": lambda token: token.tag_,
    "POS": lambda token: token.pos_,
    "MORPH": lambda token: str(token.morph),
    "LEMMA": lambda token: token.lemma_,
}
MEASURES = [*LABELS, "SENT F", "UAS", "LAS"]
Scores = dict[str, float]


def read_treebank(folder: Path, split: str, n_sentences: int | None = None) -> list[Doc]:
    """Read texts of ten sentences."""
    (path,) = folder.glob(f"*{split}.conllu")
    docs = list(conllu_to_docs(path.read_text(encoding="utf8"), n_sents=10, no_print=True))
    return docs if n_sentences is None else docs[: -(-n_sentences // 10)]


def config_of(system: str, lang: str, changes: dict[str, Any]) -> Config:
    """Return spaCy's default config for the components, or our own with some changes."""
    if system == SPACY:
        return init_config(lang=lang, pipeline=COMPONENTS, optimize="efficiency", gpu=False)
    return load_config(ROOT / "configs" / "pipeline.cfg", overrides=changes)


def train_pipeline(
    config: Config, lang: str, seed: int, corpora: dict[str, list[Doc]], folder: Path
) -> None:
    """Train a pipeline as `spacy train` does, and note how many seconds of a processor it took."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, docs in corpora.items():
        DocBin(docs=docs).to_disk(folder / f"{name}.spacy")
        config["paths"][name] = str(folder / f"{name}.spacy")
        config["corpora"][name]["augmenter"] = REFERENCE_TOKENS
    config["nlp"]["lang"] = lang
    config["system"]["seed"] = seed
    nlp = init_nlp(config)
    start = time.process_time()
    train(nlp, folder)
    seconds = time.process_time() - start
    (folder / "run.json").write_text(json.dumps({"seconds": seconds}), encoding="utf8")


def score(nlp: Language, docs: list[Doc]) -> Scores:
    """Score a pipeline on the tokens of the Docs, all pipelines by the same rules."""
    blank = [
        Doc(nlp.vocab, words=[t.text for t in doc], spaces=[bool(t.whitespace_) for t in doc])
        for doc in docs
    ]
    examples = [
        Example(predicted, doc) for predicted, doc in zip(nlp.pipe(blank), docs, strict=True)
    ]
    pairs = [pair for example in examples for pair in zip(example.x, example.y, strict=True)]
    scores = {
        name: mean(label(found) == label(gold) for found, gold in pairs)
        for name, label in LABELS.items()
    }
    sents = Scorer.score_spans(examples, "sents")
    deps = Scorer.score_deps(
        examples, "dep", getter=lambda token, _: token.dep_, ignore_labels=("punct",)
    )
    return {**scores, "SENT F": sents["sents_f"], "UAS": deps["dep_uas"], "LAS": deps["dep_las"]}


def speeds(pipelines: dict[str, Language], texts: list[str], repeats: int = 9) -> Scores:
    """Return words per second of a processor from text, the medians of runs that alternate."""
    found: dict[str, list[float]] = {name: [] for name in pipelines}
    for _ in range(repeats + 1):
        for name, nlp in pipelines.items():
            start = time.process_time()
            n_words = sum(map(len, nlp.pipe(texts)))
            found[name].append(n_words / (time.process_time() - start))
    return {name: median(runs[1:]) for name, runs in found.items()}  # the first warms up


def row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def compare(scores: dict[str, list[Scores]]) -> str:
    """Draw up the Markdown table: means of the seeds, and how many more or fewer errors the others
    make than spaCy's pipeline."""
    columns = [*MEASURES, "words/s", "MB", "train s"]
    lines = [row(["", *columns]), "|---" + "|---:" * len(columns) + "|"]
    means = {
        system: {column: mean(run[column] for run in runs) for column in columns}
        for system, runs in scores.items()
    }
    for system, found in means.items():
        cells = [f"{100 * found[name]:.2f}" for name in MEASURES]
        cells += [f"{found['words/s']:,.0f}", f"{found['MB']:.1f}", f"{found['train s']:,.0f}"]
        lines.append(row([system, *cells]))
    for system, found in means.items():
        if system != SPACY and SPACY in means:
            base = means[SPACY]
            changes = [(1 - found[name]) / (1 - base[name]) - 1 for name in MEASURES]
            changes += [found[name] / base[name] - 1 for name in columns[len(MEASURES) :]]
            lines.append(
                row([f"{system}: errors, change", *(f"{100 * one:+.0f}%" for one in changes)])
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="with …train.conllu and …dev.conllu")
    parser.add_argument("--lang", default="en", help="spaCy's code of the language")
    parser.add_argument("--seeds", type=int, default=1, help="how many, from 0 on")
    parser.add_argument("--sentences", type=int, help="train on only so many")
    parser.add_argument("--max-steps", type=int, help="of training; the configs' own if not given")
    parser.add_argument("--systems", nargs="+", default=[SPACY, OURS], help="which to compare")
    parser.add_argument("--name", default=OURS, help="of our config with the changes")
    parser.add_argument("--change", nargs="+", default=[], help="settings, as section.key=value")
    parser.add_argument("--output", type=Path, default=Path("pipelines"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    changes = {
        key: json.loads(value) for key, _, value in (c.partition("=") for c in arguments.change)
    }
    corpora = {
        "train": read_treebank(arguments.folder, "train", arguments.sentences),
        "dev": read_treebank(arguments.folder, "dev"),
    }
    systems = list(dict.fromkeys([*arguments.systems, arguments.name]))
    of = {
        (system, seed): arguments.output / arguments.folder.resolve().name / f"{system}-{seed}"
        for seed, system in product(range(arguments.seeds), systems)
    }
    for (system, seed), folder in of.items():
        if not (folder / "run.json").exists():
            print(f"{system}, seed {seed}", flush=True)
            config = config_of(system, arguments.lang, changes if system == arguments.name else {})
            if arguments.max_steps:
                config["training"]["max_steps"] = arguments.max_steps
            train_pipeline(config, arguments.lang, seed, corpora, folder)
    scores: dict[str, list[Scores]] = {system: [] for system in systems}
    texts = [doc.text for doc in corpora["dev"]]
    for seed in range(arguments.seeds):
        best = {system: of[system, seed] / "model-best" for system in systems}
        pipelines = {system: spacy.load(path) for system, path in best.items()}
        fast = speeds(pipelines, texts)
        for system, nlp in pipelines.items():
            run = json.loads((of[system, seed] / "run.json").read_text("utf8"))
            measured = {"words/s": fast[system], "MB": size_of(best[system]) / 1e6}
            measured["train s"] = run["seconds"]
            scores[system].append({**score(nlp, corpora["dev"]), **measured})
    print(compare(scores))


if __name__ == "__main__":
    main()
