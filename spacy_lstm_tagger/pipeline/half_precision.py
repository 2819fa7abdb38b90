"""Encoders of PyTorch in bfloat16, which takes processors that know it a third of the time."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from typing import Any

from spacy.language import Language
from thinc.api import PyTorchShim

from ..model.compat import torch
from .listeners import nodes_of


def torch_models(nlp: Language) -> list[Any]:
    """Return the PyTorch modules that the components of a pipeline wrap. An `lstm_tagger` has none
    where it predicts without PyTorch.
    """
    nodes = (node for _, pipe in nlp.pipeline for node in nodes_of(pipe))
    shims = {id(shim): shim for node in nodes for shim in node.shims}
    # Thinc has no public way to the module.
    found = [shim._model for shim in shims.values() if isinstance(shim, PyTorchShim)]
    return [module for module in found if module is not None]


@contextmanager
def in_bfloat16(nlp: Language) -> Iterator[None]:
    """Let a pipeline's PyTorch modules multiply in bfloat16, on the CPU. They return float32."""
    hooks = [model.register_forward_hook(_return_float32) for model in torch_models(nlp)]
    try:
        with torch.autocast("cpu", torch.bfloat16):
            yield
    finally:
        for hook in hooks:
            hook.remove()


def _return_float32(module: Any, inputs: Any, outputs: Any) -> Any:
    """Convert what a module returns; see `torch.nn.Module.register_forward_hook`."""
    return _in_float32(outputs)


def _in_float32(value: Any) -> Any:
    """Return a tensor, or a structure of tensors, in float32."""
    if isinstance(value, torch.Tensor):
        return value.float() if value.dtype == torch.bfloat16 else value
    if isinstance(value, dict):
        for key, item in list(value.items()):
            value[key] = _in_float32(item)
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            setattr(value, field.name, _in_float32(getattr(value, field.name)))
    elif isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        return type(value)(map(_in_float32, value))
    return value
