"""Tests of `vectors.py`: the classes of a lexicon as word vectors."""

import json
from pathlib import Path
from typing import Any

import numpy
import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import load_model_from_config
from spacy.vectors import Vectors
from thinc.api import Config

from spacy_lstm_tagger.model.vectors import create_vector_adder, static_vectors, with_classes

LEXICON = {"dog": ["noun"], "walks": ["noun", "verb"], "barks": ["verb", "noun"], "Paris": ["name"]}

WORDS = [f"{a}{b}{c}" for a in "bdg" for b in "aeio" for c in "klmnprt"]  # in no order of classes
CONFIG = """
[nlp]
lang = "xx"
pipeline = ["lstm_tagger"]

[components]

[components.lstm_tagger]
factory = "lstm_tagger"

[components.lstm_tagger.model]
@architectures = "spacy-lstm-tagger.LSTMTagger.v1"
include_static_vectors = true
word_width = 8
lstm_width = 8
character_lstm_width = 0
affixes = false

[initialize]
vectors = null

[initialize.before_init]
@callbacks = "spacy-lstm-tagger.add_vectors.v1"
lexicon = "{path}"
"""


def look_up(nlp: Language, *forms: str) -> list[list[float]]:
    keys = [nlp.vocab.strings.add(form) for form in forms]
    return static_vectors(nlp.vocab, keys, nlp.vocab.strings.__getitem__).tolist()


def test_classes_are_columns_in_alphabetic_order(nlp: Language) -> None:
    nlp.vocab.vectors = with_classes(nlp.vocab, LEXICON)
    name, noun, both = [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 1.0, 1.0]
    assert look_up(nlp, "dog", "walks", "barks", "Paris") == [noun, both, both, name]
    assert len(nlp.vocab.vectors.data) == 3  # a row for each set of classes


def test_forms_have_the_classes_of_another_case_or_none(nlp: Language) -> None:
    nlp.vocab.vectors = with_classes(nlp.vocab, LEXICON)
    name, noun, none = [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]
    assert look_up(nlp, "wug", "Dog", "DOG", "paris") == [none, noun, noun, name]


def test_classes_are_added_to_existing_vectors(nlp: Language) -> None:
    for form, vector in {"dog": [5.0, 6.0], "paris": [7.0, 8.0], "cat": [3.0, 4.0]}.items():
        nlp.vocab.set_vector(form, numpy.asarray(vector, dtype="float32"))
    nlp.vocab.vectors = with_classes(nlp.vocab, LEXICON)
    assert look_up(nlp, "dog", "Paris", "paris", "cat", "walks", "wug") == [
        [5.0, 6.0, 0.0, 1.0, 0.0],
        [7.0, 8.0, 1.0, 0.0, 0.0],
        [7.0, 8.0, 1.0, 0.0, 0.0],
        [3.0, 4.0, 0.0, 0.0, 0.0],
        [0.0, 0.0, 0.0, 1.0, 1.0],
        [0.0, 0.0, 0.0, 0.0, 0.0],
    ]


def test_vectors_without_strings_are_kept(nlp: Language) -> None:
    vectors = Vectors(shape=(1, 2), strings=nlp.vocab.strings)
    vectors.add(123456789, vector=numpy.asarray([1.0, 2.0], dtype="float32"))
    nlp.vocab.vectors = vectors
    nlp.vocab.vectors = with_classes(nlp.vocab, LEXICON)
    assert nlp.vocab.vectors[123456789].tolist() == [1.0, 2.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    "vectors, message",
    [
        (Vectors(data=numpy.ones((4, 2), "f"), mode="floret", hash_count=1, minn=2, maxn=3), "row"),
        (Vectors(shape=(4, 2), attr="LOWER"), "row for each form"),
    ],
)
def test_vectors_without_a_row_for_each_form_are_refused(
    nlp: Language, vectors: Vectors, message: str
) -> None:
    nlp.vocab.vectors = vectors
    with pytest.raises(ValueError, match=message):
        with_classes(nlp.vocab, LEXICON)


@pytest.mark.parametrize(
    "content, message",
    [
        ([["dog", "noun"]], "JSON object"),
        ({"dog": "noun"}, "'dog' must be a list"),
        ({"dog": [1]}, "'dog' must be a list"),
        ({}, "no classes"),
        ({"dog": []}, "no classes"),
        (None, "read file"),
    ],
)
def test_bad_lexicons_are_refused_by_name(
    nlp: Language, tmp_path: Path, content: Any, message: str
) -> None:
    path = tmp_path / "words.json"
    if content is not None:
        path.write_text(json.dumps(content), encoding="utf8")
    nlp.config["initialize"]["vectors"] = None
    with pytest.raises(ValueError, match=rf"words\.json can't be used: .*{message}"):
        create_vector_adder(lexicon=str(path))(nlp)


def test_vectors_that_would_replace_them_are_refused(nlp: Language) -> None:
    nlp.config["initialize"]["vectors"] = "some_vectors"
    with pytest.raises(ValueError, match="must be null"):
        create_vector_adder()(nlp)


def test_a_tagger_learns_classes_for_words_without_labels(tmp_path: Path) -> None:
    lexicon = {word: ["walking" if i % 2 else "thing"] for i, word in enumerate(WORDS)}
    (tmp_path / "words.json").write_text(json.dumps(lexicon), encoding="utf8")
    config = Config().from_str(CONFIG.format(path=tmp_path / "words.json"))
    nlp = load_model_from_config(config, auto_fill=True)
    known, unseen = WORDS[:60], WORDS[60:]
    tags = {word: "VB" if lexicon[word] == ["walking"] else "NN" for word in WORDS}
    docs = [Doc(nlp.vocab, words=[word], tags=[tags[word]]) for word in known]
    examples = [Example(nlp.make_doc(doc.text), doc) for doc in docs]
    optimizer = nlp.initialize(lambda: examples)
    for _ in range(30):
        nlp.update(examples, sgd=optimizer)
    nlp.to_disk(tmp_path / "pipeline")
    loaded = spacy.load(tmp_path / "pipeline")
    assert [loaded(word)[0].tag_ for word in unseen] == [tags[word] for word in unseen]
