"""Moving average and binning of base-resolution signal on a GPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.backend.cuda.outputs import array_dtype
from bigwig_loader.backend.cuda.slots import Slot, SlotRing
from bigwig_loader.backend.cuda.work import MAX_GRID_Y, N_SLOTS, Owner, Stage, queue
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.plan.smooth import SmoothOptions
from bigwig_loader.types import SIGNAL_DTYPES

# As in smooth.cu: threads of a block, and bases that it averages at once.
_THREADS = 256


class CudaSmoother:
    """Smooths and bins signal on one device.

    Parameters
    ----------
    owner : Owner
    """

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._ring = SlotRing(owner.device, N_SLOTS)

    def smooth(
        self,
        signal: Any,
        options: SmoothOptions,
        reverse: npt.NDArray[np.bool_] | None = None,
    ) -> Any:
        """Moving average and bin means, there when this returns; see `protocol.Backend.smooth`."""
        n_windows, n_bins, n_tracks = options.shape(signal.shape)
        if signal.dtype != np.float32 or not signal.flags.c_contiguous:
            raise InvalidInputError(
                f"argument signal: expected C-contiguous float32; got {signal.dtype} with strides "
                f"{signal.strides}"
            )
        owner = self._owner
        out = owner.outputs.empty((n_windows, n_bins, n_tracks), array_dtype(options.dtype))
        if not out.size:
            return out

        def start(slot: Slot) -> None:
            stage = Stage()
            turned = None if reverse is None else stage.add(np.ascontiguousarray(reverse))
            swap = None
            if options.track_swap is not None:
                swap = stage.add(np.array(options.track_swap, np.int64))
            at = 0
            if stage.n_bytes:
                at = slot.lay_out({"stage": stage.n_bytes})["stage"]
                stage.send(slot, at)
            owner.writing(out, slot.stream)
            bins_of_block = max(1, _THREADS // options.bin_size)
            owner.device.kernels("smooth.cu").launch(
                "bwl_smooth_bins",
                (-(-n_bins // bins_of_block), min(n_windows * n_tracks, MAX_GRID_Y)),
                _THREADS,
                [
                    int(signal.data.ptr),
                    *signal.shape,
                    options.width_bp,
                    options.bin_size,
                    n_bins,
                    0 if turned is None else at + turned,
                    0 if swap is None else at + swap,
                    int(out.data.ptr),
                    np.int32(SIGNAL_DTYPES.index(options.dtype)),
                ],
                slot.stream,
            )

        queue(owner, self._ring, start, [signal, out], wait=True)
        return out
