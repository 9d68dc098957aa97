"""The Cortex-M cores: compiler flags, emulated board, memory map; and memory sizes as users write them.

Every other place (linker command, QEMU command, firmware/toolchain/*.cmake) takes its numbers from
this table or is compared with it by a test.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

from mcugen.errors import UserError

Isa = Literal["v6m", "v7m", "dsp", "mve"]

_K = 1024
_M = 1024 * _K


@dataclass(frozen=True)
class Region:
    """A contiguous memory: first address and size in bytes."""

    base: int
    size_bytes: int


@dataclass(frozen=True)
class MemoryMap:
    """Where the linker puts things.

    vectors  the vector table, where the core looks for it after reset
    code     instructions and constants (flash on a real board)
    ram      .data, .bss, arena and stack
    tcm      RAM beside the core, for what a program places there
    data     large buffers of a test; on a real board external memory, or nothing
    """

    vectors: Region
    code: Region
    ram: Region
    data: Region
    tcm: Region | None = None

    def roomy(self) -> MemoryMap:
        """The same addresses, with all the room between them: for images that are measured, not run."""
        code = Region(self.code.base, self.ram.base - self.code.base)
        return replace(self, code=code, ram=Region(self.ram.base, 1024 * _M), tcm=None)

    def symbols(self) -> dict[str, int]:
        """The symbols firmware/link.ld reads: NAME_BASE and NAME_SIZE of every region, in bytes."""
        regions = {"VECTORS": self.vectors, "CODE": self.code, "RAM": self.ram, "DATA": self.data}
        return {
            f"{name}_{what}": number
            for name, region in regions.items()
            for what, number in (("BASE", region.base), ("SIZE", region.size_bytes))
        }


@dataclass(frozen=True)
class Core:
    """A Cortex-M core with the board that emulates it.

    isa         what kernels may use: v6m, v7m, dsp (SMLAD and friends), mve (Helium)
    has_fpu     scalar float32 in hardware
    flags       of arm-none-eabi-gcc; they choose core, FPU and float ABI
    machine     QEMU's board, None where no emulator has the core
    systick_hz  clock of the board's SysTick timer
    gcc         first major release of arm-none-eabi-gcc that knows the core
    options     what a chip's designer may leave out, as GCC's names of cores say it: cortex-m55+nomve.fp
    mve_float   with Helium: whether it has float32 too
    """

    name: str
    isa: Isa
    has_fpu: bool
    flags: tuple[str, ...]
    machine: str | None
    memory: MemoryMap
    systick_hz: int
    gcc: int = 10
    options: tuple[str, ...] = ()
    mve_float: bool = True

    @property
    def requantizes_in_float(self) -> bool:
        """What MCUGEN_REQUANT_FPU is by default (mcugen_requant.h)."""
        return self.mve_float if self.isa == "mve" else self.has_fpu

    def without(self, option: str) -> Core:
        """The core less one of its options."""
        name = f"{self.name}+{option}"
        isa, has_fpu, mve_float = self.isa, self.has_fpu, self.mve_float
        if option == "nofp":
            has_fpu = mve_float = False
        elif option == "nomve.fp":
            mve_float = False
        elif option == "nomve" and isa == "mve":
            isa = "dsp"
        elif option == "nodsp":
            isa = "v7m"
        # Helium's registers are the FPU's, which -mfloat-abi=soft takes away.
        flags = (f"-mcpu={name}", f"-mfloat-abi={'hard' if has_fpu or isa == 'mve' else 'soft'}")
        return replace(self, name=name, isa=isa, has_fpu=has_fpu, mve_float=mve_float, flags=flags)


# The vector table lies at the start of the code; 1 KB holds 16 system and up to 240 external vectors.
_VECTORS_BYTES = 1 * _K


def _mps2(code: int, ram: int, data: int) -> MemoryMap:
    return MemoryMap(
        vectors=Region(code, _VECTORS_BYTES),
        code=Region(code + _VECTORS_BYTES, 4 * _M - _VECTORS_BYTES),
        ram=Region(ram, 4 * _M),
        data=Region(data, 16 * _M),
    )


_AN385 = _mps2(code=0x0000_0000, ram=0x2000_0000, data=0x2100_0000)
_AN500 = _mps2(code=0x0000_0000, ram=0x2000_0000, data=0x6000_0000)
# Secure aliases: the core leaves reset in secure state.
_AN505 = _mps2(code=0x1000_0000, ram=0x3800_0000, data=0x8000_0000)
# Reset reads the vectors from the instruction TCM, which is too small for code with weights.
_AN547 = MemoryMap(
    vectors=Region(0x0000_0000, 512 * _K),
    code=Region(0x0100_0000, 2 * _M),
    ram=Region(0x2100_0000, 4 * _M),
    data=Region(0x6000_0000, 16 * _M),
    tcm=Region(0x2000_0000, 512 * _K),
)

_MHZ = 1_000_000


def _soft(name: str) -> tuple[str, ...]:
    return (f"-mcpu={name}", "-mfloat-abi=soft")


def _hard(name: str, *fpu: str) -> tuple[str, ...]:
    return (f"-mcpu={name}", *(f"-mfpu={unit}" for unit in fpu), "-mfloat-abi=hard")


_NOFP = ("nofp",)
_NODSP = ("nodsp", *_NOFP)
_NOMVE = ("nomve.fp", "nomve", *_NODSP)

CORES: tuple[Core, ...] = (
    # A Cortex-M3 runs Armv6-M code unchanged.
    Core("cortex-m0", "v6m", False, _soft("cortex-m0"), "mps2-an385", _AN385, 25 * _MHZ),
    Core("cortex-m0plus", "v6m", False, _soft("cortex-m0plus"), "mps2-an385", _AN385, 25 * _MHZ),
    Core("cortex-m3", "v7m", False, _soft("cortex-m3"), "mps2-an385", _AN385, 25 * _MHZ),
    Core("cortex-m4", "dsp", True, _hard("cortex-m4", "fpv4-sp-d16"), "mps2-an386", _AN385, 25 * _MHZ, options=_NOFP),
    Core(
        *("cortex-m7", "dsp", True, _hard("cortex-m7", "fpv5-d16"), "mps2-an500", _AN500, 25 * _MHZ),
        options=("nofp.dp", *_NOFP),
    ),
    # A Cortex-M33 runs Armv8-M Baseline code unchanged, and has what a Cortex-M35P has for programs.
    Core("cortex-m23", "v6m", False, _soft("cortex-m23"), "mps2-an505", _AN505, 20 * _MHZ),
    Core(
        *("cortex-m33", "dsp", True, _hard("cortex-m33", "fpv5-sp-d16"), "mps2-an505", _AN505, 20 * _MHZ),
        options=_NODSP,
    ),
    Core(
        *("cortex-m35p", "dsp", True, _hard("cortex-m35p", "fpv5-sp-d16"), "mps2-an505", _AN505, 20 * _MHZ),
        options=_NODSP,
    ),
    # Linked for the Cortex-M55's board, as the Cortex-M85: same architecture, but nothing here runs them.
    Core("cortex-m52", "mve", True, _hard("cortex-m52"), None, _AN547, 32 * _MHZ, gcc=14, options=_NOMVE),
    Core("cortex-m55", "mve", True, _hard("cortex-m55"), "mps3-an547", _AN547, 32 * _MHZ, options=_NOMVE),
    Core("cortex-m85", "mve", True, _hard("cortex-m85"), None, _AN547, 32 * _MHZ, gcc=13, options=_NOMVE),
)


def core(name: str) -> Core:
    """The core of that name, "cortex-m33", less the options it names, "cortex-m33+nodsp+nofp"; else UserError."""
    first, *options = name.split("+")
    for found in CORES:
        if found.name == first:
            break
    else:
        raise UserError(f"unknown core {name!r}.", hint="Known: " + ", ".join(c.name for c in CORES) + ".")
    for index, option in enumerate(options):
        if option not in found.options or option in options[:index]:
            known = ", ".join(f"{first}+{known}" for known in found.options)
            raise UserError(f"unknown core {name!r}.", hint=f"Known: {', '.join(filter(None, (first, known)))}.")
        found = found.without(option)
    return found


def is_core(name: object) -> bool:
    try:
        return isinstance(name, str) and core(name) is not None
    except UserError:
        return False


@dataclass(frozen=True)
class Memory:
    """A region of a board's memory as the user names it; flash holds what does not change, itcm code alone."""

    name: str
    size_bytes: int

    @property
    def is_flash(self) -> bool:
        return self.name.startswith(("flash", "rom", "mram"))

    @property
    def is_code(self) -> bool:
        """RAM that instructions are copied to."""
        return self.name.startswith("itcm")

    @property
    def is_data(self) -> bool:
        """RAM for the arena, and tables."""
        return not self.is_flash and not self.is_code


_TAKEN = ("arena", "input", "output", "bytes", "rows", "vectors", "code", "data")


def parse_memories(text: str) -> tuple[Memory, ...]:
    """Regions in the order of preference, from dtcm=64K,sram=256K,flash=1M; UserError for anything else."""
    found: list[Memory] = []
    hint = "Write name=size, fastest first: dtcm=64K,sram=256K,flash=1M."
    for item in text.split(","):
        name, separator, size = item.partition("=")
        name = name.strip().lower()
        if not re.fullmatch(r"[a-z][a-z0-9]{0,15}", name):
            raise UserError(f"{item.strip()!r} names no memory region", hint=hint)
        if not separator:
            raise UserError(f"memory region {name!r} has no size", hint=hint)
        if name in _TAKEN or any(name == other.name for other in found):
            raise UserError(f"a memory region cannot be called {name!r}, or not twice", hint=hint)
        found.append(Memory(name, parse_size(size)))
    if not any(memory.is_data for memory in found):
        raise UserError(
            "no memory region is RAM for data: names that begin with flash, rom or mram are flash, with itcm code",
            hint=hint,
        )
    if sum(memory.is_code for memory in found) > 1:
        raise UserError("code goes to one region only", hint="Name one region that begins with itcm.")
    if any(memory.is_code for memory in found) and not any(memory.is_flash for memory in found):
        raise UserError("there is no flash from which code could be copied", hint=hint)
    return tuple(found)


_SIZE = re.compile(r"([0-9]+)\s*(?:([KM])I?)?B?", re.IGNORECASE)
_FACTOR = {None: 1, "K": _K, "M": _M}


def parse_size(text: str) -> int:
    """Bytes of a memory size: "262144", "256K", "256KB", "256KiB" (1024-based), "1M"; else UserError."""
    match = _SIZE.fullmatch(text.strip())
    size = int(match[1]) * _FACTOR[match[2] and match[2].upper()] if match else 0
    if size == 0:
        raise UserError(f"{text!r} is not a memory size.", hint='Write "262144", "256K" or "1M".')
    return size
