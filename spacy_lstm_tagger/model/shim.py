"""A torch network as a part of a Thinc model: forward, backward, averages, saving, threads."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy
from thinc.api import NumpyOps, Optimizer, PyTorchShim, get_current_ops, torch2xp, xp2torch
from thinc.shims import Shim
from thinc.types import Floats2d, FloatsXd
from thinc.util import get_torch_default_device

from ..prediction.inputs import Windows
from ..prediction.reader import Reader, reader_of
from .learnt import Learnt, load, save
from .vocabulary import UNKNOWN, News, Vocabulary
from .windows import Ints1d

if TYPE_CHECKING:
    import torch


def require_torch() -> Any:
    """Return PyTorch; ImportError if it isn't installed."""
    try:
        import torch
    except ImportError as error:
        raise ImportError(
            "Training needs PyTorch, and so does prediction on a GPU: pip install torch"
        ) from error
    return torch


class Prepared(NamedTuple):
    """A reader of weights as they were, and what its ids mean.

    version: Equal to the shim's, as long as the weights are the same.
    """

    version: object
    vocabulary: Any
    reader: Reader


class NetworkShim(PyTorchShim):
    """Hold a torch network whose sizes become known only when it meets data.

    It differs from the shim of Thinc 8.3. Averaged weights reach the network, and the trained ones
    come back even after an exception. Prediction changes only what is remembered, so threads can
    share the network; on a CPU it doesn't need torch, which is imported only where it is needed.
    Nothing is pickled when it is saved. A copy is optimized separately from its original.

    Only one thread at a time can change the weights. Predictions in other threads see old weights,
    new ones or, during a step of an optimizer or `use_params`, some of both; but nothing that they
    prepared or remembered of old weights is used after the change.
    """

    def __init__(self, network_class: str, settings: dict[str, Any]):
        """Prepare a network; `build` or `from_bytes` makes it.

        network_class (str): Name of a class in `network/encoder.py`.
        settings (dict[str, Any]): The arguments that the config decides; plain values.
        """
        # Thinc's shim prepares mixed precision in its own constructor, which needs torch.
        Shim.__init__(self, None, config=settings)
        self.network_class = network_class
        self._learnt = Learnt({}, None, None, None)
        self._prepared: Prepared | None = None
        self._version = object()  # another one after each change

    @property
    def is_empty(self) -> bool:
        """Whether there is no network yet."""
        return self._learnt.is_empty

    @property
    def vocabulary(self) -> Vocabulary:
        """What the ids of the network's input mean; ValueError if there is no network yet."""
        return cast(Vocabulary, self._require_learnt().vocabulary)

    @property
    def vector_width(self) -> int:
        """How wide the static vectors are that the network reads; 0 if it reads none."""
        return self._require_learnt().sizes["vector_width"]

    def build(self, vocabulary: Vocabulary, **other_sizes: int) -> None:
        """Make the network afresh.

        vocabulary (Vocabulary): What the ids of its input mean; kept and saved with the weights.
        other_sizes (int): The arguments of the network that the data decides, beside the sizes of
            the vocabulary.
        """
        torch, sizes = require_torch(), {**vocabulary.sizes, **other_sizes}
        with self._changing(), torch.device("cpu"):
            network = self._make_network(sizes).to(get_torch_default_device())
            self._learnt = Learnt(sizes, vocabulary, None, network)

    @property
    def network(self) -> Any:
        """The torch network; made when it is first asked for, if the weights were loaded."""
        learnt = self._require_learnt()
        if learnt.network is not None:
            return learnt.network
        torch = require_torch()
        with self._changing():
            with torch.device("meta"):  # no weights yet: drawing them at random would cost time
                network = self._make_network(learnt.sizes)
            weights = learnt.all_weights().items()
            state = {name: torch.tensor(values, device="cpu") for name, values in weights}
            network.load_state_dict(state, strict=True, assign=True)
            network = network.to(get_torch_default_device())
            self._learnt = learnt._replace(weights=None, network=network)
        return network

    def take_over(self, encoder: "NetworkShim") -> None:
        """Take over the vocabulary and the weights of an encoder. The network is made afresh, with
        a new output layer. Which words are rare, the own vocabulary still says.

        RAISES: ValueError if it reads static vectors of another width.
        """
        sizes, taken = self._require_learnt().sizes, encoder._require_learnt()
        if encoder.vector_width != self.vector_width:
            raise ValueError(
                f"it reads word vectors {encoder.vector_width} wide, and those of the pipeline are "
                f"{self.vector_width} wide"
            )
        own, vocabulary = self.vocabulary, encoder.vocabulary
        own_ids = [own.words.get(word, UNKNOWN) for word in vocabulary.words]
        vocabulary.is_rare = own.is_rare[[UNKNOWN, *own_ids]]
        self.build(
            vocabulary,
            **{name: sizes[name] for name in ("vector_width", "n_labels") if name in sizes},
        )
        with self._changing():
            weights = taken.all_weights().items()
            state = {name: xp2torch(cast(FloatsXd, values)) for name, values in weights}
            self.network.load_state_dict(state, strict=False)

    def learn(self, news: News) -> None:
        """Let the vocabulary grow. The network makes room first, and only then the ids are known,
        so threads can predict meanwhile. No prediction changes by it.
        """
        network, learnt, vocabulary = self.network, self._learnt, self.vocabulary
        sizes = vocabulary.sizes_with(news)
        with self._changing():
            network.grow(**sizes)
            self._learnt = learnt._replace(sizes={**learnt.sizes, **sizes})
        vocabulary.learn(news)

    def grow_output(self, n_labels: int) -> None:
        """Add labels at the end."""
        network, learnt = self.network, self._learnt
        with self._changing():
            network.grow_output(n_labels)
            self._learnt = learnt._replace(sizes={**learnt.sizes, "n_labels": n_labels})

    @property
    def device(self) -> "torch.device":
        """Where the network is."""
        return next(self.network.parameters()).device

    def predict(  # type: ignore[override]  # types are described when they are needed
        self,
        parts: Iterable[tuple[Ints1d, Windows]],
        describe: Callable[..., Any],
        *,
        bf16: bool = False,
    ) -> Iterator[tuple[Ints1d, Floats2d]]:
        """Run the network without gradients. Safe to call from many threads at a time.

        parts (Iterable[tuple[Ints1d, Windows]]): The tokens and the windows of each part of the
            batch, as arrays; of each type a number by which it is known in other batches, too.
        describe (Callable): Takes the numbers of some types and, as `vocabulary`, what ids mean;
            returns the `TypeIds`.
        bf16 (bool): Whether a GPU computes in bfloat16; a CPU doesn't.
        YIELDS (tuple[Ints1d, Floats2d]): The tokens of each part, and the network's output.
        """
        if self._is_on_gpu:
            for tokens, windows in parts:
                yield tokens, self._predict_on_gpu(windows, describe, bf16)
            return
        prepared = self.prepare()
        reader, describe = prepared.reader, partial(describe, vocabulary=prepared.vocabulary)
        for tokens, windows in parts:
            yield tokens, cast(Floats2d, reader.read(windows, describe))

    def prepare_reader(self) -> Reader:
        """Prepare the network for prediction on a CPU, unless it is; ValueError if there is none
        yet.
        """
        return self.prepare().reader

    def prepare(self) -> Prepared:
        """Prepare the network for prediction on a CPU, unless it is, with what its ids mean;
        ValueError if there is none yet.
        """
        version, prepared = self._version, self._prepared
        if prepared is None or prepared.version is not version:
            learnt = self._require_learnt()
            # If the weights change meanwhile, the version is an old one, and this is used once.
            prepared = Prepared(version, learnt.vocabulary, reader_of(learnt.finite_weights()))
            self._prepared = prepared
        return prepared

    def begin_update(  # type: ignore[override]  # the dropout rate is an argument here
        self, types: Any, windows: Any, dropout: float = 0.0, *, bf16: bool = False
    ) -> tuple[Floats2d, Callable[[Floats2d], None]]:
        """Run the network for training.

        types (TypeIds): The types, as arrays.
        windows (Windows): The windows to read, as arrays.
        dropout (float): The dropout rate.
        bf16 (bool): As for `predict`; weights, gradients and output stay in fp32.
        RETURNS (tuple[Floats2d, Callable]): The output, and a function that takes the gradient
            of the loss with respect to it and adds up the gradients of the parameters.
        """
        network = self.network
        from ..network.training import training

        with training(self.device.type, bf16=bf16 and self._computes_bf16):
            output, _ = network(self._to_tensors(types), self._to_tensors(windows), dropout)

        def backprop(d_output: Floats2d) -> None:
            if len(d_output):
                with training(output.device.type):
                    output.backward(xp2torch(d_output, device=output.device))

        return cast(Floats2d, torch2xp(output.detach())), backprop

    def to_device(self, device_type: str, device_id: int) -> None:
        """Move the network to another device."""
        if device_type == "gpu" or self._learnt.network is not None:
            network = self.network
            with self._changing():
                network.to(f"cuda:{device_id}" if device_type == "gpu" else device_type)

    def finish_update(self, optimizer: Optimizer) -> None:
        """Let the optimizer change the parameters, in place, and forget the gradients."""
        network = self.network
        with self._changing():
            for name, parameter in network.named_parameters():
                if parameter.grad is not None:
                    values = cast(FloatsXd, torch2xp(parameter.data))
                    gradient = cast(FloatsXd, torch2xp(parameter.grad))
                    new, _ = optimizer((self.id, name), values, gradient)
                    updated = xp2torch(new, device=parameter.device)
                    if updated.data_ptr() != parameter.data_ptr():  # mostly done in place
                        parameter.data.copy_(updated)
                    parameter.grad = None

    @contextmanager
    def use_params(self, params: dict[tuple[int, str], FloatsXd]) -> Iterator[None]:
        """Put other values, such as an optimizer's averages, in place of the parameters.

        params (dict[tuple[int, str], FloatsXd]): By shim id and name of the parameter; the
            parameters that have no entry keep their values.
        """
        network = self._learnt.network
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
        """Serialize all that was configured and learnt; see `learnt.save`."""
        return save(self._learnt, self.network_class, self.cfg)

    def from_bytes(self, bytes_data: bytes) -> "NetworkShim":
        """Load what was saved; see `learnt.load`. What is refused leaves the network as it was. An
        optimizer that trained the old weights begins anew with the loaded ones.
        """
        self._learnt = load(bytes_data, self.network_class, self.cfg)
        self._version = object()
        self._renew_id()
        if not self._learnt.is_empty and not isinstance(get_current_ops(), NumpyOps):
            self.network  # noqa: B018  # to the GPU
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_prepared": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Unpickle, copy or deepcopy."""
        self.__dict__.update(state)
        self._renew_id()

    def _renew_id(self) -> None:
        """Take an id that no optimizer knows."""
        with Shim.global_id_lock:
            Shim.global_id += 1
            self.id = Shim.global_id

    @property
    def _is_on_gpu(self) -> bool:
        return self._learnt.network is not None and self.device.type != "cpu"

    @property
    def _computes_bf16(self) -> bool:
        from ..network.precision import computes_bf16

        return computes_bf16(self.device.type)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Change weights: in the calling thread, and so that no reader outlives the change that
        was prepared before its end.
        """
        from ..network.training import training

        try:
            with training():
                yield
        finally:
            self._version = object()

    def _require_learnt(self) -> Learnt:
        learnt = self._learnt
        if learnt.is_empty:
            raise ValueError(
                "The model has no weights yet: initialize it with training data "
                "(nlp.initialize or spacy train), or load a trained pipeline."
            )
        return learnt

    def _make_network(self, sizes: dict[str, int]) -> Any:
        from ..network import encoder

        return getattr(encoder, self.network_class)(**self.cfg, **sizes)

    def _predict_on_gpu(
        self, windows: Windows, describe: Callable[..., Any], bf16: bool
    ) -> Floats2d:
        import torch

        learnt, device_type = self._require_learnt(), self.device.type
        numbers, types = numpy.unique(windows.types, return_inverse=True)
        autocast = torch.autocast(device_type, torch.bfloat16, enabled=bf16 and self._computes_bf16)
        with torch.inference_mode(), autocast:
            ids = self._to_tensors(describe(numbers.tolist(), vocabulary=learnt.vocabulary))
            output, _ = learnt.network(ids, self._to_tensors(windows._replace(types=types)))
            return cast(Floats2d, torch2xp(output.float()))

    def _to_tensors(self, ids: Any) -> Any:
        device = self.device
        return type(ids)(*(xp2torch(array, device=device) for array in ids))
