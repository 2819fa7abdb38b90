"""Tests of `half_precision.py`: teachers of PyTorch that multiply in bfloat16."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
import spacy
import torch
from helpers import CNN
from numpy.testing import assert_allclose, assert_array_equal
from spacy.language import Language
from spacy.tokens import Doc
from spacy.util import registry
from thinc.api import Model, PyTorchWrapper, chain, fix_random_seed, with_array

from spacy_lstm_tagger.pipeline import distillation
from spacy_lstm_tagger.pipeline.distillation import Teacher
from spacy_lstm_tagger.pipeline.half_precision import in_bfloat16, torch_models

TEXTS = ["The dog ate the apple", "Everybody read that book", "The book"]


class Encoder(torch.nn.Module):
    """A layer that notes in which precision it multiplies, and can fail or go wrong in bfloat16."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(8, 8)
        self.seen: list[torch.dtype] = []
        self.error: Exception | None = None
        self.factor = 1.0

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.layer(vectors)
        self.seen.append(result.dtype)
        if result.dtype == torch.bfloat16:
            if self.error:
                raise self.error
            result = result * self.factor
        return result


@registry.architectures("test.TorchEncoder.v1")
def make_encoder(tok2vec: Model) -> Model:
    torch.manual_seed(0)
    return chain(tok2vec, with_array(PyTorchWrapper(Encoder())))


@pytest.fixture
def teacher(nlp: Language, make_examples: Callable) -> Teacher:
    fix_random_seed(0)
    tok2vec = {"@architectures": "test.TorchEncoder.v1", "tok2vec": CNN}
    model = {"@architectures": "spacy.Tagger.v2", "tok2vec": tok2vec}
    nlp.add_pipe("tagger", config={"model": model})
    examples = make_examples(nlp)
    optimizer = nlp.initialize(lambda: examples)
    for _ in range(15):
        nlp.update(examples, sgd=optimizer)
    encoder_of(nlp).seen.clear()
    return Teacher(nlp)


def encoder_of(nlp: Language) -> Encoder:
    (encoder,) = torch_models(nlp)
    assert isinstance(encoder, Encoder)
    return encoder


def docs_of() -> list[Doc]:
    blank = spacy.blank("xx")
    return [blank.make_doc(text) for text in TEXTS]


def let_take(monkeypatch: pytest.MonkeyPatch, seconds: Sequence[float]) -> None:
    """Let each thing that is timed take some seconds."""
    starts_and_ends = accumulate(time for own in seconds for time in (0.0, own))
    times: Iterator[float] = iter(list(starts_and_ends))
    monkeypatch.setattr(distillation, "perf_counter", lambda: next(times))


def test_bfloat16_where_it_is_faster(teacher: Teacher, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = encoder_of(teacher.nlp)
    before = teacher.probabilities(docs_of())["tag"]
    let_take(monkeypatch, [10.0, 4.0])
    assert teacher.choose_precision(docs_of()) == pytest.approx(2.5)
    encoder.seen.clear()
    after = teacher.probabilities(docs_of())["tag"]
    assert encoder.seen == [torch.bfloat16]
    for own, other in zip(after, before, strict=True):
        assert own.dtype == "float32"
        assert_allclose(own, other, atol=0.02)
    assert not torch.is_autocast_enabled("cpu")
    teacher.nlp(TEXTS[0])
    assert encoder.seen[-1] == torch.float32  # as only the teacher calculates so


@pytest.mark.parametrize("fault", ["slower", "hardly faster", "fails", "other labels"])
def test_float32_where_bfloat16_is_no_better(
    teacher: Teacher, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    encoder = encoder_of(teacher.nlp)
    if fault == "fails":
        encoder.error = RuntimeError("not implemented for 'BFloat16'")
    if fault == "other labels":
        encoder.factor = -5.0
    before = teacher.probabilities(docs_of())["tag"]
    let_take(monkeypatch, [10.0, {"slower": 11.0, "hardly faster": 9.0}.get(fault, 1.0)])
    assert teacher.choose_precision(docs_of()) == 1
    assert torch.bfloat16 in encoder.seen  # as it was tried
    encoder.seen.clear()
    for own, other in zip(teacher.probabilities(docs_of())["tag"], before, strict=True):
        assert_array_equal(own, other)
    assert encoder.seen == [torch.float32]


def test_teachers_without_pytorch_are_not_tried(
    teacher: Teacher, monkeypatch: pytest.MonkeyPatch
) -> None:
    nlp = spacy.blank("xx")
    nlp.add_pipe("tagger", config={"model": {"@architectures": "spacy.Tagger.v2", "tok2vec": CNN}})
    nlp.get_pipe("tagger").add_label("NN")  # type: ignore[attr-defined]
    nlp.initialize()
    let_take(monkeypatch, [])
    assert Teacher(nlp).choose_precision(docs_of()) == 1


def test_an_lstm_tagger_is_not_tried(
    trained: Language, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    trained.to_disk(tmp_path)
    let_take(monkeypatch, [])
    assert Teacher(spacy.load(tmp_path)).choose_precision(docs_of()) == 1


class Values(OrderedDict):
    """As `transformers.file_utils.ModelOutput`, a dictionary."""


@dataclass
class Outputs:
    """As the outputs of `curated_transformers`."""

    all_outputs: list[Any]
    name: str = "all"


STRUCTURES: list[Callable[[torch.Tensor], Any]] = [
    lambda x: x,
    lambda x: [x, x],
    lambda x: (x, None, 1),
    lambda x: Values(last=x, others=(x, [x])),
    lambda x: Outputs([[x], x]),
]


def tensors_of(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, Outputs):
        value = value.all_outputs
    parts = value.values() if isinstance(value, dict) else value
    found = (tensors_of(one) for one in parts if isinstance(one, (torch.Tensor, list, tuple)))
    return [tensor for own in found for tensor in own]


@pytest.mark.parametrize("structure", STRUCTURES)
def test_whatever_a_model_returns_is_in_float32(structure: Callable) -> None:
    class Wrapped(torch.nn.Linear):
        def forward(self, vectors: torch.Tensor) -> Any:
            return structure(super().forward(vectors))

    model = Wrapped(4, 4)
    nlp = spacy.blank("xx")

    class Pipe:
        def __init__(self) -> None:
            self.model = PyTorchWrapper(model)

        def __call__(self, doc: Doc) -> Doc:
            return doc

    Language.factory("wrapped_module", func=lambda nlp, name: Pipe())
    nlp.add_pipe("wrapped_module")
    ones, before = torch.ones(2, 4), model(torch.ones(2, 4))
    with in_bfloat16(nlp):
        found = model(ones)
    assert type(found) is type(before)
    assert len(tensors_of(found)) == len(tensors_of(before)) > 0
    for own, other in zip(tensors_of(found), tensors_of(before), strict=True):
        assert own.dtype == torch.float32
        assert 0 < (own - other).abs().max() < 0.05
    assert model(ones) is not None
    assert not model._forward_hooks
