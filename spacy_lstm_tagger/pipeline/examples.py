"""What a corpus reads in, the training Examples and the labels to learn from them out."""

from collections.abc import Callable, Iterable, Sequence

from spacy.training import Example, validate_get_examples

from .labels import FACTORIES, gold_labels
from .soft_labels import soft_labels


def read_examples(get_examples: Callable[[], Iterable[Example]]) -> list[Example]:
    """Read all training Examples.

    get_examples (Callable[[], Iterable[Example]]): Returns them.
    RETURNS (list[Example]): The Examples, one at least.
    RAISES: ValueError if they can't be read, or if there are none.
    """
    if not callable(get_examples):
        validate_get_examples(get_examples, "LSTMTagger.initialize")
    try:
        examples = list(get_examples())
    except OSError as error:
        raise ValueError(
            f"can't read the training examples: {error}. Check the paths of the corpora in the "
            "config, or give them on the command line: --paths.train FILE."
        ) from error
    if not examples:
        raise ValueError(
            "there are no training examples to initialize from. Check the corpus: its path, and "
            "that its Docs are not empty."
        )
    validate_get_examples(lambda: examples, "LSTMTagger.initialize")
    return examples


def labels_to_learn(examples: Sequence[Example], attribute: str, neg_prefix: str) -> list[str]:
    """Return the labels that the gold annotation affirms or denies, and the soft labels, sorted."""
    gold = affirmed(gold_labels(examples, attribute) - {""}, neg_prefix)
    soft = (soft_labels(example.reference, attribute) for example in examples)
    return sorted(gold.union(*(one.labels for one in soft if one is not None)))


def check_any(labels: Sequence[str], examples: Sequence[Example], attribute: str) -> None:
    """Raise a ValueError that says what the examples have, if there are no labels."""
    if any(labels):
        return
    remedies = [
        f"they have {other}: use the factory {factory}"
        for other, factory in FACTORIES.items()
        if gold_labels(examples, other) - {""}
    ]
    if not remedies:
        remedies = ["annotate them, or list the labels in the config, [initialize.components]"]
    raise ValueError(f"no {attribute} found in the training examples; {'; '.join(remedies)}")


def check_known(used: set[str], labels: Sequence[str], neg_prefix: str) -> None:
    """Raise a ValueError if training uses what is no label of the component."""
    unknown = used.difference(labels)
    if unknown:
        raise ValueError(
            "the training data have labels that the component lacks: "
            f'{", ".join(sorted(unknown))}. Set new_labels = "add" to add what training brings; or '
            "initialize it with all of them, or list them in the config, in its section "
            f"[initialize.components]. (A label that starts with neg_prefix = {neg_prefix!r} "
            "denies the rest of it.)"
        )


def affirmed(gold: set[str], neg_prefix: str) -> set[str]:
    """Return the labels that gold labels affirm or deny.

    RAISES: ValueError if a gold label is the prefix itself.
    """
    if neg_prefix and neg_prefix in gold:
        raise ValueError(
            f"the training data have the label {neg_prefix!r}, but a label that starts with "
            f"neg_prefix = {neg_prefix!r} denies the rest of it. Set another neg_prefix in the "
            'config, such as neg_prefix = "~".'
        )
    return {label.removeprefix(neg_prefix) for label in gold}
