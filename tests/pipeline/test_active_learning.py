"""Tests of `active_learning.py`: what is chosen, against measures and choices made by hand."""

from collections.abc import Callable, Iterator

import numpy
import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc

from spacy_lstm_tagger import uncertain
from spacy_lstm_tagger.pipeline import active_learning

TEXTS = ["The dog ate the apple", "x yy zzz", "Everybody ate", "", "The DOG ate the apple", "apple"]


@pytest.fixture(scope="module")
def nlp(train: Callable) -> Language:
    return train(spacy.blank("xx"))


@pytest.mark.parametrize(
    ("measure", "values"),
    [("entropy", [0, 1, 0.5]), ("margin", [0, 1, 1]), ("confidence", [0, 0.75, 0.5])],
)
def test_measures(measure: str, values: list[float]) -> None:
    probabilities = numpy.asarray([[0, 1, 0, 0], [0.25] * 4, [0, 0.5, 0.5, 0]])
    assert active_learning.MEASURES[measure](probabilities) == pytest.approx(values)


@pytest.mark.parametrize("measure", active_learning.MEASURES)
def test_one_label_is_certain(measure: str) -> None:
    assert active_learning.MEASURES[measure](numpy.ones((2, 1))) == pytest.approx([0, 0])


def test_a_sentences_score_is_the_mean_of_its_tokens_and_ten_certain_ones(nlp: Language) -> None:
    found = {f.text: f for f in uncertain(nlp, TEXTS, measure="confidence")}
    assert sorted(found) in ([0, 1, 2, 5], [1, 2, 4, 5])  # 0 and 4 are the same, the third is empty
    for number, chosen in found.items():
        doc = nlp.make_doc(TEXTS[number])
        (probabilities,) = nlp.get_pipe("lstm_tagger").predict_probabilities([doc])
        best = probabilities.max(axis=1)
        expected = (1 - best).sum() / (len(doc) + 10)
        assert chosen.score == pytest.approx(expected, abs=1e-6)
        assert chosen.confidences == pytest.approx(best.tolist(), abs=1e-6)
        assert chosen.labels == [token.tag_ for token in nlp(TEXTS[number])]


def test_the_least_sure_come_first(nlp: Language) -> None:
    every = uncertain(nlp, TEXTS)
    assert [f.score for f in every] == sorted((f.score for f in every), reverse=True)
    assert uncertain(nlp, TEXTS, 2) == every[:2]


def test_what_is_dropped_meanwhile_changes_nothing(
    nlp: Language, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f"{'The' * (i % 7)} dog{i}" for i in range(60)]
    every = uncertain(nlp, texts, 5, batch_size=3)
    monkeypatch.setattr(active_learning, "BATCH_SIZE", 1)
    assert uncertain(nlp, iter(texts), 5, batch_size=3) == every


def test_texts_are_cut_into_sentences(train: Callable) -> None:
    nlp = train(spacy.blank("xx"))
    nlp.add_pipe("sentencizer")
    text = "The dog. Everybody ate?"
    found = sorted(uncertain(nlp, [text]), key=lambda f: f.start_char)
    assert [f.start_char for f in found] == [0, 9]
    assert found[1].sentence == [("Everybody", " "), ("ate", ""), ("?", "")]


def test_tokens_with_the_same_neighbours_are_chosen_once(nlp: Language) -> None:
    found = uncertain(nlp, ["The dog ate", "the dog ate", "The dog read"], level="token")
    words = sorted(f.sentence[f.token][0].lower() for f in found)
    assert words == ["ate", "dog", "dog", "read", "the"]


def test_docs_keep_their_tokens_and_get_no_labels(nlp: Language) -> None:
    doc = Doc(nlp.vocab, words=["can", "not"], spaces=[False, False])
    (found,) = uncertain(nlp, [doc])
    assert found.sentence == [("can", ""), ("not", "")]
    assert not doc.has_annotation("TAG")


def test_a_stream_is_read_bit_by_bit(nlp: Language) -> None:
    read = []

    def texts() -> Iterator[str]:
        for i in range(10):
            read.append(i)
            yield f"x{i}"
            assert len(read) - len(tagged) <= 4

    tagged: list[int] = []
    tagger = nlp.get_pipe("lstm_tagger")
    original = tagger.predict_probabilities
    tagger.predict_probabilities = lambda docs: tagged.extend(docs) or original(docs)
    try:
        assert len(uncertain(nlp, texts(), batch_size=2)) == 10
    finally:
        del tagger.predict_probabilities


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n": 0}, "n = 0 must be at least 1"),
        ({"n": "x"}, "n = 'x' must be a whole number"),
        ({"batch_size": 0}, "batch_size = 0 must be at least 1"),
        ({"level": "word"}, "level = 'word' must be one of sentence, token"),
        ({"measure": "x"}, "measure = 'x' must be one of entropy, margin, confidence"),
        ({"component": "x"}, "no lstm_tagger of the name 'x'; its components: lstm_tagger"),
    ],
)
def test_wrong_settings_are_refused(nlp: Language, settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        uncertain(nlp, TEXTS, **settings)


def test_one_text_is_no_list_of_texts(nlp: Language) -> None:
    with pytest.raises(ValueError, match="a list of texts is needed, not one: 'The dog'"):
        uncertain(nlp, "The dog")


def test_a_pipeline_without_a_tagger_is_refused() -> None:
    with pytest.raises(ValueError, match="has no lstm_tagger; its components: none"):
        uncertain(spacy.blank("xx"), TEXTS)


@pytest.mark.parametrize("measure", ["entropy", "margin", "confidence"])
@pytest.mark.parametrize("level", ["sentence", "token"])
def test_whitespace_is_certain(nlp: Language, measure: str, level: str) -> None:
    plain, spaced = (
        uncertain(nlp, texts, level=level, measure=measure)
        for texts in (["x yy"], ["x  \n yy ", "  "])
    )
    assert [one.score for one in spaced] == pytest.approx([one.score for one in plain])
    for one in spaced:
        assert one.text == 0 and "".join(w + s for w, s in one.sentence) == "x  \n yy "
        assert (one.labels[1], one.confidences[1]) == ("_SP", 1)
        assert one.token is None or not one.sentence[one.token][0].isspace()
