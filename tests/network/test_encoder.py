"""Tests of `encoder.py`: the networks equal `nn.LSTM` on one sentence at a time."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from spacy_lstm_tagger.network import encoder as encoder_module
from spacy_lstm_tagger.network.encoder import LSTMEncoder
from spacy_lstm_tagger.network.lstm import LSTMLayer, State
from spacy_lstm_tagger.prediction.config import EncoderConfig, Sizes
from spacy_lstm_tagger.prediction.types import TypeIds, Windows

Make = Callable[..., Any]
Ids = tuple[TypeIds, Tensor, Windows]

VARIANTS: list[dict[str, Any]] = [
    {},
    {"depth": 2},
    {"depth": 3},
    {"depth": 3, "bidirectional": False},
    {"bidirectional": False},
    {"bidirectional": False, "lookahead": 2},
    {"character_lstm_width": 0},
    {"character_lstm_width": 0, "depth": 2, "bidirectional": False},
    {"affixes": False},
    {"include_static_vectors": False},
    {"character_lstm_width": 0, "bidirectional": False},
    {"affixes": False, "include_static_vectors": False, "character_lstm_width": 0},
]
SENTENCES = [[0, 1, 2, 3], [4], [5, 1, 1, 6, 0, 7], [2, 2], [7, 3, 0, 1]]
SPELLINGS = [[1], [2, 0, 3], [7, 7], [4, 5, 6, 1, 2], [0], [3, 3, 3], [1, 6], [5, 2, 1, 4]]
BLOCKED = """
import sys
from types import ModuleType, SimpleNamespace
sys.modules["spacy"] = sys.modules["thinc"] = None
package = sys.modules["spacy_lstm_tagger"] = ModuleType("spacy_lstm_tagger")
package.__path__ = [sys.argv[1]]
import torch
from spacy_lstm_tagger.network import crf, encoder, language_model, runtime
from spacy_lstm_tagger.prediction.config import EncoderConfig, Sizes
config = EncoderConfig(word_width=4, character_width=4, character_lstm_width=4, lstm_width=4)
network = encoder.network_of(config, Sizes(n_words=3, n_affixes=3, n_characters=3))
types = SimpleNamespace(
    words=torch.tensor([1, 2]), affixes=torch.tensor([[1, 2, 3], [0, 0, 1]]),
    spellings=torch.tensor([1, 2, 3]), spelling_lengths=torch.tensor([1, 2]),
    vectors=torch.zeros(0, 0),
)
windows = SimpleNamespace(
    tokens=torch.tensor([0, 1, 2]), lengths=torch.tensor([3]), kept=torch.tensor([0, 1, 2])
)
print(tuple(network(types, torch.tensor([0, 1, 0]), windows)[0].shape))
"""


@pytest.fixture
def make_encoder(make_network: Make) -> Make:
    """Return a function that makes an encoder with weights far from zero."""
    return partial(make_network, network_class=LSTMEncoder)


def make_ids(windows: list[list[int]], kept: list[int] | None = None) -> Ids:
    """Return ids of eight types, the first of them unknown, and windows of the given types. Tokens
    are numbered from the last position to the first.
    """
    random = torch.Generator().manual_seed(1)
    of_positions = torch.tensor(list(chain(*windows)), dtype=torch.int64)
    positions = torch.arange(len(of_positions))
    types = TypeIds(
        words=torch.tensor([0, 1, 2, 3, 4, 5, 6, 0]),
        affixes=torch.randint(0, 6, (8, 3), generator=random),
        spellings=torch.tensor(list(chain(*SPELLINGS))),
        spelling_lengths=torch.tensor([len(spelling) for spelling in SPELLINGS]),
        vectors=torch.randn((8, 4), generator=random),
    )
    cut = Windows(
        tokens=positions.flip(0),
        lengths=torch.tensor([len(window) for window in windows], dtype=torch.int64),
        kept=positions if kept is None else torch.tensor(kept, dtype=torch.int64),
    )
    return types, of_positions.flip(0), cut


def no_ids() -> Ids:
    """Return the ids of a batch without tokens."""
    nothing = torch.zeros(0, dtype=torch.int64)
    types = TypeIds(nothing, nothing.reshape(0, 3), nothing, nothing, torch.zeros(0, 4))
    return types, nothing, Windows(*[nothing] * 3)


def whole_lstm(layers: Sequence[LSTMLayer]) -> nn.LSTM:
    """Put layers into one module of torch."""
    first = layers[0].lstms
    lstm = nn.LSTM(
        first[0].input_size,
        first[0].hidden_size,
        num_layers=len(layers),
        bidirectional=len(first) == 2,
    )
    lstm.load_state_dict(
        {
            name.replace("_l0", f"_l{i}") + suffix: value
            for i, layer in enumerate(layers)
            for one, suffix in zip(layer.lstms, ("", "_reverse"), strict=False)
            for name, value in one.state_dict().items()
        }
    )
    return lstm


def embed_slowly(encoder: LSTMEncoder, types: TypeIds, i: int) -> Tensor:
    """Embed one type as the docstring of `LSTMEncoder` says."""
    vector = encoder.words.weight[0].clone()
    if types.words[i]:
        vector += encoder.words.weight[types.words[i]]
    if encoder.affixes is not None:
        for affix in types.affixes[i]:
            vector += encoder.affixes.weight[affix]
    appended: list[Tensor] = []
    if encoder.characters is not None:
        spelling = torch.stack([encoder.characters.embedding.weight[c] for c in SPELLINGS[i]])
        _, (hidden, _) = whole_lstm([encoder.characters.layer])(spelling)
        appended.extend(hidden)
    if encoder.vectors is not None:
        weights, bias, output = encoder.vectors.parameters()
        appended.append(output @ torch.relu(weights @ types.vectors[i] + bias))
    return torch.cat([vector, *appended])


def encode_slowly(
    encoder: LSTMEncoder, types: TypeIds, windows: list[list[int]], state: State | None = None
) -> tuple[Tensor, State]:
    """Run torch's own LSTM over one sentence at a time."""
    lstm = whole_lstm(encoder.layers)
    outputs, ends = [], []
    for i, window in enumerate(windows):
        begin = None if state is None else (state.hidden[:, i], state.cell[:, i])
        vectors = torch.stack([embed_slowly(encoder, types, token) for token in window])
        output, end = lstm(vectors, begin)
        zeros = torch.zeros_like(vectors[:1])
        before, after = torch.cat((zeros, vectors[:-1])), torch.cat((vectors[1:], zeros))
        neighbours = (before, after) if lstm.bidirectional else ()
        lookahead = getattr(encoder.config, "lookahead", 0)
        padded = torch.cat((output, torch.zeros(lookahead, output.shape[1])))
        ahead = [padded[i + 1 :][: len(output)] for i in range(lookahead)]
        outputs.append(torch.cat((output, *ahead, vectors, *neighbours), dim=1))
        ends.append(end)
    hidden, cell = zip(*ends, strict=True)
    return torch.cat(outputs), State(torch.stack(hidden, 1), torch.stack(cell, 1))


def make_state(encoder: LSTMEncoder, n_windows: int) -> State:
    random = torch.Generator().manual_seed(2)
    shape = encoder.start(n_windows).hidden.shape
    return State(torch.randn(shape, generator=random), torch.randn(shape, generator=random))


@pytest.mark.parametrize("settings", VARIANTS)
def test_encoder_equals_torch_lstm_on_one_sentence_at_a_time(
    make_encoder: Make, settings: dict[str, Any]
) -> None:
    encoder, ids = make_encoder(**settings), make_ids(SENTENCES)
    expected_vectors, expected_state = encode_slowly(encoder, ids[0], SENTENCES)
    assert_close(encoder(*ids)[0], expected_vectors)
    vectors, state = encoder(*ids, state=encoder.start(len(SENTENCES)))
    assert_close(vectors, expected_vectors)
    assert_close(state.hidden, expected_state.hidden)
    assert_close(state.cell, expected_state.cell)


@pytest.mark.parametrize("settings", VARIANTS)
def test_windows_in_one_batch_equal_windows_one_at_a_time(
    make_encoder: Make, settings: dict[str, Any]
) -> None:
    encoder, windows = make_encoder(**settings), [[i % 8] * i + [3] for i in range(20)]
    results = []
    for batches in ([windows], [[window] for window in windows]):
        encoder.zero_grad()
        vectors = torch.cat([encoder(*make_ids(batch))[0] for batch in batches])
        vectors.square().sum().backward()
        results.append([vectors, *(parameter.grad for parameter in encoder.parameters())])
    for together, apart in zip(*results, strict=True):
        assert_close(together, apart, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("settings", VARIANTS)
def test_encoder_starts_from_a_given_state(make_encoder: Make, settings: dict[str, Any]) -> None:
    encoder, ids = make_encoder(**settings), make_ids(SENTENCES)
    begin = make_state(encoder, len(SENTENCES))
    vectors, state = encoder(*ids, state=begin)
    expected_vectors, expected_state = encode_slowly(encoder, ids[0], SENTENCES, begin)
    assert_close(vectors, expected_vectors)
    assert_close(state.hidden, expected_state.hidden)
    assert_close(state.cell, expected_state.cell)


def test_the_final_state_is_returned_only_if_one_was_given(make_network: Make) -> None:
    network = make_network()
    assert network(*make_ids(SENTENCES))[1] is None
    assert network(*no_ids())[1] is None


@pytest.mark.parametrize("settings", VARIANTS)
def test_tagger_scores_each_vector_of_its_encoder(
    make_encoder: Make, make_network: Make, settings: dict[str, Any]
) -> None:
    network = make_network(**settings)
    network.load_state_dict(make_encoder(**settings).state_dict(), strict=False)
    scores, _ = network(*make_ids(SENTENCES))
    vectors, _ = encode_slowly(network, make_ids(SENTENCES)[0], SENTENCES)
    expected = [network.output.weight @ vector + network.output.bias for vector in vectors]
    assert_close(scores, torch.stack(expected))


def test_tagger_uses_state_and_dropout_as_its_encoder_does(
    make_encoder: Make, make_network: Make
) -> None:
    network, encoder = make_network(), make_encoder()
    encoder.load_state_dict(network.state_dict(), strict=False)
    ids, begin = make_ids(SENTENCES), make_state(network, len(SENTENCES))
    torch.manual_seed(3)
    scores, end = network(*ids, 0.5, begin)
    torch.manual_seed(3)
    vectors, expected_end = encoder(*ids, 0.5, begin)
    assert_close(scores, network.output(vectors), rtol=0, atol=0)
    assert_close(end.cell, expected_end.cell, rtol=0, atol=0)


@pytest.mark.parametrize("kept", [[], [0], [3, 5, 16], list(range(17))])
@pytest.mark.parametrize("settings", VARIANTS)
def test_tagger_scores_kept_positions(
    make_network: Make, make_encoder: Make, settings: dict[str, Any], kept: list[int]
) -> None:
    network, encoder = make_network(**settings), make_encoder(**settings)
    encoder.load_state_dict(network.state_dict(), strict=False)
    ids, begin = make_ids(SENTENCES, kept), make_state(network, len(SENTENCES))
    scores, end = network(*ids, state=begin)
    vectors, expected_end = encoder(*ids, state=begin)
    assert_close(scores, network.output(vectors))
    assert_close(end.cell, expected_end.cell)


@pytest.mark.parametrize("kept", [[], [0], [3, 5, 16], list(range(1, 17)), list(range(17))])
def test_only_kept_positions_are_returned(make_encoder: Make, kept: list[int]) -> None:
    encoder = make_encoder(depth=2)
    expected, _ = encode_slowly(encoder, make_ids(SENTENCES)[0], SENTENCES)
    assert_close(encoder(*make_ids(SENTENCES, kept))[0], expected[kept])


@pytest.mark.parametrize("bidirectional", [False, True])
def test_character_features_are_the_last_states_of_torch_lstm(
    make_encoder: Make, bidirectional: bool
) -> None:
    encoder = make_encoder(bidirectional=bidirectional)
    embedded = encoder.embed(make_ids(SENTENCES)[0])
    lstm = whole_lstm([encoder.characters.layer])
    for i, spelling in enumerate(SPELLINGS):
        _, (hidden, _) = lstm(encoder.characters.embedding(torch.tensor(spelling)))
        of_characters = embedded[i, encoder.config.word_width :][: hidden.numel()]
        assert_close(of_characters, hidden.flatten())


@pytest.mark.parametrize(
    "character_lstm_width, bidirectional, width",
    [(3, False, 8), (3, True, 11), (0, False, 5), (0, True, 5)],
)
def test_words_and_characters_make_the_input_of_the_lstm(
    make_encoder: Make, character_lstm_width: int, bidirectional: bool, width: int
) -> None:
    encoder = make_encoder(
        word_width=5,
        character_lstm_width=character_lstm_width,
        bidirectional=bidirectional,
        include_static_vectors=False,
    )
    assert encoder.embed(make_ids(SENTENCES)[0]).shape == (8, width)
    assert encoder.layers[0].lstms[0].input_size == width


@pytest.mark.parametrize("depth", [1, 2])
def test_stepping_token_by_token_equals_running_at_once(make_encoder: Make, depth: int) -> None:
    encoder = make_encoder(depth=depth, bidirectional=False)
    sentences = [[0, 1, 2, 3], [5, 1, 1, 6], [7, 3, 0, 1]]
    vectors, end = encoder(*make_ids(sentences), state=encoder.start(3))
    state, steps = encoder.start(3), []
    for tokens in zip(*sentences, strict=True):
        step, state = encoder(*make_ids([[token] for token in tokens]), state=state)
        steps.append(step)
    assert_close(torch.stack(steps, 1).flatten(0, 1), vectors)
    assert_close(state.hidden, end.hidden)
    assert_close(state.cell, end.cell)


@pytest.mark.parametrize("depth", [1, 2])
def test_parts_of_unequal_lengths_equal_running_at_once(make_encoder: Make, depth: int) -> None:
    encoder = make_encoder(depth=depth, bidirectional=False)
    begins, ends = [[0], [5, 1, 1], [2, 2]], [[1, 2, 3, 4], [6], [7, 0]]
    whole = make_ids([a + b for a, b in zip(begins, ends, strict=True)])
    vectors, end = encoder(*whole, state=encoder.start(3))
    first, state = encoder(*make_ids(begins), state=encoder.start(3))
    second, state = encoder(*make_ids(ends), state=state)
    parts = zip(first.split([1, 3, 2]), second.split([4, 1, 2]), strict=True)
    assert_close(torch.cat(list(chain(*parts))), vectors)
    assert_close(state.hidden, end.hidden)
    assert_close(state.cell, end.cell)


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("bidirectional, directions", [(False, 1), (True, 2)])
@pytest.mark.parametrize("windows", [SENTENCES, [[3]], []])
def test_states_are_layers_by_windows_by_width(
    make_encoder: Make, depth: int, bidirectional: bool, directions: int, windows: list[list[int]]
) -> None:
    encoder = make_encoder(depth=depth, bidirectional=bidirectional)
    ids = make_ids(windows) if windows else no_ids()
    _, state = encoder(*ids, state=encoder.start(len(windows)))
    expected = (depth * directions, len(windows), encoder.config.lstm_width)
    assert state.hidden.shape == state.cell.shape == expected


@pytest.mark.parametrize("settings", VARIANTS)
def test_a_batch_without_tokens_has_no_vectors_and_no_scores(
    make_encoder: Make, make_network: Make, settings: dict[str, Any]
) -> None:
    network = make_network(**settings)
    assert network(*no_ids(), 0.5)[0].shape == (0, network.output.out_features)
    encoder = make_encoder(**settings)
    assert encoder(*no_ids(), 0.5)[0].shape == (0, encoder.config.width)


def test_a_batch_without_tokens_keeps_the_state(make_encoder: Make) -> None:
    encoder = make_encoder()
    state = make_state(encoder, 0)
    _, end = encoder(*no_ids(), state=state)
    assert_close(end.hidden, state.hidden)
    assert_close(end.cell, state.cell)


@pytest.mark.parametrize("training", [False, True])
def test_without_dropout_the_encoder_is_deterministic(make_encoder: Make, training: bool) -> None:
    encoder = make_encoder(depth=2).train(training)
    first, second = (encoder(*make_ids(SENTENCES))[0] for _ in range(2))
    assert_close(first, second, rtol=0, atol=0)
    assert (first[:, : encoder.config.lstm_width] != 0).all()


@pytest.mark.parametrize("training", [False, True])
def test_dropout_drops_and_scales_the_output(make_encoder: Make, training: bool) -> None:
    encoder, ids = make_encoder(depth=1).train(training), make_ids(SENTENCES * 20)
    torch.manual_seed(0)
    lstm = slice(2 * encoder.config.lstm_width)
    dropped = torch.stack([encoder(*ids, 0.25)[0][:, lstm] for _ in range(20)])
    zeros = (dropped == 0).float().mean()
    assert abs(zeros - 0.25) < 0.02
    assert dropped[dropped != 0].abs().max() > 1  # an LSTM's output is below 1 in size


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_dropout_drops_the_input_of_each_lstm(make_encoder: Make, depth: int) -> None:
    encoder = make_encoder(depth=depth, bidirectional=False)
    _, state = encoder(*make_ids([[1, 2, 3]]), 1.0, encoder.start(1))
    for layer, hidden in zip(encoder.layers, state.hidden, strict=True):
        _, (expected, _) = layer.lstms[0](torch.zeros(3, layer.lstms[0].input_size))
        assert_close(hidden, expected)


def test_a_word_that_was_never_trained_equals_an_unknown_word(sizes: Sizes) -> None:
    encoder = LSTMEncoder(EncoderConfig(include_static_vectors=True), sizes)
    nn.init.normal_(encoder.words.weight[:1].data)
    types, *others = make_ids(SENTENCES)
    unknown = types._replace(words=torch.zeros_like(types.words))
    assert_close(encoder(types, *others)[0], encoder(unknown, *others)[0], rtol=0, atol=0)


def test_a_trained_word_differs_from_an_unknown_word(make_encoder: Make) -> None:
    encoder, (types, *_) = make_encoder(), make_ids(SENTENCES)
    unknown = encoder.embed(types._replace(words=torch.zeros_like(types.words)))
    differs = (encoder.embed(types) != unknown).any(1)
    assert differs.tolist() == (types.words > 0).tolist()


def test_training_reaches_every_parameter(make_network: Make) -> None:
    network = make_network(depth=3)
    network(*make_ids(SENTENCES))[0].square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in network.parameters())


@pytest.mark.parametrize(
    "setting, missing",
    [
        ({"character_lstm_width": 0}, "characters"),
        ({"affixes": False}, "affixes"),
        ({"include_static_vectors": False}, "vectors"),
    ],
)
def test_features_that_are_switched_off_have_no_parameters(
    make_encoder: Make, setting: dict[str, Any], missing: str
) -> None:
    names = [name for name, _ in make_encoder(**setting).named_parameters()]
    assert not [name for name in names if name.startswith(missing)]
    assert [name for name, _ in make_encoder().named_parameters() if name.startswith(missing)]


def test_the_network_runs_without_spacy() -> None:
    folder = Path(encoder_module.__file__).parent.parent
    command = [sys.executable, "-c", BLOCKED, str(folder)]
    assert subprocess.check_output(command, text=True).strip() == "(3, 44)"
