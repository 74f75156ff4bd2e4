"""The demo: example data, a small model trained on it, and a picture of what it predicts.

Started with ``bigwig-loader demo`` or ``python -m bigwig_loader.demo``. Needs the extra ``demo``.
"""

from __future__ import annotations

from bigwig_loader.demo.run import DemoOptions, DemoResult, run_demo

__all__ = ["DemoOptions", "DemoResult", "run_demo"]
