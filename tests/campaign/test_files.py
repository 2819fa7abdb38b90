"""Files of all kinds through pipelines of all kinds: each row belongs to its text, or says why not.

The pipelines write each token's text as its lemma, so a row of another text would be seen.
"""

import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.util import registry
from spacy.vocab import Vocab

from spacy_lstm_tagger.cli.tag import tag_files

N_FILES = {"whole": 5000, "share": 60}
BAD_BYTE, NOT_UTF_8 = "\ue000", b"\xe0"  # what stands in a text for a byte that isn't UTF-8
SPOILS, CHANGES = "§", "ß"  # what pipelines fail on, and what they change
MARK = "\ufeff"
EMPTY = "\t_" * 8
ENDS_LINE = "\t\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"

letters = st.sampled_from([*"aZé中🙂.,'§ß1½", "\u0301", "\u200b"]) | st.characters(
    exclude_categories=["Cs", "Cc"], exclude_characters=[BAD_BYTE, MARK]
)
spaces = st.text(st.sampled_from([*" \xa0\u3000\u2003"]), max_size=3)
words = st.text(letters, min_size=1, max_size=8).filter(
    lambda word: word.strip() == word and not any(c in word for c in ENDS_LINE) and word[0] != "#"
)
plain_texts = st.lists(st.tuples(words, spaces), min_size=1, max_size=6).map(
    lambda pairs: "".join(word + space for word, space in pairs).strip()
)
any_texts = plain_texts | st.text(
    letters | st.sampled_from([*ENDS_LINE, " ", "\ud800", "\x00"]), max_size=20
)
bad = st.sampled_from(["", "", "", "", "broken", "bytes"])


class Row(NamedTuple):
    """A text of a file.

    lines: What the file has of it.
    text: The text as it was written.
    words: Its words, if the file has them.
    is_bad: Whether it can't be read.
    record: The JSON object.
    """

    lines: list[str]
    text: str
    words: list[str] | None = None
    is_bad: bool = False
    record: dict[str, Any] | None = None


@st.composite
def text_rows(draw: Callable[..., Any]) -> Row:
    text, flaw = draw(plain_texts), draw(bad)
    if flaw == "bytes":
        text += BAD_BYTE
    return Row([text], text, is_bad=flaw == "bytes")


@st.composite
def json_rows(draw: Callable[..., Any], key: str) -> Row:
    text, flaw = draw(any_texts), draw(bad)
    record: dict[str, Any] = {"id": draw(st.integers() | st.floats(allow_nan=False))}
    for other in draw(st.sets(st.sampled_from(["text", "tokens", "error", "body", "text_tokens"]))):
        record[other] = draw(st.none() | st.lists(st.text(max_size=3), max_size=2))
    words = None
    if draw(st.booleans()) and text.split():
        words = text.split()
        record["tokens"] = draw(st.sampled_from([words, [{"text": word} for word in words]]))
    record[key] = text + (BAD_BYTE if flaw == "bytes" else "")
    is_surrogate = any(0xD800 <= ord(c) < 0xE000 for c in text)
    line = json.dumps(record, ensure_ascii=is_surrogate or draw(st.booleans()))
    line = line.replace(json.dumps(BAD_BYTE)[1:-1], BAD_BYTE)
    if flaw == "broken":
        line = draw(st.sampled_from([line[:-1], "[1]", "{}", f'{{"{key}": 3}}', "\x00"]))
    return Row([line], text, words, flaw != "" or is_surrogate, None if flaw else record)


@st.composite
def conllu_rows(draw: Callable[..., Any]) -> Row:
    """Draw a sentence. A multiword token has two words; some have other letters than it."""
    tokens = draw(st.lists(st.tuples(words, st.integers(0, 3), spaces), min_size=1, max_size=5))
    lines, found, text = [], [], ""
    for form, kind, after in tokens:
        misc = {"": "SpaceAfter=No", " ": "_"}.get(after, f"SpacesAfter={escape(after)}")
        columns = "\t".join([form, *"_______", misc])
        n = len(found) + 1
        if kind == 3:
            parts = [form[:1], form[1:]] if len(form) > 1 else ["de", "le"]
            parts = [part if part.strip() == part else "x" for part in parts]
            lines += [
                f"{n}-{n + 1}\t{columns}",
                *(f"{n + i}\t{p}{EMPTY}" for i, p in enumerate(parts)),
            ]
        else:
            parts = [form]
            lines.append(f"{n}\t{columns}")
        if kind == 2:
            lines.append(f"{n}.1\tempty{EMPTY}")
        found += parts
        text += form + after
    text = text[: len(text) - len(tokens[-1][2])]
    if draw(st.booleans()):
        lines.insert(draw(st.integers(0, len(lines))), "# a comment = 1\t2")
    flaw = draw(bad)
    if flaw == "bytes":
        lines.append(f"{len(found) + 1}\t{BAD_BYTE}{EMPTY}")
    elif flaw == "broken":
        lines.append(
            draw(st.sampled_from(["x\ty", f"1\tx{EMPTY}", f"99\tx{EMPTY}", f"1-x\ty{EMPTY}"]))
        )
    return Row(lines, text, found, flaw != "")


@st.composite
def files(draw: Callable[..., Any]) -> tuple[str, str, list[Row], bytes]:
    """Draw the name of a file, its key, its rows and its content."""
    suffix = draw(st.sampled_from([".txt", ".jsonl", ".conllu"]))
    key = draw(st.sampled_from(["text", "body"]))
    kind = {".txt": text_rows(), ".jsonl": json_rows(key), ".conllu": conllu_rows()}[suffix]
    rows = draw(st.lists(kind, max_size=5))
    end = draw(st.sampled_from(["\n", "\r\n"]))
    between = end * draw(st.integers(1 + (suffix == ".conllu"), 3))
    content = between.join(end.join(row.lines) for row in rows)
    content = draw(st.sampled_from(["", MARK])) + content + end * draw(st.integers(0, 2))
    data = content.encode("utf8").replace(BAD_BYTE.encode(), NOT_UTF_8)
    name = f"a{suffix.upper() if draw(st.booleans()) else suffix}"
    return name, key, rows, data


def escape(white_space: str) -> str:
    return white_space.replace(" ", "\\s")


def unescape(misc: str) -> str:
    for character, escaped in [(" ", "\\s"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r")]:
        misc = misc.replace(escaped, character)
    for character in ENDS_LINE[3:]:
        misc = misc.replace(f"\\u{ord(character):04x}", character)
    return misc


@Language.component("files_echo")
def echo(doc: Doc) -> Doc:
    for token in doc:
        token.lemma_ = token.text
    return doc


@Language.component("files_raise")
def raises(doc: Doc) -> Doc:
    if SPOILS in doc.text:
        raise RuntimeError("spoilt")
    return doc


@Language.component("files_rewrite")
def rewrites(doc: Doc) -> Doc:
    forms = [token.text.replace(CHANGES, "ss") for token in doc]
    return Doc(doc.vocab, words=forms, spaces=[bool(token.whitespace_) for token in doc])


@Language.component("files_split")
def splits(doc: Doc) -> Doc:
    with doc.retokenize() as retokenizer:
        for token in doc:
            if CHANGES in token.text and len(token) > 1:
                parts = [token.text[:1], token.text[1:]]
                retokenizer.split(token, parts, heads=[token, token])
    return doc


class Shuffles:
    """A component that changes the order of its stream, and drops some Docs."""

    def __call__(self, doc: Doc) -> Doc:
        return doc

    def pipe(self, docs: Iterator[Doc], batch_size: int = 1) -> Iterator[Doc]:
        yield from [doc for doc in docs if SPOILS not in doc.text][::-1]


Language.factory("files_shuffle", func=lambda nlp, name: Shuffles())


@registry.callbacks("files_forgive.v1")
def forgive() -> Callable[[Language], Language]:
    def change(nlp: Language) -> Language:
        nlp.set_error_handler(lambda *args: None)
        return nlp

    return change


PIPELINES = {
    "plain": [],
    "raises": ["files_raise"],
    "drops": ["files_raise"],
    "rewrites": ["files_rewrite"],
    "splits": ["files_split"],
    "shuffles": ["files_shuffle"],
}


@pytest.fixture(scope="module")
def folders(
    train: Callable[..., Language], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """The folder of each pipeline."""
    found = {}
    for name, components in PIPELINES.items():
        nlp = train(spacy.blank("xx"))
        for component in components:
            nlp.add_pipe(component, first=True)
        nlp.add_pipe("files_echo", last=True)
        if name == "drops":
            nlp.config["nlp"]["after_pipeline_creation"] = {"@callbacks": "files_forgive.v1"}
        found[name] = tmp_path_factory.mktemp("pipelines") / name
        nlp.to_disk(found[name])
    return found


def fails(row: Row, name: str) -> bool:
    """Return whether a pipeline must fail on a row."""
    if row.is_bad:
        return True
    text = "".join(row.words) if row.words else row.text
    if name in ("raises", "drops", "shuffles"):
        return SPOILS in text
    if name == "rewrites":
        return CHANGES in text
    return (
        name == "splits"
        and row.words is not None
        and any(CHANGES in word and len(word) > 1 for word in row.words)
    )


def check_conllu(written: str, rows: list[Row], failed: list[bool], is_conllu: bool) -> None:
    blocks = [block.split("\n") for block in written.split("\n\n") if block]
    assert written == "".join("\n".join(block) + "\n\n" for block in blocks)
    rows_and_failed = [
        pair for pair in zip(rows, failed, strict=True) if pair[1] or pair[0].text.strip()
    ]
    for block, (row, has_failed) in zip(blocks, rows_and_failed, strict=True):
        cells = [line.split("\t") for line in block if line[0] != "#"]
        assert any(line.startswith("# error = ") for line in block) is has_failed
        if is_conllu and not row.is_bad:
            kept = [line for line in block if not line.startswith("# error = ")]
            assert [line.split("\t")[:2] for line in kept] == [
                line.split("\t")[:2] for line in row.lines
            ]
        if has_failed:
            continue
        lemmas = [line[2] for line in cells if line[0].isdecimal()]
        assert lemmas == [line[1] for line in cells if line[0].isdecimal()]
        if row.words is not None:
            assert lemmas == row.words
        if not is_conllu:
            assert text_of(cells) == row.text
            comment = block[0].removeprefix("# text = ")
            assert comment.split() == row.text.split()


def text_of(cells: list[list[str]]) -> str:
    """Return the text of the lines of a sentence."""
    text = ""
    for _, form, *_, misc in cells:
        values = dict(value.split("=", 1) for value in misc.split("|") if "=" in value)
        after = "" if "SpaceAfter" in values else unescape(values.get("SpacesAfter", "\\s"))
        text += unescape(values.get("SpacesBefore", "")) + form + after
    return text


def check_jsonl(written: str, rows: list[Row], failed: list[bool], key: str) -> None:
    lines = written.split("\n")
    assert lines.pop() == ""
    for line, row, has_failed in zip(lines, rows, failed, strict=True):
        record = json.loads(line)
        before = row.record or {}
        added = record.keys() - before.keys()
        given = before.get("tokens") or [None] if row.words is not None else [None]
        for name, value in before.items():
            if name != "tokens" or not isinstance(given[0], dict) or has_failed:
                assert record[name] == json.loads(json.dumps(value))
        if has_failed:
            assert any(name.endswith("error") and isinstance(record[name], str) for name in added)
            continue
        written_to = "tokens" if isinstance(given[0], dict) else max(added)
        assert written_to.endswith("tokens")
        tokens = record[written_to]
        text = record[key] if row.record is not None else record["text"]
        assert text == row.text
        assert [token["lemma"] for token in tokens] == [token["text"] for token in tokens]
        if row.record is not None or row.words is None:
            assert [text[t["start"] : t["end"]] for t in tokens] == [t["text"] for t in tokens]
        if row.words is not None:
            assert [token["text"] for token in tokens] == row.words


def check_docbin(path: Path, rows: list[Row], failed: list[bool]) -> None:
    docs = list(DocBin(store_user_data=True).from_disk(path).get_docs(Vocab()))
    for doc, row, has_failed in zip(docs, rows, failed, strict=True):
        assert ("error" in doc.user_data) is has_failed
        if not has_failed:
            assert [token.lemma_ for token in doc] == [token.text for token in doc]
            assert doc.text == row.text if row.words is None else True
            assert row.words is None or [token.text for token in doc] == row.words


def test_each_row_belongs_to_its_text(
    folders: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
    size: Callable,
    tell: Callable,
) -> None:
    counts: Counter[str] = Counter()

    @settings(max_examples=size(N_FILES["whole"], N_FILES["share"]))
    @given(
        file=files(),
        name=st.sampled_from(list(PIPELINES)),
        output_format=st.sampled_from(["conllu", "jsonl", "spacy"]),
        batch_size=st.integers(1, 4),
    )
    def tag(file: Any, name: str, output_format: str, batch_size: int) -> None:
        file_name, key, rows, data = file
        folder = tmp_path_factory.mktemp("files")
        (folder / file_name).write_bytes(data)
        failed = [fails(row, name) for row in rows]
        try:
            tag_files(
                str(folders[name]),
                [folder / file_name],
                folder / "out",
                output_format=output_format,
                text_key=key,
                batch_size=batch_size,
            )
            assert not any(failed)
        except ValueError as error:
            assert f"Not tagged: {sum(failed):,} text" in str(error)
            assert f"{folder / file_name}, line " in str(error)
        path = folder / "out" / f"a.{output_format}"
        if output_format == "spacy":
            check_docbin(path, rows, failed)
        else:
            written = path.read_bytes().decode("utf8", "surrogateescape")
            is_conllu = file_name.lower().endswith("conllu")
            if output_format == "conllu":
                check_conllu(written, rows, failed, is_conllu)
            else:
                check_jsonl(written, rows, failed, key)
        counts.update({"files": 1, "texts": len(rows), "failed": sum(failed)})

    tag()
    tell(
        f"Files: {counts['files']} files of {counts['texts']} texts: {counts['failed']} rows say "
        "what is wrong, the others are those of their texts"
    )


def test_a_killed_run_goes_on(saved: Path, tmp_path: Path, size: Callable, tell: Callable) -> None:
    generator, n = random.Random(0), size(20, 1)
    texts = [f"The dog ate book {i} on day {i % 7}" for i in range(5000)]
    source, out, n_kept = tmp_path / "a.jsonl", tmp_path / "out", 0
    source.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    for i in range(n):
        output_format = ["jsonl", "conllu", "spacy"][i % 3]
        command = [sys.executable, "-m", "spacy", "lstm-tagger", "tag", str(saved), str(source)]
        command += ["-o", str(out), "-b", "20", "-n", str(1 + i % 2), "-f", output_format]
        end = generator.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            while not list(out.glob(".*.journal")) and process.poll() is None:
                time.sleep(0.01)
            time.sleep(generator.random() / 4)
            process.send_signal(end)
        n_kept += bool(list(out.glob(".*.journal")))
        subprocess.run([*command, "--resume"], check=True, stdout=subprocess.DEVNULL)
        (path,) = out.iterdir()
        if output_format == "spacy":
            found = [doc.text for doc in DocBin().from_disk(path).get_docs(Vocab())]
        elif output_format == "jsonl":
            found = [json.loads(line)["text"] for line in path.read_text().splitlines()]
        else:
            lines = path.read_text().splitlines()
            found = [line.removeprefix("# text = ") for line in lines if line[:1] == "#"]
        assert found == texts
        path.unlink()
    tell(f"Files: {n} runs of 5,000 texts killed, {n_kept} of them amid a file: 0 lost or doubled")
