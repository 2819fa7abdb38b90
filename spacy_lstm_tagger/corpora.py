"""Corpus readers, augmenters and callbacks for configs."""

import random
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import srsly
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.training import Corpus, Example
from spacy.util import registry

from .pipeline.pairing import bare_copy

ReadCorpus = Callable[[Language], Iterable[Example]]
Augment = Callable[[Language, Example], Iterable[Example]]

ARRAY, NO_USER_DATA = b"\xdd", b"\x80"  # in msgpack: an array of n items, an empty map
BUFFER = 10_000  # Docs of an old corpus that are in memory, and in a random order


@registry.augmenters("spacy-lstm-tagger.reference_tokens.v1")
def create_reference_tokens_augmenter(augmenter: Augment | None = None) -> Augment:
    """Return an augmenter that makes spaCy's corpus reader train and evaluate on the tokens of
    the corpus, not on the tokens that the tokenizer makes of its text. No label is lost where the
    two differ, as in treebanks that split "don't" or "du" in their own way.

    augmenter (Callable[[Language, Example], Iterable[Example]] | None): Another augmenter, which
        comes first, such as spaCy's `spacy.lower_case.v1`. Labels in extensions survive it.
    RETURNS (Callable[[Language, Example], Iterator[Example]]): The augmenter.
    """
    return partial(use_reference_tokens, augmenter=augmenter)


def use_reference_tokens(
    nlp: Language, example: Example, *, augmenter: Augment | None = None
) -> Iterator[Example]:
    """Yield Examples whose predicted Docs have the words and spaces of their reference Docs.

    nlp (Language): The pipeline.
    example (Example): The Example.
    augmenter (Callable[[Language, Example], Iterable[Example]] | None): Another augmenter, which
        comes first.
    YIELDS (Example): The new Examples; without another augmenter one with the same reference.
    """
    for variant in [example] if augmenter is None else augmenter(nlp, example):
        reference = variant.reference
        if reference is not example.reference:
            _copy_user_data(example.reference, reference)
        yield Example(bare_copy(reference, nlp.vocab), reference)


def _copy_user_data(doc: Doc, variant: Doc) -> None:
    """Copy the user data of a Doc to one with the same words, which can be spelled otherwise:
    spaCy's augmenters drop them.
    """
    words, others = ([t.idx for t in own if not t.is_space] for own in (doc, variant))
    if len(words) != len(others):
        return
    offsets = dict(zip(words, others, strict=True))
    data: Any = variant.user_data
    for key, value in doc.user_data.items():
        if isinstance(key, tuple) and len(key) == 4 and key[2] is not None:
            name, extension, start, end = key
            if start in offsets and end is None:
                data.setdefault((name, extension, offsets[start], None), value)
        elif len(doc) == len(variant):
            data.setdefault(key, value)


@registry.readers("spacy-lstm-tagger.MixedCorpus.v1")
def create_mixed_corpus(
    *, new: ReadCorpus, old: ReadCorpus, ratio: float = 1.0, draw_anew: bool = True
) -> ReadCorpus:
    """Return a reader of two corpora: all of a new one, and some of an old one, which keep a
    trained pipeline that goes on learning from forgetting it. spaCy reads it again in each epoch,
    if the config's section [training] has max_epochs = -1.

    new (Callable[[Language], Iterable[Example]]): The new corpus.
    old (Callable[[Language], Iterable[Example]]): The old one. Ten thousand of its Docs at a time
        are read and shuffled; so if it has more of them, they should be in a random order.
    ratio (float): How many old Docs for each new one; if not 0, there is one at least.
    draw_anew (bool): Whether each reading has other old Docs, as suits training; if not, all have
        the same, and none twice, as suits evaluation.
    RETURNS (Callable[[Language], Iterator[Example]]): The reader.
    RAISES: ValueError if the ratio is negative; the reader does if there are no old Docs.
    """
    if ratio < 0:
        raise ValueError(f"MixedCorpus: ratio = {ratio} must be at least 0.")
    drawn: Iterator[Example] | None = None

    def read(nlp: Language) -> Iterator[Example]:
        nonlocal drawn
        examples = list(new(nlp))
        n_old = max(1, round(ratio * len(examples))) if ratio else 0
        if not draw_anew:
            old_examples = list(old(nlp))
            yield from examples
            yield from random.Random(0).sample(old_examples, min(n_old, len(old_examples)))
            return
        if drawn is None:
            drawn = _endless(old, nlp)
        examples += islice(drawn, n_old)
        random.shuffle(examples)
        yield from examples

    return read


@registry.readers("spacy-lstm-tagger.LabelledCorpus.v1")
def create_labelled_corpus(
    *, path: str | Path | None, gold: str | Path | None = None, ratio: float = 4.0
) -> ReadCorpus:
    """Return a reader of Docs that teachers labelled, and of gold Docs among them. Its tokens are
    those of the corpora. spaCy streams it, if the config's section [training] has max_epochs = -1;
    a few shards at a time are in memory, and their Docs are in a random order.

    path (str | Path | None): The folder of shards that `python -m spacy lstm-tagger distill` wrote.
    gold (str | Path | None): Docs with gold labels: a DocBin or a folder of them. All are read in
        each epoch.
    ratio (float): How many labelled Docs for each gold one.
    RETURNS (Callable[[Language], Iterator[Example]]): The reader.
    RAISES: ValueError if the ratio is negative; the reader does if there are no labelled Docs.
    """

    def read(nlp: Language) -> Iterator[Example]:
        shards = sorted(Path(path).glob("*.spacy")) if path else []
        if not shards:
            raise ValueError(
                f"LabelledCorpus: {path} has no Docs that teachers labelled. Make some: python -m "
                "spacy lstm-tagger distill"
            )
        random.shuffle(shards)
        docs = _read_shards(nlp, shards)
        while examples := list(islice(docs, BUFFER)):
            random.shuffle(examples)
            yield from examples

    if gold is None:
        return read
    new = Corpus(gold, augmenter=use_reference_tokens)
    return create_mixed_corpus(new=new, old=read, ratio=ratio)


def _read_shards(nlp: Language, shards: Iterable[Path]) -> Iterator[Example]:
    """Yield Examples whose predicted Docs have the tokens of the reference Docs."""
    for shard in shards:
        docbin = DocBin().from_disk(shard)
        data = [item or NO_USER_DATA for item in docbin.user_data]
        docbin.user_data = []
        # Unpacked at once: each call of srsly looks through all entry points for decoders.
        user_data = srsly.msgpack_loads(
            ARRAY + len(data).to_bytes(4, "big") + b"".join(data), use_list=False
        )
        for doc, own in zip(docbin.get_docs(nlp.vocab), user_data, strict=True):
            if len(doc):
                doc.user_data.update(own)
                yield Example(bare_copy(doc, nlp.vocab), doc)


def _endless(corpus: ReadCorpus, nlp: Language) -> Iterator[Example]:
    while True:
        stream, is_empty = iter(corpus(nlp)), True
        while examples := list(islice(stream, BUFFER)):
            is_empty = False
            random.shuffle(examples)
            yield from examples
        if is_empty:
            raise ValueError("MixedCorpus: the old corpus has no Docs. Check its path.")


@registry.callbacks("spacy-lstm-tagger.add_new_labels.v1")
def create_label_adder(components: list[str]) -> Callable[[Language], None]:
    """Return a callback for `[initialize.before_init]` that sets `new_labels` = "add" for trained
    components, as a component with a source has no settings in a config. It warns about settings of
    such components in [initialize.components], which spaCy ignores.

    components (list[str]): Names of the components.
    """

    def add_new_labels(nlp: Language) -> None:
        for name in components:
            nlp.get_pipe(name).new_labels = "add"  # type: ignore[attr-defined]
        warn_of_ignored_settings(nlp)

    return add_new_labels


def warn_of_ignored_settings(nlp: Language) -> None:
    """Warn about settings in [initialize.components] of components that are not initialized, as
    they have a source. To be called when a pipeline is initialized by `spacy train`.
    """
    for name, settings in nlp.config["initialize"]["components"].items():
        ignored = [setting for setting, value in settings.items() if value is not None]
        if ignored and name in nlp.disabled:
            warnings.warn(
                f"the settings {', '.join(ignored)} in [initialize.components.{name}] are ignored, "
                "as spaCy does not initialize a component that has a source: remove them, or give "
                "the component a factory instead of the source.",
                stacklevel=2,
            )
