"""Memory budgets hold, and change no value."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bigwig_loader._bigwig_writer import WriterOptions, write_bigwig
from bigwig_loader.collection import BigWigCollection
from bigwig_loader.errors import (
    InvalidInputError,
)
from bigwig_loader.plan.signal import SignalOptions
from bigwig_loader.plan.windows import Windows
from tests.helpers.tracks import batch
from tests.oracles import signal as oracle


class TestMemoryBudget:
    def test_parts_give_the_same(self, folder: Path, collection: BigWigCollection) -> None:
        starts = np.arange(0, 2_600, 13)
        windows = [("chr1", int(s), int(s) + 400) for s in starts]
        want = batch(collection, windows)
        plain = BigWigCollection(folder, n_threads=1)
        whole = plain.reader.working_bytes
        sizes: list[int] = []

        def tell(plan: Any, options: Any) -> int:
            sizes.append(whole(plan, options))
            return sizes[-1]

        plain.reader.working_bytes = tell  # type: ignore[method-assign]
        batch(plain, windows)
        batch(plain, windows[:2])
        all_at_once, two_windows = sizes
        for share in (0.1, 0.5, 1.0):
            sizes.clear()
            room = two_windows + int((all_at_once - two_windows) * share)
            plain.memory_budget = want.nbytes + room
            np.testing.assert_array_equal(batch(plain, windows), want)
            assert (len(sizes) > 1) == (share < 1)

    def test_swapped_tracks_stay_together(self, folder: Path) -> None:
        swap = (3, 0, 2, 1)
        starts = np.arange(0, 2_000, 100)
        windows = Windows(np.zeros(20), starts, 300, np.arange(20) % 2 == 0)
        options = SignalOptions(track_swap=swap, n_threads=1)
        source = BigWigCollection(folder, n_threads=1)
        want = source.read(windows, options=options)
        np.testing.assert_array_equal(
            want,
            oracle.signal(
                [oracle.parse(p) for p in source.bigwig_paths],
                oracle.Request(
                    [("chr1", int(s), i % 2 == 0) for i, s in enumerate(starts)],
                    300,
                    range(4),
                    track_swap=swap,
                ),
            ),
        )
        one_window = source.reader.working_bytes
        source.memory_budget = want.nbytes + 1
        with pytest.raises(InvalidInputError, match="one bin of 4 tracks"):
            source.read(windows, options=options)
        # As if every track and window took a unit: no part has more than one window.
        source.reader.working_bytes = (  # type: ignore[method-assign]
            lambda plan, options: plan.row_first.size * plan.windows.length_bp
        )
        assert one_window is not None
        source.memory_budget = want.nbytes + 4 * 50
        np.testing.assert_array_equal(source.read(windows, options=options), want)

    def test_a_budget_that_the_result_does_not_fit_into(self, folder: Path) -> None:
        small = BigWigCollection(folder, memory_budget=10_000)
        with pytest.raises(InvalidInputError, match="the result alone takes 25600 bytes"):
            batch(small)
        with pytest.raises(InvalidInputError, match="one bin of one track takes"):
            small.get_batch("chr1", 0, 5)

    def test_what_is_declared_is_kept(self, tmp_path: Path) -> None:
        if not os.path.exists("/proc/self/status"):
            pytest.skip("needs /proc to measure memory")
        # Some 20 MB of items in one request; the budget is far below that.
        rng = np.random.default_rng(0)
        n = 400_000
        values = rng.random(n).astype(np.float32)
        for i in range(4):
            data = {"a": (np.arange(n) * 4, np.arange(n) * 4 + 4, values)}
            write_bigwig(
                tmp_path / f"{i}.bw", {"a": 4 * n}, data, WriterOptions(section="bedGraph")
            )
        code = """
import sys
import numpy as np
from bigwig_loader.collection import BigWigCollection

def peak_kb():
    # Not getrusage: its peak is inherited from the process that started this one.
    with open("/proc/self/status") as status:
        return int(next(line for line in status if line.startswith("VmHWM")).split()[1])

budget = int(sys.argv[2]) or None
source = BigWigCollection(sys.argv[1], n_threads=2, memory_budget=budget)
starts = np.zeros(1, int)
source.get_batch(["a"], starts, starts + 100)
before = peak_kb()
got = source.get_batch(["a"], starts, starts + 1_600_000, window_size=128)
print((peak_kb() - before) * 1024, got.sum())
"""

        def run(budget: int) -> tuple[int, str]:
            done = subprocess.run(
                [sys.executable, "-c", code, str(tmp_path), str(budget)],
                capture_output=True,
                text=True,
                check=True,
                timeout=100,
            )
            peak, total = done.stdout.split()
            return int(peak), total

        budget = 8 << 20
        free, bound = run(0), run(budget)
        assert bound[1] == free[1]
        assert bound[0] <= budget
        assert free[0] > 2 * budget  # else the test would show nothing
