"""`mcugen quantize` and `mcugen compare`: flags in, messages out."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click
from rich.table import Column, Table

from ..deliver.calibration import Images, check_images, check_values, inputs_of, load_data, load_labels
from ..deliver.compare import Comparison
from ..deliver.compare import compare as run_compare
from ..deliver.page import page
from ..deliver.quantize import Quantized, read_float
from ..deliver.quantize import quantize as run_quantize
from ..deliver.quantize_options import FORMATS, METHODS, MODES, TARGETS, TYPES, Options
from ..errors import CheckFailed, UserError
from ..folder import refuse_unwritable, with_folder
from ..prove.program import library_of, where
from ..target import core
from .console import guarded, out, parse_shape, progress
from .images import image_options
from .options import cmsis_nn_option


def _override(text: str) -> tuple[str, str]:
    name, separator, kind = text.rpartition("=")
    if not separator or not name or kind not in TYPES:
        raise UserError(f"{text!r} is not an override", hint=f"Write --override NAME=TYPE, of {', '.join(TYPES)}.")
    return name, kind


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The quantized model.")
@click.option("--for", "target", type=click.Choice(list(TARGETS)), required=True, help="What it will run on.")
@click.option("--mode", type=click.Choice(MODES), default="static", show_default=True)
@click.option(
    "--calibration",
    type=click.Path(path_type=Path),
    metavar="X.npz|FOLDER",
    help="Sample inputs: one array per input, first axis = samples; or a folder of .npy or images.",
)
@click.option("--samples", type=click.IntRange(min=1), help="Use only the first ones [default: all].")
@click.option("--method", type=click.Choice(list(METHODS)), default="minmax", show_default=True)
@click.option(
    "--percentile",
    type=click.FloatRange(50, 100, min_open=True),
    default=99.999,
    show_default=True,
    help="Of --method percentile.",
)
@click.option("--per-channel/--per-tensor", default=True, show_default=True, help="Scales of the weights.")
@click.option("--format", "form", type=click.Choice(FORMATS), default="qdq", show_default=True)
@click.option("--exclude", multiple=True, metavar="NODE", help="Leave this node in float.")
@click.option(
    "--override", "overrides", multiple=True, metavar="NAME=TYPE", help="Type of an activation, by tensor or node."
)
@click.option("--op-type", "op_types", multiple=True, help="Of --mode dynamic [default: MatMul, Gemm].")
@click.option(
    "--auto-mixed",
    type=click.IntRange(min=1),
    metavar="N",
    help="Give up to N of the noisiest activations more precision, until the gate passes.",
)
@click.option(
    "--gate",
    type=click.FloatRange(min=0, min_open=True),
    metavar="POINTS",
    help="Exit 1 unless less accuracy than this is lost [default: not gated; 1 with --auto-mixed].",
)
@click.option("--data", type=click.Path(path_type=Path), metavar="X.npz|FOLDER", help="Evaluate on these samples.")
@click.option("--labels", type=click.Path(path_type=Path), metavar="Y.npz", help="Their class numbers.")
@click.option(
    "--calibration-cache", "cache", type=click.Path(path_type=Path), metavar="FILE", help="Keep the ranges found."
)
@click.option("--shape", "shapes", multiple=True, metavar="NAME=DIMS", help="Fix a dynamic input.")
@cmsis_nn_option
@image_options
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@guarded
def quantize(
    model: Path,
    output: Path,
    target: str,
    mode: str,
    calibration: Path | None,
    samples: int | None,
    method: str,
    percentile: float,
    per_channel: bool,
    form: str,
    exclude: tuple[str, ...],
    overrides: tuple[str, ...],
    op_types: tuple[str, ...],
    auto_mixed: int | None,
    gate: float | None,
    data: Path | None,
    labels: Path | None,
    cache: Path | None,
    shapes: tuple[str, ...],
    cmsis_nn: Path | None,
    images: Images,
    as_json: bool,
) -> None:
    """Quantize a float MODEL.onnx for a target, with ONNX Runtime's own tools.

    \b
    mcugen quantize net.onnx --for cortex-m --calibration x.npz -o net_s8.onnx
    mcugen quantize net.onnx --for ort --mode dynamic -o net_dyn.onnx
    mcugen quantize net.onnx --for qnn --calibration photos/ --auto-mixed 4 --data t.npz --labels y.npz -o net_q.onnx
    """
    options = Options(
        target=target,
        mode=mode,
        format=form,
        method=method,
        percentile=percentile,
        per_channel=per_channel,
        exclude=exclude,
        overrides=dict(_override(text) for text in overrides),
        auto_mixed=auto_mixed or 0,
        gate=gate,
        cache=cache,
        op_types=op_types or Options.op_types,
        shapes=dict(parse_shape(text) for text in shapes),
        cmsis_nn=cmsis_nn,
    )
    options.checked()
    if op_types and mode != "dynamic":
        raise UserError("--op-type is of --mode dynamic")
    if labels is not None and data is None:
        raise UserError("--labels need the samples they belong to", hint="Pass --data X.npz.")
    check_images(images, (calibration, data))
    inputs = inputs_of(read_float(model, options.shapes))
    samples_in = None if calibration is None else load_data(calibration, inputs, images, samples)
    judged_on = None if data is None else load_data(data, inputs, images)
    classes = None if labels is None or judged_on is None else load_labels(labels, judged_on.count)
    result = run_quantize(model, output, options, samples_in, judged_on, classes, progress)
    if as_json:
        click.echo(json.dumps(_document(result, options)))
        return
    _report(result, options)


def _document(result: Quantized, options: Options) -> dict[str, object]:
    found = result.score
    costs = map(asdict, result.cost or ())
    return {
        "output": str(result.path),
        "for": options.target,
        "mode": options.mode,
        "bytes": result.bytes,
        "float_bytes": result.float_bytes,
        "samples": result.samples,
        "score": None if found is None else found.document(),
        "raised": list(result.raised),
        "bit_exact": result.bit_exact,
        "cortex_m": None if result.cost is None else dict(zip(("all_8_bit", "mixed"), costs, strict=True)),
        "notes": list(result.notes),
    }


def _report(result: Quantized, options: Options) -> None:
    ratio = result.float_bytes / result.bytes
    out.print(
        f"{result.path}: {result.bytes:,} bytes, {ratio:.2f} times smaller than the float model "
        f"({options.mode}, for {options.target})",
        markup=False,
    )
    found = result.score
    if found is not None:
        parts = []
        if found.agreement is not None:
            parts.append(f"same class as the float model in {found.agreement:.2f} %")
        if found.accuracy is not None:
            parts.append(f"accuracy {found.accuracy:.2f} % (loss {found.loss_points:.2f} points)")
        parts.append(f"SQNR {found.sqnr_db:.1f} dB ({found.on})")
        out.print(f"on {result.samples} samples: {', '.join(parts)}", markup=False)
    if result.raised:
        out.print(f"more precision for: {', '.join(result.raised)}", markup=False)
    if result.cost is not None:
        for what, cost in zip(("all in 8 bits", "as written"), result.cost, strict=True):
            out.print(f"{cost.where}, {what}: {cost}", markup=False)
    if result.bit_exact is not None:
        how = "equals ONNX Runtime in every byte" if result.bit_exact else "is within its float layers' tolerance"
        out.print(
            f"compiled for {where('Cortex-M', library_of(options.cmsis_nn))}: the C {how} on the samples tried",
            markup=False,
        )
    for note in result.notes:
        out.print(f"note: {note}", markup=False)


@click.command()
@click.argument("model", metavar="FLOAT", type=click.Path(path_type=Path))
@click.argument("variants", metavar="VARIANT...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    required=True,
    metavar="X.npz|FOLDER",
    help="Samples: one array per input of the float model, first axis = samples; or a folder of .npy or images.",
)
@click.option("--labels", type=click.Path(path_type=Path), metavar="Y.npz", help="Their class numbers.")
@click.option("--samples", type=click.IntRange(min=1), help="Use only the first ones [default: all].")
@click.option(
    "--gate",
    type=click.FloatRange(min=0, min_open=True),
    default=1.0,
    show_default=True,
    metavar="POINTS",
    help="Exit 1 unless every variant loses less accuracy than this.",
)
@click.option("--rounds", type=click.IntRange(min=1), default=100, show_default=True, help="Of the latency.")
@click.option(
    "--on", default="cortex-m4", show_default=True, help="Core of the Cortex-M figures; host leaves them out."
)
@click.option("--shape", "shapes", multiple=True, metavar="NAME=DIMS", help="Fix a dynamic input.")
@cmsis_nn_option
@image_options
@click.option("--html", type=click.Path(path_type=Path), metavar="R.html", help="Also write a page with plots.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@guarded
def compare(
    model: Path,
    variants: tuple[Path, ...],
    data: Path,
    labels: Path | None,
    samples: int | None,
    gate: float,
    rounds: int,
    on: str,
    shapes: tuple[str, ...],
    cmsis_nn: Path | None,
    images: Images,
    html: Path | None,
    as_json: bool,
) -> None:
    """A float model and its variants side by side. Exit 1 if one of them loses too much accuracy.

    \b
    mcugen compare net.onnx net_s8.onnx net_u8.onnx --data t.npz --labels y.npz --html report.html
    """
    refuse_unwritable(html)
    fixed = dict(parse_shape(text) for text in shapes)
    wanted = None if on == "host" else core(on).name
    check_images(images, (data,))
    loaded = load_data(data, inputs_of(read_float(model, fixed)), images, samples)
    check_values(loaded)
    classes = None if labels is None else load_labels(labels, loaded.count)
    result = run_compare(
        model,
        variants,
        loaded,
        classes,
        points=gate,
        rounds=rounds,
        core=wanted,
        shapes=fixed,
        cmsis_nn=cmsis_nn,
        progress=progress,
    )
    if html is not None:
        with_folder(html).write_text(page(result), encoding="utf-8")
    if as_json:
        click.echo(json.dumps(result.document()))
    else:
        _tables(result)
        if html is not None:
            out.print(f"written to {html}", markup=False)
    failed = [f"{r.name}: {r.score.verdict(gate)}" for r in result.rows if r.score is not None and not r.passes]
    if failed:
        raise CheckFailed("; ".join(failed))


def _table(title: str, *columns: str) -> Table:
    table = Table(Column("model", overflow="fold"), box=None, title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _tables(result: Comparison) -> None:
    by_label = result.rows[0].accuracy is not None
    shares = ("accuracy", "loss") if by_label else ("agreement",)
    quality = _table(f"{result.samples} samples", "bytes", "smaller", *shares, "SQNR dB", "max error", "gate")
    speed = _table(
        f"\nms, {result.rounds} rounds, one thread", "mean", "p50", "p95", "p99", "faster", "kernels int/float"
    )
    board = _table("\nCortex-M", "flash", "RAM", "arena", "instructions", "core")
    for row in result.rows:
        found, t, m = row.score, row.latency_ms, row.cortex_m
        cells = [] if row.accuracy is None else [f"{row.accuracy:.2f} %"]
        if found is not None:
            if by_label:
                cells.append(f"{found.loss_points:.2f}")
            else:
                cells.append("" if found.agreement is None else f"{found.agreement:.2f} %")
            cells += [f"{found.sqnr_db:.1f}", f"{found.max_abs_error:.3g}", "pass" if row.passes else "FAIL"]
        quality.add_row(row.name, f"{row.bytes:,}", f"{row.ratio:.2f}x", *cells)
        times = [f"{ms:.3f}" for ms in (t.mean, t.p50, t.p95, t.p99)]
        speed.add_row(row.name, *times, f"{row.speedup:.2f}x", f"{row.integer_kernels}/{row.float_kernels}")
        if m is not None:
            numbers = (m.flash_bytes, m.ram_bytes, m.arena_bytes, m.instructions)
            board.add_row(row.name, *("" if n is None else f"{n:,}" for n in numbers), m.where)
    for table in (quality, speed, board):
        if table.row_count:
            out.print(table)
    for row in result.rows:
        if row.score is not None and row.not_cortex_m:
            out.print(f"{row.name}: no Cortex-M figures: {row.not_cortex_m}", markup=False)
