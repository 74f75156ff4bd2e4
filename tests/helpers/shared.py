"""The folder of real public files with truth values, where it lies beside the repository."""

from __future__ import annotations

from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SHARED = REPOSITORY.parent / "shared"


def shared_data(*parts: str) -> Path:
    """Path below ``../shared/data``; the calling test is skipped where it is absent.

    Parameters
    ----------
    *parts : str
        Path components, e.g. ``shared_data("truth", "bad_behaviour.json")``.
    """
    path = SHARED.joinpath("data", *parts)
    if not path.exists():
        pytest.skip(
            f"needs ../shared/data/{'/'.join(parts)}, which is not there", allow_module_level=True
        )
    return path


def shared_peers(*parts: str) -> Path:
    """Path below ``../shared/peers``: exact outputs of other libraries; as `shared_data`."""
    path = SHARED.joinpath("peers", *parts)
    if not path.exists():
        pytest.skip(
            f"needs ../shared/peers/{'/'.join(parts)}, which is not there", allow_module_level=True
        )
    return path
