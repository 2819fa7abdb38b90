"""Type checkers see the types of the installed package (`py.typed`)."""

import subprocess
import sys
from pathlib import Path

import pytest

import spacy_lstm_tagger

PROGRAM = """\
from spacy_lstm_tagger import register_extensions
from spacy_lstm_tagger.batch import TagBatch

register_extensions("tag")
TagBatch("training/model-best", 7)
"""


@pytest.mark.slow
def test_a_wrong_argument_is_found(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    if "site-packages" not in Path(spacy_lstm_tagger.__file__).parts:
        pytest.skip("mypy doesn't find editable installations")
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf8")
    command = [sys.executable, "-m", "mypy", "--cache-dir", "cache", "program.py"]
    checked = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    errors = [line for line in checked.stdout.splitlines() if " error: " in line]
    assert len(errors) == 1, checked.stdout + checked.stderr
    assert errors[0].startswith('program.py:5: error: Argument 2 to "TagBatch"')
