"""report.json: everything about a build that a script or a reviewer asks, as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import __version__, oracle
from ..ops.layout import TRANSPOSES
from ..plan import Slot, Storage
from ..step import FLOAT, Step
from .artefact import Compiled, Port
from .codegen import const_bytes, includes, memory_usage


def report(
    compiled: Compiled,
    code_bytes: int | None = None,
    stack_bytes: int | None = None,
    stack_path: Sequence[str] = (),
    stack_unknown: str = "no compiler for the core is installed",
) -> dict[str, Any]:
    """What an Arm compiler says is None where there is none.

    code_bytes: code the model adds to an image, kernels included; stack_bytes: a bound for a run, the functions on the
    deepest path beside it, or why there is no bound.
    """
    plan = compiled.plan
    return {
        "name": compiled.name,
        "mcugen": __version__,
        "model_sha256": compiled.model_sha256,
        "target": compiled.core.name,
        "io": compiled.io,
        "feed": "whole" if compiled.feed is None else "rows",
        "io_buffers": "apart" if plan.callers and compiled.feed is None else "arena",
        "io_bytes": sum(port.type.bytes for port in (*compiled.inputs, *compiled.outputs)),
        "requant": compiled.requant,
        "kernels": compiled.kernels,
        "inputs": [_port(compiled, port) for port in compiled.inputs],
        "outputs": [_port(compiled, port) for port in compiled.outputs],
        "arena_bytes": compiled.arena_bytes,
        "arena_includes": includes(compiled),
        "arena_bound_bytes": plan.bound_bytes + compiled.arena_bytes - plan.arena_bytes,
        "arena_parts": [
            {"region": part.name, "bytes": part.size_bytes, "bound_bytes": part.bound_bytes} for part in plan.parts
        ],
        "arena_plan": compiled.planned,
        "arena_peak_step": compiled.steps[plan.peak_step].name if compiled.steps else None,
        "memory": memory_usage([compiled], code_bytes),
        "const_bytes": const_bytes(compiled),
        "weights_bytes": const_bytes(compiled, "weights"),
        "code_bytes": code_bytes,
        "stack_bytes": stack_bytes,
        "stack_path": list(stack_path),
        "stack_unknown": stack_unknown if stack_bytes is None else None,
        "macs": compiled.macs,
        "transposes": len({step.tensor for step in compiled.steps if step.kernel in TRANSPOSES}),
        "steps": [_step(step) for step in compiled.steps],
        "arena": [
            {
                "holds": list(slot.names),
                "offset": slot.offset_bytes,
                "bytes": slot.size_bytes,
                "region": slot.part or None,
                "first_step": slot.first_step,
                "last_step": slot.last_step,
            }
            for slot in plan.slots
        ],
        "reference": {**oracle.environment(), "session": oracle.session_options(compiled.model)},
    }


def contents(compiled: Compiled) -> list[str]:
    """What lies in each slot of the plan, in the words of the steps: the layer that makes it, or the input's name."""
    makers: dict[str, str] = {}
    for step in compiled.steps:
        for name in step.outputs:
            makers.setdefault(name, step.name)
    ports = {port.name: port.c_name for port in (*compiled.inputs, *compiled.outputs)}

    def what(slot: Slot, storage: Storage) -> str:
        if not storage.parts:
            return slot.names[0]
        names = [name for name, _ in storage.parts]
        made = next((makers[name] for name in names if name in makers), None)
        return made or next((ports[name] for name in names if name in ports), slot.names[0])

    return [what(*pair) for pair in zip(compiled.plan.slots, compiled.plan.storages, strict=True)]


def float_warning(compiled: Compiled) -> str | None:
    """What quantizing would save, if all the model's arithmetic is in float32."""
    layers = [step for step in compiled.steps if step.macs]
    if not layers or not all(_in_float32(step) for step in layers):
        return None
    tables, arena = const_bytes(compiled), compiled.plan.arena_bytes
    return (
        f"the model is not quantized: all {compiled.macs:,} MAC run in float32, near to ONNX Runtime but not equal. "
        f"int8 would take about {tables // 4:,} bytes of tables instead of {tables:,}, about {arena // 4:,} bytes of "
        f"arena instead of {arena:,}, and be several times faster; `mcugen quantize` makes it."
    )


def _in_float32(step: Step) -> bool:
    return step.exactness == FLOAT and all(table.data.dtype.itemsize > 1 for table in step.tables())


def _port(compiled: Compiled, port: Port) -> dict[str, Any]:
    q, apart = port.type.quant, port.name in compiled.plan.callers
    return {
        "name": port.name,
        # How the firmware reaches it: a function of the arena, or a parameter of the run.
        "accessor": None if apart else f"{compiled.name}_{port.c_name}",
        "parameter": port.c_name if apart else None,
        "dtype": port.type.dtype,
        "shape": list(port.type.shape),
        "scale": None if q is None else float(q.per_tensor[0]),
        "zero_point": None if q is None else q.per_tensor[1],
        "bytes": port.type.bytes,
    }


def _step(step: Step) -> dict[str, Any]:
    return {
        "name": step.name,
        "kernel": step.kernel,
        "exactness": step.exactness,
        "scratch_bytes": step.scratch_bytes,
        "macs": step.macs,
        "origin": list(step.origin),
        "notes": list(step.notes),
    }
