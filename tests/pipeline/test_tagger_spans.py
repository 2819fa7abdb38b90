"""Tests of the component with labels that mark spans, and with labels in an extension."""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy
import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc, DocBin, Span, Token
from spacy.training import Example
from thinc.api import fix_random_seed

from spacy_lstm_tagger import LSTMTagger
from spacy_lstm_tagger.pipeline.labels import aligned_labels, labels_of
from spacy_lstm_tagger.pipeline.spans import repair

SENTENCES = [
    ("play blue train now", "O B-title I-title O"),
    ("fly to New York today", "O O B-city I-city B-when"),
    ("jazz", "B-genre"),
]
BILOU = [
    ("play blue train now", "O B-title L-title O"),
    ("fly to the New York now", "O O B-city I-city L-city U-when"),
]
WORDS = ["play", "blue", "train", "fly", "to", "New", "York", "today", "jazz", "unknown"]

Make = Callable[..., tuple[Language, list[Example]]]


def labelled(nlp: Language, words: list[str], labels: list[str], name: str = "slot") -> Doc:
    if not Token.has_extension(name):
        Token.set_extension(name, default=None)
    doc = Doc(nlp.vocab, words=words)
    for token, label in zip(doc, labels, strict=True):
        token._.set(name, label)
    return doc


@pytest.fixture
def make(tiny: dict[str, Any]) -> Make:
    """Return a function that makes a pipeline for slots, and initializes it."""

    def make_pipeline(
        sentences: list[tuple[str, str]] = SENTENCES, *, crf: bool = True, **config: Any
    ) -> tuple[Language, list[Example]]:
        fix_random_seed(0)
        nlp = spacy.blank("xx")
        settings = {"model": {**tiny, "crf": crf}, "extension": "slot", **config}
        nlp.add_pipe("lstm_label_tagger", config=settings)
        examples = []
        for text, labels in sentences:
            reference = labelled(nlp, text.split(), labels.split())
            predicted = Doc(nlp.vocab, words=text.split())
            examples.append(Example(predicted, reference))
        nlp.initialize(lambda: examples)
        return nlp, examples

    return make_pipeline


def tagger_of(nlp: Language) -> LSTMTagger:
    tagger = nlp.get_pipe("lstm_label_tagger")
    assert isinstance(tagger, LSTMTagger)
    return tagger


def train(nlp: Language, examples: list[Example], steps: int = 40) -> None:
    optimizer = nlp.resume_training()
    optimizer.learn_rate = 0.03
    for _ in range(steps):
        nlp.update(examples, sgd=optimizer)


def disturb(tagger: LSTMTagger) -> None:
    """Give the network large random weights, so that it scores anything."""
    random = numpy.random.default_rng(0)
    for node in tagger.model.walk():
        for shim in node.shims:
            for parameter in shim.network.parameters():
                values = random.normal(size=parameter.shape, scale=2).astype("float32")
                parameter.data.copy_(parameter.new_tensor(values))
            shim.from_bytes(shim.to_bytes())


def random_docs(nlp: Language, n: int, seed: int = 0) -> list[Doc]:
    random = numpy.random.default_rng(seed)
    lengths = random.integers(0, 12, size=n)
    return [Doc(nlp.vocab, words=random.choice(WORDS, length).tolist()) for length in lengths]


@pytest.mark.parametrize(
    ("sentences", "scheme"),
    [(SENTENCES, "bio"), (BILOU, "bilou"), ([("a b", "X Y")], None), ([("a b", "O X")], None)],
)
def test_the_scheme_is_that_of_the_labels(
    make: Make, sentences: list[tuple[str, str]], scheme: str | None
) -> None:
    nlp, _ = make(sentences)
    assert tagger_of(nlp).scheme == scheme


@pytest.mark.parametrize("sentences", [SENTENCES, BILOU])
@pytest.mark.parametrize("crf", [True, False])
def test_no_sequence_breaks_the_scheme(
    make: Make, sentences: list[tuple[str, str]], crf: bool
) -> None:
    nlp, _ = make(sentences, crf=crf)
    disturb(tagger_of(nlp))
    docs = list(nlp.pipe(random_docs(nlp, 200)))
    assert len({label for doc in docs for label in labels_of(doc, "slot")}) > 4
    for doc in docs:
        labels = labels_of(doc, "slot")
        assert repair(labels, tagger_of(nlp).scheme or "") == labels


@pytest.mark.parametrize("crf", [True, False])
def test_without_a_scheme_sequences_can_break_it(make: Make, crf: bool) -> None:
    nlp, _ = make(crf=crf, scheme=None)
    disturb(tagger_of(nlp))
    docs = nlp.pipe(random_docs(nlp, 200))
    assert any(repair(labels_of(doc, "slot"), "bio") != labels_of(doc, "slot") for doc in docs)


@pytest.mark.parametrize("crf", [True, False])
def test_probabilities_and_k_best_are_those_of_all_allowed_sequences(make: Make, crf: bool) -> None:
    nlp, _ = make([("a b", "B-x I-x"), ("a b", "O B-y")], crf=crf, label_smoothing=0.0)
    tagger = tagger_of(nlp)
    doc = Doc(nlp.vocab, words=["a", "b", "c"])
    allowed = [
        list(labels)
        for labels in product(tagger.labels, repeat=3)
        if repair(labels, "bio") == list(labels)
    ]
    best = tagger.k_best(doc, len(allowed))
    assert sorted(labelling.labels for labelling in best) == sorted(allowed)
    scores = [labelling.log_probability for labelling in best]
    assert scores == sorted(scores, reverse=True)
    assert numpy.exp(scores).sum() == pytest.approx(1, abs=1e-4)
    (probabilities,) = tagger.predict_probabilities([doc])
    for i, j in product(range(3), range(len(tagger.labels))):
        has_label = [labelling.labels[i] == tagger.labels[j] for labelling in best]
        assert probabilities[i, j] == pytest.approx(numpy.exp(scores)[has_label].sum(), abs=1e-4)
    (predicted,) = nlp.pipe([doc])
    assert labels_of(predicted, "slot") == best[0].labels
    with pytest.raises(ValueError, match=f"from 1 to {len(allowed)}, the number of sequences"):
        tagger.k_best(doc, len(allowed) + 1)


@pytest.mark.parametrize("crf", [True, False])
@pytest.mark.parametrize("sentences", [SENTENCES, BILOU])
def test_spans_are_learnt_and_written(
    make: Make, sentences: list[tuple[str, str]], crf: bool
) -> None:
    nlp, examples = make(sentences, crf=crf, spans="ents")
    train(nlp, examples)
    doc = nlp(Doc(nlp.vocab, words=sentences[0][0].split()))
    assert labels_of(doc, "slot") == sentences[0][1].split()
    assert [(span.text, span.label_) for span in doc.ents] == [("blue train", "title")]
    scores = nlp.evaluate(examples)
    assert (scores["slot_acc"], scores["ents_f"]) == (1.0, 1.0)


def test_spans_can_go_to_a_key(make: Make) -> None:
    nlp, examples = make(spans="slots")
    train(nlp, examples)
    doc = nlp(Doc(nlp.vocab, words=["fly", "to", "New", "York", "today"]))
    assert [(s.text, s.label_) for s in doc.spans["slots"]] == [
        ("New York", "city"),
        ("today", "when"),
    ]
    assert not doc.ents
    scores = nlp.evaluate(examples)
    assert scores["spans_slots_f"] == 1.0
    assert scores["spans_slots_per_type"]["title"]["f"] == 1.0
    assert "ents_f" not in scores


def test_labels_in_tag_mark_spans_as_well(tiny: dict[str, Any]) -> None:
    nlp = spacy.blank("xx")
    nlp.add_pipe("lstm_tagger", config={"model": tiny, "spans": "ents"})
    reference = Doc(nlp.vocab, words=["New", "York"], tags=["B-city", "I-city"])
    example = Example(Doc(nlp.vocab, words=["New", "York"]), reference)
    nlp.initialize(lambda: [example])
    doc = nlp(Doc(nlp.vocab, words=["New", "York", "now"]))
    marked = [label != "I-city" for label in labels_of(doc, "tag")]
    assert len(doc.ents) == sum(marked)


@pytest.mark.parametrize(
    ("overwrite", "texts"), [(False, ["fly to", "York"]), (True, ["New York"])]
)
def test_entities_that_are_there_are_replaced_only_if_asked(
    make: Make, overwrite: bool, texts: list[str]
) -> None:
    nlp, examples = make(spans="ents", overwrite=overwrite)
    train(nlp, examples)
    doc = Doc(nlp.vocab, words=["fly", "to", "New", "York"])
    doc.ents = [Span(doc, 0, 2, label="x"), Span(doc, 3, 4, label="y")]
    doc = nlp(doc)
    assert [span.text for span in doc.ents] == texts


def test_whitespace_is_inside_a_span_or_outside_but_not_at_its_ends(make: Make) -> None:
    nlp, examples = make(spans="ents")
    train(nlp, examples)
    doc = nlp(Doc(nlp.vocab, words=["\n", "play", "\n", "blue", "\n", "train", "\n", "now"]))
    assert labels_of(doc, "slot") == ["", "O", "", "B-title", "", "I-title", "", "O"]
    (span,) = doc.ents
    assert (span.start, span.end) == (3, 6)


def test_gold_labels_that_break_the_scheme_are_read_as_the_same_spans(make: Make) -> None:
    lenient = [("play blue train now", "O I-title I-title O"), SENTENCES[1]]
    strict = [("play blue train now", "O B-title I-title O"), SENTENCES[1]]
    with pytest.warns(UserWarning, match="1 gold labels break the scheme 'bio'"):
        pipelines = [make(lenient, crf=True)]
    pipelines.append(make(strict, crf=True))
    assert tagger_of(pipelines[0][0]).labels == tagger_of(pipelines[1][0]).labels
    for nlp, examples in pipelines:
        fix_random_seed(0)
        train(nlp, examples, 3)
    doc = ["play", "blue", "train", "now"]
    found = [
        tagger_of(nlp).predict_probabilities([Doc(nlp.vocab, words=doc)])[0] for nlp, _ in pipelines
    ]
    numpy.testing.assert_array_equal(found[0], found[1])


def test_gold_labels_that_break_the_scheme_are_scored_as_the_same_spans(make: Make) -> None:
    nlp, examples = make(spans="ents")
    train(nlp, examples)
    lenient = labelled(nlp, SENTENCES[0][0].split(), ["O", "I-title", "I-title", "O"])
    scores = nlp.evaluate([Example(examples[0].x.copy(), lenient)])
    assert (scores["slot_acc"], scores["ents_f"]) == (1.0, 1.0)
    assert tagger_of(nlp).cfg["scheme"] == "auto"
    tagger_of(nlp).cfg["scheme"] = None
    assert nlp.evaluate([Example(examples[0].x.copy(), lenient)])["slot_acc"] == 0.75


@pytest.mark.parametrize("factory", ["lstm_tagger", "lstm_label_tagger"])
def test_a_corpus_with_labels_elsewhere_says_where(tiny: dict[str, Any], factory: str) -> None:
    nlp = spacy.blank("xx")
    nlp.add_pipe(factory, config={"model": tiny})
    example = Example(Doc(nlp.vocab, words=["a"]), labelled(nlp, ["a"], ["B-x"]))
    with pytest.raises(ValueError, match=r"use the factory lstm_label_tagger .* = 'slot'"):
        nlp.initialize(lambda: [example])


def test_spans_are_aligned_with_other_tokens(make: Make) -> None:
    nlp, _ = make()
    reference = labelled(nlp, ["to", "New", "York-City", "now"], ["O", "B-city", "I-city", "O"])
    predicted = Doc(nlp.vocab, words=["to", "New", "York", "-", "City", "now"])
    predicted_as_one = Doc(nlp.vocab, words=["to", "New York-City", "now"])
    aligned = aligned_labels(Example(predicted, reference), "slot", "bio")
    assert aligned == ["O", "B-city", "I-city", "I-city", "I-city", "O"]
    assert aligned_labels(Example(predicted, reference), "slot", "bilou")[4] == "L-city"
    as_one = Example(predicted_as_one, reference)
    assert aligned_labels(as_one, "slot", "bio") == ["O", "B-city", "O"]
    assert aligned_labels(as_one, "slot") == ["O", None, "O"]
    reaching = Doc(nlp.vocab, words=["toNew", "York-City", "now"])
    gold = labelled(nlp, ["to", "New", "York-City", "now"], ["O", "B-city", "I-city", "O"])
    assert aligned_labels(Example(reaching, gold), "slot", "bio") == [None, None, "O"]


def test_labels_stand_beside_parts_of_speech(make: Make, tiny: dict[str, Any]) -> None:
    nlp = spacy.blank("xx")
    nlp.add_pipe("lstm_tagger", config={"model": tiny})
    nlp.add_pipe("lstm_label_tagger", config={"model": tiny, "store_probabilities": True})
    reference = labelled(nlp, ["New", "York"], ["B-city", "I-city"], "label")
    for token in reference:
        token.tag_ = "NNP"
    stored = DocBin(docs=[reference], store_user_data=True).to_bytes()
    (reference,) = DocBin().from_bytes(stored).get_docs(nlp.vocab)
    example = Example(Doc(nlp.vocab, words=["New", "York"]), reference)
    nlp.initialize(lambda: [example])
    train(nlp, [example], 20)
    other = spacy.blank("xx").from_config(nlp.config).from_bytes(nlp.to_bytes())
    doc = other(Doc(other.vocab, words=["New", "York"]))
    assert [token.tag_ for token in doc] == ["NNP", "NNP"]
    assert [token._.label for token in doc] == ["B-city", "I-city"]
    assert doc[1]._.label_confidence > 0.5
    assert doc[1]._.label_k_best(1)[0][0] == "I-city"
    scores = other.evaluate([Example(doc.copy(), reference)])
    assert (scores["tag_acc"], scores["label_acc"]) == (1.0, 1.0)


def test_labels_are_kept_unless_they_are_overwritten(make: Make) -> None:
    nlp, examples = make()
    train(nlp, examples)
    doc = labelled(nlp, ["play", "blue", "train"], ["X", None, None])  # type: ignore[list-item]
    assert labels_of(nlp(doc), "slot")[0] == "X"
    tagger_of(nlp).cfg["overwrite"] = True
    assert labels_of(nlp(doc), "slot")[0] == "O"


@pytest.mark.parametrize("crf", [True, False])
def test_added_labels_keep_to_the_scheme(make: Make, crf: bool) -> None:
    nlp, examples = make(crf=crf)
    train(nlp, examples)
    docs = random_docs(nlp, 30)
    before = [labels_of(doc, "slot") for doc in nlp.pipe(doc.copy() for doc in docs)]
    tagger = tagger_of(nlp)
    assert tagger.add_label("I-new") == 2
    assert tagger.labels[-2:] == ("I-new", "B-new")
    assert [labels_of(doc, "slot") for doc in nlp.pipe(doc.copy() for doc in docs)] == before
    disturb(tagger)
    for doc in nlp.pipe(docs):
        assert repair(labels_of(doc, "slot"), "bio") == labels_of(doc, "slot")


def test_training_can_bring_labels_of_the_scheme(make: Make) -> None:
    nlp, _ = make(new_labels="add")
    reference = labelled(nlp, ["a", "b"], ["I-new", "I-new"])
    train(nlp, [Example(Doc(nlp.vocab, words=["a", "b"]), reference)])
    doc = nlp(Doc(nlp.vocab, words=["a", "b"]))
    assert labels_of(doc, "slot") == ["B-new", "I-new"]


@pytest.mark.parametrize("crf", [True, False])
def test_loaded_components_keep_to_the_scheme(make: Make, crf: bool) -> None:
    nlp, _ = make(crf=crf)
    disturb(tagger_of(nlp))
    data = nlp.to_bytes()
    other = spacy.blank("xx").from_config(nlp.config).from_bytes(data)
    assert tagger_of(other).scheme == "bio"
    for doc in other.pipe(random_docs(other, 50)):
        assert repair(labels_of(doc, "slot"), "bio") == labels_of(doc, "slot")
    free = nlp.config.copy()
    free["components"]["lstm_label_tagger"]["scheme"] = None
    freed = spacy.blank("xx").from_config(free).from_bytes(data)
    assert tagger_of(freed).scheme is None
    docs = list(freed.pipe(random_docs(freed, 50)))
    assert any(repair(labels_of(d, "slot"), "bio") != labels_of(d, "slot") for d in docs)


def test_a_pipeline_of_another_scheme_is_refused(make: Make) -> None:
    other, _ = make(BILOU, scheme="bilou")
    labels = tagger_of(other).labels
    with pytest.raises(ValueError, match="scheme = 'bilou', but these labels are none of it"):
        make([("a b", "O X")], scheme="bilou")
    data = tagger_of(make([("a b c", "O X Y")])[0]).to_bytes()
    with pytest.raises(ValueError, match="none of it: X, Y"):
        tagger_of(other).from_bytes(data)
    assert tagger_of(other).labels == labels


@pytest.mark.parametrize(
    ("sentences", "config", "message"),
    [
        (SENTENCES, {"scheme": "iob"}, "scheme = 'iob' must be null or one of auto, bio, bilou"),
        ([("a b", "O X")], {"spans": "ents"}, "spans = 'ents' needs labels of a scheme"),
        (SENTENCES, {"extension": "no name"}, "extension = 'no name' must be a name"),
        (SENTENCES, {"extension": "tag"}, "extension = 'tag' has the name .* lstm_tagger"),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    make: Make, sentences: list[tuple[str, str]], config: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make(sentences, **config)


def test_labels_that_do_not_fit_are_not_added(make: Make) -> None:
    nlp, _ = make()
    labels = tagger_of(nlp).labels
    with pytest.raises(ValueError, match="have the scheme 'bio', and these are none of it: U-new"):
        tagger_of(nlp).add_label("U-new")
    assert tagger_of(nlp).labels == labels


def test_a_lexicon_that_breaks_the_scheme_is_refused(make: Make) -> None:
    nlp, _ = make()
    tagger = tagger_of(nlp)
    tagger.cfg["lexicon"] = {"York": ["I-city"]}
    doc = Doc(nlp.vocab, words=["in", "York"])
    assert labels_of(nlp(doc), "slot") == ["B-city", "I-city"]
    with pytest.raises(ValueError, match="no sequence of labels is possible for the Doc 'York '"):
        tagger.predict([Doc(nlp.vocab, words=["York"])])
    with pytest.raises(ValueError, match="no sequence"):
        tagger.k_best(Doc(nlp.vocab, words=["York"]), 1)


def test_a_stream_of_spans_is_refused(make: Make, tiny: dict[str, Any]) -> None:
    model = {**tiny, "bidirectional": False, "lookahead": 1}
    nlp, _ = make(model=model)
    with pytest.raises(ValueError, match="Set scheme = null"):
        tagger_of(nlp).stream()
    nlp, _ = make(model=model, scheme=None)
    tagger_of(nlp).stream()


def test_an_extension_of_the_application_is_not_written(make: Make) -> None:
    Token.set_extension("computed", getter=lambda token: "x", force=True)
    try:
        with pytest.raises(ValueError, match=r"token\._\.computed, as the application computes it"):
            make(extension="computed")
    finally:
        Token.remove_extension("computed")
