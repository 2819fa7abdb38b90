"""Serve a tagger over HTTP, with a page to try it on.

PIPELINE=training/model-best python -m uvicorn --app-dir examples server:app
"""

import asyncio
import gc
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy
import spacy
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from pydantic import BaseModel, Field
from spacy.glossary import GLOSSARY
from spacy.language import Language
from spacy.tokens import Doc
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from spacy_lstm_tagger.batch import bounded_memory

MAX_CHARACTERS = 10_000  # of a text
MAX_BYTES = 100_000  # of a request
MAX_BATCH = 64  # texts that are tagged together
MAX_WAITING = 1_000  # texts; what comes then is refused
WINDOW = 0.002  # seconds in which other texts can join the first of a batch


class Query(BaseModel):
    text: str = Field(max_length=MAX_CHARACTERS)
    k: int = Field(default=3, ge=1, le=100, description="how many tags to list for each token")


class Batcher:
    """Tags together the texts of requests that come at about the same time."""

    def __init__(self, nlp: Language) -> None:
        self.nlp = nlp
        self.waiting: asyncio.Queue[tuple[Query, asyncio.Future[Any]]] = asyncio.Queue(MAX_WAITING)
        self.task = asyncio.create_task(self.run())

    async def run(self) -> None:
        while True:
            batch = [await self.waiting.get()]
            if self.waiting.qsize() < MAX_BATCH - 1:
                await asyncio.sleep(WINDOW)
            while len(batch) < MAX_BATCH and not self.waiting.empty():
                batch.append(self.waiting.get_nowait())
            results = await asyncio.to_thread(tag, self.nlp, [query for query, _ in batch])
            for (_, answer), result in zip(batch, results, strict=True):
                if not answer.done():  # the client is still there
                    answer.set_result(result)

    async def tokens(self, query: Query) -> Any:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.waiting.put_nowait((query, answer))
        return await answer


def tag(nlp: Language, queries: list[Query]) -> list[Any]:
    """Return the tokens of each text, as plain values; None if it can't be tagged."""
    try:
        with bounded_memory(nlp):
            docs = nlp.pipe([query.text for query in queries])
            return [tokens_of(doc, query.k) for doc, query in zip(docs, queries, strict=True)]
    except Exception:
        if len(queries) == 1:
            return [None]
    return [result for query in queries for result in tag(nlp, [query])]


def tokens_of(doc: Doc, k: int) -> list[dict[str, Any]]:
    labels, probabilities = doc._.tag_labels, doc._.tag_probabilities
    best = numpy.argsort(-probabilities, axis=1)[:, :k].tolist()
    rows = probabilities.astype(float).round(4).tolist()
    return [
        {
            "text": token.text,
            "start": token.idx,
            "end": token.idx + len(token),
            "tag": token.tag_,
            "confidence": dict(zip(labels, row, strict=True)).get(token.tag_, 0.0),
            "best": [[labels[i], row[i]] for i in ids],
        }
        for token, ids, row in zip(doc, best, rows, strict=True)
    ]


def name_of(nlp: Language) -> str:
    """Return a pipeline's name and version; the end of its path if it has no name."""
    if nlp.meta["name"] == "pipeline" and nlp.path is not None:
        return "/".join(nlp.path.parts[-2:])
    return f"{nlp.lang}_{nlp.meta['name']} {nlp.meta['version']}"


def example_sentences(lang: str) -> list[str]:
    """Return two sentences of a language; none for English, for which the page has its own."""
    try:
        module = import_module(f"spacy.lang.{lang}.examples")
    except ModuleNotFoundError:
        return []
    return [] if lang in ("en", "xx") else list(module.sentences[:2])


class RefuseLongRequests:
    """Answers requests that are too long before their body is read."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer: ASGIApp = self.app
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            n_bytes = int(headers.get("content-length", 0))
            if "transfer-encoding" in headers:
                answer = JSONResponse({"detail": "the header Content-Length is missing"}, 411)
            elif n_bytes > MAX_BYTES:
                reason = f"at most {MAX_BYTES} bytes; these are {n_bytes}"
                answer = JSONResponse({"detail": reason}, 413)
        await answer(scope, receive, send)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    nlp = spacy.load(os.environ.get("PIPELINE", "training/model-best"))
    tagger: Any = nlp.get_pipe("lstm_tagger")
    tagger.store_probabilities = True
    app.state.batcher = Batcher(nlp)
    gc.collect()
    gc.freeze()  # what is loaded stays, so it need not be looked through for garbage
    yield  # until all requests have been answered
    app.state.batcher.task.cancel()


app = FastAPI(title="spacy-lstm-tagger", lifespan=lifespan)
app.add_middleware(RefuseLongRequests)


@app.exception_handler(RequestValidationError)
async def explain(request: Request, error: RequestValidationError) -> Response:
    """Say what is wrong with a request, without sending it back."""
    reasons = [f"{e['loc'][-1]}: {e['msg']}" for e in error.errors()]
    return JSONResponse({"detail": "; ".join(reasons)}, 422)


@app.post("/tag")
async def tag_text(query: Query, request: Request) -> Any:
    try:
        tokens = await request.app.state.batcher.tokens(query)
    except asyncio.QueueFull:
        raise HTTPException(503, "too many texts are waiting; try again later") from None
    if tokens is None:
        raise HTTPException(422, "this text can't be tagged")
    return JSONResponse({"tokens": tokens})


@app.get("/health")
async def health(request: Request) -> str:
    """Answer whether the process works; if not, it must be started again."""
    if request.app.state.batcher.task.done():
        raise HTTPException(503, "the tagger has stopped")
    return "ok"


@app.get("/ready")
async def ready(request: Request) -> str:
    """Answer whether the process takes requests."""
    if request.app.state.batcher.waiting.full():
        raise HTTPException(503, "too many texts are waiting")
    return "ok"


@app.get("/pipeline")
async def pipeline(request: Request) -> Any:
    """Return the name and language of the pipeline, its tags with their meanings, and examples."""
    nlp = request.app.state.batcher.nlp
    labels = nlp.get_pipe("lstm_tagger").labels
    return {
        "name": name_of(nlp),
        "lang": nlp.lang,
        "tags": {label: GLOSSARY.get(label, "") for label in labels},
        "examples": example_sentences(nlp.lang),
    }


@app.get("/", include_in_schema=False)
async def page() -> FileResponse:
    return FileResponse(Path(__file__).with_name("index.html"))
