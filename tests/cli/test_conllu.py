"""Tests of `conllu.py`: sentences are read and written as they are."""

import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc

from spacy_lstm_tagger.cli.conllu import read_sentences, write_failure, write_sentences
from spacy_lstm_tagger.cli.texts import Text

CONLLU = """# text = They can't.
1\tThey\tthey\tPRON\tPRP\t_\t3\tnsubj\t_\t_
2-3\tcan't\t_\t_\t_\t_\t_\t_\t_\tSpaceAfter=No
2\tca\tcan\tAUX\tMD\t_\t0\troot\t_\t_
3\tn't\tnot\tPART\tRB\t_\t2\tadvmod\t_\t_
3.1\tgo\tgo\tVERB\tVB\t_\t_\t_\t_\t_
4\t.\t.\tPUNCT\t.\t_\t2\tpunct\t_\t_

1\tYes\tyes\tINTJ\tUH\t_\t0\troot\t_\tSpaceAfter=No
"""
ROW = "\t_" * 8
FRENCH = [
    "# text = Quant au reste du  tas",
    f"1\tQuant{ROW}",
    f"2-3\tau{ROW}",
    f"2\tà{ROW}",
    f"3\tle{ROW}",
    f"4\treste{ROW}",
    f"5-6\tdu{ROW}",
    f"5\tde{ROW}",
    f"6\tle{ROW}",
    f"7\ttas{ROW}",
]


def read(*lines: str) -> list[Text]:
    return list(read_sentences([f"{line}\n" for line in lines], "a.conllu"))


def test_sentences_give_words_and_spaces(nlp: Language) -> None:
    first, second = read(*CONLLU.splitlines())
    doc = first.to_doc(nlp)
    assert [token.text for token in doc] == ["They", "ca", "n't", "."]
    assert doc.text == "They can't. " and first.text == "They can't."
    assert len(list(doc.sents)) == 1
    assert first.places == [(0, 4), (5, 7), (7, 10), (10, 11)]
    assert second.to_doc(nlp).text == "Yes"
    assert (first.where, second.where) == ("a.conllu, line 1", "a.conllu, line 9")


def test_the_text_is_what_was_written() -> None:
    (text,) = read(*FRENCH)
    assert text.words == ["Quant", "à", "le", "reste", "de", "le", "tas"]
    assert text.text == "Quant au reste du  tas"
    assert [text.text[i:j] for i, j in text.places or []] == [
        *("Quant", "au", "au", "reste", "du", "du", "tas")
    ]
    assert text.spaces == [True, False, True, True, False, True, True]


def test_a_comment_that_is_another_text_is_ignored() -> None:
    (text,) = read("# text = Something else", *FRENCH[1:])
    assert text.text == "Quant au reste du tas"


def test_a_comment_can_say_where_spaces_are() -> None:
    (text,) = read("# text = dogs.", f"1\tdogs{ROW}", f"2\t.{ROW}")
    assert (text.text, text.spaces) == ("dogs.", [False, True])


@pytest.mark.parametrize(
    ("misc", "after"),
    [
        ("_", " "),
        ("Gloss=a|SpaceAfter=No", ""),
        ("SpaceAfter=Yes", " "),
        ("Note=SpaceAfter=No", " "),
        (r"SpacesAfter=\s\s", "  "),
        (r"SpacesAfter=\t\n\r|X=Y", "\t\n\r"),
        (r"SpacesAfter=x|SpaceAfter=No", ""),
        (r"SpacesAfter=\u2028", "\u2028"),
    ],
)
def test_white_space_after_a_word(misc: str, after: str) -> None:
    (text,) = read(f"1\ta{ROW[:-1]}{misc}", f"2\tb{ROW}")
    assert text.text == f"a{after}b"
    assert text.spaces == [bool(after), True]


@pytest.mark.parametrize(
    ("lines", "where", "error"),
    [
        (["1\tx"], 1, "it has 2 columns instead of 10"),
        (["# c", f"1\tx{ROW}", f"3\ty{ROW}"], 3, "its number is '3' after 1 words"),
        ([f"1\tx{ROW}", f"1\ty{ROW}"], 2, "number is '1' after 1 words. Is the blank line"),
        ([f"2\tx{ROW}"], 1, "its number is '2' after 0 words"),
        ([f"x\tx{ROW}"], 1, "its number is 'x'"),
        ([f"²\tx{ROW}"], 1, "its number is '²'"),
        ([f"1-2\txy{ROW}", f"1\tx{ROW}"], 1, "ends with word 2, but the sentence with word 1"),
        ([f"1\tx{ROW}", f"1-2\txy{ROW}", f"2\ty{ROW}"], 2, "its number is '1-2' after 1"),
        ([f"1-2\txy{ROW}", f"1\tx{ROW}", f"2-3\ty{ROW}"], 3, "its number is '2-3' after 1"),
        ([f"1\tx{ROW}", f"2.1\tx{ROW}"], 2, "its number is '2.1' after 1 words"),
        ([f"1\t{ROW}"], 1, "its word is empty"),
        ([f"1\t\xa0{ROW}"], 1, "its word is empty"),
        ([f"1\t\udce0{ROW}"], 1, "it is not UTF-8: it has the byte 0xe0"),
    ],
)
def test_a_broken_sentence_is_named_and_spoils_no_other(
    lines: list[str], where: int, error: str
) -> None:
    good = [f"1\tgood{ROW}", ""]
    first, broken, last = read(*good, *lines, "", *good)
    assert broken.where == f"a.conllu, line {where + 2}"
    assert error in broken.error
    assert first.text == last.text == "good" and not first.error + last.error


def test_empty_nodes_and_comments_are_no_words() -> None:
    lines = ["# a", f"0.1\tx{ROW}", f"1\ty{ROW}", "# b", f"1.1\tz{ROW}", f"1.2\tz{ROW}"]
    text, comments = read(*lines, "", "# alone")
    assert (text.words, text.record) == (["y"], lines)
    assert (comments.words, comments.text, comments.error) == ([], "", "")


def rows(written: str) -> list[list[str]]:
    return [line.split("\t") for line in written.splitlines() if line and line[0] != "#"]


def test_white_space_is_no_word() -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    text = "\t The  dog.\n\n Yes |\xa0\u2028 no "
    written = write_sentences(nlp(text), Text(text))
    assert written.splitlines()[0] == "# text = The dog."
    assert [row[1] for row in rows(written)] == ["The", "dog", ".", "Yes", "|", "no"]
    assert [row[9] for row in rows(written)] == [
        r"SpacesBefore=\t\s|SpacesAfter=\s\s",
        "SpaceAfter=No",
        r"SpacesAfter=\n\n\s",
        "_",
        "SpacesAfter=\xa0\\u2028\\s",
        "_",
    ]
    assert [row[0] for row in rows(written)] == ["1", "2", "3", "1", "2", "3"]
    first, second = read_sentences(written.splitlines(keepends=True), "")
    assert first.text == "The  dog."
    assert second.text == "Yes |\xa0\u2028 no"


def test_a_text_of_white_space_has_no_sentence(nlp: Language) -> None:
    assert write_sentences(nlp(" \n "), Text(" \n ")) == ""


def test_given_words_have_the_white_space_of_their_text(nlp: Language) -> None:
    places = [(1, 4), (6, 9)]
    text = Text(" The  dog\n", ["The", "dog"], [True, True], places)
    written = write_sentences(text.to_doc(nlp), text)
    misc = [r"SpacesBefore=\s|SpacesAfter=\s\s", r"SpacesAfter=\n"]
    assert [row[9] for row in rows(written)] == misc


def test_heads_are_those_of_words(nlp: Language) -> None:
    doc = Doc(
        nlp.vocab,
        words=["a", "\n", "b", " ", "c"],
        heads=[2, 2, 2, 2, 3],
        deps=["x", "dep", "ROOT", "dep", "y"],
    )
    assert [row[6:8] for row in rows(write_sentences(doc, Text(doc.text)))] == [
        ["2", "x"],
        ["0", "root"],
        ["2", "y"],
    ]


def test_a_sentence_keeps_what_the_pipeline_does_not_write(nlp: Language) -> None:
    lines = [f"{i}\t{word}\tL\tNOUN\tOLD\tA=B\t0\tdep\t_\tM=1" for i, word in enumerate("ab", 1)]
    (text,) = read(*lines)
    doc = Doc(nlp.vocab, words=["a", "b"], tags=["NEW", ""], pos=["", "VERB"])
    doc[0].set_morph("")
    first, second = rows(write_sentences(doc, text))
    assert first == ["1", "a", "L", "NOUN", "NEW", "_", "0", "dep", "_", "M=1"]
    assert second == ["2", "b", "L", "VERB", "OLD", "A=B", "0", "dep", "_", "M=1"]


def test_cells_have_no_line_ends(nlp: Language) -> None:
    doc = Doc(nlp.vocab, words=["a\tb\nc", "New York"], tags=["X\u2028Y", "Z"])
    written = write_sentences(doc, Text(doc.text))
    assert [row[1:5:3] for row in rows(written)] == [["a b c", "X Y"], ["New York", "Z"]]
    assert written.splitlines()[0] == "# text = a b c New York"


def test_a_sentence_that_was_not_tagged_says_why() -> None:
    text, broken = read("# text = a", f"1\ta\tL\tNOUN\tOLD{ROW[:10]}", "", "# id = 2", "1\tx")
    written = write_failure(text, "a.conllu, line 1: no", [4])
    assert written.splitlines()[0] == "# error = a.conllu, line 1: no"
    assert [row[:5] for row in rows(written)] == [["1", "a", "L", "NOUN", "_"]]
    assert write_failure(broken, "no", [4]) == "# error = no\n# id = 2\n# 1\tx\n\n"
    written = write_failure(Text("The  dog\n"), "no", [4])
    assert [row[1:] for row in rows(written)] == [["The", *"________"], ["dog", *"________"]]
    assert [row[1] for row in rows(write_failure(Text(" "), "no", []))] == ["_"]
