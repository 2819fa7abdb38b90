"""What a config can ask of corpora: to use their own tokens; to read their words beforehand."""

import warnings
from collections.abc import Callable, Iterator

from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import registry


@registry.augmenters("spacy-lstm-tagger.reference_tokens.v1")
def create_reference_tokens_augmenter() -> Callable[[Language, Example], Iterator[Example]]:
    """Return an augmenter that makes spaCy's corpus reader train and evaluate on the tokens of
    the corpus, not on the tokens that the tokenizer makes of its text. No label is lost where the
    two differ, as in treebanks that split "don't" or "du" in their own way.
    """
    return use_reference_tokens


def use_reference_tokens(nlp: Language, example: Example) -> Iterator[Example]:
    """Yield one Example whose predicted Doc has the words and spaces of the reference Doc.

    nlp (Language): The pipeline.
    example (Example): The Example.
    YIELDS (Example): The new Example; the reference is the same.
    """
    reference = example.reference
    words = [token.text for token in reference]
    spaces = [bool(token.whitespace_) for token in reference]
    yield Example(Doc(nlp.vocab, words=words, spaces=spaces), reference)


@registry.callbacks("spacy-lstm-tagger.read_words.v1")
def create_word_reader(corpora: list[str]) -> Callable[[Language], None]:
    """Return a callback that does nothing but warn: models learn new words when they are trained.

    corpora (list[str]): Not read.
    """
    warnings.warn(
        "the callback spacy-lstm-tagger.read_words.v1 is no longer needed, as models learn new "
        "words when they are trained: remove it from [initialize.before_init] in the config.",
        DeprecationWarning,
        stacklevel=2,
    )
    return lambda nlp: None
