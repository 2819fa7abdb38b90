"""A batch of texts in, the same batch with their tags in new columns out.

Batch engines share out batches among worker processes: Ray Data, Spark, Dask, or Python's own
`concurrent.futures`. Each of them takes a `TagBatch`. Plain columns travel between processes, as
Docs take longer to travel than to tag.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple, TypeVar
from uuid import uuid4

import numpy
import spacy
from spacy.language import Language
from spacy.tokens import Doc
from spacy.util import minibatch

from .pipeline.confidence import confidence
from .pipeline.tagger import LSTMTagger

Batch = TypeVar("Batch")

# Threads must not free each other's words, as a memory zone does.
_one_at_a_time = Lock()


class Row(NamedTuple):
    """What is found out about one text; or the error, and nothing else.

    offsets: Where each token begins in the text, in characters.
    confidences: The probability of each tag.
    """

    tokens: list[str] = []
    tags: list[str] = []
    offsets: list[int] = []
    confidences: list[float] = []
    error: str | None = None


class TagBatch:
    """Tag batches of texts, or of lists of words.

    A batch is a dict of arrays, a pyarrow Table or a pandas DataFrame. The result is of the same
    kind, with the new columns `tokens`, `tags`, `offsets`, `error` and, if asked for,
    `confidences`. A text that can't be tagged has empty lists and an error; the others have None.

    The pipeline is loaded where the first batch arrives, once in each process. So a `TagBatch`
    can be sent to other processes at no cost.
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
        self._key = uuid4()  # what is retrained in the meantime is loaded by a new TagBatch only

    def __call__(self, batch: Batch) -> Batch:
        """Tag a batch.

        batch (dict | pyarrow.Table | pandas.DataFrame): The batch; it stays as it is.
        RETURNS (dict | pyarrow.Table | pandas.DataFrame): The batch with the new columns.
        RAISES: ValueError if the batch is of another kind, lacks the column of texts, or has one
            of the new columns already; if the pipeline can't be loaded, or has no such tagger.
        """
        rows = self._rows(read_column(batch, self.column, self.new_columns))
        return add_columns(
            batch, {name: [getattr(row, name) for row in rows] for name in self.new_columns}
        )

    @property
    def new_columns(self) -> list[str]:
        """The names of the new columns."""
        return [name for name in Row._fields if name != "confidences" or self.confidences]

    def _rows(self, values: list[Any]) -> list[Row]:
        if not values:
            return []
        with _one_at_a_time:
            nlp, tagger = _load(
                self._key, self.pipeline, self.component, self.confidences, self.gpu
            )
            with nlp.memory_zone():
                parts = minibatch(values, nlp.batch_size)
                return [row for part in parts for row in tag_rows(nlp, tagger, part)]


def share_out(tag: TagBatch, batches: Iterable[Batch], *, n_process: int) -> Iterator[Batch]:
    """Tag batches in several processes. Only a few batches are in memory at a time.

    tag (TagBatch): Tags a batch.
    batches (Iterable[Batch]): The batches: some thousand texts each, so that the work is more than
        the travel.
    n_process (int): The number of processes.
    YIELDS (Batch): The tagged batches, in the order of the batches.
    RAISES: BrokenProcessPool if a process was killed; and as `TagBatch`.
    """
    waiting: deque[Future[Batch]] = deque()
    with ProcessPoolExecutor(n_process, mp_context=get_context("spawn")) as pool:
        try:
            for batch in batches:
                waiting.append(pool.submit(tag, batch))
                if len(waiting) > 2 * n_process:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def tag_rows(nlp: Language, tagger: LSTMTagger, values: list[Any]) -> list[Row]:
    """Tag texts or lists of words together. If that fails, tag each half by itself, until the text
    that is to blame is alone."""
    try:
        docs = [make_doc(nlp, value) for value in values]
        return [make_row(doc, tagger) for doc in nlp.pipe(docs, batch_size=len(docs))]
    except Exception as error:  # whatever a component of the pipeline raises
        if len(values) == 1:
            return [Row(error=f"{type(error).__name__}: {error}")]
    middle = len(values) // 2
    return [
        row for half in (values[:middle], values[middle:]) for row in tag_rows(nlp, tagger, half)
    ]


def make_doc(nlp: Language, value: Any) -> Doc:
    """Make a Doc of a text, or of a list of words."""
    if isinstance(value, str):
        return nlp.make_doc(value)
    if isinstance(value, list | tuple | numpy.ndarray):
        words = list(value)
        if all(isinstance(word, str) for word in words):
            return Doc(nlp.vocab, words=words)
    raise ValueError(f"neither a text nor a list of words: {value!r:.100}")


def make_row(doc: Doc, tagger: LSTMTagger) -> Row:
    """Read what the tagger has written into a Doc."""
    attribute = tagger.attribute
    if attribute == "morph":
        tags = [str(token.morph) for token in doc]
    else:
        tags = [getattr(token, f"{attribute}_") for token in doc]
    return Row(
        tokens=[token.text for token in doc],
        tags=tags,
        offsets=[token.idx for token in doc],
        confidences=[confidence(attribute, token) for token in doc]
        if tagger.store_probabilities
        else [],
    )


@lru_cache(maxsize=4)
def _load(
    key: object, pipeline: str, component: str | None, confidences: bool, gpu: bool
) -> tuple[Language, LSTMTagger]:
    if gpu:
        spacy.require_gpu()
    try:
        nlp = spacy.load(pipeline)
    except OSError as error:
        raise ValueError(f"can't load the pipeline {pipeline}: {error}") from error
    taggers = {name: pipe for name, pipe in nlp.pipeline if isinstance(pipe, LSTMTagger)}
    names = [component] if component is not None else list(taggers)
    if len(names) != 1 or names[0] not in taggers:
        raise ValueError(
            f"the pipeline {pipeline} has {len(taggers)} components of the kind lstm_tagger: "
            f"{list(taggers)}. Give the name of one of them: component=..."
        )
    tagger = taggers[names[0]]
    tagger.store_probabilities = confidences
    return nlp, tagger


def read_column(batch: Any, column: str, new_columns: list[str]) -> list[Any]:
    """Return the values of a column, and check that no other column would be overwritten."""
    names = list(batch) if isinstance(batch, Mapping) else _names(batch)
    if column not in names:
        raise ValueError(f"the batch has no column {column!r}, but {names}: give column=...")
    taken = sorted(set(names) & set(new_columns) - {column})
    if taken:
        raise ValueError(f"the batch has columns that are to be added, {taken}: rename them")
    values = batch[column]
    if hasattr(values, "to_pylist"):
        return values.to_pylist()
    return list(values)


def _names(batch: Any) -> list[str]:
    if hasattr(batch, "column_names"):
        return list(batch.column_names)
    if hasattr(batch, "columns"):
        return list(batch.columns)
    raise ValueError(
        f"a batch must be a dict of arrays, a pyarrow Table or a pandas DataFrame: {type(batch)}"
    )


def add_columns(batch: Any, columns: dict[str, list[Any]]) -> Any:
    """Return a batch of the same kind with more columns."""
    if isinstance(batch, Mapping):
        arrays = {
            name: numpy.fromiter(values, dtype=object, count=len(values))
            for name, values in columns.items()
        }
        return {**batch, **arrays}
    if hasattr(batch, "assign"):
        return batch.assign(**columns)
    return _add_arrow_columns(batch, columns)


def _add_arrow_columns(table: Any, columns: dict[str, list[Any]]) -> Any:
    import pyarrow

    # Not left to pyarrow, which can't know what empty lists are of, nor what has no errors.
    types = {
        "tokens": pyarrow.list_(pyarrow.string()),
        "tags": pyarrow.list_(pyarrow.string()),
        "offsets": pyarrow.list_(pyarrow.int32()),
        "confidences": pyarrow.list_(pyarrow.float32()),
        "error": pyarrow.string(),
    }
    for name, values in columns.items():
        array = pyarrow.array(values, types[name])
        if name in table.column_names:
            table = table.set_column(table.column_names.index(name), name, array)
        else:
            table = table.append_column(name, array)
    return table
