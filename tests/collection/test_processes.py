"""Processes, threads, open files."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from bigwig_loader.backend.cpu.backend import CpuBackend
from bigwig_loader.collection import BigWigCollection
from bigwig_loader.errors import (
    BackendUnavailableError,
    InvalidDataError,
)
from tests.helpers.shared import REPOSITORY
from tests.helpers.tracks import WINDOWS, batch, expected


def _read_in_child(collection: BigWigCollection) -> bytes:
    return batch(collection).tobytes()


class TestProcessesAndThreads:
    def test_pickling(self, collection: BigWigCollection) -> None:
        batch(collection)
        other = pickle.loads(pickle.dumps(collection))
        np.testing.assert_array_equal(batch(other), expected(WINDOWS))
        assert other.track_names == collection.track_names
        assert isinstance(other.backend, CpuBackend)

    @pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
    @pytest.mark.parametrize("method", ["fork", "spawn"])
    def test_in_another_process(self, collection: BigWigCollection, method: str) -> None:
        want = batch(collection).tobytes()  # its files are open by then
        with multiprocessing.get_context(method).Pool(2) as pool:
            assert pool.map(_read_in_child, [collection] * 3) == [want] * 3
        assert batch(collection).tobytes() == want

    @pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
    def test_inherited_by_a_fork(self, collection: BigWigCollection) -> None:
        want = batch(collection).tobytes()
        child = os.fork()
        if child == 0:
            try:
                os._exit(0 if batch(collection).tobytes() == want else 1)
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert batch(collection).tobytes() == want

    def test_many_threads_at_once(self, folder: Path) -> None:
        with BigWigCollection(folder, n_threads=2) as collection, ThreadPoolExecutor(6) as pool:
            for got in pool.map(lambda _: batch(collection), range(30)):
                np.testing.assert_array_equal(got, expected(WINDOWS))

    def test_status_may_be_asked_for_while_others_read(self, folder: Path) -> None:
        stop = threading.Event()
        collection = BigWigCollection(folder)
        asking = threading.Thread(
            target=lambda: [repr(collection) for _ in iter(stop.is_set, True)], daemon=True
        )
        asking.start()
        for _ in range(10):
            np.testing.assert_array_equal(
                batch(BigWigCollection(folder, n_threads=2)), expected(WINDOWS)
            )
        stop.set()
        asking.join()

    def test_closing(self, folder: Path) -> None:
        with BigWigCollection(folder) as collection:
            batch(collection)
            descriptors = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc") else 0
            collection.close()
            if descriptors:
                assert len(os.listdir("/proc/self/fd")) == descriptors - 4
            collection.close()
            np.testing.assert_array_equal(batch(collection), expected(WINDOWS))

    def test_dropped_collections_leave_no_file_open(self, folder: Path) -> None:
        if not os.path.isdir("/proc/self/fd"):
            pytest.skip("needs /proc")
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(5):
            batch(BigWigCollection(folder))
        assert len(os.listdir("/proc/self/fd")) == before

    def test_more_files_than_may_be_open(self, folder: Path, tmp_path: Path) -> None:
        content = (folder / "one.bw").read_bytes()
        for i in range(150):
            (tmp_path / f"{i:03d}.bw").write_bytes(content)
        code = """
import resource, sys
import numpy as np
from bigwig_loader.collection import BigWigCollection
resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60))
source = BigWigCollection(sys.argv[1], n_threads=4)
for _ in range(2):
    got = source.get_batch(["chr1", "chr2"], [0, 10], [500, 510])
    assert (got == got[..., :1]).all() and got.any()
print(got.shape)
"""
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)],
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
        assert done.stdout.strip() == "(2, 500, 150)", done.stderr

    def test_a_file_that_changed_after_opening(self, folder: Path, tmp_path: Path) -> None:
        path = tmp_path / "one.bw"
        path.write_bytes((folder / "one.bw").read_bytes())
        collection = BigWigCollection(path)
        path.write_bytes((folder / "two.bigWig").read_bytes() + b"\0")
        with pytest.raises(InvalidDataError, match="has changed since its index was read") as error:
            collection.get_batch("chr1", 0, 50)
        assert error.value.path == str(path)

    def test_cuda_is_refused_with_a_reason(self, folder: Path) -> None:
        if (REPOSITORY / "bigwig_loader" / "backend" / "cuda").exists():
            pytest.skip("this version has a CUDA backend")
        with pytest.raises(BackendUnavailableError, match=r"device='cuda'.*device='cpu'"):
            BigWigCollection(folder, device="cuda")
        assert "device='auto'" in str(BigWigCollection(folder).backend.status)
