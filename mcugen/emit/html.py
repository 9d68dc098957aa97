"""report.html: the build on one page, in one file, with a picture of the arena over time. For people, on any screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..plan import Plan
from ..step import Step
from .artefact import Compiled
from .report import contents
from .spelling import describe
from .templating import environment

# The picture's own units; the browser scales it to the screen.
_WIDTH, _HEIGHT = 960.0, 420.0
_LEFT, _TOP, _BOTTOM = 64.0, 10.0, 28.0
_CHARACTER = 6.2  # of a label, and the least height of a box that has one
_LABEL_HEIGHT = 13.0
_GRID = 4


def report_html(compiled: Compiled, data: Mapping[str, Any]) -> str:
    """data: what report.json says."""
    view = {
        "data": data,
        "tiles": _tiles(data),
        "arena": _arena(compiled),
        "peak": _peak(compiled),
        "layers": _layers(compiled),
    }
    page = environment(html=True).get_template("report.html.j2")
    return page.render(**view)


def _tiles(data: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(what, number, remark)."""
    gap = data["arena_bytes"] - data["arena_bound_bytes"]
    code = data["code_bytes"]
    return [
        (
            "Arena",
            f"{data['arena_bytes']:,}",
            "bytes of RAM, " + ("proved minimal" if gap == 0 else f"{gap:,} above the bound"),
        ),
        ("Tables", f"{data['const_bytes']:,}", f"bytes of flash, {data['weights_bytes']:,} of them weights"),
        (
            "Stack",
            "unknown" if data["stack_bytes"] is None else f"{data['stack_bytes']:,}",
            data["stack_unknown"] or "bytes at most, beside the arena",
        ),
        ("Code", "not measured" if code is None else f"{code:,}", "bytes of flash, kernels included"),
        ("Work", f"{data['macs']:,}", f"multiplications in {len(data['steps'])} steps"),
    ]


def _kind(compiled: Compiled, names: Sequence[str], scratch: bool) -> str:
    if scratch:
        return "scratch"
    if any(name in compiled.graph.inputs for name in names):
        return "input"
    return "output" if any(name in compiled.graph.outputs for name in names) else "tensor"


def _arena(compiled: Compiled) -> dict[str, Any]:
    """Boxes of the picture: steps from left to right, bytes from bottom to top."""
    plan, count = compiled.plan, max(len(compiled.steps), 1)
    held = contents(compiled)
    bases = _bases(plan)
    wide, high = (_WIDTH - _LEFT) / count, (_HEIGHT - _TOP - _BOTTOM) / max(plan.arena_bytes, 1)
    floor = _HEIGHT - _BOTTOM
    boxes: list[dict[str, Any]] = []
    labels: list[dict[str, Any]] = []
    born = sorted(range(len(plan.slots)), key=lambda index: (plan.slots[index].first_step, index))
    for order, index in enumerate(born):
        slot, storage = plan.slots[index], plan.storages[index]
        label = held[index]
        kind = _kind(compiled, slot.names, not storage.parts) + (" odd" if order % 2 else "")
        for piece in storage.pieces:
            first, last = max(piece.first, 0), max(0, min(piece.last, count - 1))
            x, width = _LEFT + first * wide, (last - first + 1) * wide
            y = floor - (bases[slot.part] + slot.offset_bytes + piece.stop) * high
            height = (piece.stop - piece.start) * high
            start, stop = slot.offset_bytes + piece.start, slot.offset_bytes + piece.stop
            title = (
                f"{label}: {slot.part} bytes {start:,} to {stop - 1:,}, "
                f"steps {first} to {last} ({', '.join(slot.names)[:200]})"
            )
            boxes.append({"kind": kind, "x": x, "y": y, "width": width, "height": height, "title": title})
        x, width = _LEFT + slot.first_step * wide, (slot.last_step - slot.first_step + 1) * wide
        half = len(label) * _CHARACTER / 2
        x, y = x + width / 2, floor - (bases[slot.part] + slot.offset_bytes + slot.size_bytes / 2) * high + 4
        fits = slot.size_bytes * high > _LABEL_HEIGHT and width > half
        apart = all(abs(x - b["x"]) > half + b["half"] or abs(y - b["y"]) > _LABEL_HEIGHT for b in labels)
        if fits and apart:
            labels.append({"x": x, "y": y, "text": label, "half": half})
    lines = [
        {"y": floor - plan.arena_bytes * k / _GRID * high, "text": f"{round(plan.arena_bytes * k / _GRID):,}"}
        for k in range(_GRID + 1)
    ]
    if len(plan.parts) > 1:  # one above the other, each from its own first byte
        lines = [{"y": floor - bases[part.name] * high, "text": part.name} for part in plan.parts]
    every = -(-count // 12)
    ticks = [{"x": _LEFT + (k + 0.5) * wide, "text": str(k)} for k in range(0, count, every)]
    return {
        "width": _WIDTH,
        "height": _HEIGHT,
        "left": _LEFT,
        "top": _TOP,
        "floor": floor,
        "boxes": boxes,
        "labels": labels,
        "lines": lines,
        "ticks": ticks,
        "peak_x": _LEFT + plan.peak_step * wide,
        "peak_width": wide,
    }


def _bases(plan: Plan) -> dict[str, int]:
    """Where each part of the arena begins in the picture, in bytes."""
    bases, base = {"": 0}, 0
    for part in plan.parts:
        bases[part.name] = base
        base += part.size_bytes
    return bases


def _peak(compiled: Compiled) -> dict[str, Any]:
    """What lives in the step that needs most, largest first."""
    plan, held = compiled.plan, contents(compiled)
    rows = [
        {"what": held[index], "bytes": slot.size_bytes, "offset": slot.offset_bytes, "region": slot.part}
        for index, slot in enumerate(plan.slots)
        if slot.first_step <= plan.peak_step <= slot.last_step
    ]
    step = compiled.steps[plan.peak_step].name if compiled.steps else "-"
    return {"step": step, "index": plan.peak_step, "rows": sorted(rows, key=lambda row: -row["bytes"])}


def _layers(compiled: Compiled) -> list[dict[str, Any]]:
    """The steps, the bands of one layer together, in the order of their first call."""
    found: dict[str, list[Step]] = {}
    for step in compiled.steps:
        found.setdefault(step.name, []).append(step)
    graph = compiled.graph
    return [
        {
            "name": name,
            "kernel": steps[0].kernel,
            "calls": len(steps),
            "output": describe(graph.type(steps[0].outputs[0] if steps[0].rows is None else steps[0].rows.tensor)),
            "macs": sum(step.macs for step in steps),
            "scratch": max(step.scratch_bytes for step in steps),
            "exactness": steps[0].exactness,
            "origin": ", ".join(steps[0].origin),
            "notes": list(steps[0].notes),
        }
        for name, steps in found.items()
    ]
