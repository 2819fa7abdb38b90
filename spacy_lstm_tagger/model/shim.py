"""The shim that holds a network in a Thinc model: training, prediction, growth, saving, threads."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from threading import RLock
from typing import Any, NamedTuple

import numpy
from thinc.api import NumpyOps, Optimizer, PyTorchShim, get_current_ops, torch2xp, xp2torch
from thinc.shims import Shim
from thinc.util import get_torch_default_device

from ..prediction.config import EncoderConfig, Sizes, TaggerConfig
from ..prediction.reader import Reader, reader_of
from .compaction import DROPPED, compact
from .compat import encoder, require_torch, runtime, torch
from .types import DocModel, Floats2d, Ints1d, Keys1d, TypeIds, Windows
from .vocabulary import KINDS, UNKNOWN, News, Vocabulary, merge
from .weights import Snapshot, load, save

Describe = Callable[[list[int], Vocabulary], TypeIds]

# Held while a network or a CRF gets more words or labels, and while all weights are read.
_resizing = RLock()

EMBEDDINGS = ("words.weight", "affixes.weight", "characters.embedding.weight")  # as in KINDS


def _renew_lock() -> None:
    global _resizing
    _resizing = RLock()


if hasattr(os, "register_at_fork"):  # another thread of the parent may have held it
    os.register_at_fork(after_in_child=_renew_lock)


@contextmanager
def resizing() -> Iterator[None]:
    """Let no other thread resize or prepare a network meanwhile."""
    with _resizing:
        yield


class Prepared(NamedTuple):
    """A network that is prepared for prediction on a CPU; `reader` computes the same.

    version: The shim's version when it was prepared.
    """

    version: object
    vocabulary: Vocabulary
    reader: Reader


class NetworkShim(PyTorchShim):
    """Hold a network and its vocabulary. The network is made when its sizes are known.

    It differs from Thinc's shim: averaged weights reach the network, and the trained ones come back
    even after an exception; prediction changes nothing but a cache, so threads can share it, and
    needs no PyTorch on a CPU; nothing is pickled on saving; a copy is optimized separately.

    Only one thread at a time may change the weights. Meanwhile, predictions in other threads see
    old weights, new ones or, during an optimizer's step or `use_params`, some of both. Whatever
    was prepared or cached of old weights isn't used after the change.

    config: The settings.
    """

    def __init__(self, config: EncoderConfig):
        """Prepare a network; `build` or `from_bytes` makes it."""
        # `PyTorchShim.__init__` needs PyTorch.
        Shim.__init__(self, None)
        self.config = config
        self._snapshot: Snapshot | None = None
        self._prepared: Prepared | None = None
        self._version = object()  # replaced after each change of the weights

    @property
    def is_empty(self) -> bool:
        """Whether there is no network yet."""
        return self._snapshot is None

    @property
    def vocabulary(self) -> Vocabulary:
        """The vocabulary; ValueError if there is no network yet."""
        return self._learnt.vocabulary

    @property
    def vector_width(self) -> int:
        """Width of the static vectors that the network reads; 0 for none."""
        return self._learnt.sizes.vector_width

    @property
    def output_width(self) -> int:
        """Width of the network's output; ValueError if there is no network yet."""
        sizes = self._learnt.sizes
        return sizes.n_labels if isinstance(self.config, TaggerConfig) else self.config.width

    @property
    def network(self) -> Any:
        """The PyTorch network; made when it is first needed, if the weights were loaded."""
        snapshot = self._learnt
        if snapshot.network is not None:
            return snapshot.network
        torch = require_torch()
        with self._changing():
            with torch.device("meta"):  # random weights would take time
                network = encoder.network_of(self.config, self._learnt.sizes)
            weights = snapshot.all_weights().items()
            state = {name: torch.tensor(values, device="cpu") for name, values in weights}
            network.load_state_dict(state, strict=True, assign=True)
            network = network.to(get_torch_default_device())
            self._snapshot = snapshot._replace(weights=None, network=network)
        return network

    @property
    def device(self) -> Any:
        """The `torch.device` of the network."""
        return next(self.network.parameters()).device

    def build(self, vocabulary: Vocabulary, *, vector_width: int = 0, n_labels: int = 0) -> None:
        """Make the network, with random weights. Optimizers of an earlier network start afresh.

        vector_width (int): Width of the static vectors, if it reads any.
        n_labels (int): Number of labels, if it scores any.
        """
        torch = require_torch()
        sizes = Sizes(**vocabulary.sizes, vector_width=vector_width, n_labels=n_labels)
        with self._changing(), torch.device("cpu"):
            network = encoder.network_of(self.config, sizes).to(get_torch_default_device())
            self._snapshot = Snapshot(sizes, vocabulary, None, network)
        self._renew_id()

    def take_over(self, pretrained: "NetworkShim") -> None:
        """Take over the words and the weights of an encoder, and make a new output layer.

        RAISES: ValueError if the encoder reads static vectors of another width.
        """
        if pretrained.vector_width != self.vector_width:
            raise ValueError(
                f"it reads word vectors of width {pretrained.vector_width}, and those of the "
                f"pipeline have width {self.vector_width}"
            )
        weights = dict(pretrained._learnt.all_weights())
        vocabulary, rows = merge(pretrained.vocabulary, self.vocabulary, self.config.max_words)
        for kind, name in zip(KINDS, EMBEDDINGS, strict=True):
            if name in weights:
                weights[name] = weights[name][rows[kind]]
        is_new = rows["words"] == UNKNOWN
        weights["words.weight"][1:][is_new[1:]] = 0  # rows are differences from UNKNOWN
        sizes = self._learnt.sizes
        self.build(vocabulary, vector_width=sizes.vector_width, n_labels=sizes.n_labels)
        with self._changing():
            state = {name: xp2torch(values) for name, values in weights.items()}
            self.network.load_state_dict(state, strict=False)

    def learn(self, news: News) -> None:
        """Let the vocabulary grow. The network makes room first, so that threads can predict
        meanwhile. No prediction changes.
        """
        network, snapshot = self.network, self._learnt
        sizes = snapshot.vocabulary.sizes_with(news)
        with resizing(), self._changing():
            network.grow(**sizes)
            self._snapshot = snapshot._replace(sizes=snapshot.sizes._replace(**sizes))
        snapshot.vocabulary.learn(news)

    def grow_output(self, n_labels: int, peers: Sequence[Sequence[int]] | None = None) -> None:
        """Add labels at the end, each the mean of its peers or, without any, of all labels."""
        network, snapshot = self.network, self._learnt
        with resizing(), self._changing():
            network.grow_output(n_labels, peers)
            self._snapshot = snapshot._replace(sizes=snapshot.sizes._replace(n_labels=n_labels))

    def compact(self, dropped: float = DROPPED) -> None:
        """Make the network smaller; see `compaction.compact`. It can be trained further."""
        learnt = self._learnt
        vocabulary, weights = compact(learnt.vocabulary, learnt.all_weights(), dropped)
        sizes = learnt.sizes._replace(**vocabulary.sizes)
        self._snapshot = Snapshot(sizes, vocabulary, weights)
        self._version = object()
        self._renew_id()

    def prepare(self) -> Prepared:
        """Return the network, prepared for prediction on a CPU; ValueError if there is none yet."""
        prepared = self._prepared
        if prepared is not None and prepared.version is self._version:
            return prepared
        with resizing():
            version, prepared = self._version, self._prepared
            if prepared is None or prepared.version is not version:
                learnt = self._learnt
                # If the weights change meanwhile, the version is outdated: this is used only once.
                reader = reader_of(self.config, learnt.finite_weights())
                self._prepared = prepared = Prepared(version, learnt.vocabulary, reader)
            return prepared

    def predict(  # type: ignore[override]  # types are described only if they are not cached
        self, keys: Keys1d, parts: Iterable[tuple[Ints1d, Windows]], describe: Describe
    ) -> Iterator[tuple[Ints1d, Floats2d]]:
        """Run the network without gradients. Safe to call from many threads at a time.

        keys (Keys1d): (tokens,) the key of each token's type.
        parts (Iterable[tuple[Ints1d, Windows]]): What `windows.split` yields.
        describe (Callable): Takes the keys of some types, and the vocabulary; returns the
            `TypeIds`.
        YIELDS (tuple[Ints1d, Floats2d]): The tokens of each part, and the network's output.
        """
        if self._made is not None and self.device.type != "cpu":
            for tokens, windows in parts:
                yield tokens, self._predict_on_gpu(keys, windows, describe)
            return
        prepared = self.prepare()
        reader, vocabulary = prepared.reader, prepared.vocabulary
        for tokens, windows in parts:
            yield tokens, reader.read(keys, windows, lambda some: describe(some, vocabulary))

    def begin_update(  # type: ignore[override]  # the dropout rate is an argument here
        self, types: TypeIds, of_tokens: Ints1d, windows: Windows, dropout: float = 0.0
    ) -> tuple[Floats2d, Callable[[Floats2d], None]]:
        """Run the network for training.

        of_tokens (Ints1d): (tokens,) the type of each token.
        RETURNS (tuple[Floats2d, Callable]): The output, and a function that takes the gradient
            of the loss with respect to it, and adds up the gradients of the parameters.
        """
        require_torch()
        network, device = self.network, self.device
        with runtime.training(device.type):
            indices = xp2torch(of_tokens, device=device)
            arrays = self._to_tensors(types), indices, self._to_tensors(windows)
            output, _ = network(*arrays, dropout)

        def backprop(d_output: Floats2d) -> None:
            if len(d_output):
                with runtime.training(output.device.type):
                    output.backward(xp2torch(d_output, device=output.device))

        return torch2xp(output.detach()), backprop

    def to_device(self, device_type: str, device_id: int) -> None:
        """Move the network to another device."""
        if device_type == "gpu" or self._made is not None:
            network = self.network
            with self._changing():
                network.to(f"cuda:{device_id}" if device_type == "gpu" else device_type)

    def finish_update(self, optimizer: Optimizer) -> None:
        """Let the optimizer change the parameters, in place, and delete the gradients."""
        network = self.network
        with self._changing():
            for name, parameter in network.named_parameters():
                if parameter.grad is not None:
                    values, gradient = torch2xp(parameter.data), torch2xp(parameter.grad)
                    new, _ = optimizer((self.id, name), values, gradient)
                    updated = xp2torch(new, device=parameter.device)
                    if updated.data_ptr() != parameter.data_ptr():  # usually updated in place
                        parameter.data.copy_(updated)
                    parameter.grad = None

    @contextmanager
    def use_params(self, params: dict[tuple[int, str], Any]) -> Iterator[None]:
        """Replace the parameters by other values for a while, such as an optimizer's averages.

        params (dict[tuple[int, str], FloatsXd]): By shim id and parameter name; parameters without
            an entry keep their values.
        """
        network = self._made
        parameters = dict(network.named_parameters()) if network is not None else {}
        parameters = {name: p for name, p in parameters.items() if (self.id, name) in params}
        trained = {name: parameter.data.clone() for name, parameter in parameters.items()}
        try:
            if parameters:
                with self._changing():
                    for name, parameter in parameters.items():
                        new = xp2torch(params[self.id, name], device=parameter.device)
                        parameter.data.copy_(new)
            yield
        finally:
            if parameters:
                with self._changing():
                    for name, values in trained.items():
                        parameters[name].data.copy_(values)

    def to_bytes(self) -> bytes:
        """Serialize what was learnt; see `weights.save`."""
        return save(self._snapshot, self.config)

    def from_bytes(self, bytes_data: bytes) -> "NetworkShim":
        """Load what was saved; see `weights.load`. If it is refused, the network stays as it was.
        An optimizer that trained the old weights starts afresh with the loaded ones.
        """
        self._snapshot = load(bytes_data, self.config)
        self._version = object()
        self._renew_id()
        if not self.is_empty and not isinstance(get_current_ops(), NumpyOps):
            self.network  # noqa: B018  # moves it to the GPU
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_prepared": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Unpickle, copy or deepcopy."""
        self.__dict__.update(state)
        self._renew_id()

    def _renew_id(self) -> None:
        """Take the id of a new shim, which no optimizer knows."""
        self.id = Shim(None).id

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Change weights, with PyTorch in the calling thread; then forget what was prepared."""
        try:
            with runtime.training():
                yield
        finally:
            self._version = object()

    @property
    def _learnt(self) -> Snapshot:
        """The snapshot; ValueError if there is none yet."""
        snapshot = self._snapshot
        if snapshot is None:
            raise ValueError(
                "The model has no weights yet: initialize it with training data "
                "(nlp.initialize or spacy train), or load a trained pipeline."
            )
        return snapshot

    @property
    def _made(self) -> Any:
        """The PyTorch network; None if it wasn't made yet."""
        snapshot = self._snapshot  # other threads may replace it
        return snapshot and snapshot.network

    def _predict_on_gpu(self, keys: Keys1d, windows: Windows, describe: Describe) -> Floats2d:
        snapshot = self._learnt
        some, positions = numpy.unique(windows.tokens, return_inverse=True)
        distinct, of_tokens = numpy.unique(keys[some], return_inverse=True)
        with torch.inference_mode(), torch.autocast(self.device.type, enabled=False):
            ids = self._to_tensors(describe(distinct.tolist(), snapshot.vocabulary))
            indices = xp2torch(of_tokens, device=self.device)
            arrays = ids, indices, self._to_tensors(windows._replace(tokens=positions))
            output, _ = snapshot.network(*arrays)
            return torch2xp(output)

    def _to_tensors(self, arrays: Any) -> Any:
        device = self.device
        return type(arrays)(*(xp2torch(array, device=device) for array in arrays))


def has_network(model: DocModel) -> bool:
    """Return whether a model is an LSTM encoder or tagger of this package."""
    return any(isinstance(shim, NetworkShim) for shim in model.shims)


def network_of(model: DocModel) -> NetworkShim:
    """Return the shim of an LSTM encoder or tagger, which has its `network` and its `vocabulary`.

    RAISES: ValueError if the model has another architecture.
    """
    for shim in model.shims:
        if isinstance(shim, NetworkShim):
            return shim
    raise ValueError(f"the model {model.name!r} is no LSTM encoder or tagger")


def is_tagger(model: DocModel) -> bool:
    """Return whether a model has the architecture `spacy-lstm-tagger.LSTMTagger.v1`, without a
    CRF over it.
    """
    return has_network(model) and isinstance(network_of(model).config, TaggerConfig)
