"""`cupy.ndarray`: arrays in a device's memory, which nothing turns into NumPy arrays unasked."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tests.helpers.fake_cupy import dlpack, runtime
from tests.helpers.fake_cupy.cuda import (
    BaseMemory,
    BaseStream,
    Device,
    Memory,
    MemoryPointer,
    get_current_stream,
)
from tests.helpers.fake_cupy.machine import machine


class _Held:
    """What NumPy needs to see memory, keeping its owner alive."""

    def __init__(self, owner: object, interface: dict[str, Any]) -> None:
        self.owner = owner
        self.__array_interface__ = interface


class Flags:
    """As `cupy._core.flags.Flags`."""

    def __init__(self, array: ndarray, view: NDArray[Any]) -> None:
        self.c_contiguous = view.flags.c_contiguous
        self.f_contiguous = view.flags.f_contiguous
        self.owndata = array.base is None
        self.fnc = self.f_contiguous and not self.c_contiguous
        self.forc = self.f_contiguous or self.c_contiguous

    def __getitem__(self, name: str) -> bool:
        names = {
            "C_CONTIGUOUS": "c_contiguous",
            "F_CONTIGUOUS": "f_contiguous",
            "OWNDATA": "owndata",
        }
        value: bool = getattr(self, names[name])
        return value


class ndarray:
    """As `cupy.ndarray`, with what needs no kernel: views, and copies to the host."""

    __array_priority__ = 100

    def __init__(
        self,
        shape: int | tuple[int, ...],
        dtype: DTypeLike = float,
        memptr: MemoryPointer | None = None,
        strides: tuple[int, ...] | None = None,
        order: str = "C",
    ) -> None:
        self.shape = (shape,) if isinstance(shape, int) else tuple(int(n) for n in shape)
        if any(n < 0 for n in self.shape):
            raise ValueError("Negative dimensions are not allowed")
        self.dtype = np.dtype(dtype)
        if self.dtype.kind not in "?biufc":
            raise ValueError(f"Unsupported dtype {self.dtype}")
        if strides is None:
            strides = _strides(self.shape, self.dtype.itemsize, order)
        self.strides = tuple(int(n) for n in strides)
        self.data = MemoryPointer(Memory(self.nbytes), 0) if memptr is None else memptr
        self.base: ndarray | None = None
        self._check_extent()

    # ------------------------------------------------------------------------------- properties

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def itemsize(self) -> int:
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        return self.size * self.itemsize

    @property
    def device(self) -> Device:
        return self.data.device

    @property
    def flags(self) -> Flags:
        return Flags(self, self._seen())

    @property
    def T(self) -> ndarray:
        return self.transpose()

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        stream = get_current_stream().ptr
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "descr": self.dtype.descr,
            "stream": stream or runtime.streamLegacy,
            "version": 3,
            "strides": None if self.flags.c_contiguous else self.strides,
            "data": (self.data.ptr, False),
        }

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of unsized object")
        return self.shape[0]

    def __repr__(self) -> str:
        return f"<fake cupy.ndarray {self.shape} {self.dtype} on device {self.data.device_id}>"

    # ------------------------------------------------------------------------------------ views

    def __getitem__(self, key: Any) -> ndarray:
        for part in key if isinstance(key, tuple) else (key,):
            if not isinstance(part, int | np.integer | slice | type(None) | type(Ellipsis)):
                raise NotImplementedError(f"index {part!r}: the fake has integers and slices")
        whole = key if isinstance(key, tuple) else (key,)
        if Ellipsis not in [part for part in whole if part is Ellipsis]:
            whole = (*whole, Ellipsis)
        return self._view(self._seen()[whole])

    def __setitem__(self, key: Any, value: float) -> None:
        """Fill a view with one value, in the current stream."""
        view = self[key]
        if not isinstance(value, int | float | np.number):
            raise NotImplementedError(f"assigning {value!r}: the fake has single values")
        with machine().lock, self.device:
            machine().enqueue(get_current_stream().ptr, lambda: view._seen().fill(value))

    def reshape(self, *shape: Any, order: str = "C") -> ndarray:
        shape = shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape
        return self._view(self._seen().reshape(shape, order=order))  # type: ignore[call-overload]

    def ravel(self) -> ndarray:
        return self._view(self._seen().reshape(-1))

    def transpose(self, *axes: Any) -> ndarray:
        return self._view(self._seen().transpose(*axes))

    def swapaxes(self, axis1: int, axis2: int) -> ndarray:
        return self._view(self._seen().swapaxes(axis1, axis2))

    def squeeze(self, axis: int | None = None) -> ndarray:
        return self._view(self._seen().squeeze(axis))

    def view(self, dtype: DTypeLike | None = None) -> ndarray:
        seen = self._seen()
        return self._view(seen if dtype is None else seen.view(dtype))

    # ---------------------------------------------------------------------------------- to host

    def get(
        self,
        stream: BaseStream | None = None,
        order: str = "C",
        out: NDArray[Any] | None = None,
        blocking: bool = True,
    ) -> NDArray[Any]:
        """A NumPy copy; waits for the stream (the current one by default), and for no other."""
        if out is None:
            out = np.empty(self.shape, self.dtype, order=order)  # type: ignore[call-overload]
        elif out.dtype != self.dtype or out.shape != self.shape or not out.flags.c_contiguous:
            raise ValueError("out: expected a contiguous array of the same shape and dtype")
        target = out
        with machine().lock, self.device:
            stream = get_current_stream() if stream is None else stream
            done = machine().enqueue(stream.ptr, lambda: np.copyto(target, self._seen()))
            machine().scheduler.complete(done)
            machine().check()
        return out

    def item(self) -> Any:
        return self.get().item()

    def __bool__(self) -> bool:
        return bool(self.get())

    def __int__(self) -> int:
        return int(self.get())

    def __float__(self) -> float:
        return float(self.get())

    def __array__(self, dtype: Any = None, copy: Any = None) -> NDArray[Any]:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. "
            "Please use `.get()` to construct a NumPy array explicitly."
        )

    def __array_ufunc__(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError("the fake has no kernels of CuPy's own")

    # ----------------------------------------------------------------------------------- DLPack

    def __dlpack_device__(self) -> tuple[int, int]:
        return dlpack.device_of(self.data.device_id)

    def __dlpack__(
        self,
        *,
        stream: int | None = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        if copy or (dl_device is not None and tuple(dl_device) != self.__dlpack_device__()):
            raise BufferError("unsupported device requested.")
        with self.device:
            dlpack.order_after_current(stream)
        return dlpack.capsule(self._seen(), self.data.device_id, max_version)

    # ---------------------------------------------------------------------------------- private

    def _seen(self) -> NDArray[Any]:
        """The memory as NumPy sees it: for views, and for operations that run in a stream."""
        if self.size == 0:
            return np.lib.stride_tricks.as_strided(
                np.empty(1, self.dtype), self.shape, self.strides, writeable=True
            )
        interface = {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "strides": self.strides,
            "data": (self.data.ptr, False),
            "version": 3,
        }
        return np.asarray(_Held(self, interface))

    def _view(self, seen: NDArray[Any]) -> ndarray:
        if self.size == 0 or seen.size == 0:
            return self._with(self.data, seen)
        offset = seen.__array_interface__["data"][0] - self.data.ptr
        if not np.may_share_memory(seen, self._seen()):
            raise NotImplementedError("a copy: the fake has views only")
        return self._with(self.data + offset, seen)

    def _with(self, data: MemoryPointer, seen: NDArray[Any]) -> ndarray:
        made = ndarray(seen.shape, seen.dtype, data, seen.strides)
        made.base = self if self.base is None else self.base
        return made

    def _check_extent(self) -> None:
        memory: BaseMemory = self.data.mem
        if self.size == 0 or memory.size == 0:
            return
        reach = [(n - 1) * stride for n, stride in zip(self.shape, self.strides, strict=True)]
        first = self.data.ptr + sum(n for n in reach if n < 0)
        past = self.data.ptr + sum(n for n in reach if n > 0) + self.itemsize
        if first < memory.ptr or past > memory.ptr + memory.size:
            raise ValueError(f"{self!r} runs out of its {memory.size} bytes of memory")


def _strides(shape: tuple[int, ...], itemsize: int, order: str) -> tuple[int, ...]:
    strides, step = [], itemsize
    for n in reversed(shape) if order == "C" else shape:
        strides.append(step)
        step *= max(n, 1)
    return tuple(reversed(strides)) if order == "C" else tuple(strides)


def asnumpy(
    a: Any,
    stream: BaseStream | None = None,
    order: str = "C",
    out: NDArray[Any] | None = None,
    *,
    blocking: bool = True,
) -> NDArray[Any]:
    """As `cupy.asnumpy`."""
    if isinstance(a, ndarray):
        return a.get(stream=stream, order=order, out=out, blocking=blocking)
    return np.asarray(a)


def asarray(a: Any, dtype: DTypeLike | None = None) -> ndarray:
    """As `cupy.asarray` of what NumPy can read: a copy in new memory."""
    if isinstance(a, ndarray):
        return a
    host = np.ascontiguousarray(a, dtype=dtype)
    made = ndarray(np.shape(a), host.dtype)
    stream = get_current_stream()
    runtime.memcpyAsync(
        made.data.ptr, host.ctypes.data, host.nbytes, runtime.memcpyHostToDevice, stream.ptr
    )
    return made
