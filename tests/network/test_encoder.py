"""Tests of `encoder.py`: the torch modules against `nn.LSTM`, one sentence at a time."""

import subprocess
import sys
from collections.abc import Sequence
from itertools import chain, product
from pathlib import Path
from typing import Any

import pytest
import torch
from spacy_lstm_tagger.prediction.inputs import TypeIds, Windows
from spacy_lstm_tagger.prediction.weights import shapes_of
from torch import Tensor, nn
from torch.testing import assert_close

from spacy_lstm_tagger.network import encoder as encoder_module
from spacy_lstm_tagger.network.encoder import LSTMEncoder, TaggerNetwork
from spacy_lstm_tagger.network.lstm import LSTMLayer, State, lay_out

SETTINGS: dict[str, Any] = {
    "n_words": 6,
    "n_affixes": 5,
    "n_characters": 7,
    "vector_width": 4,
    "word_width": 5,
    "character_width": 4,
    "character_lstm_width": 3,
    "lstm_width": 6,
    "depth": 1,
    "bidirectional": True,
    "affixes": True,
    "include_static_vectors": True,
}
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
    {"static_vector_width": 3},
    {"static_vector_width": 2, "character_lstm_width": 0, "bidirectional": False},
    {"affixes": False, "include_static_vectors": False, "character_lstm_width": 0},
]
SENTENCES = [[0, 1, 2, 3], [4], [5, 1, 1, 6, 0, 7], [2, 2], [7, 3, 0, 1]]
SPELLINGS = [[1], [2, 0, 3], [7, 7], [4, 5, 6, 1, 2], [0], [3, 3, 3], [1, 6], [5, 2, 1, 4]]
N_LABELS = 4
BLOCKED = """
import sys
from types import ModuleType, SimpleNamespace
sys.modules["spacy"] = sys.modules["thinc"] = None
package = sys.modules["spacy_lstm_tagger"] = ModuleType("spacy_lstm_tagger")
package.__path__ = [sys.argv[1]]
import torch
from spacy_lstm_tagger.network import crf, encoder as module, precision, threads
encoder = module.LSTMEncoder(
    n_words=3, n_affixes=3, n_characters=3, vector_width=0, word_width=4, character_width=4,
    character_lstm_width=4, lstm_width=4, depth=1, bidirectional=True, affixes=True,
    include_static_vectors=False,
)
types = SimpleNamespace(
    words=torch.tensor([1, 2]), affixes=torch.tensor([[1, 2, 3], [0, 0, 1]]),
    spellings=torch.tensor([1, 2, 3]), spelling_lengths=torch.tensor([1, 2]),
    vectors=torch.zeros(0, 0),
)
windows = SimpleNamespace(
    types=torch.tensor([0, 1, 0]), lengths=torch.tensor([3]), kept=torch.tensor([0, 1, 2])
)
print(tuple(encoder(types, windows)[0].shape))
"""


def make_encoder(**settings: Any) -> LSTMEncoder:
    """Make an encoder all of whose parameters are far from zero."""
    torch.manual_seed(0)
    encoder = LSTMEncoder(**{**SETTINGS, **settings})
    for parameter in encoder.parameters():
        nn.init.normal_(parameter, std=0.5)
    return encoder


def make_ids(windows: list[list[int]], kept: list[int] | None = None) -> tuple[TypeIds, Windows]:
    """Return ids of eight types, the first of which is UNKNOWN, and the given windows."""
    random = torch.Generator().manual_seed(1)
    positions = list(chain(*windows))
    types = TypeIds(
        words=torch.tensor([0, 1, 2, 3, 4, 5, 6, 0]),
        affixes=torch.randint(0, 6, (8, 3), generator=random),
        spellings=torch.tensor(list(chain(*SPELLINGS))),
        spelling_lengths=torch.tensor([len(spelling) for spelling in SPELLINGS]),
        vectors=torch.randn((8, 4), generator=random),
    )
    return types, Windows(
        types=torch.tensor(positions, dtype=torch.int64),
        lengths=torch.tensor([len(window) for window in windows], dtype=torch.int64),
        kept=torch.tensor(range(len(positions)) if kept is None else kept, dtype=torch.int64),
    )


def no_ids() -> tuple[TypeIds, Windows]:
    """Return the ids of a batch without tokens."""
    nothing = torch.zeros(0, dtype=torch.int64)
    types = TypeIds(nothing, nothing.reshape(0, 3), nothing, nothing, torch.zeros(0, 4))
    return types, Windows(*[nothing] * 3)


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
    if isinstance(encoder.vectors, nn.Linear):
        vector += encoder.vectors.weight @ types.vectors[i]
    elif encoder.vectors is not None:
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
        behind = torch.zeros(encoder.lookahead, output.shape[1])
        padded = torch.cat((output, behind))
        ahead = [padded[i + 1 :][: len(output)] for i in range(encoder.lookahead)]
        outputs.append(torch.cat((output, *ahead, vectors, *neighbours), dim=1))
        ends.append(end)
    hidden, cell = zip(*ends, strict=True)
    return torch.cat(outputs), State(torch.stack(hidden, 1), torch.stack(cell, 1))


def make_state(encoder: LSTMEncoder, n_windows: int) -> State:
    random = torch.Generator().manual_seed(2)
    shape = encoder.start(n_windows).hidden.shape
    return State(torch.randn(shape, generator=random), torch.randn(shape, generator=random))


def check_layout(lengths: Sequence[int], padded: bool) -> None:
    """Check that each sequence is a column of a grid, in both directions."""
    sequences = [part.tolist() for part in torch.arange(sum(lengths)).split(list(lengths))]
    layout = lay_out(torch.tensor(lengths), 2, padded=padded)
    columns = [int(i) for column in layout.columns for i in column]
    assert columns == sorted(range(len(lengths)), key=lambda i: -lengths[i])
    for direction, (grids, cells) in enumerate(zip(layout.grids, layout.cells, strict=True)):
        found = [column.tolist() for grid in grids for column in grid.T]
        for i, column in zip(columns, found, strict=True):
            expected = sequences[i][:: -1 if direction else 1]
            padding = len(column) - len(expected)
            assert column == expected + expected[-1:] * padding
            assert padded or not padding
        read = torch.cat([grid.flatten() for grid in grids])[cells]
        assert read.tolist() == list(range(sum(lengths)))


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("n_sequences", [1, 2, 3, 4])
def test_each_position_is_read_in_its_place(n_sequences: int, padded: bool) -> None:
    for lengths in product(range(1, 5), repeat=n_sequences):
        check_layout(lengths, padded)
        check_layout([60 * length for length in lengths], padded)


def test_similar_lengths_share_a_grid_and_all_lengths_a_small_one() -> None:
    lengths = torch.tensor([100, 30, 70, 80, 60, 2, 5, 99, 50])
    layout = lay_out(lengths, 1)
    assert [columns.tolist() for columns in layout.columns] == [[0, 7, 3, 2], [4, 8, 1, 6, 5]]
    assert [tuple(grid.shape) for grid in layout.grids[0]] == [(100, 4), (60, 5)]


@pytest.mark.parametrize("settings", VARIANTS)
def test_encoder_equals_torch_lstm_on_one_sentence_at_a_time(settings: dict[str, Any]) -> None:
    encoder, ids = make_encoder(**settings), make_ids(SENTENCES)
    expected_vectors, expected_state = encode_slowly(encoder, ids[0], SENTENCES)
    assert_close(encoder(*ids)[0], expected_vectors)
    vectors, state = encoder(*ids, state=encoder.start(len(SENTENCES)))
    assert_close(vectors, expected_vectors)
    assert_close(state.hidden, expected_state.hidden)
    assert_close(state.cell, expected_state.cell)


@pytest.mark.parametrize("settings", VARIANTS)
def test_windows_side_by_side_equal_one_at_a_time(settings: dict[str, Any]) -> None:
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
def test_encoder_starts_from_the_state_that_is_passed(settings: dict[str, Any]) -> None:
    encoder, ids = make_encoder(**settings), make_ids(SENTENCES)
    begin = make_state(encoder, len(SENTENCES))
    vectors, state = encoder(*ids, state=begin)
    expected_vectors, expected_state = encode_slowly(encoder, ids[0], SENTENCES, begin)
    assert_close(vectors, expected_vectors)
    assert_close(state.hidden, expected_state.hidden)
    assert_close(state.cell, expected_state.cell)


def test_an_end_state_is_returned_only_where_a_state_was_given() -> None:
    network = TaggerNetwork(n_labels=N_LABELS, **SETTINGS)
    assert network(*make_ids(SENTENCES))[1] is None
    assert network(*no_ids())[1] is None


@pytest.mark.parametrize("settings", VARIANTS)
def test_tagger_scores_each_vector_of_its_encoder(settings: dict[str, Any]) -> None:
    network = TaggerNetwork(n_labels=N_LABELS, **{**SETTINGS, **settings})
    network.load_state_dict(make_encoder(**settings).state_dict(), strict=False)
    scores, _ = network(*make_ids(SENTENCES))
    vectors, _ = encode_slowly(network, make_ids(SENTENCES)[0], SENTENCES)
    expected = [network.output.weight @ vector + network.output.bias for vector in vectors]
    assert_close(scores, torch.stack(expected))


def test_tagger_hands_state_and_dropout_to_its_encoder() -> None:
    network, encoder = TaggerNetwork(n_labels=N_LABELS, **SETTINGS), LSTMEncoder(**SETTINGS)
    encoder.load_state_dict(
        {name: v for name, v in network.state_dict().items() if not name.startswith("output")}
    )
    ids, begin = make_ids(SENTENCES), make_state(network, len(SENTENCES))
    torch.manual_seed(3)
    scores, end = network(*ids, 0.5, begin)
    torch.manual_seed(3)
    vectors, expected_end = encoder(*ids, 0.5, begin)
    assert_close(scores, network.output(vectors), rtol=0, atol=0)
    assert_close(end.cell, expected_end.cell, rtol=0, atol=0)


@pytest.mark.parametrize("kept", [[], [0], [3, 5, 16], list(range(17))])
@pytest.mark.parametrize("settings", VARIANTS)
def test_tagger_scores_what_its_encoder_keeps(settings: dict[str, Any], kept: list[int]) -> None:
    network = TaggerNetwork(n_labels=N_LABELS, **{**SETTINGS, **settings})
    torch.nn.init.normal_(network.words.weight)
    ids, begin = make_ids(SENTENCES, kept), make_state(network, len(SENTENCES))
    scores, end = network(*ids, state=begin)
    vectors, expected_end = LSTMEncoder.read(network, network.embed(ids[0]), ids[1], state=begin)
    assert_close(scores, network.output(vectors))
    assert_close(end.cell, expected_end.cell)


@pytest.mark.parametrize("kept", [[], [0], [3, 5, 16], list(range(1, 17)), list(range(17))])
def test_only_kept_positions_are_returned(kept: list[int]) -> None:
    encoder = make_encoder(depth=2)
    expected, _ = encode_slowly(encoder, make_ids(SENTENCES)[0], SENTENCES)
    assert_close(encoder(*make_ids(SENTENCES, kept))[0], expected[kept])


@pytest.mark.parametrize("bidirectional", [False, True])
def test_character_features_are_the_last_states_of_torch_lstm(bidirectional: bool) -> None:
    encoder = make_encoder(bidirectional=bidirectional)
    embedded = encoder.embed(make_ids(SENTENCES)[0])
    lstm = whole_lstm([encoder.characters.layer])
    for i, spelling in enumerate(SPELLINGS):
        _, (hidden, _) = lstm(encoder.characters.embedding(torch.tensor(spelling)))
        assert_close(embedded[i, SETTINGS["word_width"] :], hidden.flatten())


@pytest.mark.parametrize(
    "character_lstm_width, bidirectional, width",
    [(3, False, 8), (3, True, 11), (0, False, 5), (0, True, 5)],
)
def test_words_and_characters_make_the_input_of_the_lstm(
    character_lstm_width: int, bidirectional: bool, width: int
) -> None:
    encoder = make_encoder(
        word_width=5, character_lstm_width=character_lstm_width, bidirectional=bidirectional
    )
    assert encoder.embed(make_ids(SENTENCES)[0]).shape == (8, width)
    assert encoder.layers[0].lstms[0].input_size == width


@pytest.mark.parametrize("depth", [1, 2])
def test_stepping_token_by_token_equals_running_at_once(depth: int) -> None:
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
def test_stretches_of_unequal_lengths_equal_running_at_once(depth: int) -> None:
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
    depth: int, bidirectional: bool, directions: int, windows: list[list[int]]
) -> None:
    encoder = make_encoder(depth=depth, bidirectional=bidirectional)
    ids = make_ids(windows) if windows else no_ids()
    _, state = encoder(*ids, state=encoder.start(len(windows)))
    expected = (depth * directions, len(windows), SETTINGS["lstm_width"])
    assert state.hidden.shape == state.cell.shape == expected


@pytest.mark.parametrize("settings", VARIANTS)
def test_zero_tokens_have_zero_vectors_and_scores(settings: dict[str, Any]) -> None:
    network = TaggerNetwork(n_labels=N_LABELS, **{**SETTINGS, **settings})
    assert network(*no_ids(), 0.5)[0].shape == (0, N_LABELS)
    encoder = make_encoder(**settings)
    assert encoder(*no_ids(), 0.5)[0].shape == (0, encoder.width)


def test_zero_tokens_leave_the_state_as_it_was() -> None:
    encoder = make_encoder()
    state = make_state(encoder, 0)
    _, end = encoder(*no_ids(), state=state)
    assert_close(end.hidden, state.hidden)
    assert_close(end.cell, state.cell)


@pytest.mark.parametrize("training", [False, True])
def test_without_dropout_the_encoder_is_deterministic(training: bool) -> None:
    encoder = make_encoder(depth=2).train(training)
    first, second = (encoder(*make_ids(SENTENCES))[0] for _ in range(2))
    assert_close(first, second, rtol=0, atol=0)
    assert (first[:, : SETTINGS["lstm_width"]] != 0).all()


@pytest.mark.parametrize("training", [False, True])
def test_dropout_drops_and_scales_the_output(training: bool) -> None:
    encoder, ids = make_encoder(depth=1).train(training), make_ids(SENTENCES * 20)
    torch.manual_seed(0)
    lstm = slice(2 * SETTINGS["lstm_width"])
    dropped = torch.stack([encoder(*ids, 0.25)[0][:, lstm] for _ in range(20)])
    zeros = (dropped == 0).float().mean()
    assert abs(zeros - 0.25) < 0.02
    assert dropped[dropped != 0].abs().max() > 1  # an LSTM's output is below 1 in size


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_dropout_drops_the_input_of_each_lstm(depth: int) -> None:
    encoder = make_encoder(depth=depth, bidirectional=False)
    _, state = encoder(*make_ids([[1, 2, 3]]), 1.0, encoder.start(1))
    for layer, hidden in zip(encoder.layers, state.hidden, strict=True):
        _, (expected, _) = layer.lstms[0](torch.zeros(3, layer.lstms[0].input_size))
        assert_close(hidden, expected)


def test_a_word_that_was_never_trained_equals_an_unknown_word() -> None:
    encoder = LSTMEncoder(**SETTINGS)
    nn.init.normal_(encoder.words.weight[:1].data)
    types, windows = make_ids(SENTENCES)
    unknown = types._replace(words=torch.zeros_like(types.words))
    assert_close(encoder(types, windows)[0], encoder(unknown, windows)[0], rtol=0, atol=0)


def test_a_trained_word_differs_from_an_unknown_word() -> None:
    encoder, (types, _) = make_encoder(), make_ids(SENTENCES)
    unknown = encoder.embed(types._replace(words=torch.zeros_like(types.words)))
    differs = (encoder.embed(types) != unknown).any(1)
    assert differs.tolist() == (types.words > 0).tolist()


@pytest.mark.parametrize("static_vector_width", [0, 3])
def test_training_reaches_every_parameter(static_vector_width: int) -> None:
    settings = {**SETTINGS, "depth": 3, "static_vector_width": static_vector_width}
    network = TaggerNetwork(n_labels=N_LABELS, **settings)
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
def test_what_is_switched_off_has_no_parameters(setting: dict[str, Any], missing: str) -> None:
    names = [name for name, _ in make_encoder(**setting).named_parameters()]
    assert not [name for name in names if name.startswith(missing)]
    assert [name for name, _ in make_encoder().named_parameters() if name.startswith(missing)]


def test_the_network_runs_without_spacy() -> None:
    folder = Path(encoder_module.__file__).parent.parent
    command = [sys.executable, "-c", BLOCKED, str(folder)]
    assert subprocess.check_output(command, text=True).strip() == "(3, 44)"


@pytest.mark.parametrize("n_labels", [None, 3])
@pytest.mark.parametrize("settings", VARIANTS)
def test_shapes_of_weights_are_known_before_there_is_a_network(
    settings: dict[str, Any], n_labels: int | None
) -> None:
    sizes = {**SETTINGS, **settings}
    network = LSTMEncoder(**sizes) if n_labels is None else TaggerNetwork(n_labels=3, **sizes)
    shapes = {name: tuple(values.shape) for name, values in network.state_dict().items()}
    assert shapes_of(**sizes, n_labels=n_labels) == shapes
