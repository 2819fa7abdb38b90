"""A torch network as a citizen of a Thinc model: forward, backward, averages, saving, threads."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, cast
from zlib import crc32

import numpy
import safetensors.torch
import srsly
import torch
from thinc.api import Optimizer, PyTorchShim, torch2xp, xp2torch
from thinc.shims import Shim
from thinc.types import Floats2d, FloatsXd
from thinc.util import get_torch_default_device

from ..network.precision import computes_bf16
from ..network.prediction import Reader, reader_of
from ..network.threads import one_thread
from .vocabulary import from_lists, to_lists
from .windows import Ints1d

CHECKSUM_LENGTH = 4  # bytes, of a CRC-32: it finds damage in a third of a digest's time


class NetworkShim(PyTorchShim):
    """Hold a torch network whose sizes become known only when it meets data.

    Differs from Thinc's own shim, as far as its version 8.3 goes: averaged weights reach the
    network, and the trained ones come back even after an exception; prediction changes nothing
    but what is remembered, so threads may share the network; nothing is pickled when it is saved;
    a copy is optimized apart from its original.
    """

    def __init__(self, network_class: Callable[..., torch.nn.Module], settings: dict[str, Any]):
        """Prepare a network; `build` or `from_bytes` makes it.

        network_class (Callable): Takes settings and sizes as keyword arguments, and makes a
            module with the methods of an `LSTMEncoder`.
        settings (dict[str, Any]): The arguments that the config decides; plain values.
        """
        super().__init__(None, config=settings)
        self._network_class = network_class
        self._sizes: dict[str, int] = {}
        self._vocabulary: Any = None
        self._reader: Reader | None = None

    @property
    def vocabulary(self) -> Any:
        """What the ids of the network's input mean; ValueError if there is no network yet."""
        self._require_network()
        return self._vocabulary

    def build(self, vocabulary: Any, **sizes: int) -> None:
        """Make the network afresh.

        vocabulary (Any): What the ids of its input mean; kept and saved with the weights.
        sizes (int): The arguments of the network that the data decides.
        """
        self._model = self._network_class(**self.cfg, **sizes).to(get_torch_default_device())
        self._sizes = sizes
        self._vocabulary = vocabulary
        self._reader = None

    def predict(  # type: ignore[override]  # types are described when there is need
        self,
        keys: Ints1d,
        describe: Callable[[Ints1d], Any],
        parts: Iterable[tuple[Ints1d, Any]],
        n_tokens: int,
        *,
        remember: bool = True,
        bf16: bool = False,
    ) -> Floats2d:
        """Run the network without gradients. Safe to call from many threads at a time.

        keys (Ints1d): (types,) a number by which each type of the batch is known in other batches.
        describe (Callable): Takes the indices of some types, and returns their `TypeIds`.
        parts (Iterable[tuple[Ints1d, Windows]]): The tokens and the windows of each part of the
            batch, as arrays.
        n_tokens (int): How many tokens the batch has.
        remember (bool): Whether to remember types from batch to batch.
        bf16 (bool): Whether to compute in bfloat16 if the device has instructions for it.
        RETURNS (Floats2d): The network's output.
        """
        with one_thread(), torch.inference_mode():
            reader = self.prepare_reader(bf16=bf16 and computes_bf16(self.device.type))
            width = self._require_network().output_width
            output = torch.empty(n_tokens, width, device=self.device)
            for tokens, windows in parts:
                types, own_types = numpy.unique(windows.types, return_inverse=True)
                found = reader.read(
                    keys[types].tolist(),
                    lambda some, types=types: self._to_tensors(describe(types[some])),  # type: ignore[misc]
                    self._to_tensors(windows._replace(types=own_types)),
                    remember=remember,
                )
                output[torch.as_tensor(tokens, device=self.device)] = found
        return cast(Floats2d, torch2xp(output))

    def prepare_reader(self, *, bf16: bool) -> Reader:
        """Prepare the network for prediction, unless it is; ValueError if there is none yet."""
        reader = self._reader
        if reader is None or reader.bf16 != bf16:
            with torch.inference_mode():
                self._reader = reader = reader_of(self._require_network(), bf16)
        return reader

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
        network = self._require_network()
        with one_thread(), self._computing(bf16):
            output, _ = network(self._to_tensors(types), self._to_tensors(windows), dropout)

        def backprop(d_output: Floats2d) -> None:
            if len(d_output):
                with one_thread():
                    output.backward(xp2torch(d_output, device=output.device))

        return cast(Floats2d, torch2xp(output.detach())), backprop

    def to_device(self, device_type: str, device_id: int) -> None:
        """Move the network to another device."""
        super().to_device(device_type, device_id)
        self._reader = None

    def finish_update(self, optimizer: Optimizer) -> None:
        """Let the optimizer change the parameters, in place, and forget the gradients."""
        self._reader = None
        for name, parameter in self._require_network().named_parameters():
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
            self._reader = None
            yield
        finally:
            for name, values in trained.items():
                parameters[name].data.copy_(values)
            self._reader = None

    def to_bytes(self) -> bytes:
        """Serialize all that was configured and learnt; the weights as safetensors, not pickled.

        RETURNS (bytes): A checksum, and what it guards.
        """
        weights = None
        if self._model is not None:
            state = {name: value.contiguous() for name, value in self._model.state_dict().items()}
            weights = safetensors.torch.save(state)
        contents = srsly.msgpack_dumps(
            {
                "network": self._network_class.__name__,
                "settings": self.cfg,
                "sizes": self._sizes,
                "vocabulary": self._vocabulary and to_lists(self._vocabulary),
                "weights": weights,
            }
        )
        return crc32(contents).to_bytes(CHECKSUM_LENGTH, "big") + contents

    def from_bytes(self, bytes_data: bytes) -> "NetworkShim":
        """Build the network that was saved, and load its weights.

        bytes_data (bytes): What `to_bytes` returned.
        RETURNS (NetworkShim): The shim itself.
        RAISES: ValueError if the data are damaged, or were saved with other settings; the network
            stays as it was.
        """
        contents = memoryview(bytes_data)[CHECKSUM_LENGTH:]
        if crc32(contents) != int.from_bytes(bytes_data[:CHECKSUM_LENGTH], "big") or not contents:
            raise ValueError("the network's weights are damaged: their checksum is wrong")
        message = srsly.msgpack_loads(contents)
        here = {"network": self._network_class.__name__, **self.cfg}
        saved = {"network": message["network"], **message["settings"]}
        if saved != here:
            differences = ", ".join(
                f"{name} = {saved.get(name)!r} (here {here.get(name)!r})"
                for name in {**saved, **here}
                if saved.get(name) != here.get(name)
            )
            raise ValueError(f"it was saved with other settings: {differences}")
        network = None
        if message["weights"] is not None:
            with torch.device("meta"):  # no weights yet: drawing them at random would cost time
                network = self._network_class(**self.cfg, **message["sizes"])
            weights = safetensors.torch.load(message["weights"])
            network.load_state_dict(weights, strict=True, assign=True)
            network.to(get_torch_default_device(), torch.float32)
        self._model = network
        self._sizes = message["sizes"]
        self._vocabulary = message["vocabulary"] and from_lists(message["vocabulary"])
        self._reader = None
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_reader": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Unpickle, copy or deepcopy under an id of its own, which optimizers know it by."""
        self.__dict__.update(state)
        with Shim.global_id_lock:
            Shim.global_id += 1
            self.id = Shim.global_id

    def _require_network(self) -> Any:
        if self._model is None:
            raise ValueError(
                "The model has no weights yet: initialize it with training data "
                "(nlp.initialize or spacy train), or load a trained pipeline."
            )
        return self._model

    def _computing(self, bf16: bool) -> torch.autocast:
        device = self.device.type
        return torch.autocast(device, torch.bfloat16, enabled=bf16 and computes_bf16(device))

    def _to_tensors(self, ids: Any) -> Any:
        device = self.device
        return type(ids)(*(xp2torch(array, device=device) for array in ids))
