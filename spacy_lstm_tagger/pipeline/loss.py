"""Loss of a batch, and its gradient."""

from collections.abc import Iterable, Sequence
from math import isfinite, nan
from typing import Any

import numpy
from thinc.api import SequenceCategoricalCrossentropy, get_array_module

from ..model.types import Floats2d
from .soft_labels import SoftLabels

# The weight of soft labels for a token with a gold label: less than half, so the gold label wins
# where teachers are sure of another one.
SHARE = 0.4


def label_loss(
    probabilities: list[Floats2d],
    gold: Sequence[Sequence[str | None]],
    labels: Sequence[str],
    *,
    label_smoothing: float,
    neg_prefix: str,
) -> tuple[float, list[Floats2d]]:
    """Compute the cross-entropy with gold labels; the gradient of a denied label makes it less
    likely. Thinc's loss can't combine denied labels with label smoothing.

    probabilities (list[Floats2d]): (tokens, labels) of each Doc.
    gold (Sequence[Sequence[str | None]]): The label of each token of each Doc, or None.
    label_smoothing (float): Probability that the other labels together should have; 0 if there
        are none.
    neg_prefix (str): Marks labels that are denied; "" if none are.
    RETURNS (tuple[float, list[Floats2d]]): The sum of squares of the gradient, which spaCy reports
        as the loss; and the gradient with respect to the scores. Tokens without a label have none.
    """
    used = {label for doc_labels in gold for label in doc_labels if label and neg_prefix}
    denied = {label for label in used if label.startswith(neg_prefix)}
    affirmed: list[Any] = [
        [None if label in denied else label for label in doc_labels] for doc_labels in gold
    ]
    loss_function = SequenceCategoricalCrossentropy(
        names=labels, normalize=False, label_smoothing=label_smoothing
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


def add_soft_labels(
    probabilities: Sequence[Floats2d],
    gold: Sequence[Sequence[str | None]],
    labels: Sequence[str],
    soft_labels: Sequence[SoftLabels | None],
    gradients: Sequence[Floats2d],
) -> tuple[float, list[Floats2d]]:
    """Mix the gradient of gold labels with that of soft labels: the cross-entropy with the
    teachers' probabilities. A token without a gold label learns from soft labels alone; one whose
    gold label is denied, or not among its soft labels, learns from the gold label alone.

    soft_labels (Sequence[SoftLabels | None]): The soft labels of each Doc.
    gradients (Sequence[Floats2d]): (tokens, labels) what `label_loss` returned.
    RETURNS (tuple[float, list[Floats2d]]): The loss and the gradient, as `label_loss` returns them.
    """
    loss, mixed = 0.0, []
    for own_gold, own, gradient, soft in zip(
        gold, probabilities, gradients, soft_labels, strict=True
    ):
        if soft is not None and len(own):
            xp: Any = get_array_module(own)
            target = xp.asarray(soft.dense(labels))
            shares = xp.asarray(_shares(own_gold, soft))
            gradient = (1 - shares) * gradient + shares * (own - target)
        squares: Any = gradient**2
        loss += float(squares.sum())
        mixed.append(gradient)
    return loss, mixed


def _shares(gold: Sequence[str | None], soft: SoftLabels) -> Any:
    """Return (tokens, 1) the weight of each token's soft labels."""
    id_of = {label: i for i, label in enumerate(soft.labels)}
    ids: Any = numpy.asarray([[id_of.get(label or "", -1)] for label in gold])
    has_gold: Any = numpy.asarray([[bool(label)] for label in gold])
    is_taught = soft.probabilities.sum(axis=1, keepdims=True) > 0
    is_among = ((soft.ids == ids) & (soft.probabilities > 0)).any(axis=1, keepdims=True)
    shares = numpy.where(has_gold, numpy.where(is_among, SHARE, 0.0), 1.0) * is_taught
    return shares.astype("float32")


def check_finite(loss: float, probabilities: Iterable[Floats2d], step: int) -> None:
    """Raise a ValueError if the loss of a batch, or a probability, is infinite or NaN.

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
