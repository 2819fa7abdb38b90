"""The command `tag`: run a pipeline over files, in one process or several."""

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache, partial
from itertools import groupby, islice
from os.path import exists
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from spacy.cli._util import import_code, setup_gpu
from spacy.language import Language
from spacy.util import minibatch
from wasabi import msg

from ..batch import bounded_memory, share_out
from ..pipeline.labels import FACTORIES
from ..pipeline.pairing import describe, run_pipeline
from ..pipeline.tagger import LSTMTagger, find_tagger
from .conllu import COLUMNS
from .io import FileProgress, counted, find_files, load_pipeline, read_texts
from .output import Conllu, DocBins, Format, Jsonl, Output, Progress
from .texts import Text, printable

FORMATS = ("conllu", "jsonl", "spacy")
N_SHOWN = 10  # texts and files that are named if they could not be tagged


class Task(NamedTuple):
    """A file to read and one to write."""

    source: Path
    target: Path


class Batch(NamedTuple):
    """Some texts of a file; or none, and why the file can't be read any further."""

    task: Task
    texts: list[Text]
    error: str = ""


class Tagged(NamedTuple):
    """A batch after tagging.

    packed: What is written to its file.
    errors: Why texts could not be tagged.
    position: How many bytes of the file were read.
    error: Why the file can't be read any further.
    """

    task: Task
    error: str = ""
    packed: bytes = b""
    n_texts: int = 0
    n_tokens: int = 0
    errors: tuple[str, ...] = ()
    position: int = 0


class Done(NamedTuple):
    """A file after tagging.

    progress: How many texts and tokens it has.
    errors: Why some of its texts could not be tagged.
    error: Why there is no output; "" if there is.
    """

    progress: Progress
    errors: list[str]
    error: str = ""


def tag_files(
    pipeline: str,
    paths: list[Path],
    output: Path,
    *,
    output_format: str = "conllu",
    text_key: str = "text",
    batch_size: int = 256,
    n_process: int = 1,
    resume: bool = False,
    force: bool = False,
    code: Path | None = None,
    use_gpu: int = -1,
) -> list[Done]:
    """Run a pipeline over files, and write a file for each; the arguments are those of the command.

    RETURNS (list[Done]): What came of each file.
    RAISES: ValueError if something is missing, or would be overwritten, before anything is written;
        or if a text or a file can't be tagged, after all others are written.
    """
    if output_format not in FORMATS:
        raise ValueError(f"the format {output_format!r} must be one of {', '.join(FORMATS)}")
    if output.exists() and not output.is_dir():
        raise ValueError(f"{output} is a file; name a folder")
    tasks = _tasks(paths, output, output_format, resume=resume, force=force)
    if not tasks:
        return []
    load = partial(_load, pipeline, code, use_gpu)
    nlp = load()  # fails early if the pipeline can't be loaded
    origin = {
        "pipeline": [pipeline, crc32(json.dumps(nlp.meta, sort_keys=True, default=str).encode())],
        "format": [output_format, text_key],
    }
    made = _make_format(nlp, output_format, text_key)
    outputs: dict[Task, Output] = {}
    batches = _batches(tasks, outputs, origin, text_key, batch_size, resume)
    run = partial(_tag, load=load, output_format=made)
    tagged: Iterator[Tagged] = map(run, batches)
    if n_process > 1:
        tagged = share_out(run, batches, n_process=n_process)
    try:
        with FileProgress([task.source for task in tasks]) as bar:
            done = [
                _write(task, outputs.pop(task, None), of_task, made, bar)
                for task, of_task in groupby(tagged, key=lambda batch: batch.task)
            ]
    except BrokenProcessPool as error:
        raise ValueError(
            "a process was killed, maybe for lack of memory: take fewer (--n-process) or smaller "
            "batches (--batch-size), and go on with --resume"
        ) from error
    finally:
        for unfinished in outputs.values():
            unfinished.close()
    _tell(done, output)
    return done


def _tell(done: list[Done], output: Path) -> None:
    """Print a summary; ValueError if anything failed."""
    total = Progress(*map(sum, zip(*(one.progress for one in done), strict=True)))
    n_tagged, n_failed = total.n_texts - total.n_failed, total.n_failed
    n_missing = sum(bool(one.error) for one in done)
    n_files = len(done) - n_missing
    said = (
        f"Tagged {counted(total.n_tokens, 'token')} of {counted(n_tagged, 'text')}: "
        f"{counted(n_files, 'file')} in {output}"
    )
    if not n_failed and not n_missing:
        msg.good(said)
        return
    if n_tagged:
        msg.info(said)
    errors = [error for one in done for error in (*one.errors, one.error) if error]
    for error in errors[1:N_SHOWN]:
        msg.warn(printable(error))
    parts = [f"Not tagged: {counted(n_missing, 'file')}"] if n_missing else []
    if n_failed:
        parts.append(f"Not tagged: {counted(n_failed, 'text')}; the output says why")
    raise ValueError(". ".join([*parts, *errors[:1]]))


def _tasks(
    paths: list[Path], output: Path, output_format: str, *, resume: bool, force: bool
) -> list[Task]:
    """Name the output of each file that is to be tagged; ValueError if something would be lost."""
    for path in paths:
        if path.is_dir() and path.resolve() == output.resolve():
            raise ValueError(
                f"{path} would be read and written; name another folder for the output"
            )
    found: dict[str, Task] = {}
    for source, name in find_files(paths, output):
        target = output / name.with_suffix(f".{output_format}")
        # On macOS and Windows, names that differ in case only are names of one file.
        other = found.setdefault(str(target).casefold(), Task(source, target))
        if other.source != source:
            raise ValueError(
                f"{other.source} and {source} would both become {target}, at least where case "
                "doesn't matter in names of files; rename one"
            )
        if exists(target) and target.samefile(source):  # False for a name that is too long
            raise ValueError(
                f"{source} would be overwritten by its own output; name another folder"
            )
    tasks = {task.target: task for task in found.values()}
    present = [target for target in tasks if exists(target)]
    if present and not (resume or force):
        raise ValueError(
            f"{present[0]} exists already; use --force to overwrite it, or --resume to go on with "
            "what is not done"
        )
    if resume:
        msg.info(f"Done before: {counted(len(present), 'file')} of {len(tasks):,}")
        for target in present:
            del tasks[target]
    return list(tasks.values())


@lru_cache(maxsize=1)
def _load(pipeline: str, code: Path | None, use_gpu: int) -> Language:
    """Load the pipeline, once in each process."""
    import_code(code)
    setup_gpu(use_gpu, silent=use_gpu < 0)
    nlp = load_pipeline(pipeline)
    find_tagger(nlp)
    return nlp


def _make_format(nlp: Language, output_format: str, text_key: str) -> Format:
    attributes = [pipe.attribute for _, pipe in nlp.pipeline if isinstance(pipe, LSTMTagger)]
    extensions = [attribute for attribute in attributes if attribute not in FACTORIES]
    if output_format == "jsonl":
        return Jsonl(text_key=text_key, extensions=extensions)
    if output_format == "spacy":
        return DocBins(extensions=extensions)
    assigned = {name for pipe in nlp.pipe_names for name in nlp.get_pipe_meta(pipe).assigns}
    columns = [i for i, key in COLUMNS.items() if f"token.{key.lower()}" in assigned]
    return Conllu(columns=columns, extensions=extensions)


def _batches(
    tasks: list[Task],
    outputs: dict[Task, Output],
    origin: dict[str, object],
    text_key: str,
    batch_size: int,
    resume: bool,
) -> Iterator[Batch]:
    """Read the files, and open their outputs. The last batch of each is empty; if the file can't be
    read to its end, it says why.
    """
    for task in tasks:
        error = ""
        try:
            info = task.source.stat()
            file = [str(task.source.resolve()), info.st_size, info.st_mtime_ns]
            opened = Output(task.target, {**origin, "source": file}, resume=resume)
            outputs[task] = opened
            texts = islice(read_texts(task.source, text_key), opened.done.n_texts, None)
            for batch in minibatch(texts, batch_size):
                yield Batch(task, batch)
        except Exception as reason:  # whatever a damaged file leads to
            error = describe(reason)
            if str(task.source) not in error:
                error = f"{task.source}: {error}"
        yield Batch(task, [], error)


def _tag(batch: Batch, *, load: Callable[[], Language], output_format: Format) -> Tagged:
    """Tag a batch. Bytes are returned, as Docs take longer to send to another process."""
    if not batch.texts:
        return Tagged(batch.task, batch.error)
    nlp = load()
    rows, errors, n_tokens = [], [], 0
    with bounded_memory(nlp):
        docs = run_pipeline(nlp, batch.texts, lambda text: text.to_doc(nlp))
        for text, doc in zip(batch.texts, docs, strict=True):
            try:
                if isinstance(doc, Exception):
                    raise doc
                rows.append(output_format.row(doc, text))
                n_tokens += len(doc)
            except Exception as error:
                errors.append(f"{text.where}: {describe(error)}")
                rows.append(output_format.failed_row(text, errors[-1]))
        packed = output_format.pack(rows)
    n_texts, position = len(batch.texts), batch.texts[-1].position
    return Tagged(batch.task, "", packed, n_texts, n_tokens, tuple(errors), position)


def _write(
    task: Task,
    output: Output | None,
    batches: Iterable[Tagged],
    output_format: Format,
    bar: FileProgress,
) -> Done:
    """Write the file of a task."""
    errors: list[str] = []
    error = ""
    try:
        for batch in batches:
            error = error or batch.error
            errors += batch.errors[: N_SHOWN - len(errors)]
            if output is not None and batch.n_texts and not error:
                bar.show(task.source, batch.position)
                output.add(batch.packed, batch.n_texts, batch.n_tokens, len(batch.errors))
        if output is not None and not error:
            output.finish(output_format)
    except OSError as reason:
        error = f"{task.target}: {describe(reason)}"
        deque(batches, maxlen=0)
    finally:
        if output is not None:
            output.close()
    if output is None or error:
        return Done(Progress(), [], error)
    return Done(output.done, errors)
