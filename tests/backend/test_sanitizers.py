"""The CPU library under AddressSanitizer, UndefinedBehaviorSanitizer and ThreadSanitizer."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.shared import REPOSITORY

SCRIPT = Path(__file__).with_name("sanitized.py")
# What the tools say of themselves where they cannot run (e.g. under a restricted container).
CANNOT_RUN = ("unexpected memory mapping", "ptrace", "cannot allocate memory in static TLS")

pytestmark = pytest.mark.slow


def build(kind: str, folder: Path) -> tuple[Path, str]:
    """The library built with a sanitizer, and the run-time library to load first."""
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    if compiler is None or "clang" in compiler or sys.platform != "linux":
        pytest.skip("needs g++ on Linux for its sanitizers")
    name = {"address,undefined": "libasan.so", "thread": "libtsan.so"}[kind]
    found = subprocess.run(
        [compiler, f"-print-file-name={name}"], capture_output=True, text=True, check=True
    ).stdout.strip()
    if not os.path.isabs(found):
        pytest.skip(f"{compiler} has no {name}")
    sources = sorted(map(str, (REPOSITORY / "cuda_kernels" / "host").glob("*.cpp")))
    objects = []
    options = ["-std=c++17", "-O1", "-g", "-fPIC", "-fno-omit-frame-pointer", f"-fsanitize={kind}"]
    options += ["-fno-sanitize-recover=undefined"] if "undefined" in kind else []
    running = []
    for source in sources:
        objects.append(str(folder / f"{Path(source).stem}.o"))
        command = [compiler, *options, "-c", source, "-o", objects[-1]]
        running.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
        if len(running) == (os.cpu_count() or 1):
            finish(running)
    finish(running)
    library = folder / "sanitized.so"
    link = [compiler, *options, "-shared", *objects, "-o", str(library), "-ldl", "-pthread"]
    subprocess.run(link, check=True)
    return library, found


def finish(running: list[subprocess.Popen[str]]) -> None:
    while running:
        process = running.pop()
        _, errors = process.communicate()
        assert process.returncode == 0, errors


def run(what: str, library: Path, runtime: str, **options: str) -> str:
    environment = os.environ | {
        "BIGWIG_LOADER_LIBRARY": str(library),
        "BIGWIG_LOADER_CACHE_DIR": "",
        "LD_PRELOAD": runtime,
        # Python itself leaves memory behind when it ends.
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0:exitcode=66",
        "UBSAN_OPTIONS": "print_stacktrace=1:exitcode=66",
        "OPENBLAS_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, str(SCRIPT), what],
        env=environment | options,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    for reason in CANNOT_RUN:
        if done.returncode and reason in done.stderr:
            pytest.skip(f"the sanitizer cannot run here: {reason}")
    report = done.stdout[-2_000:] + done.stderr[:6_000]
    assert done.returncode == 0, report
    assert "runtime error" not in done.stderr, report
    return done.stdout


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    return build("address,undefined", tmp_path_factory.mktemp("asan"))


@pytest.mark.parametrize("what", ["files", "fuzz", "threads", "haplotypes", "tokens"])
def test_no_bad_memory_access_and_no_undefined_behaviour(
    checked: tuple[Path, str], what: str
) -> None:
    assert run(what, *checked)


def test_the_sanitizer_is_at_work(checked: tuple[Path, str], tmp_path: Path) -> None:
    # An output array that is too small, which only the library could notice.
    code = """
import ctypes
from bigwig_loader.backend.cpu.library import library
out = ctypes.create_string_buffer(8)
memory = ctypes.CDLL(None).malloc
memory.restype = ctypes.c_void_p
produced = ctypes.c_int64()
stored = b"\\1\\x40\\0\\xbf\\xff" + bytes(64)
library().bwl_inflate(stored, len(stored), memory(8), 64, 64, 64, ctypes.byref(produced))
"""
    script = tmp_path / "overrun.py"
    script.write_text(code)
    environment = os.environ | {
        "BIGWIG_LOADER_LIBRARY": str(checked[0]),
        "LD_PRELOAD": checked[1],
        "ASAN_OPTIONS": "detect_leaks=0:exitcode=66",
        "PYTHONPATH": str(REPOSITORY),
    }
    done = subprocess.run(
        [sys.executable, str(script)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 66
    assert "heap-buffer-overflow" in done.stderr


@pytest.fixture(scope="module")
def racing(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """The library under ThreadSanitizer, and its options."""
    folder = tmp_path_factory.mktemp("tsan")
    library, runtime = build("thread", folder)
    # Python and NumPy are not built for it: only what the library does counts.
    ignored = folder / "ignored"
    ignored.write_text("called_from_lib:libopenblas\nrace:_multiarray_umath\n")
    options = f"exitcode=66:ignore_noninstrumented_modules=1:suppressions={ignored}"
    return library, runtime, options


@pytest.mark.parametrize("what", ["threads", "haplotypes", "tokens"])
def test_no_data_races(racing: tuple[Path, str, str], what: str) -> None:
    library, runtime, options = racing
    assert run(what, library, runtime, TSAN_OPTIONS=options)


def test_the_thread_sanitizer_is_at_work(racing: tuple[Path, str, str], tmp_path: Path) -> None:
    # What must not be done: choosing a libdeflate on two threads at once.
    code = """
import threading
from bigwig_loader.backend.cpu.library import library
work = lambda: [library().bwl_use_libdeflate(b"nowhere.so") for _ in range(300)]
library()
threads = [threading.Thread(target=work) for _ in range(2)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""
    script = tmp_path / "race.py"
    script.write_text(code)
    library, runtime, options = racing
    environment = os.environ | {
        "BIGWIG_LOADER_LIBRARY": str(library),
        "LD_PRELOAD": runtime,
        "TSAN_OPTIONS": options,
        "PYTHONPATH": str(REPOSITORY),
    }
    done = subprocess.run(
        [sys.executable, str(script)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 66
    assert "data race" in done.stderr
