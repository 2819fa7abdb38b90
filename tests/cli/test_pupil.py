"""Tests of `pupil.py`: what a config becomes for the components of a plan."""

from pathlib import Path
from typing import Any

import pytest
import spacy
from spacy.language import Language
from spacy.util import load_model_from_config

from spacy_lstm_tagger.cli.assembly import Plan
from spacy_lstm_tagger.cli.pupil import SIZES, pupil_config
from spacy_lstm_tagger.model.shim import network_of

ONE = Plan({"pos": "parts"}, ["parts", "attribute_ruler"], [], {})
TWO = Plan({"tag": "tagger", "morph": "features"}, ["tagger", "features"], [], {})
CONFIGS = Path(__file__).parent.parent.parent / "configs"


@pytest.fixture
def teacher() -> Language:
    nlp = spacy.blank("de")
    nlp.add_pipe("attribute_ruler")
    nlp.add_pipe("tok2vec")
    return nlp


def settings_of(nlp: Language, name: str) -> Any:
    return network_of(nlp.get_pipe(name).model).config


def test_one_tagger(teacher: Language) -> None:
    overrides = {"components.lstm_tagger.label_smoothing": 0.1, "training.max_steps": 7}
    config = pupil_config(ONE, teacher, Path("labelled"), overrides=overrides)
    nlp = load_model_from_config(config, auto_fill=True)
    assert nlp.lang == "de"
    assert nlp.pipe_names == ["parts"]
    assert nlp.get_pipe("parts").attribute == "pos"
    assert nlp.get_pipe("parts").cfg["label_smoothing"] == 0.1
    filled = config.interpolate()
    assert filled["training"]["max_steps"] == 7
    assert filled["corpora"]["train"]["path"] == str(Path("labelled/texts"))
    assert filled["corpora"]["train"]["gold"] is None
    assert filled["corpora"]["dev"]["path"] == str(Path("labelled/held_out"))


@pytest.mark.parametrize("overrides, ratio", [({}, 4.0), ({"corpora.train.ratio": 7.0}, 7.0)])
def test_gold_data(teacher: Language, overrides: dict[str, float], ratio: float) -> None:
    config = pupil_config(
        ONE, teacher, Path("labelled"), has_gold=True, has_dev=True, overrides=overrides
    )
    assert config["corpora"]["train"]["gold"] == str(Path("labelled/gold"))
    assert config["corpora"]["train"]["ratio"] == ratio
    assert config["corpora"]["dev"]["path"] == str(Path("labelled/dev"))


def test_several_taggers_share_an_encoder(teacher: Language) -> None:
    overrides = {"components.lstm_tagger.model.lstm_width": 5}
    nlp = load_model_from_config(
        pupil_config(TWO, teacher, Path("labelled"), overrides=overrides), auto_fill=True
    )
    assert nlp.pipe_names == ["tok2vec", "tagger", "features"]
    assert settings_of(nlp, "tok2vec").lstm_width == 5
    assert nlp.get_pipe("tok2vec").listening_components == ["tagger", "features"]
    assert nlp.get_pipe("features").attribute == "morph"


@pytest.mark.parametrize("setting", ["crf", "lookahead"])
def test_taggers_that_cant_share_an_encoder_have_their_own(teacher: Language, setting: str) -> None:
    model = "components.lstm_tagger.model."
    overrides = {f"{model}{setting}": 1 if setting == "lookahead" else True}
    if setting == "lookahead":
        overrides[f"{model}bidirectional"] = False
    config = pupil_config(TWO, teacher, Path("labelled"), overrides=overrides)
    assert load_model_from_config(config, auto_fill=True).pipe_names == ["tagger", "features"]


def test_no_encoder_is_shared_beside_one_of_the_teacher(teacher: Language) -> None:
    plan = TWO._replace(order=["tok2vec", *TWO.order])
    config = pupil_config(plan, teacher, Path("labelled"))
    assert config["nlp"]["pipeline"] == ["tagger", "features"]
    with pytest.raises(ValueError, match="'tok2vec' can't be kept if the config's taggers share"):
        pupil_config(plan, teacher, Path("labelled"), config=CONFIGS / "shared.cfg")


@pytest.mark.parametrize("name", ["tagger", "accurate", "shared", "vectors", "distilled"])
@pytest.mark.parametrize("plan", [ONE, TWO], ids=["one", "two"])
def test_any_config_of_a_training_will_do(teacher: Language, plan: Plan, name: str) -> None:
    config = pupil_config(plan, teacher, Path("labelled"), config=CONFIGS / f"{name}.cfg")
    nlp = load_model_from_config(config, auto_fill=True)
    assert {*plan.pupils.values()} <= {*nlp.pipe_names} <= {"tok2vec", *plan.pupils.values()}
    assert config["corpora"]["train"]["@readers"] == "spacy-lstm-tagger.LabelledCorpus.v1"


def test_a_training_without_an_end_is_refused(teacher: Language) -> None:
    config = CONFIGS / "tutorial.cfg"
    with pytest.raises(ValueError, match=r"would never end.*--training\.max_steps"):
        pupil_config(ONE, teacher, Path("labelled"), config=config)
    overrides = {"training.max_steps": 5}
    assert pupil_config(ONE, teacher, Path("labelled"), config=config, overrides=overrides)


@pytest.mark.parametrize("plan", [ONE, TWO], ids=["one", "two"])
def test_sizes_and_vectors(teacher: Language, plan: Plan) -> None:
    for size, expected in SIZES.items():
        config = pupil_config(plan, teacher, Path("labelled"), size=size, vectors="some_vectors")
        assert config.interpolate()["initialize"]["vectors"] == "some_vectors"
        nlp = load_model_from_config(config, auto_fill=True)
        found = settings_of(nlp, nlp.pipe_names[0])
        assert found.include_static_vectors
        assert {name: getattr(found, name) for name in expected} == expected


def test_the_accurate_size_is_that_of_the_config(teacher: Language) -> None:
    accurate = spacy.util.load_config(CONFIGS / "accurate.cfg")["components"]["lstm_tagger"]
    assert {**SIZES["accurate"], "@architectures": "spacy-lstm-tagger.LSTMTagger.v1"} == {
        key: value for key, value in accurate["model"].items()
    }
