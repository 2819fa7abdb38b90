"""Train taggers from scratch on a treebank in the same way, and compare their accuracy.

    python benchmarks/accuracy.py FOLDER --seeds 3

FOLDER has one file *train.conllu, one *dev.conllu and, read only with --test, one *test.conllu.
Each system is trained and evaluated on the treebank's own tokens, in texts of ten sentences. Labels
of all attributes are stored as TAG. Each finished run is a line of the results file, so that an
interrupted benchmark continues where it stopped; the table shows all results for the treebank. For
an ablation, change settings of our configs, one call after another:

    python benchmarks/accuracy.py FOLDER --systems tagger --change training.dropout=0.2
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy
import spacy
import torch
from spacy.cli.init_config import init_config
from spacy.lang.lex_attrs import word_shape
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.training.converters import conllu_to_docs
from spacy.training.initialize import init_nlp
from spacy.training.loop import train
from spacy.util import load_config, registry
from thinc.api import Config

from spacy_lstm_tagger.cli.compact import size_of
from spacy_lstm_tagger.pipeline.labels import FACTORIES

ROOT = Path(__file__).parent.parent
REFERENCE_TOKENS = {"@augmenters": "spacy-lstm-tagger.reference_tokens.v1"}
BASELINE = "spacy-cnn"
RECIPE = "spacy-cnn-our-recipe"
FEATURE_CRF = "sklearn-crf"
ATTRIBUTES = {factory: attribute for attribute, factory in FACTORIES.items()}
MODEL = "components.lstm_tagger.model"
# Our systems: a config, and settings that differ from it.
OURS: dict[str, tuple[str, dict[str, Any]]] = {
    "accurate": ("accurate", {}),
    "crf": ("tagger", {f"{MODEL}.crf": True}),
    "distilled": ("distilled", {}),
    "streaming": ("tagger", {f"{MODEL}.bidirectional": False, f"{MODEL}.lookahead": 1}),
    "tagger": ("tagger", {}),
    "vectors": ("vectors", {}),
}
Labelled = list[tuple[list[str], list[str]]]  # the words and labels of each sentence
Run = dict[str, Any]


def read_treebank(path: Path, attribute: str, n_sentences: int | None) -> list[Doc]:
    """Read texts of ten sentences whose TAG is the attribute to learn."""
    docs = list(conllu_to_docs(path.read_text(encoding="utf8"), n_sents=10, no_print=True))
    for doc in docs:
        if attribute == "pos":
            for token in doc:
                token.tag_ = token.pos_
        if attribute == "morph":
            for token in doc:
                token.tag_ = str(token.morph) or "_"
    return docs if n_sentences is None else docs[: -(-n_sentences // 10)]


def sentences(docs: Iterable[Doc]) -> Labelled:
    return [([t.text for t in s], [t.tag_ for t in s]) for doc in docs for s in doc.sents]


def spacy_config(lang: str, encoder: dict[str, Any] | None = None) -> Config:
    """Return what `spacy init config -p tagger` writes, with another encoder if one is given."""
    config = init_config(lang=lang, pipeline=["tagger"], optimize="efficiency", gpu=False)
    if encoder is not None:
        width = config["components"]["tok2vec"]["model"]["encode"]["width"]
        config["components"]["tok2vec"]["model"]["encode"] = {"width": width, **encoder}
    return config


def with_our_recipe(config: Config) -> Config:
    """Train another pipeline as `tagger.cfg` trains: dropout, batches, optimizer, patience."""
    ours = load_config(ROOT / "configs" / "tagger.cfg", interpolate=False)
    return config.merge({"training": ours["training"]})


def with_knowledge(config: Config, vectors: str | None, lexicon: str | None) -> Config:
    """Let a tagger read word vectors, the classes of a lexicon, or both."""
    for component in config["components"].values():
        model = component["model"]
        reader = model.get("embed", model)
        if "embed" in model or model["@architectures"] == "spacy-lstm-tagger.LSTMTagger.v1":
            reader["include_static_vectors"] = True
    adder = {"@callbacks": "spacy-lstm-tagger.add_vectors.v1"}
    config["initialize"]["vectors"] = None
    config["initialize"]["before_init"] = {**adder, "vectors": vectors, "lexicon": lexicon}
    return config


def configs(lang: str, changes: dict[str, Any]) -> dict[str, Callable[[], Config]]:
    """Name the systems that are spaCy pipelines; the changes are made to our own."""
    bilstm = {"@architectures": "spacy.TorchBiLSTMEncoder.v1", "depth": 1, "dropout": 0.0}
    ours = {
        name: partial(load_config, ROOT / "configs" / f"{config}.cfg", {**settings, **changes})
        for name, (config, settings) in OURS.items()
    }
    return {
        BASELINE: lambda: spacy_config(lang),
        RECIPE: lambda: with_our_recipe(spacy_config(lang)),
        "spacy-bilstm": lambda: spacy_config(lang, bilstm),
        **ours,
    }


@registry.loggers("benchmark.Recorder.v1")
def recorder() -> Callable[..., Any]:
    """Return a logger that keeps the learning curve in the pipeline's meta and draws a line."""

    def setup(nlp: Language, *_: Any) -> tuple[Callable[..., None], Callable[[], None]]:
        start = time.perf_counter()
        curve: list[tuple[float, int, float]] = []
        nlp.meta["curve"] = curve

        def step(info: dict[str, Any] | None) -> None:
            if info is not None:
                curve.append((time.perf_counter() - start, info["words"], info["score"]))
                print(f"\r  {curve[-1][0]:5.0f} s  {100 * info['score']:.2f}", end="", flush=True)

        return step, lambda: print("\r", end="")

    return setup


def run_pipeline(
    config: Config, lang: str, seed: int, corpora: dict[str, list[Doc]], evaluated: list[Doc]
) -> Run:
    """Train a pipeline as `spacy train` does, and tag the evaluation texts with its best model."""
    with tempfile.TemporaryDirectory() as folder:
        for name, docs in corpora.items():
            attrs = ["ORTH", "SPACY", "TAG", "SENT_START"]
            DocBin(attrs, docs=docs).to_disk(Path(folder, f"{name}.spacy"))
            config["paths"][name] = str(Path(folder, f"{name}.spacy"))
            corpus = config["corpora"][name]
            if corpus["@readers"] == "spacy.Corpus.v1":  # others read these tokens anyway
                corpus["augmenter"] = REFERENCE_TOKENS
        config["nlp"]["lang"] = lang
        config["system"]["seed"] = seed
        config["training"]["logger"] = {"@loggers": "benchmark.Recorder.v1"}
        nlp = init_nlp(config)
        start = time.perf_counter()
        train(nlp, Path(folder))
        seconds = time.perf_counter() - start
        best = Path(folder, "model-best")
        size = size_of(best)
        curve = nlp.meta["curve"]
        nlp = spacy.load(best)
    blank = [Doc(nlp.vocab, words=[token.text for token in doc]) for doc in evaluated]
    start = time.perf_counter()
    tagged = [token.tag_ for doc in nlp.pipe(blank, batch_size=128) for token in doc]
    return {
        "seconds": seconds,
        "train_speed": curve[-1][1] / seconds,
        "curve": [(passed, score) for passed, _, score in curve],
        "speed": sum(map(len, blank)) / (time.perf_counter() - start),
        "bytes": size,
        "predicted": tagged,
    }


def crf_features(words: list[str]) -> list[dict[str, Any]]:
    """Describe each word of a sentence by itself and its neighbours."""
    features = []
    for i, word in enumerate(words):
        lower = word.lower()
        described: dict[str, Any] = {"bias": 1.0, "word": word, "lower": lower}
        described.update({f"suffix{n}": lower[-n:] for n in range(1, 5)})
        described.update({f"prefix{n}": lower[:n] for n in range(1, 4)})
        described["shape"] = word_shape(word)
        described["digit"] = any(c.isdigit() for c in word)
        described["hyphen"] = "-" in word
        described["title"], described["upper"] = word.istitle(), word.isupper()
        for offset in (-2, -1, 1, 2):
            inside = 0 <= i + offset < len(words)
            neighbour = words[i + offset].lower() if inside else "<edge>"
            described[f"{offset}:lower"] = neighbour
            described[f"{offset}:suffix3"] = neighbour[-3:]
        features.append(described)
    return features


def run_feature_crf(seed: int, train_docs: list[Doc], evaluated: list[Doc]) -> Run:
    """Train a linear-chain CRF with hand-made features; it has no seed but the order of data."""
    from sklearn_crfsuite import CRF

    shuffled = sentences(train_docs)
    numpy.random.default_rng(seed).shuffle(shuffled)  # type: ignore[arg-type]
    start = time.perf_counter()
    crf = CRF(algorithm="ap", max_iterations=15)
    crf.fit([crf_features(words) for words, _ in shuffled], [tags for _, tags in shuffled])
    seconds = time.perf_counter() - start
    start = time.perf_counter()
    predicted = crf.predict([crf_features(words) for words, _ in sentences(evaluated)])
    return {
        "seconds": seconds,
        "train_speed": 15 * sum(map(len, train_docs)) / seconds,
        "curve": [],
        "speed": sum(map(len, evaluated)) / (time.perf_counter() - start),
        "bytes": Path(crf.modelfile.name).stat().st_size,
        "predicted": [tag for tags in predicted for tag in tags],
    }


def best(run: Run) -> float:
    return max(score for _, score in run["curve"])


def duration(seconds: list[float]) -> str:
    """Return the mean of the times, one of which is nan if the baseline was never reached."""
    if not seconds:
        return ""
    return "never" if numpy.isnan(seconds).any() else f"{numpy.mean(seconds):.0f}"


def compare(runs: list[Run], baseline: str) -> str:
    """Draw up the Markdown table of all runs on one treebank; others are compared with a baseline,
    if there are runs of it.
    """
    systems = list(dict.fromkeys(run["system"] for run in runs))
    of = {system: [run for run in runs if run["system"] == system] for system in systems}
    base = of.get(baseline, [])
    target = numpy.mean([best(run) for run in base]) if base else None
    rows = [
        "| system | accuracy | ± | unseen words | errors | p | train s | tokens/s "
        "| s to baseline | predict tokens/s | MB |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for system in systems:
        own = of[system]
        accuracy = [numpy.mean(flat(run["correct"])) for run in own]
        unseen = [numpy.mean(flat(run["correct"])[flat(run["unseen"])]) for run in own]
        fewer, p = "", ""
        if base and system != baseline:
            error = 1 - numpy.mean([numpy.mean(flat(run["correct"])) for run in base])
            fewer = f"{100 * ((1 - numpy.mean(accuracy)) / error - 1):+.0f}%"
            p = f"{p_value(own, base):.4f}"
        reached = [
            next((seconds for seconds, score in run["curve"] if score >= goal), numpy.nan)
            for run in own
            if target is not None and run["curve"]
            for goal in [best(run) if system == baseline else target]
        ]
        mean = {k: numpy.mean([r[k] for r in own]) for k in ("seconds", "train_speed", "speed")}
        rows.append(
            f"| {system} | {100 * numpy.mean(accuracy):.2f} | {100 * numpy.std(accuracy):.2f} "
            f"| {100 * numpy.mean(unseen):.2f} | {fewer} | {p} | {mean['seconds']:.0f} "
            f"| {mean['train_speed']:,.0f} | {duration(reached)} "
            f"| {mean['speed']:,.0f} | {own[0]['bytes'] / 1e6:.1f} |"
        )
    return "\n".join(rows)


def flat(sentences: list[list[bool]]) -> numpy.ndarray:
    return numpy.concatenate([numpy.asarray(sentence, dtype=bool) for sentence in sentences])


def p_value(first: list[Run], second: list[Run], n_permutations: int = 10_000) -> float:
    """Test two systems by permutation: how likely is so large a difference of right labels, if
    for each sentence it is chance which system has which of the two counts?

    The counts are means over the seeds of each system.
    """
    counts = [
        numpy.mean([[sum(sentence) for sentence in run["correct"]] for run in runs], axis=0)
        for runs in (first, second)
    ]
    difference = counts[0] - counts[1]
    random = numpy.random.default_rng(0)
    signs = random.integers(0, 2, (n_permutations, len(difference)), dtype="int8") * 2 - 1
    extreme = numpy.abs(signs @ difference) >= abs(difference.sum())
    return float((extreme.sum() + 1) / (n_permutations + 1))


def read_results(path: Path) -> list[Run]:
    """Read the finished runs of an earlier call, if there was one."""
    return (
        [json.loads(line) for line in path.read_text("utf8").splitlines()] if path.exists() else []
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    systems = [*configs("en", {}), FEATURE_CRF]
    by_default = [system for system in systems if system not in ("vectors", "distilled")]
    parser.add_argument("folder", type=Path, help="with …train.conllu and …dev.conllu")
    parser.add_argument("--lang", default="en", help="spaCy's code of the language")
    parser.add_argument(
        "--attribute",
        default="tag",
        choices=list(FACTORIES),
        type=lambda name: ATTRIBUTES.get(name, name),
        help="what to learn; the name of a factory stands for its attribute",
    )
    parser.add_argument("--vectors", help="word vectors for all systems: a pipeline that has some")
    parser.add_argument("--lexicon", help="classes of words for all systems; see lexicons.py")
    parser.add_argument(
        "--labelled", type=Path, help="for `distilled`: a folder `labelled` of the command distill"
    )
    parser.add_argument("--systems", nargs="+", default=by_default, choices=systems)
    parser.add_argument("--change", nargs="+", default=[], help="settings, as section.key=value")
    parser.add_argument("--seeds", type=int, default=3, help="how many, from 0 on")
    parser.add_argument("--sentences", type=int, help="train on only so many")
    parser.add_argument("--test", action="store_true", help="evaluate on …test.conllu, in the end")
    parser.add_argument("--baseline", default=BASELINE, help="with which others are compared")
    parser.add_argument("--results", type=Path, default=Path("accuracy.jsonl"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    knowledge = arguments.vectors, arguments.lexicon
    if not any(knowledge) and "vectors" in arguments.systems:
        parser.error("vectors needs --vectors or --lexicon")
    if "distilled" in arguments.systems and not arguments.labelled:
        parser.error("distilled needs --labelled")
    if any(knowledge) and FEATURE_CRF in arguments.systems:
        parser.error(f"{FEATURE_CRF} reads neither --vectors nor --lexicon")
    changes = {
        key: json.loads(value) for key, _, value in (c.partition("=") for c in arguments.change)
    }
    changed = [f"{key.rpartition('.')[2]} = {value}" for key, value in changes.items()]
    changed += [f"+ {Path(name).name}" for name in knowledge if name]
    setup = {
        "treebank": arguments.folder.resolve().name,
        "split": "test" if arguments.test else "dev",
        "attribute": arguments.attribute,
        "sentences": arguments.sentences,
    }

    def read(split: str, n_sentences: int | None = None) -> list[Doc]:
        paths = sorted(arguments.folder.glob(f"*{split}.conllu"))
        if len(paths) != 1:
            parser.error(f"{arguments.folder} must have one file *{split}.conllu, has {len(paths)}")
        return read_treebank(paths[0], arguments.attribute, n_sentences)

    corpora = {"train": read("train", arguments.sentences), "dev": read("dev")}
    evaluated = read("test") if arguments.test else corpora["dev"]
    known = {token.text for doc in corpora["train"] for token in doc}
    gold = sentences(evaluated)
    # Seed by seed, so that an early stop leaves a fair table.
    for seed, system in product(range(arguments.seeds), arguments.systems):
        name = [system, *changed]
        if system == "distilled":
            name.append(f"taught by {arguments.labelled}")
        job = {**setup, "system": ", ".join(name), "seed": seed}
        if any(job.items() <= run.items() for run in read_results(arguments.results)):
            continue
        print(f"{job['system']}, seed {seed}")
        if system == FEATURE_CRF:
            run = run_feature_crf(seed, corpora["train"], evaluated)
        else:
            config = configs(arguments.lang, changes)[system]()
            if system == "distilled":
                config["corpora"]["train"]["path"] = str(arguments.labelled / "texts")
                if (gold_too := arguments.labelled / "gold").is_dir():
                    config["corpora"]["train"]["gold"] = str(gold_too)
            if any(knowledge):
                config = with_knowledge(config, *knowledge)
            run = run_pipeline(config, arguments.lang, seed, corpora, evaluated)
        predicted = iter(run.pop("predicted"))
        run["correct"] = [[int(tag == next(predicted)) for tag in tags] for _, tags in gold]
        run["unseen"] = [[int(word not in known) for word in words] for words, _ in gold]
        with arguments.results.open("a", encoding="utf8") as file:
            file.write(json.dumps({**job, **run}) + "\n")
    runs = [run for run in read_results(arguments.results) if setup.items() <= run.items()]
    print(compare(runs, arguments.baseline))


if __name__ == "__main__":
    main()
