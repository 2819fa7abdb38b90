"""A tagger in, bytes or files out; and back, whole or not at all.

Two files hold a component: `model`, as Thinc writes it, and `cfg`, in JSON: the number of the
format, the labels and the lexicon, the settings, and a checksum of all of them and of the model;
of a model that listens to a `tok2vec` also a checksum of that, as spaCy saves each by itself.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zlib import crc32

import srsly
from spacy.pipeline import Tagger
from thinc.api import Model, to_numpy
from thinc.util import convert_recursive, is_xp_array

from ..model.crf import is_crf, join_transitions, transitions_of
from ..model.types import DocModel
from ..model.weights import FORMAT, garbage_collection_unchanged
from .labels import FACTORIES
from .lexicon import check_lexicon
from .listeners import check_encoders, encoder_checksums

LEARNT = ("labels", "lexicon")
SETTINGS = ("label_smoothing", "neg_prefix", "new_labels", "overwrite", "store_probabilities")
OPTIONAL = {"new_labels", "store_probabilities"}  # settings that older files may lack


class SavedTagger(Tagger):
    """A tagger that is saved under one checksum, and loaded whole or not at all.

    configured: The settings that the component was made with. A setting that was changed since is
        saved and loaded, unless the component that loads it was made with another one than the
        component that was saved: then the config wins.
    """

    model: Any
    cfg: dict[str, Any]
    configured: dict[str, Any]

    def to_bytes(self, *, exclude: Iterable[str] = ()) -> bytes:
        """Serialize the component; see `to_disk`."""
        exclude = _names(exclude)
        parts = self._parts(exclude)
        if "vocab" not in exclude:
            parts["vocab"] = self.vocab.to_bytes(exclude=exclude)
        return srsly.msgpack_dumps(parts)

    def to_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> None:
        """Save the component to a directory.

        path (str | Path): The directory; it is made if need be.
        exclude (Iterable[str]): Names of what is not to be saved: "vocab", "cfg", "model".
        """
        path, exclude = Path(path), _names(exclude)
        path.mkdir(parents=True, exist_ok=True)
        for name, part in self._parts(exclude, encoder_checksums(self.model, path.parent)).items():
            (path / name).write_bytes(part)
        if "vocab" not in exclude:
            self.vocab.to_disk(path / "vocab", exclude=exclude)

    def from_bytes(self, bytes_data: bytes, *, exclude: Iterable[str] = ()) -> "SavedTagger":
        """Load the component from bytes; see `from_disk`."""
        exclude = _names(exclude)
        with self._naming("these bytes"):
            parts = srsly.msgpack_loads(bytes_data)
            checked = self._check(parts, exclude)
            if "vocab" in parts and "vocab" not in exclude:
                self.vocab.from_bytes(parts["vocab"], exclude=exclude)
            self._take(*checked)
        return self

    def from_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> "SavedTagger":
        """Load the component from a directory.

        path (str | Path): The directory.
        exclude (Iterable[str]): Names of what is not to be loaded: "vocab", "cfg", "model".
        RETURNS (SavedTagger): The component itself.
        RAISES: ValueError if it is damaged, or was saved with other settings; the component
            stays as it was.
        """
        path, exclude = Path(path), _names(exclude)
        with self._naming(path):
            names = [name for name in ("cfg", "model") if (path / name).exists()]
            parts = {name: (path / name).read_bytes() for name in names}
            checked = self._check(parts, exclude, path.parent)
            if (path / "vocab").exists() and "vocab" not in exclude:
                self.vocab.from_disk(path / "vocab", exclude=exclude)
            self._take(*checked)
        return self

    def _parts(
        self, exclude: Iterable[str], encoders: dict[str, int] | None = None
    ) -> dict[str, bytes]:
        self._validate_serialization_attrs()
        model = b"" if "model" in exclude else _model_bytes(self.model)
        contents = {"format": FORMAT, **self.cfg, "configured": self.configured}
        if encoders:
            contents["encoders"] = encoders
        sealed = {**contents, "checksum": _checksum(contents, model)}
        parts = {"cfg": json.dumps(sealed, indent=2).encode("ascii"), "model": model}
        return {name: part for name, part in parts.items() if name not in exclude}

    def _check(
        self, parts: Mapping[str, bytes], exclude: Iterable[str], folder: Path | None = None
    ) -> tuple[dict[str, Any], DocModel, dict[str, Any] | None]:
        """Return the cfg, the model to fill, and what Thinc wrote of it, if they can be taken."""
        for name in ("cfg", "model"):
            if name not in parts and name not in exclude:
                raise ValueError(f"there is no {name!r}")
        saved = _unseal(parts["cfg"], parts.get("model", b"")) if "cfg" in parts else {}
        cfg = self.cfg if "cfg" in exclude else self._merge(saved)
        if "model" in exclude:
            check_labels(self.model, cfg["labels"])
            return cfg, self.model, None
        if folder is not None:
            check_encoders(saved.get("encoders", {}), folder)
        # Other threads may be reading a CRF: they go on with all of the old one.
        model = self.model.copy() if is_crf(self.model) else self.model
        if is_crf(model) and model.has_param("transitions"):
            join_transitions(model)
        message = _open_model(parts["model"], model)
        if "cfg" not in exclude or cfg["labels"]:
            _check_number(message["nodes"][0]["dims"].get("nO"), cfg["labels"])
        return cfg, model, message

    def _take(self, cfg: dict[str, Any], model: DocModel, message: dict[str, Any] | None) -> None:
        if message is not None:
            _fill(model, message)
            self.model = model
        self.cfg = cfg

    def _merge(self, saved: dict[str, Any]) -> dict[str, Any]:
        """Return the cfg that this component gets: learnt things from the file, settings from the
        config; or from the file, if they were changed after that config was read.
        """
        if saved["attribute"] != self.cfg["attribute"]:
            factory = FACTORIES.get(saved["attribute"])
            raise ValueError(f"it learnt {saved['attribute']}: use the factory {factory}")
        _check_cfg(saved)
        configured = saved.get("configured", {})
        changed = {
            name: saved[name]
            for name in SETTINGS
            if name in configured and configured[name] == self.configured[name]
        }
        return {**self.cfg, **{name: saved[name] for name in LEARNT}, **changed}

    @contextmanager
    def _naming(self, source: str | Path) -> Iterator[None]:
        try:
            with garbage_collection_unchanged():
                yield
        except Exception as error:  # a damaged file may raise whatever its bytes happen to mean
            raise ValueError(
                f"{self.name}: can't load {source}: {error}. If the pipeline is damaged, get or "
                "save it again; if not, use the config that it was saved with."
            ) from error


def check_labels(model: DocModel, labels: Sequence[str]) -> None:
    """Raise a ValueError if a model scores another number of labels than there are, as only one of
    the two was loaded.
    """
    _check_number(model.maybe_get_dim("nO"), labels)


def _check_number(n_labels: int | None, labels: Sequence[str]) -> None:
    if n_labels not in (None, len(labels)):
        raise ValueError(f"its model has {n_labels} labels, and its cfg {len(labels)}")


def _names(exclude: Iterable[str]) -> tuple[str, ...]:
    """Return names that can be read more than once."""
    return (exclude,) if isinstance(exclude, str) else tuple(exclude)


def _checksum(contents: Mapping[str, Any], model: bytes) -> int:
    return crc32(model, crc32(json.dumps(contents, sort_keys=True).encode("ascii")))


def _unseal(cfg: bytes, model: bytes) -> dict[str, Any]:
    """Return what `cfg` says, if it is undamaged, and the model is the one it was saved with."""
    try:
        saved = dict(json.loads(cfg))
    except ValueError as error:
        raise ValueError(f"its file cfg is damaged: {error}") from error
    known = {"attribute", *LEARNT, *SETTINGS}
    if saved.keys() == known - OPTIONAL:
        return saved  # of format 0
    number = saved.get("format", FORMAT)
    if not isinstance(number, int) or number > FORMAT:
        raise ValueError(
            f"it has format {number!r}, of a newer version of spacy-lstm-tagger; this version "
            f"reads formats up to {FORMAT}. Upgrade: pip install --upgrade spacy-lstm-tagger"
        )
    checksum = saved.pop("checksum", None)
    if checksum != _checksum(saved, model) or not saved.keys() >= known - OPTIONAL:
        raise ValueError("its files cfg and model are damaged: their checksum is wrong")
    return saved


def _check_cfg(saved: dict[str, Any]) -> None:
    labels, smoothing = saved["labels"], saved["label_smoothing"]
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise ValueError("its labels are no list of texts")
    if len(set(labels)) < len(labels):
        raise ValueError("it has a label twice")
    check_lexicon(saved["lexicon"], labels, str)
    if not 0 <= smoothing <= 1:
        raise ValueError(f"its label_smoothing = {smoothing!r} is no probability")


def _model_bytes(model: DocModel) -> bytes:
    message = model.to_dict()
    if is_crf(model) and model.has_param("transitions"):
        message["params"][0] = {"transitions": transitions_of(model)}
    _check_params(message, model.ops.xp)
    return srsly.msgpack_dumps(convert_recursive(is_xp_array, to_numpy, message))


def _open_model(data: bytes, model: Model) -> dict[str, Any]:
    """Return what Thinc wrote of a model, if the structure and the sizes of this one fit."""
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
    """Check what the layers above the networks have learnt, such as the transitions of a CRF."""
    for node, params in zip(message["nodes"], message["params"], strict=True):
        n_labels = node["dims"].get("nO")
        for name, values in params.items():
            if values is None:
                continue
            if values.dtype != "float32" or not xp.isfinite(values).all():
                raise ValueError(f"its model's {name} are no finite numbers in fp32")
            if name == "transitions" and values.shape != (n_labels, n_labels):
                raise ValueError(f"its model's {name} are not those of {n_labels} labels")


def _fill(model: Model, message: dict[str, Any]) -> None:
    """Give a model what was saved. What can still be refused comes first: the networks, which
    know their settings, and change only if they accept them.
    """
    nodes = list(model.walk())
    for node, states in zip(nodes, message["shims"], strict=True):
        for shim, state in zip(node.shims, states, strict=True):
            shim.from_bytes(state)
    model.from_dict({**message, "shims": [[] for _ in nodes]})
