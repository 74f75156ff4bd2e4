"""``python -m bigwig_loader.demo``: the demo with its defaults."""

from __future__ import annotations

from bigwig_loader.demo import run_demo

if __name__ == "__main__":
    run_demo()
