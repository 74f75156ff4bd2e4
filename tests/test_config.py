"""Settings are read from the environment when they are asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from bigwig_loader import config as module
from bigwig_loader.config import SETTINGS, config
from bigwig_loader.errors import InvalidInputError

VARIABLES = {
    "example_data_dir": "BIGWIG_LOADER_EXAMPLE_DATA_DIR",
    "bigwig_dir": "BIGWIG_LOADER_BIGWIG_DIR",
    "reference_genome": "BIGWIG_LOADER_REFERENCE_GENOME",
    "cache_dir": "BIGWIG_LOADER_CACHE_DIR",
}


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in (*VARIABLES.values(), "BIGWIG_LOADER_VERIFY", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", "/home/someone")


def test_defaults() -> None:
    cache = Path("/home/someone/.cache/bigwig_loader")
    assert config.cache_dir == cache
    assert config.example_data_dir == cache / "example_data"
    assert config.bigwig_dir == cache / "example_data" / "bigwig"
    assert config.reference_genome == cache / "example_data" / "hg38.fa"
    assert config.verify == "once"
    assert config.read == "auto"
    assert config.inflate == "auto"


def test_xdg_cache_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/scratch/cache")
    assert config.cache_dir == Path("/scratch/cache/bigwig_loader")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert config.cache_dir == Path("/home/someone/.cache/bigwig_loader")


@pytest.mark.parametrize(("name", "variable"), VARIABLES.items())
def test_variables_count_from_when_they_are_set(
    monkeypatch: pytest.MonkeyPatch, name: str, variable: str
) -> None:
    before = getattr(config, name)
    monkeypatch.setenv(variable, "~/some/place")
    assert getattr(config, name) == Path("/home/someone/some/place") != before
    monkeypatch.delenv(variable)
    assert getattr(config, name) == before


def test_files_lie_in_the_example_data_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIGWIG_LOADER_EXAMPLE_DATA_DIR", "/data")
    assert config.bigwig_dir == Path("/data/bigwig")
    assert config.reference_genome == Path("/data/hg38.fa")


def test_the_module_has_the_same_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIGWIG_LOADER_BIGWIG_DIR", "/data/bw")
    assert all(getattr(module, name) == getattr(config, name) for name in SETTINGS)
    assert set(SETTINGS) <= set(dir(module))
    with pytest.raises(AttributeError, match="bigwig_dirs"):
        module.bigwig_dirs  # noqa: B018
    assert "bigwig_dir=PosixPath('/data/bw')" in repr(config)


def test_an_empty_cache_folder_means_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIGWIG_LOADER_CACHE_DIR", "")
    assert config.cache_dir is None


def test_no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("no home directory")

    monkeypatch.setattr(Path, "home", no_home)
    assert config.cache_dir is None
    with pytest.raises(InvalidInputError, match="Set BIGWIG_LOADER_EXAMPLE_DATA_DIR"):
        config.bigwig_dir  # noqa: B018
    monkeypatch.setenv("BIGWIG_LOADER_BIGWIG_DIR", "~nobody-of-that-name/x")
    with pytest.raises(InvalidInputError, match="BIGWIG_LOADER_BIGWIG_DIR"):
        config.bigwig_dir  # noqa: B018


@pytest.mark.parametrize("value", ["once", "always", "never"])
def test_verify(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("BIGWIG_LOADER_VERIFY", value)
    assert config.verify == value


@pytest.mark.parametrize("value", ["auto", "kvikio", "host"])
def test_read(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("BIGWIG_LOADER_READ", value)
    assert config.read == value
    monkeypatch.setenv("BIGWIG_LOADER_READ", "")
    assert config.read == "auto"


@pytest.mark.parametrize("value", ["auto", "kernel", "nvcomp"])
def test_inflate(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("BIGWIG_LOADER_INFLATE", value)
    assert config.inflate == value
    monkeypatch.setenv("BIGWIG_LOADER_INFLATE", "")
    assert config.inflate == "auto"


def test_verify_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIGWIG_LOADER_VERIFY", "sometimes")
    with pytest.raises(InvalidInputError, match=r"BIGWIG_LOADER_VERIFY.*'sometimes'"):
        config.verify  # noqa: B018
