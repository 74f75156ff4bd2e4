"""The command ``bigwig-loader``: argument wiring only.

What a command does stands in the package; what it needs is imported when it runs, so that
``bigwig-loader --help`` is quick.
"""

from __future__ import annotations

from bigwig_loader.cli.app import app

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line; the entry point ``bigwig-loader``."""
    app(prog_name="bigwig-loader")
