"""Load test of `examples/server.py` with texts of new words, from several clients at once.

Each answer is compared with that of the pipeline without a server. The table has requests per
second, the server's processor time per request, percentiles of the response time, and the server's
memory over time: for one client, for several without batching, and for several with it.
"""

import argparse
import http.client
import json
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy
import spacy

ROOT = Path(__file__).parent.parent
START = """
import sys, uvicorn, server
server.MAX_BATCH = int(sys.argv[1])
server.WINDOW *= server.MAX_BATCH > 1
uvicorn.run(server.app, port=int(sys.argv[2]), log_level="warning")
"""


def new_texts(n: int) -> list[str]:
    """Make sentences, every third of whose words is new."""
    chance = random.Random(0)
    frame = "the old {} said that {} will never {} a good {} ."

    def word() -> str:
        return "".join(chance.choices("aeioubdgklmnprst", k=7))

    return [frame.format(*(word() for _ in range(4))) for _ in range(n)]


@contextmanager
def running_server(pipeline: Path, port: int, max_batch: int) -> Iterator[int]:
    """Start the server; yield its process id once it is ready, and stop it at the end."""
    environment = {**os.environ, "PIPELINE": str(pipeline.resolve())}
    command = [sys.executable, "-c", START, str(max_batch), str(port)]
    process = subprocess.Popen(command, cwd=ROOT / "examples", env=environment)
    try:
        for _ in range(600):
            try:
                if request(http.client.HTTPConnection("127.0.0.1", port), "GET", "/ready") == "ok":
                    break
            except OSError:
                time.sleep(0.1)
        yield process.pid
    finally:
        process.terminate()
        process.wait(timeout=30)


def request(
    connection: http.client.HTTPConnection, method: str, path: str, body: Any = None
) -> Any:
    headers = {"Content-Type": "application/json"}
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    return json.loads(connection.getresponse().read())


def megabytes(pid: int) -> float:
    """Return the memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def processor_seconds(pid: int) -> float:
    """Return how long a process has kept a processor busy, itself and for system calls."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def send(port: int, texts: list[str], expected: list[list[str]]) -> list[float]:
    """Send texts one after another; return the seconds that each answer took."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    seconds = []
    for text, tags in zip(texts, expected, strict=True):
        start = time.perf_counter()
        tokens = request(connection, "POST", "/tag", {"text": text})["tokens"]
        seconds.append(time.perf_counter() - start)
        if [token["tag"] for token in tokens] != tags:
            raise ValueError(f"a wrong answer to {text!r}: {tokens}")
    return seconds


def measure(
    pid: int, port: int, n_clients: int, texts: list[str], expected: list[list[str]]
) -> dict[str, Any]:
    """Send texts by several clients, in four rounds; memory is taken after each round."""
    seconds: list[float] = []
    memory = []
    busy = processor_seconds(pid)
    start = time.perf_counter()
    with ThreadPoolExecutor(n_clients) as pool:
        for part in range(4):
            shares = [slice(part * n_clients + i, None, 4 * n_clients) for i in range(n_clients)]
            runs = [pool.submit(send, port, texts[share], expected[share]) for share in shares]
            seconds += [value for run in runs for value in run.result()]
            memory.append(megabytes(pid))
    row = {"requests/s": f"{len(texts) / (time.perf_counter() - start):,.0f}"}
    row["server ms"] = f"{1000 * (processor_seconds(pid) - busy) / len(texts):.2f}"
    row |= {f"p{p} ms": f"{1000 * numpy.percentile(seconds, p):.1f}" for p in (50, 95, 99)}
    return {**row, "MB after each quarter": ", ".join(f"{value:.0f}" for value in memory)}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pipeline", type=Path)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--port", type=int, default=8123)
    arguments = parser.parse_args()
    texts = new_texts(arguments.requests)
    docs = spacy.load(arguments.pipeline).pipe(texts, batch_size=128)
    expected = [[token.tag_ for token in doc] for doc in docs]
    few = slice(len(texts) // 10)
    runs = {
        "one client": (1, 1, few),
        f"{arguments.clients} clients, one text at a time": (arguments.clients, 1, few),
        f"{arguments.clients} clients": (arguments.clients, 64, slice(None)),
    }
    for name, (n_clients, max_batch, part) in runs.items():
        with running_server(arguments.pipeline, arguments.port, max_batch) as pid:
            row = measure(pid, arguments.port, n_clients, texts[part], expected[part])
        print(f"{name}: " + ", ".join(f"{key} {value}" for key, value in row.items()), flush=True)


if __name__ == "__main__":
    main()
