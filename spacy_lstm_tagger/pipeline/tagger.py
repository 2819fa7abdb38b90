"""Scores in, annotated Docs out: the component `lstm_tagger`."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
from spacy.language import Language
from spacy.pipeline import Tagger
from spacy.tokens import Doc
from spacy.training import Example, validate_examples, validate_get_examples
from spacy.vocab import Vocab
from thinc.api import Model, to_numpy
from thinc.types import Floats2d, Ints1d

from ..model.garbage import collection_unchanged
from .confidence import register_extensions, store
from .decoding import (
    LabelIds,
    Labelling,
    best_labels,
    best_sequences,
    emissions_of,
    predict_labels,
    probabilities_of,
)
from .labels import aligned_labels, gold_labels, normal_form, value_of
from .lexicon import Bools2d, allowed_labels, check_lexicon, register_allowed
from .loss import label_loss
from .scorer import score_labels

SCORE_WEIGHTS: dict[str, dict[str, float | None]] = {
    "tag": {"tag_acc": 1.0},
    "pos": {"pos_acc": 1.0},
    "morph": {"morph_acc": 1.0, "morph_per_feat": None},
}


@Language.factory(
    "lstm_tagger",
    default_config={
        "model": {"@architectures": "spacy-lstm-tagger.LSTMTagger.v1"},
        "attribute": "tag",
        "overwrite": False,
        "label_smoothing": 0.05,
        "neg_prefix": "!",
        "store_probabilities": False,
        "scorer": {"@scorers": "spacy-lstm-tagger.lstm_tagger_scorer.v1"},
    },
    assigns=["token.tag"],
    default_score_weights=SCORE_WEIGHTS["tag"],
)
def make_lstm_tagger(
    nlp: Language,
    name: str,
    model: Model[list[Doc], list[Floats2d]],
    attribute: str,
    overwrite: bool,
    label_smoothing: float,
    neg_prefix: str,
    store_probabilities: bool,
    scorer: Callable[..., dict[str, Any]] | None,
) -> "LSTMTagger":
    """Create the component; its settings are those of `LSTMTagger`."""
    component = LSTMTagger(
        nlp.vocab,
        model,
        name,
        attribute=attribute,
        overwrite=overwrite,
        label_smoothing=label_smoothing,
        neg_prefix=neg_prefix,
        store_probabilities=store_probabilities,
        scorer=scorer,
    )
    # spaCy reads a factory's meta right after calling it; so each component gets its own.
    meta = replace(
        Language.get_factory_meta("lstm_tagger"),
        assigns=[f"token.{attribute}"],
        scores=list(SCORE_WEIGHTS[attribute]),
        default_score_weights=SCORE_WEIGHTS[attribute],
    )
    Language.set_factory_meta("lstm_tagger", meta)
    return component


class LSTMTagger(Tagger):
    """Label each token: a `Tagger` that reads and writes any of tag, pos and morph, and that
    shows its model all training Docs when it is initialized.
    """

    cfg: dict[str, Any]

    def __init__(
        self,
        vocab: Vocab,
        model: Model[list[Doc], list[Floats2d]],
        name: str = "lstm_tagger",
        *,
        attribute: str = "tag",
        overwrite: bool = False,
        label_smoothing: float = 0.05,
        neg_prefix: str = "!",
        store_probabilities: bool = False,
        scorer: Callable[..., dict[str, Any]] | None = score_labels,
    ):
        """Create the component.

        vocab (Vocab): The pipeline's vocab.
        model (Model[list[Doc], list[Floats2d]]): Scores each label for each token.
        name (str): Name of the component in the pipeline, and of its loss.
        attribute (str): The annotation that it learns and writes: "tag", "pos" or "morph".
        overwrite (bool): Whether to replace annotation that a Doc has already.
        label_smoothing (float): Probability that training gives to the other labels together; it
            makes a tagger more accurate, and its probabilities more honest.
        neg_prefix (str): Marks gold labels that a token does not have: "!NN" is "anything but NN".
        store_probabilities (bool): Whether Docs that are annotated carry the probabilities of all
            labels; see `confidence.py`. It may be changed at any time.
        scorer (Callable | None): The scoring method.
        RAISES: ValueError if the attribute is none of the three.
        """
        if attribute not in SCORE_WEIGHTS:
            raise ValueError(
                f"{name}: attribute = {attribute!r} can't be tagged; use one of "
                f"{', '.join(SCORE_WEIGHTS)}."
            )
        super().__init__(
            vocab,
            model,
            name,
            overwrite=overwrite,
            scorer=scorer,
            neg_prefix=neg_prefix,
            label_smoothing=label_smoothing,
        )
        self.cfg["attribute"] = attribute
        self.cfg["lexicon"] = {}
        self.store_probabilities = store_probabilities
        register_extensions(attribute)
        register_allowed(attribute)

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
    ) -> None:
        """Learn the labels and the vocabulary, and build the model for them.

        get_examples (Callable[[], Iterable[Example]]): Returns the training examples.
        nlp (Language | None): The pipeline.
        labels (Sequence[str] | None): The labels; None to read them from the examples.
        lexicon (dict[str, list[str]] | None): The labels that each word form may have, just as it
            is spelled; the forms that it lacks may have any.
        RAISES: ValueError if the examples can't be read, if there are none, or no labels, if a
            label can't be one of the attribute's, or if the lexicon gives a form no label, or one
            that the component lacks.
        """
        if not callable(get_examples):
            validate_get_examples(get_examples, "LSTMTagger.initialize")
        try:
            examples = list(get_examples())
        except OSError as error:
            raise ValueError(
                f"{self.name}: can't read the training examples: {error}. Check the paths of the "
                "corpora in the config, or give them on the command line: --paths.train FILE."
            ) from error
        if not examples:
            raise ValueError(
                f"{self.name}: there are no training examples to initialize from. Check the "
                "corpus: its path, and that its Docs are not empty."
            )
        validate_get_examples(lambda: examples, "LSTMTagger.initialize")
        gold = self._affirmed(gold_labels(examples, self.attribute)) - {""}
        for label in sorted(gold) if labels is None else labels:
            self.add_label(label)
        self._require_labels()
        with self._named_in_errors():
            self.cfg["lexicon"] = check_lexicon(lexicon or {}, self.labels, self._normal_form)
        docs = [example.x for example in examples]
        for node in self.model.walk():
            if "training_docs" in node.attrs:
                node.attrs["training_docs"] = docs
        sample = docs[:10]
        n_labels = len(self.labels)
        Y = [self.model.ops.alloc2f(len(doc), n_labels) for doc in sample]
        self.model.initialize(X=sample, Y=Y)

    def add_label(self, label: str) -> int:
        """Add a label.

        label (str): The label; morphological features in any order.
        RETURNS (int): 1, or 0 if the component has it already.
        RAISES: ValueError if it is no string, no label for the attribute, or if the model was
            initialized with other labels already.
        """
        if isinstance(label, str):
            with self._named_in_errors():
                label = self._normal_form(label)
        return super().add_label(label)

    def predict(self, docs: Iterable[Doc]) -> LabelIds:
        """Choose a label for each token: of the best sequence of labels, if the model has a CRF.

        docs (Iterable[Doc]): The Docs.
        RETURNS (LabelIds): (tokens,) the index of each token's label, for each Doc; with
            `store_probabilities`, the probabilities as well.
        RAISES: ValueError if what a token is allowed is no list of the component's labels.
        """
        docs = list(docs)
        if not self.store_probabilities:
            return LabelIds(predict_labels(self.model, docs, self._allowed(docs)))
        emissions = self._emissions(docs)
        return LabelIds(best_labels(self.model, emissions), self._probabilities(emissions))

    def predict_probabilities(self, docs: Iterable[Doc]) -> list[Floats2d]:
        """Find the probability of each label, without annotating the Docs.

        docs (Iterable[Doc]): The Docs.
        RETURNS (list[Floats2d]): (tokens, labels) for each Doc, in the order of `labels`; each
            row's sum is 1. With a CRF they are the marginal probabilities.
        RAISES: ValueError as `predict`.
        """
        return self._probabilities(self._emissions(docs))

    def k_best(self, doc: Doc, k: int) -> list[Labelling]:
        """Find the k most probable sequences of labels, without annotating the Doc.

        doc (Doc): The Doc, which is one sequence; for sentences, pass `sent.as_doc()`.
        k (int): How many sequences.
        RETURNS (list[Labelling]): The sequences, the best first.
        RAISES: ValueError if k is less than 1, or more than there are sequences; and as `predict`.
        """
        (emissions,) = self._emissions([doc])
        with self._named_in_errors():
            return best_sequences(
                self.model, emissions, self.cfg["label_smoothing"], self.labels, k
            )

    def get_loss(
        self, examples: Iterable[Example], scores: list[Floats2d]
    ) -> tuple[float, list[Floats2d]]:
        """Find the loss of a batch and its gradient with respect to the scores.

        examples (Iterable[Example]): The batch.
        scores (list[Floats2d]): (tokens, labels) probabilities of each Doc.
        RETURNS (tuple[float, list[Floats2d]]): The loss and the gradients. Tokens whose label is
            missing or can't be aligned have none.
        RAISES: ValueError if the component lacks a gold label.
        """
        validate_examples(examples, "LSTMTagger.get_loss")
        gold = [
            [label or None for label in aligned_labels(example, self.attribute)]
            for example in examples
        ]
        self._check_known({label for labels in gold for label in labels if label})
        return label_loss(
            scores,
            gold,
            self.labels,
            label_smoothing=self.cfg["label_smoothing"],
            neg_prefix=self.cfg["neg_prefix"] or "",
        )

    def set_annotations(self, docs: Doc | Iterable[Doc], batch_tag_ids: list[Ints1d]) -> None:
        """Write labels to the Docs, and probabilities if `predict` found some.

        docs (Iterable[Doc]): The Docs.
        batch_tag_ids (list[Ints1d]): What `predict` returned.
        """
        docs = [docs] if isinstance(docs, Doc) else list(docs)
        label_ids = [to_numpy(ids).astype("int64") for ids in batch_tag_ids]
        labels, values = self.labels, numpy.zeros(len(self.labels), dtype="uint64")
        counts = numpy.bincount(numpy.concatenate([*label_ids, numpy.zeros(0, dtype="int64")]))
        for i in numpy.flatnonzero(counts).tolist():
            values[i] = value_of(labels[i], self.attribute, self.vocab)
        if isinstance(batch_tag_ids, LabelIds) and batch_tag_ids.probabilities:
            for doc, probabilities in zip(docs, batch_tag_ids.probabilities, strict=True):
                store(doc, self.attribute, self.labels, probabilities)
        for doc, ids in zip(docs, label_ids, strict=True):
            if not len(doc):
                continue
            annotation = values[ids]
            if not self.cfg["overwrite"]:
                present = doc.to_array(self.attribute)
                annotation = numpy.where(present == 0, annotation, present)
            doc.from_array(self.attribute, annotation)

    def from_bytes(self, bytes_data: bytes, *, exclude: Iterable[str] = ()) -> "LSTMTagger":
        """Load the component from bytes; see `from_disk`."""
        with self._loading("these bytes"):
            return super().from_bytes(bytes_data, exclude=exclude)

    def from_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> "LSTMTagger":
        """Load the component from a directory.

        path (str | Path): The directory.
        exclude (Iterable[str]): Names of what is not to be loaded: "vocab", "cfg", "model".
        RETURNS (LSTMTagger): The component itself.
        RAISES: ValueError if it is damaged, or was saved with other settings; the component
            stays as it was.
        """
        with self._loading(path):
            return super().from_disk(path, exclude=exclude)

    @contextmanager
    def _loading(self, source: str | Path) -> Iterator[None]:
        cfg = dict(self.cfg)
        try:
            with collection_unchanged():
                yield
            if self.attribute != cfg["attribute"]:
                raise ValueError(f"it was saved with attribute = {self.attribute!r}")
        except Exception as error:  # a damaged file may raise whatever its bytes happen to mean
            self.cfg = cfg
            raise ValueError(
                f"{self.name}: can't load {source}: {error}. If the pipeline is damaged, get or "
                "save it again; if not, use the config that it was saved with."
            ) from error

    @contextmanager
    def _named_in_errors(self) -> Iterator[None]:
        try:
            yield
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}") from None

    def _normal_form(self, label: str) -> str:
        return normal_form(label, self.attribute, self.vocab)

    def _allowed(self, docs: list[Doc]) -> Bools2d | None:
        with self._named_in_errors():
            return allowed_labels(
                docs, self.cfg["lexicon"], self.attribute, self.labels, self._normal_form
            )

    def _emissions(self, docs: Iterable[Doc]) -> list[Floats2d]:
        docs = list(docs)
        return emissions_of(self.model, docs, self._allowed(docs))

    def _probabilities(self, emissions: list[Floats2d]) -> list[Floats2d]:
        return probabilities_of(self.model, emissions, self.cfg["label_smoothing"])

    def _affirmed(self, gold: set[str]) -> set[str]:
        """Return the labels that gold labels affirm or deny."""
        prefix = self.cfg["neg_prefix"] or ""
        return {label.removeprefix(prefix) for label in gold}

    def _check_known(self, gold: set[str]) -> None:
        unknown = self._affirmed(gold).difference(self.labels)
        if unknown:
            raise ValueError(
                f"{self.name}: the training data have labels that the component lacks: "
                f"{', '.join(sorted(unknown))}. Its labels are fixed when it is initialized; "
                f"initialize it with all of them, or list them in the config, "
                f"[initialize.components.{self.name}] labels. (A label that starts with "
                f"neg_prefix = {self.cfg['neg_prefix']!r} denies the rest of it.)"
            )
