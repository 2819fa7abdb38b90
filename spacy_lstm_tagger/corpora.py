"""What a config can ask of corpora: to use their own tokens; to read their words beforehand."""

from collections.abc import Callable, Iterator

from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import registry, resolve_dot_names


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
    """Return a callback for `[initialize.before_init]` that shows the pipeline's vocab the words
    of corpora before any model is initialized. `LSTMTok2Vec` needs it for `spacy pretrain`, which
    initializes models before it reads a text; list the pretraining and the training corpus, as
    the vocabulary of the pretrained weights is the one that training goes on with.

    corpora (list[str]): Where the config has the corpora, as "corpora.pretrain".
    """

    def read_words(nlp: Language) -> None:
        for read_corpus in resolve_dot_names(nlp.config.interpolate(), [*corpora]):
            for _ in read_corpus(nlp):  # making a Doc puts its words into the vocab
                pass

    return read_words
