"""Tests of `streaming.py`: a stream tags words as they come, as a Doc of all of them is tagged."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy
import pytest
import spacy
import torch
from numpy.testing import assert_allclose
from spacy.language import Language
from spacy.tokens import Doc
from spacy.vectors import Vectors
from torch import nn

from spacy_lstm_tagger.model import architectures
from spacy_lstm_tagger.pipeline.labels import FACTORIES
from spacy_lstm_tagger.pipeline.streaming import TaggedWord, TokenStream

WORDS = [
    "The",
    "dog",
    "ate",
    "the",
    "apple",
    "!",
    "Everybody",
    "read",
    "that",
    "unheard-of",
    "book",
    "NOUN",
    "🙂",
]
VARIANTS: list[dict[str, Any]] = [
    {},
    {"depth": 2},
    {"depth": 3},
    {"character_lstm_width": 0},
    {"affixes": False},
    {"include_static_vectors": True},
    {"window_length": 1},
]
TAKE_UP = """
import json, sys
import spacy
tagger = spacy.load(sys.argv[1]).get_pipe("lstm_tagger")
stream = tagger.stream(json.loads(sys.argv[2]))
decided = [tagged for word in json.loads(sys.argv[3]) for tagged in stream.push(word)]
print(json.dumps(decided + stream.finish()))
"""


@pytest.fixture
def make_tagger(make_examples: Callable, tiny: dict[str, Any]) -> Callable[..., Any]:
    """Return a function that makes a tagger that reads left to right, with random weights."""

    def make(
        factory: str = "lstm_tagger", component: dict[str, Any] | None = None, **settings: Any
    ) -> Any:
        nlp = spacy.blank("xx")
        table = numpy.random.RandomState(0).normal(size=(3, 4)).astype("float32")
        nlp.vocab.vectors = Vectors(
            strings=nlp.vocab.strings, data=table, keys=["dog", "apple", "🙂"]
        )
        model = {**tiny, "bidirectional": False, **settings}
        tagger: Any = nlp.add_pipe(factory, config={"model": model, **(component or {})})
        nlp.initialize(lambda: make_examples(nlp))
        torch.manual_seed(0)
        for node in tagger.model.walk():
            for parameter in node.shims[0].network.parameters() if node.shims else ():
                nn.init.normal_(parameter, std=0.5)
        return tagger

    return make


def tag(stream: TokenStream, words: Iterable[str]) -> list[TaggedWord]:
    return [tagged for word in words for tagged in stream.push(word)] + stream.finish()


def check(tagger: Any, decided: list[Any], words: list[str]) -> None:
    """Compare what a stream decided with what the tagger says of a whole Doc."""
    docs = [Doc(tagger.vocab, words=words)]
    (label_ids,), (probabilities,) = (
        tagger.predict(docs).label_ids,
        tagger.predict_probabilities(docs),
    )
    assert [word for word, *_ in decided] == words
    assert [label for _, label, _ in decided] == [tagger.labels[i] for i in label_ids]
    confidences = [confidence for *_, confidence in decided]
    expected = numpy.take_along_axis(probabilities, label_ids[:, None], axis=1)[:, 0]
    assert_allclose(confidences, expected, atol=1e-5)


@pytest.mark.parametrize("lookahead", [0, 1, 2])
@pytest.mark.parametrize("settings", VARIANTS, ids=str)
def test_a_stream_equals_the_whole(
    make_tagger: Callable[..., Any], settings: dict[str, Any], lookahead: int
) -> None:
    tagger = make_tagger(**settings, lookahead=lookahead)
    check(tagger, tag(tagger.stream(), WORDS), WORDS)


@pytest.mark.parametrize("lookahead", [0, 2])
@pytest.mark.parametrize("words", [[], WORDS[:1], WORDS[:2], 60 * WORDS], ids=len)
def test_a_stream_of_any_length_equals_the_whole(
    make_tagger: Callable[..., Any], words: list[str], lookahead: int
) -> None:
    tagger = make_tagger(lookahead=lookahead, window_length=8)
    check(tagger, tag(tagger.stream(), words), words)


@pytest.mark.parametrize("lookahead", [0, 1, 2, 9])
def test_a_word_is_decided_when_its_lookahead_is_there(
    make_tagger: Callable[..., Any], lookahead: int
) -> None:
    stream = make_tagger(lookahead=lookahead).stream()
    decided = [[tagged.word for tagged in stream.push(word)] for word in WORDS[:6]]
    assert decided == [[WORDS[i - lookahead]] if i >= lookahead else [] for i in range(6)]
    assert [tagged.word for tagged in stream.finish()] == WORDS[max(0, 6 - lookahead) : 6]


@pytest.mark.parametrize("lookahead", [0, 1])
def test_lookahead_words_decide_and_later_ones_do_not(
    make_tagger: Callable[..., Any], lookahead: int
) -> None:
    tagger = make_tagger(lookahead=lookahead)
    first = [tag(tagger.stream(), ["The", "dog", word])[0] for word in ("ate", "apple")]
    assert first[0] == first[1]
    first = [tag(tagger.stream(), ["The", word])[0] for word in ("dog", "ate")]
    assert (first[0] != first[1]) == bool(lookahead)


def test_a_stream_keeps_to_the_lexicon(make_tagger: Callable[..., Any]) -> None:
    tagger = make_tagger(lookahead=1)
    tagger.cfg["lexicon"] = {"dog": ["V"], "book": ["DET", "V"]}
    decided = tag(tagger.stream(), WORDS)
    assert decided[1] == TaggedWord("dog", "V", 1.0)
    check(tagger, decided, WORDS)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_label_smoothing_is_taken_back(make_tagger: Callable[..., Any], smoothing: float) -> None:
    tagger = make_tagger(component={"label_smoothing": smoothing})
    check(tagger, tag(tagger.stream(), WORDS), WORDS)


@pytest.mark.parametrize("attribute", ["pos", "morph"])
def test_a_stream_has_the_labels_of_its_attribute(
    make_tagger: Callable[..., Any], attribute: str
) -> None:
    tagger = make_tagger(FACTORIES[attribute], lookahead=1)
    check(tagger, tag(tagger.stream(), WORDS), WORDS)


@pytest.mark.parametrize("n_before", [0, 7])
def test_another_process_takes_up_a_state(
    train: Callable[..., Language],
    tiny: dict[str, Any],
    without_torch: str,
    tmp_path: Path,
    n_before: int,
) -> None:
    nlp = train(
        spacy.blank("xx"), model={**tiny, "bidirectional": False, "depth": 2, "lookahead": 2}
    )
    nlp.to_disk(tmp_path)
    tagger: Any = nlp.get_pipe("lstm_tagger")
    stream = tagger.stream()
    decided: list[Any] = [tagged for word in WORDS[:n_before] for tagged in stream.push(word)]
    arguments = [str(tmp_path), json.dumps(stream.state), json.dumps(WORDS[n_before:])]
    command = [sys.executable, "-c", without_torch + TAKE_UP, *arguments]
    rest = subprocess.check_output(command, text=True)
    assert decided + [TaggedWord(*tagged) for tagged in json.loads(rest)] == tag(
        tagger.stream(), WORDS
    )


def test_streams_go_apart(make_tagger: Callable[..., Any]) -> None:
    tagger = make_tagger(lookahead=1)
    first, second = tagger.stream(), tagger.stream()
    decided = [(first.push(a), second.push(b)) for a, b in zip(WORDS, WORDS[::-1], strict=True)]
    check(tagger, [t for one, _ in decided for t in one] + first.finish(), WORDS)
    check(tagger, [t for _, one in decided for t in one] + second.finish(), WORDS[::-1])


def test_a_stream_leaves_nothing_in_the_vocab(make_tagger: Callable[..., Any]) -> None:
    tagger = make_tagger()
    tag(tagger.stream(), ["never-seen"])
    assert "never-seen" not in tagger.vocab.strings


@pytest.mark.parametrize("word", ["", None, 7, ["dog"], b"dog"])
def test_what_is_no_word_is_refused(make_tagger: Callable[..., Any], word: Any) -> None:
    tagger = make_tagger(lookahead=1)
    stream = tagger.stream()
    decided = stream.push("The")
    with pytest.raises(ValueError, match="one word at a time"):
        stream.push(word)
    check(tagger, [*decided, *tag(stream, ["dog"])], ["The", "dog"])


def test_a_finished_stream_is_over(make_tagger: Callable[..., Any]) -> None:
    stream = make_tagger(lookahead=2).stream()
    assert len(tag(stream, WORDS[:3])) == 3
    assert stream.finish() == []
    with pytest.raises(ValueError, match="the stream is finished"):
        stream.push("dog")
    with pytest.raises(ValueError, match="the stream is finished"):
        _ = stream.state


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"bidirectional": True}, "lstm_tagger: a model that reads in both directions"),
        ({"crf": True}, "lstm_tagger: a model with crf = true"),
    ],
)
def test_a_model_that_needs_the_whole_text_is_refused(
    make_tagger: Callable[..., Any], settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make_tagger(**settings).stream()


def test_a_listener_is_refused(shared: Language) -> None:
    with pytest.raises(ValueError, match="tags: only the architecture"):
        shared.get_pipe("tags").stream()


def test_a_tagger_without_weights_is_refused(nlp: Language, tiny: dict[str, Any]) -> None:
    tagger: Any = nlp.add_pipe("lstm_tagger", config={"model": {**tiny, "bidirectional": False}})
    with pytest.raises(ValueError, match="lstm_tagger: The model has no weights yet"):
        tagger.stream()


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda state: [], "not the state of a stream"),
        (lambda state: {**state, "layers": "no"}, "not the state of a stream"),
        (lambda state: {"words": []}, "not the state of a stream"),
        (lambda state: {**state, "model": state["model"] + 1}, "of another model"),
        (lambda state: {**state, "layers": 2 * state["layers"]}, "is damaged"),
        (lambda state: {**state, "scores": [[0.0]]}, "is damaged"),
        (lambda state: {**state, "words": []}, "is damaged"),
        (lambda state: {**state, "scores": [[float("nan")] * 3]}, "not finite"),
        (lambda s: {**s, "words": 2 * s["words"], "scores": 2 * s["scores"]}, "is damaged"),
    ],
)
def test_a_strange_state_is_refused(
    make_tagger: Callable[..., Any], change: Callable[..., Any], message: str
) -> None:
    tagger = make_tagger(lookahead=1)
    stream = tagger.stream()
    stream.push("The")
    with pytest.raises(ValueError, match=message):
        tagger.stream(change(stream.state))


def test_a_state_of_other_weights_is_refused(
    nlp: Language, train: Callable, tiny: dict[str, Any], make_examples: Callable
) -> None:
    tagger = train(nlp, model={**tiny, "bidirectional": False}).get_pipe("lstm_tagger")
    stream = tagger.stream()
    stream.push("The")
    state = stream.state
    tagger.stream(state)
    nlp.update(make_examples(nlp), sgd=nlp.create_optimizer())
    with pytest.raises(ValueError, match="lstm_tagger: this state is of a stream of another model"):
        tagger.stream(state)


def test_lookahead_needs_a_model_that_reads_left_to_right() -> None:
    with pytest.raises(ValueError, match="lookahead = 1 needs bidirectional = false"):
        architectures.LSTMTagger(lookahead=1)
    with pytest.raises(ValueError, match="lookahead = -1 must be at least 0"):
        architectures.LSTMTagger(lookahead=-1, bidirectional=False)


def test_a_stream_keeps_the_labels_that_it_began_with(make_tagger: Callable[..., Any]) -> None:
    tagger = make_tagger(lookahead=0)
    stream = tagger.stream()
    tagger.add_label("NEW")
    assert stream.push("dog")[0].label == tagger.stream().push("dog")[0].label


@pytest.mark.parametrize("lookahead", [0, 1, 2])
@pytest.mark.parametrize("n_before", [0, 1, 2, 4, 9])
def test_whitespace_is_passed_through(
    make_tagger: Callable[..., Any], lookahead: int, n_before: int
) -> None:
    tagger = make_tagger(lookahead=lookahead)
    words = [" ", "The", "\n", "dog", " ", " ", "ate", "the", "\t"]
    stream = tagger.stream()
    decided = [tagged for word in words[:n_before] for tagged in stream.push(word)]
    stream = tagger.stream(json.loads(json.dumps(stream.state)))
    decided += tag(stream, words[n_before:])
    assert [word for word, _, _ in decided] == words
    assert [tuple(tagged[1:]) for tagged in decided if tagged.word.isspace()] == [("_SP", 1.0)] * 5
    kept = [tagged for tagged in decided if not tagged.word.isspace()]
    check(tagger, kept, ["The", "dog", "ate", "the"])


def test_whitespace_waits_for_the_words_before_it(make_tagger: Callable[..., Any]) -> None:
    stream = make_tagger(lookahead=1).stream()
    words = [" ", "The", " ", "dog", "\n"]
    decided = [[tagged.word for tagged in stream.push(word)] for word in words]
    assert decided == [[" "], [], [], ["The", " "], []]
    assert [tagged.word for tagged in stream.finish()] == ["dog", "\n"]
