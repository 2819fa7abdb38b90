"""Docs in, what trained taggers think of them out: the probabilities that another learns from."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy
from spacy.language import Language
from spacy.tokens import Doc
from spacy.util import load_model
from thinc.api import get_array_module
from thinc.types import Floats2d

from .listeners import upstream_names
from .saving import SavedTagger

SHARE = 0.5  # of the teachers in what is learnt of a token that has a gold label


class Teachers:
    """Trained taggers, of whose probabilities another learns the mean (Hinton et al. 2015,
    "Distilling the Knowledge in a Neural Network").
    """

    def __init__(self, pipelines: Iterable[str | Path], attribute: str):
        """Load the teachers.

        pipelines (Iterable[str | Path]): Trained pipelines, installed or folders; of each, the
            first `lstm_tagger` of the attribute is a teacher.
        attribute (str): "tag", "pos" or "morph".
        RAISES: ValueError if one can't be loaded, or if it has no such component.
        """
        self._teachers = [_load(pipeline, attribute) for pipeline in pipelines]

    @property
    def labels(self) -> set[str]:
        """All labels that a teacher knows."""
        return {label for _, _, tagger in self._teachers for label in tagger.labels}

    def probabilities(self, docs: Sequence[Doc], labels: Sequence[str]) -> list[Floats2d]:
        """Return the mean of the teachers' probabilities.

        docs (Sequence[Doc]): The Docs, of any vocab.
        labels (Sequence[str]): The labels, among them all that a teacher knows.
        RETURNS (list[Floats2d]): (tokens, labels) for each Doc.
        """
        column_of = {label: column for column, label in enumerate(labels)}
        means: list[Any] = []
        for nlp, disabled, tagger in self._teachers:
            own = [_copy(doc, nlp) for doc in docs]
            found = tagger.predict_probabilities(list(nlp.pipe(own, disable=disabled)))
            xp = get_array_module(found[0]) if found else numpy
            if not means:
                means = [xp.zeros((len(doc), len(labels)), dtype="float32") for doc in docs]
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
    ) -> tuple[float, list[Floats2d]]:
        """Find the loss and its gradient: the cross-entropy with the teachers' probabilities, for
        each token without a gold label; for the others, the mean of this one and the gold label's.

        docs (Sequence[Doc]): The Docs, as the pupil reads them.
        labels (Sequence[str]): The pupil's labels.
        gold (Sequence[Sequence[str | None]]): The label of each token of each Doc, or nothing.
        probabilities (Sequence[Floats2d]): (tokens, labels) the pupil's, for each Doc.
        gradients (Sequence[Floats2d]): (tokens, labels) those of the gold labels.
        RETURNS (tuple[float, list[Floats2d]]): The sum of squares of the gradient, and the
            gradient, as `label_loss` returns them.
        """
        loss, taught = 0.0, []
        theirs = self.probabilities(docs, labels)
        for own_gold, own, of_gold, means in zip(
            gold, probabilities, gradients, theirs, strict=True
        ):
            shares: Any = numpy.asarray([[1.0 if label is None else SHARE] for label in own_gold])
            shares = get_array_module(own).asarray(shares.reshape(-1, 1), dtype="float32")
            gradient = (1 - shares) * of_gold + shares * (own - means)
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
        if isinstance(tagger, SavedTagger) and tagger.cfg["attribute"] == attribute:
            needed = upstream_names(tagger.model)
            return nlp, [name for name in nlp.pipe_names if name not in needed], tagger
    raise ValueError(
        f"the teacher {str(pipeline)!r} has no lstm_tagger with attribute = {attribute!r}; its "
        f"components: {', '.join(nlp.pipe_names) or 'none'}"
    )


def _copy(doc: Doc, nlp: Language) -> Doc:
    words, spaces = [token.text for token in doc], [bool(token.whitespace_) for token in doc]
    return Doc(nlp.vocab, words=words, spaces=spaces)
