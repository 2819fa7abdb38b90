"""Scores in, annotated Docs out: the component `lstm_tagger`."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, cast

import numpy
from spacy.language import Language
from spacy.tokens import Doc
from spacy.util import minibatch
from spacy.vocab import Vocab
from thinc.api import Model
from thinc.types import Floats2d, Ints1d

from ..model.streaming import WordReader
from .annotation import annotate
from .confidence import check_number, register_extensions, require_extensions
from .decoding import (
    LabelIds,
    Labelling,
    best_labels,
    best_sequences,
    emissions_of,
    predict_labels,
    probabilities_of,
)
from .labels import FACTORIES, score_labels
from .learning import LearningTagger
from .lexicon import Bools2d, Lexicon, allowed_labels, labels_of_forms, register_allowed
from .listeners import check_read
from .saving import SETTINGS, check_labels
from .stream import TokenStream


class LSTMTagger(LearningTagger):
    """Label each token: a `Tagger` that reads and writes any of tag, pos and morph."""

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
        new_labels: str = "refuse",
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
        new_labels (str): What to do if training brings a label that the component lacks: "refuse"
            it with an error, or "add" it. It can be changed at any time.
        store_probabilities (bool): Whether Docs that are annotated carry the probabilities of all
            labels; see `confidence.py`. It can be changed at any time.
        scorer (Callable | None): The scoring method.
        RAISES: ValueError if the attribute or `new_labels` is none of these, or if probabilities
            are to be stored under an extension that the application has for something else.
        """
        if attribute not in FACTORIES:
            raise ValueError(
                f"{name}: attribute = {attribute!r} can't be tagged; use one of "
                f"{', '.join(FACTORIES)}."
            )
        if not 0 <= label_smoothing < 1:
            raise ValueError(
                f"{name}: label_smoothing = {label_smoothing} must be from 0 to less than 1."
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
        register_extensions(attribute)
        register_allowed(attribute)
        self.new_labels = new_labels
        self.store_probabilities = store_probabilities
        self.configured = {setting: self.cfg[setting] for setting in SETTINGS}

    @property
    def new_labels(self) -> str:
        """What to do if training brings a label that the component lacks."""
        return self.cfg["new_labels"]

    @new_labels.setter
    def new_labels(self, value: str) -> None:
        if value not in ("refuse", "add"):
            raise ValueError(f'{self.name}: new_labels = {value!r} must be "refuse" or "add".')
        self.cfg["new_labels"] = value

    @property
    def store_probabilities(self) -> bool:
        """Whether Docs that are annotated carry the probabilities of all labels."""
        return self.cfg["store_probabilities"]

    @store_probabilities.setter
    def store_probabilities(self, value: bool) -> None:
        if value not in (True, False):
            raise ValueError(f"{self.name}: store_probabilities = {value!r} must be true or false.")
        if value:
            with self._named_in_errors():
                require_extensions(self.attribute)
        self.cfg["store_probabilities"] = value

    def predict(self, docs: Iterable[Doc]) -> LabelIds:
        """Choose a label for each token: of the best sequence of labels, if the model has a CRF.

        docs (Iterable[Doc]): The Docs.
        RETURNS (LabelIds): (tokens,) the index of each token's label, for each Doc; with
            `store_probabilities`, the probabilities as well.
        RAISES: ValueError if what a token is allowed is no list of the component's labels.
        """
        docs, model = list(docs), self.model
        if not self.store_probabilities:
            return LabelIds(predict_labels(model, docs, self._allowed(docs)))
        emissions = emissions_of(model, docs, self._allowed(docs))
        return LabelIds(best_labels(model, emissions), self._probabilities(model, emissions))

    def predict_probabilities(self, docs: Iterable[Doc]) -> list[Floats2d]:
        """Find the probability of each label, without annotating the Docs.

        docs (Iterable[Doc]): The Docs.
        RETURNS (list[Floats2d]): (tokens, labels) for each Doc, in the order of `labels`; each
            row's sum is 1. With a CRF they are the marginal probabilities.
        RAISES: ValueError as `predict`.
        """
        docs, model = list(docs), self.model
        return self._probabilities(model, emissions_of(model, docs, self._allowed(docs)))

    def k_best(self, doc: Doc, k: int) -> list[Labelling]:
        """Find the k most probable sequences of labels, without annotating the Doc.

        doc (Doc): The Doc, which is one sequence; for sentences, pass `sent.as_doc()`.
        k (int): How many sequences.
        RETURNS (list[Labelling]): The sequences, the best first.
        RAISES: ValueError if k is less than 1, or more than there are sequences; and as `predict`.
        """
        model = self.model
        (emissions,) = emissions_of(model, [doc], self._allowed([doc]))
        with self._named_in_errors():
            return best_sequences(model, emissions, self.cfg["label_smoothing"], self.labels, k)

    def stream(self, state: dict[str, Any] | None = None) -> TokenStream:
        """Begin a stream of words that are tagged as they come; only NumPy computes. The model
        must read from left to right, without a CRF.

        state (dict[str, Any] | None): Where to go on: the `state` of another stream of the same
            pipeline, in this process or another. None to begin anew.
        RETURNS (TokenStream): The stream.
        RAISES: ValueError if the model can't tag a stream, or if the state is not one of it.
        """
        with self._named_in_errors():
            decide = partial(self._decide, self.labels, self.cfg["lexicon"])
            return TokenStream(WordReader(self.model, self.vocab), decide, state)

    def set_annotations(self, docs: Doc | Iterable[Doc], batch_tag_ids: list[Ints1d]) -> None:
        """Write labels to the Docs, and probabilities if `predict` found some.

        docs (Iterable[Doc]): The Docs.
        batch_tag_ids (list[Ints1d]): What `predict` returned.
        """
        with self._named_in_errors():
            annotate(
                [docs] if isinstance(docs, Doc) else list(docs),
                batch_tag_ids,
                getattr(batch_tag_ids, "probabilities", ()),
                labels=self.labels,
                attribute=self.attribute,
                overwrite=self.cfg["overwrite"],
                tagger=self.name,
            )

    def pipe(self, stream: Iterable[Doc], *, batch_size: int = 128) -> Iterator[Doc]:
        """Annotate a stream of Docs. A Doc that makes the component raise is given to the
        pipeline's error handler by itself, and the others of its batch are annotated.

        stream (Iterable[Doc]): The Docs.
        batch_size (int): How many are read at a time.
        YIELDS (Doc): The Docs in their order, without the ones that went to the error handler.
        """
        with self._named_in_errors():  # spaCy would drop all Docs where it is 0
            batch_size = check_number("batch_size", batch_size)
        for docs in minibatch(stream, size=batch_size):
            yield from self._pipe_batch(docs)

    def _pipe_batch(self, docs: list[Doc]) -> Iterator[Doc]:
        try:
            self.set_annotations(docs, self.predict(docs))
        except Exception as error:
            if len(docs) == 1:
                self.get_error_handler()(self.name, self, docs, error)
            else:
                for doc in docs:
                    yield from self._pipe_batch([doc])
        else:
            yield from docs

    def _allowed(self, docs: list[Doc]) -> Bools2d | None:
        with self._named_in_errors():
            for doc in docs:
                if not isinstance(doc, Doc):
                    raise ValueError(f"a Doc is needed, not {doc!r:.40}: make one by nlp(text)")
            check_read(self.model, docs)
            if not self.labels:  # while some are added, the model can have more
                check_labels(self.model, self.labels)
            return allowed_labels(
                docs, self.cfg["lexicon"], self.attribute, self.labels, self._normal_form
            )

    def _probabilities(
        self, model: Model[list[Doc], list[Floats2d]], emissions: list[Floats2d]
    ) -> list[Floats2d]:
        return probabilities_of(model, emissions, self.cfg["label_smoothing"])

    def _decide(
        self, labels: tuple[str, ...], lexicon: Lexicon, words: list[str], scores: Floats2d
    ) -> list[tuple[str, float]]:
        """Return the label of each word, and its probability, as `predict` finds them."""
        allowed = labels_of_forms(words, lexicon, labels)
        emissions = [self.model.ops.asarray2f(numpy.where(allowed, cast(Any, scores), -numpy.inf))]
        (label_ids,) = best_labels(self.model, emissions)
        (probabilities,) = self._probabilities(self.model, emissions)
        return [
            (labels[i], float(row[i]))
            for i, row in zip(label_ids.tolist(), probabilities, strict=True)
        ]


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
