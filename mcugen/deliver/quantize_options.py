"""What can be asked of `mcugen quantize`, and what each target takes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from onnxruntime.quantization import CalibrationMethod, QuantType

from ..errors import UserError

MODES = ("static", "dynamic", "fp16")
FORMATS = ("qdq", "qoperator")
# Distribution, ORT's fourth, gave models that agree with nothing.
METHODS = {
    "minmax": CalibrationMethod.MinMax,
    "entropy": CalibrationMethod.Entropy,
    "percentile": CalibrationMethod.Percentile,
}
TYPES = {"u8": QuantType.QUInt8, "s8": QuantType.QInt8, "u16": QuantType.QUInt16, "s16": QuantType.QInt16}

WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")


@dataclass(frozen=True)
class Target:
    """What a target takes.

    activation  per format; weights are s8 everywhere
    overrides   other types an activation may have
    raises      how --auto-mixed gives a tensor more precision: a type, "float" (its nodes are excluded), or None
    """

    modes: tuple[str, ...]
    activation: Mapping[str, str]
    overrides: tuple[str, ...] = ()
    raises: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


TARGETS: Mapping[str, Target] = {
    # ORT has no QGemm kernel for s8 in QOperator form.
    "cortex-m": Target(("static",), {"qdq": "s8", "qoperator": "u8"}, raises="float"),
    "ort": Target(MODES, {"qdq": "u8", "qoperator": "u8"}, ("u8", "s8", "u16", "s16"), "u16"),
    # HTP takes dynamic models silently, and runs them in float.
    "qnn": Target(("static", "fp16"), {"qdq": "u8"}, ("u8", "u16"), "u16"),
    "tensorrt": Target(
        ("static", "fp16"),
        {"qdq": "s8"},
        (),
        "float",
        {
            "ActivationSymmetric": True,
            "WeightSymmetric": True,
            "AddQDQPairToWeight": True,
            "QuantizeBias": False,
            # uint8 saturation would hide a Relu or Clip; symmetric int8 cannot.
            "QDQKeepRemovableActivations": True,
            "OpTypesToExcludeOutputQuantization": list(WEIGHTED),
        },
    ),
}


@dataclass(frozen=True)
class Options:
    """What is asked for; `checked` refuses what the target cannot take.

    gate          points of accuracy (without labels: % of answers) that may be lost, exclusive; None = not gated
    percentile    of `--method percentile`, 0 to 100
    op_types      of dynamic mode
    cmsis_nn      checkout of Arm's library that the C for cortex-m is proved and measured with; None = bundled kernels
    """

    target: str
    mode: str = "static"
    format: str = "qdq"
    method: str = "minmax"
    percentile: float = 99.999
    per_channel: bool = True
    exclude: tuple[str, ...] = ()
    overrides: Mapping[str, str] = field(default_factory=dict)
    auto_mixed: int = 0
    gate: float | None = None
    cache: Path | None = None
    op_types: tuple[str, ...] = ("MatMul", "Gemm")
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    cmsis_nn: Path | None = None

    def checked(self) -> Target:
        if self.target not in TARGETS:
            raise UserError(f"unknown target {self.target!r}", hint=f"Known: {', '.join(TARGETS)}.")
        target = TARGETS[self.target]
        where = f"--for {self.target}"
        if self.mode not in target.modes:
            raise UserError(f"mode {self.mode} is not for it", origin=where, hint=f"Take {' or '.join(target.modes)}.")
        if self.mode != "static":
            for name, asked in {
                "--override": self.overrides,
                "--auto-mixed": self.auto_mixed,
                "--calibration-cache": self.cache,
            }.items():
                if asked:
                    raise UserError(f"{name} needs activations with fixed scales", hint="Take --mode static.")
            if self.format != "qdq":
                raise UserError("--format is of --mode static", hint="Leave it out.")
        elif self.format not in target.activation:
            raise UserError(f"format {self.format} is not for it", origin=where, hint="Take qdq.")
        for name, type_name in self.overrides.items():
            if type_name not in target.overrides or self.format != "qdq":
                known = f"It takes: {', '.join(target.overrides)}." if target.overrides else "Leave --override out."
                known = known if self.format == "qdq" else "Take --format qdq."
                raise UserError(f"{name}: an activation of type {type_name} is not for it", origin=where, hint=known)
        if self.auto_mixed and (target.raises is None or self.format != "qdq"):
            raise UserError(
                "--auto-mixed has nothing to raise a tensor to: it takes 8-bit tensors of one type only",
                origin=f"{where} --format {self.format}",
                hint="Try --method percentile or entropy, or more calibration samples.",
            )
        return target
