"""The cache of joined indices: always right, never in the way."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import fsspec
import numpy as np
import pytest

from bigwig_loader import index_cache
from bigwig_loader._bigwig_writer import WriterOptions, write_bigwig
from bigwig_loader.collection import BigWigCollection
from bigwig_loader.errors import NotFoundError
from bigwig_loader.index_cache import load_track_index
from bigwig_loader.plan.track_index import TrackIndex

CONTIGS = {"chr1": 4_000, "chr2": 900}


def made_file(path: Path, value: float = 1.0, n: int = 300) -> Path:
    data = {"chr1": (np.arange(n) * 10, np.arange(n) * 10 + 5, np.full(n, value))}
    return write_bigwig(path, CONTIGS, data, WriterOptions(items_per_block=4))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache's folder; everything is worth caching."""
    monkeypatch.setenv("BIGWIG_LOADER_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(index_cache, "MIN_CACHED_BLOCKS", 0)
    return tmp_path / "cache" / "index"


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    return [str(made_file(tmp_path / f"{i}.bw", i, 100 + i)) for i in range(3)]


def assert_same(a: TrackIndex, b: TrackIndex) -> None:
    for field in dataclasses.fields(TrackIndex):
        left, right = getattr(a, field.name), getattr(b, field.name)
        if field.name == "contigs":
            assert (left.names, left.where) == (right.names, right.where)
            left, right = left.lengths, right.lengths
        elif field.name == "paths":
            assert left == right
            continue
        assert left.dtype == right.dtype
        np.testing.assert_array_equal(left, right, err_msg=field.name)


@pytest.fixture
def no_reading(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Call it, and reading any index from its file fails from then on."""

    def fail(paths: list[str]) -> None:
        raise AssertionError(f"read {paths}")

    return lambda: monkeypatch.setattr(index_cache, "read_indices", fail)


def cached_file(folder: Path) -> Path:
    (file,) = folder.iterdir()  # and no left-overs beside it
    assert file.suffix == ".idx"
    return file


def test_a_hit_gives_an_identical_index(
    folder: Path, paths: list[str], no_reading: Callable[[], None]
) -> None:
    first = load_track_index(paths)
    no_reading()
    assert_same(load_track_index(paths), first)
    cached_file(folder)


def test_batches_from_a_hit(folder: Path, paths: list[str]) -> None:
    batches = []
    for _ in range(2):
        with BigWigCollection(paths) as collection:
            batches.append(collection.get_batch(["chr1"] * 2, [-5, 900], [1_000, 1_905]))
    np.testing.assert_array_equal(batches[0], batches[1])
    assert batches[0].any()


def test_every_list_of_files_has_its_own(folder: Path, paths: list[str]) -> None:
    for some in (paths, paths[:2], paths[::-1]):
        assert load_track_index(some).paths == tuple(some)
    assert len(list(folder.iterdir())) == 3
    for some in (paths, paths[:2], paths[::-1]):
        assert load_track_index(some).paths == tuple(some)


def test_relative_and_absolute_paths_share_one(
    folder: Path, paths: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    load_track_index(paths)
    monkeypatch.chdir(Path(paths[0]).parent)
    short = [Path(p).name for p in paths]
    assert load_track_index(short).paths == tuple(short)
    cached_file(folder)


def change_size(path: Path) -> None:
    made_file(path, 7.0, 150)


def change_content(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content.replace(b"chr2", b"chr3"))  # as many bytes as before


def touch(path: Path) -> None:
    os.utime(path, ns=(1, 1))


@pytest.mark.parametrize("change", [change_size, change_content, touch])
def test_a_changed_file_is_read_again(
    folder: Path, paths: list[str], change: Callable[[Path], None]
) -> None:
    load_track_index(paths)
    before = cached_file(folder).read_bytes()
    change(Path(paths[0]))
    changed = load_track_index(paths)
    assert_same(changed, index_cache.build_track_index(index_cache.read_indices(paths)))
    assert cached_file(folder).read_bytes() != before


def test_a_file_that_is_gone(folder: Path, paths: list[str]) -> None:
    load_track_index(paths)
    Path(paths[1]).unlink()
    with pytest.raises(NotFoundError, match=r"1\.bw"):
        load_track_index(paths)


def flip(content: bytearray, at: int) -> None:
    content[at] ^= 0x41


def edit_json(content: bytearray, change: Callable[[dict], None], digest: bool) -> bytearray:
    n = int.from_bytes(content[8:16], "little")
    meta = json.loads(content[32 : 32 + n])
    change(meta)
    text = json.dumps(meta).encode().ljust(n)
    mark = index_cache._digest(text) if digest else content[16:32]
    return content[:8] + len(text).to_bytes(8, "little") + mark + text + content[32 + n :]


DAMAGE: dict[str, Callable[[bytearray], bytes]] = {
    "empty": lambda c: b"",
    "other version": lambda c: b"BWLIDX01" + c[8:],
    "not a cache": lambda c: b"something else entirely",
    "length of the text": lambda c: c[:8] + b"\xff" * 8 + c[16:],
    "a flip in the text": lambda c: c[:200] + bytes([c[200] ^ 1]) + c[201:],
    "an edited number": lambda c: edit_json(c, lambda m: m["contig_lengths"].append(3), False),
    "no lengths": lambda c: edit_json(c, lambda m: m.pop("contig_lengths"), True),
    "no arrays": lambda c: edit_json(c, lambda m: m.pop("arrays"), True),
    "an array less": lambda c: edit_json(c, lambda m: m["arrays"].pop("spans"), True),
    "a wrong type": lambda c: edit_json(
        c, lambda m: m["arrays"]["swap"].__setitem__(0, "?x"), True
    ),
    "a list": lambda c: edit_json(c, lambda m: m["arrays"].__setitem__("swap", 3), True),
    "contigs twice": lambda c: edit_json(
        c, lambda m: m.__setitem__("contig_names", ["a", "a"]), True
    ),
    "half of it": lambda c: c[: len(c) // 2],
    "one byte less": lambda c: c[:-1],
    "the header alone": lambda c: c[:16],
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_cache_is_ignored_and_written_again(
    folder: Path, paths: list[str], no_reading: Callable[[], None], damage: str
) -> None:
    first = load_track_index(paths)
    file = cached_file(folder)
    sound = file.read_bytes()
    file.write_bytes(DAMAGE[damage](bytearray(sound)))
    assert_same(load_track_index(paths), first)
    assert cached_file(folder).read_bytes() == sound
    no_reading()
    assert_same(load_track_index(paths), first)


def test_small_indices_are_not_worth_it(
    folder: Path, paths: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_cache, "MIN_CACHED_BLOCKS", 20_000)
    load_track_index(paths)
    assert not folder.exists()


def test_no_cache_folder(paths: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIGWIG_LOADER_CACHE_DIR", "")
    monkeypatch.setattr(index_cache, "MIN_CACHED_BLOCKS", 0)
    assert load_track_index(paths).n_tracks == 3


@pytest.mark.parametrize("obstacle", ["a file", "read-only", "full disk"])
def test_a_cache_that_cannot_be_written_is_no_error(
    folder: Path, paths: list[str], obstacle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if obstacle == "a file":  # where the folder should be
        folder.parent.write_text("")
    elif obstacle == "read-only":
        if os.geteuid() == 0:
            monkeypatch.setattr(index_cache.tempfile, "NamedTemporaryFile", _refuse)
        else:
            folder.mkdir(parents=True)
            folder.chmod(0o555)
    else:
        monkeypatch.setattr(index_cache.os, "fsync", _refuse)
    assert load_track_index(paths).n_tracks == 3
    assert not folder.is_dir() or list(folder.iterdir()) == []


def _refuse(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


def test_an_interrupted_write_leaves_nothing_behind(
    folder: Path, paths: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(index_cache.os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        load_track_index(paths)
    assert list(folder.iterdir()) == []


def test_many_processes_at_once(folder: Path, paths: list[str]) -> None:
    code = (
        "import sys; from bigwig_loader import index_cache;"
        "index_cache.MIN_CACHED_BLOCKS = 0;"
        "print([index_cache.load_track_index(sys.argv[1:]).n_blocks for _ in range(20)][-1])"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code, *paths], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    results = {process.communicate(timeout=60)[0] for process in running}
    assert results == {f"{load_track_index(paths).n_blocks}\n"}
    cached_file(folder)


def test_names_that_are_not_utf8(folder: Path, tmp_path: Path) -> None:
    path = made_file(tmp_path / "a.bw")
    path.write_bytes(path.read_bytes().replace(b"chr2", b"ch\xff2"))
    first = load_track_index([str(path)])
    assert "ch\udcff2" in first.contigs.names
    assert_same(load_track_index([str(path)]), first)
    cached_file(folder)


def test_remote_files(folder: Path, paths: list[str], no_reading: Callable[[], None]) -> None:
    with fsspec.open("memory://cached/0.bw", "wb") as file:
        file.write(Path(paths[0]).read_bytes())
    remote = ["memory://cached/0.bw"]
    first = load_track_index(remote)
    with fsspec.open(remote[0], "wb") as file:
        file.write(Path(paths[1]).read_bytes())
    assert load_track_index(remote).n_blocks != first.n_blocks
    no_reading()
    assert load_track_index(remote).n_blocks != first.n_blocks
