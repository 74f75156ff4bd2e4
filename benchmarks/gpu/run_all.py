"""`make gpu`: everything that needs a GPU, on a bare machine without a network, in 9 minutes.

Needs a Python with NumPy, CuPy, pytest and its plugins, CMake and a C++ compiler; what else there
is comes as wheels. Nothing is installed into that Python: wheels are unpacked into ``build/gpu``.
Only the standard library is imported here, since nothing else is there yet.

Steps come one after the other, each with a time limit, and a step that fails stops only those that
need it. The last table says what became of each, and so does the exit status.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.gpu import report

REPOSITORY = Path(__file__).resolve().parents[2]
WORK = REPOSITORY / "build" / "gpu"
# Seconds for all of it, and kept for the last table.
TOTAL, LAST = 525.0, 8.0
# A step for which there is less is not begun.
LEAST = 5.0
# Seconds that the benchmarks may go on for after they begin nothing more.
BENCHMARK_LAST = 25.0
# Every test that is marked `gpu` lies below these.
GPU_TESTS = (
    *("tests/backend", "tests/tokens"),
    *("tests/test_codecs.py", "tests/test_token_masking.py"),
)
KERNEL_TESTS = "tests/backend/cuda/test_every_kernel.py"
_SANITIZER_STATUS = 86
_NVIDIA = "__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n"
_PLACES = ("/usr/local/cuda/bin", "/usr/local/cuda/compute-sanitizer", "/opt/cuda/bin")


@dataclass(frozen=True)
class Step:
    """One step.

    Parameters
    ----------
    name : str
    seconds : float
        It is ended after that, or when `TOTAL` is over.
    counts : bool
        Whether its failure is one of the run.
    """

    name: str
    seconds: float
    counts: bool = True


STEPS = (
    Step("setup", 100),
    Step("tests", 170),
    Step("memcheck", 60),
    Step("racecheck", 60),
    Step("benchmarks", 240),
    Step("synccheck", 40),
    # Copies take whole words, with bytes beside a section that nobody has written or looks at.
    Step("initcheck", 40, counts=False),
)


@dataclass(frozen=True)
class Outcome:
    """What became of a step: "passed", "failed", "out of time" or "left out", and one line."""

    step: Step
    outcome: str
    seconds: float
    said: str = ""

    @property
    def is_good(self) -> bool:
        """Whether the run may pass with it."""
        return self.outcome == "passed" or not self.step.counts


class Runner:
    """Runs the steps.

    Parameters
    ----------
    chosen : Namespace
        The command line.
    """

    def __init__(self, chosen: argparse.Namespace) -> None:
        self.chosen = chosen
        self.python: str = chosen.python
        self.logs: Path = chosen.logs
        self.outcomes: list[Outcome] = []
        self._ends: float = time.monotonic() + chosen.seconds
        self._step_ends = 0.0
        self._environment = {
            **os.environ,
            "BWL_REQUIRE_CUDA": "1",
            "PYTHONUNBUFFERED": "1",
            "BIGWIG_LOADER_CACHE_DIR": str(WORK / "index"),
            "PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(WORK / "site")]),
        }

    @property
    def left(self) -> float:
        """Seconds that there are."""
        return self._ends - time.monotonic()

    def run(self) -> int:
        """All steps; the exit status."""
        for folder in (WORK, self.logs, self.chosen.results.parent):
            folder.mkdir(parents=True, exist_ok=True)
        if "benchmarks" in self.chosen.only:
            self.chosen.results.write_text("")
        work: dict[str, Callable[[Path], str]] = {
            "setup": self._setup,
            "tests": self._tests,
            "benchmarks": self._benchmarks,
        }
        for step in STEPS:
            if step.name == "setup" or step.name in self.chosen.only:
                self._do(step, work.get(step.name, partial(self._sanitize, step.name)))
            if not self.outcomes[0].is_good:
                break
        return self._finish()

    def _do(self, step: Step, work: Callable[[Path], str]) -> None:
        limit = min(step.seconds, self.left - LAST)
        self._step_ends = time.monotonic() + limit
        log, began = self.logs / f"{step.name}.log", time.monotonic()
        outcome, said = "passed", ""
        if limit < LEAST:
            outcome, said = "left out", "no time left"
        else:
            print(f"== {step.name}", flush=True)
            log.write_text("")
            try:
                said = work(log)
            except StepError as error:
                outcome, said = error.outcome, str(error)
                print("\n".join(_last_lines(log, 30)), flush=True)
        done = Outcome(step, outcome, time.monotonic() - began, said)
        self.outcomes.append(done)
        print(f"   {step.name}: {outcome} in {done.seconds:.0f} s  {said}", flush=True)

    # ------------------------------------------------------------------------------ steps ----

    def _setup(self, log: Path) -> str:
        """Wheels beside this Python's packages, the CPU library, and a look at the GPU."""
        site, peer = WORK / "site", WORK / "peer"
        given: Path | None = self.chosen.wheels
        wheels = sorted(given.resolve().glob("*.whl")) if given else []
        if given and not wheels:
            raise StepError(f"no wheels in WHEELS={given}")
        # The published loader has our name: to a folder that only its own process looks into.
        for folder, some in (
            (site, [w for w in wheels if not w.name.startswith("bigwig_loader-")]),
            (peer, [w for w in wheels if w.name.startswith("bigwig_loader-")]),
        ):
            shutil.rmtree(folder, ignore_errors=True)
            if some:
                options = ["--quiet", "--no-index", "--no-deps", "--no-compile", "--target"]
                self._call(
                    log,
                    [self.python, "-m", "pip", "install", *options, str(folder), *map(str, some)],
                )
        if (site / "nvidia").is_dir():
            # A package of that name elsewhere on the path would hide it, if it is no namespace.
            (site / "nvidia" / "__init__.py").write_text(_NVIDIA)
        cmake = [found] if (found := shutil.which("cmake")) else [self.python, "-m", "cmake"]
        build = str(WORK / "native")
        self._call(log, [*cmake, "-S", str(REPOSITORY), "-B", build])
        self._call(log, [*cmake, "--build", build, "--parallel"])
        self._write_environment()
        code = (
            "from bigwig_loader.backend.select import select_backend; "
            "print(select_backend('cuda').status)"
        )
        return self._call(log, [self.python, "-c", code])[-1]

    def _write_environment(self) -> None:
        names = ("PYTHONPATH", "BWL_REQUIRE_CUDA", "BIGWIG_LOADER_CACHE_DIR")
        lines = [f"export {name}='{self._environment[name]}'\n" for name in names]
        (WORK / "env.sh").write_text("".join(lines))

    def _tests(self, log: Path) -> str:
        # Warnings of other versions of other packages are not what is tested here.
        options = ["-m", "gpu", "-q", "-W", "default", "-p", "no:cacheprovider"]
        if self._has("xdist"):
            options += ["-n", "4", "--dist=loadfile"]
        lines = self._call(log, [self.python, "-m", "pytest", *options, *GPU_TESTS])
        return lines[-1].strip("= ")

    def _sanitize(self, tool: str, log: Path) -> str:
        options = [
            "--tool",
            tool,
            "--error-exitcode",
            str(_SANITIZER_STATUS),
            "--print-limit",
            "20",
        ]
        tests = ["-m", "pytest", "-m", "gpu", "-q", "-W", "default", "-p", "no:cacheprovider"]
        command = [find_sanitizer(), *options, self.python, *tests, KERNEL_TESTS]
        lines = self._call(log, command)
        said = [line for line in lines if "SUMMARY" in line or " passed" in line]
        return "; ".join(line.strip("= ") for line in said)

    def _benchmarks(self, log: Path) -> str:
        command = [self.python, "-m", "benchmarks.gpu", "--output", str(self.chosen.results)]
        left = self._step_ends - time.monotonic() - BENCHMARK_LAST
        command += ["--seconds", f"{left:.0f}", "--data", str(WORK / "data")]
        if self.chosen.commit:
            command += ["--commit", self.chosen.commit]
        if (WORK / "peer").is_dir():
            command += ["--peer", str(WORK / "peer")]
        self._call(log, command)
        return ""

    # -------------------------------------------------------------------------------- tools ----

    def _call(self, log: Path, command: Sequence[str]) -> list[str]:
        """Run a command, its output into the log; what it printed, without empty lines."""
        with log.open("a") as file:
            file.write(f"$ {' '.join(command)}\n")
            file.flush()
            begin = file.tell()
            process = subprocess.Popen(
                command,
                cwd=REPOSITORY,
                env=self._environment,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                status = process.wait(timeout=max(self._step_ends - time.monotonic(), 1))
            except subprocess.TimeoutExpired:
                raise StepError("ended: it took too long", "out of time") from None
            finally:
                _kill(process)
        text = log.read_bytes()[begin:].decode(errors="replace")
        lines = [line for line in text.splitlines() if line.strip()] or [""]
        if status != 0:
            raise StepError(f"exit status {status}; {lines[-1].strip('= ')[:160]}")
        return lines

    def _has(self, module: str) -> bool:
        code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
        command = [self.python, "-c", code]
        return subprocess.run(command, env=self._environment, check=False).returncode == 0

    def _finish(self) -> int:
        """The tables, and the steps at the end of the results; the exit status."""
        rows: list[dict[str, Any]] = [
            {
                "kind": "gpu_step", "step": done.step.name, "outcome": done.outcome,
                "seconds": round(done.seconds, 1), "said": done.said,
            }
            for done in self.outcomes
        ]  # fmt: skip
        if "benchmarks" in self.chosen.only:
            results: Path = self.chosen.results
            with results.open("a") as file:
                file.writelines(json.dumps(row) + "\n" for row in rows)
            rows = report.read_rows(results)
            print(f"results: {results}")
        for line in report.text(rows):
            print(line)
        is_good = all(done.is_good for done in self.outcomes)
        print(f"logs: {self.logs}; to run a part by hand: . {WORK / 'env.sh'}")
        print(f"make gpu: {'passed' if is_good else 'FAILED'}", flush=True)
        return 0 if is_good else 1


class StepError(Exception):
    """A step that did not pass.

    Parameters
    ----------
    said : str
    outcome : str
    """

    def __init__(self, said: str, outcome: str = "failed") -> None:
        super().__init__(said)
        self.outcome = outcome


def find_sanitizer() -> str:
    """Where compute-sanitizer is: `COMPUTE_SANITIZER`, the path, or beside CUDA."""
    named = os.environ.get("COMPUTE_SANITIZER")
    home = os.environ.get("CUDA_HOME", "")
    places = os.pathsep.join([os.environ.get("PATH", ""), f"{home}/bin", *_PLACES])
    found = named or shutil.which("compute-sanitizer", path=places)
    if not found:
        raise StepError("compute-sanitizer is not here; COMPUTE_SANITIZER=PATH names it")
    return found


def _last_lines(log: Path, n: int) -> list[str]:
    lines = log.read_text(errors="replace").splitlines()
    return [line[:200] for line in lines[-n:]]


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a process that has not ended, and its children: pytest has processes of its own."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; the exit status is 1 if a step that counts did not pass."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu.run_all", description=__doc__)
    parser.add_argument("--python", default=sys.executable, help="Python that has CuPy and PyTorch")
    parser.add_argument("--wheels", type=Path, help="folder of wheels that this Python lacks")
    parser.add_argument("--results", type=Path, default=report.RESULTS, help="JSON lines")
    parser.add_argument("--logs", type=Path, default=WORK / "logs", help="folder of the outputs")
    parser.add_argument("--commit", help="to write down, where there is no git")
    parser.add_argument("--seconds", type=float, default=TOTAL, help="for everything")
    names = [step.name for step in STEPS]
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="steps to run")
    chosen = parser.parse_args(arguments)
    chosen.results, chosen.logs = chosen.results.resolve(), chosen.logs.resolve()
    return Runner(chosen).run()


if __name__ == "__main__":
    raise SystemExit(main())
