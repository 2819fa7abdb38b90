"""The command `debug`: find what makes the corpora of a config hard to learn from."""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy
from spacy.language import Language
from spacy.schemas import ConfigSchemaTraining
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import load_config, load_model_from_config, registry, resolve_dot_names
from wasabi import msg

from ..model.vocabulary import KINDS, Vocabulary, learn_vocabulary, spelling
from ..pipeline.labels import labels_of
from ..pipeline.tagger import find_tagger
from .io import (
    counted,
    different_labels,
    label_counts,
    one_label_problem,
    progress,
    require_annotation,
    require_paths,
)

RARE = 10  # labels with fewer tokens are hardly learnt
AUGMENTER = "spacy-lstm-tagger.reference_tokens.v1"

Row = tuple[Any, ...]


class Setting(NamedTuple):
    """A config of a training, and its corpora.

    nlp: The pipeline, not initialized.
    name, attribute: Name and attribute of the component.
    batcher: Makes batches of examples.
    max_steps: 0 for no end.
    window_length, min_frequency: Settings of the component's model, or of the one it listens to.
    """

    nlp: Language
    name: str
    attribute: str
    train: list[Example]
    dev: list[Example]
    batcher: Callable[[Iterable[Example]], Iterable[list[Example]]]
    max_steps: int
    window_length: int
    min_frequency: int


def debug(
    config: Path,
    overrides: dict[str, Any],
    *,
    component: str | None = None,
    n_examples: int = 10,
) -> None:
    """Print what `spacy debug data` doesn't say of an `lstm_tagger`. The arguments are those of the
    command. ValueError if the config or its corpora can't be used.
    """
    setting = read_setting(config, overrides, component)
    train = [example.y for example in setting.train]
    dev = [example.y for example in setting.dev]
    msg.divider(f"{setting.name} (attribute = {setting.attribute!r})")
    _show_sizes(train, dev)
    _show_labels(train, dev, setting.attribute, n_examples)
    _show_inconsistent(train, setting.attribute, n_examples)
    _show_vocabulary(setting, n_examples)
    _show_tokens(setting.nlp, setting.train, [*train, *dev], n_examples)
    _show_batches(setting)


def read_setting(config: Path, overrides: dict[str, Any], component: str | None = None) -> Setting:
    """Read a config, filling in what it lacks, and its corpora."""
    require_paths([config])
    nlp = load_model_from_config(load_config(config, overrides=overrides), auto_fill=True)
    name, tagger = find_tagger(nlp, component)
    filled = nlp.config.interpolate()
    training = registry.resolve(filled["training"], schema=ConfigSchemaTraining)
    names = [training["train_corpus"], training["dev_corpus"]]
    corpora = []
    for corpus, read in zip(names, resolve_dot_names(filled, names), strict=True):
        path = filled["corpora"].get(corpus.split(".")[-1], {}).get("path")
        require_paths([Path(path)] if path else [])
        examples = [e for e in progress(read(nlp), f"Reading {corpus}") if len(e.y)]
        require_annotation([e.y for e in examples], tagger.attribute, path or corpus)
        corpora.append(examples)
    train, dev = corpora
    model = _model_settings(filled["components"], name)
    return Setting(
        nlp,
        name,
        tagger.attribute,
        train,
        dev,
        batcher=training["batcher"],
        max_steps=training["max_steps"],
        window_length=model.get("window_length", 0),
        min_frequency=model.get("min_frequency", 1),
    )


def _model_settings(components: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the settings of a component's model, or of the encoder that it listens to."""
    own, *others = (components[n].get("model", {}) for n in sorted(components, key=name.__ne__))
    upstream = [model for model in others if "LSTMTok2Vec" in str(model.get("@architectures"))]
    return own if "window_length" in own or not upstream else upstream[0]


def _show_sizes(train: list[Doc], dev: list[Doc]) -> None:
    rows = []
    for name, docs in [("train", train), ("dev", dev)]:
        lengths = [len(doc) for doc in docs]
        n_words = len({token.text for doc in docs for token in doc})
        rows.append((name, len(docs), sum(lengths), n_words, numpy.median(lengths), max(lengths)))
    header = ("Corpus", "Docs", "Tokens", "Words", "Tokens per Doc (median)", "Longest Doc")
    _table("Corpora", header, rows)


def _show_labels(train: list[Doc], dev: list[Doc], attribute: str, n_examples: int) -> None:
    counts, in_dev = (label_counts(docs, attribute) for docs in (train, dev))
    total = counts.total()
    rows = [
        (label, n, f"{n / total:.2%}", in_dev[label]) for label, n in counts.most_common(n_examples)
    ]
    _table(counted(len(counts), "label"), ("Label", "Train", "Share", "Dev"), rows)
    for name, found in [("train", counts), ("dev", in_dev)]:
        if problem := one_label_problem(found):
            msg.warn(f"{name}: {problem}")
    if not counts.keys() & in_dev.keys():
        msg.warn(different_labels(in_dev, counts, "dev", "train"))
    rare = [f"{label} ({n})" for label, n in reversed(counts.most_common()) if n < RARE]
    if rare:
        msg.warn(f"Labels of fewer than {RARE} tokens: {_some(rare, n_examples)}")
    if missing := {label: n for label, n in in_dev.items() if label not in counts}:
        names = [f"{label} ({n})" for label, n in missing.items()]
        msg.warn(f"Labels of dev that are not in train: {_some(names, n_examples)}")
    if unlabelled := sum(map(len, train)) - total:
        msg.info(f"{unlabelled:,} tokens of train have no label, but can have soft ones")


def _show_inconsistent(train: list[Doc], attribute: str, n_examples: int) -> None:
    found = inconsistent(train, attribute)
    if not found:
        msg.good("No word has different labels between the same two words")
        return
    rows = [
        (" ".join(filter(None, word)), word.word, _with_counts(labels))
        for word, labels in found[:n_examples]
    ]
    _table("Different labels between the same two words", ("Context", "Word", "Labels"), rows)
    n = sum(n_deviating(labels) for _, labels in found)
    total = label_counts(train, attribute).total()
    msg.info(
        f"{counted(len(found), 'context')}; {n:,} of the tokens ({n / total:.2%}) are not labelled "
        "as most are"
    )


def _show_vocabulary(setting: Setting, n_examples: int) -> None:
    docs = [example.x for example in setting.train]
    vocabulary = learn_vocabulary(docs, min_frequency=setting.min_frequency)
    sizes = [(part, len(getattr(vocabulary, part))) for part in KINDS]
    _table(f"Vocabulary (min_frequency = {setting.min_frequency})", ("Kind", "Known"), sizes)
    n_rare = vocabulary.is_rare[1:].sum()
    msg.info(f"{n_rare:,} of the words are so rare that training treats them as unknown at times")
    dev = [example.x for example in setting.dev]
    words = unknown_words(dev, vocabulary)
    n_tokens = sum(map(len, dev))
    msg.info(
        f"Unknown words are {words.total() / n_tokens:.1%} of the tokens of dev "
        f"({words.total():,} of {n_tokens:,}): {_with_counts(words, n_examples) or 'none'}"
    )
    if characters := unknown_characters(dev, vocabulary):
        msg.warn(f"Unknown characters in dev: {_with_counts(characters, n_examples)}")


def _show_tokens(nlp: Language, train: list[Example], docs: list[Doc], n_examples: int) -> None:
    found = cut_otherwise(nlp, progress(docs, "Tokenizing", len(docs)))
    n_words = sum(n * len(words.split()) for (words, _), n in found.items())
    n_tokens = sum(map(len, docs))
    if not found:
        msg.good("The tokenizer cuts all texts as the corpora do")
        return
    rows = [(words, tokens, n) for (words, tokens), n in found.most_common(n_examples)]
    _table("Cut otherwise by the tokenizer", ("Corpus", "Tokenizer", "Times"), rows)
    msg.info(f"{n_words:,} of {n_tokens:,} tokens ({n_words / n_tokens:.2%}) are cut otherwise")
    if all(len(example.x) == len(example.y) for example in train):
        msg.good("Training reads the tokens of the corpus, so no label is lost")
        msg.info(
            "On texts, the pipeline has the tokens of the tokenizer: scores of the corpus's tokens "
            f"are higher than those on texts, where {n_words / n_tokens:.2%} of tokens are others. "
            "spacy evaluate and report --tokenizer score these. Exceptions and rules of the "
            "tokenizer can make it agree with the corpus"
        )
    else:
        msg.warn(
            "Training loses their labels. To read the tokens of the corpus, use the augmenter "
            f'{AUGMENTER}: [corpora.train.augmenter] @augmenters = "{AUGMENTER}"'
        )


def _show_batches(setting: Setting) -> None:
    batches = list(setting.batcher(setting.train))
    tokens = [sum(len(example.x) for example in batch) for batch in batches]
    rows: list[Row] = [
        ("batches in a pass", len(batches)),
        ("Docs in a batch (mean)", f"{len(setting.train) / len(batches):.1f}"),
        ("tokens in a batch (mean)", f"{numpy.mean(tokens):.0f}"),
        ("tokens in a batch (most)", max(tokens)),
    ]
    if setting.max_steps:
        rows.append(("passes in max_steps", f"{setting.max_steps / len(batches):.1f}"))
    if setting.window_length:
        lengths = numpy.asarray([len(example.x) for example in setting.train])
        n_windows = int((-(-lengths // setting.window_length)).sum())
        rows.append(("window_length", setting.window_length))
        rows.append(("windows", n_windows))
        rows.append(("tokens in a window (mean)", f"{lengths.sum() / n_windows:.1f}"))
        rows.append(("Docs cut into windows", f"{(lengths > setting.window_length).mean():.1%}"))
    _table("Batches and windows", ("What", "Value"), rows)


def _table(title: str, header: Sequence[str], rows: Sequence[Row]) -> None:
    msg.text(title, color="blue", spaced=True)
    cells = [tuple(f"{x:,}" if isinstance(x, int | float) else x for x in row) for row in rows]
    aligns = ["r" if isinstance(x, int | float) else "l" for x in rows[0]]
    msg.table(cells, header=header, divider=True, aligns=aligns)


def _with_counts(counts: Counter[str], n: int = 5) -> str:
    return _some([f"{key} ({count})" for key, count in counts.most_common()], n)


def _some(names: list[str], n: int) -> str:
    return ", ".join(names[:n]) + (f" and {len(names) - n:,} more" if len(names) > n else "")


class Word(NamedTuple):
    """A word, and those before and after it; "" where there is none."""

    before: str
    word: str
    after: str


def inconsistent(docs: Iterable[Doc], attribute: str) -> list[tuple[Word, Counter[str]]]:
    """Return the words that have different labels between the same two words, and the counts of
    these labels. Those with most tokens that don't have the most frequent label come first.
    """
    found: dict[Word, Counter[str]] = defaultdict(Counter)
    for doc in docs:
        words = ["", *(token.text for token in doc), ""]
        for i, label in enumerate(labels_of(doc, attribute)):
            if label:
                found[Word(*words[i : i + 3])][label] += 1
    several = [(word, labels) for word, labels in found.items() if len(labels) > 1]
    return sorted(several, key=lambda item: (-n_deviating(item[1]), item[0]))


def n_deviating(labels: Counter[str]) -> int:
    """Return how many tokens don't have the most frequent label."""
    return labels.total() - max(labels.values())


def unknown_words(docs: Iterable[Doc], vocabulary: Vocabulary) -> Counter[str]:
    """Count the words that a vocabulary lacks."""
    words = (token.text for doc in docs for token in doc)
    return Counter(word for word in words if word.lower() not in vocabulary.words)


def unknown_characters(docs: Iterable[Doc], vocabulary: Vocabulary) -> Counter[str]:
    """Count the characters that a vocabulary lacks."""
    read = (sign for doc in docs for token in doc for sign in spelling(token.text))
    return Counter(sign for sign in read if sign not in vocabulary.characters)


def cut_otherwise(nlp: Language, docs: Iterable[Doc]) -> Counter[tuple[str, str]]:
    """Count the differences of tokenization: words of the corpus, and the tokenizer's tokens in
    their place. Docs whose spaces aren't known are left out.
    """
    known = (doc for doc in docs if not doc.has_unknown_spaces)
    return Counter(pair for doc in known for pair in _differences(doc, nlp.make_doc(doc.text)))


def _differences(reference: Doc, doc: Doc) -> Iterator[tuple[str, str]]:
    common = sorted({token.idx for token in reference} & {token.idx for token in doc})
    parts = [_between(reference, common), _between(doc, common)]
    for words, tokens in zip(*parts, strict=True):
        if words != tokens:
            yield " ".join(words), " ".join(tokens)


def _between(doc: Doc, starts: Sequence[int]) -> list[list[str]]:
    """Return the tokens between places in a Doc, without blank ones."""
    parts: list[list[str]] = [[] for _ in range(len(starts) + 1)]
    for token in doc:
        if not token.is_space:
            parts[bisect_right(starts, token.idx)].append(token.text)
    return parts
