"""Where PyTorch isn't installed, a trained pipeline is used as anywhere; only training needs it."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import spacy
from numpy.testing import assert_allclose
from spacy.language import Language

TEXTS = ["The dog ate the apple", "", "Everybody read that unheard-of book"]
TAG = """
import json, sys, warnings
import spacy
from spacy.training import Example
import spacy_lstm_tagger
nlp = spacy.load(sys.argv[1])
found = {name: [] for name in nlp.pipe_names}
docs = list(nlp.pipe(json.loads(sys.argv[2])))
tags = [[(token.tag_, token.pos_) for token in doc] for doc in docs]
for name in nlp.pipe_names:
    tagger = nlp.get_pipe(name)
    if hasattr(tagger, "predict_probabilities") and tagger.model.name != "tagger":
        found[name] = [p.tolist() for p in tagger.predict_probabilities(docs)]
try:
    nlp.update([Example.from_dict(nlp.make_doc("The dog"), {"tags": ["DET", "NN"]})])
except ImportError as error:
    refused = str(error)
print(json.dumps([tags, found, refused]))
"""


@pytest.fixture(params=[{}, {"crf": True}, {"depth": 2, "bidirectional": False}], ids=str)
def trained(request: pytest.FixtureRequest, train: Callable, tiny: dict[str, Any]) -> Language:
    return train(spacy.blank("xx"), model={**tiny, **request.param})


def test_a_trained_pipeline_needs_no_torch(
    trained: Language, without_torch: str, tmp_path: Path
) -> None:
    trained.to_disk(tmp_path)
    command = [sys.executable, "-c", without_torch + TAG, str(tmp_path), json.dumps(TEXTS)]
    tags, found, refused = json.loads(subprocess.check_output(command, text=True))
    docs = list(trained.pipe(TEXTS))
    assert tags == [[[token.tag_, token.pos_] for token in doc] for doc in docs]
    tagger: Any = trained.get_pipe("lstm_tagger")
    for own, expected in zip(found["lstm_tagger"], tagger.predict_probabilities(docs), strict=True):
        assert_allclose(own, expected if len(expected) else [], atol=1e-5)
    assert refused == "Training needs PyTorch, and so does prediction on a GPU: pip install torch"


def test_a_shared_encoder_needs_no_torch(
    shared: Language, make_examples: Callable, without_torch: str, tmp_path: Path
) -> None:
    shared.initialize(lambda: make_examples(shared))
    shared.to_disk(tmp_path)
    command = [sys.executable, "-c", without_torch + TAG, str(tmp_path), json.dumps(TEXTS)]
    tags, *_ = json.loads(subprocess.check_output(command, text=True))
    docs = shared.pipe(TEXTS)
    assert tags == [[[token.tag_, token.pos_] for token in doc] for doc in docs]
