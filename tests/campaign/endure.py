"""Tag Docs of new words for long, and say what it took, in JSON; a process of its own for each.

python endure.py PIPELINE MODE N: MODE is "pipe", "zones" or "server"; "tokens" only tokenizes, and
what that takes is spaCy's own. The server's words come again after a while, as spaCy keeps each.
"""

import asyncio
import json
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import spacy
from spacy.language import Language

WORDS = ["The", "dog", "ate", "the", "apple", "Everybody", "read", "that", "book"]
BATCH = 1000
N_CLIENTS, N_TEXTS = 16, 10  # of the server, and of each request
N_DIFFERENT = 50_000  # texts of the clients
CHECKED = 100  # one of so many Docs is compared with what another pipeline says
N_PARTS = 10  # of the stream, after each of which memory is measured

Batch = tuple[list[str], list[list[str]], float]  # texts, their tags, seconds


def text(i: int) -> str:
    """Return a text with a word that no other has."""
    return " ".join([*WORDS[i % 5 : 3 + i % 7], f"w{i:x}", WORDS[i % len(WORDS)]])


def tags(nlp: Language, texts: list[str]) -> list[list[str]]:
    return [[token.tag_ for token in doc] for doc in nlp.pipe(texts)]


def stream(nlp: Language, mode: str, n: int) -> Iterator[Batch]:
    """Tag texts in one thread."""
    for first in range(0, n, BATCH):
        texts = [text(i) for i in range(first, min(first + BATCH, n))]
        begin = time.perf_counter()
        with nlp.memory_zone() if mode == "zones" else nullcontext():
            found = [[] for _ in map(nlp.make_doc, texts)] if mode == "tokens" else tags(nlp, texts)
        yield texts, found, time.perf_counter() - begin


def make_client(nlp: Language) -> Any:
    """Return a client of a small server, one thread of which answers each request."""
    import httpx
    from fastapi import FastAPI

    app = FastAPI()

    @app.post("/tags")
    def answer(texts: list[str]) -> list[list[str]]:
        return tags(nlp, texts)

    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


def serve(nlp: Language, n: int) -> Iterator[Batch]:
    """Let clients ask at the same time."""
    client, loop = make_client(nlp), asyncio.new_event_loop()

    async def ask(first: int) -> Batch:
        texts = [text(i % N_DIFFERENT) for i in range(first, first + N_TEXTS)]
        begin = time.perf_counter()
        response = await client.post("/tags", json=texts)
        return texts, response.json(), time.perf_counter() - begin

    async def ask_all(first: int) -> list[Batch]:
        return await asyncio.gather(*(ask(first + N_TEXTS * k) for k in range(N_CLIENTS)))

    for first in range(0, n, N_TEXTS * N_CLIENTS):
        yield from loop.run_until_complete(ask_all(first))
    loop.run_until_complete(client.aclose())
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


def megabytes() -> int:
    """Return how much memory the process has now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() // 2**20


def endure(folder: str, mode: str, n: int) -> dict[str, Any]:
    """Tag texts; return the memory after each part, wrong answers, and the time of each batch."""
    nlp, reference = spacy.load(folder), spacy.load(folder)
    memory, seconds, n_done, n_checked, n_wrong = [], [], 0, 0, 0
    for texts, found, taken in serve(nlp, n) if mode == "server" else stream(nlp, mode, n):
        picked = [i for i in range(len(texts)) if (n_done + i) % CHECKED == 0]
        if mode != "tokens" and picked:
            with reference.memory_zone():
                expected = tags(reference, [texts[i] for i in picked])
            n_checked += len(picked)
            n_wrong += sum(found[i] != other for i, other in zip(picked, expected, strict=True))
        n_done += len(texts)
        seconds.append(taken)
        if n_done * N_PARTS // n > len(memory):
            memory.append(megabytes())
    ranked = sorted(seconds)
    percentiles = {p: round(1000 * ranked[len(ranked) * p // 100], 1) for p in (50, 95, 99)}
    return {"docs": n_done, "checked": n_checked, "wrong": n_wrong, "MB": memory, "ms": percentiles}


if __name__ == "__main__":
    print(json.dumps(endure(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
