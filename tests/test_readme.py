"""The README: its Python blocks run, one after another, on what its first command trains."""

import re
from pathlib import Path

import pytest
from spacy.training.initialize import init_nlp
from spacy.training.loop import train
from spacy.util import load_config

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
SHOWN = re.findall(r"```\n(\[.*\])\n```", README)


def test_python_blocks_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    overrides = {"training.max_steps": 100, "training.eval_frequency": 50}
    config = load_config(ROOT / "configs" / "tagger.cfg", overrides=overrides)
    (tmp_path / "training").mkdir()
    train(init_nlp(config), tmp_path / "training")
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    exec("\n".join(BLOCKS), {})
    printed = capsys.readouterr().out.splitlines()
    words = [word for word, _ in eval(SHOWN[0])]
    assert [word for word, _ in eval(printed[0])] == words
    assert [len(eval(line)) for line in printed[1:3]] == [5, 5]
    confidence, best = eval(printed[3]), eval(printed[4])
    assert 0 < confidence <= best[0][1] < 1
    assert len(best) == 3
    assert len(printed[6:9]) == 3 and all("VB" in line for line in printed[6:9])
    assert printed[9] in ("VBD", "VBN")


@pytest.mark.parametrize("path", sorted(ROOT.glob("spacy_lstm_tagger/*.py")), ids=lambda p: p.name)
def test_every_module_is_introduced(path: Path) -> None:
    assert path.name == "__init__.py" or f"`{path.name}`" in README
