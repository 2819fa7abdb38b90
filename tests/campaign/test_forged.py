"""Files whose checksums are right and whose contents are not: refused by name."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy
import pytest
import safetensors.numpy
import spacy
import srsly

MUCH = 10**12  # types, labels or units that no memory could hold
NAN, INFINITE = numpy.float32("nan"), numpy.float32("inf")


class Parts:
    """What the two files of a component hold.

    cfg: The labels, the lexicon and settings.
    model: What Thinc writes of the model.
    learnt: What the shim in it writes.
    weights: The weights in that.
    """

    def __init__(self, folder: Path):
        self.cfg = json.loads((folder / "cfg").read_text())
        self.model = srsly.msgpack_loads((folder / "model").read_bytes())
        self.place = next(i for i, shims in enumerate(self.model["shims"]) if shims)
        self.learnt = srsly.msgpack_loads(self.model["shims"][self.place][0])
        self.weights = dict(safetensors.numpy.load(self.learnt["weights"]))

    def write(self, folder: Path) -> None:
        """Write the files, with a checksum that is right."""
        self.learnt["weights"] = safetensors.numpy.save(self.weights)
        self.model["shims"][self.place] = [srsly.msgpack_dumps(self.learnt)]
        model = srsly.msgpack_dumps(self.model)
        contents = {name: value for name, value in self.cfg.items() if name != "checksum"}
        checksum = crc32(model, crc32(json.dumps(contents, sort_keys=True).encode("ascii")))
        (folder / "cfg").write_text(json.dumps({**contents, "checksum": checksum}))
        (folder / "model").write_bytes(model)


def forge_weight(parts: Parts, change: Callable[[numpy.ndarray], Any]) -> None:
    parts.weights["words.weight"] = change(parts.weights["words.weight"])


def forge_size(parts: Parts, value: Any) -> None:
    parts.learnt["sizes"]["n_words"] = value


def forge_words(parts: Parts, change: Callable[[list[str]], Any]) -> None:
    parts.learnt["vocabulary"]["words"] = change(parts.learnt["vocabulary"]["words"])


def forge_labels(parts: Parts, change: Callable[[list[str]], Any]) -> None:
    parts.cfg["labels"] = change(parts.cfg["labels"])


def forge_transitions(parts: Parts, change: Callable[[numpy.ndarray], Any]) -> None:
    for params in parts.model["params"]:
        if params.get("transitions") is not None:
            params["transitions"] = change(params["transitions"])


FORGERIES: dict[str, Callable[[Parts], Any]] = {
    "NaN as weight": lambda p: forge_weight(p, lambda w: numpy.where(w == w[2, 2], NAN, w)),
    "infinite weights": lambda p: forge_weight(p, lambda w: w + INFINITE),
    "weights of another shape": lambda p: forge_weight(p, lambda w: w.T.copy()),
    "too few weights": lambda p: forge_weight(p, lambda w: w[:-1]),
    "weights without an axis": lambda p: forge_weight(p, numpy.ravel),
    "integers as weights": lambda p: forge_weight(p, lambda w: w.astype("int64")),
    "truth values as weights": lambda p: forge_weight(p, lambda w: w > 0),
    "a weight less": lambda p: p.weights.popitem(),
    "a weight more": lambda p: p.weights.update(more=numpy.zeros(3, "float32")),
    "many words": lambda p: forge_size(p, MUCH),
    "fewer than no words": lambda p: forge_size(p, -1),
    "a half word": lambda p: forge_size(p, 0.5),
    "words not counted": lambda p: forge_size(p, None),
    "many labels": lambda p: p.learnt["sizes"].update(n_labels=MUCH),
    "a wide model": lambda p: p.learnt["settings"].update(lstm_width=MUCH),
    "a model of many outputs": lambda p: p.model["nodes"][0]["dims"].update(nO=MUCH),
    "no vocabulary": lambda p: p.learnt.update(vocabulary=None),
    "no sizes": lambda p: p.learnt.update(sizes={}),
    "a word twice": lambda p: forge_words(p, lambda words: [*words[:-1], words[0]]),
    "a word more": lambda p: forge_words(p, lambda words: [*words, "more"]),
    "numbers as words": lambda p: forge_words(p, lambda words: list(range(len(words)))),
    "no words": lambda p: forge_words(p, lambda words: None),
    "too few rare words": lambda p: p.learnt["vocabulary"].update(is_rare=b""),
    "a label twice": lambda p: forge_labels(p, lambda labels: [*labels[:-1], labels[0]]),
    "a label more": lambda p: forge_labels(p, lambda labels: [*labels, "MORE"]),
    "a label less": lambda p: forge_labels(p, lambda labels: labels[:-1]),
    "numbers as labels": lambda p: forge_labels(p, lambda labels: list(range(len(labels)))),
    "text as labels": lambda p: forge_labels(p, "".join),
    "no labels": lambda p: p.cfg.update(labels=None),
    "a lexicon of other labels": lambda p: p.cfg.update(lexicon={"dog": ["MORE"]}),
    "a lexicon of numbers": lambda p: p.cfg.update(lexicon={"dog": 1}),
    "no lexicon": lambda p: p.cfg.update(lexicon=None),
    "a later format": lambda p: p.cfg.update(format=3),
    "a later format of the network": lambda p: p.learnt.update(format=3),
    "a format that is no number": lambda p: p.cfg.update(format="1"),
    "NaN as transition": lambda p: forge_transitions(p, lambda t: t * NAN),
    "transitions of other labels": lambda p: forge_transitions(p, lambda t: t[1:, 1:]),
    "integers as transitions": lambda p: forge_transitions(p, lambda t: t.astype("int64")),
}


@pytest.mark.parametrize("kind", FORGERIES)
def test_forged_file_is_refused(saved: Path, tmp_path: Path, answers: Callable, kind: str) -> None:
    folder = tmp_path / "pipeline"
    shutil.copytree(saved, folder)
    component = folder / "parts"
    parts = Parts(component)
    FORGERIES[kind](parts)
    parts.write(component)
    with pytest.raises(ValueError, match=f"parts: can't load {component}"):
        spacy.load(folder)


def test_unforged_file_is_not(saved: Path, tmp_path: Path, answers: Callable) -> None:
    folder = tmp_path / "pipeline"
    shutil.copytree(saved, folder)
    Parts(folder / "parts").write(folder / "parts")
    assert answers(spacy.load(folder)) == answers(spacy.load(saved))
