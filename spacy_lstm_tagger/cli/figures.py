"""Scored tokens in, the figures of a report out: plain dicts and lists."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy

from .evaluation import Evaluation, Ints
from .significance import bootstrap_interval, per_sentence, permutation_p

Figures = dict[str, Any]

N_BINS = 10
MAX_LABELS = 40  # of the confusion matrix
N_CONFUSIONS, N_EXAMPLES = 20, 5
N_SUSPECTS, N_DOCS, N_DIFFERENCES = 200, 20, 30
SURE = 0.9  # from when on the tagger and the gold label can't both be believed
CONTEXT = 12  # words that are shown on either side
FREQUENCIES = [0, 1, 2, 10, 100, 1000]
LENGTHS = [1, 6, 11, 21, 41]


def overall(scored: Evaluation) -> Figures:
    """Return the accuracy, its interval, and how many sentences are right in whole."""
    right, total = counts(scored)
    low, high = bootstrap_interval(right[total > 0], total[total > 0])
    n_right, n_total = int(right.sum()), int(total.sum())
    return {
        "tokens": n_total,
        "right": n_right,
        "accuracy": n_right / n_total,
        "interval": [low, high],
        "sentences": int((total > 0).sum()),
        "sentences_right": int(((right == total) & (total > 0)).sum()),
        "tokens_of_corpus": scored.n_gold,
        "spacy_accuracy": scored.spacy_accuracy,
    }


def counts(scored: Evaluation) -> tuple[Ints, Ints]:
    """Return (sentences,) how many tokens are right, and how many there are."""
    n = len(scored.sentences)
    right = per_sentence(scored.right, scored.sentence, n)
    return right, per_sentence(numpy.ones(len(scored.gold)), scored.sentence, n)


def grouped(scored: Evaluation, keys: Ints, names: Sequence[str]) -> list[Figures]:
    """Return the accuracy of each group of tokens that is not empty.

    keys (Ints): (tokens,) the number of a token's group.
    names (Sequence[str]): What the groups are called.
    """
    n_tokens = numpy.bincount(keys, minlength=len(names))
    n_right = numpy.bincount(keys, weights=scored.right, minlength=len(names))
    rows = zip(names, n_tokens.tolist(), n_right.tolist(), strict=True)
    return [
        {"name": name, "tokens": n, "right": int(right), "accuracy": right / n}
        for name, n, right in rows
        if n
    ]


def by_knowledge(scored: Evaluation, known: Iterable[str] | None) -> list[Figures]:
    """Return the accuracy of words that training had, and of words that it lacked."""
    if known is None:
        return []
    words = set(known)
    keys = numpy.asarray([word.lower() in words for word in scored.words], dtype="int64")
    return grouped(scored, keys, ["unknown words", "known words"])


def by_frequency(scored: Evaluation, frequencies: Mapping[str, int] | None) -> list[Figures]:
    """Return the accuracy of words by how often training had them."""
    if frequencies is None:
        return []
    values = [frequencies.get(word.lower(), 0) for word in scored.words]
    return _in_ranges(scored, values, FREQUENCIES)


def by_length(scored: Evaluation) -> list[Figures]:
    """Return the accuracy of words by the length of their sentences."""
    lengths = numpy.asarray([len(words) for words in scored.sentences])
    return _in_ranges(scored, lengths[scored.sentence], LENGTHS)


def _in_ranges(scored: Evaluation, values: Any, starts: list[int]) -> list[Figures]:
    ends = [f"{end - 1}" for end in starts[1:]]
    names = [a if a == b else f"{a} to {b}" for a, b in zip(map(str, starts), ends, strict=False)]
    keys = numpy.searchsorted(starts, numpy.asarray(values), side="right") - 1
    return grouped(scored, keys, [*names, f"{starts[-1]} or more"])


def by_doc(scored: Evaluation) -> list[Figures]:
    """Return the accuracy of the Docs that have most errors, with their first words."""
    first: dict[int, str] = {}
    for doc, sentence in zip(scored.doc.tolist(), scored.sentence.tolist(), strict=True):
        first.setdefault(doc, "".join(scored.sentences[sentence][:CONTEXT]).strip())
    n_docs = int(scored.doc.max()) + 1
    rows = grouped(scored, scored.doc, [f"{i + 1}" for i in range(n_docs)])
    for row in rows:
        row["begins"] = first[int(row["name"]) - 1]
    return sorted(rows, key=lambda row: row["right"] - row["tokens"])[:N_DOCS]


def per_label(scored: Evaluation, attribute: str) -> list[Figures]:
    """Return precision, recall, F and support of each label; for morph of each feature."""
    n_gold: Counter[str] = Counter()
    n_predicted: Counter[str] = Counter()
    n_both: Counter[str] = Counter()
    pairs = Counter(zip(scored.gold.tolist(), scored.predicted.tolist(), strict=True))
    for (gold, predicted), n in pairs.items():
        golds, predictions = _parts(gold, attribute), _parts(predicted, attribute)
        n_gold.update(dict.fromkeys(golds, n))
        n_predicted.update(dict.fromkeys(predictions, n))
        n_both.update(dict.fromkeys(golds & predictions, n))
    rows = []
    for label in sorted(n_gold | n_predicted, key=lambda label: (-n_gold[label], label)):
        precision = n_both[label] / n_predicted[label] if n_predicted[label] else 0.0
        recall = n_both[label] / n_gold[label] if n_gold[label] else 0.0
        f = 2 * n_both[label] / (n_gold[label] + n_predicted[label])
        row = {"label": label, "precision": precision, "recall": recall, "f": f}
        rows.append({**row, "support": n_gold[label]})
    return rows


def _parts(label: str, attribute: str) -> set[str]:
    return set(label.split("|")) if attribute == "morph" else {label}


def confusion_matrix(scored: Evaluation) -> Figures:
    """Return how often each gold label got each predicted label: of the labels with most errors,
    and the others together.
    """
    wrong = ~scored.right
    errors = Counter(scored.gold[wrong].tolist()) + Counter(scored.predicted[wrong].tolist())
    labels = [label for label, _ in errors.most_common(MAX_LABELS)]
    frequency = Counter(scored.gold.tolist())
    labels.sort(key=lambda label: (-frequency[label], label))
    others = (set(frequency) | set(scored.predicted.tolist())).difference(labels)
    ids = {label: i for i, label in enumerate(labels)} | dict.fromkeys(others, len(labels))
    n = len(labels) + bool(others)
    matrix = numpy.zeros((n, n), dtype="int64")
    gold, predicted = ([ids[x] for x in y.tolist()] for y in (scored.gold, scored.predicted))
    numpy.add.at(matrix, (gold, predicted), 1)
    names = [*labels, f"{len(others)} others"] if others else labels
    return {"labels": names, "counts": matrix.tolist()}


def confusions(scored: Evaluation) -> list[Figures]:
    """Return the most frequent confusions of labels, each with some tokens in context."""
    tokens: dict[tuple[str, str], list[int]] = defaultdict(list)
    for i in numpy.flatnonzero(~scored.right).tolist():
        tokens[str(scored.gold[i]), str(scored.predicted[i])].append(i)
    frequent = sorted(tokens.items(), key=lambda item: (-len(item[1]), item[0]))[:N_CONFUSIONS]
    n_errors, words = int((~scored.right).sum()), scored.words
    return [
        {
            "gold": gold,
            "predicted": predicted,
            "tokens": len(found),
            "share": len(found) / n_errors,
            "words": [w for w, _ in Counter(words[i] for i in found).most_common(6)],
            "examples": [in_context(scored, i) for i in found[:: -(-len(found) // N_EXAMPLES)]],
        }
        for (gold, predicted), found in frequent
    ]


def calibration(scored: Evaluation) -> Figures | None:
    """Return confidence against accuracy, and the expected calibration error (Guo et al. 2017)."""
    if scored.confidence is None:
        return None
    confidence = numpy.nan_to_num(scored.confidence)
    keys = numpy.minimum((confidence * N_BINS).astype("int64"), N_BINS - 1)
    names = [f"{i / N_BINS:.1f} to {(i + 1) / N_BINS:.1f}" for i in range(N_BINS)]
    rows = grouped(scored, keys, names)
    sums = numpy.bincount(keys, weights=confidence, minlength=N_BINS).tolist()
    for row in rows:
        row["confidence"] = sums[names.index(row["name"])] / row["tokens"]
    gaps = [row["tokens"] * abs(row["confidence"] - row["accuracy"]) for row in rows]
    return {"bins": rows, "error": sum(gaps) / len(keys), "mean": float(confidence.mean())}


def suspects(scored: Evaluation, training: Mapping[str, Counter[str]] | None) -> list[Figures]:
    """Return the tokens whose gold label is likely wrong, as the tagger is sure of another one; the
    surest first.

    training (Mapping | None): How often training had each label of a word.
    """
    if scored.confidence is None:
        return []
    sure = numpy.where(scored.right, 0, numpy.nan_to_num(scored.confidence))
    order = numpy.argsort(-sure, kind="stable")[: int((sure >= SURE).sum())][:N_SUSPECTS]
    rows = []
    for i in order.tolist():
        row = in_context(scored, i)
        if training is not None:
            labels = training.get(row["word"], Counter())
            row["training"] = [[label, n] for label, n in labels.most_common(3)]
        rows.append(row)
    return rows


def in_context(scored: Evaluation, i: int) -> Figures:
    """Return a token with its labels and the words around it."""
    words, place = scored.sentences[scored.sentence[i]], int(scored.place[i])
    begin, end = max(0, place - CONTEXT), place + 1 + CONTEXT
    return {
        "doc": int(scored.doc[i]) + 1,
        "before": ("… " if begin else "") + "".join(words[begin:place]),
        "word": words[place].rstrip(" "),
        "after": words[place][len(words[place].rstrip(" ")) :]
        + "".join(words[place + 1 : end])
        + (" …" if end < len(words) else ""),
        "gold": str(scored.gold[i]),
        "predicted": str(scored.predicted[i]),
        "confidence": None if scored.confidence is None else float(scored.confidence[i]),
    }


def comparison(first: Evaluation, second: Evaluation) -> Figures:
    """Return how two pipelines differ on the same tokens.

    RAISES: ValueError if their tokens differ.
    """
    if first.sentences != second.sentences or not numpy.array_equal(first.gold, second.gold):
        raise ValueError(
            "the tokenizers of the pipelines cut the texts in different ways: compare them on the "
            "tokens of the corpus, without --tokenizer"
        )
    a, b = first.right, second.right
    right, _ = counts(first)
    other, _ = counts(second)
    return {
        "p": permutation_p(right, other),
        "both": int((a & b).sum()),
        "neither": int((~a & ~b).sum()),
        "only": [_only(first, second, a & ~b), _only(second, first, b & ~a)],
    }


def _only(winner: Evaluation, loser: Evaluation, tokens: Any) -> Figures:
    """Return the tokens that one pipeline gets right and the other doesn't."""
    found = numpy.flatnonzero(tokens).tolist()
    pairs = Counter((str(loser.gold[i]), str(loser.predicted[i])) for i in found)
    return {
        "tokens": len(found),
        "instead_of": [[*pair, n] for pair, n in pairs.most_common(10)],
        "examples": [
            {
                **in_context(loser, i),
                "winner_confidence": in_context(winner, i)["confidence"],
            }
            for i in found[:: max(1, -(-len(found) // N_DIFFERENCES))]
        ],
    }
