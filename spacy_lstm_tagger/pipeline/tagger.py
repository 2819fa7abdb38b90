"""The component, which learns and writes tags, parts of speech or morphology."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from spacy.language import Language
from spacy.pipeline import Tagger
from spacy.tokens import Doc
from spacy.training import Example, validate_examples
from spacy.util import minibatch
from spacy.vocab import Vocab
from thinc.api import Optimizer, set_dropout_rate

from ..model.crf import emitter_of
from ..model.pretraining import take_pretrained
from ..model.shim import has_network
from ..model.streaming import WordReader
from ..model.types import DocModel, Floats2d, Ints1d
from . import serialization
from .constraints import Bools2d, allowed_labels, check_lexicon, register_allowed
from .decoding import (
    Labelling,
    Prediction,
    best_sequences,
    emissions_of,
    label_words,
    predict,
    probabilities_of,
)
from .extensions import register_label
from .growth import add_labels, check_labels_to_learn, labels_of_examples
from .labels import (
    FACTORIES,
    affirmed,
    aligned_labels,
    annotate,
    check_any,
    check_known,
    labels_to_learn,
    normal_form,
    read_examples,
    score_labels,
)
from .listeners import check_read, check_rehearsal, check_widths
from .loss import add_soft_labels, check_finite, label_loss
from .probabilities import check_number, register_extensions, require_extensions, space_label
from .soft_labels import aligned_soft_labels
from .spans import SCHEMES, scheme_of
from .streaming import TokenStream


class LSTMTagger(Tagger):
    """Label each token: a `Tagger` for tag, pos, morph, or a custom extension, `token._.NAME`."""

    model: DocModel
    cfg: dict[str, Any]

    def __init__(
        self,
        vocab: Vocab,
        model: DocModel,
        name: str = "lstm_tagger",
        *,
        attribute: str = "tag",
        overwrite: bool = False,
        label_smoothing: float = 0.05,
        neg_prefix: str = "!",
        new_labels: str = "refuse",
        store_probabilities: bool = False,
        scheme: str | None = "auto",
        spans: str | None = None,
        scorer: Callable[..., dict[str, Any]] | None = score_labels,
    ):
        """Create the component. The keyword arguments except `attribute` are the settings of its
        factories; later changes are not saved.

        vocab (Vocab): The pipeline's vocab.
        model (Model[list[Doc], list[Floats2d]]): Scores each label for each token.
        name (str): Name of the component in the pipeline, and of its loss.
        attribute (str): The annotation to learn and write: "tag", "pos", "morph", or the name of an
            extension.
        overwrite (bool): Whether to replace annotation that a Doc has already.
        label_smoothing (float): Probability that training gives to the other labels together. It
            makes a tagger more accurate, and its probabilities better calibrated.
        neg_prefix (str): Marks gold labels that a token does not have: "!NN" is "anything but NN".
        new_labels (str): What to do with gold labels in training that the component lacks:
            "refuse" them with an error, or "add" them. It can be changed at any time.
        store_probabilities (bool): Whether annotated Docs carry the probabilities of all labels;
            see `probabilities.py`. It can be changed at any time.
        scheme (str | None): The scheme by which labels mark spans: "bio", "bilou" or "bioes".
            Sequences of labels that break it are never predicted. "auto" for the scheme that all
            labels have in common, if any; None for none.
        spans (str | None): Where to write the spans that labels mark, beside the labels: "ents", or
            a key of `doc.spans`. None for nowhere.
        scorer (Callable | None): The scoring method.
        RAISES: ValueError if a setting has none of these values, or if probabilities are to be
            stored and the application uses the name of one of their extensions.
        """
        _check_settings(name, label_smoothing, scheme)
        super().__init__(vocab, model, name, overwrite=overwrite, scorer=scorer)
        self.cfg |= {"neg_prefix": neg_prefix, "label_smoothing": label_smoothing}
        self.cfg |= {"attribute": attribute, "lexicon": {}, "scheme": scheme, "spans": spans}
        if attribute not in FACTORIES:
            with self._named_in_errors():
                register_label(attribute)
        self._n_steps = 0
        register_extensions(attribute)
        register_allowed(attribute)
        self.new_labels = new_labels
        self.store_probabilities = store_probabilities

    @property
    def attribute(self) -> str:
        """The annotation that the component learns and writes: "tag", "pos", "morph", or the name
        of an extension.
        """
        return self.cfg["attribute"]

    @property
    def scheme(self) -> str | None:
        """The scheme by which the labels mark spans: "bio", "bilou", "bioes" or None."""
        return scheme_of(self.labels, self.cfg["scheme"])

    @property
    def new_labels(self) -> str:
        """What to do with gold labels in training that the component lacks."""
        return self.cfg["new_labels"]

    @new_labels.setter
    def new_labels(self, value: str) -> None:
        if value not in ("refuse", "add"):
            raise ValueError(f'{self.name}: new_labels = {value!r} must be "refuse" or "add".')
        self.cfg["new_labels"] = value

    @property
    def store_probabilities(self) -> bool:
        """Whether annotated Docs carry the probabilities of all labels."""
        return self.cfg["store_probabilities"]

    @store_probabilities.setter
    def store_probabilities(self, value: bool) -> None:
        if value not in (True, False):
            raise ValueError(f"{self.name}: store_probabilities = {value!r} must be true or false.")
        if value:
            with self._named_in_errors():
                require_extensions(self.attribute)
        self.cfg["store_probabilities"] = value

    def predict(self, docs: Iterable[Doc]) -> Prediction:
        """Find the label of each token: with a CRF, by the best sequence of labels. Whitespace is
        not read, and gets the label that spaCy's pipelines give it.

        docs (Iterable[Doc]): The Docs.
        RETURNS (Prediction): The labels; with `store_probabilities`, their probabilities as well.
        RAISES: ValueError if the labels that a token can have are not labels of the component.
        """
        docs, labels = list(docs), self.labels
        smoothing = self.cfg["label_smoothing"] if self.store_probabilities else None
        allowed = self._allowed(docs, labels)
        return predict(self.model, docs, labels, allowed, label_smoothing=smoothing)

    def predict_probabilities(self, docs: Iterable[Doc]) -> list[Floats2d]:
        """Find the probability of each label, without annotating the Docs.

        docs (Iterable[Doc]): The Docs.
        RETURNS (list[Floats2d]): (tokens, labels) for each Doc, in the order of `labels`. The sum
            of a row is 1; 0 for whitespace. With a CRF they are marginal probabilities.
        RAISES: ValueError as `predict`.
        """
        docs, model, labels = list(docs), self.model, self.labels
        emissions = emissions_of(model, docs, labels, self._allowed(docs, labels))
        return probabilities_of(model, emissions, self.cfg["label_smoothing"])

    def k_best(self, doc: Doc, k: int) -> list[Labelling]:
        """Find the k most probable sequences of labels, without annotating the Doc.

        doc (Doc): The Doc, which is one sequence; for sentences, pass `sent.as_doc()`.
        k (int): How many sequences.
        RETURNS (list[Labelling]): The sequences, the best first.
        RAISES: ValueError if k is less than 1, or more than there are sequences; and as `predict`.
        """
        model, labels, smoothing = self.model, self.labels, self.cfg["label_smoothing"]
        emissions = emissions_of(model, [doc], labels, self._allowed([doc], labels))
        with self._named_in_errors():
            space = space_label(self.attribute)
            return best_sequences(model, emissions, smoothing, labels, k, space)

    def stream(self, state: dict[str, Any] | None = None) -> TokenStream:
        """Begin a stream of words that are tagged one after another, using NumPy alone. The model
        must read from left to right, without a CRF.

        state (dict[str, Any] | None): The `state` of another stream of the same pipeline, in this
            process or another, to continue from. None to begin anew.
        RETURNS (TokenStream): The stream.
        RAISES: ValueError if the model can't tag a stream, or if the state is not one of it.
        """
        with self._named_in_errors():
            settings = self.cfg["lexicon"], self.cfg["label_smoothing"]
            decide = partial(label_words, self.model, self.labels, *settings)
            reader = WordReader(self.model, self.vocab)
            return TokenStream(reader, decide, space_label(self.attribute), state)

    def set_annotations(
        self, docs: Doc | Iterable[Doc], prediction: Prediction | list[Ints1d]
    ) -> None:
        """Write labels to the Docs, and their probabilities if there are any.

        docs (Doc | Iterable[Doc]): The Docs.
        prediction (Prediction | list[Ints1d]): What `predict` returned; or (tokens,) the index
            of each token's label, for each Doc.
        """
        if not isinstance(prediction, Prediction):
            prediction = Prediction(self.labels, prediction)
        spans = self.cfg["spans"]
        with self._named_in_errors():
            annotate(
                [docs] if isinstance(docs, Doc) else list(docs),
                prediction,
                attribute=self.attribute,
                overwrite=self.cfg["overwrite"],
                tagger=self.name,
                spans=spans if spans is not None and self.scheme else None,
            )

    def pipe(self, stream: Iterable[Doc], *, batch_size: int = 128) -> Iterator[Doc]:
        """Annotate a stream of Docs. If the component can't annotate a Doc, only this one goes to
        the pipeline's error handler, and not its whole batch.

        stream (Iterable[Doc]): The Docs.
        batch_size (int): How many are read at a time.
        YIELDS (Doc): The Docs in their order, without the ones that went to the error handler.
        """
        with self._named_in_errors():  # for 0, spaCy would drop all Docs
            batch_size = check_number("batch_size", batch_size)
        for docs in minibatch(stream, size=batch_size):
            yield from self._pipe_batch(docs)

    def initialize(
        self,
        get_examples: Callable[[], Iterable[Example]],
        *,
        nlp: Language | None = None,
        labels: Sequence[str] | None = None,
        lexicon: dict[str, list[str]] | None = None,
        pretrained: str | Path | None = None,
    ) -> None:
        """Learn the labels and the vocabulary, and build the network.

        get_examples (Callable[[], Iterable[Example]]): Returns the training examples.
        nlp (Language | None): The pipeline.
        labels (Sequence[str] | None): The labels; None for those of the examples: gold
            labels, and those that teachers gave.
        lexicon (dict[str, list[str]] | None): The labels that each word form can have, exactly as
            it is spelled; other forms can have any.
        pretrained (str | Path | None): A file that `spacy pretrain` saved, of a `tok2vec` with the
            architecture `spacy-lstm-tagger.LSTMTok2Vec.v1` and the settings of this model, which
            starts with its words and weights.
        RAISES: ValueError if the examples can't be read, if there are none, or no labels; if a
            label can't be one of the attribute's; if the lexicon gives a form no label, or one
            that the component lacks; if the model listens to a component of another width; or
            if the pretrained weights belong to another model.
        """
        with self._named_in_errors():
            if nlp is not None:
                check_widths(self.model, nlp)
            examples = read_examples(get_examples)
            if labels is None:
                labels = labels_of_examples(self, examples)
        self._add_labels(labels if isinstance(labels, str) else list(labels))
        with self._named_in_errors():
            check_any(self.labels, examples, self.attribute)
            check_labels_to_learn(self, examples)
            self.cfg["lexicon"] = check_lexicon(lexicon or {}, self.labels, self.normal_form)
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
        """Add a label, also to a trained component; no prediction changes until it is trained.

        label (str): The label; morphological features in any order.
        RETURNS (int): How many labels were added: 0 if the component has it already. With I-city,
            B-city is added, too, if the labels have such a scheme.
        RAISES: ValueError if it is not a string, or not a label of the attribute, or if the model
            can't get more labels; the component stays as it was.
        """
        if not isinstance(label, str):
            raise ValueError(f"{self.name}: a label must be a string, not {label!r:.80}")
        return self._add_labels([label])

    def update(
        self,
        examples: Iterable[Example],
        *,
        drop: float = 0.0,
        sgd: Optimizer | None = None,
        losses: dict[str, float] | None = None,
    ) -> dict[str, float]:
        """Learn from a batch. With `new_labels` = "add", first add the labels that the component
        lacks.

        examples (Iterable[Example]): The batch.
        drop (float): The dropout rate.
        sgd (Optimizer | None): The optimizer; None to add up gradients.
        losses (dict[str, float] | None): Losses to add to, by the names of components.
        RETURNS (dict[str, float]): The losses.
        RAISES: ValueError as `get_loss`; if the loss is not finite, the weights stay as they were.
        """
        examples = list(examples)
        validate_examples(examples, "LSTMTagger.update")
        losses = {} if losses is None else losses
        losses.setdefault(self.name, 0.0)
        if self.new_labels == "add":
            labels = labels_to_learn(examples, self.attribute, self.cfg["neg_prefix"], self.scheme)
            self._add_labels(sorted(labels.difference(self.labels)))
        docs = [example.predicted for example in examples]
        if not any(map(len, docs)):
            return losses
        set_dropout_rate(self.model, drop)
        scores, backprop = self.model.begin_update(docs)
        loss, gradients = self.get_loss(examples, scores)
        backprop(gradients)
        if sgd not in (None, False):
            self.finish_update(sgd)
        losses[self.name] += loss
        return losses

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
        """Compute the loss of a batch and its gradient with respect to the scores.

        examples (Iterable[Example]): The batch.
        scores (list[Floats2d]): (tokens, labels) probabilities for each Doc.
        RETURNS (tuple[float, list[Floats2d]]): The loss and the gradients. Tokens without a gold
            label that can be aligned have none, unless teachers gave them soft labels.
        RAISES: ValueError if the component lacks a gold label, or if the loss is not finite.
        """
        examples = list(examples)
        validate_examples(examples, "LSTMTagger.get_loss")
        scheme, neg_prefix = self.scheme, self.cfg["neg_prefix"]
        gold = [aligned_labels(example, self.attribute, scheme) for example in examples]
        smoothing = self.cfg["label_smoothing"] if len(self.labels) > 1 else 0.0
        with self._named_in_errors():
            soft = [aligned_soft_labels(example, self.attribute) for example in examples]
            taught = {label for one in soft if one is not None for label in one.labels}
            used = affirmed({label for labels in gold for label in labels if label}, neg_prefix)
            check_known(used | taught, self.labels, neg_prefix)
            loss, gradients = label_loss(
                scores, gold, self.labels, label_smoothing=smoothing, neg_prefix=neg_prefix
            )
            if taught:
                loss, gradients = add_soft_labels(scores, gold, self.labels, soft, gradients)
            check_finite(loss, scores, self._n_steps)
        return loss, gradients

    def finish_update(self, sgd: Optimizer | None) -> None:
        """Update the weights, and count the steps of training.

        sgd (Optimizer | None): The optimizer; None to keep adding up gradients.
        """
        if sgd is not None:
            super().finish_update(sgd)
            self._n_steps += 1

    to_bytes = serialization.to_bytes
    to_disk = serialization.to_disk
    from_bytes = serialization.from_bytes
    from_disk = serialization.from_disk

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

    def _allowed(self, docs: list[Doc], labels: tuple[str, ...]) -> Bools2d | None:
        """Return the labels that each token can have; ValueError if the model can't read a Doc."""
        with self._named_in_errors():
            for doc in docs:
                if not isinstance(doc, Doc):
                    raise ValueError(f"a Doc is needed, not {doc!r:.40}: make one by nlp(text)")
            check_read(self.model, docs)
            if not labels:  # otherwise, the model may be getting more of them just now
                serialization.check_labels(self.model.maybe_get_dim("nO"), labels)
            return allowed_labels(
                docs, self.cfg["lexicon"], self.attribute, labels, self.normal_form
            )

    def _add_labels(self, labels: Iterable[str]) -> int:
        with self._named_in_errors():
            return add_labels(self, labels)

    @contextmanager
    def _named_in_errors(self) -> Iterator[None]:
        try:
            yield
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}") from None

    @property
    def models(self) -> list[DocModel]:
        """The model, and the one that spaCy rehearses with, which has no public name there."""
        return [model for model in (self.model, self._rehearsal_model) if model is not None]

    def normal_form(self, label: str) -> str:
        """Return a label as Docs have it; see `labels.normal_form`."""
        return normal_form(label, self.attribute, self.vocab)


def _check_settings(name: str, label_smoothing: float, scheme: str | None) -> None:
    if not 0 <= label_smoothing < 1:
        raise ValueError(
            f"{name}: label_smoothing = {label_smoothing} must be from 0 to less than 1."
        )
    if scheme not in (None, "auto", *SCHEMES):
        raise ValueError(
            f"{name}: scheme = {scheme!r} must be null or one of auto, {', '.join(SCHEMES)}."
        )


def find_tagger(nlp: Language, component: str | None = None) -> tuple[str, LSTMTagger]:
    """Find the tagger of a pipeline.

    nlp (Language): The pipeline.
    component (str | None): Name of the component; None for the first one.
    RETURNS (tuple[str, LSTMTagger]): Its name in the pipeline, and the component.
    RAISES: ValueError if there is none.
    """
    for name, pipe in nlp.pipeline:
        if isinstance(pipe, LSTMTagger) and component in (None, name):
            return name, pipe
    of_name = "" if component is None else f" of the name {component!r}"
    names = ", ".join(nlp.pipe_names) or "none"
    raise ValueError(f"the pipeline has no lstm_tagger{of_name}; its components: {names}")
