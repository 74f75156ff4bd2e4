"""`cupy.cuda.nvrtc`: what it compiles is the source text itself, which `RawModule` then loads."""

from __future__ import annotations

import itertools
import json

from tests.helpers import emulator
from tests.helpers.fake_cupy.errors import NVRTCError

_MARK = b"image of the fake CuPy\n"
_numbers = itertools.count(1)


class _Program:
    def __init__(self, source: str) -> None:
        self.source = source
        self.options: tuple[str, ...] = ()
        self.log = ""


_programs: dict[int, _Program] = {}


def getVersion() -> tuple[int, int]:
    return 13, 0


def getSupportedArchs() -> tuple[int, ...]:
    return 75, 80, 86, 87, 88, 89, 90, 100, 103, 110, 120, 121


def createProgram(
    src: str, name: str, headers: tuple[str, ...], include_names: tuple[str, ...]
) -> int:
    if headers or include_names:
        raise NotImplementedError("the fake compiles texts without includes only")
    number = next(_numbers)
    _programs[number] = _Program(src)
    return number


def destroyProgram(prog: int) -> None:
    del _programs[prog]


def compileProgram(prog: int, options: tuple[str, ...]) -> None:
    program = _programs[prog]
    if any(option.startswith("-I") for option in options):
        raise NotImplementedError("the fake compiles texts without includes only")
    program.options = tuple(options)
    try:
        load(program.source, options)
    except emulator.CompileError as error:
        program.log = str(error)
        raise NVRTCError(6) from error


def getProgramLog(prog: int) -> str:
    return _programs[prog].log


def getCUBIN(prog: int) -> bytes:
    program = _programs[prog]
    if not any(option.startswith("-arch=sm_") for option in program.options):
        raise NVRTCError(7)
    return _image(program)


def getPTX(prog: int) -> bytes:
    return _image(_programs[prog])


def _image(program: _Program) -> bytes:
    return _MARK + json.dumps([program.source, program.options]).encode()


def load(source: str, options: tuple[str, ...]) -> emulator.Program:
    """The program of a source, compiled with what its options say."""
    defines = [option[2:] for option in options if option.startswith("-D")]
    target = next((option for option in options if option.startswith("-arch=")), "-arch=sm_90")
    architecture = 10 * int(target.rpartition("_")[2])
    return emulator.load(source, include=[], defines=defines, architecture=architecture)


def read_image(data: bytes) -> tuple[str, tuple[str, ...]]:
    """Source and options of an image; ValueError for anything else, or one that is cut off."""
    if not data.startswith(_MARK):
        raise ValueError("no image")
    source, options = json.loads(data[len(_MARK) :])
    return source, tuple(options)
