"""On a GPU, everything is as on the CPU. Skipped where there is none."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy
import pytest
import spacy
import torch
from numpy.testing import assert_allclose
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import fix_random_seed, require_cpu, require_gpu

from spacy_lstm_tagger.model.crf import emitter_of
from spacy_lstm_tagger.model.shim import network_of
from spacy_lstm_tagger.pipeline.distillation import Teacher, Teachers

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
]
TEXTS = ["The dog ate the apple", "", "Everybody read that book", "dog " * 1000]


@pytest.fixture(autouse=True)
def gpu() -> Iterator[None]:
    pytest.importorskip("cupy")
    require_gpu()
    yield
    require_cpu()


@pytest.fixture(params=[{}, {"crf": True}, {"depth": 2}], ids=str)
def trained(
    request: pytest.FixtureRequest, make_examples: Callable, tiny: dict[str, Any]
) -> Language:
    """A pipeline that was trained on the GPU."""
    nlp = spacy.blank("xx")
    fix_random_seed(0)
    nlp.add_pipe("lstm_tagger", config={"model": {**tiny, **request.param}})
    examples = make_examples(nlp)
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = 0.03
    for _ in range(40):
        nlp.update(examples, sgd=optimizer, drop=0.1)
    return nlp


def make_docs(nlp: Language) -> list[Doc]:
    return [nlp.make_doc(text) for text in TEXTS]


def test_a_tagger_learns_and_tags(trained: Language) -> None:
    model: Any = trained.get_pipe("lstm_tagger").model
    assert all(
        parameter.is_cuda for parameter in network_of(emitter_of(model)).network.parameters()
    )
    doc = trained("The dog ate the apple")
    assert [token.tag_ for token in doc] == ["DET", "NN", "V", "DET", "NN"]


def test_the_cpu_gives_the_same_tags_and_probabilities(trained: Language) -> None:
    tagger: Any = trained.get_pipe("lstm_tagger")
    probabilities = tagger.predict_probabilities(make_docs(trained))
    tags = [[token.tag_ for token in doc] for doc in trained.pipe(make_docs(trained))]
    data = trained.to_bytes()
    require_cpu()
    nlp = spacy.util.load_model_from_config(trained.config).from_bytes(data)
    on_cpu: Any = nlp.get_pipe("lstm_tagger")
    found = on_cpu.predict_probabilities(make_docs(nlp))
    for own, other in zip(found, probabilities, strict=True):
        assert_allclose(own, other, atol=1e-4)
    assert [[token.tag_ for token in doc] for doc in nlp.pipe(make_docs(nlp))] == tags


def test_a_tagger_teaches_another(trained: Language, tiny: dict) -> None:
    nlp = spacy.blank("xx")
    pupil: Any = nlp.add_pipe("lstm_tagger", config={"model": tiny})
    docs = make_docs(nlp)
    Teachers([Teacher(trained)]).label(docs)
    examples = [
        Example(doc, reference) for doc, reference in zip(make_docs(nlp), docs, strict=True)
    ]
    pupil.initialize(lambda: examples, nlp=nlp)
    optimizer = nlp.create_optimizer()
    optimizer.learn_rate = 0.03
    for _ in range(40):
        nlp.update(examples, sgd=optimizer)
    doc = nlp("The dog ate the apple")
    assert [token.tag_ for token in doc] == ["DET", "NN", "V", "DET", "NN"]


def test_lexicon_and_k_best(trained: Language) -> None:
    tagger: Any = trained.get_pipe("lstm_tagger")
    doc = trained.make_doc("The dog ate the apple")
    doc[1]._.tag_allowed = ["V"]
    assert {labelling.labels[1] for labelling in tagger.k_best(doc, 5)} == {"V"}
    assert trained(doc)[1].tag_ == "V"


def test_stored_probabilities_are_of_numpy(trained: Language) -> None:
    trained.get_pipe("lstm_tagger").store_probabilities = True
    doc = trained("The dog")
    assert isinstance(doc._.tag_probabilities, numpy.ndarray)
    assert 0 < doc[0]._.tag_confidence <= 1
