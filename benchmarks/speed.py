"""Compare the speed of taggers in one process, on one thread each.

    python benchmarks/speed.py FOLDER

FOLDER has a treebank, as for accuracy.py. The taggers have the treebank's labels and vocabulary,
and random weights, which cost as much as trained ones; Docs are made before the clock starts. Times
are medians of runs that alternate between the systems, so that other load on the machine affects
all of them; ratios matter more than absolute times. The tables are Markdown; --json also writes
JSON. The first line shows what the processor and its libraries can do; to try less, set
ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 OPENBLAS_CORETYPE=Haswell
NPY_DISABLE_CPU_FEATURES="X86_V4 AVX512_ICL AVX512_SPR".
"""

import argparse
import cProfile
import gc
import json
import multiprocessing
import pstats
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain, count, islice
from pathlib import Path
from typing import Any

import numpy
import spacy
import torch
from accuracy import BASELINE, configs, read_treebank, with_knowledge
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import load_model_from_config, minibatch
from threadpoolctl import threadpool_info
from torch import nn

from spacy_lstm_tagger.model.shim import network_of
from spacy_lstm_tagger.model.windows import windows_of
from spacy_lstm_tagger.network.lstm import lay_out
from spacy_lstm_tagger.prediction.cache import TypeCache

BILSTM, OURS, KERNEL = "spacy-bilstm", "tagger", "nn.LSTM"
BATCH_SIZES = [1, 32, 128, 1000]
STARTUP = """
import time, spacy, torch
start = time.perf_counter()
import spacy_lstm_tagger.pipeline.tagger, spacy_lstm_tagger.model.architectures
print(time.perf_counter() - start)
"""
Words = list[list[str]]
Row = dict[str, Any]
Run = Callable[[], object]


def make_pipeline(
    name: str, docs: list[Doc], lang: str, vectors: str | None = None, **changes: Any
) -> Language:
    """Make a pipeline with the labels and the vocabulary of a treebank.

    vectors (str | None): A pipeline whose word vectors it reads.
    changes (Any): Settings of our component, by name.
    """
    settings = {f"components.lstm_tagger.{key}": value for key, value in changes.items()}
    config = configs(lang, settings)[name]()
    if vectors is not None:
        config = with_knowledge(config, vectors, None)
    nlp = load_model_from_config(config, auto_fill=True)
    nlp.initialize(lambda: [Example(Doc(nlp.vocab, words=words_of(doc)), doc) for doc in docs])
    return nlp


def words_of(doc: Iterable[Any]) -> list[str]:
    return [token.text for token in doc]


def measure(runs: Mapping[str, Callable[[], Run]], repeats: int) -> dict[str, float]:
    """Return the median seconds of each run; they take turns, and the first turn is not counted.

    runs: Functions that prepare a run, and return it; the time to prepare is not counted.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(repeats + 1):
        for name, prepare in runs.items():
            run = prepare()
            start = time.perf_counter()
            run()
            if repeat:
                seconds[name].append(time.perf_counter() - start)
    return {name: float(numpy.median(values)) for name, values in seconds.items()}


def tag(nlp: Language, texts: Words, batch_size: int) -> Callable[[], Run]:
    """Prepare a run that tags Docs."""

    def run(docs: list[Doc]) -> None:
        for _ in nlp.pipe(docs, batch_size=batch_size):
            pass

    return lambda: partial(run, [Doc(nlp.vocab, words=words) for words in texts])


def forget(nlp: Language) -> None:
    """Empty our tagger's cache of word types."""
    component: Any = nlp.get_pipe("lstm_tagger")
    network_of(component.model).prepare().reader.cache = TypeCache()


def kernel(nlp: Language, texts: Words, batch_size: int) -> Callable[[], Run]:
    """Prepare a run of the bare LSTMs that our tagger has for its words, on its windows."""
    component: Any = nlp.get_pipe("lstm_tagger")
    config = network_of(component.model).config
    inputs = []
    for batch in minibatch([Doc(nlp.vocab, words=words) for words in texts], batch_size):
        lengths = config.prediction_windows(max(map(len, batch)))
        windows = windows_of(batch, numpy.ones(sum(map(len, batch)), dtype=bool), *lengths)
        grids = lay_out(torch.from_numpy(windows.lengths), 1).grids[0]
        inputs += [torch.randn(*grid.shape, config.input_width) for grid in grids]
    lstm = nn.LSTM(config.input_width, config.lstm_width, bidirectional=True)

    def run() -> None:
        with torch.inference_mode():
            for steps in inputs:
                lstm(steps)

    return lambda: run


def throughput(pipelines: dict[str, Language], texts: dict[str, Words], repeats: int) -> list[Row]:
    """Compare tokens per second for Docs of different lengths in batches of different sizes. All
    words were met before.
    """
    rows = []
    for kind, docs in texts.items():
        n_tokens = sum(map(len, docs))
        for batch_size in BATCH_SIZES:
            runs = {name: tag(nlp, docs, batch_size) for name, nlp in pipelines.items()}
            runs[KERNEL] = kernel(pipelines[OURS], docs, batch_size)
            seconds = measure(runs, repeats)
            speeds = {name: f"{n_tokens / value:,.0f}" for name, value in seconds.items()}
            ratios = {
                f"/ {other}": f"{seconds[other] / seconds[OURS]:.2f}"
                for other in (BASELINE, BILSTM, KERNEL)
            }
            rows.append({"Docs": kind, "batch": batch_size, **speeds, **ratios})
    return rows


def new_text(strangers: dict[str, Language], texts: Words, repeats: int) -> list[Row]:
    """Compare tokens per second for Docs in batches of 128 that are read once: our tagger begins
    with an empty memory, and the pipelines, which know the words of another text, with many
    unknown words.
    """

    def prepare(name: str) -> Run:
        if name == OURS:
            forget(strangers[name])
        return tag(strangers[name], texts, 128)()

    seconds = measure({name: partial(prepare, name) for name in strangers}, repeats)
    n_tokens = sum(map(len, texts))
    return [
        {
            "new text": name,
            "tokens/s": f"{n_tokens / value:,.0f}",
            f"/ {BASELINE}": f"{seconds[BASELINE] / value:.2f}",
        }
        for name, value in seconds.items()
    ]


def variants(
    pipelines: dict[str, Language], docs: list[Doc], lang: str, texts: Words, repeats: int
) -> list[Row]:
    """Compare settings of our tagger with its default, on Docs in batches of 128."""
    runs = {name: tag(pipelines[name], texts, 128) for name in (BASELINE, OURS)}
    nlp = make_pipeline(OURS, docs, lang, store_probabilities=True)
    runs["store_probabilities = true"] = tag(nlp, texts, 128)
    for config in ("crf", "accurate"):
        runs[config] = tag(make_pipeline(config, docs, lang), texts, 128)
    seconds = measure(runs, repeats)
    return [
        {
            "system": name,
            "tokens/s": f"{sum(map(len, texts)) / value:,.0f}",
            **{f"/ {other}": f"{seconds[other] / value:.2f}" for other in (BASELINE, OURS)},
        }
        for name, value in seconds.items()
    ]


def with_vectors(
    pipelines: dict[str, Language], texts: dict[str, Words], repeats: int
) -> list[Row]:
    """Compare taggers that read word vectors with our tagger without, whose speed is 1, for Docs of
    different lengths in batches of different sizes. All words were met before.
    """
    rows: dict[str, Row] = {name: {"system": name} for name in pipelines}
    for kind, docs in texts.items():
        for batch_size in (1, 128):
            runs = {name: tag(nlp, docs, batch_size) for name, nlp in pipelines.items()}
            seconds = measure(runs, repeats)
            for name, value in seconds.items():
                rows[name][f"{kind}, {batch_size}"] = f"{seconds[OURS] / value:.2f}"
    return list(rows.values())


def latency(pipelines: dict[str, Language], stranger: Language, texts: Words) -> list[Row]:
    """Compare the time that one sentence takes: `nlp(doc)`, tokenization not counted. All words
    have been met before; only the stranger remembers none.
    """
    systems = {**pipelines, f"{OURS}, no word remembered": stranger}
    seconds: dict[str, list[float]] = {name: [] for name in systems}
    for words in texts + texts:
        for name, nlp in systems.items():
            doc = Doc(nlp.vocab, words=words)
            if nlp is stranger:
                forget(nlp)
            start = time.perf_counter()
            nlp(doc)
            seconds[name].append(time.perf_counter() - start)
    return [
        {
            "system": name,
            **{
                f"p{p} ms": f"{1000 * numpy.percentile(s[len(texts) :], p):.2f}"
                for p in (50, 95, 99)
            },
        }
        for name, s in seconds.items()
    ]


def long_doc(path: Path, words: list[str], results: Any) -> None:
    """Tag one Doc, and report seconds and the extra memory at the peak, in MB."""
    torch.set_num_threads(1)
    nlp = spacy.load(path)
    nlp(Doc(nlp.vocab, words=words[:1000]))  # what is made once is not counted
    doc = Doc(nlp.vocab, words=words)
    before = memory("VmRSS")
    start = time.perf_counter()
    nlp(doc)
    results.put((time.perf_counter() - start, memory("VmHWM") - before))


def memory(which: str) -> float:
    """Return what Linux says of the memory of this process, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(which)) * 1024 / 1e6


def long_docs(pipelines: dict[str, Language], words: list[str]) -> list[Row]:
    """Compare how time and memory grow with the length of a Doc, each in a fresh process."""
    processes = multiprocessing.get_context("spawn")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, nlp in pipelines.items():
            nlp.to_disk(Path(folder, name))
        for n_tokens in (10_000, 100_000, 1_000_000):
            for name in pipelines:
                if n_tokens > 100_000 and name != OURS:
                    continue  # spaCy's take more than 10 GB
                results = processes.Queue()
                text = list(islice(chain.from_iterable(words for _ in count()), n_tokens))
                process = processes.Process(
                    target=long_doc, args=(Path(folder, name), text, results)
                )
                process.start()
                seconds, megabytes = results.get()
                process.join()
                row = {"tokens": f"{n_tokens:,}", "system": name, "s": f"{seconds:.2f}"}
                row |= {"tokens/s": f"{n_tokens / seconds:,.0f}", "MB": f"{megabytes:.0f}"}
                rows.append(row)
    return rows


def scaling(nlp: Language, texts: Words, repeats: int) -> list[Row]:
    """Compare one and more threads, and one and more processes."""

    def threads(n: int) -> Callable[[], Run]:
        def run(parts: list[Run]) -> None:
            with ThreadPoolExecutor(n) as pool:
                list(pool.map(lambda part: part(), parts))

        return lambda: partial(run, [tag(nlp, texts[i::n], 128)() for i in range(n)])

    def processes(n: int) -> Callable[[], Run]:
        joined = [" ".join(words) for words in texts]
        return lambda: lambda: list(nlp.pipe(joined, n_process=n, batch_size=128))

    n_tokens = sum(map(len, texts))
    runs = {f"{n} threads": threads(n) for n in (1, 2, 4)}
    runs |= {f"{n} processes": processes(n) for n in (1, 2)}
    seconds = measure(runs, repeats)
    return [
        {"with": name, "tokens/s": f"{n_tokens / value:,.0f}"} for name, value in seconds.items()
    ]


def training(pipelines: dict[str, Language], docs: list[Doc], repeats: int) -> list[Row]:
    """Compare training on batches of a thousand words, and find out where our time goes."""
    runs: dict[str, Run] = {}
    profile = cProfile.Profile()
    batches = [docs[i : i + 6] for i in range(0, 60, 6)]
    for name, nlp in pipelines.items():
        optimizer = nlp.create_optimizer()
        examples = [
            [Example(Doc(nlp.vocab, words=words_of(doc)), doc) for doc in batch]
            for batch in batches
        ]

        def run(nlp: Language = nlp, optimizer: Any = optimizer, examples: Any = examples) -> None:
            for batch in examples:
                nlp.update(batch, sgd=optimizer, drop=0.5)

        runs[name] = run
    seconds = measure({name: partial(partial, run) for name, run in runs.items()}, repeats)
    n_tokens = sum(len(doc) for batch in batches for doc in batch)
    rows: list[Row] = [
        {"training": name, "tokens/s": f"{n_tokens / value:,.0f}"}
        for name, value in seconds.items()
    ]
    profile.runcall(runs[OURS])
    stats = pstats.Stats(profile)
    total = stats.total_tt  # type: ignore[attr-defined]
    parts = {
        "forward": ("shim.py", "begin_update"),
        "backward": ("shim.py", "backprop"),
        "optimizer": ("shim.py", "finish_update"),
        "loss": ("tagger.py", "get_loss"),
        "ids": ("word_types.py", "ids"),
        "spaCy's copies of examples": ("language.py", "_copy_examples"),
    }
    for part, (file, function) in parts.items():
        spent = sum(
            values[3]
            for (path, _, name), values in stats.stats.items()  # type: ignore[attr-defined]
            if path.endswith(file) and name == function
        )
        rows.append({"training": f"{OURS}: {part}", "tokens/s": f"{100 * spent / total:.0f}%"})
    return rows


def from_text(pipelines: dict[str, Language], docs: list[Doc], repeats: int) -> list[Row]:
    """Compare tokens per second from text to tags with those of the tokenizer alone. Neither
    tokenizers nor taggers remember the words.
    """
    texts = [doc.text for doc in docs]

    def read(nlp: Language, name: str) -> Run:
        tokenizer: Any = nlp.tokenizer
        tokenizer.rules = tokenizer.rules  # which makes it forget
        if name == OURS:
            forget(nlp)
        return lambda: [None for _ in nlp.pipe(texts, batch_size=128)]

    systems = {"tokenizer": spacy.blank(pipelines[OURS].lang or "xx"), **pipelines}
    seconds = measure({name: partial(read, nlp, name) for name, nlp in systems.items()}, repeats)
    n_tokens = sum(len(systems["tokenizer"](text)) for text in texts)
    return [
        {
            "from text": name,
            "tokens/s": f"{n_tokens / value:,.0f}",
            "/ tokenizer": f"{seconds['tokenizer'] / value:.2f}",
        }
        for name, value in seconds.items()
    ]


def startup(pipelines: dict[str, Language], repeats: int) -> list[Row]:
    """Compare loading from disk, and time the import of the package where spaCy is imported."""
    command = [sys.executable, "-c", STARTUP]
    imports = [float(subprocess.check_output(command, text=True)) for _ in range(repeats)]
    rows = [{"start": "import of the package", "ms": f"{1000 * numpy.median(imports):.0f}"}]
    with tempfile.TemporaryDirectory() as folder:
        for name, nlp in pipelines.items():
            nlp.to_disk(Path(folder, name))
        loads = {name: partial(partial, spacy.load, Path(folder, name)) for name in pipelines}
        seconds = measure(loads, repeats)
    return rows + [{"start": f"load {n}", "ms": f"{1000 * s:.0f}"} for n, s in seconds.items()]


def processor() -> str:
    """Say what instructions the libraries use."""
    blas = {f"{i['internal_api']} {i.get('architecture', '')}" for i in threadpool_info()}
    return f"PyTorch {torch.backends.cpu.get_cpu_capability()}; {', '.join(sorted(blas))}"


def markdown(rows: list[Row]) -> str:
    keys = list(rows[0])
    lines = [keys, ["---"] + ["---:"] * (len(keys) - 1), *([row[k] for k in keys] for row in rows)]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="with …train.conllu and …dev.conllu")
    parser.add_argument("--lang", default="en", help="spaCy's code of the language")
    parser.add_argument("--vectors", help="a pipeline with word vectors, for a table of its own")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--tables", nargs="*", help="titles of some tables; all by default")
    parser.add_argument("--json", type=Path, help="where to write the tables as JSON")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    docs = {}
    for split in ("train", "dev"):
        (path,) = arguments.folder.glob(f"*{split}.conllu")
        docs[split] = read_treebank(path, "tag", None)
    systems = (BASELINE, BILSTM, OURS)
    pipelines = {name: make_pipeline(name, docs["train"], arguments.lang) for name in systems}
    strangers = {name: make_pipeline(name, docs["dev"], arguments.lang) for name in systems}
    words = [token.text for doc in docs["dev"] for token in doc]
    long = [words[i : i + 10_000] for i in range(0, 20_000, 10_000)]
    texts = {
        "one sentence": [words_of(s) for doc in docs["dev"] for s in doc.sents],
        "ten sentences": [words_of(doc) for doc in docs["dev"]],
        "10,000 tokens": long,
    }
    repeats, readers = arguments.repeats, {}
    if arguments.vectors is not None:
        for name in ("vectors", "accurate", BASELINE):
            nlp = make_pipeline(name, docs["train"], arguments.lang, arguments.vectors)
            readers[f"{name}, with vectors"] = nlp
    gc.freeze()  # or the treebank would be searched for garbage within some of the runs
    tables = {
        "Tokens per second": lambda: throughput(pipelines, texts, repeats),
        "New text": lambda: new_text(
            strangers, [words_of(doc) for doc in docs["train"]], max(1, repeats // 2)
        ),
        "Settings": lambda: variants(
            pipelines, docs["train"], arguments.lang, texts["ten sentences"], repeats
        ),
        "One sentence at a time": lambda: latency(
            pipelines, strangers[OURS], texts["one sentence"][:500]
        ),
        "From text": lambda: from_text(pipelines, docs["train"], max(1, repeats // 2)),
        "One long Doc": lambda: long_docs(pipelines, words),
        "Threads and processes": lambda: scaling(pipelines[OURS], texts["ten sentences"], repeats),
        "Start": lambda: startup(pipelines, repeats),
        "Training": lambda: training(pipelines, docs["train"], repeats),
    }
    if readers:
        tables["Word vectors"] = lambda: with_vectors(
            {OURS: pipelines[OURS], **readers}, texts, repeats
        )
    if unknown := set(arguments.tables or ()).difference(tables):
        parser.error(f"no tables {unknown}; there are {', '.join(tables)}")
    print(processor())
    results = {}
    for title in arguments.tables or tables:
        table = tables[title]
        results[title] = table()
        print(f"\n{title}\n\n{markdown(results[title])}", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1), encoding="utf8")


if __name__ == "__main__":
    main()
