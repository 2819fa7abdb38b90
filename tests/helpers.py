"""Data and functions that tests of several modules share."""

from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import Optimizer, fix_random_seed

ATTRIBUTES = ["tag", "pos", "morph"]
GOLD = {
    "tag": ["DET", "NN", "V", "DET", "NN"],
    "pos": ["DET", "NOUN", "VERB", "DET", "NOUN"],
    "morph": [
        "Definite=Def",
        "Number=Sing",
        "Tense=Past|VerbForm=Fin",
        "Definite=Def",
        "Number=Sing",
    ],
}
WORDS = ["The", "dog", "ate", "the", "apple"]
# A small encoder of spaCy, and a listener to it.
CNN = {
    "@architectures": "spacy.HashEmbedCNN.v2",
    **{"pretrained_vectors": None, "width": 8, "depth": 1, "embed_size": 50},
    **{"window_size": 1, "maxout_pieces": 2, "subword_features": True},
}
LISTENER = {"@architectures": "spacy.Tok2VecListener.v1", "width": 8, "upstream": "tok2vec"}
EMPTY: list[str] = []
EMPTY_AT = [[EMPTY], [EMPTY, WORDS], [WORDS, EMPTY, ["The", "dog"]], [WORDS, EMPTY]]
ODD_WORDS = {
    "one token": ["dog"],
    "spaces": ["dog", " ", "\n\n", "\t", " " * 50],
    "10,000 characters": ["x" * 10_000, "dog", "y" * 10_000],
    "emoji": ["👍🏽", "👩\u200d👩\u200d👧", "🇫🇷", "dog"],
    "combining characters": ["e\u0301", "\u00e9", "Z\u0351\u036b\u0343\u032a", "\u0301"],
    "unseen scripts": ["สวัสดี", "𒀀𒁀", "שָׁלוֹם", "日本語", "\U0001d518\U0001d52b"],
    "capitals that change length": ["İstanbul", "ß", "ẞ", "ﬃ"],
}


def annotation(doc: Doc, attribute: str) -> list[str]:
    names = {"tag": "tag_", "pos": "pos_", "morph": "morph"}
    return [str(getattr(token, names[attribute])) for token in doc]


def annotated(nlp: Language, attribute: str, labels: list[str]) -> Doc:
    """Return the first sentence with labels; those that are "" are missing."""
    argument = {"tag": "tags", "pos": "pos", "morph": "morphs"}[attribute]
    doc = Doc(nlp.vocab, words=WORDS, **{argument: labels})
    for token, label in zip(doc, labels, strict=True):
        if attribute == "morph" and not label:
            token.set_morph(None)
    return doc


def example(nlp: Language, words: list[str], tags: list[str]) -> Example:
    return Example(Doc(nlp.vocab, words=words), Doc(nlp.vocab, words=words, tags=tags))


def learn(nlp: Language, examples: list[Example], learn_rate: float = 0.03) -> Optimizer:
    """Initialize a pipeline and train it until it knows the examples."""
    fix_random_seed(0)
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = learn_rate
    for _ in range(40):
        nlp.update(examples, sgd=optimizer)
    return optimizer


def predicted(nlp: Language, attribute: str = "tag", words: list[str] = WORDS) -> list[str]:
    return annotation(nlp(Doc(nlp.vocab, words=words)), attribute)
