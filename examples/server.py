"""Serve a tagger over HTTP, with a page to try it on.

PIPELINE=training/model-best python -m uvicorn --app-dir examples server:app
"""

import asyncio
import gc
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy
import spacy
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field, ValidationError
from spacy.glossary import GLOSSARY
from spacy.language import Language
from spacy.tokens import Doc
from starlette.requests import ClientDisconnect

from spacy_lstm_tagger.batch import bounded_memory
from spacy_lstm_tagger.pipeline.labels import labels_of
from spacy_lstm_tagger.pipeline.pairing import make_doc, run_pipeline, token_places
from spacy_lstm_tagger.pipeline.probabilities import confidences
from spacy_lstm_tagger.pipeline.tagger import LSTMTagger, find_tagger

MAX_CHARACTERS = 10_000  # of a text
MAX_BYTES = 100_000  # of a request
MAX_BEST = 100_000  # characters of a text, times tags that are listed for each token
MAX_BATCH = 64  # texts that are tagged together
MAX_BATCH_CHARACTERS = 50_000  # after which no other text joins a batch
MAX_WAITING = 1_000  # texts; what comes then is refused
WINDOW = 0.002  # seconds in which other texts can join the first of a batch
PATIENCE = 10  # seconds until the whole request must be there


class Query(BaseModel):
    text: str = Field(max_length=MAX_CHARACTERS)
    k: int = Field(default=3, ge=1, le=100, description="how many tags to list for each token")


class Served(NamedTuple):
    """A pipeline, and its component whose labels are the answers."""

    nlp: Language
    tagger: LSTMTagger


class Batcher:
    """Tags together the texts of requests that come at about the same time."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.waiting: asyncio.Queue[tuple[Query, asyncio.Future[Any]]] = asyncio.Queue(MAX_WAITING)
        self.task = asyncio.create_task(self.run())

    async def run(self) -> None:
        while True:
            batch = [await self.waiting.get()]
            if self.waiting.qsize() < MAX_BATCH - 1:
                await asyncio.sleep(WINDOW)
            n_characters = len(batch[0][0].text)
            while (
                len(batch) < MAX_BATCH
                and n_characters < MAX_BATCH_CHARACTERS
                and not self.waiting.empty()
            ):
                batch.append(self.waiting.get_nowait())
                n_characters += len(batch[-1][0].text)
            results = await asyncio.to_thread(tag, self.served, [query for query, _ in batch])
            for (_, answer), result in zip(batch, results, strict=True):
                if not answer.done():  # the client is still there
                    answer.set_result(result)

    async def answer(self, query: Query) -> Any:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.waiting.put_nowait((query, answer))
        return await answer


def tag(served: Served, queries: list[Query]) -> list[bytes | None]:
    """Return the answer to each query, in JSON; None if the text can't be tagged."""
    nlp, tagger = served
    answers: list[bytes | None] = []
    with bounded_memory(nlp):
        docs = run_pipeline(nlp, queries, lambda query: make_doc(nlp, query.text))
        for doc, query in zip(docs, queries, strict=True):
            try:
                if isinstance(doc, Exception):
                    raise doc
                tokens = tokens_of(doc, query, tagger.attribute)
                answers.append(json.dumps({"tokens": tokens}, ensure_ascii=False).encode())
            except Exception:  # whatever a component raises
                answers.append(None)
    return answers


def tokens_of(doc: Doc, query: Query, attribute: str) -> list[dict[str, Any]]:
    labels = doc._.get(f"{attribute}_labels")
    probabilities = doc._.get(f"{attribute}_probabilities")
    best = numpy.argsort(-probabilities, axis=1)[:, : query.k]
    rows = numpy.take_along_axis(probabilities, best, axis=1).astype(float).round(4).tolist()
    tokens = []
    for token, (start, end), ids, row, tag, confidence in zip(
        doc,
        token_places(doc, query.text),
        best.tolist(),
        rows,
        labels_of(doc, attribute),
        confidences(doc, attribute),
        strict=True,
    ):
        listed = [[labels[i], p] for i, p in zip(ids, row, strict=True)]
        tokens.append(
            {
                "text": token.text,
                "start": start,
                "end": end,
                "tag": tag,
                "confidence": round(confidence, 4),
                "best": [[tag, 1.0]] if token.is_space else listed,
            }
        )
    return tokens


async def read_query(request: Request) -> Query:
    """Read what a client sends; HTTPException says what is wrong with it."""
    if "transfer-encoding" in request.headers:
        raise HTTPException(411, "The header Content-Length is missing.")
    n_bytes = int(request.headers.get("content-length", 0))
    if n_bytes > MAX_BYTES:
        raise HTTPException(413, f"A request has at most {MAX_BYTES} bytes; these are {n_bytes}.")
    try:
        body = await asyncio.wait_for(request.body(), PATIENCE)
    except (asyncio.TimeoutError, ClientDisconnect):
        close = {"Connection": "close"}
        raise HTTPException(408, f"The body was not there in {PATIENCE} s.", close) from None
    kind = request.headers.get("content-type", "none").partition(";")[0].strip().lower()
    if kind != "application/json":
        reason = f"Send JSON with the header Content-Type: application/json, not {kind:.80}."
        raise HTTPException(415, reason)
    try:
        content = json.loads(body.decode("utf8"))
        if isinstance(content, dict):
            return Query(**content)
    except ValidationError as error:
        reasons = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise HTTPException(422, "; ".join(reasons)) from None
    except UnicodeDecodeError as error:
        raise HTTPException(422, f"The body is not UTF-8, from byte {error.start} on.") from None
    except (ValueError, RecursionError) as error:
        raise HTTPException(422, f"The body is not valid JSON: {error}.") from None
    raise HTTPException(422, 'The body must be an object, such as {"text": "The dog"}.')


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


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    nlp = spacy.load(os.environ.get("PIPELINE", "training/model-best"))
    _, tagger = find_tagger(nlp, os.environ.get("COMPONENT"))
    tagger.store_probabilities = True
    app.state.batcher = Batcher(Served(nlp, tagger))
    gc.collect()
    gc.freeze()  # what is loaded stays, so it need not be looked through for garbage
    yield  # until all requests have been answered
    app.state.batcher.task.cancel()


app = FastAPI(title="spacy-lstm-tagger", lifespan=lifespan)
BODY = {"content": {"application/json": {"schema": Query.model_json_schema()}}, "required": True}


@app.post("/tag", openapi_extra={"requestBody": BODY})
async def tag_text(request: Request) -> Response:
    query = await read_query(request)
    if len(query.text) * query.k > MAX_BEST:
        most = MAX_BEST // len(query.text)
        raise HTTPException(422, f"k: at most {most} for a text of {len(query.text)} characters")
    try:
        answer = await request.app.state.batcher.answer(query)
    except asyncio.QueueFull:
        raise HTTPException(503, "too many texts are waiting; try again later") from None
    if answer is None:
        raise HTTPException(422, "this text can't be tagged")
    return Response(answer, media_type="application/json")


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
    nlp, tagger = request.app.state.batcher.served
    return {
        "name": name_of(nlp),
        "lang": nlp.lang,
        "tags": {label: GLOSSARY.get(label, "") for label in tagger.labels},
        "examples": example_sentences(nlp.lang),
    }


@app.get("/", include_in_schema=False)
async def page() -> FileResponse:
    return FileResponse(Path(__file__).with_name("index.html"))
