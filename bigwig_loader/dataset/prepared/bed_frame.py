"""A frame of regions of which an integer takes one row; imported where one is asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd  # noqa: TID253 - this module is imported inside functions only


class BedFrame(pd.DataFrame):
    """A DataFrame of regions; ``frame[3]`` is the frame of its fourth row, as in polars.

    Everything else is as in pandas.
    """

    @property
    def _constructor(self) -> type[BedFrame]:
        return BedFrame

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, (int, np.integer)) and not isinstance(key, bool):
            if not -len(self) <= key < len(self):
                raise IndexError(f"row {key} does not exist: there are {len(self)} regions")
            return self.iloc[[int(key)]]
        return super().__getitem__(key)
