"""The command `compact`: a smaller copy of a trained pipeline, with nearly the same labels."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray
from spacy.language import Language
from spacy.tokens import Doc
from wasabi import msg

from ..model.compaction import DROPPED
from ..model.shim import has_network
from ..pipeline.labels import FACTORIES, labels_of
from ..pipeline.listeners import nodes_of
from ..pipeline.pairing import bare_copy
from ..pipeline.tagger import LSTMTagger
from .assembly import rebuild
from .io import find_files, load_pipeline, networks_of, progress, read_texts

SHARES = [share / 20 for share in range(19, -1, -1)]  # of words to drop; the largest is tried first
CHANGED = 1 / 1000  # of all tokens, at most
BATCH_SIZE = 128
# What components write that read an LSTM of this package.
WRITTEN: list[int | str] = ["TAG", "POS", "MORPH", "ENT_IOB", "ENT_TYPE", "HEAD", "DEP"]


def compact_pipeline(
    pipeline: str,
    output: Path,
    texts: Sequence[Path] = (),
    *,
    text_key: str = "text",
    force: bool = False,
) -> None:
    """Save a smaller copy of a trained pipeline. The arguments are those of the command.

    texts (Sequence[Path]): Files or folders of texts. Words are dropped as long as at most 1 in
        1,000 of their labels changes. Without texts, a fixed share is dropped.
    RAISES: ValueError if there is no such pipeline, if it has no LSTM, or if something would be
        overwritten.
    """
    output = output.absolute()
    if output.exists() and not force:
        raise ValueError(f"{output} exists already; use --force to overwrite it")
    if output.exists() and not (output / "meta.json").is_file():
        raise ValueError(f"{output} is no pipeline, so it isn't overwritten; name another folder")
    files = [file for file, _ in find_files(texts)] if texts else []
    nlp = load_pipeline(pipeline)
    if not networks_of(nlp):
        raise ValueError(f"{pipeline} has no component of this package that could be made smaller")
    before, dropped = size_of(Path(nlp.path)), DROPPED
    if files:
        other = load_pipeline(pipeline)  # its vocab gets the words of the texts
        texts_of = (text for file in files for text in read_texts(file, text_key))
        read = (text.to_doc(other) for text in texts_of if not text.error)
        dropped, changed = compact(other, list(progress(read, "Reading texts")))
        msg.info(f"{1000 * changed:.2f} of 1,000 tokens get other labels")
    for shim in networks_of(nlp):
        shim.compact(dropped)
    save(_without_strings(nlp), output)
    msg.good(
        f"Without {dropped:.0%} of its words and with rounded weights, it takes "
        f"{size_of(output) / 1e6:.1f} MB instead of {before / 1e6:.1f}",
        output,
    )


def compact(nlp: Language, docs: Sequence[Doc]) -> tuple[float, float]:
    """Make the networks of a pipeline as small as possible with nearly the same labels.

    docs (Sequence[Doc]): Docs of any vocab to compare labels on.
    RETURNS (tuple[float, float]): The share of dropped words, and of tokens with other labels.
    """
    shims = networks_of(nlp)
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
    """Save a pipeline atomically."""
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


def _labels(nlp: Language, docs: Sequence[Doc]) -> NDArray[Any]:
    """Return (tokens, attributes) the annotation that a pipeline gives to copies of Docs."""
    own = {pipe.attribute for _, pipe in nlp.pipeline if isinstance(pipe, LSTMTagger)}
    extensions = sorted(own.difference(FACTORIES))
    copies = (bare_copy(doc, nlp.vocab) for doc in docs)
    arrays = [numpy.zeros((0, len(WRITTEN) + len(extensions)), dtype="uint64")]
    for doc in nlp.pipe(copies, batch_size=BATCH_SIZE):
        rows = [labels_of(doc, name) for name in extensions]
        ids = [[nlp.vocab.strings.add(label or "") for label in row] for row in rows]
        columns = [numpy.asarray(row, "uint64")[:, None] for row in ids]
        arrays.append(numpy.concatenate([doc.to_array(WRITTEN), *columns], axis=1))
    return numpy.concatenate(arrays)


def _without_strings(nlp: Language) -> Language:
    """Return a pipeline without unneeded strings; the pipeline itself if it has models of other
    packages, which may need theirs.
    """
    for _, pipe in nlp.components:
        nodes = nodes_of(pipe)
        if nodes and not isinstance(pipe, LSTMTagger) and not any(map(has_network, nodes)):
            return nlp
    rebuilt = rebuild(nlp.config, nlp, nlp.components, nlp.vocab.vectors)
    rebuilt.meta.update(nlp.meta)
    return rebuilt
