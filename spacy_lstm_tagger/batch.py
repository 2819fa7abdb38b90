"""Tag batches of texts in many processes or on many machines.

Engines share out batches among worker processes: Ray Data, Spark, Dask, or Python's own
`concurrent.futures`. Each of them takes a `TagBatch`. Batches are plain columns, because sending a
Doc to another process takes longer than tagging it.
"""

import os
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache, partial
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Lock, Thread
from typing import Any, TypeVar
from uuid import uuid4

import numpy
import spacy
from spacy.language import Language
from spacy.tokens import Doc
from spacy.util import minibatch

from .pipeline.labels import labels_of
from .pipeline.pairing import check_words, make_doc, run_pipeline, token_places
from .pipeline.probabilities import confidences
from .pipeline.tagger import LSTMTagger

Batch = TypeVar("Batch")
Tagged = TypeVar("Tagged")
Row = dict[str, Any]

N_WORDS = 50_000  # that stay in the vocab: some 50 MB


_lock = Lock()  # held while a pipeline runs, as a memory zone frees the words of all threads


def _after_fork() -> None:
    """Free the lock in a forked process, where no thread holds it. A pipeline that was being used
    is loaded anew.
    """
    global _lock
    if _lock.locked():
        _load.cache_clear()
    _lock = Lock()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_after_fork)


class TagBatch:
    """Tag batches of texts, or of lists of words.

    A batch is a dict of arrays, a pyarrow Table or a pandas DataFrame. The result is of the same
    kind, with new columns: `tokens`, `tags`, `offsets` (where each token begins in the text),
    `confidences` (the probability of each tag) if asked for, and `error`, which is empty unless a
    text can't be tagged; then the others are.

    The pipeline is loaded where the first batch arrives, once in each process, and never travels.
    """

    def __init__(
        self,
        pipeline: str | Path,
        column: str = "text",
        *,
        component: str | None = None,
        confidences: bool = False,
        gpu: bool = False,
    ) -> None:
        """Create the callable.

        pipeline (str | Path): Name or path of a trained pipeline.
        column (str): The column of texts, or of lists of words.
        component (str | None): The name of the tagger in the pipeline, if it has several.
        confidences (bool): Whether to add the probabilities of the tags.
        gpu (bool): Whether to compute on a GPU.
        """
        self.pipeline = str(pipeline)
        self.column = column
        self.component = component
        self.confidences = confidences
        self.gpu = gpu
        self.key = uuid4()  # so a new TagBatch loads the pipeline anew

    @property
    def new_columns(self) -> list[str]:
        """The names of the columns that are added."""
        return ["tokens", "tags", "offsets", *["confidences"] * self.confidences, "error"]

    def __call__(self, batch: Batch) -> Batch:
        """Tag a batch.

        batch (dict | pyarrow.Table | pandas.DataFrame): The batch; it stays as it is.
        RETURNS (dict | pyarrow.Table | pandas.DataFrame): The batch with the new columns.
        RAISES: ValueError if the batch is of another kind, lacks the column of texts, or has one
            of the new columns already; if the pipeline can't be loaded, or has no such tagger.
        """
        rows = self._rows(read_column(batch, self.column, self.new_columns))
        return add_columns(batch, {name: [row[name] for row in rows] for name in self.new_columns})

    def _rows(self, texts: list[Any]) -> list[Row]:
        if not texts:
            return []
        with _lock:
            nlp, tagger = _load(self.key, self.pipeline, self.component, self.gpu)
            tagger.store_probabilities = self.confidences
            with bounded_memory(nlp):
                parts = minibatch(texts, nlp.batch_size)
                return [row for part in parts for row in tag_texts(nlp, tagger, part)]


def share_out(
    tag: Callable[[Batch], Tagged], batches: Iterable[Batch], *, n_process: int
) -> Iterator[Tagged]:
    """Tag batches in several processes, with a few batches in memory at a time.

    tag (Callable): Tags a batch: a `TagBatch`, or what else can be sent to another process.
    batches (Iterable[Batch]): The batches; of about a thousand texts each.
    n_process (int): The number of processes.
    YIELDS (Batch): The tagged batches, in the same order.
    RAISES: BrokenProcessPool if a process was killed; and as `TagBatch`.
    """
    waiting: deque[Future[Tagged]] = deque()
    context = get_context("spawn")
    pool = ProcessPoolExecutor(n_process, mp_context=context, initializer=_end_with_parent)
    try:
        for batch in batches:
            waiting.append(pool.submit(tag, batch))
            if len(waiting) > 2 * n_process:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """Let a worker end when the process that started it is killed."""
    parent = parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    Thread(target=wait, daemon=True).start()


def bounded_memory(nlp: Language) -> AbstractContextManager[object]:
    """Return a context to tag Docs in; they must not be used after it. Words stay in the vocab, as
    making them anew takes time; but once it has many, the words of a context are freed at its end.
    """
    return nlp.memory_zone() if len(nlp.vocab) > N_WORDS else nullcontext()


def tag_texts(nlp: Language, tagger: LSTMTagger, texts: list[Any]) -> list[Row]:
    """Tag texts, or lists of words, by a component of a pipeline; return the values of the new
    columns for each.
    """
    docs = run_pipeline(nlp, texts, partial(_make_doc, nlp))
    return [_row(doc, text, tagger) for doc, text in zip(docs, texts, strict=True)]


def _make_doc(nlp: Language, text: Any) -> Doc:
    words = _words_of(text)
    if words is not None:
        return Doc(nlp.vocab, words=words)
    if isinstance(text, str):
        return make_doc(nlp, str.__str__(text))
    raise ValueError(f"neither a text nor a list of words: {text!r:.100}")


def _words_of(text: Any) -> list[str] | None:
    """Return the words of a list of words; None if it is none. Strings of NumPy become Python's,
    as spaCy takes no others.
    """
    if not isinstance(text, list | tuple | numpy.ndarray):
        return None
    words = list(text)
    are_words = all(isinstance(word, str) for word in words)
    return [str.__str__(word) for word in words] if are_words else None


def _row(doc: Doc | Exception, text: Any, tagger: LSTMTagger) -> Row:
    try:
        if isinstance(doc, Exception):
            raise doc
        return {**_columns(doc, text, tagger), "error": ""}
    except Exception as error:
        empty: Row = {"tokens": [], "tags": [], "offsets": [], "confidences": []}
        return {**empty, "error": f"{type(error).__name__}: {error}"}


def _columns(doc: Doc, text: Any, tagger: LSTMTagger) -> Row:
    words = _words_of(text)
    if words is None:
        offsets = [start for start, _ in token_places(doc, text)]
    else:
        check_words(doc, words)
        offsets = [token.idx for token in doc]
    row: Row = {
        "tokens": [token.text for token in doc],
        "tags": labels_of(doc, tagger.attribute),
        "offsets": offsets,
    }
    if tagger.store_probabilities:
        row["confidences"] = confidences(doc, tagger.attribute)
    return row


@lru_cache(maxsize=4)
def _load(
    key: object, pipeline: str, component: str | None, gpu: bool
) -> tuple[Language, LSTMTagger]:
    if gpu:
        spacy.require_gpu()
    try:
        nlp = spacy.load(pipeline)
    except OSError as error:
        raise ValueError(f"can't load the pipeline {pipeline}: {error}") from error
    taggers = {name: pipe for name, pipe in nlp.pipeline if isinstance(pipe, LSTMTagger)}
    names = list(taggers) if component is None else [component]
    if len(names) != 1 or names[0] not in taggers:
        raise ValueError(
            f"the pipeline {pipeline} has these components of the kind lstm_tagger: "
            f"{list(taggers)}. Name the one whose tags you want: component=..."
        )
    return nlp, taggers[names[0]]


def read_column(batch: Any, column: str, new: Collection[str]) -> list[Any]:
    """Return the values of a column of a dict, a pyarrow Table or a pandas DataFrame; ValueError if
    the batch is of another kind, lacks the column, or has one of the new columns.
    """
    names = _names(batch)
    if column not in names:
        raise ValueError(f"the batch has no column {column!r}, but {names}: set column=...")
    taken = [name for name in names if name in new and name != column]
    if taken:
        raise ValueError(f"the batch has columns already that would be added: {taken}. Rename them")
    values = batch[column]
    for method in ("to_pylist", "tolist"):  # of pyarrow; of pandas and NumPy
        if hasattr(values, method):
            return getattr(values, method)()
    return list(values)


def add_columns(batch: Any, columns: dict[str, list[Any]]) -> Any:
    """Return a batch of the same kind that has more columns: strings, or lists of strings, integers
    or floats.
    """
    if isinstance(batch, Mapping):
        return {**batch, **{name: _array(values) for name, values in columns.items()}}
    if hasattr(batch, "assign"):
        return batch.assign(**columns)
    for name, values in columns.items():
        if name in batch.column_names:
            batch = batch.drop_columns([name])
        batch = batch.append_column(name, _arrow_array(name, values))
    return batch


def _names(batch: Any) -> list[str]:
    if isinstance(batch, Mapping):
        return list(batch)
    if hasattr(batch, "append_column"):
        return list(batch.column_names)
    if hasattr(batch, "assign"):
        return list(batch.columns)
    raise ValueError(
        "a batch must be a dict of arrays, a pyarrow Table or a pandas DataFrame, not "
        f"{type(batch).__name__}"
    )


def _array(values: list[Any]) -> numpy.ndarray:
    """Return an array of lists, which NumPy would make a matrix of if they are equally long."""
    return numpy.fromiter(values, dtype=object, count=len(values))


def _arrow_array(name: str, values: list[Any]) -> Any:
    """Return an Arrow array of a type that doesn't depend on the values: all lists can be empty."""
    import pyarrow

    types = {
        "offsets": pyarrow.list_(pyarrow.int32()),
        "confidences": pyarrow.list_(pyarrow.float32()),
        "error": pyarrow.string(),
    }
    return pyarrow.array(values, types.get(name, pyarrow.list_(pyarrow.string())))
