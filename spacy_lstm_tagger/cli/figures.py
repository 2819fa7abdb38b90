"""Figures of a report, as plain dicts and lists, from scored tokens."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy

from .evaluation import Evaluation, Ints, bootstrap_interval, per_sentence, permutation_p

Figures = dict[str, Any]

N_BINS = 10
MIN_SENTENCES = 10  # fewer have no meaningful confidence interval
MAX_LABELS = 12  # of the confusion matrix
N_CONFUSIONS, N_EXAMPLES = 20, 5
N_SUSPECTS, N_DOCS, N_DIFFERENCES = 200, 20, 30
SURE = 0.9  # a gold label is suspect if another label is this probable
CONTEXT = 12  # words shown on either side
# Groups of words by frequency and by length of sentence, under their smallest values.
FREQUENCIES = {
    **{0: "never", 1: "once", 2: "2 to 9", 10: "10 to 99", 100: "100 to 999"},
    1000: "1,000 or more",
}
LENGTHS = {1: "1 to 5", 6: "6 to 10", 11: "11 to 20", 21: "21 to 40", 41: "41 or more"}


def overall(scored: Evaluation) -> Figures:
    """Return the accuracy, its confidence interval, and the number of sentences without errors.

    The interval is None if there are too few sentences, or if all or no labels are right, because
    resampling tells nothing then.
    """
    right, total = counts(scored)
    n_right, n_total, n_sentences = int(right.sum()), int(total.sum()), int((total > 0).sum())
    has_interval = n_sentences >= MIN_SENTENCES and 0 < n_right < n_total
    return {
        "tokens": n_total,
        "right": n_right,
        "accuracy": n_right / n_total,
        "interval": [*bootstrap_interval(right[total > 0], total[total > 0])]
        if has_interval
        else None,
        "sentences": n_sentences,
        "sentences_right": int(((right == total) & (total > 0)).sum()),
        "tokens_of_corpus": scored.n_gold,
        "spacy_accuracy": scored.spacy_accuracy,
    }


def counts(scored: Evaluation) -> tuple[Ints, Ints]:
    """Return (sentences,) the number of right tokens, and of all tokens."""
    n = len(scored.sentences)
    right = per_sentence(scored.right, scored.sentence, n)
    return right, per_sentence(numpy.ones(len(scored.gold)), scored.sentence, n)


def grouped(scored: Evaluation, keys: Ints, names: Sequence[str]) -> list[Figures]:
    """Return the accuracy of each group of tokens that isn't empty.

    keys (Ints): (tokens,) index of a token's group.
    names (Sequence[str]): Names of the groups.
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
    """Return the accuracy of words that were seen in training, and of others."""
    if known is None:
        return []
    words = set(known)
    keys = numpy.asarray([word.lower() in words for word in scored.words], dtype="int64")
    return grouped(scored, keys, ["unseen words", "seen words"])


def by_frequency(scored: Evaluation, frequencies: Mapping[str, int] | None) -> list[Figures]:
    """Return the accuracy of words by their frequency in training."""
    if frequencies is None:
        return []
    values = [frequencies.get(word.lower(), 0) for word in scored.words]
    return _grouped_by_size(scored, values, FREQUENCIES)


def by_length(scored: Evaluation) -> list[Figures]:
    """Return the accuracy of words by the length of their sentences."""
    lengths = numpy.asarray([len(words) for words in scored.sentences])
    return _grouped_by_size(scored, lengths[scored.sentence], LENGTHS)


def _grouped_by_size(scored: Evaluation, values: Any, groups: dict[int, str]) -> list[Figures]:
    keys = numpy.searchsorted([*groups], values, side="right") - 1
    return grouped(scored, keys, [*groups.values()])


def by_doc(scored: Evaluation) -> list[Figures]:
    """Return the accuracy of the Docs with most errors, and their first words."""
    first: dict[int, str] = {}
    for doc, sentence in zip(scored.doc.tolist(), scored.sentence.tolist(), strict=True):
        first.setdefault(doc, "".join(scored.sentences[sentence][:CONTEXT]).strip())
    n_docs = int(scored.doc.max()) + 1
    rows = grouped(scored, scored.doc, [f"{i + 1}" for i in range(n_docs)])
    for row in rows:
        row["begins"] = first[int(row["name"]) - 1]
    wrong = [row for row in rows if row["right"] < row["tokens"]]
    return sorted(wrong, key=lambda row: row["right"] - row["tokens"])[:N_DOCS]


def per_label(scored: Evaluation, attribute: str) -> list[Figures]:
    """Return the `label_rows` of the labels or, for morph, of the features."""
    n_gold: Counter[str] = Counter()
    n_predicted: Counter[str] = Counter()
    n_both: Counter[str] = Counter()
    pairs = Counter(zip(scored.gold.tolist(), scored.predicted.tolist(), strict=True))
    for (gold, predicted), n in pairs.items():
        golds, predictions = _parts(gold, attribute), _parts(predicted, attribute)
        n_gold.update(dict.fromkeys(golds, n))
        n_predicted.update(dict.fromkeys(predictions, n))
        n_both.update(dict.fromkeys(golds & predictions, n))
    return label_rows(n_gold, n_predicted, n_both)


def label_rows(
    n_gold: Counter[str], n_predicted: Counter[str], n_right: Counter[str]
) -> list[Figures]:
    """Return the `scores` of each label; the label with most errors comes first."""
    rows: list[Figures] = [
        {"label": label, "meaning": "", **scores(n_gold[label], n_predicted[label], n_right[label])}
        for label in n_gold | n_predicted
    ]
    return sorted(
        rows, key=lambda row: (-row["missed"] - row["extra"], -row["tokens"], row["label"])
    )


def scores(n_gold: int, n_predicted: int, n_right: int) -> Figures:
    """Return precision, recall and F1; "tokens" are the gold ones, or gold spans."""
    return {
        "tokens": n_gold,
        "missed": n_gold - n_right,
        "extra": n_predicted - n_right,
        "precision": n_right / n_predicted if n_predicted else 0.0,
        "recall": n_right / n_gold if n_gold else 0.0,
        "f": 2 * n_right / (n_gold + n_predicted) if n_gold + n_predicted else 0.0,
    }


def _parts(label: str, attribute: str) -> set[str]:
    return set(label.split("|")) if attribute == "morph" else {label}


def confusion_matrix(scored: Evaluation) -> Figures:
    """Count the errors by gold label (rows) and predicted label (columns), for the labels with most
    errors; the last row and column are for all other labels.
    """
    wrong = ~scored.right
    pairs = Counter(zip(scored.gold[wrong].tolist(), scored.predicted[wrong].tolist(), strict=True))
    errors: Counter[str] = Counter()
    for (gold, predicted), n in pairs.items():
        errors.update({gold: n, predicted: n})
    labels = sorted(errors, key=lambda label: (-errors[label], label))[:MAX_LABELS]
    n_others = len(errors) - len(labels)
    ids = dict.fromkeys(errors, len(labels)) | {label: i for i, label in enumerate(labels)}
    n = len(labels) + bool(n_others)
    matrix = numpy.zeros((n, n), dtype="int64")
    for (gold, predicted), count in pairs.items():
        matrix[ids[gold], ids[predicted]] += count
    return {"labels": labels, "others": n_others, "counts": matrix.tolist()}


def confusions(scored: Evaluation) -> list[Figures]:
    """Return the most frequent confusions of labels, with examples in context."""
    tokens: dict[tuple[str, str], list[int]] = defaultdict(list)
    for i in numpy.flatnonzero(~scored.right).tolist():
        tokens[str(scored.gold[i]), str(scored.predicted[i])].append(i)
    frequent = sorted(tokens.items(), key=lambda item: (-len(item[1]), item[0]))[:N_CONFUSIONS]
    words = scored.words
    return [
        {
            "gold": gold,
            "predicted": predicted,
            "tokens": len(found),
            "words": [w for w, _ in Counter(words[i] for i in found).most_common(6)],
            "examples": [in_context(scored, i) for i in found[:: -(-len(found) // N_EXAMPLES)]],
        }
        for (gold, predicted), found in frequent
    ]


def calibration(scored: Evaluation) -> Figures | None:
    """Return the accuracy by confidence, and the expected calibration error (Guo et al. 2017)."""
    if scored.confidence is None:
        return None
    confidence = numpy.nan_to_num(scored.confidence)
    keys = numpy.minimum((confidence * N_BINS).astype("int64"), N_BINS - 1)
    names = [f"{100 * i // N_BINS}% to {100 * (i + 1) // N_BINS}%" for i in range(N_BINS)]
    rows = grouped(scored, keys, names)
    sums = numpy.bincount(keys, weights=confidence, minlength=N_BINS).tolist()
    for row in rows:
        row["confidence"] = sums[names.index(row["name"])] / row["tokens"]
    gaps = [row["tokens"] * abs(row["confidence"] - row["accuracy"]) for row in rows]
    return {"bins": rows, "error": sum(gaps) / len(keys), "mean": float(confidence.mean())}


def suspects(scored: Evaluation, training: Mapping[str, Counter[str]] | None) -> Figures:
    """Return the tokens whose gold label is probably wrong because the tagger is sure of another
    one: their number, and the most probable ones in context.

    training (Mapping | None): The labels of each word in training, counted.
    """
    if scored.confidence is None:
        return {"tokens": 0, "examples": []}
    sure = numpy.where(scored.right, 0, numpy.nan_to_num(scored.confidence))
    n = int((sure >= SURE).sum())
    rows = []
    for i in numpy.argsort(-sure, kind="stable")[: min(n, N_SUSPECTS)].tolist():
        row = in_context(scored, i)
        if training is not None:
            row["training"] = training.get(row["word"], Counter()).most_common(3)
        rows.append(row)
    return {"tokens": n, "examples": rows}


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
    """Return how the predictions of two pipelines differ.

    RAISES: ValueError if their tokens differ.
    """
    if first.sentences != second.sentences or not numpy.array_equal(first.gold, second.gold):
        raise ValueError(
            "the pipelines tokenize the texts in different ways: compare them on the tokens of the "
            "corpus, without --tokenizer"
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
    """Return the tokens that only one of two pipelines gets right."""
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
