"""Tests of `listeners.py`: a tagger reads what its encoder wrote, or raises."""

from collections.abc import Callable

import numpy
import pytest
from numpy.testing import assert_array_equal
from spacy.language import Language
from spacy.tokens import Doc
from spacy.util import load_model_from_config
from thinc.api import Config

UNREAD = r"tags: .*listens to 'tok2vec'.*'The dog' has nothing.*nlp.get_pipe\('tok2vec'\)\(doc\)"

WIDTH = (
    r"tags: .*'tok2vec' with width = 40.*set width = 46 .*"
    r"LSTMListener.v1 with encoder = \$\{components.tok2vec.model\}"
)


@pytest.fixture
def doc(shared: Language, make_examples: Callable) -> Doc:
    """A Doc that no component has read."""
    shared.initialize(lambda: make_examples(shared))
    return shared.make_doc("The dog")


@pytest.mark.parametrize(
    "call",
    [
        lambda tagger, doc: tagger.predict_probabilities([doc]),
        lambda tagger, doc: tagger.k_best(doc, 2),
        lambda tagger, doc: tagger(doc),
        lambda tagger, doc: list(tagger.pipe([doc])),
    ],
)
def test_a_doc_that_the_encoder_did_not_read_is_refused(
    shared: Language, doc: Doc, call: Callable
) -> None:
    with pytest.raises(ValueError, match=UNREAD):
        call(shared.get_pipe("tags"), doc)


def test_a_pipeline_without_its_encoder_is_refused(shared: Language, doc: Doc) -> None:
    with shared.select_pipes(disable=["tok2vec"]), pytest.raises(ValueError, match=UNREAD):
        shared("The dog")


@pytest.mark.parametrize("shape", [(1, 46), (2, 45), (3, 46)])
def test_what_another_component_wrote_is_refused(
    shared: Language, doc: Doc, shape: tuple[int, int]
) -> None:
    doc.tensor = numpy.zeros(shape, dtype="float32")
    with pytest.raises(ValueError, match=r"needs \(2, 46\) values"):
        shared.get_pipe("tags").predict_probabilities([doc])


def test_the_advice_gives_what_the_pipeline_would(shared: Language, doc: Doc) -> None:
    tagger = shared.get_pipe("tags")
    (found,) = tagger.predict_probabilities([shared.get_pipe("tok2vec")(doc)])
    (expected,) = tagger.predict_probabilities([shared("The dog")])
    assert_array_equal(found, expected)


def test_an_empty_doc_needs_nothing(shared: Language, doc: Doc) -> None:
    docs = [Doc(shared.vocab), shared.get_pipe("tok2vec")(doc)]
    assert list(map(len, shared.get_pipe("tags").predict_probabilities(docs))) == [0, 2]


def test_listener_of_another_width_is_refused_when_it_is_initialized(
    shared_config: Config, make_examples: Callable
) -> None:
    shared_config["components"]["tags"]["model"]["tok2vec"]["width"] = 40
    nlp = load_model_from_config(shared_config, auto_fill=True)
    with pytest.raises(ValueError, match=WIDTH):
        nlp.initialize(lambda: make_examples(nlp))
