"""Compiled kernels: kept on disk, made anew where they cannot be used."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from bigwig_loader.errors import BackendUnavailableError

TEXT = """extern "C" __global__ void one(int* out) { *out = 1; }
"""


@pytest.fixture
def images(fake_cuda: ModuleType) -> Any:
    return importlib.import_module("bigwig_loader.backend.cuda.images")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BIGWIG_LOADER_CACHE_DIR", str(tmp_path))
    return tmp_path / "kernels"


def compiled(images: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Targets that are compiled for from now on."""
    targets: list[str] = []
    real = images.compile_text

    def note(text: str, name: str, target: str) -> bytes:
        targets.append(target)
        return bytes(real(text, name, target))

    monkeypatch.setattr(images, "compile_text", note)
    return targets


def test_compiled_once_and_kept(images: Any, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    targets = compiled(images, monkeypatch)
    for _ in range(2):
        assert images.load_module(TEXT, "k.cu", "90").get_function("one").name == "one"
    assert targets == ["sm_90"]
    assert [path.suffix for path in cache.iterdir()] == [".cubin"]
    # Another text, and another architecture, are other images.
    images.load_module(TEXT + "// more\n", "k.cu", "90")
    assert targets == ["sm_90", "sm_90"]
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize("content", [b"", b"cut off", None])
def test_a_damaged_image_is_made_anew(
    images: Any, cache: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    targets = compiled(images, monkeypatch)
    images.load_module(TEXT, "k.cu", "90")
    (path,) = cache.iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[:-5] if content is None else content)
    assert images.load_module(TEXT, "k.cu", "90").get_function("one")
    assert targets == ["sm_90"] * 2
    assert path.read_bytes() == whole
    assert list(cache.iterdir()) == [path]


def test_without_a_cache_no_file_stays(
    images: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BIGWIG_LOADER_CACHE_DIR", "")
    monkeypatch.setattr(images.tempfile, "tempdir", str(tmp_path))
    assert images.load_module(TEXT, "k.cu", "90").get_function("one")
    assert not list(tmp_path.glob("*.cubin"))


def test_a_folder_that_cannot_be_written_to(
    images: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("BIGWIG_LOADER_CACHE_DIR", str(tmp_path / "file"))
    assert images.load_module(TEXT, "k.cu", "90").get_function("one")


def test_a_gpu_younger_than_the_compiler_gets_ptx(
    images: Any, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    targets = compiled(images, monkeypatch)
    assert images.load_module(TEXT, "k.cu", "130").get_function("one")
    assert targets == ["compute_121"]
    assert [path.suffix for path in cache.iterdir()] == [".ptx"]


def test_a_gpu_older_than_the_compiler_knows(images: Any, cache: Path) -> None:
    with pytest.raises(BackendUnavailableError, match=r"capability 7\.0.*7\.5 and later.*cuda12"):
        images.load_module(TEXT, "k.cu", "70")


def test_a_text_that_does_not_compile(images: Any, cache: Path) -> None:
    with pytest.raises(
        BackendUnavailableError, match=r"k\.cu does not compile for sm_90.*"
    ) as info:
        images.load_module(TEXT + "nonsense here;\n", "k.cu", "90")
    assert "nonsense" in str(info.value)
    assert not cache.exists() or not list(cache.iterdir())


def test_nothing_makes_subnormal_numbers_zero(images: Any) -> None:
    assert not any("ftz" in option or "fast" in option for option in images.OPTIONS)
