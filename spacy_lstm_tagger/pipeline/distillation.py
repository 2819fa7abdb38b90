"""Teachers: trained components whose probabilities another tagger learns.

A component can teach if its model scores labels: spaCy's `tagger` and `morphologizer`, and
`lstm_tagger`s. A pupil learns the mean of the probabilities of all teachers (Hinton et al. 2015,
"Distilling the Knowledge in a Neural Network").
"""

from collections.abc import Sequence
from contextlib import nullcontext
from time import perf_counter
from typing import Any, NamedTuple
from zlib import crc32

import numpy
from spacy.language import Language
from spacy.parts_of_speech import NAMES as POS_NAMES
from spacy.pipeline import Morphologizer, SentenceRecognizer, Sentencizer, Tagger
from spacy.tokens import Doc
from thinc.api import NumpyOps, get_current_ops

from .decoding import emissions_of, probabilities_of
from .half_precision import in_bfloat16, torch_models
from .labels import FACTORIES, normal_form
from .listeners import nodes_of
from .pairing import bare_copy, make_doc
from .soft_labels import Floats2d, K, store
from .tagger import LSTMTagger

SENTENCIZER = Sentencizer()

# Bfloat16 must take less than this share of the time, and give the same label to this share of the
# tokens at least.
FASTER, ALIKE = 0.8, 0.99


class Teacher:
    """A trained pipeline, and its components that teach.

    nlp: The pipeline.
    components: The name of the component that teaches each attribute.
    by_sentence: Whether the pipeline reads a text sentence by sentence.
    in_bfloat16: Whether its PyTorch encoders multiply in bfloat16; see `choose_precision`.
    """

    def __init__(
        self, nlp: Language, components: Sequence[str] = (), *, by_sentence: bool | None = None
    ):
        """Choose the components that teach.

        nlp (Language): The pipeline.
        components (Sequence[str]): Their names; all that can teach if there are none.
        by_sentence (bool | None): Whether to split texts into sentences, by spaCy's `sentencizer`,
            before the pipeline reads them. A pipeline that was trained on sentences is less
            accurate on texts. None to do as in its training: gold_preproc = true in its config.
        RAISES: ValueError if there is no such component, if it isn't trained, if two teach the same
            attribute, or if the pipeline lacks what one listens to.
        """
        self.nlp, self.components = nlp, _find_components(nlp, components)
        self.by_sentence = trained_on_sentences(nlp) if by_sentence is None else by_sentence
        self.in_bfloat16 = False
        for component in set(self.components.values()):
            _check_can_run(nlp, component)

    @property
    def name(self) -> str:
        """Name and version of the pipeline."""
        meta = self.nlp.meta
        return f"{meta['lang']}_{meta['name']} {meta['version']}"

    def labels(self, attribute: str) -> list[str]:
        """Return the labels of an attribute that the pipeline knows, sorted."""
        return _columns(self.nlp.get_pipe(self.components[attribute]), attribute).labels

    def probabilities(self, docs: Sequence[Doc]) -> dict[str, list[Floats2d]]:
        """Predict the probabilities of the labels of each attribute. All components before one that
        teaches run first, as in the pipeline.

        docs (Sequence[Doc]): Docs of any vocab; they are not changed.
        RETURNS (dict[str, list[Floats2d]]): (tokens, labels) for each attribute and Doc, in the
            order of `labels`.
        RAISES: ValueError if the pipeline changes the tokens.
        """
        if not any(map(len, docs)):
            return {a: [numpy.zeros((0, len(self.labels(a))), "float32") for _ in docs]
                    for a in self.components}  # fmt: skip
        with in_bfloat16(self.nlp) if self.in_bfloat16 else nullcontext():
            return self._run(docs)

    def choose_precision(self, docs: Sequence[Doc]) -> float:
        """Let PyTorch encoders multiply in bfloat16 if this processor is faster at it. That changes
        few labels: in 1,000 tokens about 0.5, of a small BERT.

        docs (Sequence[Doc]): Some Docs to try it with.
        RETURNS (float): How many times as fast it is; 1 if it isn't used.
        """
        if not torch_models(self.nlp) or not isinstance(get_current_ops(), NumpyOps):
            return 1.0
        self.in_bfloat16 = False
        self.probabilities(docs)  # which sets up what the first call does
        before, seconds = self._timed(docs)
        self.in_bfloat16 = True
        try:
            after, fewer = self._timed(docs)
        except Exception:  # whatever a model raises that can't do it
            self.in_bfloat16 = False
        else:
            alike = all(_agree(before[a], after[a]) >= ALIKE for a in before)
            self.in_bfloat16 = alike and fewer < FASTER * seconds
        return seconds / fewer if self.in_bfloat16 else 1.0

    def _timed(self, docs: Sequence[Doc]) -> tuple[dict[str, list[Floats2d]], float]:
        """Return `probabilities`, and the seconds that they took."""
        start = perf_counter()
        return self.probabilities(docs), perf_counter() - start

    def _run(self, docs: Sequence[Doc]) -> dict[str, list[Floats2d]]:
        """Return `probabilities` of Docs that aren't all empty."""
        found: dict[str, list[Floats2d]] = {}
        texts = [_read_by(self.nlp, doc) for doc in docs]
        own = [part for doc in texts for part in _sentences(doc)] if self.by_sentence else texts
        lengths = [len(doc) for doc in own]
        for component, pipe in self.nlp.pipeline:
            attributes = [a for a, name in self.components.items() if name == component]
            if attributes:
                scored = _score(pipe, own)
                if [len(scores) for scores in scored] != lengths:
                    raise ValueError(
                        f"the teacher {self.name} changes the tokens before its component "
                        f"{component!r} reads them, and a pupil would read others: leave out the "
                        "component that merges or splits them"
                    )
            for attribute in attributes:
                columns = _columns(pipe, attribute)
                whole = columns.add_up(numpy.concatenate(scored))
                ends = numpy.cumsum([len(doc) for doc in docs])[:-1]
                found[attribute] = numpy.split(whole, ends)
            if len(found) == len(self.components):
                return found
            own = list(pipe.pipe(own, batch_size=len(own)) if hasattr(pipe, "pipe")
                       else map(pipe, own))  # fmt: skip
        return found

    def checksum(self) -> int:
        """Return a checksum of the files of the components that run: the ones that teach, and all
        before them. It needs a pipeline that was loaded from a folder or a package; models in
        memory can differ from load to load in what doesn't matter, such as temporary paths.
        """
        names = self.nlp.pipe_names
        last = max(map(names.index, self.components.values()))
        checksum = 0
        for name in names[: last + 1]:
            for file in sorted((self.nlp.path / name).rglob("*")):
                if file.is_file():
                    checksum = crc32(file.read_bytes(), crc32(file.name.encode(), checksum))
        return checksum


class Teachers:
    """Teachers whose mean probabilities a pupil learns.

    attributes: The attributes that the first one teaches.
    labels: For each attribute, the labels that any of them knows, sorted.
    """

    def __init__(self, teachers: Sequence[Teacher]):
        """Combine teachers.

        teachers (Sequence[Teacher]): The teachers, one at least.
        RAISES: ValueError if one has nothing in common with the first.
        """
        self.teachers = list(teachers)
        self.attributes = tuple(self.teachers[0].components)
        for teacher in self.teachers[1:]:
            if not set(teacher.components) & set(self.attributes):
                raise ValueError(
                    f"the teacher {teacher.name} has {', '.join(teacher.components)}, and the "
                    f"first one, {self.teachers[0].name}, {', '.join(self.attributes)}: there is "
                    "nothing that they could teach together"
                )
        self.labels = {
            attribute: sorted(
                {label for teacher in self._of(attribute) for label in teacher.labels(attribute)}
            )
            for attribute in self.attributes
        }

    def label(self, docs: Sequence[Doc], k: int = K) -> None:
        """Store the soft labels of all attributes in Docs.

        docs (Sequence[Doc]): Docs of any vocab; nothing else of them changes.
        k (int): How many labels of a token to keep.
        """
        found = [(teacher, teacher.probabilities(docs)) for teacher in self.teachers]
        for attribute, labels in self.labels.items():
            column_of = {label: column for column, label in enumerate(labels)}
            means = [numpy.zeros((len(doc), len(labels)), "float32") for doc in docs]
            n_teachers = len(self._of(attribute))
            for teacher, probabilities in found:
                if attribute not in probabilities:
                    continue
                columns = [column_of[label] for label in teacher.labels(attribute)]
                for mean, values in zip(means, probabilities[attribute], strict=True):
                    mean[:, columns] += values / n_teachers
            for doc, mean in zip(docs, means, strict=True):
                store(doc, attribute, labels, mean, k)

    def _of(self, attribute: str) -> list[Teacher]:
        return [teacher for teacher in self.teachers if attribute in teacher.components]


class Columns(NamedTuple):
    """The columns of a model's scores that belong to each label.

    labels: The labels, sorted.
    order: The columns, in the order of their labels.
    starts: Where the columns of each label begin in `order`.
    """

    labels: list[str]
    order: list[int]
    starts: list[int]

    def add_up(self, probabilities: Floats2d) -> Floats2d:
        """Return (tokens, labels) the sums of (tokens, columns)."""
        return numpy.add.reduceat(probabilities[:, self.order], self.starts, axis=1)


def attributes_of(pipe: Any) -> tuple[str, ...]:
    """Return the attributes that a component can teach."""
    if isinstance(pipe, LSTMTagger):
        return (pipe.attribute,) if pipe.attribute in FACTORIES else ()
    if isinstance(pipe, Morphologizer):
        return "pos", "morph"
    if isinstance(pipe, Tagger) and not isinstance(pipe, SentenceRecognizer):
        return ("tag",)
    return ()


def _find_components(nlp: Language, wanted: Sequence[str]) -> dict[str, str]:
    """Return the name of the component that teaches each attribute."""
    can_teach = {name: attributes_of(pipe) for name, pipe in nlp.pipeline}
    can_teach = {name: attributes for name, attributes in can_teach.items() if attributes}
    has = ", ".join(f"{n} ({' and '.join(a)})" for n, a in can_teach.items()) or "none"
    pipeline = f"{nlp.meta['lang']}_{nlp.meta['name']}"
    for name in wanted:
        if name not in can_teach:
            disabled = " It is disabled." if name in nlp.disabled else ""
            raise ValueError(
                f"the teacher {pipeline} has no component {name!r} whose model scores labels; "
                f"its components that can teach: {has}.{disabled}"
            )
    found: dict[str, str] = {}
    for name in dict.fromkeys(wanted) or can_teach:
        for attribute in can_teach[name]:
            if attribute in found:
                raise ValueError(
                    f"{found[attribute]!r} and {name!r} of the teacher {pipeline} both write "
                    f"{attribute}: name one of them, by --component"
                )
            found[attribute] = name
    if not found:
        raise ValueError(
            f"the teacher {pipeline} has no component whose model scores labels, such as a tagger "
            f"or a morphologizer; its components: {', '.join(nlp.pipe_names) or 'none'}"
        )
    return found


def _check_can_run(nlp: Language, component: str) -> None:
    """Raise a ValueError if a component isn't trained, or listens to what is not there."""
    pipeline = f"{nlp.meta['lang']}_{nlp.meta['name']}"
    taught_by: Any = nlp.get_pipe(component)
    if not taught_by.labels:
        raise ValueError(
            f"the component {component!r} of the teacher {pipeline} is not trained: it has no "
            "labels"
        )
    linked: set[int] = set()
    for name, pipe in nlp.pipeline[: nlp.pipe_names.index(component) + 1]:
        for node in nodes_of(pipe):
            upstream = getattr(node, "upstream_name", None)
            if upstream is not None and id(node) not in linked:
                wanted = "an encoder" if upstream == "*" else repr(upstream)
                raise ValueError(
                    f"the component {name!r} of the teacher {pipeline} listens to {wanted}, which "
                    "is not before it in the pipeline, or is disabled: without it, the component "
                    "would read zeros"
                )
        linked.update(map(id, getattr(pipe, "listeners", ())))


def _columns(pipe: Any, attribute: str) -> Columns:
    labels = list(pipe.labels)
    if isinstance(pipe, Morphologizer):
        if attribute == "pos":
            labels = [POS_NAMES[pipe.cfg["labels_pos"][label]] for label in labels]
        else:
            morphs = (pipe.cfg["labels_morph"][label] for label in labels)
            labels = [normal_form(morph, "morph", pipe.vocab) for morph in morphs]
    order = sorted((i for i, label in enumerate(labels) if label), key=lambda i: labels[i])
    ordered = [labels[i] for i in order]
    starts = [i for i, label in enumerate(ordered) if i == 0 or label != ordered[i - 1]]
    return Columns([ordered[i] for i in starts], order, starts)


def _read_by(nlp: Language, doc: Doc) -> Doc:
    """Return a Doc of a pipeline's vocab with the same tokens. Where its tokenizer makes these
    tokens, its exceptions give them their norms.
    """
    own = make_doc(nlp, doc.text) if len(doc.text) <= nlp.max_length else Doc(nlp.vocab)
    if [token.text for token in own] == [token.text for token in doc]:
        return own
    return bare_copy(doc, nlp.vocab)


def trained_on_sentences(nlp: Language) -> bool:
    """Return whether a pipeline's config says that it was trained sentence by sentence."""
    corpus = (nlp.config.get("corpora") or {}).get("train") or {}
    return corpus.get("gold_preproc") is True  # and not a variable of the config


def _agree(some: list[Floats2d], others: list[Floats2d]) -> float:
    """Return the share of tokens to which two predictions give the same label."""
    best, other = (numpy.concatenate(values).argmax(axis=1) for values in (some, others))
    return float((best == other).mean())


def _sentences(doc: Doc) -> list[Doc]:
    """Return the sentences of a Doc."""
    return [sentence.as_doc() for sentence in SENTENCIZER(doc).sents]


def _score(pipe: Any, docs: list[Doc]) -> list[Floats2d]:
    """Return (tokens, columns) the probabilities that a component gives its labels; zeros for
    whitespace.
    """
    if isinstance(pipe, LSTMTagger):
        found: Any = pipe.predict_probabilities(docs)
    else:
        emissions = emissions_of(pipe.model, docs, pipe.labels)
        found = probabilities_of(pipe.model, emissions, pipe.cfg.get("label_smoothing", 0.0))
    return found
