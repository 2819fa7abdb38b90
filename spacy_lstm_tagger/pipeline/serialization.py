"""Serialization of the component, as its methods: labels, lexicon and weights, under one checksum.

A saved component has two files: `model`, as Thinc writes it, and `cfg` in JSON. `cfg` has the
number of the format, the attribute, the labels, the lexicon, and a checksum of all this and of the
model; if the model listens to a `tok2vec`, also a checksum of that, which spaCy saves by itself.
Settings are not saved, as the config has them.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from zlib import crc32

import srsly
from spacy.pipeline import Tagger
from thinc.api import Model, to_numpy
from thinc.util import convert_recursive, is_xp_array

from ..model.crf import constrain, is_crf, join_transitions, transitions_of
from ..model.types import Bools2d, DocModel
from ..model.weights import FORMAT, garbage_collection_unchanged
from .constraints import check_lexicon
from .labels import FACTORIES, LABEL_FACTORY
from .listeners import check_encoders, encoder_checksums
from .spans import allowed_pairs, scheme_of

SAVED = ("attribute", "labels", "lexicon")

Component = TypeVar("Component", bound=Tagger)


class Loaded(NamedTuple):
    """The checked state of a component, not yet assigned to it.

    cfg: The labels and the lexicon; empty if they are excluded.
    model: The model to fill: that of the component, or a copy to replace it.
    message: The serialized model; None if it is excluded.
    pairs: The pairs of labels that their scheme allows; None if they have no scheme.
    """

    cfg: dict[str, Any]
    model: DocModel
    message: dict[str, Any] | None
    pairs: Bools2d | None


def to_bytes(tagger: Tagger, *, exclude: Iterable[str] = ()) -> bytes:
    """Serialize the component; see `to_disk`."""
    exclude = _names(exclude)
    files = _save(tagger, exclude)
    if "vocab" not in exclude:
        files["vocab"] = tagger.vocab.to_bytes(exclude=exclude)
    return srsly.msgpack_dumps(files)


def to_disk(tagger: Tagger, path: str | Path, *, exclude: Iterable[str] = ()) -> None:
    """Save the component to a folder: labels, lexicon and weights. The pipeline's config has the
    settings.

    path (str | Path): The folder; it is made if need be.
    exclude (Iterable[str]): What is not saved: "vocab", "cfg" or "model".
    """
    path, exclude = Path(path), _names(exclude)
    path.mkdir(parents=True, exist_ok=True)
    for name, data in _save(tagger, exclude, encoder_checksums(tagger.model)).items():
        (path / name).write_bytes(data)
    if "vocab" not in exclude:
        tagger.vocab.to_disk(path / "vocab", exclude=exclude)


def from_bytes(tagger: Component, bytes_data: bytes, *, exclude: Iterable[str] = ()) -> Component:
    """Load the component from bytes; see `from_disk`."""
    exclude = _names(exclude)
    with _named_in_errors(tagger.name, "these bytes"):
        files = srsly.msgpack_loads(bytes_data)
        loaded = _check(tagger, files, exclude)
        if "vocab" in files and "vocab" not in exclude:
            tagger.vocab.from_bytes(files["vocab"], exclude=exclude)
        _take(tagger, loaded)
    return tagger


def from_disk(tagger: Component, path: str | Path, *, exclude: Iterable[str] = ()) -> Component:
    """Load the component from a folder, and return it.

    path (str | Path): The folder.
    exclude (Iterable[str]): What is not loaded: "vocab", "cfg" or "model".
    RAISES: ValueError if it is damaged, or was saved with other settings of the model or by
        another factory; the component stays as it was.
    """
    path, exclude = Path(path), _names(exclude)
    with _named_in_errors(tagger.name, path):
        names = [name for name in ("cfg", "model") if (path / name).exists()]
        files = {name: (path / name).read_bytes() for name in names}
        loaded = _check(tagger, files, exclude, path.parent)
        if (path / "vocab").exists() and "vocab" not in exclude:
            tagger.vocab.from_disk(path / "vocab", exclude=exclude)
        _take(tagger, loaded)
    return tagger


def check_labels(n_outputs: int | None, labels: Sequence[str]) -> None:
    """Raise a ValueError if a model scores another number of labels than there are, as only one of
    the two was loaded.
    """
    if n_outputs not in (None, len(labels)):
        raise ValueError(f"its model has {n_outputs} labels, and its cfg {len(labels)}")


def _names(exclude: Iterable[str]) -> tuple[str, ...]:
    """Return names that can be read more than once."""
    return (exclude,) if isinstance(exclude, str) else tuple(exclude)


@contextmanager
def _named_in_errors(name: str, source: str | Path) -> Iterator[None]:
    try:
        with garbage_collection_unchanged():
            yield
    except Exception as error:  # damaged bytes can mean anything
        raise ValueError(
            f"{name}: can't load {source}: {error}. If the pipeline is damaged, get or save it "
            "again; if not, use the config that it was saved with."
        ) from error


def _save(
    tagger: Tagger, exclude: Collection[str], encoders: dict[str, int] | None = None
) -> dict[str, bytes]:
    """Return the contents of each file of a component."""
    model = b"" if "model" in exclude else _model_bytes(tagger.model)
    contents = {"format": FORMAT, **{name: tagger.cfg[name] for name in SAVED}}
    if encoders:
        contents["encoders"] = encoders
    sealed = {**contents, "checksum": _checksum(contents, model)}
    files = {"cfg": json.dumps(sealed, indent=2).encode("ascii"), "model": model}
    return {name: data for name, data in files.items() if name not in exclude}


def _check(
    tagger: Tagger, files: Mapping[str, bytes], exclude: Collection[str], folder: Path | None = None
) -> Loaded:
    """Check the files of a component, before anything is changed."""
    for name in ("cfg", "model"):
        if name not in files and name not in exclude:
            raise ValueError(f"there is no {name!r}")
    saved = _unseal(files["cfg"], files.get("model", b"")) if "cfg" in files else {}
    cfg = {} if "cfg" in exclude else _check_cfg(saved, tagger.cfg["attribute"])
    labels = cfg.get("labels", tagger.cfg["labels"])
    model = tagger.model
    scheme = scheme_of(labels, tagger.cfg["scheme"])
    pairs = None if scheme is None else allowed_pairs(labels, scheme)
    if "model" in exclude:
        check_labels(model.maybe_get_dim("nO"), labels)
        return Loaded(cfg, model, None, pairs)
    if folder is not None:
        check_encoders(saved.get("encoders", {}), folder)
    if is_crf(model):
        model = model.copy()  # other threads may be reading its parameters
        if model.has_param("transitions"):
            join_transitions(model)
    message = _open_model(files["model"], model)
    if "cfg" not in exclude or labels:
        check_labels(message["nodes"][0]["dims"].get("nO"), labels)
    return Loaded(cfg, model, message, pairs)


def _take(tagger: Tagger, loaded: Loaded) -> None:
    if loaded.message is not None:
        nodes = list(loaded.model.walk())
        for node, states in zip(nodes, loaded.message["shims"], strict=True):
            for shim, state in zip(node.shims, states, strict=True):
                shim.from_bytes(state)  # networks come first, as they can still refuse
        loaded.model.from_dict({**loaded.message, "shims": [[] for _ in nodes]})
    constrain(loaded.model, loaded.pairs)
    tagger.model = loaded.model
    tagger.cfg = {**tagger.cfg, **loaded.cfg}


def _checksum(contents: Mapping[str, Any], model: bytes) -> int:
    return crc32(model, crc32(json.dumps(contents, sort_keys=True).encode("ascii")))


def _unseal(cfg: bytes, model: bytes) -> dict[str, Any]:
    """Return the contents of `cfg`, if it belongs to the model, and both are undamaged."""
    try:
        saved = dict(json.loads(cfg))
    except ValueError as error:
        raise ValueError(f"its file cfg is damaged: {error}") from error
    number = saved.get("format", FORMAT)
    if not isinstance(number, int) or number > FORMAT:
        raise ValueError(
            f"it has format {number!r}, of a newer version of spacy-lstm-tagger; this version "
            f"reads formats up to {FORMAT}. Upgrade: pip install --upgrade spacy-lstm-tagger"
        )
    checksum = saved.pop("checksum", None)
    if checksum != _checksum(saved, model) or not saved.keys() >= {"format", *SAVED}:
        raise ValueError("its files cfg and model are damaged: their checksum is wrong")
    return saved


def _check_cfg(saved: dict[str, Any], attribute: str) -> dict[str, Any]:
    """Return the labels and the lexicon of a component of an attribute."""
    if saved["attribute"] != attribute:
        factory = FACTORIES.get(saved["attribute"], f"{LABEL_FACTORY} with this extension")
        raise ValueError(f"it learnt {saved['attribute']}: use the factory {factory}")
    labels = saved["labels"]
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise ValueError("its labels are not a list of strings")
    if len(set(labels)) < len(labels):
        raise ValueError("it has a label twice")
    return {"labels": labels, "lexicon": check_lexicon(saved["lexicon"], labels, str)}


def _model_bytes(model: DocModel) -> bytes:
    message = model.to_dict()
    if is_crf(model) and model.has_param("transitions"):
        message["params"][0] = {"transitions": transitions_of(model)}
    _check_params(message, model.ops.xp)
    return srsly.msgpack_dumps(convert_recursive(is_xp_array, to_numpy, message))


def _open_model(data: bytes, model: Model) -> dict[str, Any]:
    """Deserialize a model; ValueError if it hasn't the structure and the sizes of this one."""
    message = convert_recursive(is_xp_array, model.ops.asarray, srsly.msgpack_loads(data))
    if model.can_from_dict(message, strict=False):
        _check_params(message, model.ops.xp)
        return message
    sizes = [
        f"{size} = {value} (here {node.get_dim(size)}) of {node.name!r}"
        for node, info in zip(model.walk(), message["nodes"], strict=False)
        for size, value in info["dims"].items()
        if node.has_dim(size) and node.get_dim(size) != value
    ]
    raise ValueError(f"its model is another one: {', '.join(sizes) or 'it has other layers'}")


def _check_params(message: dict[str, Any], xp: Any) -> None:
    """Check the parameters outside of the networks, such as the transitions of a CRF."""
    for node, params in zip(message["nodes"], message["params"], strict=True):
        n_labels = node["dims"].get("nO")
        for name, values in params.items():
            if values is None:
                continue
            if values.dtype != "float32" or not xp.isfinite(values).all():
                raise ValueError(f"its model's {name} are not finite numbers in fp32")
            if name == "transitions" and values.shape != (n_labels, n_labels):
                raise ValueError(f"its model's {name} do not fit {n_labels} labels")
