"""A pipeline in, its tagger out."""

from spacy.language import Language

from .tagger import LSTMTagger


def find_tagger(nlp: Language, component: str | None = None) -> tuple[str, LSTMTagger]:
    """Find the `lstm_tagger` of a pipeline.

    nlp (Language): The pipeline.
    component (str | None): Name of the component; None for the first `lstm_tagger`.
    RETURNS (tuple[str, LSTMTagger]): Its name in the pipeline, and the component.
    RAISES: ValueError if there is none.
    """
    for name, pipe in nlp.pipeline:
        if isinstance(pipe, LSTMTagger) and component in (None, name):
            return name, pipe
    wanted = "no lstm_tagger" if component is None else f"no lstm_tagger of the name {component!r}"
    has = ", ".join(nlp.pipe_names) or "none"
    raise ValueError(f"the pipeline has {wanted}; its components: {has}")
