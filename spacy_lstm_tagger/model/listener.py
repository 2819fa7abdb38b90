"""The model of a `tok2vec` in, a layer as wide as what it writes out."""

from spacy.pipeline.tok2vec import Tok2VecListener
from spacy.util import registry

from .with_crf import DocModel


@registry.architectures("spacy-lstm-tagger.LSTMListener.v1")
def LSTMListener(*, encoder: DocModel, upstream: str = "*") -> DocModel:
    """Build a layer that reads what a `tok2vec` wrote, as `spacy.Tok2VecListener.v1` does. Its
    width follows the encoder: in a config, `encoder = ${components.tok2vec.model}`.

    encoder (Model[list[Doc], list[Floats2d]]): A model with the settings of the one that is
        listened to. Nothing but its width is read.
    upstream (str): Name of the component that is listened to; "*" stands for any `tok2vec`.
    RETURNS (Model[list[Doc], list[Floats2d]]): The layer.
    RAISES: ValueError if the width of the encoder is known only when it is initialized.
    """
    width = encoder.maybe_get_dim("nO")
    if width is None:
        raise ValueError(
            f"LSTMListener: the model {encoder.name!r} does not say how wide its output is before "
            "it is initialized. Use spacy.Tok2VecListener.v1 and set its width."
        )
    return Tok2VecListener(upstream_name=upstream, width=width)
