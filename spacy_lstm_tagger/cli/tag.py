"""Files in, the same with labels out: batch by batch, in one process or several."""

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache, partial
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from spacy.cli._util import import_code, setup_gpu
from spacy.language import Language
from spacy.util import minibatch
from tqdm import tqdm
from wasabi import msg

from ..batch import bounded_memory, share_out
from ..pipeline.finding import find_tagger
from .io import WRITERS, Text, find_files, load_pipeline, read_texts


class Task(NamedTuple):
    """A file to read and one to write."""

    source: Path
    target: Path


class Batch(NamedTuple):
    """Some texts of a file, before they are tagged and after it.

    texts: The texts; none after it.
    written: What its file gets of them, once they are tagged.
    n_texts, n_tokens: How many were tagged.
    error: Why they could not be read or tagged; "" if they could.
    """

    task: Task
    texts: list[Text]
    written: Any = None
    n_texts: int = 0
    n_tokens: int = 0
    error: str = ""


class Done(NamedTuple):
    """What came of a task.

    n_texts, n_tokens: How many were tagged.
    error: Why the file could not be read; "" if it could.
    """

    task: Task
    n_texts: int
    n_tokens: int
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
    """Run a pipeline over files, and write a file for each.

    pipeline (str): Name or path.
    paths (list[Path]): Files, or folders of files.
    output (Path): The folder to write to.
    output_format (str): "conllu", "jsonl" or "spacy".
    text_key (str): Where JSONL files have their texts.
    batch_size (int): How many texts to read side by side.
    n_process (int): How many processes share the texts; each loads the pipeline once.
    resume (bool): Whether to skip the files whose output is there.
    force (bool): Whether to overwrite.
    code (Path | None): Python file to be imported first.
    use_gpu (int): Number of the GPU; -1 for none.
    RETURNS (list[Done]): What was done.
    RAISES: ValueError if something is missing, or would be overwritten, before anything is written;
        or if a file can't be read, after all others are written.
    """
    if output_format not in WRITERS:
        raise ValueError(f"the format {output_format!r} must be one of {', '.join(WRITERS)}")
    tasks = _tasks(paths, output, output_format)
    if output.exists() and not output.is_dir():
        raise ValueError(f"{output} is a file; name a folder")
    present = [task for task in tasks if task.target.exists()]
    if present and not (resume or force):
        raise ValueError(
            f"{present[0].target} exists already; use --force to overwrite it, or --resume to go "
            "on with the files that are not done"
        )
    if resume:
        tasks = [task for task in tasks if task not in present]
        msg.info(f"{len(present)} files are done, {len(tasks)} are not")
    if not tasks:
        return []
    _load(pipeline, code, use_gpu)  # what is wrong with it is said once, and before any work
    load = partial(_load, pipeline, code, use_gpu)
    run = partial(_tag, load=load, output_format=output_format)
    batches = _batches(tasks, text_key, batch_size)
    tagged = share_out(run, batches, n_process=n_process) if n_process > 1 else map(run, batches)
    done = []
    with tqdm(desc="Tagging", unit=" tokens", unit_scale=True, delay=2, disable=None) as bar:
        for task, of_task in groupby(tagged, key=lambda batch: batch.task):
            done.append(_write(task, of_task, output_format, bar))
    n_texts, n_tokens = sum(d.n_texts for d in done), sum(d.n_tokens for d in done)
    n_files = sum(not d.error for d in done)
    msg.good(f"Tagged {n_tokens:,} tokens of {n_texts:,} texts: {n_files:,} files in {output}")
    if errors := [d.error for d in done if d.error]:
        raise ValueError(f"{len(errors)} files were not tagged. {errors[0]}")
    return done


def _tasks(paths: list[Path], output: Path, output_format: str) -> list[Task]:
    """Name the output of each file; ValueError if two would have the same one."""
    tasks: dict[Path, Task] = {}
    for source, name in find_files(paths):
        target = output / name.with_suffix(f".{output_format}")
        if target in tasks:
            raise ValueError(f"{tasks[target].source} and {source} would both become {target}")
        if target.resolve() == source.resolve():
            raise ValueError(
                f"{source} would be overwritten by its own output; name another folder"
            )
        tasks[target] = Task(source, target)
    return list(tasks.values())


@lru_cache(maxsize=1)
def _load(pipeline: str, code: Path | None, use_gpu: int) -> Language:
    """Load the pipeline, once in each process."""
    import_code(code)
    setup_gpu(use_gpu, silent=use_gpu < 0)
    nlp = load_pipeline(pipeline)
    find_tagger(nlp)
    return nlp


def _batches(tasks: list[Task], text_key: str, batch_size: int) -> Iterator[Batch]:
    """Read the files; each becomes one batch at least. A file that can't be read ends with a batch
    that says why."""
    for task in tasks:
        error = ""
        try:
            for texts in minibatch(read_texts(task.source, text_key), batch_size):
                yield Batch(task, texts)
        except (OSError, ValueError) as reason:
            error = str(reason)
        yield Batch(task, [], error=error)


def _tag(batch: Batch, *, load: Callable[[], Language], output_format: str) -> Batch:
    """Tag a batch, and return no Docs: what the file gets of them travels faster."""
    if batch.error:
        return batch
    nlp = load()
    try:
        with bounded_memory(nlp):
            docs = [text.to_doc(nlp) for text in batch.texts]
            docs = list(nlp.pipe(docs, batch_size=max(len(docs), 1)))
            written = WRITERS[output_format].made_of(docs, batch.texts)
            n_tokens = sum(map(len, docs))
    except (OSError, ValueError) as error:
        return Batch(batch.task, [], error=str(error))
    return Batch(batch.task, [], written, len(batch.texts), n_tokens)


def _write(task: Task, batches: Iterable[Batch], output_format: str, bar: tqdm) -> Done:
    """Write the file of a task; an error, or an interruption, leaves no unfinished one."""
    n_texts, n_tokens, error = 0, 0, ""
    writer = WRITERS[output_format](task.target)
    try:
        for batch in batches:
            error = error or batch.error
            if not error:
                writer.add(batch.written)
                n_texts += batch.n_texts
                n_tokens += batch.n_tokens
                bar.update(batch.n_tokens)
        if not error:
            writer.finish()
    finally:
        writer.discard()
    return Done(task, n_texts, n_tokens, error)
