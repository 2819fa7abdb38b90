"""Examples in, Examples with the reference's own tokens out."""

from collections.abc import Callable, Iterator

from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import registry


@registry.augmenters("spacy-lstm-tagger.reference_tokens.v1")
def create_reference_tokens_augmenter() -> Callable[[Language, Example], Iterator[Example]]:
    """Return an augmenter that makes spaCy's corpus reader train and evaluate on the tokens of
    the corpus, instead of on those that the tokenizer makes of its text. So no label is lost
    where the two differ, as in treebanks that split "don't" or "du" in their own way.
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
