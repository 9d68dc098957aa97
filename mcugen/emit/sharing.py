"""What steps share: functions of the bands of one step, layers of one kind, loops of calls that repeat.

A step is the view that codegen made of it (`_Context._step`): its declarations and its call, as text.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..step import Step, Struct
from .loops import Call, loops
from .spelling import WIDTH, kernel_call

_ROWS = frozenset(("h", "count", "pixels", "first", "input_h", "output_h", "pad_top"))
"""Fields and arguments in which the bands of one step may differ: they become parameters of the function they share."""


def row_parameters(steps: Sequence[Step]) -> list[dict[str, int]]:
    """For each step, what it passes to the function that it shares: parameter name -> value."""
    rows = [_rows(step) for step in steps]
    shapes = [(step.name, step.kernel, *found) for step, found in zip(steps, rows, strict=True)]
    first: dict[tuple[str, ...], dict[str, int]] = {}
    differ: dict[tuple[str, ...], set[str]] = {}
    for shape, found in zip(shapes, rows, strict=True):
        one = first.setdefault(shape, found)
        differ.setdefault(shape, set()).update(key for key, value in found.items() if one[key] != value)
    return [
        {key: value for key, value in found.items() if key in differ[shape]}
        for shape, found in zip(shapes, rows, strict=True)
    ]


def _rows(step: Step) -> dict[str, int]:
    """All fields and arguments of the step that _ROWS names, as parameter name -> value."""
    found: dict[str, int] = {}

    def look(path: str, key: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for inner, item in value.items():
                look(f"{path}_{inner}", inner, item)
        elif key in _ROWS and isinstance(value, (int, np.integer)):
            found[path] = int(value)

    for role, arg in step.args:
        if not isinstance(arg, Struct):
            look(role, role, arg)
        elif not arg.literal:
            look(role, role, arg.fields)
    return found


def layers(steps: Sequence[dict[str, Any]], tables: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Functions of specialised layers that several steps compute, each with tables of its own.

    The steps then call them: their `call` and `declarations` change. tables: by name, for the C type of the weights.
    """
    passed = {_layer(step) for step in steps if _layer(step) and not _layer_rows(step)}  # rows that bands choose
    kinds: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for step in steps:
        layer = _layer(step)
        if layer:
            kinds.setdefault((*layer, *(() if layer in passed else _layer_rows(step))), []).append(step)
    found: list[dict[str, Any]] = []
    for (kernel, *own), users in kinds.items():
        names = list(dict.fromkeys(user["name"] for user in users))
        if len(names) == 1:  # bands of one step share its function
            continue
        name = f"layer_{names[0]}"
        while any(layer["name"] == name for layer in found):  # bands of one step may be of several kinds
            name += "_too"
        weights = tables[users[0]["arguments"][4]]["ctype"]
        moved = ("&layer", "&rows") if len(own) == 2 else ("&layer",)
        found.append(
            {
                "name": name,
                "users": names,
                "kernel": kernel,
                "band": "" if len(own) == 2 else "const mcugen_rows *band, ",
                "declarations": own if len(own) == 2 else [*own, "const mcugen_rows rows = *band;"],
                "weights": weights,
            }
        )
        for user in users:
            user["declarations"] = [text for text in user["declarations"] if text not in own]
            user["call"] = kernel_call(name, [text for text in user["arguments"] if text not in moved], False)
    return found


def _layer(step: Mapping[str, Any]) -> tuple[str, ...]:
    """The kernel and the declaration of a specialised layer."""
    found = next((text for text in step["declarations"] if text.startswith("static const mcugen_layer layer")), None)
    return () if found is None else (step["kernel"], found)


def _layer_rows(step: Mapping[str, Any]) -> tuple[str, ...]:
    """The declaration of its rows, if they are constant."""
    return tuple(text for text in step["declarations"] if text.startswith("static const mcugen_rows rows"))


def functions(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The C functions behind the steps, shared by bands of one step. Gives each its `function` and `invocation`."""
    made: dict[tuple[Any, ...], dict[str, Any]] = {}
    names = {step["name"] for step in steps}
    for step in steps:
        key = (step["name"], *step["declarations"], step["call"])
        if key not in made:
            name = step["name"]
            if any(function["function"] == name for function in made.values()):
                number = 2
                while f"{name}_{number}" in names:
                    number += 1
                name = f"{name}_{number}"
            names.add(name)
            parameters = [base.parameter for base in step["bases"]] + [f"uint32_t {place}" for place in step["places"]]
            parameters += [f"int32_t {row}" for row in step["rows"]]
            # Inside the run, a layer's registers and stack would depend on its neighbours.
            storage = "MCUGEN_OUT_OF_LINE static" if _layer(step) else "static"
            head = len(f"{storage} {step['result']} step_{name}(")
            lines = textwrap.wrap(", ".join(parameters), WIDTH - head, break_long_words=False)
            made[key] = step | {"function": name, "storage": storage, "parameters": ("\n" + " " * head).join(lines)}
        step["function"] = made[key]["function"]
        step["invocation"] = _invocation(step, [f"{offset}u" for offset in step["places"].values()])
    return list(made.values())


def _invocation(step: dict[str, Any], offsets: Sequence[str]) -> str:
    arguments = [base.argument for base in step["bases"]] + [*offsets, *map(str, step["rows"].values())]
    return f"step_{step['function']}({', '.join(arguments)})"


def run_loops(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The steps as the run calls them: {turns, calls}; `turn` counts the turns of those that repeat."""
    calls = [_call_of(index, step) for index, step in enumerate(steps)]
    found = []
    for loop in loops(calls):
        turn = []
        for at, grows in enumerate(loop.steps, loop.first):
            index = f"{at} + {grows[0]} * (int)turn" if grows[0] else at
            turn.append(_repeated(steps[at], calls[at], grows) | {"index": index})
        found.append({"turns": loop.count, "calls": turn})
    return found


def cycles(steps: Sequence[dict[str, Any]], starts: Sequence[int], places: Sequence[int]) -> dict[str, Any]:
    """The turns of a fed model, {turns, cycles, runs}: turn i takes rows to arena offset places[i] at step starts[i].

    Turns that come again with numbers that grow evenly stand in a cycle once; equal ones run one text.
    """
    ends = [*starts[1:], len(steps)]
    inside = [[_call_of(i, steps[i]) for i in range(start + 1, end)] for start, end in zip(starts, ends, strict=True)]
    turns = [
        Call(tuple(call.kind for call in calls), (at, *(n for c in calls for n in c.numbers)))
        for at, calls in zip(places, inside, strict=True)
    ]
    entries: list[dict[str, Any]] = []
    found: list[dict[str, int]] = []
    runs: dict[tuple[Any, ...], dict[str, Any]] = {}
    for loop in loops(turns):
        last = loop.first + loop.period - 1
        if loop.count > 1 or not found or found[-1]["count"] > 1:
            found.append({"first": loop.first, "count": loop.count, "turns": 0, "steps": 0, "entry": len(entries)})
        found[-1]["turns"] += loop.period
        found[-1]["steps"] += ends[last] - starts[loop.first]
        for turn, (grows, *by) in enumerate(loop.steps, loop.first):
            run, growing = [], iter(by)
            for index, call in enumerate(inside[turn], starts[turn] + 1):
                run.append(_repeated(steps[index], call, [next(growing) for _ in call.numbers]))
            text = tuple((call["invocation"], call["output"], call["output_bytes"]) for call in run)
            number = runs.setdefault(text, {"number": len(runs), "steps": run})["number"]
            entries.append({"at": places[turn], "grows": grows, "step": starts[turn], "run": number})
    return {"turns": entries, "cycles": found, "runs": list(runs.values())}


def _call_of(index: int, step: dict[str, Any]) -> Call:
    """The step's call; what may grow are its number and its offsets."""
    kind = (step["function"], *step["rows"].values(), step["output_base"], step["output_bytes"])
    return Call(kind, (index, *step["places"].values(), step["output_at"]))


def _repeated(step: dict[str, Any], call: Call, grows: Sequence[int]) -> dict[str, Any]:
    """The step's call in turn `turn` of a loop."""
    _, *offsets, output = call.numbers
    places = [_grown(f"{n}u", by) for n, by in zip(offsets, grows[1:-1], strict=True)]
    return {
        "result": step["result"],
        "invocation": _invocation(step, places),
        "output": f"{step['output_base']} + {_grown(str(output), grows[-1])}",
        "output_bytes": step["output_bytes"],
    }


def _grown(number: str, by: int) -> str:
    """The number in turn `turn`."""
    return number if by == 0 else f"{number} {'-' if by < 0 else '+'} {abs(by)}u * turn"
