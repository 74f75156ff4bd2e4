"""All commands, and what happens when one fails."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from bigwig_loader.cli import (
    check,
    data,
    dataset,
    doctor,
    info,
    profile,
    regions,
    show,
    tokens,
    write,
)
from bigwig_loader.errors import BigWigLoaderError

FAILED = 2
_DEBUG = "--debug"


class _Commands(TyperGroup):
    """Turns the package's errors into one line and exit code 2; ``--debug`` shows the traceback.

    ``--debug`` may stand anywhere in the line, since it is added to a command that just failed.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        end = args.index("--") if "--" in args else len(args)
        if _DEBUG in args[:end]:
            args = [_DEBUG, *(a for a in args[:end] if a != _DEBUG), *args[end:]]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (BigWigLoaderError, OSError) as error:
            # A closed pipe is no error of the command's: `regions ... | head`.
            if ctx.params.get("debug") or isinstance(error, BrokenPipeError):
                raise
            message = " ".join(str(error).split())
            typer.echo(f"bigwig-loader: {message}", err=True)
            raise typer.Exit(FAILED) from None


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Base-resolution genomic signal and sequence, from BigWig and FASTA files to training "
    "batches.",
    epilog="Errors are one line and exit code 2. 'bigwig-loader COMMAND --help' shows examples.",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        import bigwig_loader

        typer.echo(f"bigwig-loader {bigwig_loader.__version__}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option(_DEBUG, help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Options of all commands."""
    del debug, version


app.command("info", epilog=info.EXAMPLES)(info.info)
app.command("check", epilog=check.EXAMPLES)(check.check)
app.command("doctor", epilog=doctor.EXAMPLES)(doctor.doctor)
app.command("regions", epilog=regions.EXAMPLES)(regions.regions)
app.command("show", epilog=show.EXAMPLES)(show.show)
app.command("profile", epilog=profile.EXAMPLES)(profile.profile)
app.command("write", epilog=write.EXAMPLES)(write.write)
app.add_typer(dataset.commands, name="dataset")
app.command("tokenize", epilog=tokens.TOKENIZE_EXAMPLES)(tokens.tokenize)
app.add_typer(tokens.commands, name="tokens")
app.command("demo", epilog=data.DEMO_EXAMPLES)(data.demo)
app.command("download-example-data", epilog=data.DOWNLOAD_EXAMPLES)(data.download_example_data)
app.command("make-example-data", epilog=data.MAKE_EXAMPLES)(data.make_example_data)
app.command(
    "bench",
    epilog=data.BENCH_EXAMPLES,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)(data.bench)
