"""Functions of one float32, element by element.

Own routines, the same bits on every core and compiler, within TOLERANCE of the largest result; those that only move
signs, bits or one rounding are exact. Trigonometric and hyperbolic ones are C's, to its library's last bits.
"""

from __future__ import annotations

import numpy as np

from ..errors import UserError
from ..ir import Node, attrs
from ..step import FLOAT, PROVED, Buffer, Step
from .base import Canonical, FloatUnit, Lowering, OpDef

TOLERANCE = 1e-6
# C's math.h computes these.
_LIBRARY = ("Sin", "Cos", "Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh", "Asinh", "Acosh", "Atanh")
LIBRARY_KERNELS = frozenset(f"mcugen_f32_{name.lower()}" for name in _LIBRARY)
# ONNX operator -> (its attributes alpha and beta, or gamma, by default)
_DEFAULTS: dict[str, tuple[float, float]] = {
    "Abs": (0.0, 0.0),
    "Neg": (0.0, 0.0),
    "Floor": (0.0, 0.0),
    "Ceil": (0.0, 0.0),
    "Sqrt": (0.0, 0.0),
    "LeakyRelu": (0.01, 0.0),
    "Reciprocal": (0.0, 0.0),
    "Exp": (0.0, 0.0),
    "Log": (0.0, 0.0),
    "Sigmoid": (0.0, 0.0),
    "Tanh": (0.0, 0.0),
    "Erf": (0.0, 0.0),
    "Gelu": (0.0, 0.0),
    "Elu": (1.0, 0.0),
    "Softplus": (0.0, 0.0),
    "HardSigmoid": (0.2, 0.5),
    "HardSwish": (1 / 6, 0.5),
    "Sign": (0.0, 0.0),
    "Round": (0.0, 0.0),
    "Softsign": (0.0, 0.0),
    "ThresholdedRelu": (1.0, 0.0),
    "Celu": (1.0, 0.0),
    "Selu": (1.67326319217681884765625, 1.05070102214813232421875),
    "Mish": (0.0, 0.0),
    "Swish": (1.0, 0.0),
    **{name: (0.0, 0.0) for name in _LIBRARY},
}
_EXACT = ("Abs", "Neg", "Floor", "Ceil", "LeakyRelu", "Sign", "Round", "ThresholdedRelu")
_WITH_ALPHA = ("LeakyRelu", "Elu", "HardSigmoid", "ThresholdedRelu", "Celu", "Selu", "Swish")
_SECOND = {"HardSigmoid": "beta", "Selu": "gamma"}


def _from_float(unit: FloatUnit) -> Node:
    operator = unit.node.op
    alpha, beta = _DEFAULTS[operator]
    alpha, beta = unit.node.attrs.get("alpha", alpha), unit.node.attrs.get(_SECOND.get(operator, "beta"), beta)
    form = unit.node.attrs.get("approximate", "none")
    if form not in ("none", "tanh"):
        raise UserError(
            f"Gelu with approximate={form!r} is not supported", origin=unit.node.where, hint="Use none or tanh."
        )
    extra = attrs(operator=operator, alpha=float(alpha), beta=float(beta), approximate=form)
    return Node("float_unary", unit.node.inputs[:1], unit.node.outputs, extra, unit.node.origin)


def _canonical(c: Canonical, node: Node) -> None:
    operator, x = node.attrs["operator"], c.tensor(node.inputs[0])
    if operator == "Swish":  # which canonical graphs are too old for
        alpha = c.constant(f"{node.output}/alpha", np.float32(node.attrs["alpha"]))
        sigmoid = c.add("Sigmoid", [c.add("Mul", [x, alpha], f"{node.output}/scaled")], f"{node.output}/sigmoid")
        c.add("Mul", [x, sigmoid], node.output)
        return
    extra = {}
    if operator in _WITH_ALPHA:
        extra["alpha"] = node.attrs["alpha"]
    if operator in _SECOND:
        extra[_SECOND[operator]] = node.attrs["beta"]
    if operator == "Gelu":
        extra["approximate"] = node.attrs["approximate"]
    c.add(operator, [x], node.output, **extra)


def _lower(lowering: Lowering, node: Node) -> Step:
    x, operator = node.inputs[0], node.attrs["operator"]
    suffix = "_tanh" if node.attrs["approximate"] == "tanh" else ""
    return Step(
        name=lowering.name,
        kernel=f"mcugen_f32_{operator.lower()}{suffix}",
        args=(
            ("input", Buffer(x)),
            ("output", Buffer(node.output)),
            ("count", lowering.type(x).count),
            ("alpha", np.float32(node.attrs["alpha"])),
            ("beta", np.float32(node.attrs["beta"])),
        ),
        inputs=(x,),
        outputs=(node.output,),
        exactness=PROVED if operator in _EXACT else FLOAT,
        tolerance=0.0 if operator in _EXACT else TOLERANCE,
        origin=node.origin,
        in_place=(x,),
    )


FLOAT_UNARY = OpDef(
    name="float_unary",
    onnx=tuple(_DEFAULTS),
    from_float=_from_float,
    canonical=_canonical,
    lower=_lower,
    layout="elementwise",
    exactness=FLOAT,
    about=f"float32; exact: {', '.join(_EXACT)}; others within {TOLERANCE:g} of the largest result",
)
