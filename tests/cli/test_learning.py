"""Tests of `learning.py`: both kinds of logs that `spacy train` makes."""

from pathlib import Path

import pytest

from spacy_lstm_tagger.cli.learning import read_log

PRINTED = """Using CPU
E    #       LOSS LSTM_TAGGER  TAG_ACC  SCORE
---  ------  ----------------  -------  ------
  0       0             34.11    14.03    0.14
  1     300           9874.31    91.41    0.91
✔ Saved pipeline to output directory
"""
LOGGED = """{"epoch":0,"step":0,"score":0.14,"tag_acc":0.14}
{"epoch":1,"step":300,"score":0.91}
"""


@pytest.mark.parametrize("text", [PRINTED, LOGGED])
def test_steps_and_scores_are_read(text: str, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(text, encoding="utf8")
    assert read_log(path) == [{"step": 0, "score": 0.14}, {"step": 300, "score": 0.91}]


@pytest.mark.parametrize("text", ["", "nothing\n", '{"step": 1}\n{broken\n'])
def test_a_file_without_scores_is_no_log(text: str, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(text)
    with pytest.raises(ValueError, match="is no log of spacy train"):
        read_log(path)
