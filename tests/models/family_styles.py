"""The nets of tests/models/families in every style of quantization: quantized, compiled, held against ONNX Runtime.

    python tests/models/family_styles.py [NET...]

measures the nets whose names begin so and renews their rows in docs/families.md. test_families.py asks that no net
becomes worse than it is there. Exit 1 if one fails.
"""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization import QuantFormat, QuantType, quantize_dynamic, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from mcugen import oracle, pipeline
from mcugen.deliver.calibration import Data, Reader, inputs_of
from mcugen.deliver.quantize import Options, quantize, read_float
from mcugen.errors import CheckFailed, UserError
from mcugen.prove.samples import random_samples
from mcugen.prove.verify import Verification, verify

FOLDER = Path(__file__).parent / "families"
TABLE = Path(__file__).resolve().parents[2] / "docs" / "families.md"
NETS = tuple(sorted(path.name.removesuffix(".onnx") for path in FOLDER.glob("*.onnx")))

SAMPLES = 64

# From the worst on: a net may only move down this list.
RANKS = ("refused", "integer form", "tolerance", "exact")
FAILED = "failed"
NO_MODEL = "-"  # ONNX Runtime's quantizer makes no model of it, or one that ONNX Runtime does not run

_TYPES = {"u8": QuantType.QUInt8, "s8": QuantType.QInt8}


@dataclass(frozen=True)
class Style:
    """How a net is quantized. kind: "float", "dynamic", "own" (mcugen quantize), "qdq" or "qop" (QOperator)."""

    kind: str
    types: str = "u8s8"  # activations, then weights
    channels: bool = False  # weights quantized per channel
    clean: bool = True  # by ONNX Runtime's own pre-processing, with fixed shapes; else the file as it was exported
    reduce_range: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)


STYLES: dict[str, Style] = {
    "float": Style("float"),
    "dynamic": Style("dynamic"),
    "dynamic u8": Style("dynamic", "u8u8"),
    "own": Style("own"),
    "qdq u8s8": Style("qdq"),
    "qdq u8s8 raw": Style("qdq", clean=False),
    "qdq u8s8 channel": Style("qdq", channels=True),
    "qdq u8s8 reduced": Style("qdq", channels=True, reduce_range=True),
    "qdq u8u8": Style("qdq", "u8u8"),
    "qdq s8s8": Style("qdq", "s8s8"),
    "qdq s8s8 channel": Style("qdq", "s8s8", channels=True),
    "qdq s8s8 symmetric": Style("qdq", "s8s8", channels=True, extra={"ActivationSymmetric": True}),
    "qop u8s8": Style("qop"),
    "qop u8u8": Style("qop", "u8u8"),
    "qop s8s8": Style("qop", "s8s8", channels=True),
}


class NoModel(Exception):
    """Not a model that ONNX Runtime makes and runs: nothing to be equal to."""


@dataclass(frozen=True)
class Outcome:
    """rank: one of RANKS, NO_MODEL, or FAILED, which is a mistake of mcugen's. why: the refusal or the difference."""

    rank: str
    why: str = ""


def quantized(net: str, style: Style, folder: Path) -> Path:
    """The net in that style, as a file in `folder`."""
    source, target = FOLDER / f"{net}.onnx", folder / "model.onnx"
    if style.kind == "float":
        return source
    model = read_float(source, {})
    chance = np.random.default_rng(len(net))
    feeds = {i.name: chance.normal(0, 1, (32, *i.shape)).astype(i.dtype) for i in inputs_of(model)}
    data = Data(feeds, 32, "random")
    if style.kind == "own":
        quantize(source, target, Options("cortex-m"), data)
        return target
    clean = folder / "float.onnx"
    onnx.save(model if style.clean else onnx.load(source), clean)
    activations, weights = _TYPES[style.types[:2]], _TYPES[style.types[2:]]
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if style.clean:
                quant_pre_process(str(clean), str(clean), skip_symbolic_shape=True)
            if style.kind == "dynamic":
                quantize_dynamic(str(clean), str(target), weight_type=weights)
            else:
                quantize_static(
                    str(clean),
                    str(target),
                    Reader(data),
                    quant_format=QuantFormat.QDQ if style.kind == "qdq" else QuantFormat.QOperator,
                    activation_type=activations,
                    weight_type=weights,
                    per_channel=style.channels,
                    reduce_range=style.reduce_range,
                    extra_options=dict(style.extra),
                )
        oracle.pinned_session(onnx.load(target))
    except Exception as error:  # ORT's tools and sessions raise their own types for each failure
        raise NoModel(str(error).splitlines()[0]) from None
    finally:
        logging.disable(logging.NOTSET)
    return target


def outcome(net: str, style: str, samples: int = SAMPLES, on: str = "host") -> Outcome:
    """What becomes of `net` in `style`."""
    with tempfile.TemporaryDirectory() as scratch:
        try:
            path = quantized(net, STYLES[style], Path(scratch))
            compiled = pipeline.compile(path, pipeline.Options(core="cortex-m4" if on == "host" else on, name="net"))
        except NoModel as error:
            return Outcome(NO_MODEL, str(error))
        except UserError as error:
            return Outcome("refused", str(error))
        except CheckFailed as error:
            return Outcome(FAILED, str(error))
        result = verify(compiled, random_samples(compiled, samples, seed=1), on)
    flat = [name for name, array in result.outputs.items() if len(np.unique(array)) <= 2 and array.size > 8 * samples]
    if flat:
        return Outcome(FAILED, f"output {flat[0]} hardly varies: it would prove nothing")
    integer_form = any(note.startswith("integer form") for step in compiled.steps for note in step.notes)
    return Outcome(_rank(result, integer_form), _difference(result))


def _rank(result: Verification, integer_form: bool) -> str:
    if result.bit_exact:
        return "exact"
    if result.passed:
        return "tolerance"
    return "integer form" if integer_form and not result.first_difference.startswith("step ") else FAILED


def _difference(result: Verification) -> str:
    if result.bit_exact:
        return ""
    return (
        f"{result.mismatches} of {result.values} values differ, by {result.max_lsb} steps or "
        f"{result.max_abs_difference:.2g} at most. {result.first_difference}"
    )


def measured() -> dict[str, dict[str, str]]:
    """docs/families.md as net -> style -> rank."""
    lines = TABLE.read_text(encoding="utf-8").splitlines() if TABLE.exists() else []
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return {row[0]: dict(zip(rows[0][1:], row[1:], strict=True)) for row in rows[2:]}


def table(rows: Mapping[str, Mapping[str, str]]) -> str:
    cells = [[net, *(rows[net].get(style, "") for style in STYLES)] for net in NETS if net in rows]
    ranks = [rank for row in cells for rank in row[1:]]
    counts = ", ".join(f"{ranks.count(rank)} {rank}" for rank in (*reversed(RANKS), FAILED, NO_MODEL) if rank in ranks)
    return "\n".join(
        [
            "# Families of networks",
            "",
            f"Small nets of the common families, from PyTorch's two exporters, each in {len(STYLES)} styles:",
            f"{counts}. {SAMPLES} random inputs each, on the host. Made by `python tests/models/family_styles.py`.",
            "",
            "| net | " + " | ".join(STYLES) + " |",
            "|---|" + "---|" * len(STYLES),
            *("| " + " | ".join(row) + " |" for row in cells),
            "",
            "*exact*: every output byte equals ONNX Runtime's. *tolerance*: layers that are float in the model differ",
            "from ONNX Runtime by no more than they state. *integer form*: ONNX Runtime computes a quantized layer in",
            "float. *own*: `mcugen quantize --for cortex-m`; the others are ONNX Runtime's quantizer: *qop* is its",
            "QOperator format, *channel* means weights per channel, *raw* without its pre-processing, u8s8 uint8",
            "activations and int8 weights.",
            "",
        ]
    )


def main() -> None:
    wanted = [net for net in NETS if net.startswith(tuple(sys.argv[1:])) or not sys.argv[1:]]
    found: dict[str, dict[str, str]] = {}
    for net in wanted:
        found[net] = {}
        for style in STYLES:
            result = outcome(net, style)
            found[net][style] = result.rank
            print(f"{net:22} {style:20} {result.rank:12} {result.why}", flush=True)
    rows = measured() | found
    TABLE.write_text(table(rows), encoding="utf-8")
    sys.exit(any(FAILED in row.values() for row in rows.values()))


if __name__ == "__main__":
    main()
