"""Words of a command line in, calls out: the group `python -m spacy lstm-tagger`.

spaCy imports this module before each of its commands, so each command imports what it needs when
it runs.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Optional

import typer
from spacy.cli._util import Arg, Opt, app, import_code, parse_config_overrides, setup_gpu
from wasabi import msg

HELP = "Commands for pipelines with the component lstm_tagger: look at one, check its data, use it."
CODE_HELP = "Python file with additional code (registered functions) to be imported"
COMPONENT_HELP = "Name of the component; by default the first lstm_tagger"
FORCE_HELP = "Overwrite existing output"
GPU_HELP = "GPU ID or -1 for CPU"
KEY_HELP = "Key of the text in JSONL files"

lstm_tagger_cli = typer.Typer(name="lstm-tagger", help=HELP, no_args_is_help=True)
app.add_typer(lstm_tagger_cli)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn what is wrong with the input into one line and exit code 1."""
    try:
        yield
    except (OSError, ValueError) as error:
        msg.fail(" ".join(str(error).split()), exits=1)


@lstm_tagger_cli.command("report", no_args_is_help=True)
def report_cli(
    pipelines: list[str] = Arg(..., help="A trained pipeline, name or path; two to compare them"),
    corpus: Path = Arg(..., help="Annotated corpus: .spacy or .conllu, or a folder of these"),
    output: Path = Opt(..., "--output", "-o", help="The page; figures in a .json file beside it"),
    train: Optional[Path] = Opt(  # noqa: UP045  # older versions of Typer know no "Path | None"
        None, "--train", "-t", help="Training corpus, to tell how often words were seen"
    ),
    log: Optional[Path] = Opt(  # noqa: UP045
        None, "--log", "-l", help="What spacy train printed or logged, for the learning curve"
    ),
    component: Optional[str] = Opt(None, "--component", help=COMPONENT_HELP),  # noqa: UP045
    tokenizer: bool = Opt(
        False, "--tokenizer", "-T", help="Score the pipeline's tokens, not those of the corpus"
    ),
    force: bool = Opt(False, "--force", "-F", help=FORCE_HELP),
    code: Optional[Path] = Opt(None, "--code", "-c", help=CODE_HELP),  # noqa: UP045
    use_gpu: int = Opt(-1, "--gpu-id", "-g", help=GPU_HELP),
) -> None:
    """Write a page that shows where a tagger errs, or how two of them differ."""
    if len(pipelines) > 2:
        raise typer.BadParameter(f"one or two pipelines can be shown, not {len(pipelines)}")
    with one_line_errors():
        import_code(code)
        setup_gpu(use_gpu)
        from .report import write_report

        write_report(
            pipelines,
            corpus,
            output,
            train=train,
            log=log,
            component=component,
            own_tokens=tokenizer,
            force=force,
        )


@lstm_tagger_cli.command(
    "debug",
    no_args_is_help=True,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def debug_cli(
    ctx: typer.Context,
    config: Path = Arg(..., help="Config of a training, filled or not"),
    component: Optional[str] = Opt(None, "--component", help=COMPONENT_HELP),  # noqa: UP045
    n_examples: int = Opt(10, "--examples", "-n", min=0, help="How many examples to show of each"),
    code: Optional[Path] = Opt(None, "--code", "-c", help=CODE_HELP),  # noqa: UP045
) -> None:
    """Check the corpora of a config for what makes training an lstm_tagger hard. Settings can be
    overridden as in spacy train: --paths.train FILE.
    """
    overrides = parse_config_overrides(ctx.args)
    with one_line_errors():
        import_code(code)
        from .debug import debug

        debug(config, overrides, component=component, n_examples=n_examples)


@lstm_tagger_cli.command("uncertain", no_args_is_help=True)
def uncertain_cli(
    pipeline: str = Arg(..., help="A trained pipeline, name or path"),
    texts: list[Path] = Arg(..., help="Files: .jsonl, .conllu, .spacy, or text line by line"),
    output: Path = Opt(..., "--output", "-o", help="JSONL file to write"),
    n: int = Opt(100, "--number", "-n", min=1, help="How many to choose"),
    level: str = Opt("sentence", "--level", help="What to choose: sentence or token"),
    measure: str = Opt("entropy", "--measure", help="entropy, margin or confidence"),
    component: Optional[str] = Opt(None, "--component", help=COMPONENT_HELP),  # noqa: UP045
    text_key: str = Opt("text", "--text-key", "-tk", help=KEY_HELP),
    force: bool = Opt(False, "--force", "-F", help=FORCE_HELP),
    code: Optional[Path] = Opt(None, "--code", "-c", help=CODE_HELP),  # noqa: UP045
    use_gpu: int = Opt(-1, "--gpu-id", "-g", help=GPU_HELP),
) -> None:
    """Choose the sentences of which the tagger is least sure: the next ones to annotate."""
    with one_line_errors():
        import_code(code)
        setup_gpu(use_gpu)
        from .uncertain import write_uncertain

        write_uncertain(
            pipeline,
            texts,
            output,
            n=n,
            level=level,
            measure=measure,
            component=component,
            text_key=text_key,
            force=force,
        )


@lstm_tagger_cli.command("tag", no_args_is_help=True)
def tag_cli(
    pipeline: str = Arg(..., help="A trained pipeline, name or path"),
    files: list[Path] = Arg(
        ..., help="Files or folders: .jsonl, .conllu, .spacy, or text line by line"
    ),
    output: Path = Opt(..., "--output", "-o", help="Folder to write one file to for each"),
    output_format: str = Opt("conllu", "--format", "-f", help="conllu, jsonl or spacy"),
    text_key: str = Opt("text", "--text-key", "-tk", help=KEY_HELP),
    batch_size: int = Opt(256, "--batch-size", "-b", min=1, help="Texts read side by side"),
    n_process: int = Opt(1, "--n-process", "-n", min=1, help="Processes that share the files"),
    resume: bool = Opt(False, "--resume", "-r", help="Skip files whose output exists"),
    force: bool = Opt(False, "--force", "-F", help=FORCE_HELP),
    code: Optional[Path] = Opt(None, "--code", "-c", help=CODE_HELP),  # noqa: UP045
    use_gpu: int = Opt(-1, "--gpu-id", "-g", help=GPU_HELP),
) -> None:
    """Run a pipeline over files of any size, and write what it says of each token."""
    with one_line_errors():
        from .tag import tag_files

        tag_files(
            pipeline,
            files,
            output,
            output_format=output_format,
            text_key=text_key,
            batch_size=batch_size,
            n_process=n_process,
            resume=resume,
            force=force,
            code=code,
            use_gpu=use_gpu,
        )
