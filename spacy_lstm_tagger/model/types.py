"""Array types, and the type of models that read Docs."""

from spacy.tokens import Doc
from thinc.api import Model

from ..prediction.types import Bools1d as Bools1d
from ..prediction.types import Bools2d as Bools2d
from ..prediction.types import Floats1d as Floats1d
from ..prediction.types import Floats2d as Floats2d
from ..prediction.types import Floats3d as Floats3d
from ..prediction.types import Ints1d as Ints1d
from ..prediction.types import Ints2d as Ints2d
from ..prediction.types import Keys1d as Keys1d
from ..prediction.types import TypeIds as TypeIds
from ..prediction.types import Windows as Windows

DocModel = Model[list[Doc], list[Floats2d]]
