"""Tests of `loading.py`: annotated corpora of both kinds."""

from pathlib import Path

import pytest
from spacy.tokens import Doc
from spacy.training.converters import conllu_to_docs
from spacy.vocab import Vocab

from spacy_lstm_tagger.cli.loading import read_corpus, require_annotation

LINES = """# text = They can't.
1\tThey\tthey\tPRON\tPRP\tNumber=Plur\t2\tnsubj\t_\t_
2-3\tcan't\t_\t_\t_\t_\t_\t_\t_\tSpaceAfter=No
2\tca\tcan\tAUX\tMD\t_\t0\troot\t_\t_
3\tn't\tnot\tPART\tRB\t_\t2\tadvmod\t_\t_
4\t.\t.\tPUNCT\t_\t_\t2\tpunct\t_\t_

"""


def test_conllu_is_read_as_spacy_converts_it(tmp_path: Path) -> None:
    path = tmp_path / "dev.conllu"
    path.write_text(LINES * 12)
    docs = read_corpus(path, Vocab())
    expected = list(conllu_to_docs(LINES * 12, n_sents=10, no_print=True))
    assert [len(doc) for doc in docs] == [len(doc) for doc in expected] == [40, 8]
    assert docs[0].text.split() == ["They", "can't."] * 10
    for token, other in zip(docs[0], expected[0], strict=True):
        assert (token.text, token.pos_) == (other.text, other.pos_)
        assert token.is_sent_start == other.is_sent_start
        assert str(token.morph) == str(other.morph)
    assert [token.tag_ for token in docs[0][:4]] == ["PRP", "MD", "RB", ""]


def test_a_folder_is_read_in_the_order_of_names(tmp_path: Path) -> None:
    (tmp_path / "b.conllu").write_text(LINES)
    (tmp_path / "a.conllu").write_text(LINES.replace("They", "We"))
    (tmp_path / "notes.txt").write_text("no corpus")
    docs = read_corpus(tmp_path, Vocab())
    assert [doc[0].text for doc in docs] == ["We", "They"]


@pytest.mark.parametrize("attribute", ["tag", "pos", "morph"])
def test_the_attribute_must_be_there(attribute: str) -> None:
    with pytest.raises(ValueError, match=f"x.spacy has no .*attribute = '{attribute}'"):
        require_annotation([Doc(Vocab(), words=["x"])], attribute, Path("x.spacy"))
