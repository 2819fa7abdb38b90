"""PyTorch, if it is installed, and the networks that need it."""

from typing import Any

torch: Any = None
crf: Any = None
encoder: Any = None
language_model: Any = None
runtime: Any = None

try:
    import torch
except ImportError:
    pass
else:
    from ..network import crf, encoder, language_model, runtime

__all__ = ["crf", "encoder", "language_model", "require_torch", "runtime", "torch"]


def require_torch() -> Any:
    """Return PyTorch; ImportError if it isn't installed."""
    if torch is None:
        raise ImportError(
            "Training needs PyTorch, and so does prediction on a GPU: pip install torch"
        )
    return torch
