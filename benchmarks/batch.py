"""Tag Parquet files with each installed batch engine, and compare tokens per second.

Engines are started before the clock; loading the pipeline in each worker is part of the time. Each
run ends when all tags have arrived or are written, and is a separate process.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy
import spacy
import srsly

from spacy_lstm_tagger.batch import TagBatch, share_out

BATCH_SIZE = 1000
SCHEMA = "text string, tokens array<string>, tags array<string>, offsets array<int>, error string"


def read_texts(folder: Path) -> list[str]:
    import pyarrow.parquet

    return pyarrow.parquet.read_table(folder, columns=["text"])["text"].to_pylist()


def one_process(pipeline: str, folder: Path, n: int) -> None:
    nlp, texts = spacy.load(pipeline), read_texts(folder)
    start = time.perf_counter()
    for doc in nlp.pipe(texts, n_process=n):
        [token.tag_ for token in doc]
    print(time.perf_counter() - start)


def tag_batch(pipeline: str, folder: Path, n: int) -> None:
    texts, tag = read_texts(folder), TagBatch(pipeline)
    start = time.perf_counter()
    for batch in batches(texts):
        tag(batch)
    print(time.perf_counter() - start)


def processes(pipeline: str, folder: Path, n: int) -> None:
    texts = read_texts(folder)
    start = time.perf_counter()
    for _ in share_out(TagBatch(pipeline), batches(texts), n_process=n):
        pass
    print(time.perf_counter() - start)


def batches(texts: list[str]) -> Iterator[dict[str, list[str]]]:
    for i in range(0, len(texts), BATCH_SIZE):
        yield {"text": texts[i : i + BATCH_SIZE]}


def ray_data(pipeline: str, folder: Path, n: int) -> None:
    import ray

    # One more, for reading and writing.
    ray.init(num_cpus=n + 1, object_store_memory=2**29, include_dashboard=False)
    start = time.perf_counter()
    texts = ray.data.read_parquet(str(folder), columns=["text"])
    tagged = texts.repartition(target_num_rows_per_block=BATCH_SIZE).map_batches(
        TagBatch,
        fn_constructor_kwargs={"pipeline": pipeline},
        compute=ray.data.ActorPoolStrategy(size=n),
        batch_size=BATCH_SIZE,
        batch_format="pyarrow",
    )
    with tempfile.TemporaryDirectory() as target:
        tagged.write_parquet(target)
    print(time.perf_counter() - start)
    ray.shutdown()


def spark(pipeline: str, folder: Path, n: int) -> None:
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = SparkSession.builder.master(f"local[{n}]").config("spark.ui.enabled", "false")
    builder = builder.config("spark.sql.execution.arrow.maxRecordsPerBatch", str(BATCH_SIZE))
    session = builder.config("spark.driver.host", "localhost").getOrCreate()
    start = time.perf_counter()
    tag = TagBatch(pipeline)
    texts = session.read.parquet(str(folder)).select("text")
    with tempfile.TemporaryDirectory() as target:
        tagged = texts.mapInPandas(lambda frames: map(tag, frames), SCHEMA)
        tagged.write.parquet(f"{target}/tagged")
    print(time.perf_counter() - start)
    session.stop()


def dask(pipeline: str, folder: Path, n: int) -> None:
    import dask.dataframe

    start = time.perf_counter()
    texts = dask.dataframe.read_parquet(folder, columns=["text"])
    tagged = texts.map_partitions(TagBatch(pipeline))
    with tempfile.TemporaryDirectory() as target:
        tagged.to_parquet(target, compute_kwargs={"scheduler": "processes", "num_workers": n})
    print(time.perf_counter() - start)


def spacy_apply(pipeline: str, folder: Path, n: int) -> None:
    with tempfile.TemporaryDirectory() as target:
        texts = [{"text": text} for text in read_texts(folder)]
        srsly.write_jsonl(f"{target}/texts.jsonl", texts)
        command = [sys.executable, "-m", "spacy", "apply", pipeline, f"{target}/texts.jsonl"]
        start = time.perf_counter()
        subprocess.run([*command, f"{target}/tagged.spacy"], check=True, stdout=subprocess.DEVNULL)
        print(time.perf_counter() - start)


SYSTEMS: dict[str, tuple[Callable[[str, Path, int], None], list[int]]] = {
    "nlp.pipe": (one_process, [1, 2]),
    "TagBatch": (tag_batch, [1]),
    "share_out": (processes, [1, 2]),
    "ray": (ray_data, [1, 2]),
    "spark": (spark, [1, 2]),
    "dask": (dask, [1, 2]),
    "spacy apply": (spacy_apply, [1]),
}


def run(name: str, pipeline: str, folder: Path, n: int) -> float:
    """Run a system in a process of its own; return the seconds that it took."""
    command = [sys.executable, __file__, pipeline, str(folder), "--run", name, "--workers", str(n)]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    seconds = float(printed.split()[-1])
    print(f"{name}, {n}: {seconds:.1f} s", file=sys.stderr, flush=True)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pipeline")
    parser.add_argument("folder", type=Path, help="Parquet files with a column `text`")
    parser.add_argument("--systems", nargs="*", default=list(SYSTEMS), choices=list(SYSTEMS))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--run", choices=list(SYSTEMS), help=argparse.SUPPRESS)
    parser.add_argument("--workers", type=int, default=1, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        SYSTEMS[arguments.run][0](arguments.pipeline, arguments.folder, arguments.workers)
        return
    tokenizer = spacy.load(arguments.pipeline, enable=[])
    n_tokens = sum(len(tokenizer.make_doc(text)) for text in read_texts(arguments.folder))
    runs = [(name, n) for name in arguments.systems for n in SYSTEMS[name][1]]
    seconds: dict[Any, list[float]] = {key: [] for key in runs}
    for _ in range(arguments.repeats):
        for name, n in runs:
            pipeline = str(Path(arguments.pipeline).resolve())
            seconds[name, n].append(run(name, pipeline, arguments.folder.resolve(), n))
    print(f"{n_tokens:,} tokens\n\n| with | workers | tokens/s | / one worker |")
    print("| --- | ---: | ---: | ---: |")
    for (name, n), values in seconds.items():
        ratio = numpy.median(numpy.divide(seconds[name, 1], values))  # of runs beside each other
        speed = n_tokens / numpy.median(values)
        print(f"| {name} | {n} | {speed:,.0f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
