"""The commands `python -m spacy lstm-tagger`.

spaCy imports this module before each of its commands, so each command imports what it needs when
it runs.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from spacy.cli._util import Arg, Opt, app, import_code, parse_config_overrides, setup_gpu
from wasabi import msg

HELP = "Commands for pipelines with the component lstm_tagger: check data, judge, use and improve."
KINDS = ".jsonl, .conllu, .spacy, or any other name for text, line by line"

Pipeline = Annotated[str, Arg(help="A trained pipeline: its path, or the name of a package")]
Component = Annotated[str | None, Opt(help="Name of the component; by default the first one")]
TextKey = Annotated[str, Opt("--text-key", "-tk", help="Key of the text in JSON files")]
Force = Annotated[bool, Opt("--force", "-F", help="Overwrite existing output")]
Code = Annotated[Path | None, Opt("--code", "-c", help="Python file to be imported first")]
Gpu = Annotated[int, Opt("--gpu-id", "-g", help="GPU ID or -1 for CPU")]

lstm_tagger_cli = typer.Typer(name="lstm-tagger", help=HELP, no_args_is_help=True)
app.add_typer(lstm_tagger_cli)


@contextmanager
def one_line_errors(code: Path | None = None, use_gpu: int | None = None) -> Iterator[None]:
    """Import a Python file and use a GPU, if given; turn invalid input into one line and exit code
    1.
    """
    try:
        import_code(code)
        if use_gpu is not None:
            setup_gpu(use_gpu)
        yield
    except (ImportError, OSError, ValueError) as error:
        from .texts import printable

        msg.fail(printable(" ".join(str(error).split())), exits=1)


@lstm_tagger_cli.command("report", no_args_is_help=True)
def report_cli(
    pipelines: Annotated[list[str], Arg(help="A trained pipeline, or two to compare them")],
    corpus: Annotated[Path, Arg(help="Annotated corpus: .spacy or .conllu, or a folder of these")],
    output: Annotated[Path, Opt("--output", "-o", help="The page; its figures go to a .json file")],
    train: Annotated[Path | None, Opt("--train", "-t", help="The training corpus")] = None,
    log: Annotated[Path | None, Opt("--log", "-l", help="What spacy train printed")] = None,
    component: Component = None,
    tokenizer: Annotated[
        bool, Opt("--tokenizer", "-T", help="Score the pipeline's tokens, not the corpus's own")
    ] = False,
    force: Force = False,
    code: Code = None,
    use_gpu: Gpu = -1,
) -> None:
    """Write a page that shows where a tagger errs, or how two of them differ."""
    if len(pipelines) > 2:
        raise typer.BadParameter(f"one or two pipelines can be shown, not {len(pipelines)}")
    with one_line_errors(code, use_gpu):
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
    config: Annotated[Path, Arg(help="Config of a training, filled or not")],
    component: Component = None,
    n_examples: Annotated[int, Opt("--examples", "-n", min=1, help="Rows of each table")] = 10,
    code: Code = None,
) -> None:
    """Say what makes the corpora of a config hard for an lstm_tagger. Settings can be overridden as
    in spacy train: --paths.train FILE.
    """
    overrides = parse_config_overrides(ctx.args)
    with one_line_errors(code):
        from .debug import debug

        debug(config, overrides, component=component, n_examples=n_examples)


@lstm_tagger_cli.command("uncertain", no_args_is_help=True)
def uncertain_cli(
    pipeline: Pipeline,
    texts: Annotated[list[Path], Arg(help=f"Files or folders of files: {KINDS}")],
    output: Annotated[Path, Opt("--output", "-o", help="JSONL file to write")],
    n: Annotated[int, Opt("--number", "-n", min=1, help="How many to choose")] = 100,
    level: Annotated[str, Opt(help="What to choose: sentence or token")] = "sentence",
    measure: Annotated[str, Opt(help="entropy, margin or confidence")] = "entropy",
    component: Component = None,
    text_key: TextKey = "text",
    force: Force = False,
    code: Code = None,
    use_gpu: Gpu = -1,
) -> None:
    """Choose the sentences of which the tagger is least sure: the next ones to annotate."""
    with one_line_errors(code, use_gpu):
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
    pipeline: Pipeline,
    files: Annotated[list[Path], Arg(help=f"Files or folders of files: {KINDS}")],
    output: Annotated[Path, Opt("--output", "-o", help="Folder to write a file to for each")],
    output_format: Annotated[str, Opt("--format", "-f", help="conllu, jsonl or spacy")] = "conllu",
    text_key: TextKey = "text",
    batch_size: Annotated[int, Opt("--batch-size", "-b", min=1, help="Texts per batch")] = 256,
    n_process: Annotated[
        int, Opt("--n-process", "-n", min=1, help="Processes that share the texts")
    ] = 1,
    resume: Annotated[bool, Opt("--resume", "-r", help="Skip files whose output exists")] = False,
    force: Force = False,
    code: Code = None,
    use_gpu: Gpu = -1,
) -> None:
    """Run a pipeline over files of any size, and write its annotation of each token."""
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


@lstm_tagger_cli.command("convert", no_args_is_help=True)
def convert_cli(
    files: Annotated[
        list[Path],
        Arg(help="Files or folders: .csv, .tsv, CoNLL or IOB; .jsonl or .json with spans"),
    ],
    output: Annotated[Path, Opt("--output", "-o", help="Folder for the DocBins")],
    attribute: Annotated[
        str,
        Opt("--attribute", "-a", help="tag, pos, morph, or the NAME of an extension token._.NAME"),
    ] = "label",
    word: Annotated[str | None, Opt("--word", "-w", help="Column of the tokens")] = None,
    label: Annotated[str | None, Opt("--label", "-l", help="Column of the labels")] = None,
    sentence: Annotated[
        str | None, Opt("--sentence", "-s", help="Column of the sentences, if there is one")
    ] = None,
    lang: Annotated[str, Opt("--lang", help="Language whose tokenizer cuts texts")] = "xx",
    text_key: TextKey = "text",
    split: Annotated[
        str | None, Opt("--split", help="Shares of train, dev and test, such as 0.8,0.1,0.1")
    ] = None,
    seed: Annotated[int, Opt("--seed", help="Seed of the split")] = 0,
    force: Annotated[
        bool,
        Opt("--force", "-F", help="Overwrite existing output, and leave out spans that cut tokens"),
    ] = False,
) -> None:
    """Convert tables of tokens and labels, or texts with spans, to DocBins. Columns are numbers
    from 1, or names in the first line.
    """
    with one_line_errors():
        from .convert import convert
        from .tables import Columns

        convert(
            files,
            output,
            attribute=attribute,
            columns=Columns(word, label, sentence),
            lang=lang,
            text_key=text_key,
            split=split,
            seed=seed,
            force=force,
        )


@lstm_tagger_cli.command(
    "distill",
    no_args_is_help=True,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def distill_cli(
    inputs: Annotated[
        list[str], Arg(metavar="TEACHER... TEXTS...", help=f"Trained pipelines, and texts: {KINDS}")
    ],
    output: Annotated[Path, Opt("--output", "-o", help="Folder to write to")],
    train: Annotated[Path | None, Opt(help="Corpus with gold labels to learn from, too")] = None,
    dev: Annotated[Path | None, Opt(help="Corpus with gold labels to select the pupil by")] = None,
    config: Annotated[Path | None, Opt(help="Config of the training; None for a good one")] = None,
    size: Annotated[str, Opt(help="fast, tagger or accurate")] = "tagger",
    component: Annotated[
        list[str] | None,
        Opt(help="Component that teaches; by default all taggers and morphologizers"),
    ] = None,
    by_sentence: Annotated[
        bool | None,
        Opt(
            "--by-sentence/--by-text",
            help="Whether teachers read sentence by sentence; by default as in their training",
        ),
    ] = None,
    vectors: Annotated[str | None, Opt(help="Pipeline whose word vectors the pupil reads")] = None,
    keep: Annotated[
        list[str] | None, Opt(help="Component to keep although it is no part of tagging")
    ] = None,
    text_key: TextKey = "text",
    resume: Annotated[bool, Opt("--resume", "-r", help="Go on with labels that are there")] = False,
    force: Force = False,
    code: Code = None,
    use_gpu: Gpu = -1,
) -> None:
    """Train a fast tagger on what trained pipelines think of texts, and put it in the place of the
    first one. Settings of the config can be overridden as in spacy train, behind all else:
    --training.max_steps N.
    """
    first = next((i for i, word in enumerate(inputs) if word.startswith("--")), len(inputs))
    overrides = parse_config_overrides(inputs[first:])
    with one_line_errors(code):
        from .distill import Order, distill

        order = Order(
            inputs=inputs[:first],
            output=output,
            train=train,
            dev=dev,
            config=config,
            size=size,
            components=component or (),
            by_sentence=by_sentence,
            vectors=vectors,
            keep=keep or (),
            text_key=text_key,
            overrides=overrides,
            resume=resume,
            force=force,
            use_gpu=use_gpu,
        )
        distill(order)


@lstm_tagger_cli.command("compact", no_args_is_help=True)
def compact_cli(
    pipeline: Pipeline,
    output: Annotated[Path, Opt("--output", "-o", help="Folder to write the pipeline to")],
    texts: Annotated[
        list[Path] | None,
        Opt(help=f"Files or folders of texts, to see how much can be dropped: {KINDS}"),
    ] = None,
    text_key: TextKey = "text",
    force: Force = False,
    code: Code = None,
) -> None:
    """Save a trained pipeline in a fraction of its size: with rounded weights, and without words
    that hardly change a label.
    """
    with one_line_errors(code):
        from .compact import compact_pipeline

        compact_pipeline(pipeline, output, texts or (), text_key=text_key, force=force)
