"""A Step is one kernel call as data: what lowering produces, the plan places and the templates spell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

PROVED = "proved"  # equals ORT for every reachable value, checked at compile time
TABLE = "table"  # a table computed by ORT itself
REPLICATED = "replicated"  # float32 arithmetic in ORT's own order
INTEGER = "integer"  # equals the canonical integer graph; ORT computes in float, and the step states the difference
STOCK = "stock"  # within one step of ORT; no certificate for every channel
COPY = "copy"  # moves bytes, computes nothing
FLOAT = "float"  # float32 arithmetic in an order of our own; the step states its tolerance


FEED = "feed"  # no kernel: rows of an input that the generated code copies into the arena as they come in
MOVE = "mcugen_move_s8"  # the kernel whose input and output may overlap in any way
SUM = "mcugen_sum_pixels_s8"  # the kernel that sums up a tensor whose rows come one after the other


@dataclass(frozen=True)
class Buffer:
    """A pointer to a tensor: in the arena, or to its table if it is a constant.

    as_bytes: for a kernel that moves elements of any width as int8.
    """

    value: str
    as_bytes: bool = False


@dataclass(frozen=True)
class Table:
    """A constant array in the weights file. `role` names it behind the step: conv1_weights.

    requant: the array holds q31 mantissas, and `shift` the shifts that belong to them: written through
    MCUGEN_MULTIPLIER, so that the same source serves cores with and without an FPU; or through
    MCUGEN_MULTIPLIER_AT, if all channels share the shift `shared_shift`.
    """

    role: str
    data: np.ndarray
    requant_shift: np.ndarray | None = None
    shared_shift: int | None = None


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
class Array:
    """An array inside a struct; its elements are written like the struct's own fields."""

    items: tuple[Any, ...]  # Field


@dataclass(frozen=True)
class Struct:
    """A constant struct passed by address; fields by designated initializers, in the struct's own order.

    literal: bands that differ in its fields do not share a function.
    """

    ctype: str
    fields: Mapping[str, Any]  # Field, or a tuple of uint32 that the struct points to
    literal: bool = False


@dataclass(frozen=True)
class Rows:
    """What a step makes where its output is no tensor of the graph: the rows of `tensor` from `first` on."""

    tensor: str
    first: int


Field = int | float | np.float32 | Requant | Table | Array | Mapping[str, Any]
Arg = Buffer | Table | Scratch | KernelSums | Struct | int | np.float32 | None  # None: a NULL pointer


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
    adds_to: str | None = None  # the input whose bytes it must take: the kernel adds to what stands at the output
    leads: tuple[tuple[str, int], ...] = ()  # (input, bytes by which the output must start before it to overlap it)
    rows: Rows | None = None
    tolerance: float = 0.0  # of a FLOAT step: error allowed, relative to the largest magnitude in its output
    codes: int = 0  # of an INTEGER step: how far ORT's own float arithmetic may be, in steps of the output's scale
    notes: tuple[str, ...] = field(default=())

    @property
    def tensor(self) -> str | None:
        """The tensor of the graph that the step makes, or makes some rows of; None if it moves bytes, or sums them."""
        if self.kernel in (MOVE, SUM):
            return None
        return self.outputs[0] if self.rows is None else self.rows.tensor

    def tables(self) -> list[Table]:
        """Every constant array the call names, in order."""
        found: list[Table] = []
        for _, arg in self.args:
            if isinstance(arg, Table):
                found.append(arg)
            elif isinstance(arg, KernelSums):
                found.append(arg.table)
            elif isinstance(arg, Struct):
                found += _tables(arg.fields)
        return found


def _tables(field: Any) -> list[Table]:
    """The tables in a field, however deep."""
    if isinstance(field, Table):
        return [field]
    items = field.values() if isinstance(field, Mapping) else field.items if isinstance(field, Array) else ()
    return [table for item in items for table in _tables(item)]
