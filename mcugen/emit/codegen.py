"""Compiled -> the C sources of a project, as text. Python decides here; the templates and spelling.py spell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

import numpy as np

from .. import __version__
from ..ops.float_unary import LIBRARY_KERNELS
from ..step import FEED, MOVE, Array, Buffer, Field, KernelSums, Requant, Scratch, Step, Struct, Table
from . import sharing
from .artefact import Compiled, Port, Shared
from .memory import arena_bytes, ram_section, stage, table_section, usage
from .sources import has_header, header_of
from .spelling import CTYPES, comment, declaration, describe, elements, float_literal, int_literal, kernel_call
from .templating import environment


def c_sources(compiled: Compiled) -> dict[str, str]:
    """File name -> text of the model's own sources (header, code, weights)."""
    context = _Context(compiled)
    view = context.view()
    jinja = environment()
    files = {
        f"{compiled.name}.h": "model.h.j2",
        f"{compiled.name}.c": "model.c.j2",
        f"{compiled.name}_weights.h": "weights.h.j2",
        f"{compiled.name}_weights.c": "weights.c.j2",
    }
    return {name: jinja.get_template(template).render(m=view) for name, template in files.items()}


def sections_script(models: Sequence[Compiled], name: str) -> str:
    """NAME_sections.ld: where the arena, copied tables and code of all models go."""
    views = [_Context(compiled).view() for compiled in models]
    memories = models[0].memories
    regions = {table["region"] for view in views for table in view["tables"]}
    copied = [memory.name for memory in memories if memory.name in regions]
    code_region = next((memory.name for memory in memories if memory.is_code), "")
    sections = [f".mcugen_tables_{region}" for region in copied]
    view = {
        "name": name,
        "version": __version__,
        "regions": [memory.name for memory in memories],
        "flash": next((memory.name for memory in memories if memory.is_flash), ""),
        "copied": copied,
        "code_region": code_region,
        "code": list(dict.fromkeys(function for view in views for function in view["code"])),
        "sections": [*sections, f".mcugen_code_{code_region}"] if code_region else sections,
        "arena_regions": [memory.name for memory in memories if memory.name in arena_bytes(models)],
    }
    return environment().get_template("sections.ld.j2").render(m=view)


def harness(compiled: Compiled, *, profile: bool) -> str:
    """main() for an emulated board: samples from a file, results to a file; with counters if `profile`."""
    view = _Context(compiled).view()
    return environment().get_template("harness.c.j2").render(m=view, profile=profile)


def includes(compiled: Compiled) -> str:
    """What of the inputs and outputs the arena holds."""
    if compiled.feed is not None:
        return "the outputs included, the input in rows"
    return "inputs and outputs apart" if compiled.plan.callers else "inputs and outputs included"


def size_probe(compiled: Compiled, function: str = "main") -> str:
    """A `function` that calls the model and all its accessors, for the size of an image with it."""
    view = _Context(compiled).view()
    name, feed = compiled.name, compiled.feed is not None
    used = "".join(f" | (uintptr_t){port['pointer']}" for port in view["ports"] if not (feed and port["caller"]))
    declared = "\n".join([*view["arena"], *(view["buffers"] if not feed else ())])
    run = f"{name}_begin(&arena) | {name}_feed(&arena, (const int8_t *)0, 1)" if feed else view["run"]
    call = f"{run} | (int)(0{used})"
    return (
        f'#include "{compiled.name}.h"\n{declared}\nint {function}(void);\nint {function}(void) {{ return {call}; }}\n'
    )


def project_view(compiled: Compiled, files: Sequence[str], optimize: str, test: str = "test") -> dict[str, Any]:
    """What CMakeLists.txt, README.md and the test program say; `files` are the library's C files."""
    tests = [{"name": compiled.name, "folder": test}]
    return _Context(compiled).view() | library_view(files) | {"optimize": optimize, "tests": tests}


def library_view(files: Sequence[str]) -> dict[str, Any]:
    """The library's C files, and whether they call math.h, which CMake has to link."""
    return {"files": list(files), "math": any(PurePath(file).stem in LIBRARY_KERNELS for file in files)}


def vector_view(
    compiled: Compiled,
    inputs: Mapping[str, np.ndarray],
    outputs: Mapping[str, np.ndarray],
    allowed: Mapping[str, float],
) -> list[dict[str, Any]]:
    """The recorded samples as C arrays; inputs and outputs by ONNX name, samples along the first axis.

    allowed: largest difference of an output, where bytes need not be equal.
    """
    view = _Context(compiled).view()
    arrays = [(port, inputs[port.name]) for port in compiled.inputs]
    arrays += [(port, outputs[port.name]) for port in compiled.outputs]
    return [
        {
            "kind": shown["kind"],
            "name": f"{compiled.name}_test_{port.c_name}",
            "ctype": CTYPES[port.type.dtype],
            "pointer": shown["pointer"],
            "macro": shown["macro"],
            "samples": [elements(sample) for sample in array],
            "allowed": f"{allowed[port.name]:.9g}" if allowed.get(port.name) else None,
        }
        for shown, (port, array) in zip(view["ports"], arrays, strict=True)
    ]


def memory_usage(models: Sequence[Compiled], code_bytes: int | None) -> list[dict[str, Any]]:
    """The board's memory regions with what they hold of all models; empty if the user named none."""
    return usage(models, _tables_of(models), code_bytes)


def share(models: Sequence[Compiled], project: str) -> list[Compiled]:
    """The models as parts of one project, with their tables in what the arena that they share leaves of the regions."""
    shared = Shared(project, stage(models, _tables_of(models)) if models[0].memories else {})
    return [replace(compiled, shared=shared) for compiled in models]


# Kernels that check what they are given at run time, and what they refuse.
_CHECKED = {
    "mcugen_gather_": "an index in the input, or one the model computed, is outside its axis",
    "mcugen_scatter_": "an index in the input, or one the model computed, is outside its axis",
    "mcugen_reduce_s64": "a sum of int64 numbers is beyond 2^53",
}


def failures(compiled: Compiled) -> list[str]:
    """Why a run may end with NAME_ERR_KERNEL."""
    return sorted({why for step in compiled.steps for start, why in _CHECKED.items() if step.kernel.startswith(start)})


def _tables_of(models: Sequence[Compiled]) -> list[dict[str, Any]]:
    return [table for compiled in models for table in _Context(compiled).view()["tables"]]


def const_bytes(compiled: Compiled, role: str = "") -> int:
    """Bytes of the constant tables in flash (kernel sums apart, which only Arm's Helium kernels take).

    role: of those that have it, as "weights".
    """
    tables = [table for table in _Context(compiled).view()["tables"] if not table["sums"]]
    return sum(table["bytes"] for table in tables if role in ("", table["table"].role))


@dataclass(frozen=True)
class _Base:
    """Where a pointer starts: `parameter` declares it in a step's function, `argument` is what the run passes."""

    name: str
    parameter: str
    argument: str
    member: str = ""  # of the arena's struct


_ARENA = _Base("arena", "uint8_t *arena", "bytes", "arena->bytes")


class _Context:
    """Names every table and struct of the project, and renders steps to strings."""

    def __init__(self, compiled: Compiled) -> None:
        self.compiled = compiled
        self.prefix = compiled.name
        self.tables: dict[str, dict[str, Any]] = {}
        self.current: Step | None = None  # whose tables are named
        self.repeated = Counter(step.name for step in compiled.steps)
        self.rows = sharing.row_parameters(compiled.steps)

    def view(self) -> dict[str, Any]:
        compiled = self.compiled
        steps = [self._step(index, step) for index, step in enumerate(compiled.steps)]
        layers = sharing.layers(steps, self.tables)
        functions = sharing.functions([step for step in steps if step["kernel"] != FEED])
        ports = [self._port(p, "input", i) for i, p in enumerate(compiled.inputs)]
        ports += [self._port(p, "output", i) for i, p in enumerate(compiled.outputs)]
        callers = [port for port in ports if port["caller"]]
        tables = list(self.tables.values())
        staged = stage([compiled], tables) if compiled.shared is None else compiled.shared.staged
        for name in staged.keys() & self.tables.keys():
            region = staged[name]
            self.tables[name] |= {"region": region, "section": f'MCUGEN_SECTION("{table_section(region)}")'}
        kernels = sorted({step.kernel for step in compiled.steps})
        uses_cmsis = any(kernel.startswith("arm_") for kernel in kernels)
        own = [kernel for kernel in kernels if kernel.startswith("mcugen")]
        headers = ["arm_nnfunctions.h", *sorted({"mcugen_kernels.h", *map(header_of, own)} if own else ())]
        headers += [f"{kernel}.h" for kernel in kernels if has_header(kernel)]
        return {
            "name": compiled.name,
            "upper": compiled.name.upper(),
            "version": __version__,
            "sha256": compiled.model_sha256,
            "core": compiled.core.name,
            "isa": compiled.core.isa,
            "requant": compiled.requant,
            "arena_bytes": max(compiled.plan.arena_bytes, 16),
            "all_bytes": compiled.arena_bytes,
            "includes": includes(compiled),
            "feed": self._feed(steps, ports),
            "failures": failures(compiled),
            "layers": layers,
            "functions": functions,
            "steps": steps,
            "loops": sharing.run_loops(steps) if compiled.feed is None else [],
            "ports": ports,
            "callers": callers,
            "parameters": ", ".join([f"{compiled.name}_arena_t *arena", *(port["parameter"] for port in callers)]),
            "missing": " || ".join(
                f"{name} == NULL" for name in ["arena", *self._members(), *(port["c_name"] for port in callers)]
            ),
            "bases": self._bases(functions, callers),
            "parts": self._parts(),
            # What a program around the model declares, and how it runs the model.
            "arena": self._arena(),
            "part_sections": ", ".join(ram_section(part) for part in self._split),
            "project": compiled.name if compiled.shared is None else compiled.shared.project,
            "regions": [memory.name for memory in compiled.memories],
            "code": self._code(functions, layers, kernels),
            "buffers": [f"static {port['ctype']} {port['pointer']}[{port['macro']}_COUNT];" for port in callers],
            "run": f"{compiled.name}_run({', '.join(['&arena', *(port['pointer'] for port in callers)])})",
            "headers": headers,
            "tables": tables,
            "sums": any(table["sums"] for table in tables),
            "multipliers": any(table["multipliers"] for table in tables),
            "nonfinite": any("INFINITY" in line or "NAN" in line for table in tables for line in table["lines"]),
            "const_bytes": sum(table["bytes"] for table in tables if not table["sums"]),
            "bundled_only": uses_cmsis and compiled.library == "bundled",
            "not_for_helium": uses_cmsis and compiled.library == "arm" and compiled.core.isa != "mve",
            "checks": self._checks(ports),
        }

    def _code(self, functions: list[dict[str, Any]], layers: list[dict[str, Any]], kernels: Sequence[str]) -> list[str]:
        """The functions of an inference, as -ffunction-sections names them."""
        own = [f"{self.prefix}_{what}" for what in ("run", "begin", "feed")]
        inside = [f"step_{function['function']}" for function in functions] + [layer["name"] for layer in layers]
        return [*own, "run_layers", *inside, *(kernel for kernel in kernels if not has_header(kernel))]

    def _checks(self, ports: list[dict[str, Any]]) -> list[dict[str, str]]:
        upper = self.prefix.upper()
        return [
            {
                "condition": f"{p['offset']}u + {p['macro']}_BYTES <= {upper}_{p['part'].upper()}_BYTES",
                "name": f"{p['macro'].lower()}_lies_in_the_arena",
            }
            for p in ports
            if p["offset"] is not None and not p["caller"]
        ]

    def _bases(self, functions: list[dict[str, Any]], callers: list[dict[str, Any]]) -> list[str]:
        """The run's declarations of what its steps take pointers from."""
        used = {base.name for function in functions for base in function["bases"]}
        parts = {"arena": _ARENA} | {name: self._part(name) for name in self._split}
        declared = [(base.name, f"uint8_t *const {base.argument} = {base.member};") for base in parts.values()]
        for port in callers:
            const = "const " if port["kind"] == "input" else ""
            name = f"caller_{port['c_name']}"
            declared.append((name, f"{const}uint8_t *const {name} = ({const}uint8_t *){port['c_name']};"))
        return [text for name, text in declared if name in used]

    # The arena: a struct of bytes, or one for each memory region that holds a part of it

    @property
    def _split(self) -> list[str]:
        """The parts of an arena that is split."""
        parts = self.compiled.plan.parts
        return [part.name for part in parts] if len(parts) > 1 else []

    def _part(self, name: str) -> _Base:
        return _Base(f"arena_{name}", f"uint8_t *arena_{name}", f"arena_{name}", f"arena->{name}->bytes")

    def _members(self) -> list[str]:
        return [f"arena->{name}" for name in self._split]

    def _parts(self) -> list[dict[str, Any]]:
        sizes = {part.name: part.size_bytes for part in self.compiled.plan.parts}
        return [
            {"name": name, "macro": f"{self.prefix.upper()}_{name.upper()}_BYTES", "bytes": sizes[name]}
            for name in self._split
        ]

    def _arena(self) -> list[str]:
        """A program's declaration of the arena, each part in the section of its region."""
        name = self.prefix
        if not self._split:
            part = next((part.name for part in self.compiled.plan.parts), "")
            section = f'MCUGEN_SECTION("{ram_section(part)}") ' if part else ""
            return [f"static {section}{name}_arena_t arena;"]
        lines = [f'static MCUGEN_SECTION("{ram_section(p)}") {name}_{p}_t arena_{p};' for p in self._split]
        members = ", ".join(f".{part} = &arena_{part}" for part in self._split)
        return [*lines, f"static {name}_arena_t arena = {{{members}}};"]

    def _feed(self, steps: list[dict[str, Any]], ports: list[dict[str, Any]]) -> dict[str, Any] | None:
        """The turns of a fed model: where the rows of each go, and the steps it then runs."""
        fed = self.compiled.feed
        if fed is None:
            return None
        graph, plan = self.compiled.graph, self.compiled.plan
        starts = [index for index, step in enumerate(self.compiled.steps) if step.kernel == FEED]
        fills = [self.compiled.steps[index].outputs[0] for index in starts]
        _, height, width, channels = fed.type.shape
        return {
            "port": next(port for port in ports if port["caller"]),
            "rows": height,
            "turn_rows": graph.type(fills[0]).shape[1],
            "row": f"int8[{width}][{channels}]",
            "row_bytes": width * channels,
        } | sharing.cycles(steps, starts, [plan.addresses[fill] for fill in fills])

    # Ports

    def _port(self, port: Port, kind: str, index: int) -> dict[str, Any]:
        upper = self.prefix.upper()
        type, q = port.type, port.type.quant
        const = "const " if kind == "output" else ""
        accessor = f"{self.prefix}_{port.c_name}"
        ctype = CTYPES[type.dtype]
        offset = self.compiled.plan.addresses.get(port.name)
        caller = port.name in self.compiled.plan.callers
        return {
            "kind": kind,
            "c_name": port.c_name,
            "ctype": ctype,
            "caller": caller,
            "parameter": f"{'const ' if kind == 'input' else ''}{ctype} *{port.c_name}",
            "pointer": f"{port.c_name}_buffer" if caller else f"{accessor}(&arena)",
            "index": index,
            "macro": f"{upper}_{kind.upper()}_{index}",
            "comment": f'"{comment(port.name)}"',
            "type": describe(type)
            + (f", {type.origin} less than the model's {type.model_dtype}" if type.origin else ""),
            "count": type.count,
            "bytes": type.bytes,
            "shape": ", ".join(map(str, type.shape)) or "1",
            "scale": None if q is None else float_literal(q.per_tensor[0]),
            "zero_point": None if q is None else q.per_tensor[1],
            "prototype": f"{const}{ctype} *{accessor}({const}{self.prefix}_arena_t *arena)",
            "part": self.compiled.plan.part_of.get(port.name, "") if self._split else "arena",
            "expression": "" if caller else self._pointer(port.name, ctype, const, self._base(port.name).member),
            "accessor": accessor,
            "offset": offset,
        }

    def _pointer(self, value: str, ctype: str, const: str, base: str, at: str | None = None) -> str:
        """Address of a tensor: in the arena (at the offset that `at` names, if it does), or its table."""
        data = self.compiled.graph.data(value)
        if data is not None:
            name = self._table(Table(f"constant_{len(self.tables)}", data), value, "constant", shared=True)
            return name if ctype == CTYPES[data.dtype.name] else f"(const {ctype} *)(const void *){name}"
        offset = at or str(self.compiled.plan.addresses[value])
        through_void = "" if ctype == "int8_t" else f"({const}void *)"  # the plan aligns what bytes need not be
        return f"({const}{ctype} *){through_void}({base} + {offset})"

    # Steps

    def _base(self, value: str) -> _Base:
        """The memory that holds a tensor."""
        caller = self.compiled.plan.callers.get(value)
        if caller is None:
            part = self.compiled.plan.part_of.get(value, "") if self._split else ""
            return self._part(part) if part else _ARENA
        port = next(p for p in (*self.compiled.inputs, *self.compiled.outputs) if p.name == caller)
        const = "const " if caller in self.compiled.graph.inputs else ""
        name = f"caller_{port.c_name}"
        return _Base(name, f"{const}uint8_t *{name}", name)

    def _step(self, index: int, step: Step) -> dict[str, Any]:
        self.current = step
        bases: dict[str, _Base] = {}
        structs: list[str] = []
        arguments: list[str] = []
        name = step.name
        graph, plan = self.compiled.graph, self.compiled.plan
        places: dict[str, int] = {}  # parameter -> arena offset, where several steps share one function
        rows = self.rows[index]
        for role, arg in step.args:
            if isinstance(arg, Buffer):
                const = "" if arg.value in step.outputs else "const "
                as_bytes = arg.as_bytes or step.kernel == MOVE
                ctype = "int8_t" if as_bytes else CTYPES[graph.type(arg.value).dtype]
                at = f"{role}_at" if self.repeated[name] > 1 and arg.value in plan.addresses else None
                if at is not None:
                    places[at] = plan.addresses[arg.value]
                base = self._base(arg.value)
                if graph.data(arg.value) is None:
                    bases[base.name] = base
                pointer = self._pointer(arg.value, ctype, const, base.name, at)
                structs.append(f"{const}{ctype} *const {role} = {pointer};")
                arguments.append(role)
            elif isinstance(arg, Table):
                arguments.append(self._table(arg, name, step.origin))
            elif isinstance(arg, Struct):
                for key, value in arg.fields.items():
                    if isinstance(value, tuple):
                        structs.append(f"static const uint32_t {key}[{len(value)}] = {{{', '.join(map(str, value))}}};")
                fields = [
                    f".{key} = {self._field(key, value, name, step, f'{role}_{key}', rows)}"
                    for key, value in arg.fields.items()
                ]
                static = "" if any(key.startswith(f"{role}_") for key in rows) else "static "
                structs.append(declaration(f"{static}const {arg.ctype} {role}", fields))
                arguments.append(f"&{role}")
            elif isinstance(arg, Scratch):
                slot = plan.scratch.get(index)
                base = self._part(slot.part) if slot is not None and self._split else _ARENA
                if slot is not None:
                    bases[base.name] = base
                buffer = "NULL" if slot is None else f"{base.name} + {slot.offset_bytes}"
                if slot is not None and self.repeated[name] > 1:
                    places[f"{role}_at"] = slot.offset_bytes
                    buffer = f"{base.name} + {role}_at"
                fields = [f".buf = {buffer}", f".size = {0 if slot is None else slot.size_bytes}"]
                structs.append(declaration(f"const cmsis_nn_context {role}", fields))
                arguments.append(f"&{role}")
            elif isinstance(arg, KernelSums):
                table = self._table(arg.table, name, step.origin, sums=True)
                fields = [f".buf = {self.prefix.upper()}_SUMS({table})", f".size = {arg.table.data.nbytes}"]
                structs.append(declaration(f"const cmsis_nn_context {role}", fields))
                arguments.append(f"&{role}")
            elif isinstance(arg, np.float32):
                arguments.append(float_literal(arg))
            elif arg is None:
                arguments.append("NULL")
            else:
                arguments.append(role if role in rows else int_literal(arg))
        output = step.outputs[0]
        inputs = ", ".join(describe(graph.type(value)) for value in step.inputs)
        return {
            "name": name,
            "comment": ", ".join(comment(text) for text in step.origin),
            "types": f"{inputs} -> {describe(graph.type(output))}",
            "notes": [comment(note) for note in step.notes],
            "declarations": structs,
            "kernel": step.kernel,
            "arguments": arguments,
            "call": kernel_call(step.kernel, arguments, step.returns_status),
            "result": "arm_cmsis_nn_status" if step.returns_status else "void",
            "places": places,
            "rows": rows,
            "bases": sorted(bases.values(), key=lambda base: base.name),
            "output": f"{self._base(output).argument} + {plan.addresses[output]}",
            "output_base": self._base(output).argument,
            "output_at": plan.addresses[output],
            "output_bytes": graph.type(output).bytes,
        }

    def _field(
        self, key: str, value: Field, step: str, owner: Step, path: str = "", rows: Mapping[str, int] | None = None
    ) -> str:
        """`value` in C; the parameter `path` where it is one of `rows`."""
        if rows is not None and path in rows:
            return path
        if isinstance(value, Table):
            return f"MCUGEN_MUTABLE({self._table(value, step, owner.origin)})"
        if isinstance(value, Requant):
            return f"MCUGEN_MULTIPLIER({value.multiplier}, {value.shift})"
        if isinstance(value, Mapping):
            inner = (f".{k} = {self._field(k, v, step, owner, f'{path}_{k}', rows)}" for k, v in value.items())
            return "{" + ", ".join(inner) + "}"
        if isinstance(value, Array):
            return "{" + ", ".join(self._field(key, item, step, owner) for item in value.items) + "}"
        if isinstance(value, tuple):
            return key  # the array declared before the struct
        if isinstance(value, (np.floating, float)):
            return float_literal(value)
        return int_literal(int(value))

    def _table(
        self, table: Table, step: str, origin: tuple[str, ...] | str, sums: bool = False, shared: bool = False
    ) -> str:
        name = f"{self.prefix}_{table.role}" if shared else f"{self.prefix}_{step}_{table.role}"
        if shared:
            name = next((n for n, t in self.tables.items() if t.get("value") == step), name)
        base, number = name, 2
        while name in self.tables and not _same(self.tables[name]["table"], table):  # bands may differ in their tables
            name, number = f"{base}_{number}", number + 1
        if name not in self.tables:
            data = np.ascontiguousarray(table.data)
            text = ", ".join(origin) if isinstance(origin, tuple) else origin
            self.tables[name] = {
                "name": name,
                "table": table,
                "value": step if shared else None,
                "ctype": CTYPES[data.dtype.name],
                "count": data.size,
                "bytes": data.nbytes,
                "comment": f"{table.role} {list(data.shape)} of {comment(text)}",
                "lines": elements(data, table.requant_shift, table.shared_shift),
                "sums": sums,
                "multipliers": table.requant_shift is not None,
                "reads": 0,
                "region": "",
                "section": "MCUGEN_WEIGHTS_SECTION",
            }
        if self.current is not None:
            output = self.compiled.graph.type(self.current.outputs[0]).count
            self.tables[name]["reads"] += max(output, self.current.macs if table.role == "weights" else 0)
        return name


def _same(a: Table, b: Table) -> bool:
    """The same constants, written the same way."""
    if a.data is b.data:
        return True
    shifts = (a.requant_shift is None) == (b.requant_shift is None)
    if shifts and a.requant_shift is not None and b.requant_shift is not None:
        shifts = np.array_equal(a.requant_shift, b.requant_shift)
    same_type = a.data.dtype == b.data.dtype and a.shared_shift == b.shared_shift
    return bool(same_type and shifts and np.array_equal(a.data, b.data))
