"""The texts of a file."""

from typing import Any, NamedTuple

from spacy.language import Language
from spacy.tokens import Doc

from ..pipeline.pairing import check_words, make_doc, token_places


class Text(NamedTuple):
    """A text of a file.

    text: The text, as it was written.
    words: Its words, if the file has them; otherwise the tokenizer finds them.
    spaces: Whether white space follows each word.
    places: Where each word begins and ends in the text. The words of a multiword token can have the
        same place.
    starts: Whether each word begins a sentence; None if the file doesn't say.
    record: What else the file has: a JSON object, or the lines of a CoNLL-U sentence.
    where: The file and the line.
    error: Why it can't be tagged; "" if it can.
    position: How many bytes of the file were read with it.
    """

    text: str
    words: list[str] | None = None
    spaces: list[bool] | None = None
    places: list[tuple[int, int]] | None = None
    starts: list[bool] | None = None
    record: Any = None
    where: str = ""
    error: str = ""
    position: int = 0

    def to_doc(self, nlp: Language) -> Doc:
        """Return a Doc with the words of the file, or with those of the tokenizer.

        RAISES: ValueError if the text can't be tagged.
        """
        if self.error:
            raise ValueError(self.error)
        if self.words is None:
            return make_doc(nlp, self.text)
        starts: Any = self.starts
        return Doc(nlp.vocab, words=self.words, spaces=self.spaces, sent_starts=starts)

    def places_in(self, doc: Doc) -> list[tuple[int, int]]:
        """Return where the tokens of a Doc that was made of this text begin and end in it.

        RAISES: ValueError if the pipeline changed the text, or words that the file has.
        """
        if self.words is None or self.places is None:
            return token_places(doc, self.text)
        check_words(doc, self.words)
        return self.places


def flaw_of(*texts: str) -> str:
    """Return why texts can't be read: they have half a character; "" if they can. Such a surrogate
    also stands for each byte of a file that is not UTF-8.
    """
    for text in texts:
        try:
            text.encode("utf8")
        except UnicodeEncodeError as error:
            code = ord(text[error.start])
            if 0xDC80 <= code <= 0xDCFF:
                return f"it is not UTF-8: it has the byte {code - 0xDC00:#x}"
            return f"it has half a character: {code:#x}"
    return ""


def printable(text: str) -> str:
    """Return a text that can be printed, whatever the names of files have."""
    return text.encode("utf8", "backslashreplace").decode("utf8")
