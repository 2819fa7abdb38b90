"""What a network has learnt in, bytes out; and back, whole or not at all."""

from typing import Any, NamedTuple, cast
from zlib import crc32

import numpy
import safetensors.numpy
import srsly

from ..prediction.weights import Weights, shapes_of
from .garbage import collection_unchanged
from .vocabulary import Vocabulary, from_lists, to_lists

FORMAT = 2  # of the files; 0 had no number and no checksum, and in 1 no vocabulary had grown
CHECKSUM_LENGTH = 4  # bytes, of a CRC-32: it finds damage in a third of a digest's time


class Learnt(NamedTuple):
    """All that a network has learnt; replaced as a whole, so no thread sees parts of two.

    sizes: The arguments of the network that the data decided.
    vocabulary: What the ids of its input mean.
    weights: The weights that were loaded, as long as no torch network is needed.
    network: The torch network. If both are missing, nothing was learnt yet.
    """

    sizes: dict[str, int]
    vocabulary: Vocabulary | None
    weights: Weights | None
    network: Any

    @property
    def is_empty(self) -> bool:
        """Whether nothing was learnt yet."""
        return self.weights is None and self.network is None

    def all_weights(self) -> Weights:
        """Return the weights, shared with the network if there is one."""
        if self.network is not None:
            state = self.network.state_dict()
            return {name: values.detach().cpu().numpy() for name, values in state.items()}
        assert self.weights is not None
        return self.weights

    def finite_weights(self) -> Weights:
        """Return the weights; ValueError if some are no finite numbers, after a training that went
        wrong.
        """
        weights = self.all_weights()
        for name, values in weights.items():
            if not numpy.isfinite(values).all():
                raise ValueError(
                    f"the model's weights are no finite numbers ({name}): its training went wrong. "
                    "Train it with a lower learn_rate, or with grad_clip = 1.0, or load it again."
                )
        return weights


def save(learnt: Learnt, network_class: str, settings: dict[str, Any]) -> bytes:
    """Serialize all that was configured and learnt; the weights as safetensors, not pickled.

    learnt (Learnt): What was learnt.
    network_class (str): Name of the network's class.
    settings (dict[str, Any]): The arguments of the network that the config decides.
    RETURNS (bytes): A checksum, and what it guards.
    """
    weights = None if learnt.is_empty else safetensors.numpy.save(dict(learnt.finite_weights()))
    contents = srsly.msgpack_dumps(
        {
            "format": FORMAT,
            "network": network_class,
            "settings": settings,
            "sizes": learnt.sizes,
            "vocabulary": learnt.vocabulary and to_lists(learnt.vocabulary),
            "weights": weights,
        }
    )
    return crc32(contents).to_bytes(CHECKSUM_LENGTH, "big") + contents


def load(data: bytes, network_class: str, settings: dict[str, Any]) -> Learnt:
    """Return what was saved.

    data (bytes): What `save` returned.
    network_class (str): As for `save`; both must be those that it was saved with.
    settings (dict[str, Any]): As for `save`.
    RETURNS (Learnt): What was learnt, with weights and no torch network.
    RAISES: ValueError if the data are damaged, or were saved with other settings.
    """
    contents = memoryview(data)[CHECKSUM_LENGTH:]
    if crc32(contents) != int.from_bytes(data[:CHECKSUM_LENGTH], "big") or not contents:
        raise ValueError("the network's weights are damaged: their checksum is wrong")
    with collection_unchanged():
        message = srsly.msgpack_loads(contents)
    if message.get("format", 0) > FORMAT:
        raise ValueError(
            f"the network has format {message['format']}, of a newer version of "
            f"spacy-lstm-tagger; this version reads formats up to {FORMAT}. Upgrade it."
        )
    here = {"network": network_class, **settings}
    saved = {"network": message["network"], **message["settings"]}
    if saved != here:
        differences = ", ".join(
            f"{name} = {saved.get(name)!r} (here {here.get(name)!r})"
            for name in {**saved, **here}
            if saved.get(name) != here.get(name)
        )
        raise ValueError(f"it was saved with other settings: {differences}")
    sizes, weights = message["sizes"], message["weights"]
    loaded = None if weights is None else _check(weights, {**settings, **sizes})
    vocabulary = None if loaded is None else from_lists(message["vocabulary"], sizes)
    return Learnt(sizes, vocabulary, loaded, None)


def _check(data: bytes, sizes_and_settings: dict[str, Any]) -> Weights:
    """Return weights that were saved, if they are those of such a network."""
    weights = safetensors.numpy.load(data)
    expected = shapes_of(**cast(Any, sizes_and_settings))
    found = {name: values.shape for name, values in weights.items()}
    if found != expected:
        wrong = sorted(name for name, _ in found.items() ^ expected.items())
        raise ValueError(f"its weights are not those of its network: {', '.join(wrong)}")
    for name, values in weights.items():
        if values.dtype != "float32" or not numpy.isfinite(values).all():
            raise ValueError(f"its weights are no finite numbers in fp32: {name}")
    return weights
