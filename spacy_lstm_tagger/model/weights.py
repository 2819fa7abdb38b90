"""State of a network, and its serialization: sizes, vocabulary and weights."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy
import safetensors.numpy
import srsly

from ..prediction.config import EncoderConfig, Shapes, Sizes, Weights
from .packing import pack, unpack
from .vocabulary import Vocabulary, from_lists, to_lists

FORMAT = 1  # of the saved bytes


class Snapshot(NamedTuple):
    """All that a network has learnt. It is replaced as a whole, so threads never see parts of two.

    sizes: The sizes that the training data decided.
    weights: The weights that were loaded, until a PyTorch network is made of them.
    network: The PyTorch network.
    """

    sizes: Sizes
    vocabulary: Vocabulary
    weights: Weights | None = None
    network: Any = None

    def all_weights(self) -> Weights:
        """Return the weights; they share their memory with the network, if there is one."""
        if self.network is not None:
            state = self.network.state_dict()
            return {name: values.detach().cpu().numpy() for name, values in state.items()}
        return self.weights or {}

    def finite_weights(self) -> Weights:
        """Return the weights; ValueError if they contain NaN or infinity."""
        weights = self.all_weights()
        for name, values in weights.items():
            if not numpy.isfinite(values).all():
                raise ValueError(
                    f"the model's weights contain NaN or infinity ({name}): the training diverged. "
                    "Train it with a lower learn_rate, or with grad_clip = 1.0, or load it again."
                )
        return weights


def save(snapshot: Snapshot | None, config: EncoderConfig) -> bytes:
    """Serialize what a network has learnt, if anything, with the weights as safetensors: nothing is
    pickled. Rounded weights, as after a compaction, take less space; see `packing`.
    """
    message = {
        "format": FORMAT,
        "network": type(config).__name__,
        "settings": config.structure,
        "sizes": None,
    }
    if snapshot is not None:
        message["sizes"] = snapshot.sizes._asdict()
        message["vocabulary"] = to_lists(snapshot.vocabulary)
        message["weights"] = safetensors.numpy.save(pack(snapshot.finite_weights()))
    return srsly.msgpack_dumps(message)


def load(data: bytes, config: EncoderConfig) -> Snapshot | None:
    """Return what `save` was given, with weights and without a PyTorch network; ValueError if the
    data are damaged, or were saved with other settings, except those for training.
    """
    with garbage_collection_unchanged():
        try:
            return _load(dict(srsly.msgpack_loads(data)), config)
        except ValueError:
            raise
        except Exception as error:  # damaged bytes can raise anything
            raise ValueError(f"the network's data are damaged: {error!r}") from error


def _load(message: dict[str, Any], config: EncoderConfig) -> Snapshot | None:
    if message["format"] not in range(1, FORMAT + 1):
        raise ValueError(
            f"the network has format {message['format']!r}, and this version of "
            f"spacy-lstm-tagger reads formats up to {FORMAT}. Upgrade it: "
            "pip install --upgrade spacy-lstm-tagger"
        )
    here = {"network": type(config).__name__, **config.structure}
    saved = {"network": message["network"], **message["settings"]}
    if saved != here:
        differences = ", ".join(
            f"{name} = {saved.get(name)!r} (here {here.get(name)!r})"
            for name in {**saved, **here}
            if saved.get(name) != here.get(name)
        )
        raise ValueError(f"it was saved with other settings: {differences}")
    if message["sizes"] is None:
        return None
    sizes = Sizes(**message["sizes"])
    weights = _load_weights(message["weights"], config.shapes(sizes))
    return Snapshot(sizes, from_lists(message["vocabulary"], sizes._asdict()), weights)


def _load_weights(data: bytes, shapes: Shapes) -> Weights:
    """Return weights; ValueError if a network needs other names or shapes."""
    weights = unpack(safetensors.numpy.load(data))
    found = {name: values.shape for name, values in weights.items()}
    if found != shapes:
        wrong = sorted(name for name, _ in found.items() ^ shapes.items())
        raise ValueError(f"its weights don't fit its settings: {', '.join(wrong)}")
    return weights


@contextmanager
def garbage_collection_unchanged() -> Iterator[None]:
    """Restore the state of the garbage collector: srsly leaves it off if reading msgpack fails."""
    is_on = gc.isenabled()
    try:
        yield
    finally:
        (gc.enable if is_on else gc.disable)()
