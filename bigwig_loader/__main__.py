"""``python -m bigwig_loader``: the command ``bigwig-loader``."""

from __future__ import annotations

from bigwig_loader.cli import main

if __name__ == "__main__":
    main()
