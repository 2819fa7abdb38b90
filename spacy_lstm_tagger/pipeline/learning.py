"""Examples in, a trained model out: how the component learns."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from math import nan
from pathlib import Path

from spacy.errors import Errors
from spacy.language import Language
from spacy.training import Example, validate_examples
from thinc.api import Optimizer
from thinc.types import Floats2d

from ..model.crf import emitter_of
from ..model.pretraining import take_pretrained
from ..model.shim import has_network
from .examples import affirmed, check_any, check_known, labels_to_learn, read_examples
from .labels import aligned_labels, normal_form
from .lexicon import check_lexicon
from .listeners import check_rehearsal, check_widths
from .loss import add_soft_labels, check_finite, label_loss
from .saving import SavedTagger
from .soft_labels import aligned_soft_labels


class LearningTagger(SavedTagger):
    """A tagger that learns any of tag, pos and morph, and shows its model all training Docs when
    it is initialized.
    """

    _n_steps = 0

    @property
    def attribute(self) -> str:
        """The annotation that the component learns and writes: "tag", "pos" or "morph"."""
        return self.cfg["attribute"]

    def initialize(
        self,
        get_examples: Callable[[], Iterable[Example]],
        *,
        nlp: Language | None = None,
        labels: Sequence[str] | None = None,
        lexicon: dict[str, list[str]] | None = None,
        pretrained: str | Path | None = None,
    ) -> None:
        """Learn the labels and the vocabulary, and build the model for them.

        get_examples (Callable[[], Iterable[Example]]): Returns the training examples.
        nlp (Language | None): The pipeline.
        labels (Sequence[str] | None): The labels; None for those of the examples: gold
            labels, and those that teachers gave them.
        lexicon (dict[str, list[str]] | None): The labels that each word form can have, just as it
            is spelled; other forms can have any.
        pretrained (str | Path | None): A file that `spacy pretrain` saved of a `tok2vec` with the
            architecture `spacy-lstm-tagger.LSTMTok2Vec.v1` and the settings of this model, which
            begins with its words and weights.
        RAISES: ValueError if the examples can't be read, if there are none, or no labels, if a
            label can't be one of the attribute's, if the lexicon gives a form no label, or one
            that the component lacks, if the model listens to a component of another width, if
            the pretrained weights are those of another model.
        """
        with self._named_in_errors():
            if nlp is not None:
                check_widths(self.model, nlp)
            examples = read_examples(get_examples)
            if labels is None:
                labels = labels_to_learn(examples, self.attribute, self._neg_prefix)
        self._add_labels(labels if isinstance(labels, str) else list(labels))
        with self._named_in_errors():
            check_any(self.labels, examples, self.attribute)
            self.cfg["lexicon"] = check_lexicon(lexicon or {}, self.labels, self._normal_form)
        self._n_steps = 0
        docs = [example.x for example in examples]
        Y = [self.model.ops.alloc2f(len(doc), len(self.labels)) for doc in docs[:10]]
        # Our models learn the words of all Docs; spaCy's would run on all that they are shown.
        is_ours = has_network(emitter_of(self.model))
        self.model.initialize(X=docs if is_ours else docs[:10], Y=Y)
        if pretrained is not None:
            with self._named_in_errors():
                take_pretrained(self.model, Path(pretrained))

    def add_label(self, label: str) -> int:
        """Add a label, also to a trained component; until it is trained, no prediction changes.

        label (str): The label; morphological features in any order.
        RETURNS (int): 1, or 0 if the component has it already.
        RAISES: ValueError if it is no string, or no label for the attribute, or if the model can't
            get more labels; the component stays as it was.
        """
        if not isinstance(label, str):
            raise ValueError(Errors.E187)
        return self._add_labels([label])

    def _add_labels(self, labels: Iterable[str]) -> int:
        with self._named_in_errors():
            if isinstance(labels, str) or not all(isinstance(label, str) for label in labels):
                raise ValueError(f"a list of labels is needed, not {labels!r:.80}")
            normal = dict.fromkeys(map(self._normal_form, labels))
            for label in normal:
                self.vocab.strings.add(label)
            new = [label for label in normal if label not in self.labels]
            n_outputs = self.model.maybe_get_dim("nO")
            if new and n_outputs is not None and n_outputs < len(self.labels) + len(new):
                self._resize(len(self.labels) + len(new), new)
        self.cfg["labels"].extend(new)
        return len(new)

    def _resize(self, n_labels: int, new: Sequence[str]) -> None:
        if not self.is_resizable:
            raise ValueError(
                f"its model can't get more labels, and these are new: {', '.join(new)}. Initialize "
                "it with all labels, or use the architecture spacy-lstm-tagger.LSTMTagger.v1."
            )
        for model in (self.model, self._rehearsal_model):
            if model is not None:
                model.attrs["resize_output"](model, n_labels)

    def update(
        self,
        examples: Iterable[Example],
        *,
        drop: float = 0.0,
        sgd: Optimizer | None = None,
        losses: dict[str, float] | None = None,
    ) -> dict[str, float]:
        """Learn from a batch; see `spacy.pipeline.Tagger.update`. With `new_labels` = "add", labels
        that the component lacks are added first.

        RAISES: as `get_loss`; if the loss is no number, the model stays as it was.
        """
        examples = list(examples)
        validate_examples(examples, "LSTMTagger.update")
        if self.cfg["new_labels"] == "add":
            labels = labels_to_learn(examples, self.attribute, self._neg_prefix)
            self._add_labels([label for label in labels if label not in self.labels])
        try:
            return super().update(examples, drop=drop, sgd=sgd, losses=losses)
        except ValueError as error:
            if str(error) != Errors.E940:  # which spaCy raises where scores are no numbers
                raise
            with self._named_in_errors():
                check_finite(nan, self._n_steps)
            raise

    def rehearse(
        self,
        examples: Iterable[Example],
        *,
        drop: float = 0.0,
        sgd: Optimizer | None = None,
        losses: dict[str, float] | None = None,
    ) -> dict[str, float]:
        """Learn not to forget; see `spacy.pipeline.Tagger.rehearse`.

        RAISES: ValueError if the model listens to an encoder that is trained with it.
        """
        with self._named_in_errors():
            check_rehearsal(self.model)
        return super().rehearse(list(examples), drop=drop, sgd=sgd, losses=losses)

    def get_loss(
        self, examples: Iterable[Example], scores: list[Floats2d]
    ) -> tuple[float, list[Floats2d]]:
        """Find the loss of a batch and its gradient with respect to the scores.

        examples (Iterable[Example]): The batch.
        scores (list[Floats2d]): (tokens, labels) probabilities of each Doc.
        RETURNS (tuple[float, list[Floats2d]]): The loss and the gradients. Tokens whose label is
            missing or can't be aligned have none, unless teachers gave them soft labels.
        RAISES: ValueError if the component lacks a gold label, or if the loss is no number.
        """
        examples = list(examples)
        validate_examples(examples, "LSTMTagger.get_loss")
        gold = [
            [label or None for label in aligned_labels(example, self.attribute)]
            for example in examples
        ]
        smoothing = self.cfg["label_smoothing"] if len(self.labels) > 1 else 0.0
        with self._named_in_errors():
            soft = [aligned_soft_labels(example, self.attribute) for example in examples]
            used = {label for labels in gold for label in labels if label}
            taught = {label for one in soft if one is not None for label in one.labels}
            check_known(affirmed(used, self._neg_prefix) | taught, self.labels, self._neg_prefix)
            loss, gradients = label_loss(
                scores,
                gold,
                self.labels,
                label_smoothing=smoothing,
                neg_prefix=self._neg_prefix,
            )
            if taught:
                loss, gradients = add_soft_labels(
                    scores, gold, self.labels, soft, gradients, label_smoothing=smoothing
                )
            check_finite(loss, self._n_steps)
        return loss, gradients

    def finish_update(self, sgd: Optimizer | None) -> None:
        """Let an optimizer change the model, and count the steps of training.

        sgd (Optimizer | None): The optimizer; None to go on adding up gradients.
        """
        if sgd is not None:
            super().finish_update(sgd)
            self._n_steps += 1

    @contextmanager
    def _named_in_errors(self) -> Iterator[None]:
        try:
            yield
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}") from None

    def _normal_form(self, label: str) -> str:
        return normal_form(label, self.attribute, self.vocab)

    @property
    def _neg_prefix(self) -> str:
        return self.cfg["neg_prefix"] or ""
