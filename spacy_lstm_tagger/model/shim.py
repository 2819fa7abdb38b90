"""A torch network as a citizen of a Thinc model: forward, backward, averages, saving, threads."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast
from zlib import crc32

import numpy
import safetensors.numpy
import srsly
from thinc.api import NumpyOps, Optimizer, PyTorchShim, get_current_ops, torch2xp, xp2torch
from thinc.shims import Shim
from thinc.types import Floats2d, FloatsXd
from thinc.util import get_torch_default_device

from ..prediction.inputs import Windows
from ..prediction.reader import Reader, reader_of
from ..prediction.weights import Weights, shapes_of
from .vocabulary import from_lists, to_lists
from .windows import Ints1d

if TYPE_CHECKING:
    import torch

CHECKSUM_LENGTH = 4  # bytes, of a CRC-32: it finds damage in a third of a digest's time


def require_torch() -> Any:
    """Return PyTorch; ImportError if it isn't installed."""
    try:
        import torch
    except ImportError as error:
        raise ImportError(
            "Training needs PyTorch, and so does prediction on a GPU: pip install torch"
        ) from error
    return torch


class NetworkShim(PyTorchShim):
    """Hold a torch network whose sizes become known only when it meets data.

    Differs from Thinc's own shim, as far as its version 8.3 goes: averaged weights reach the
    network, and the trained ones come back even after an exception; prediction changes nothing
    but what is remembered, so threads can share the network, and on a CPU it needs no torch, which
    is imported where it is needed; nothing is pickled when it is saved; a copy is optimized apart
    from its original.
    """

    def __init__(self, network_class: str, settings: dict[str, Any]):
        """Prepare a network; `build` or `from_bytes` makes it.

        network_class (str): Name of a class in `network/encoder.py`.
        settings (dict[str, Any]): The arguments that the config decides; plain values.
        """
        # Thinc's shim prepares mixed precision in its own constructor, which needs torch.
        Shim.__init__(self, None, config=settings)
        self._network_class = network_class
        self._sizes: dict[str, int] = {}
        self._vocabulary: Any = None
        self._loaded: Weights | None = None
        self._reader: tuple[int, Reader] | None = None
        self._version = 0

    @property
    def vocabulary(self) -> Any:
        """What the ids of the network's input mean; ValueError if there is no network yet."""
        self._require_weights()
        return self._vocabulary

    def build(self, vocabulary: Any, **sizes: int) -> None:
        """Make the network afresh.

        vocabulary (Any): What the ids of its input mean; kept and saved with the weights.
        sizes (int): The arguments of the network that the data decides.
        """
        require_torch()
        self._model = self._make_network(sizes).to(get_torch_default_device())
        self._sizes = sizes
        self._vocabulary = vocabulary
        self._loaded = None
        self._version += 1

    @property
    def network(self) -> Any:
        """The torch network; made when it is first asked for, if the weights were loaded."""
        if self._model is None:
            loaded, torch = self._require_weights(), require_torch()
            with torch.device("meta"):  # no weights yet: drawing them at random would cost time
                network = self._make_network(self._sizes)
            state = {name: torch.tensor(values) for name, values in loaded.items()}
            network.load_state_dict(state, strict=True, assign=True)
            self._model = network.to(get_torch_default_device(), torch.float32)
            self._loaded = None
        return self._model

    def predict(  # type: ignore[override]  # types are described when there is need
        self,
        parts: Iterable[tuple[Ints1d, Windows]],
        describe: Callable[[list[int]], Any],
        *,
        remember: bool = True,
        bf16: bool = False,
    ) -> Iterator[tuple[Ints1d, Floats2d]]:
        """Run the network without gradients. Safe to call from many threads at a time.

        parts (Iterable[tuple[Ints1d, Windows]]): The tokens and the windows of each part of the
            batch, as arrays; of each type a number by which it is known in other batches, too.
        describe (Callable): Takes the numbers of some types, and returns their `TypeIds`.
        remember (bool): Whether to remember types from batch to batch.
        bf16 (bool): Whether a GPU computes in bfloat16; a CPU doesn't.
        YIELDS (tuple[Ints1d, Floats2d]): The tokens of each part, and the network's output.
        """
        if self._is_on_gpu:
            for tokens, windows in parts:
                yield tokens, self._predict_on_gpu(windows, describe, bf16)
            return
        reader = self.prepare_reader()
        for tokens, windows in parts:
            yield tokens, cast(Floats2d, reader.read(windows, describe, remember=remember))

    def prepare_reader(self) -> Reader:
        """Prepare the network for prediction on a CPU, unless it is; ValueError if there is none
        yet. A reader of weights that have changed meanwhile is not kept.
        """
        version, prepared = self._version, self._reader
        if prepared is None or prepared[0] != version:
            self._reader = prepared = (version, reader_of(self._require_weights()))
        return prepared[1]

    def begin_update(  # type: ignore[override]  # the dropout rate is no state of ours
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
        from ..network.threads import one_thread

        with one_thread(), self._computing(bf16):
            output, _ = network(self._to_tensors(types), self._to_tensors(windows), dropout)

        def backprop(d_output: Floats2d) -> None:
            if len(d_output):
                with one_thread():
                    output.backward(xp2torch(d_output, device=output.device))

        return cast(Floats2d, torch2xp(output.detach())), backprop

    def to_device(self, device_type: str, device_id: int) -> None:
        """Move the network to another device."""
        if device_type == "gpu" or self._model is not None:
            network = self.network
            network.to(f"cuda:{device_id}" if device_type == "gpu" else device_type)
            self._version += 1

    def finish_update(self, optimizer: Optimizer) -> None:
        """Let the optimizer change the parameters, in place, and forget the gradients."""
        for name, parameter in self.network.named_parameters():
            if parameter.grad is not None:
                values = cast(FloatsXd, torch2xp(parameter.data))
                gradient = cast(FloatsXd, torch2xp(parameter.grad))
                new, _ = optimizer((self.id, name), values, gradient)
                updated = xp2torch(new, device=parameter.device)
                if updated.data_ptr() != parameter.data_ptr():  # mostly done in place
                    parameter.data.copy_(updated)
                parameter.grad = None
        self._version += 1

    @contextmanager
    def use_params(self, params: dict[tuple[int, str], FloatsXd]) -> Iterator[None]:
        """Put other values, such as an optimizer's averages, in place of the parameters.

        params (dict[tuple[int, str], FloatsXd]): By shim id and name of the parameter; the
            parameters that have no entry keep their values.
        """
        parameters = dict(self._model.named_parameters()) if self._model is not None else {}
        trained = {
            name: parameter.data.clone()
            for name, parameter in parameters.items()
            if (self.id, name) in params
        }
        try:
            for name in trained:
                new = xp2torch(params[self.id, name], device=self.device)
                parameters[name].data.copy_(new)
            self._version += 1
            yield
        finally:
            for name, values in trained.items():
                parameters[name].data.copy_(values)
            self._version += 1

    def to_bytes(self) -> bytes:
        """Serialize all that was configured and learnt; the weights as safetensors, not pickled.

        RETURNS (bytes): A checksum, and what it guards.
        """
        weights = None if self._is_empty else safetensors.numpy.save(dict(self._require_weights()))
        contents = srsly.msgpack_dumps(
            {
                "network": self._network_class,
                "settings": self.cfg,
                "sizes": self._sizes,
                "vocabulary": self._vocabulary and to_lists(self._vocabulary),
                "weights": weights,
            }
        )
        return crc32(contents).to_bytes(CHECKSUM_LENGTH, "big") + contents

    def from_bytes(self, bytes_data: bytes) -> "NetworkShim":
        """Load the weights of the network that was saved.

        bytes_data (bytes): What `to_bytes` returned.
        RETURNS (NetworkShim): The shim itself.
        RAISES: ValueError if the data are damaged, or were saved with other settings; the network
            stays as it was.
        """
        contents = memoryview(bytes_data)[CHECKSUM_LENGTH:]
        if crc32(contents) != int.from_bytes(bytes_data[:CHECKSUM_LENGTH], "big") or not contents:
            raise ValueError("the network's weights are damaged: their checksum is wrong")
        message = srsly.msgpack_loads(contents)
        here = {"network": self._network_class, **self.cfg}
        saved = {"network": message["network"], **message["settings"]}
        if saved != here:
            differences = ", ".join(
                f"{name} = {saved.get(name)!r} (here {here.get(name)!r})"
                for name in {**saved, **here}
                if saved.get(name) != here.get(name)
            )
            raise ValueError(f"it was saved with other settings: {differences}")
        weights = message["weights"]
        loaded = None if weights is None else self._check(message["sizes"], weights)
        vocabulary = message["vocabulary"] and from_lists(message["vocabulary"])
        self._model, self._loaded = None, loaded
        self._sizes, self._vocabulary = message["sizes"], vocabulary
        self._version += 1
        if loaded is not None and not isinstance(get_current_ops(), NumpyOps):
            self.network  # noqa: B018  # to the GPU
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_reader": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Unpickle, copy or deepcopy under an id of its own, which optimizers know it by."""
        self.__dict__.update(state)
        with Shim.global_id_lock:
            Shim.global_id += 1
            self.id = Shim.global_id

    @property
    def _is_empty(self) -> bool:
        return self._model is None and self._loaded is None

    @property
    def _is_on_gpu(self) -> bool:
        return self._model is not None and self.device.type != "cpu"

    def _require_weights(self) -> Weights:
        """Return the weights, shared with the network if there is one."""
        if self._model is not None:
            state = self._model.state_dict()
            return {name: values.detach().cpu().numpy() for name, values in state.items()}
        if self._loaded is None:
            raise ValueError(
                "The model has no weights yet: initialize it with training data "
                "(nlp.initialize or spacy train), or load a trained pipeline."
            )
        return self._loaded

    def _check(self, sizes: dict[str, int], data: bytes) -> Weights:
        """Return weights that were saved, if they are those of a network of these sizes."""
        weights = safetensors.numpy.load(data)
        expected = shapes_of(**cast(Any, {**self.cfg, **sizes}))
        found = {name: values.shape for name, values in weights.items()}
        if found != expected:
            wrong = sorted(name for name, _ in found.items() ^ expected.items())
            raise ValueError(f"its weights are not those of its network: {', '.join(wrong)}")
        return {name: values.astype("float32", copy=False) for name, values in weights.items()}

    def _make_network(self, sizes: dict[str, int]) -> Any:
        from ..network import encoder

        return getattr(encoder, self._network_class)(**self.cfg, **sizes)

    def _predict_on_gpu(
        self, windows: Windows, describe: Callable[[list[int]], Any], bf16: bool
    ) -> Floats2d:
        import torch

        numbers, types = numpy.unique(windows.types, return_inverse=True)
        with torch.inference_mode(), self._computing(bf16):
            ids = self._to_tensors(describe(numbers.tolist()))
            output, _ = self.network(ids, self._to_tensors(windows._replace(types=types)))
            return cast(Floats2d, torch2xp(output.float()))

    def _computing(self, bf16: bool) -> "torch.autocast":
        import torch

        from ..network.precision import computes_bf16

        device = self.device.type
        return torch.autocast(device, torch.bfloat16, enabled=bf16 and computes_bf16(device))

    def _to_tensors(self, ids: Any) -> Any:
        device = self.device
        return type(ids)(*(xp2torch(array, device=device) for array in ids))
