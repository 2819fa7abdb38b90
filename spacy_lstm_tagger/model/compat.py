"""PyTorch, if it is installed, and the networks that need it."""

from typing import Any

try:
    import torch
except ImportError:
    torch = None  # type: ignore[assignment]
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
