"""Tables of regions to documents of tokens: the two passes of the overlap search."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from bigwig_loader.backend.protocol import Array, Backend
from bigwig_loader.plan.overlap import Queries
from bigwig_loader.ragged import offsets_of
from bigwig_loader.tokens.outputs import Documents
from bigwig_loader.tokens.regions import RegionTable
from bigwig_loader.tokens.universe import Universe

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
Unknown = Literal["document", "region", "drop"]


class UniverseSearch:
    """Finds the tokens of regions.

    Parameters
    ----------
    universe : Universe
    backend : Backend
        Where the search runs.
    """

    def __init__(self, universe: Universe, backend: Backend) -> None:
        self.universe, self.n_threads = universe, backend.n_threads
        self._search = backend.open_overlaps(universe.index)

    def documents(self, table: RegionTable, unknown: Unknown) -> Documents:
        """The tokens of each document of a table."""
        queries, found, first = self._count(table, unknown)
        offsets, places = first[table.offsets], first
        empty = np.flatnonzero(np.diff(offsets) == 0) if unknown == "document" else offsets[:0]
        if len(empty):
            # The unk of an empty document moves all that comes after it.
            moved = np.zeros(len(offsets), np.int64)
            moved[empty + 1] = 1
            moved = np.cumsum(moved)
            places = first[:-1] + np.repeat(moved[:-1], np.diff(table.offsets))
            offsets = offsets + moved
        values = np.empty(int(offsets[-1]), np.int32)
        values[offsets[empty]] = self.universe.special_ids["unk"]
        self._search.write(queries, found, places, values, self._unknown_id(unknown))
        return Documents(values, offsets, table.names)

    def regions(self, table: RegionTable, unknown: Unknown) -> tuple[I64, I32]:
        """Where the tokens of each region of a table begin, (n + 1,), and all tokens."""
        queries, found, first = self._count(table, unknown)
        values = np.empty(int(first[-1]), np.int32)
        self._search.write(queries, found, first, values, self._unknown_id(unknown))
        return first, values

    def _count(
        self, table: RegionTable, unknown: Unknown
    ) -> tuple[Queries, tuple[I32, Array], I64]:
        numbers = self.universe.contig_numbers
        contigs = np.array([numbers.get(name, -1) for name in table.contig_names], np.int32)
        queries = Queries(contigs[table.contig_index], table.start, table.end)
        found = self._search.count(queries)
        sizes = np.maximum(found[0], 1) if unknown == "region" else found[0]
        return queries, found, offsets_of(np.asarray(sizes, np.int64))

    def _unknown_id(self, unknown: Unknown) -> int:
        return self.universe.special_ids["unk"] if unknown == "region" else -1
