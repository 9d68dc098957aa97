"""How values are spelled in C: types, literals, comments, initializers, tables, calls.

ONNX names are untrusted: in C they stand only in comments, through `comment`, and as what `artefact.identifier` makes.
"""

from __future__ import annotations

import re
import textwrap
from typing import Any

import numpy as np

from ..ir import TensorType

CTYPES = {
    "int8": "int8_t",
    "uint8": "uint8_t",
    "bool": "int8_t",  # 0 or 1; what moves int8 moves it too
    "int16": "int16_t",
    "uint16": "uint16_t",
    "int32": "int32_t",
    "int64": "int64_t",
    "float32": "float",
}

WIDTH = 110
"""Columns that generated code keeps to."""


def comment(text: str) -> str:
    """Untrusted text inside a C comment: printable ASCII, no way out of it, no line break, no trigraph."""
    plain = re.sub(r"[^\x20-\x7e]", "?", text)
    plain = plain.replace("*/", "* /").replace("/*", "/ *").replace("\\", "/").replace("??", "? ?")
    return plain if len(plain) <= 96 else plain[:93] + "..."


def float_literal(value: Any) -> str:
    """A float32 as a C literal that reads back as the same bits."""
    if not np.isfinite(value):
        return "NAN" if np.isnan(value) else "INFINITY" if value > 0 else "-INFINITY"
    text = f"{float(np.float32(value)):.9g}"
    return f"{text}f" if any(c in text for c in ".e") else f"{text}.0f"


def int_literal(value: int) -> str:
    """An integer as a C literal; -2147483648 would be an operator and a literal that int does not hold."""
    return {-(2**31): "INT32_MIN", -(2**63): "INT64_MIN"}.get(value, str(value))


def describe(type: TensorType) -> str:
    """As int8[1,8,8,3]."""
    return f"{type.dtype}[{','.join(map(str, type.shape))}]"


def declaration(head: str, fields: list[str]) -> str:
    """A struct with designated initializers, on one line if it fits."""
    line = f"{head} = {{{', '.join(fields)}}};"
    if len(line) <= WIDTH - 4:
        return line
    return "\n".join([f"{head} = {{", *(f"        {field}," for field in fields), "    };"])


def kernel_call(kernel: str, arguments: list[str], returns_status: bool) -> str:
    """The last statement of a step's function."""
    start = f"return {kernel}(" if returns_status else f"{kernel}("
    lines = textwrap.wrap(", ".join(arguments) + ");", WIDTH - 8 - len(start), break_long_words=False)
    return start + ("\n" + " " * (4 + len(start))).join(lines)


def elements(data: np.ndarray, shift: np.ndarray | None = None, shared: int | None = None) -> list[str]:
    """The elements of a table as C, as many to the line as fit whatever their values."""
    flat = data.reshape(-1)
    if shift is not None:
        pairs = zip(flat.tolist(), shift.reshape(-1).tolist(), strict=True)
        words = [
            f"MCUGEN_MULTIPLIER({m}, {s})" if shared is None else f"MCUGEN_MULTIPLIER_AT({m}, {s}, {shared})"
            for m, s in pairs
        ]
        width = 3 if shared is None else 2
    elif data.dtype == np.float32:
        words, width = [float_literal(x) for x in flat], 6
    else:
        words, width = [int_literal(int(x)) for x in flat.tolist()], {1: 16, 2: 12, 4: 8, 8: 5}[data.dtype.itemsize]
    return [", ".join(words[i : i + width]) + "," for i in range(0, len(words), width)]
