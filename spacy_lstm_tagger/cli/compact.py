"""A trained pipeline in a fraction of its size, with nearly the same tags."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray
from spacy.language import Language
from spacy.tokens import Doc
from thinc.api import Model
from wasabi import msg

from ..model.compaction import DROPPED
from ..model.shim import NetworkShim, has_network
from ..pipeline.labels import FACTORIES
from ..pipeline.tagger import LSTMTagger
from .assembly import rebuild
from .io import find_files, load_pipeline, progress, read_texts

SHARES = [share / 20 for share in range(19, -1, -1)]  # of words to drop; the largest is tried first
CHANGED = 1 / 1000  # of all tokens, at most
BATCH_SIZE = 128


def compact_pipeline(
    pipeline: str,
    output: Path,
    texts: Sequence[Path] = (),
    *,
    text_key: str = "text",
    force: bool = False,
) -> None:
    """Save a trained pipeline in a fraction of its size.

    pipeline (str): Name or path.
    output (Path): The folder to write to.
    texts (Sequence[Path]): Files or folders of texts: as many words are dropped as change at most 1
        in 1,000 labels of these. Without them, a share that has proved good.
    text_key (str): Where JSONL files have their texts.
    force (bool): Whether to overwrite.
    RAISES: ValueError if there is no such pipeline, if it has no LSTM, or if something would be
        overwritten.
    """
    if output.exists() and not force:
        raise ValueError(f"{output} exists already; use --force to overwrite it")
    files = [file for file, _ in find_files(texts)] if texts else []
    nlp = load_pipeline(pipeline)
    if not any(_shims(nlp)):
        raise ValueError(f"{pipeline} has no component of this package that could be made smaller")
    before, dropped = size_of(Path(nlp.path)), DROPPED
    if files:
        other = load_pipeline(pipeline)  # whose vocab gets the words of the texts
        texts_of = (text for file in files for text in read_texts(file, text_key))
        read = (text.to_doc(other) for text in texts_of if not text.error)
        dropped, changed = compact(other, list(progress(read, "Reading texts")))
        msg.info(f"{1000 * changed:.2f} of 1,000 tokens get other labels")
    for shim in _shims(nlp):
        shim.compact(dropped)
    save(_without_strings(nlp), output)
    msg.good(
        f"Without {dropped:.0%} of its words and with rounded weights, it takes "
        f"{size_of(output) / 1e6:.1f} MB instead of {before / 1e6:.1f}",
        output,
    )


def compact(nlp: Language, docs: Sequence[Doc]) -> tuple[float, float]:
    """Make the networks of a pipeline as small as they can be with nearly the same labels.

    nlp (Language): The pipeline.
    docs (Sequence[Doc]): Docs of any vocab, whose tokens are labelled to see what changes.
    RETURNS (tuple[float, float]): The share of words that were dropped, and of tokens whose
        labels changed.
    """
    shims = list(_shims(nlp))
    trained, labels = [shim.to_bytes() for shim in shims], _labels(nlp, docs)
    dropped = changed = 0.0
    for dropped in SHARES:
        for shim, state in zip(shims, trained, strict=True):
            shim.from_bytes(state)
            shim.compact(dropped)
        changed = float((_labels(nlp, docs) != labels).any(axis=1).mean()) if len(labels) else 0.0
        if changed <= CHANGED:
            break
    return dropped, changed


def save(nlp: Language, path: Path) -> None:
    """Save a pipeline to a folder that is whole or not there."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        nlp.to_disk(unfinished)
        if path.exists():
            shutil.rmtree(path)
        unfinished.rename(path)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def size_of(path: Path) -> int:
    """Return the number of bytes of all files of a folder."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def _shims(nlp: Language) -> Iterator[NetworkShim]:
    for _, pipe in nlp.pipeline:
        for node in _nodes(pipe):
            for shim in node.shims:
                if isinstance(shim, NetworkShim) and not shim.is_empty:
                    yield shim


def _nodes(pipe: Any) -> Iterator[Model]:
    model = getattr(pipe, "model", None)
    return iter(model.walk() if isinstance(model, Model) else ())


def _labels(nlp: Language, docs: Sequence[Doc]) -> NDArray[Any]:
    """Return (tokens, attributes) what a pipeline writes to copies of Docs."""
    keys: list[int | str] = [attribute.upper() for attribute in FACTORIES]
    copies = (
        Doc(nlp.vocab, words=[t.text for t in doc], spaces=[bool(t.whitespace_) for t in doc])
        for doc in docs
    )
    arrays = [doc.to_array(keys) for doc in nlp.pipe(copies, batch_size=BATCH_SIZE)]
    return numpy.concatenate([*arrays, numpy.zeros((0, len(keys)), dtype="uint64")])


def _without_strings(nlp: Language) -> Language:
    """Return a pipeline without the strings that it doesn't need; the pipeline itself if it has
    models of another kind, which may need theirs.
    """
    for _, pipe in nlp.components:
        is_ours = isinstance(pipe, LSTMTagger) or any(map(has_network, _nodes(pipe)))
        if any(_nodes(pipe)) and not is_ours:
            return nlp
    rebuilt = rebuild(nlp.config, nlp, nlp.components, nlp.vocab.vectors)
    rebuilt.meta.update(nlp.meta)
    return rebuilt
