"""Operators of your own: one Python file, passed with --plugin, and the C kernels beside it.

The file names its parts in one object:

    PLUGIN = Plugin(operators=(DELTA,), functions=(DELTA_AS_ONNX,), kernels=Path(__file__).parent)

An operator is an OpDef, as mcugen's own are. Its ONNX function is what ONNX Runtime computes in its place: the
reference that the C is held against. examples/custom_operator is one, whole. A plugin is Python code that runs: load
only your own.
"""

from __future__ import annotations

import runpy
from dataclasses import dataclass
from pathlib import Path

import onnx
import onnx.parser

from . import ops, resources
from .errors import UserError
from .ir import Node, attrs
from .ops.base import Canonical, Lowering, OpDef, Unit
from .step import COPY, FLOAT, PROVED, REPLICATED, TABLE, Buffer, Step, Struct, Table

__all__ = [
    "COPY",
    "FLOAT",
    "PROVED",
    "REPLICATED",
    "TABLE",
    "Buffer",
    "Canonical",
    "Lowering",
    "Node",
    "OpDef",
    "Plugin",
    "Step",
    "Struct",
    "Table",
    "Unit",
    "attrs",
    "load_plugin",
]


@dataclass(frozen=True)
class Plugin:
    """What a plugin file brings.

    operators  OpDefs; `onnx` names what they compile as domain.Operator
    functions  the same operators as ONNX functions, in ONNX's textual form (onnx.parser.parse_function)
    kernels    the folder of their C: KERNEL.c with its prototype in KERNEL.h, for each kernel that a Step calls
    """

    operators: tuple[OpDef, ...]
    functions: tuple[str, ...] = ()
    kernels: Path | None = None


def load_plugin(path: Path) -> Plugin:
    """Run the file and make its operators known to the compiler; the same file again changes nothing.

    UserError: no such file, an error inside it, or a name that is taken.
    """
    path = path.resolve()
    if path in _LOADED:
        return _LOADED[path]
    if not path.is_file():
        raise UserError("no such file", origin=str(path), hint="--plugin takes a Python file.")
    try:
        plugin = runpy.run_path(str(path)).get("PLUGIN")
    except (Exception, SystemExit) as error:
        raise UserError(
            f"the plugin does not load: {type(error).__name__}: {error}",
            origin=str(path),
            hint=f"Run `python {path.name}` to see where.",
        ) from error
    if not isinstance(plugin, Plugin):
        raise UserError("no PLUGIN is defined here", origin=str(path), hint="End the file with PLUGIN = Plugin(...).")
    _check_kernels(plugin, path)
    functions = [_function(text, path) for text in plugin.functions]
    for operator in plugin.operators:
        if operator.name in ops.OPS:
            raise UserError(f"an operator {operator.name!r} is there already", origin=str(path), hint="Rename yours.")
    for operator in plugin.operators:
        ops.register(operator)
    for function in functions:
        ops.FUNCTIONS[f"{function.domain}.{function.name}"] = function
    if plugin.kernels is not None:
        resources.add_kernels(plugin.kernels)
    _LOADED[path] = plugin
    return plugin


_LOADED: dict[Path, Plugin] = {}


def _function(text: str, path: Path) -> onnx.FunctionProto:
    try:
        function = onnx.parser.parse_function(text)
        onnx.checker.check_function(function)
    except (onnx.parser.ParseError, onnx.checker.ValidationError) as error:
        raise UserError(f"a function is not valid ONNX: {error}", origin=str(path)) from None
    if function.domain in ("", "ai.onnx", "com.microsoft"):
        raise UserError(
            f"the function {function.name} is in a domain that is not yours", origin=str(path), hint="Name your own."
        )
    return function


def _check_kernels(plugin: Plugin, path: Path) -> None:
    if plugin.kernels is None:
        return
    if not plugin.kernels.is_dir():
        raise UserError(f"the kernels' folder {str(plugin.kernels)!r} is missing", origin=str(path))
    for file in sorted(plugin.kernels.glob("*.[ch]")):
        if file.name.startswith(("mcugen_", "arm_")):
            raise UserError(
                f"the kernel file {file.name} has a reserved name", origin=str(path), hint="Give it a prefix of yours."
            )
