"""Probabilities and gold labels in, the loss and its gradient out."""

from collections.abc import Iterable, Sequence
from math import isfinite, nan
from typing import Any

from thinc.api import SequenceCategoricalCrossentropy

from ..model.types import Floats2d


def label_loss(
    probabilities: list[Floats2d],
    gold: Sequence[Sequence[str | None]],
    labels: Sequence[str],
    *,
    label_smoothing: float,
    neg_prefix: str,
) -> tuple[float, list[Floats2d]]:
    """Compare probabilities with gold labels: cross-entropy, and for a label that is denied, what
    makes it less likely. Thinc's loss can't combine denied labels with label smoothing.

    probabilities (list[Floats2d]): (tokens, labels) of each Doc.
    gold (Sequence[Sequence[str | None]]): The label of each token of each Doc, or nothing.
    labels (Sequence[str]): The labels.
    label_smoothing (float): Probability that the other labels together should have; 0 if there
        are none.
    neg_prefix (str): Marks labels that are denied; "" if none are.
    RETURNS (tuple[float, list[Floats2d]]): The sum of squares of the gradient, which spaCy reports
        as the loss; and the gradient with respect to the scores. Tokens without a label have none.
    """
    denied = {
        label
        for doc_labels in gold
        for label in doc_labels
        if label and neg_prefix and label.startswith(neg_prefix)
    }
    affirmed: list[Any] = [
        [None if label in denied else label for label in doc_labels] for doc_labels in gold
    ]
    loss_function = SequenceCategoricalCrossentropy(
        names=labels,
        normalize=False,
        label_smoothing=label_smoothing,
    )
    gradients, loss = loss_function(probabilities, affirmed)
    if denied:
        for doc_labels, own, gradient in zip(gold, probabilities, gradients, strict=True):
            for i, label in enumerate(doc_labels):
                if label in denied:
                    j = labels.index(label.removeprefix(neg_prefix))
                    gradient[i, j] = own[i, j]
                    loss += own[i, j] ** 2
    return float(loss), gradients


def check_finite(loss: float, probabilities: Iterable[Floats2d], step: int) -> None:
    """Raise a ValueError if training has failed: the loss, or a probability, is infinite or NaN.

    loss (float): The loss of a batch.
    probabilities (Iterable[Floats2d]): (tokens, labels) for each Doc.
    step (int): How many steps the optimizer has taken.
    """
    if not all(isfinite(values.sum(axis=(0, 1))) for values in probabilities):
        loss = nan  # also where no token has a gold label
    if not isfinite(loss):
        raise ValueError(
            f"the loss is {loss} in step {step} of training. Train with a lower learn_rate, or "
            "with grad_clip = 1.0: see [training.optimizer] in the config. If `spacy train` has "
            "found a pipeline before, it is in model-best."
        )
