"""``bigwig-loader doctor``: what runs here, what does not, and the command that changes it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bigwig_loader.cli.diagnosis import Check

EXAMPLES = """
Examples:

bigwig-loader doctor

bigwig-loader doctor --json
"""

_UNUSABLE = 1
_MARKS = {"ok": "[green]ok[/]", "missing": "[yellow]missing[/]", "failed": "[red]failed[/]"}


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show backends, libraries, and how to install what is missing.

    Exit code 0 if the CPU library can be used, whatever else is missing.
    """
    from bigwig_loader.cli.diagnosis import diagnose

    checks = diagnose()
    if as_json:
        typer.echo(json.dumps([vars(check) for check in checks], indent=2))
    else:
        _print(checks)
    if any(check.state == "failed" for check in checks):
        raise typer.Exit(_UNUSABLE)


def _print(checks: list[Check]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    table = Table(show_header=False, box=None, pad_edge=False)
    for check in checks:
        table.add_row(f"[bold]{check.name}[/]", _MARKS[check.state], escape(check.found))
    console.print(table)
    fixes: dict[str, list[str]] = {}
    for check in checks:
        if check.state != "ok" and check.command:
            fixes.setdefault(check.command, []).append(check.name)
    if fixes:
        console.print("\nTo install what is missing:")
    for command, names in fixes.items():
        # As plain text, so that it can be copied whole and brackets stay.
        typer.echo(f"  {command}    # {', '.join(names)}")
