"""Read and write sentences in CoNLL-U."""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from spacy.tokens import Doc, Token

from ..pipeline.labels import labels_of
from ..pipeline.pairing import find_words
from .texts import Text, flaw_of

N_COLUMNS = 10
ID, FORM, UPOS, XPOS, FEATS, HEAD, DEPREL, MISC = 0, 1, 3, 4, 5, 6, 7, 9

# The columns that spaCy's annotation goes to.
COLUMNS = {2: "LEMMA", UPOS: "POS", XPOS: "TAG", FEATS: "MORPH", HEAD: "DEP", DEPREL: "DEP"}

# How UDPipe writes white space in the column MISC.
ESCAPES = {" ": "\\s", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
ESCAPED = {escape: character for character, escape in ESCAPES.items()}
LINE_ENDS = r"\n\r\v\f\x1c-\x1e\x85\u2028\u2029"  # for one program or another


class Written(NamedTuple):
    """A token of the text, the white space after it, and its words: several if it is a multiword
    token.
    """

    form: str
    after: str
    words: list[str]


def read_sentences(lines: Iterable[str], source: str) -> Iterator[Text]:
    """Yield the sentences of the lines of a file; without words if there are only comments. A
    sentence that breaks the format says so in its `error`.
    """
    sentence: list[str] = []
    for number, line in enumerate(chain(lines, [""]), 1):
        if line.strip():
            sentence.append(line.rstrip("\n"))
        elif sentence:
            yield _read_sentence(sentence, number - len(sentence), source)
            sentence = []


def _read_sentence(lines: list[str], first: int, source: str) -> Text:
    where = f"{source}, line {first}"
    written: list[Written] = []
    end = 0  # the last word of the last multiword token
    n_words = 0
    for number, line in enumerate(lines, first):
        if line[0] == "#":
            continue
        cells = line.split("\t")
        if error := _flaw_of_line(cells, n_words, end):
            return Text("", record=lines, where=f"{source}, line {number}", error=error)
        after = _after(cells[MISC])
        if "." in cells[ID]:
            continue
        if "-" in cells[ID]:
            end = int(cells[ID].split("-")[1])
            written.append(Written(cells[FORM], after, []))
            continue
        n_words += 1
        if n_words <= end:
            written[-1].words.append(cells[FORM])
        else:
            written.append(Written(cells[FORM], after, [cells[FORM]]))
    if n_words < end:
        error = f"a multiword token ends with word {end}, but the sentence with word {n_words}"
        return Text("", record=lines, where=where, error=error)
    return _as_text(written, lines, where)


def _flaw_of_line(cells: Sequence[str], n_words: int, end: int) -> str:
    """Return the flaw of a line after `n_words` words; "" for none."""
    if len(cells) != N_COLUMNS:
        return f"it has {len(cells)} columns instead of {N_COLUMNS}"
    if not cells[FORM].strip():
        return "its word is empty"
    if re.fullmatch("[1-9][0-9]*", cells[ID]):
        fits = int(cells[ID]) == n_words + 1
    elif match := re.fullmatch("([1-9][0-9]*)-([1-9][0-9]*)", cells[ID]):
        first, last = map(int, match.groups())
        fits = first == n_words + 1 and first <= last and n_words >= end
    else:
        fits = re.fullmatch(rf"{n_words}\.[1-9][0-9]*", cells[ID]) is not None
    if fits:
        return ""
    hint = ". Is the blank line between two sentences missing?" if n_words else ""
    return f"its number is {cells[ID]!r} after {n_words} words{hint}"


def _as_text(written: list[Written], lines: list[str], where: str) -> Text:
    """Return the text of a sentence, and where its words are."""
    forms = [token.form for token in written]
    places = []
    text = ""
    for token in written:
        places.append((len(text), len(text) + len(token.form)))
        text += token.form + token.after
    text = text[: places[-1][1]] if places else ""
    comment = next((line for line in lines if re.match(r"#\s*text\s*=", line)), "")
    given = comment.partition("=")[2].strip()
    if given != text and not any("SpacesAfter=" in line for line in lines):
        found = find_words(forms, given)
        if found is not None:  # so the comment has the right spaces
            text, places = given, found
    words: list[str] = []
    spaces: list[bool] = []
    places_of_words = []
    for token, (start, end) in zip(written, places, strict=True):
        words += token.words
        has_space = text[end].isspace() if end < len(text) else bool(token.after)
        spaces += [False] * (len(token.words) - 1) + [has_space]
        is_exact = "".join(token.words) == token.form
        for word in token.words:
            place = (start, start + len(word)) if is_exact else (start, end)
            places_of_words.append(place)
            start += len(word) if is_exact else 0
    starts = [i == 0 for i in range(len(words))]
    error = flaw_of(text, *words)
    return Text(text, words, spaces, places_of_words, starts, lines, where, error)


def _after(misc: str) -> str:
    """Return the white space after a token."""
    values = dict(item.partition("=")[::2] for item in misc.split("|"))
    spaces = _unescaped(values.get("SpacesAfter", "x"))
    if not spaces.strip():
        return spaces
    return "" if values.get("SpaceAfter") == "No" else " "


def annotated_columns(text: Text) -> tuple[list[str], list[str], list[str]]:
    """Return UPOS, XPOS and FEATS of each word of a sentence; "" for the first two where a word has
    none.
    """
    rows = (line.split("\t") for line in text.record if line[0] != "#")
    words = [cells for cells in rows if cells[ID].isdecimal()]
    upos, xpos = (["" if c[i] == "_" else c[i] for c in words] for i in (UPOS, XPOS))
    return upos, xpos, [cells[FEATS] for cells in words]


def write_sentences(doc: Doc, text: Text, extensions: Sequence[str] = ()) -> str:
    """Return the sentences of a Doc. Those read from CoNLL-U keep what the pipeline doesn't write.

    extensions (Sequence[str]): Attributes of tokens, `token._.NAME`, that go to the column MISC.
    """
    keys = {i: key for i, key in COLUMNS.items() if doc.has_annotation(key)}
    labels = {name: labels_of(doc, name) for name in extensions}
    if isinstance(text.record, list):
        return "\n".join(_updated_lines(text.record, doc, keys, labels)) + "\n\n"
    places = text.places_in(doc)
    words = [token.i for token in doc if not token.text.isspace()]
    starts = [*(places[i][0] for i in words), len(text.text)]
    before = text.text[: starts[0]]
    after = {i: text.text[places[i][1] : end] for i, end in zip(words, starts[1:], strict=True)}
    blocks = []
    for span in doc.sents if doc.has_annotation("SENT_START") else [doc[:]]:
        if sentence := [token for token in span if token.i in after]:
            lines = _sentence_lines(sentence, before, after, keys, labels)
            blocks.append("\n".join(lines) + "\n\n")
            before = ""
    return "".join(blocks)


def write_failure(
    text: Text, message: str, written: Collection[int], extensions: Sequence[str] = ()
) -> str:
    """Return a text that could not be tagged as one sentence, with a comment that says why.

    written (Collection[int]): The columns that the pipeline would have written; they are empty.
    extensions (Sequence[str]): Attributes that it would have written to the column MISC.
    """
    comment = f"# error = {message}"
    if isinstance(text.record, list):
        lines = list(text.record)
        if text.words is None:  # no CoNLL-U, so other programs must not read it as such
            return "\n".join([comment, *(f"# {line.lstrip('# ')}" for line in lines)]) + "\n\n"
        for i, line in enumerate(lines):
            cells = line.split("\t")
            if line[0] != "#" and cells[ID].isdecimal():
                cells = ["_" if j in written else cell for j, cell in enumerate(cells)]
                cells[MISC] = _misc_with(cells[MISC], dict.fromkeys(extensions, ""))
                lines[i] = "\t".join(cells)
        return "\n".join([comment, *lines]) + "\n\n"
    words = [_cell_of(word) for word in text.text.split()] or ["_"]
    rows = ["\t".join([str(i), word, *"________"]) for i, word in enumerate(words, 1)]
    return "\n".join([comment, *rows]) + "\n\n"


def _sentence_lines(
    sentence: list[Token],
    before: str,
    after: dict[int, str],
    keys: dict[int, str],
    labels: dict[str, list[str]],
) -> Iterator[str]:
    """Yield the lines of a sentence, given the white space before it and after each token."""
    forms = [_cell_of(token.text) for token in sentence]
    spaces = [" " if after[token.i] else "" for token in sentence]
    yield "# text = " + "".join(map("".join, zip(forms, spaces, strict=True))).rstrip()
    numbers = {token.i: i for i, token in enumerate(sentence, 1)}
    for i, (token, form) in enumerate(zip(sentence, forms, strict=True), 1):
        cells = [str(i), form, *"________"]
        for column, key in keys.items():
            cells[column] = _annotation(token, column, key, numbers) or "_"
        misc = [f"SpacesBefore={_escaped(before)}"] if before and i == 1 else []
        if not after[token.i]:
            misc.append("SpaceAfter=No")
        elif after[token.i] != " ":
            misc.append(f"SpacesAfter={_escaped(after[token.i])}")
        own = {name: found[token.i] for name, found in labels.items()}
        cells[MISC] = _misc_with("|".join(misc) or "_", own)
        yield "\t".join(cells)


def _updated_lines(
    lines: list[str], doc: Doc, keys: dict[int, str], labels: dict[str, list[str]]
) -> Iterator[str]:
    """Yield the lines of a sentence with the pipeline's annotation in the place of the old one."""
    tokens = iter(doc)
    numbers = {token.i: token.i + 1 for token in doc}
    for line in lines:
        cells = line.split("\t")
        if line[0] != "#" and cells[ID].isdecimal():
            token = next(tokens)
            for column, key in keys.items():
                cells[column] = _annotation(token, column, key, numbers) or cells[column]
            own = {name: found[token.i] for name, found in labels.items() if found[token.i]}
            cells[MISC] = _misc_with(cells[MISC], own)
        yield "\t".join(cells)


def _annotation(token: Token, column: int, key: str, numbers: dict[int, int]) -> str:
    """Return the pipeline's annotation of a token; "" for none."""
    if key == "MORPH":
        return str(token.morph) or ("_" if token.has_morph() else "")
    if column == HEAD and token.dep:
        head = token.head
        while head.i not in numbers and head.head.i != head.i:  # white space is no word
            head = head.head
        return "0" if head.i == token.i else str(numbers.get(head.i, 0))
    if column == DEPREL and token.dep_ == "ROOT":
        return "root"
    return "" if column == HEAD else _cell_of(getattr(token, f"{key.lower()}_"))


def _misc_with(misc: str, labels: dict[str, str]) -> str:
    """Return the column MISC with labels in the place of the old ones; empty labels are removed."""
    if not labels:
        return misc
    items = [item for item in misc.split("|") if item.partition("=")[0] not in (*labels, "_")]
    new = [f"{name}={_cell_of(label).replace('|', ' ')}" for name, label in labels.items() if label]
    return "|".join([*items, *new]) or "_"


def _cell_of(value: str) -> str:
    """Return a value with spaces for tabs and ends of lines."""
    return re.sub(rf"[\t{LINE_ENDS}]+", " ", value)


def _escaped(spaces: str) -> str:
    escaped = "".join(ESCAPES.get(character, character) for character in spaces)
    return re.sub(f"[{LINE_ENDS}]", lambda end: f"\\u{ord(end[0]):04x}", escaped)


def _unescaped(value: str) -> str:
    spaces = re.sub(r"\\u([0-9a-f]{4})", lambda escape: chr(int(escape[1], 16)), value)
    return re.sub(r"\\.", lambda escape: ESCAPED.get(escape[0], escape[0]), spaces)
