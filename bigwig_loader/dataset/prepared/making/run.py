"""Running tasks side by side with joblib, with a progress bar."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from bigwig_loader.dataset.prepared.making.memory import Budget, resident_bytes
from bigwig_loader.dataset.prepared.making.work import part_is_finished, part_is_whole
from bigwig_loader.errors import BackendUnavailableError

_POLL_SECONDS = 0.25


class Job(Protocol):
    """A task as plain data; its result is a folder that other runs and processes can see."""

    @property
    def folder(self) -> Path:
        """Where the finished part lies."""


@dataclass(frozen=True)
class Runner:
    """How the tasks of a call are run.

    Parameters
    ----------
    max_bytes : int
        Memory that all processes of the call may take.
    n_jobs : int or None
        Tasks at a time; 1 runs them here, in order. None takes what ``joblib.parallel_config``
        says, which may be a cluster, and 1 without it.
    progress : bool
        Show a bar on a terminal.
    held_bytes : int
        What this process holds when the call begins.
    """

    max_bytes: int
    n_jobs: int | None
    progress: bool
    held_bytes: int = field(default_factory=resident_bytes)

    @property
    def tasks_at_a_time(self) -> int:
        """How many tasks run at a time."""
        return 1 if self._is_plain else int(_joblib().effective_n_jobs(self.n_jobs))

    @property
    def budget(self) -> Budget:
        """What each of them may allocate."""
        return Budget(self.max_bytes, self.tasks_at_a_time, self.held_bytes)

    @property
    def own_budget(self) -> Budget:
        """What this process may allocate, while no task runs."""
        return Budget(self.max_bytes, 1, self.held_bytes)

    @property
    def _is_plain(self) -> bool:
        # None and no joblib in this process: nobody can have configured it.
        return self.n_jobs == 1 or (self.n_jobs is None and "joblib" not in sys.modules)

    def run(self, function: Callable[[Any], None], jobs: Sequence[Job], label: str) -> None:
        """Do all tasks whose part is not there yet, whole.

        Parameters
        ----------
        function : callable
            Of a module's top level: workers import it.
        jobs : sequence of Job
        label : str
            What is being done, for the progress bar.

        Raises
        ------
        BackendUnavailableError
            If joblib is needed and not installed.
        """
        missing = [job for job in jobs if not part_is_whole(job.folder)]
        with progress_bar(label, len(jobs), self.progress) as done:
            done(len(jobs) - len(missing))
            if self._is_plain:
                for job in missing:
                    function(job)
                    done(1)
            elif missing:
                task = _joblib().delayed(function)
                with _watching(missing, done):
                    _joblib().Parallel(n_jobs=self.n_jobs)(task(job) for job in missing)


def _joblib() -> Any:
    try:
        import joblib
    except ImportError as error:
        raise BackendUnavailableError(
            "n_jobs other than 1 needs joblib, which is not installed; run: pip install joblib"
        ) from error
    return joblib


@contextmanager
def progress_bar(label: str, total: int | None, shown: bool) -> Iterator[Callable[[int], None]]:
    """A bar on standard error, if that is a terminal; call what it gives when tasks are done."""
    if not shown or not sys.stderr.isatty():
        yield lambda n: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(label, total=total)
        yield lambda n: bar.advance(task, n)


@contextmanager
def _watching(jobs: Sequence[Job], done: Callable[[int], None]) -> Iterator[None]:
    """Count parts as they appear: tells of progress whatever runs the tasks, wherever."""
    waiting = list(jobs)
    stop = threading.Event()

    def watch() -> None:
        while True:
            over = stop.wait(_POLL_SECONDS)
            before = len(waiting)
            waiting[:] = [job for job in waiting if not part_is_finished(job.folder)]
            done(before - len(waiting))
            if over:
                return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
