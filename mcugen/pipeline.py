"""READ FIRST. The ordered list of passes, each with its reason, and the driver from ONNX file to Compiled.

read -> passes -> check_limits -> lower -> plan -> Compiled
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from . import ir, oracle
from .emit.artefact import Compiled, identifier, ports, project_name, step_name
from .errors import UserError
from .frontend import Source, read
from .ops import FUNCTIONS, OPS
from .ops.base import Lowering, check_limits
from .ops.specialised import TOO_LARGE, added, alike, growth, joined, table_bytes
from .passes.alias_views import alias_views
from .passes.blocked_weights import blocked_weights
from .passes.decompose import decompose
from .passes.drop_boundary import drop_boundary
from .passes.dynamic_forms import dynamic_forms
from .passes.feed_rows import feed_rows
from .passes.fit_kernels import fit_kernels
from .passes.flat_windows import flat_windows
from .passes.fold_batchnorm import fold_batchnorm
from .passes.fold_clamps import fold_clamps
from .passes.fold_constants import fold_constants
from .passes.fold_padding import fold_padding
from .passes.fuse_activation import fuse_activation
from .passes.gemm_form import gemm_form
from .passes.io_apart import io_apart
from .passes.move_quantize import move_quantize
from .passes.plain_copies import plain_copies
from .passes.recognise_quantized import recognise_quantized
from .passes.to_nhwc import to_nhwc
from .passes.unary_chains_to_lut import unary_chains_to_lut
from .passes.unsigned_to_signed import unsigned_to_signed
from .plan import ALIGN, COSTS, Lowered, place, plan_steps
from .plan.overlap import overlap
from .step import INTEGER, STOCK, Step
from .target import Core, Memory, core

Pass = Callable[[ir.Graph], ir.Graph]
Seen = Callable[[str, ir.Graph], None]

PASSES: tuple[tuple[Pass, str], ...] = (
    # -- ONNX dialect: float operators between QuantizeLinear and DequantizeLinear
    (fold_constants, "first: shapes and weights must be known to everything behind"),
    (plain_copies, "once positions are constants; moving Q and DQ then has few copying operators to know"),
    (decompose, "before all that knows operators by name: it leaves fewer of them"),
    (fold_batchnorm, "while Conv and BatchNormalization are still float neighbours"),
    (dynamic_forms, "before activations are fused: the chain behind an integer layer is taken whole"),
    (blocked_weights, "before gemm_form, which knows one scale a channel"),
    (gemm_form, "before activations: the Add of a bias stands between MatMul and Relu"),
    (fuse_activation, "before recognition, which asks for the operator right before QuantizeLinear"),
    (flat_windows, "behind fuse_activation, so that a Relu follows its layer; its views are no obstacle to what comes"),
    (
        move_quantize,
        "brings Q and DQ next to arithmetic; behind fuse_activation, so that Relu is no obstacle",
    ),
    (unary_chains_to_lut, "before recognition: a chain is what recognition would not find an operator for"),
    (recognise_quantized, "DQ - operator - Q is one integer operator now; what stays float is refused"),
    # -- integer dialect: every tensor knows its scale and zero point
    (unsigned_to_signed, "needs the zero points that recognition wrote down"),
    (fold_clamps, "when tables have the kernels' codes; before fit_kernels, which puts transposes between"),
    (fit_kernels, "on the final operators; before layouts, which cancel the transposes it puts in"),
    (drop_boundary, "with --io int8; before layouts, which start and end at the model's own tensors"),
    (to_nhwc, "on the final operators, so that each transpose meets its partner"),
    (fold_padding, "in NHWC, where conv and pad agree on their axes"),
    (alias_views, "to_nhwc leaves views where transposes moved nothing"),
    (feed_rows, "with --feed rows; behind to_nhwc, whose transpose of the input it makes needless"),
    (io_apart, "with --io-buffers apart; last: it asks which tensors are views of which"),
)


def pass_names() -> list[str]:
    return [step.__name__ for step, _ in PASSES]


@dataclass(frozen=True)
class Options:
    """What changes the generated C. Everything else is derived."""

    core: str = "cortex-m4"
    name: str | None = None
    io: str = "int8"
    io_buffers: str = "arena"  # or "apart": the caller passes a buffer for each input and output
    feed: str = "whole"  # or "rows": the image comes in row by row
    requant: str = "exact"
    library: str = "bundled"  # or "arm": the kernels behind the CMSIS-NN calls
    kernels: str | None = None  # "specialised", or "api": CMSIS-NN's calls wherever it has one; None: api with "arm"
    optimize: str = "balanced"  # "speed", "balanced", "size"
    ram: int | None = None  # bytes the arena should not exceed, if bands of rows can help it
    memories: tuple[Memory, ...] = ()  # the board's, the fastest first
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def prefers(self) -> str:
        """`kernels`, chosen: who links Arm's library wants its kernels."""
        return self.kernels or ("api" if self.library == "arm" else "specialised")


def run_passes(
    graph: ir.Graph,
    io: str = "int8",
    seen: Seen = lambda name, graph: None,
    io_buffers: str = "arena",
    feed: str = "whole",
) -> ir.Graph:
    """All passes in order; the IR is checked after each, and shown to `seen` (--dump-after)."""
    skipped: dict[Pass, bool] = {
        drop_boundary: io != "int8",
        feed_rows: feed != "rows",
        io_apart: io_buffers != "apart",
    }
    ir.check(graph)
    for step, _ in PASSES:
        if skipped.get(step):
            continue
        graph = step(graph)
        ir.check(graph)
        seen(step.__name__, graph)
    return graph


def compile(path: Path, options: Options, seen: Seen = lambda name, graph: None) -> Compiled:
    """ONNX file -> Compiled; UserError for whatever cannot be compiled, or ONNX Runtime does not run."""
    target = core(options.core)
    if options.feed == "rows" and options.io_buffers == "apart":
        raise UserError("--feed rows keeps its outputs in the arena.", hint="Leave --io-buffers apart out.")
    if options.library == "arm" and options.requant == "exact" and target.isa == "mve" and not target.mve_float:
        raise UserError(
            f"Arm's kernels for Helium requantize in float to be exact, {target.name} has none.",
            hint="Take the bundled kernels, or --requant stock.",
        )
    for memory in options.memories:
        if identifier(memory.name) != memory.name:
            raise UserError(
                f"a memory region cannot be called {memory.name!r}: it becomes a name in C.",
                hint="Use lower-case letters, digits and single underscores.",
            )
    source = read(path, options.shapes, FUNCTIONS)
    with oracle.blaming(source.model):
        compiled = _compiled(source, project_name(options.name or path.stem), target, options, seen)
    oracle.check_runs(source.model, {port.name: port.model_shape for port in compiled.outputs})
    return compiled


def _compiled(source: Source, name: str, target: Core, options: Options, seen: Seen) -> Compiled:
    graph = run_passes(source.graph, options.io, seen, options.io_buffers, options.feed)
    for node in graph.nodes:
        check_limits(OPS[node.op], graph, node)
    options, steps, kernels = _lowered(graph, target, options)
    nodes = graph.producers()

    def band(graph: ir.Graph, node: ir.Node, step: Step) -> Step:
        kernels = "api" if step.kernel.startswith("arm_") else options.prefers
        return _lower_node(graph, target, replace(options, kernels=kernels), step.name, node)[0]

    def lean(step: Step) -> Step | None:
        node = nodes[step.outputs[0]]
        found = _lower_node(graph, target, replace(options, kernels="api"), step.name, node)
        return found[0] if len(found) == 1 and found[0].scratch_bytes < step.scratch_bytes else None

    def merge(layer: Step, add: Step) -> Step | None:
        node = nodes.get(layer.outputs[0])
        if node is None or node.op != "conv" or add.kernel != "mcugen_add_s8":
            return None
        (found,) = _lower_node(graph, target, options, layer.name, node, added(add, node.output))
        return joined(found, add)

    # Size is flash, and speed gives every band code of its own. The kernels' costs were measured, not those of calls.
    free = options.optimize == "balanced" and options.prefers == "specialised"
    planned = plan_steps(graph, steps, Lowered(band, lean, merge, COSTS[target.isa]), _budget(options), free=free)
    plan = planned.plan
    if options.memories:
        plan = place(planned.graph, planned.steps, plan, options.memories)
        if options.feed == "rows" and len(plan.parts) > 1:
            raise UserError(
                f"--feed rows keeps its arena in one region, it needs {planned.plan.arena_bytes:,} bytes.",
                hint="Name a region first that is as large, or leave --feed out.",
            )
    return Compiled(
        name=name,
        model=source.model,
        model_sha256=source.sha256,
        core=target,
        requant=options.requant,
        library=options.library,
        io=options.io,
        graph=planned.graph,
        steps=alike(planned.steps),
        plan=plan,
        kernels=kernels,
        planned=planned.reason,
        memories=options.memories,
        inputs=ports(graph.inputs, graph, "input"),
        outputs=ports(graph.outputs, graph, "output"),
    )


def _lowered(graph: ir.Graph, target: Core, options: Options) -> tuple[Options, tuple[Step, ...], str]:
    """The steps, the options with the kernels that the layers got, and why they got those: KIND: WHY."""
    steps = lower(graph, target, options)
    if options.prefers == "api":
        return options, steps, "api: " + ("--kernels asks for it" if options.kernels else "Arm's library is linked")
    more, most = growth(steps)
    if not most:
        return options, steps, "api: no layer has a specialised kernel"
    if options.kernels:
        return options, steps, "specialised: --kernels asks for it"
    code = f"{more:,} bytes of code more than CMSIS-NN's calls"
    if options.optimize == "speed":
        tables = table_bytes(steps) - table_bytes(lower(graph, target, replace(options, optimize="balanced")))
        return options, steps, f"specialised: --optimize speed, for {tables:,} bytes of tables more, and at most {code}"
    if more > most:
        options = replace(options, kernels="api")
        return options, lower(graph, target, options), f"{TOO_LARGE} layers may take {code}; {most:,} are allowed"
    return options, steps, f"specialised: fewer instructions, for at most {code}; {most:,} are allowed"


def _budget(options: Options) -> int | None:
    """Bytes of RAM that the plan should not exceed."""
    ram = options.ram
    if ram is None and options.memories:
        ram = sum(memory.size_bytes for memory in options.memories if memory.is_data)
    if ram is None or options.feed != "rows":
        return ram
    return max(0, ram - ALIGN)  # the arena's struct also knows how far a feed has come


def lower(graph: ir.Graph, target: Core, options: Options) -> tuple[Step, ...]:
    """Kernel calls in the model's own order."""
    steps: list[Step] = []
    taken: set[str] = set()
    for node in graph.nodes:
        name = step_name(node.op, node.origin, taken)
        lowered = _lower_node(graph, target, options, name, node)
        if lowered:
            taken.add(name)
        steps += lowered
    return tuple(steps)


def _lower_node(
    graph: ir.Graph,
    target: Core,
    options: Options,
    name: str,
    node: ir.Node,
    adds: Mapping[str, Any] | None = None,
) -> list[Step]:
    lowering = Lowering(graph, target, options.requant, name, options.prefers, options.optimize == "speed", adds)
    try:
        lowered = OPS[node.op].lower(lowering, node)
    except UserError as error:  # of arithmetic, which knows no nodes
        raise UserError(error.message, hint=error.hint, origin=error.origin or node.where) from None
    steps: list[Step] = []
    for step in lowered if isinstance(lowered, tuple) else (lowered,):
        if node.attrs.get("integer_form"):
            step = replace(step, notes=(*step.notes, "integer form; ONNX Runtime computes this in float"))
            if step.exactness != STOCK:
                step = replace(step, exactness=INTEGER, codes=1)
        if options.library == "bundled" and step.kernel.startswith("arm_"):
            step = replace(step, scratch_bytes=0)  # what scratch.py counts is for Arm's
        steps.append(replace(step, leads=overlap(graph, node, step, options.library)))
    return steps
