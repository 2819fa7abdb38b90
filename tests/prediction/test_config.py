"""Tests of `config.py`: checks of settings, and the widths and shapes that follow from them."""

from collections.abc import Callable
from dataclasses import asdict, fields
from typing import Any

import pytest

from spacy_lstm_tagger.network.encoder import LSTMEncoder
from spacy_lstm_tagger.prediction.config import READING, EncoderConfig, Sizes, TaggerConfig

CONFIGS = [EncoderConfig, TaggerConfig]
BAD_SETTINGS = [
    ("depth", 0),
    ("depth", 4),
    ("word_width", 0),
    ("word_width", -1),
    ("character_width", -1),
    ("character_lstm_width", -1),
    ("lstm_width", 0),
    ("lstm_width", -8),
    ("unknown_rate", -0.1),
    ("unknown_rate", 1.1),
    ("unknown_rate", float("nan")),
    ("window_length", 0),
    ("window_length", -3),
    ("min_frequency", 0),
    ("max_words", 0),
]
VARIANTS: list[dict[str, Any]] = [
    {},
    {"depth": 3},
    {"depth": 3, "bidirectional": False},
    {"character_lstm_width": 0},
    {"character_lstm_width": 0, "depth": 2, "bidirectional": False},
    {"affixes": False},
    {"include_static_vectors": False},
    {"affixes": False, "include_static_vectors": False, "character_lstm_width": 0},
]


@pytest.mark.parametrize("config_class", CONFIGS)
@pytest.mark.parametrize(("setting", "value"), BAD_SETTINGS)
def test_bad_settings_are_refused_by_name(
    config_class: type[EncoderConfig], setting: str, value: float
) -> None:
    with pytest.raises(ValueError, match=f"{setting} = {value!r} must be"):
        config_class(**{setting: value})


def test_negative_lookahead_is_refused() -> None:
    with pytest.raises(ValueError, match="lookahead = -1 must be at least 0"):
        TaggerConfig(lookahead=-1, bidirectional=False)


def test_lookahead_of_a_bidirectional_tagger_is_refused() -> None:
    with pytest.raises(ValueError, match="lookahead = 2 needs bidirectional = false"):
        TaggerConfig(lookahead=2)


@pytest.mark.parametrize("config_class", CONFIGS)
def test_settings_are_keyword_only(config_class: Callable[..., EncoderConfig]) -> None:
    with pytest.raises(TypeError):
        config_class(96)


@pytest.mark.parametrize("settings", [*VARIANTS, {"bidirectional": False, "lookahead": 2}])
@pytest.mark.parametrize("config_class", CONFIGS)
def test_shapes_are_those_of_the_network(
    make_network: Callable[..., LSTMEncoder],
    sizes: Sizes,
    config_class: type[EncoderConfig],
    settings: dict[str, Any],
) -> None:
    if "lookahead" in settings and config_class is EncoderConfig:
        pytest.skip("an encoder has no lookahead")
    network = make_network(config_class, **settings)
    shapes = {name: tuple(values.shape) for name, values in network.state_dict().items()}
    assert network.config.shapes(sizes) == shapes


@pytest.mark.parametrize("config_class", CONFIGS)
def test_structure_has_all_settings_but_those_for_reading(
    config_class: type[EncoderConfig],
) -> None:
    names = {field.name for field in fields(config_class)}
    config = config_class(window_length=7, word_width=8)
    assert config.structure == {name: asdict(config)[name] for name in names - {*READING}}


@pytest.mark.parametrize("longest", [1, 1000])
def test_prediction_windows_are_eight_times_as_long_or_whole_docs(longest: int) -> None:
    assert EncoderConfig(bidirectional=False).prediction_windows(longest) == (longest, 0)
    assert EncoderConfig(window_length=4).prediction_windows(longest) == (32, 4)
