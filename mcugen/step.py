"""A Step is one kernel call as data: what lowering produces, the plan places and the templates spell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

PROVED = "proved"  # equals ORT for every reachable value, checked at compile time
TABLE = "table"  # a table computed by ORT itself
REPLICATED = "replicated"  # float32 arithmetic in ORT's own order
COPY = "copy"  # moves bytes, computes nothing


@dataclass(frozen=True)
class Buffer:
    """A pointer to a tensor: in the arena, or to its table if it is a constant."""

    value: str


@dataclass(frozen=True)
class Table:
    """A constant array in the weights file. `role` names it behind the step: conv1_weights.

    requant: the array holds q31 mantissas, and `shift` the shifts that belong to them: written through
    MCUGEN_MULTIPLIER, so that the same source serves cores with and without an FPU.
    """

    role: str
    data: np.ndarray
    requant_shift: np.ndarray | None = None


@dataclass(frozen=True)
class Requant:
    """A single multiplier, written through MCUGEN_MULTIPLIER."""

    multiplier: int
    shift: int


@dataclass(frozen=True)
class Scratch:
    """The step's scratch buffer, as a cmsis_nn_context."""


@dataclass(frozen=True)
class KernelSums:
    """A cmsis_nn_context with the sums that Arm's MVE fully-connected kernels read from it."""

    table: Table


@dataclass(frozen=True)
class Struct:
    """A constant struct passed by address; fields by designated initializers, in the struct's own order."""

    ctype: str
    fields: Mapping[str, Any]  # Field, or a tuple of uint32 that the struct points to


Field = int | float | np.float32 | Requant | Table | Mapping[str, int]
Arg = Buffer | Table | Scratch | KernelSums | Struct | int | np.float32


@dataclass(frozen=True)
class Step:
    """One kernel call. args are (C parameter name, what is passed), in the kernel's order."""

    name: str
    kernel: str
    args: tuple[tuple[str, Arg], ...]
    inputs: tuple[str, ...]  # activations read
    outputs: tuple[str, ...]
    exactness: str
    origin: tuple[str, ...]
    returns_status: bool = False
    scratch_bytes: int = 0
    macs: int = 0
    in_place: tuple[str, ...] = ()  # inputs whose bytes the output may take
    notes: tuple[str, ...] = field(default=())

    def tables(self) -> list[Table]:
        """Every constant array the call names, in order."""
        found: list[Table] = []
        for _, arg in self.args:
            if isinstance(arg, Table):
                found.append(arg)
            elif isinstance(arg, KernelSums):
                found.append(arg.table)
            elif isinstance(arg, Struct):
                found += [item for item in arg.fields.values() if isinstance(item, Table)]
        return found
