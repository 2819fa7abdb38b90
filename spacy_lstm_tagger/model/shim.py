"""A torch network as a part of a Thinc model: forward, backward, averages, saving, threads."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import numpy
from thinc.api import NumpyOps, Optimizer, PyTorchShim, get_current_ops, torch2xp, xp2torch
from thinc.shims import Shim
from thinc.types import Floats2d, FloatsXd

from ..prediction.inputs import Windows
from .held import HeldNetwork
from .learnt import load, save
from .windows import Ints1d


class NetworkShim(HeldNetwork, PyTorchShim):
    """A `HeldNetwork` as Thinc's models use it.

    It differs from the shim of Thinc 8.3. Averaged weights reach the network, and the trained ones
    come back even after an exception. Prediction changes only what is remembered, so threads can
    share the network; on a CPU it doesn't need torch. Nothing is pickled when it is saved. A copy
    is optimized separately from its original.
    """

    def __init__(self, network_class: str, settings: dict[str, Any]):
        """Prepare a network; `build` or `from_bytes` makes it.

        network_class (str): Name of a class in `network/encoder.py`.
        settings (dict[str, Any]): The arguments that the config decides; plain values.
        """
        # Thinc's shim prepares mixed precision in its own constructor, which needs torch.
        Shim.__init__(self, None, config=settings)
        HeldNetwork.__init__(self, network_class)

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
