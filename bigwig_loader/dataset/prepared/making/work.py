"""The work folder of a data set that is being written: parts, resuming, publishing.

It lies beside the target, so that a rename publishes the result. A finished part has a name made
of all that decides what it holds; a run that finds it there need not make it again. A part is
renamed into place when it is whole, so a part that is there is whole. The lock goes with the
process that holds it, also when that is killed.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bigwig_loader.errors import InvalidInputError

_SUFFIX = ".writing"
_LOCK = "lock"
_PARTS = "parts"
_RESULT = "result"
_SIZES = "sizes.json"
_EXCHANGE = 2
_AT_FDCWD = -100


def part_name(kind: str, what: object) -> str:
    """Name of a part: its kind and a digest of all that decides what it holds.

    Parameters
    ----------
    kind : str
    what : object
        Of JSON types: the same in every run that would make the same part.
    """
    text = json.dumps(what, sort_keys=True)
    return f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:24]}"


def part_is_finished(folder: Path) -> bool:
    """Whether a part lies in its place."""
    return folder.is_dir()


def part_is_whole(folder: Path) -> bool:
    """Whether a part lies in its place and its files have the sizes they were written with.

    Parts are not forced to the disk: after a power cut, files may be there that are too short.
    What is not whole is removed.
    """
    if not part_is_finished(folder):
        return False
    try:
        sizes = json.loads((folder / _SIZES).read_text(encoding="utf-8"))
        if sizes == _sizes_of(folder):
            return True
    except (OSError, ValueError):
        pass
    shutil.rmtree(folder)
    return False


def _sizes_of(folder: Path) -> dict[str, int]:
    """Size of each file of a part in bytes."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != _SIZES)
    return {str(path.relative_to(folder)): path.stat().st_size for path in files}


def force_to_disk(folder: Path) -> None:
    """Wait until all files of a folder are on the disk."""
    for path in (*folder.rglob("*"), folder):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextlib.contextmanager
def making_part(folder: Path) -> Iterator[Path]:
    """A new folder to write a part into; takes its place when the block ends without an error."""
    temporary = folder.with_name(f"{folder.name}.{uuid.uuid4().hex[:8]}.tmp")
    temporary.mkdir(parents=True)
    try:
        yield temporary
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    (temporary / _SIZES).write_text(json.dumps(_sizes_of(temporary)), encoding="utf-8")
    try:
        os.replace(temporary, folder)
    except OSError:  # another worker was given the same part again and was quicker
        shutil.rmtree(temporary, ignore_errors=True)
        if not part_is_finished(folder):
            raise


class WorkFolder:
    """Where a data set is made before it is published.

    Parameters
    ----------
    target : Path
        Where the result is to lie.
    overwrite : bool
        Whether it may replace what lies there.

    Raises
    ------
    InvalidInputError
        If the target exists and must not be replaced, or another process writes it.
    """

    def __init__(self, target: Path, overwrite: bool) -> None:
        self.target = Path(os.path.abspath(target))
        self._overwrite = overwrite
        self._check_target()
        self.path = self.target.with_name(f".{self.target.name}{_SUFFIX}")
        self.parts = self.path / _PARTS
        self.result = self.path / _RESULT
        self._lock: Any = None

    def _check_target(self) -> None:
        if os.path.lexists(self.target) and not self._overwrite:
            raise InvalidInputError(
                f"{self.target} exists; expected a new path, or overwrite=True to replace it"
            )

    def __enter__(self) -> WorkFolder:
        self.parts.mkdir(parents=True, exist_ok=True)
        self._lock = (self.path / _LOCK).open("a")
        if not _take_lock(self._lock):
            self._lock.close()
            raise InvalidInputError(
                f"{self.target} is being written by another process (its lock is "
                f"{self.path / _LOCK}); expected one at a time. Wait for it, or end it"
            )
        # What a killed run left half made.
        shutil.rmtree(self.result, ignore_errors=True)
        for left in self.parts.glob("*.tmp"):
            shutil.rmtree(left, ignore_errors=True)
        self.result.mkdir()
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        shutil.rmtree(self.result, ignore_errors=True)
        finished = [p for p in self.parts.iterdir() if not p.name.endswith(".tmp")]
        if error is None or not finished:
            shutil.rmtree(self.path, ignore_errors=True)
        else:
            error.add_note(
                f"Nothing was written to {self.target}. {len(finished)} finished parts are kept in "
                f"{self.path}: the same call goes on from there; delete that folder to start anew."
            )
        self._lock.close()

    def publish(self) -> None:
        """Put the result at the target, in one step also where something is replaced."""
        self._check_target()
        force_to_disk(self.result)
        if not os.path.lexists(self.target):
            os.rename(self.result, self.target)
            return
        if not _exchange(self.result, self.target):
            old = self.path / "replaced"
            os.rename(self.target, old)
            try:
                os.rename(self.result, self.target)
            except OSError:
                os.rename(old, self.target)
                raise


def _take_lock(file: Any) -> bool:
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two folders in one step; False where the system cannot."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    names = os.fsencode(one), os.fsencode(other)
    return bool(renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _EXCHANGE) == 0)
