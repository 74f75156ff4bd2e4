"""Stores of tokens: what is written is read, from any input; what is damaged is refused."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bigwig_loader.dataset.tokens import write as write_module
from bigwig_loader.dataset.tokens.sources import open_tokens
from bigwig_loader.errors import InvalidDataError, InvalidInputError, NotFoundError
from bigwig_loader.ragged import offsets_of
from bigwig_loader.tokens import Documents, Tokenizer, TokenStore, write_gtok, write_store
from tests.helpers.token_documents import lay_out, make_documents

UNIVERSE = {"chrom": ["chr1"] * 4, "start": [0, 100, 200, 300], "end": [50, 150, 250, 350]}


@pytest.fixture
def tokenizer() -> Tokenizer:
    return Tokenizer.from_bed(UNIVERSE)


def all_of(store: TokenStore) -> list[list[int]]:
    return [store[document].tolist() for document in range(len(store))]


def as_lists(documents: Documents) -> list[list[int]]:
    return [tokens.tolist() for tokens in documents]


@settings(max_examples=15)
@given(
    st.lists(st.lists(st.integers(0, 2**31 - 1), max_size=5), max_size=20),
    st.integers(1, 6),
)
def test_round_trips(
    tmp_path_factory: pytest.TempPathFactory, listed: list[list[int]], per_shard: int
) -> None:
    path = tmp_path_factory.mktemp("stores") / "s"
    values = np.array([token for document in listed for token in document], np.int32)
    documents = Documents(values, offsets_of(np.array([len(d) for d in listed], np.int64)))
    store = write_store(path, documents, documents_per_shard=per_shard)
    assert all_of(store) == listed
    assert (len(store), store.n_tokens) == (len(listed), len(values))
    assert all(0 < shard.n_documents <= per_shard for shard in store.shards)
    store.verify()


@pytest.mark.parametrize("kind", ["gtok", "listed", "store", "parquet", "memory"])
def test_every_kind_of_tokens(tmp_path: Path, kind: str) -> None:
    if kind == "parquet":
        pytest.importorskip("pyarrow", reason="needs pyarrow, which is not installed")
    documents = make_documents(30, 9)
    store = write_store(tmp_path / "made", lay_out(kind, documents, tmp_path))
    assert all_of(store) == as_lists(documents)
    assert len(store.shards) == 8
    source = open_tokens(lay_out("memory", documents, tmp_path))
    which = np.array([29, 3, 3, 0])
    np.testing.assert_array_equal(store.lengths(which), source.lengths(which))
    half = source.lengths(which) // 2
    np.testing.assert_array_equal(
        store.read(which, half, source.lengths(which) - half),
        source.read(which, half, source.lengths(which) - half),
    )


def test_regions_become_tokens(tmp_path: Path, tokenizer: Tokenizer) -> None:
    beds = []
    for number in range(9):
        beds.append(tmp_path / f"{number}.bed")
        beds[-1].write_text(f"chr1\t{number * 10}\t{number * 20 + 5}\nchr1\t320\t330\n")
    expected = [tokenizer(bed).input_ids.tolist() for bed in beds]
    stores = [write_store(tmp_path / "s1", beds, tokenizer, documents_per_shard=5, n_jobs=1)]
    # Threads are there at once; tasks are plain data for processes all the same.
    with joblib.parallel_config(backend="threading", n_jobs=2):
        stores.append(write_store(tmp_path / "s2", beds, tokenizer, documents_per_shard=5))
    for store in stores:
        assert all_of(store) == expected
        assert store.names(2, 4) == (str(beds[2]), str(beds[3]))
        assert (store.universe_hash, store.vocab_size) == (tokenizer.hash, 11)
        assert store.special_ids == dict(tokenizer.universe.special_ids)
        assert {shard.dtype for shard in store.shards} == {"uint16"}
    assert stores[0].fingerprint() == stores[1].fingerprint()
    again = write_store(tmp_path / "again", [stores[0].path, *beds[:1]], tokenizer)
    assert all_of(again) == [*expected, expected[0]]
    copied = write_store(tmp_path / "copied", stores[0].path)
    assert (copied.universe_hash, copied.special_ids) == (tokenizer.hash, stores[0].special_ids)


def test_fragments_and_names(tmp_path: Path, tokenizer: Tokenizer) -> None:
    path = tmp_path / "fragments.tsv"
    path.write_text("chr1\t0\t10\tAA\t1\nchr1\t100\t140\tCC\t1\nchr1\t210\t220\tAA\t1\n")
    store = write_store(tmp_path / "s", path, tokenizer)
    documents = tokenizer.documents(path)
    assert all_of(store) == as_lists(documents) == [[0, 2], [1]]
    assert store.names(0, 2) == ("AA", "CC")


def test_the_universe_is_checked(tmp_path: Path, tokenizer: Tokenizer) -> None:
    other = Tokenizer.from_bed({**UNIVERSE, "end": [50, 150, 250, 351]})
    store = write_store(tmp_path / "s", Documents(np.array([1, 10], np.int32), np.array([0, 2])),
                        tokenizer)  # fmt: skip
    assert TokenStore.open(store.path, tokenizer).universe_hash == tokenizer.hash
    assert TokenStore.open(store.path, tokenizer.universe).n_documents == 1
    for refused in (
        lambda: TokenStore.open(store.path, other),
        lambda: write_store(tmp_path / "t", store.path, other),
    ):
        with pytest.raises(InvalidInputError, match=f"universe {other.hash[:12]}"):
            refused()
    nobodys = write_store(tmp_path / "n", make_documents(2, 3))
    with pytest.raises(InvalidInputError, match="written without a tokenizer"):
        TokenStore.open(nobodys.path, tokenizer)
    with pytest.raises(InvalidInputError, match="tokens of one universe"):
        write_store(tmp_path / "t", [store.path, nobodys.path])
    assert not (tmp_path / "t").exists()


def test_tokens_out_of_range(tmp_path: Path, tokenizer: Tokenizer) -> None:
    bad = tmp_path / "bad.gtok"
    write_gtok(bad, [3, 10, 11, 2])
    with pytest.raises(InvalidDataError, match=r"bad\.gtok .*field token 2\).*below 11.*got 11"):
        write_store(tmp_path / "s", bad, tokenizer)
    with pytest.raises(InvalidDataError, match="below 5, the size"):
        write_store(tmp_path / "s", bad, vocab_size=5)
    negative = Documents(np.array([1, 2, -4], np.int32), np.array([0, 1, 3]))
    with pytest.raises(InvalidDataError, match=r"document 1 \(field token 1\).*got -4"):
        write_store(tmp_path / "s", negative)
    write_gtok(bad, [1, 2**31])
    with pytest.raises(InvalidDataError, match=r"field token 1\).*below 2\*\*31"):
        write_store(tmp_path / "s", bad)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.gtok"]


def test_calls_that_are_wrong(tmp_path: Path, tokenizer: Tokenizer) -> None:
    bed = tmp_path / "a.bed"
    bed.write_text("chr1\t1\t2\n")
    (tmp_path / "empty").mkdir()
    for data, message in (
        ([], "empty list"),
        ([bed], "argument tokenizer"),
        ([[("chr1", 1, 2)]], "tokenizer.documents"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            write_store(tmp_path / "s", data)
    with pytest.raises(InvalidInputError, match="argument order"):
        write_store(tmp_path / "s", bed, tokenizer, order="up")  # type: ignore[arg-type]
    for missing in (tmp_path / "no.bed", tmp_path / "no.gtok", tmp_path / "empty"):
        with pytest.raises(NotFoundError):
            write_store(tmp_path / "s", missing, tokenizer)
    write_store(tmp_path / "s", bed, tokenizer)
    with pytest.raises(InvalidInputError, match="overwrite=True"):
        write_store(tmp_path / "s", bed, tokenizer)
    replaced = write_store(tmp_path / "s", [bed, bed], tokenizer, overwrite=True)
    assert len(replaced) == 2


def _with_manifest(path: Path, change: Any) -> None:
    manifest = json.loads((path / "manifest.json").read_text())
    change(manifest)
    (path / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(format="x"), "not a store of tokens"),
        (lambda m: m.update(version=2), "another version"),
        (lambda m: m.pop("universe"), "lacks a field"),
        (lambda m: m["shards"][0].pop("dtype"), "lacks a field"),
        (lambda m: m["shards"][0].update(dtype="int8"), "do not add up"),
        (lambda m: m.update(n_tokens=3), "do not add up"),
        (lambda m: m["shards"][0].update(n_documents=-1), "do not add up"),
        (lambda m: m["shards"].pop(), "do not add up"),
    ],
)
def test_damaged_manifests(tmp_path: Path, change: Any, message: str) -> None:
    store = write_store(tmp_path / "s", make_documents(30, 5))
    _with_manifest(store.path, change)
    with pytest.raises(InvalidDataError, match=message):
        TokenStore.open(store.path)


def test_damaged_shards(tmp_path: Path) -> None:
    documents = make_documents(30, 5)
    store = write_store(tmp_path / "s", documents)
    file = store.path / store.shards[2].file
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    with pytest.raises(InvalidDataError, match=f"expected {len(whole)} bytes; got"):
        TokenStore.open(store.path)
    late = int(store._first[2])
    with pytest.raises(InvalidDataError, match="another size"):
        store[late]
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(InvalidDataError, match="another checksum"):
        TokenStore.open(store.path).verify()
    file.write_bytes(whole[:8] + (1 << 40).to_bytes(8, "little") + whole[16:])
    with pytest.raises(InvalidDataError, match="offsets do not ascend"):
        TokenStore.open(store.path)[late]
    file.unlink()
    with pytest.raises(NotFoundError, match="shard-00002"):
        TokenStore.open(store.path)
    (store.path / "manifest.json").write_text("{")
    with pytest.raises(InvalidDataError, match="not JSON"):
        TokenStore.open(store.path)
    with pytest.raises(NotFoundError, match="no store of tokens"):
        TokenStore.open(tmp_path)
    assert store[0].tolist() == documents[0].tolist()
    with pytest.raises(IndexError):
        store[30]


def test_more_shards_than_open_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    documents = make_documents(60, 5)
    store = write_store(tmp_path / "s", documents, documents_per_shard=1)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (40, 40))
    before = len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0
    assert all_of(store) == as_lists(documents)
    assert len(store._maps) == 20
    if sys.platform == "linux":
        assert len(os.listdir("/proc/self/fd")) - before <= 21
    order = np.random.default_rng(0).permutation(60)
    lengths = store.lengths(order)
    read = store.read(order, np.zeros_like(order), lengths)
    assert read.tolist() == [t for d in order for t in documents[int(d)].tolist()]


def test_an_error_keeps_finished_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    documents = make_documents(40, 5)
    made = []

    def failing(job: Any) -> None:
        if len(made) == 3:
            raise OSError("disk")
        made.append(job)
        write_module_make(job)

    write_module_make = write_module.make_shard
    monkeypatch.setattr(write_module, "make_shard", failing)
    with pytest.raises(OSError, match="disk"):
        write_store(tmp_path / "s", documents)
    assert not (tmp_path / "s").exists()
    made.clear()
    monkeypatch.setattr(
        write_module, "make_shard", lambda job: (made.append(job), write_module_make(job))[1]
    )
    assert all_of(write_store(tmp_path / "s", documents)) == as_lists(documents)
    assert len(made) == 5
    assert [p.name for p in tmp_path.iterdir()] == ["s"]


KILLED = """
    import sys, time
    from pathlib import Path
    from bigwig_loader.dataset.tokens import write
    make = write.make_shard
    def slowly(job):
        make(job)
        print("made", flush=True)
        time.sleep(float(sys.argv[2]))
    write.make_shard = slowly
    folder = Path(sys.argv[1])
    write.write_store(folder / "s", sorted(folder.glob("*.gtok")), progress=False)
"""


def test_a_killed_run_is_taken_up(tmp_path: Path) -> None:
    documents = make_documents(16, 6)
    for number, tokens in enumerate(documents):
        write_gtok(tmp_path / f"{number:02d}.gtok", tokens)
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path)]
    with subprocess.Popen([*command, "60"], stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline() == "made\n"
        time.sleep(0.05)
        killed.send_signal(signal.SIGKILL)
    assert not (tmp_path / "s").exists()
    (part,) = (tmp_path / ".s.writing" / "parts").iterdir()
    left = (part / "shard.tokens").stat().st_ino
    done = subprocess.run([*command, "0"], capture_output=True, text=True, check=True)
    assert done.stdout.count("made") == 7
    store = TokenStore.open(tmp_path / "s")
    assert all_of(store) == as_lists(documents)
    assert left in {path.stat().st_ino for path in store.path.iterdir()}
    assert not (tmp_path / ".s.writing").exists()


def test_the_layout_is_as_documented(tmp_path: Path, tokenizer: Tokenizer) -> None:
    documents = make_documents(10, 6, vocab=11)
    store = write_store(tmp_path / "s", documents, tokenizer, documents_per_shard=10)
    for shard in store.shards:
        raw = (store.path / shard.file).read_bytes()
        n = shard.n_documents
        offsets = np.frombuffer(raw[: 8 * (n + 1)], "<i8")
        tokens = np.frombuffer(raw[8 * (n + 1) :], "<u2")
        assert (offsets[0], offsets[-1], len(tokens)) == (0, shard.n_tokens, shard.n_tokens)
    names = {path.name for path in store.path.iterdir()}
    assert names == {"manifest.json", *(shard.file for shard in store.shards)}
    text = (Path(write_module.__file__).parent / "FORMAT.md").read_text()
    manifest = json.loads((store.path / "manifest.json").read_text())
    for field in (*manifest, *manifest["universe"], *manifest["shards"][0]):
        assert f"`{field}`" in text
