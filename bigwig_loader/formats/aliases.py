"""Spellings of a contig's name, matched on request only.

``chr1`` and ``1`` name one contig, and so do ``chrM``, ``chrMT``, ``MT`` and ``M``. This is the
one place that knows; without the request a name is matched as it stands.
"""

from __future__ import annotations

from collections.abc import Iterable

from bigwig_loader.errors import InvalidInputError, NotFoundError


def alias_key(name: str) -> str:
    """What all spellings of a contig have in common: no ``chr``, and ``M`` for mitochondria."""
    bare = name.removeprefix("chr") or name
    return "M" if bare == "MT" else bare


def resolve(
    names: Iterable[str], known: Iterable[str], aliases: bool, where: str
) -> dict[str, str]:
    """Match contig names with those that a file or table knows.

    A name that is known as it stands always means itself. Otherwise, with `aliases`, it means the
    one known contig that is another spelling of it.

    Parameters
    ----------
    names : iterable of str
        Names to look up; duplicates are fine.
    known : iterable of str
        Names there are.
    aliases : bool
        Whether other spellings count.
    where : str
        What knows the names, for error messages, e.g. a path.

    Returns
    -------
    dict of str to str
        The known name for each distinct name, in the order of `names`.

    Raises
    ------
    NotFoundError
        For a name without a match; near names are listed, and whether `aliases` would help.
    InvalidInputError
        If a name could mean two known contigs, or two names mean the same one.

    Examples
    --------
    >>> resolve(["chr1", "MT"], ["1", "chrM"], True, "genome.fa")
    {'chr1': '1', 'MT': 'chrM'}
    """
    known = list(dict.fromkeys(known))
    exact = set(known)
    spellings: dict[str, list[str]] = {}
    for name in known:
        spellings.setdefault(alias_key(name), []).append(name)
    found: dict[str, str] = {}
    for name in dict.fromkeys(names):
        candidates = [name] if name in exact else spellings.get(alias_key(name), [])
        if not candidates or (name not in exact and not aliases):
            raise _unknown(name, known, candidates, where)
        if len(candidates) > 1:
            raise InvalidInputError(
                f"contig {name!r} in {where}: expected one other spelling of it; "
                f"got {', '.join(map(repr, candidates))}. Use one of these names"
            )
        found[name] = candidates[0]
    first: dict[str, str] = {}
    for name, match in found.items():
        if first.setdefault(match, name) != name:
            raise InvalidInputError(
                f"contig {match!r} in {where}: expected one name for it; "
                f"got {first[match]!r} and {name!r}. Use one spelling throughout"
            )
    return found


def respell(names: Iterable[str], known: Iterable[str], where: str) -> tuple[str, ...]:
    """Names in the spelling of `known`; those that have no counterpart there stay as they are.

    Raises
    ------
    InvalidInputError
        If a name could mean two known contigs, or two names mean the same one.
    """
    names, known = list(names), list(known)
    keys = {alias_key(name) for name in known}
    found = resolve((name for name in names if alias_key(name) in keys), known, True, where)
    return tuple(found.get(name, name) for name in names)


def _unknown(name: str, known: list[str], spellings: list[str], where: str) -> NotFoundError:
    error = NotFoundError.among("contig", name, known, where)
    if spellings:
        same = " or ".join(map(repr, spellings))
        return NotFoundError(f"{error}. {same} is another spelling of it: see with_contig_names")
    return error
