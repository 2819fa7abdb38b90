"""How a pupil compares to its teacher: agreement, accuracy, speed and size, as tables."""

from collections import Counter
from collections.abc import Iterable, Sequence
from time import perf_counter
from typing import Any, NamedTuple

import numpy
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from wasabi import msg

from ..pipeline.labels import labels_of
from ..pipeline.pairing import make_doc
from .assembly import Plan
from .compact import size_of
from .evaluation import Evaluation, evaluate

SECONDS = 20.0  # to measure a pipeline's speed, at most
WARM_UP = 20  # texts
N_LABELS = 8  # rows of the table of labels
WRITTEN = {"tag": "TAG", "pos": "POS", "morph": "MORPH", "lemma": "LEMMA"}

Row = tuple[str, ...]


class Both(NamedTuple):
    """A figure of the teacher and one of the pupil."""

    teacher: float
    pupil: float


class Judgement(NamedTuple):
    """How a pupil compares to its teacher.

    agreement: For each attribute, the shares of all tokens, known words and unseen words that get
        the same label, and their numbers.
    labels: For each attribute, rows for the labels on which the two disagree most often.
    from_text: For each attribute, the share of tokens on which the whole pipelines agree.
    accuracy: For each attribute, on gold data: of the teachers' labels, and of the pupil's. What
        other components make of them doesn't count.
    speed: Tokens per second, from text.
    size: Bytes on disk.
    """

    agreement: dict[str, dict[str, tuple[float, int]]]
    labels: dict[str, list[Row]]
    from_text: dict[str, float]
    accuracy: dict[str, Both]
    speed: Both
    size: Both


def judge(
    pupil: Language,
    teacher: Language,
    plan: Plan,
    examined: Sequence[Doc],
    gold: Sequence[Doc],
    *,
    known: set[str] | None,
) -> Judgement:
    """Compare a pupil with its teacher.

    pupil (Language): The new pipeline.
    teacher (Language): The teacher's pipeline; only the components that the pupil replaces run.
    plan (Plan): The components of both.
    examined (Sequence[Doc]): Docs with the teachers' labels that were not learnt from.
    gold (Sequence[Doc]): The same Docs with gold labels; empty if there are none.
    known (set[str] | None): The words of the training data, in lower case.
    """
    agreement, labels = {}, {}
    with pupil.select_pipes(disable=plan.kept):
        for attribute in plan.pupils:
            found = evaluate(pupil, _of_vocab(examined, pupil), attribute)
            agreement[attribute] = _by_words(found, known)
            labels[attribute] = _worst(found)
        accuracy = {
            attribute: Both(
                _accuracy(examined, gold, attribute),
                float(evaluate(pupil, _of_vocab(gold, pupil), attribute).right.mean()),
            )
            for attribute in plan.pupils
            if gold
        }
    texts = [doc.text for doc in examined]
    with teacher.select_pipes(enable=plan.teacher_order):
        their_docs, their_speed = _run(teacher, texts)
    docs, speed = _run(pupil, texts)
    return Judgement(
        agreement,
        labels,
        _same(their_docs, docs),
        accuracy,
        Both(their_speed, speed),
        Both(size_of(teacher.path), size_of(pupil.path)),
    )


def show(judgement: Judgement) -> None:
    """Print a judgement."""
    msg.divider("Pupil and teacher")
    for attribute, parts in judgement.agreement.items():
        counted = [(name, f"{share:.2%}", f"{n:,}") for name, (share, n) in parts.items()]
        _table(counted, (f"Agreement: {attribute}", "Same", "Tokens"))
        if judgement.labels[attribute]:
            header = (f"Labels: {attribute}", "Same", "Tokens", "Most often instead")
            _table(judgement.labels[attribute], header)
    if judgement.from_text:
        shares = [(name, f"{share:.2%}") for name, share in judgement.from_text.items()]
        _table(shares, ("Whole pipelines, from text", "Same"))
    rows: list[Row] = [
        (f"Accuracy: {name}", f"{both.teacher:.2%}", f"{both.pupil:.2%}")
        for name, both in judgement.accuracy.items()
    ]
    speed, size = judgement.speed, judgement.size
    rows.append(("Tokens per second, from text", f"{speed.teacher:,.0f}", f"{speed.pupil:,.0f}"))
    rows.append(("MB on disk", f"{size.teacher / 1e6:.1f}", f"{size.pupil / 1e6:.1f}"))
    _table(rows, ("", "Teacher", "Pupil"))


def _of_vocab(docs: Sequence[Doc], nlp: Language) -> list[Doc]:
    """Return copies of annotated Docs with a pipeline's vocab."""
    return list(DocBin(("TAG", "POS", "MORPH"), docs=docs).get_docs(nlp.vocab))


def _accuracy(examined: Sequence[Doc], gold: Sequence[Doc], attribute: str) -> float:
    """Return the accuracy of the teachers' labels."""
    pairs = [
        pair
        for docs in zip(examined, gold, strict=True)
        for pair in zip(*(labels_of(doc, attribute) for doc in docs), strict=True)
    ]
    return float(numpy.mean([theirs == label for theirs, label in pairs if label]))


def _by_words(found: Evaluation, known: set[str] | None) -> dict[str, tuple[float, int]]:
    right = found.right
    parts = {"all words": numpy.ones(len(right), dtype=bool)}
    if known is not None:
        is_known = numpy.asarray([word.lower() in known for word in found.words])
        parts.update({"known words": is_known, "unseen words": ~is_known})
    return {
        name: (float(right[part].mean()), int(part.sum()))
        for name, part in parts.items()
        if part.any()
    }


def _worst(found: Evaluation) -> list[Row]:
    """Return rows of the teacher's labels that the pupil misses most often."""
    pairs = zip(found.gold.tolist(), found.predicted.tolist(), strict=True)
    instead: dict[str, Counter[str]] = {}
    for theirs, own in pairs:
        if theirs != own:
            instead.setdefault(theirs, Counter())[own] += 1
    totals = Counter(found.gold.tolist())
    worst = sorted(instead, key=lambda label: (-instead[label].total(), label))[:N_LABELS]
    rows: list[Row] = []
    for label in worst:
        n, (other, n_other) = totals[label], instead[label].most_common(1)[0]
        rows.append((label, f"{1 - instead[label].total() / n:.2%}", f"{n:,}",
                     f"{other} ({n_other})"))  # fmt: skip
    return rows


def _run(nlp: Language, texts: Sequence[str]) -> tuple[list[Doc], float]:
    """Return Docs of the first texts, as many as can be read in SECONDS, and tokens per second."""
    list(nlp.pipe(make_doc(nlp, text) for text in texts[:WARM_UP]))
    docs: list[Doc] = []
    start = perf_counter()
    for doc in nlp.pipe(make_doc(nlp, text) for text in texts):
        docs.append(doc)
        if perf_counter() - start > SECONDS:
            break
    return docs, sum(map(len, docs)) / max(perf_counter() - start, 1e-9)


def _same(theirs: Iterable[Doc], own: Iterable[Doc]) -> dict[str, float]:
    """Return the share of equal values for each attribute that both pipelines write."""
    same: dict[str, list[Any]] = {name: [] for name in WRITTEN}
    written: set[str] = set()
    of_text = {doc.text: doc for doc in own}  # as pipelines can drop Docs
    for their_doc in theirs:
        doc = of_text.get(their_doc.text)
        if doc is None or _places(doc) != _places(their_doc):
            continue
        for name, key in WRITTEN.items():
            pairs = zip(_values(their_doc, key), _values(doc, key), strict=True)
            same[name] += [one == other for one, other in pairs]
            if their_doc.has_annotation(key) and doc.has_annotation(key):
                written.add(name)
    return {name: float(numpy.mean(same[name])) for name in WRITTEN if name in written}


def _places(doc: Doc) -> list[int]:
    """Return where the tokens begin."""
    places: list[int] = doc.to_array("IDX").tolist()
    return places


def _values(doc: Doc, key: str) -> list[str]:
    strings = doc.vocab.strings
    return [strings[value] for value in doc.to_array(key).tolist()]


def _table(rows: Sequence[Row], header: Row) -> None:
    msg.table(rows, header=header, divider=True, aligns=["l", *"r" * (len(header) - 1)])
