"""Which samples a data set has: those of all its sources."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bigwig_loader.errors import InvalidInputError, NotFoundError

_SHOWN = 8


def join_samples(
    sources: Mapping[str, Iterable[str]], asked: Iterable[str] | None
) -> tuple[tuple[str, ...], dict[str, list[str]]]:
    """Samples that every source has, sorted.

    Parameters
    ----------
    sources : mapping of str to iterable of str
        Samples of each source, by what the source is called in messages.
    asked : iterable of str, optional
        Take only these; all that every source has by default.

    Returns
    -------
    samples : tuple of str
        Sorted by code point.
    left_out : dict
        Samples of each source that another one lacks; sources without such are left out.

    Raises
    ------
    NotFoundError
        If a source lacks a sample that was asked for, with near names.
    InvalidInputError
        If a name stands twice in a source or among those asked for, or none is in all sources.
    """
    known = {what: list(names) for what, names in sources.items()}
    wanted = None if asked is None else [asked] if isinstance(asked, str) else list(asked)
    for what, names in (*known.items(), ("argument samples", wanted or [])):
        if len(set(names)) != len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise InvalidInputError(f"{what}: expected distinct samples; got {twice!r} twice")
    if wanted is not None:
        for what, names in known.items():
            has = set(names)
            for name in wanted:
                if name not in has:
                    raise NotFoundError.among("sample", name, names, what)
        joined = set(wanted)
    elif known:
        joined = set.intersection(*(set(names) for names in known.values()))
    else:
        joined = set()
    if not joined:
        raise InvalidInputError(_nothing_in_common(known))
    left_out = {}
    if wanted is None:
        for what, names in known.items():
            if missing := sorted(set(names) - joined):
                left_out[what] = missing
    return tuple(sorted(joined)), left_out


def _nothing_in_common(known: Mapping[str, list[str]]) -> str:
    if not known:
        return (
            "samples: expected variants or a track with samples, or names of samples; got none. "
            "Give variants, bigwigs (or tracks), or samples"
        )
    listed = "; ".join(f"{what} has {short_list(names)}" for what, names in known.items())
    return (
        f"samples: expected some that all sources have; got none: {listed}. Rename them, or give "
        "the sources that belong together"
    )


def short_list(names: Iterable[str]) -> str:
    """Names in a message: how many, and the first few."""
    names = list(names)
    more = ", ..." if len(names) > _SHOWN else ""
    return f"{len(names)} ({', '.join(names[:_SHOWN])}{more})" if names else "none"
