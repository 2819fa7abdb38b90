"""Tests of `debug.py` and `checks.py`: what makes learning from a corpus hard."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import spacy
from spacy.tokens import Doc, DocBin
from spacy.vocab import Vocab

from spacy_lstm_tagger.cli import debug as checks
from spacy_lstm_tagger.model.vocabulary import learn_vocabulary

ROOT = Path(__file__).parent.parent.parent
CONFIG = ROOT / "configs" / "tagger.cfg"
WORDS, TAGS = ["a", "dog", "ran", ".", "a", "dog", "ran"], ["D", "N", "V", ".", "D", "V", "V"]


@pytest.fixture
def doc() -> Doc:
    return Doc(Vocab(), words=WORDS, tags=TAGS)


def test_labels_are_counted(doc: Doc) -> None:
    unlabelled = Doc(Vocab(), words=["x"])
    assert checks.label_counts([doc, unlabelled], "tag") == {"D": 2, "N": 1, "V": 3, ".": 1}


def test_the_same_word_in_the_same_context(doc: Doc) -> None:
    ((word, labels),) = checks.inconsistent([doc], "tag")
    assert word == ("a", "dog", "ran")
    assert labels == {"N": 1, "V": 1}
    assert checks.n_deviating(Counter(N=3, V=1, X=1)) == 2


def test_unknown_words_and_characters(doc: Doc) -> None:
    vocabulary = learn_vocabulary([doc])
    dev = [Doc(Vocab(), words=["A", "doß", "doß"])]
    assert checks.unknown_words(dev, vocabulary) == {"doß": 2}
    assert checks.unknown_characters(dev, vocabulary) == {"ß": 2, "A": 1}


def test_what_the_tokenizer_cuts_otherwise() -> None:
    words, spaces = ["foot", "ball", "go", "e-mail", "."], [False, True, True, False, False]
    found = checks.cut_otherwise(spacy.blank("en"), [Doc(Vocab(), words=words, spaces=spaces)] * 2)
    assert found == {("e-mail", "e - mail"): 2, ("foot ball", "football"): 2}


def without_augmenter(folder: Path) -> Path:
    """Return the path of the recommended config, which reads the tokenizer's tokens now."""
    text = CONFIG.read_text().replace("[corpora.train.augmenter]\n", "augmenter = null\n", 1)
    text = text.replace('@augmenters = "spacy-lstm-tagger.reference_tokens.v1"\n', "", 1)
    (folder / "changed.cfg").write_text(text)
    return folder / "changed.cfg"


def debug(run: Callable, train: Path, *overrides: str, config: Path = CONFIG) -> str:
    """Run the command on a config, and return what it prints, in one line."""
    paths = ["--paths.train", train, "--paths.dev", train]
    result = run("debug", config, *paths, *overrides)
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def test_a_corpus_is_described(run: Callable, corpus: Path) -> None:
    text = debug(run, corpus)
    assert "lstm_tagger (attribute = 'tag')" in text
    assert "3 labels" in text
    assert "Labels of fewer than 10 tokens: V (3), NN (5), DET (6)" in text
    assert "The dog ate dog NN (1), DET (1)" in text
    assert "1 context; 1 of the tokens (7.14%) are not labelled as most are" in text
    assert "Unknown words are 0.0% of the tokens of dev (0 of 14)" in text
    assert "The tokenizer cuts all texts as the corpora do" in text
    assert "window_length 32" in text


def test_labels_and_characters_of_dev_alone_are_named(
    run: Callable, corpus: Path, tmp_path: Path
) -> None:
    words = ["The", "ß", "isn't", "."]
    doc = Doc(Vocab(), words=words, spaces=[True] * 4, tags=["DET", "NEW", "NEW", ""])
    DocBin(docs=[doc]).to_disk(tmp_path / "dev.spacy")
    text = debug(run, corpus, "--paths.dev", str(tmp_path / "dev.spacy"))
    assert "Labels of dev that are not in train: NEW (2)" in text
    assert "Unknown characters in dev: ß (1)" in text
    assert "isn't is n't 1" in text
    assert "Training reads the tokens of the corpus, so no label is lost" in text


def test_the_augmenter_is_recommended_where_labels_are_lost(run: Callable, tmp_path: Path) -> None:
    path = tmp_path / "train.spacy"
    doc = Doc(Vocab(), words=["isn't", "ok"], spaces=[True, False], tags=["V", "J"])
    DocBin(docs=[doc]).to_disk(path)
    text = debug(run, path, config=without_augmenter(tmp_path))
    assert "Training loses their labels" in text


def test_the_encoder_that_is_listened_to_has_the_windows(run: Callable, corpus: Path) -> None:
    words = ["--component", "lstm_pos", "--components.tok2vec.model.window_length", "7"]
    text = debug(run, corpus, *words, config=ROOT / "configs" / "shared.cfg")
    assert "lstm_pos (attribute = 'pos')" in text
    assert "window_length 7" in text


@pytest.mark.parametrize(
    ("config", "overrides", "message"),
    [
        ("tagger", ["--paths.train", "nothing.spacy"], "there is no nothing.spacy"),
        ("tagger", ["--component", "x"], "no lstm_tagger of the name 'x'"),
        (
            "tagger",
            ["--components.lstm_tagger.factory", "lstm_morph_tagger"],
            "has no morphological features",
        ),
    ],
)
def test_what_cannot_be_used_gets_one_line(
    run: Callable, corpus: Path, config: str, overrides: list[str], message: str
) -> None:
    paths = ["--paths.train", corpus, "--paths.dev", corpus]
    if "lstm_morph_tagger" in overrides:
        docs = DocBin(docs=[Doc(Vocab(), words=["x"], tags=["X"])])
        docs.to_disk(corpus.with_name("bare.spacy"))
        paths[1] = corpus.with_name("bare.spacy")
    result = run("debug", ROOT / "configs" / f"{config}.cfg", *paths, *overrides)
    assert result.exit_code == 1
    assert message in " ".join(result.output.split())


def test_a_corpus_that_cannot_be_learnt_is_named(run: Callable, tmp_path: Path) -> None:
    words = ["a", "dog"]
    for name, tag in [("train", "-"), ("dev", "NN")]:
        doc = Doc(Vocab(), words=words, tags=[tag] * 2)
        DocBin(docs=[doc]).to_disk(tmp_path / f"{name}.spacy")
    text = debug(run, tmp_path / "train.spacy", "--paths.dev", str(tmp_path / "dev.spacy"))
    assert "train: all 2 tokens that have a label have '-'" in text
    assert "spacy convert -c iob" in text
    assert "dev and train have no label in common: dev has NN; train has -" in text


def test_other_tokens_on_texts_are_named(run: Callable, corpus: Path, tmp_path: Path) -> None:
    words, tags = ["isn't", "a", "dog"], ["V", "DET", "NN"]
    doc = Doc(Vocab(), words=words, spaces=[True, True, False], tags=tags)
    DocBin(docs=[doc]).to_disk(tmp_path / "train.spacy")
    text = debug(run, tmp_path / "train.spacy")
    assert "where 33.33% of tokens are others" in text
