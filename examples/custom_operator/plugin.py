"""The operator com.example.Delta: how much each feature grew since the frame before, as speech front ends take it.

    mcugen verify delta.onnx --plugin plugin.py

Three things make an operator: its meaning as an ONNX function (what ONNX Runtime computes), its place in the compiler
(an OpDef), and its C (example_delta.c beside this file).
"""

from pathlib import Path

from mcugen.plugin import REPLICATED, Buffer, Canonical, Lowering, Node, OpDef, Plugin, Step, Struct, Unit

# Frames lie along axis 1; the first one has none before it and gives zeros.
MEANING = """
<domain: "com.example", opset_import: ["" : 17]>
Delta (x) => (y)
{
    start = Constant <value_ints: ints = [0]> ()
    one = Constant <value_ints: ints = [1]> ()
    last = Constant <value_ints: ints = [-1]> ()
    first = Slice (x, start, one, one)
    but_last = Slice (x, start, last, one)
    before = Concat <axis: int = 1> (first, but_last)
    y = Sub (x, before)
}
"""


def recognise(unit: Unit) -> Node:
    """DequantizeLinear -> Delta -> QuantizeLinear becomes one integer operator."""
    return unit.make("delta", unit.inputs, clamp=unit.clamp)


def canonical(c: Canonical, node: Node) -> None:
    """What each step of the C is compared with: the same three nodes, run by ONNX Runtime."""
    y = c.add("Delta", [c.real(node.inputs[0], node.output)], f"{node.output}/real", domain="com.example")
    c.clamped(node, lambda output: c.add("QuantizeLinear", [y, *c.q(node.output)], output))


def lower(lowering: Lowering, node: Node) -> Step:
    """The call of the kernel, as data: example_delta(&params, input, output)."""
    (x,) = node.inputs
    frames = lowering.type(x).shape[1]
    x_scale, x_zero_point = lowering.quant(x)
    y_scale, y_zero_point = lowering.quant(node.output)
    low, high = node.attrs["clamp"]
    params = {
        "input_scale": x_scale,
        "input_zero_point": x_zero_point,
        "output_scale": y_scale,
        "output_zero_point": y_zero_point,
        "activation": {"min": low, "max": high},
        "frames": frames,
        "features": lowering.type(x).count // frames,
    }
    return Step(
        name=lowering.name,
        kernel="example_delta",
        args=(
            ("params", Struct("example_delta_params", params)),
            ("input", Buffer(x)),
            ("output", Buffer(node.output)),
        ),
        inputs=(x,),
        outputs=(node.output,),
        exactness=REPLICATED,
        origin=node.origin,
    )


def one_batch(graph, node) -> str | None:
    """Delta takes a batch of 1. Fix it with --shape."""
    batch = graph.type(node.inputs[0]).shape[0]
    return None if batch == 1 else f"the batch is {batch}"


DELTA = OpDef(
    name="delta",
    onnx=("com.example.Delta",),
    recognise=recognise,
    canonical=canonical,
    lower=lower,
    limits=(one_batch,),
    layout="fixed",
    exactness=REPLICATED,
    about="differences along axis 1; ONNX Runtime's float32 operations in its order",
)

PLUGIN = Plugin(operators=(DELTA,), functions=(MEANING,), kernels=Path(__file__).resolve().parent)
