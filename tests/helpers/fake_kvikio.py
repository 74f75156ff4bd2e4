"""A stand-in for kvikio 26.10 that reads files into the memory of the fake devices.

Of the real package it has the names that the CUDA backend uses, with the same parameters and the
same kinds of errors (tests/backend/cuda/test_reads.py compares them where kvikio is installed).
Bytes are written as late as kvikio may write them: when somebody waits for the future.
"""

from __future__ import annotations

import ctypes
import os
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import pytest

from tests.helpers.fake_cupy.machine import machine

GDS_THRESHOLD = 16 << 10


class FakeKvikio:
    """The state of one fake kvikio; `install` makes it what ``import kvikio`` gives.

    Parameters
    ----------
    compatible : bool
        Compatibility mode: no GPUDirect Storage.
    has_driver : bool
        Whether there is a driver for it.

    Attributes
    ----------
    settings : dict
        ``kvikio.defaults``.
    reads : list of (path, size, file_offset, task_size)
    n_open, most_open : int
        Files open now, and at any time.
    short : dict of str to int
        Bytes that reads of a path fall short by.
    misuse : list of str
        What the real one would answer with undefined behaviour.
    """

    def __init__(self, *, compatible: bool = False, has_driver: bool = True) -> None:
        self.compatible = compatible
        self.has_driver = has_driver
        self.settings: dict[str, Any] = {"num_threads": 1, "task_size": 4 << 20}
        self.reads: list[tuple[str, int, int, int | None]] = []
        self.n_open = self.most_open = 0
        self.short: dict[str, int] = {}
        self.misuse: list[str] = []

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Put the modules where ``import`` finds them."""
        world = self

        class CuFile(_CuFile):
            _world = world

        modules = {name: ModuleType(name) for name in ("kvikio", *_SUBMODULES)}
        package, defaults, driver = modules.values()
        package.__dict__.update(
            CuFile=CuFile, __version__="26.10.00", defaults=defaults, cufile_driver=driver
        )
        defaults.__dict__.update(
            get=self.settings.__getitem__,
            set=self._set,
            is_compat_mode_preferred=lambda: self.compatible,
        )
        driver.__dict__.update(get=self._driver_property)
        for name, module in modules.items():
            module.__spec__ = ModuleSpec(name, None)
            patch.setitem(sys.modules, name, module)

    def _set(self, *config: Any) -> None:
        self.settings.update(config[0] if len(config) == 1 else {config[0]: config[1]})

    def _driver_property(self, config_name: str) -> Any:
        return {"is_gds_available": self.has_driver}[config_name]


_SUBMODULES = ("kvikio.defaults", "kvikio.cufile_driver")


class _CuFile:
    _world: FakeKvikio

    def __init__(self, file: str, flags: str = "r") -> None:
        try:
            self._fd = os.open(file, os.O_RDONLY)
        except OSError as error:
            raise RuntimeError(f"Unable to open file. {error.strerror}") from error
        assert flags == "r"
        self.path = str(file)
        self._is_open = True
        self._world.n_open += 1
        self._world.most_open = max(self._world.most_open, self._world.n_open)

    @property
    def closed(self) -> bool:
        return not self._is_open

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._world.n_open -= 1
            os.close(self._fd)

    def fileno(self) -> int:
        return self._fd

    def pread(
        self,
        buf: Any,
        size: int | None = None,
        file_offset: int = 0,
        task_size: int | None = None,
    ) -> _Future:
        interface = buf.__cuda_array_interface__
        (n_items,), strides = interface["shape"], interface.get("strides")
        assert interface["typestr"] == "|u1"
        assert strides in (None, (1,))
        size = n_items if size is None else size
        if size > n_items:
            raise ValueError("Size is greater than the size of the buffer")
        address, is_read_only = interface["data"]
        assert not is_read_only
        with machine().lock:
            area = machine().area_of(address, size, "kvikio.CuFile.pread")
            if size >= GDS_THRESHOLD and not self._world.compatible:
                # The host waits for the default stream.
                machine().scheduler.complete_queue(machine().queue(0))
        if not self._is_open:
            self._world.misuse.append(f"read of {self.path}, which is closed")
        self._world.reads.append((self.path, size, file_offset, task_size))
        return _Future(self, address, area, size, file_offset)


class _Future:
    def __init__(self, file: _CuFile, address: int, area: Any, size: int, offset: int) -> None:
        self._file = file
        self._address = address
        self._area = area
        self._size = size
        self._offset = offset
        self._got: int | None = None

    def done(self) -> bool:
        return self._got is not None

    def get(self) -> int:
        file, world = self._file, self._file._world
        if file.closed:
            world.misuse.append(f"future of {file.path} outlives the file")
            return 0
        if self._area.address not in machine().memory.live:
            world.misuse.append(f"future of {file.path} outlives the memory")
            return 0
        data = os.pread(file.fileno(), self._size, self._offset)
        if not data and self._size:
            raise RuntimeError("POSIX error on pread: EOF")
        data = data[: max(self._size - world.short.get(file.path, 0), 0)]
        ctypes.memmove(self._address, data, len(data))
        self._got = len(data)
        return self._got

    def __del__(self) -> None:
        if self._got is None:
            self._file._world.misuse.append(f"nobody has waited for a read of {self._file.path}")
