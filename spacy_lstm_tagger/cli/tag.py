"""Files in, the same with labels out: one file after another, or many at a time."""

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import lru_cache, partial
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

from spacy.cli._util import import_code, setup_gpu
from spacy.language import Language
from tqdm import tqdm
from wasabi import msg

from ..pipeline.finding import find_tagger
from .loading import load_pipeline
from .reading import find_files, read_texts
from .writing import WRITERS

BATCHES_PER_ZONE = 16  # after so many batches new words are forgotten


class Task(NamedTuple):
    """A file to read and one to write."""

    source: Path
    target: Path


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
    n_process (int): How many processes share the files; each loads the pipeline once.
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
    run = partial(
        _tag_file,
        load=partial(_load, pipeline, code, use_gpu),
        output_format=output_format,
        text_key=text_key,
        batch_size=batch_size,
    )
    done = []
    with tqdm(desc="Tagging", unit=" tokens", unit_scale=True, delay=2, disable=None) as bar:
        for result in _run(run, tasks, min(n_process, len(tasks))):
            done.append(result)
            bar.update(result.n_tokens)
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


def _run(run: Callable[[Task], Done], tasks: list[Task], n_process: int) -> Iterator[Done]:
    if n_process == 1:
        yield from map(run, tasks)
        return
    # Not forked: the threads of this process would be missing in a fork, and their locks not.
    with ProcessPoolExecutor(n_process, mp_context=get_context("spawn")) as pool:
        for future in as_completed([pool.submit(run, task) for task in tasks]):
            yield future.result()


def _tag_file(
    task: Task,
    *,
    load: Callable[[], Language],
    output_format: str,
    text_key: str,
    batch_size: int,
) -> Done:
    """Tag a file; numbers alone are returned, so nothing large goes from process to process."""
    nlp = load()
    n_texts = n_tokens = 0
    writer = WRITERS[output_format](task.target)
    try:
        texts = read_texts(task.source, text_key)
        while some := list(islice(texts, BATCHES_PER_ZONE * batch_size)):
            with nlp.memory_zone():
                docs = ((text.to_doc(nlp), text) for text in some)
                for doc, text in nlp.pipe(docs, as_tuples=True, batch_size=batch_size):
                    writer.add(doc, text)
                    n_texts += 1
                    n_tokens += len(doc)
    except (OSError, ValueError) as error:
        writer.discard()
        return Done(task, n_texts, n_tokens, str(error))
    except BaseException:  # an interruption, too, leaves no unfinished file
        writer.discard()
        raise
    writer.finish()
    return Done(task, n_texts, n_tokens)
