"""Docs in, what trained taggers think of them out: the probabilities that another learns from."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy
from spacy.language import Language
from spacy.pipeline import Tagger
from spacy.tokens import Doc
from spacy.util import load_model
from thinc.api import get_array_module
from thinc.types import Floats2d

from .listeners import encoder_names

# What of a token with a gold label is learnt from teachers: less than half, so that gold labels win
# where teachers are sure of others.
SHARE = 0.4


class Teachers:
    """Trained taggers, of whose probabilities another learns the mean (Hinton et al. 2015,
    "Distilling the Knowledge in a Neural Network").
    """

    def __init__(self, pipelines: Iterable[str | Path], attribute: str):
        """Load the teachers.

        pipelines (Iterable[str | Path]): Trained pipelines, installed or folders; of each, the
            first `lstm_tagger` of the attribute is a teacher.
        attribute (str): "tag", "pos" or "morph".
        RAISES: ValueError if there are none, or if one can't be loaded, or has no such component.
        """
        if isinstance(pipelines, str | Path):
            raise ValueError(f"teachers must be a list of pipelines, not {str(pipelines)!r:.80}")
        self._teachers = [_load(pipeline, attribute) for pipeline in pipelines]
        if not self._teachers:
            raise ValueError("teachers is an empty list: name a trained pipeline at least")

    def __deepcopy__(self, memo: Any) -> "Teachers":
        return self  # which never changes

    def __reduce__(self) -> tuple[Any, ...]:
        return type(None), ()  # a process that a pupil is sent to has no use for its teachers

    @property
    def labels(self) -> set[str]:
        """All labels that a teacher knows."""
        return {label for _, _, tagger in self._teachers for label in tagger.labels}

    def probabilities(self, docs: Sequence[Doc], labels: Sequence[str]) -> list[Floats2d]:
        """Return the mean of the teachers' probabilities.

        docs (Sequence[Doc]): The Docs, of any vocab.
        labels (Sequence[str]): The labels, among them all that a teacher knows.
        RETURNS (list[Floats2d]): (tokens, labels) for each Doc, of NumPy.
        """
        column_of = {label: column for column, label in enumerate(labels)}
        means: list[Any] = [numpy.zeros((len(doc), len(labels)), dtype="float32") for doc in docs]
        for nlp, disabled, tagger in self._teachers:
            own = [_copy(doc, nlp) for doc in docs]
            found = tagger.predict_probabilities(list(nlp.pipe(own, disable=disabled)))
            columns = [column_of[label] for label in tagger.labels]
            for mean, values in zip(means, found, strict=True):
                mean[:, columns] += values / len(self._teachers)
        return means

    def teach(
        self,
        docs: Sequence[Doc],
        labels: Sequence[str],
        gold: Sequence[Sequence[str | None]],
        probabilities: Sequence[Floats2d],
        gradients: Sequence[Floats2d],
        label_smoothing: float,
    ) -> tuple[float, list[Floats2d]]:
        """Find the loss and its gradient: the cross-entropy with the teachers' probabilities, for
        each token without a gold label; for others, a mean of this one and the gold label's, or
        the gold label's alone, if it is one that no teacher knows, or denied.

        docs (Sequence[Doc]): The Docs, as the pupil reads them.
        labels (Sequence[str]): The pupil's labels.
        gold (Sequence[Sequence[str | None]]): The label of each token of each Doc, or nothing.
        probabilities (Sequence[Floats2d]): (tokens, labels) the pupil's, for each Doc.
        gradients (Sequence[Floats2d]): (tokens, labels) those of the gold labels.
        label_smoothing (float): As for `label_loss`; the teachers' probabilities are smoothed as
            gold labels are.
        RETURNS (tuple[float, list[Floats2d]]): The sum of squares of the gradient, and the
            gradient, as `label_loss` returns them.
        """
        share_of: dict[str | None, float] = {label: SHARE for label in self.labels}
        share_of[None] = 1.0
        smoothed = label_smoothing / max(1, len(labels) - 1)
        loss, taught = 0.0, []
        means = self.probabilities(docs, labels)
        for own_gold, own, of_gold, mean in zip(gold, probabilities, gradients, means, strict=True):
            xp: Any = get_array_module(own)
            shares = xp.asarray([[share_of.get(label, 0.0)] for label in own_gold], dtype="float32")
            target = xp.asarray(mean * (1 - label_smoothing) + (1 - mean) * smoothed)
            shares = shares.reshape(-1, 1)
            gradient = (1 - shares) * of_gold + shares * (own - target)
            loss += float((gradient**2).sum())
            taught.append(gradient)
        return loss, taught


def check_taught(taught: set[str], labels: Sequence[str]) -> None:
    """Raise a ValueError if teachers have labels that the pupil lacks."""
    lacking = taught.difference(labels)
    if lacking:
        raise ValueError(
            f"its teachers have labels that it lacks: {', '.join(sorted(lacking))}. Leave out "
            "`labels` in the section [initialize.components] of the config, or add them there."
        )


def _load(pipeline: str | Path, attribute: str) -> tuple[Language, list[str], Any]:
    """Return a pipeline, what its tagger doesn't need of it, and its tagger."""
    try:
        nlp = load_model(pipeline)
    except (OSError, ValueError) as error:
        raise ValueError(f"the teacher {str(pipeline)!r} can't be loaded: {error}") from error
    for _, tagger in nlp.pipeline:
        if isinstance(tagger, Tagger) and tagger.cfg.get("attribute") == attribute:
            needed = encoder_names(tagger.model, nlp)
            return nlp, [name for name in nlp.pipe_names if name not in needed], tagger
    raise ValueError(
        f"the teacher {str(pipeline)!r} has no lstm_tagger with attribute = {attribute!r}; its "
        f"components: {', '.join(nlp.pipe_names) or 'none'}"
    )


def _copy(doc: Doc, nlp: Language) -> Doc:
    words, spaces = [token.text for token in doc], [bool(token.whitespace_) for token in doc]
    return Doc(nlp.vocab, words=words, spaces=spaces)
