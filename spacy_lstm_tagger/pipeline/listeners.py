"""Listeners: checks of the `tok2vec` whose vectors a tagger reads."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakSet
from zlib import crc32

from spacy.language import Language
from spacy.pipeline.tok2vec import Tok2VecListener
from spacy.tokens import Doc
from thinc.api import Model

from ..model.types import DocModel

_pipelines: WeakSet[Language] = WeakSet()


def nodes_of(pipe: object) -> list[Model]:
    """Return the nodes of a component's model; none if it has no model."""
    model = getattr(pipe, "model", None)
    return list(model.walk()) if isinstance(model, Model) else []


def check_widths(model: DocModel, nlp: Language) -> None:
    """Raise a ValueError if a listener's width is not that of the component it listens to."""
    for name, upstream, listener in _linked(model, nlp):
        width, needed = upstream.model.maybe_get_dim("nO"), listener.get_dim("nO")
        if width is not None and width != needed:
            raise ValueError(
                f"its model listens to {name!r} with width = {needed}, but the vectors of {name!r} "
                f"are {width} wide: set width = {width} for its spacy.Tok2VecListener.v1 in the "
                "config, or take the width from the encoder: "
                "spacy-lstm-tagger.LSTMListener.v1 with encoder = ${components."
                f"{name}.model}}"
            )


def check_read(model: DocModel, docs: Sequence[Doc]) -> None:
    """Raise a ValueError if a Doc lacks the vectors that a listener reads, `doc.tensor`; spaCy
    would use zeros.
    """
    for listener in _listeners(model):
        width, name = listener.get_dim("nO"), listener.upstream_name
        name = "tok2vec" if name == "*" else name  # for any, as spaCy's configs call it
        for doc in docs:
            if not len(doc) or doc.tensor.shape == (len(doc), width):
                continue
            found = f"{doc.tensor.shape} values" if doc.tensor.size else "nothing"
            raise ValueError(
                f"its model listens to {name!r} and needs {(len(doc), width)} values in "
                f"doc.tensor, but the Doc '{doc.text:.40}' has {found} there. Let {name!r} read "
                f"the Doc first: nlp.get_pipe({name!r})(doc)"
            )


def check_rehearsal(model: DocModel) -> None:
    """Raise a ValueError if a listener would use the vectors of the last update instead of those
    of the rehearsal, as spaCy rehearses no `tok2vec`.
    """
    for listener in _listeners(model):
        if listener._batch_id is not None:  # spaCy has no public way to ask this
            raise ValueError(
                "it can't be rehearsed while the encoder that its model listens to is trained. "
                "Update it with old examples among the new ones, or give it its own encoder: "
                "nlp.replace_listeners"
            )


def encoder_checksums(model: DocModel) -> dict[str, int]:
    """Return a checksum of each `tok2vec` that a model listens to, by its name. The `tok2vec` in
    memory is read, as a file can be an older one. There is none if the pipeline is not known.
    """
    return {
        name: crc32(upstream.model.to_bytes())
        for nlp in list(_pipelines)
        for name, upstream, _ in _linked(model, nlp)
    }


def remember_pipeline(nlp: Language) -> None:
    """Let `encoder_checksums` find the encoders of a pipeline, as long as it exists."""
    _pipelines.add(nlp)


def check_encoders(checksums: dict[str, int], folder: Path) -> None:
    """Raise a ValueError if a `tok2vec` is not the one that the tagger was saved with.

    checksums (dict[str, int]): What `encoder_checksums` returned then.
    """
    for name, checksum in checksums.items():
        path = folder / name / "model"
        if path.is_file() and crc32(path.read_bytes()) != checksum:
            raise ValueError(
                f"it listens to {name!r}, and was saved with another one than the one here: saving "
                "the pipeline was interrupted, or only one of the two was replaced"
            )


def _linked(model: DocModel, nlp: Language) -> Iterator[tuple[str, Any, Tok2VecListener]]:
    """Yield the name of each component that a model listens to, the component and the listener."""
    for listener in _listeners(model):
        for name, component in nlp.components:
            if any(one is listener for one in getattr(component, "listeners", ())):
                yield name, component, listener


def _listeners(model: DocModel) -> Iterator[Tok2VecListener]:
    return (node for node in model.walk() if isinstance(node, Tok2VecListener))
