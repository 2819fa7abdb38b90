"""A batch of texts in, the same batch with their tags in new columns out.

Engines share out batches among worker processes: Ray Data, Spark, Dask, or Python's own
`concurrent.futures`. Each of them takes a `TagBatch`. What travels is plain columns, as a Doc takes
longer to travel than to tag.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar
from uuid import uuid4

import numpy
import spacy
from spacy.language import Language
from spacy.tokens import Doc
from spacy.util import minibatch

from .columns import add_columns, read_column
from .pipeline.probabilities import confidence
from .pipeline.tagger import LSTMTagger

Batch = TypeVar("Batch")
Row = dict[str, Any]

# So many word forms stay in the vocab: some 50 MB.
N_WORDS = 50_000

# A memory zone frees the words of all threads.
_one_at_a_time = Lock()


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
        self.key = uuid4()  # a new TagBatch loads what was trained meanwhile

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
        with _one_at_a_time:
            nlp, tagger = _load(self.key, self.pipeline, self.component, self.gpu)
            tagger.store_probabilities = self.confidences
            with bounded_memory(nlp):
                parts = minibatch(texts, nlp.batch_size)
                return [row for part in parts for row in tag_texts(nlp, tagger, part)]


def share_out(
    tag: Callable[[Batch], Batch], batches: Iterable[Batch], *, n_process: int
) -> Iterator[Batch]:
    """Tag batches in several processes, with a few batches in memory at a time.

    tag (Callable): Tags a batch: a `TagBatch`, or what else can be sent to another process.
    batches (Iterable[Batch]): The batches; of about a thousand texts each.
    n_process (int): The number of processes.
    YIELDS (Batch): The tagged batches, in the same order.
    RAISES: BrokenProcessPool if a process was killed; and as `TagBatch`.
    """
    waiting: deque[Future[Batch]] = deque()
    pool = ProcessPoolExecutor(n_process, mp_context=get_context("spawn"))
    try:
        for batch in batches:
            waiting.append(pool.submit(tag, batch))
            if len(waiting) > 2 * n_process:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def bounded_memory(nlp: Language) -> AbstractContextManager[object]:
    """Return a context to tag Docs in, which must not be used after it. The words of the first
    texts stay in the vocab, as to make them anew takes time; once it has many, those of a
    context are freed at its end.
    """
    return nlp.memory_zone() if len(nlp.vocab) > N_WORDS else nullcontext()


def tag_texts(nlp: Language, tagger: LSTMTagger, texts: list[Any]) -> list[Row]:
    """Tag texts together; if that fails, each half by itself, until the text that is to blame is
    alone.

    nlp (Language): The pipeline.
    tagger (LSTMTagger): Its component whose labels are wanted.
    texts (list[Any]): The texts, or lists of words.
    RETURNS (list[Row]): For each text, the values of the new columns.
    """
    try:
        docs = [make_doc(nlp, text) for text in texts]
        return [_row(doc, tagger) for doc in nlp.pipe(docs, batch_size=len(docs))]
    except Exception as error:  # whatever a component of the pipeline raises
        if len(texts) == 1:
            empty: Row = {"tokens": [], "tags": [], "offsets": [], "confidences": []}
            return [{**empty, "error": f"{type(error).__name__}: {error}"}]
    half = len(texts) // 2
    return tag_texts(nlp, tagger, texts[:half]) + tag_texts(nlp, tagger, texts[half:])


def make_doc(nlp: Language, text: Any) -> Doc:
    """Make a Doc of a text or of a list of words; ValueError if it is neither."""
    if isinstance(text, str):
        return nlp.make_doc(text)
    if isinstance(text, list | tuple | numpy.ndarray):
        words = list(text)
        if all(isinstance(word, str) for word in words):
            return Doc(nlp.vocab, words=words)
    raise ValueError(f"neither a text nor a list of words: {text!r:.100}")


def _row(doc: Doc, tagger: LSTMTagger) -> Row:
    attribute = tagger.attribute
    if attribute == "morph":
        tags = [str(token.morph) for token in doc]
    else:
        tags = [getattr(token, f"{attribute}_") for token in doc]
    row: Row = {
        "tokens": [token.text for token in doc],
        "tags": tags,
        "offsets": [token.idx for token in doc],
        "error": "",
    }
    if tagger.store_probabilities:
        row["confidences"] = [confidence(attribute, token) for token in doc]
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
