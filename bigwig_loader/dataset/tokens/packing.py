"""Rows filled with documents one after the other: where a row's tokens are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from bigwig_loader.dataset.tokens.examples import RowOptions, Rows
from bigwig_loader.dataset.tokens.sources import TokenSource
from bigwig_loader.ragged import offsets_of, stretches

I64 = npt.NDArray[np.int64]

# Places of an epoch whose documents' lengths are added up together. Only these sums are kept.
GROUP = 4096


class PackedRows:
    """All tokens of an epoch in its order, cut into rows of `max_length`.

    Which documents a row has follows from sums of lengths, so that any row is found without
    reading those before it. The sums of an epoch are made when it is first asked for.

    Parameters
    ----------
    source : TokenSource
    options : RowOptions
    order : callable
        Of (seed, epoch, places): which documents have these places in the epoch.
    """

    def __init__(
        self, source: TokenSource, options: RowOptions, order: Callable[[int, int, I64], I64]
    ) -> None:
        assert options.max_length is not None
        self._source = source
        self._options = options
        self._order = order
        self.row_length = options.max_length
        self._n_after = 0 if options.separator is None else 1
        self.n_tokens = source.n_tokens + self._n_after * source.n_documents
        self.n_rows = -(-self.n_tokens // self.row_length)
        self._sums: tuple[int, int, I64] | None = None

    def rows(self, row: I64, seed: int, epoch: int) -> Rows:
        """Rows of an epoch, of `row_length` tokens; the last row of all may end with padding.

        Parameters
        ----------
        row : (k,) int64
            In [0, n_rows).
        seed, epoch : int
        """
        if not len(row):
            empty = np.zeros((0, self.row_length), np.int64)
            return Rows(row, empty, empty, empty, empty)
        first, last = int(row.min()), int(row.max()) + 1
        n = self.row_length
        start, stop = first * n, min(last * n, self.n_tokens)
        ids, ordinal, position = self._stretch(start, stop, seed, epoch)
        n_missing = last * n - stop
        if n_missing:
            ids = np.append(ids, np.full(n_missing, self._options.fill))
            position = np.append(position, np.zeros(n_missing, np.int64))
            ordinal = np.append(ordinal, np.full(n_missing, -1))
        shape = (last - first, n)
        documents = ordinal.reshape(shape)
        segments = np.where(documents < 0, 0, documents - documents[:, :1] + 1)
        which = row - first
        mask = (segments > 0).astype(np.int64)
        return Rows(
            row,
            ids.reshape(shape)[which],
            mask[which],
            segments[which],
            position.reshape(shape)[which],
        )

    def _stretch(self, start: int, stop: int, seed: int, epoch: int) -> tuple[I64, I64, I64]:
        """Tokens [start, stop) of an epoch: ids, places of their documents, and theirs in those."""
        sums = self._group_sums(seed, epoch)
        low = int(np.searchsorted(sums, start, "right")) - 1
        high = int(np.searchsorted(sums, stop, "left"))
        place = np.arange(low * GROUP, min(high * GROUP, self._source.n_documents))
        document = self._order(seed, epoch, place)
        lengths = self._source.lengths(document) + self._n_after
        ends = sums[low] + np.cumsum(lengths)
        # Those that have a token in the stretch, and what of each is in it.
        held = (ends > start) & (ends - lengths < stop)
        place, document, lengths, ends = place[held], document[held], lengths[held], ends[held]
        begins = ends - lengths
        from_ = np.maximum(start - begins, 0)
        to = np.minimum(stop - begins, lengths)
        n_held = to - from_
        n_tokens = np.minimum(to, lengths - self._n_after) - from_
        n_tokens = np.maximum(n_tokens, 0)  # where only the separator is in the stretch
        tokens = self._source.read(document, from_, n_tokens)
        if self._n_after:
            ids = np.full(stop - start, self._options.separator, np.int64)
            ids[stretches(offsets_of(n_held)[:-1], n_tokens)] = tokens
        else:
            ids = tokens
        return ids, np.repeat(place, n_held), stretches(from_, n_held)

    def _group_sums(self, seed: int, epoch: int) -> I64:
        """Tokens before each group of places, and all of them at the end."""
        if self._sums is None or self._sums[:2] != (seed, epoch):
            n = self._source.n_documents
            counts = []
            for first in range(0, n, GROUP):
                place = np.arange(first, min(first + GROUP, n))
                lengths = self._source.lengths(self._order(seed, epoch, place))
                counts.append(int(lengths.sum()) + self._n_after * len(place))
            self._sums = seed, epoch, offsets_of(np.array(counts, np.int64))
        return self._sums[2]
