"""The closed set of errors this package raises.

Every message is written in the same order: what is wrong, where, what was expected, what was
found, and what to do about it.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable


class BigWigLoaderError(Exception):
    """Base of every error raised on purpose by this package."""


class InvalidInputError(BigWigLoaderError, ValueError):
    """The call is wrong: an argument has a value or a shape that cannot be used."""


class InvalidDataError(BigWigLoaderError, ValueError):
    """A file is wrong.

    Parameters
    ----------
    what : str
        What is wrong, one clause.
    path : path-like, optional
        The file.
    offset : int, optional
        Byte offset in the file at which the field stands.
    field : str, optional
        Name of the field in the format's own terms.
    expected, got : object, optional
        What a valid file holds there and what this one holds.
    hint : str, optional
        What to do.
    """

    def __init__(
        self,
        what: str,
        *,
        path: str | os.PathLike[str] | None = None,
        offset: int | None = None,
        field: str | None = None,
        expected: object = None,
        got: object = None,
        hint: str | None = None,
    ) -> None:
        self.what = what
        self.path = None if path is None else os.fspath(path)
        self.offset = offset
        self.field = field
        self.expected = expected
        self.got = got
        self.hint = hint
        super().__init__(self._message())

    def __reduce__(self) -> tuple[object, ...]:
        # Errors cross process boundaries (DataLoader workers); keyword-only fields need help.
        state = {
            k: getattr(self, k) for k in ("path", "offset", "field", "expected", "got", "hint")
        }
        return _rebuild_invalid_data, (type(self), self.what, state)

    def _message(self) -> str:
        parts = [self.what]
        where = [] if self.path is None else [f"in {self.path}"]
        if self.offset is not None:
            where.append(f"at byte {self.offset}")
        if self.field is not None:
            where.append(f"(field {self.field})")
        if where:
            parts.append(" ".join(where))
        if self.expected is not None:
            parts.append(f"expected {self.expected}")
        if self.got is not None:
            parts.append(f"got {self.got}")
        message = "; ".join(parts)
        return f"{message}. {self.hint}" if self.hint else message


def _rebuild_invalid_data(
    cls: type[InvalidDataError], what: str, state: dict[str, object]
) -> InvalidDataError:
    return cls(what, **state)  # type: ignore[arg-type]


class NotFoundError(BigWigLoaderError, LookupError):
    """A contig, track, sample or file of that name does not exist; near names are listed."""

    @classmethod
    def among(cls, kind: str, name: object, known: Iterable[object], where: str) -> NotFoundError:
        """Say that `name` is unknown, and list the known names nearest to it.

        Parameters
        ----------
        kind : str
            What was looked up, e.g. ``"contig"``.
        name : object
            The name that was not found.
        known : iterable
            The names there are.
        where : str
            Where they were looked for, e.g. a path.
        """
        names = [str(k) for k in known]
        near = difflib.get_close_matches(str(name), names, n=5, cutoff=0.5)
        near += [n for n in names if n not in near and strip_chr(n) == strip_chr(str(name))]
        if near:
            listed = "near names: " + ", ".join(near)
        elif names:
            more = ", ..." if len(names) > 8 else ""
            listed = f"known are {len(names)}: " + ", ".join(names[:8]) + more
        else:
            listed = "there are none"
        return cls(f"unknown {kind} {str(name)!r} in {where}; {listed}")


class UnknownContigError(NotFoundError, InvalidInputError):
    """Loci lie on contigs that the sequences lack: a name not found, and a call that is wrong.

    The peers raise ValueError here, so this is one too.
    """


def strip_chr(name: str) -> str:
    """Name without a leading ``chr``, in lower case: what two spellings of a contig share."""
    lower = name.lower()
    return lower[3:] if lower.startswith("chr") else lower


class BackendUnavailableError(BigWigLoaderError, RuntimeError):
    """A backend was asked for that cannot run here; the message names the command that fixes it."""


class LoaderError(BigWigLoaderError, RuntimeError):
    """A background stage failed; the original error is ``__cause__``."""
