"""Runs CUDA kernels without a GPU, from the very text that a GPU would get. See README.md."""

from tests.helpers.emulator.build import CompileError, build, compiler
from tests.helpers.emulator.program import SCHEDULES, Kernel, KernelFault, Parameter, Program, load

__all__ = [
    "SCHEDULES",
    "CompileError",
    "Kernel",
    "KernelFault",
    "Parameter",
    "Program",
    "build",
    "compiler",
    "load",
]
