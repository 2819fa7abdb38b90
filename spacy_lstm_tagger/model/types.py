"""Array types, and the type of models that read Docs."""

from spacy.tokens import Doc
from thinc.api import Model

from ..prediction.types import (
    Bools1d,
    Bools2d,
    Floats1d,
    Floats2d,
    Floats3d,
    Ints1d,
    Ints2d,
    Keys1d,
    TypeIds,
    Windows,
)

DocModel = Model[list[Doc], list[Floats2d]]

__all__ = [
    "Bools1d",
    "Bools2d",
    "DocModel",
    "Floats1d",
    "Floats2d",
    "Floats3d",
    "Ints1d",
    "Ints2d",
    "Keys1d",
    "TypeIds",
    "Windows",
]
