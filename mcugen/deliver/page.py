"""The comparison as one HTML file: no scripts, no downloads, plots as inline SVG. Geometry is computed here."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jinja2

from .. import __version__, resources
from .compare import Comparison, Row

# Okabe and Ito's palette: distinct for colour-blind readers. Grey is the float model.
_COLOURS = ("#8a8f98", "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442")

# Pixels. A bar plot is as wide as half the page, so that its text keeps its size.
_BAR_PITCH, _BAR_HEIGHT = 28, 16
_BAR_START, _BAR_SPAN, _BAR_WIDTH = 140, 270, 500
_DOT_PITCH, _DOT_AXIS = 20, 34
_DOT_START, _DOT_SPAN, _DOT_WIDTH = 300, 720, 1060
_TEXT_GAP, _TEXT_DROP = 10, 5
_TOP_DB = 80  # beyond it a tensor is as good as equal


@dataclass(frozen=True)
class Bar:
    label: str
    text: str
    colour: str
    top: int
    width: float
    baseline: int
    text_x: float


@dataclass(frozen=True)
class BarPlot:
    title: str
    note: str
    bars: tuple[Bar, ...]
    height: int


@dataclass(frozen=True)
class Dot:
    x: float
    y: int
    colour: str
    text: str


@dataclass(frozen=True)
class LayerPlot:
    """labels: (baseline, tensor). ticks: (x, dB)."""

    labels: tuple[tuple[int, str], ...]
    ticks: tuple[tuple[float, str], ...]
    dots: tuple[Dot, ...]
    floor: int
    tick_baseline: int
    height: int


def page(comparison: Comparison) -> str:
    """The whole document."""
    rows = comparison.rows
    colours = [_COLOURS[index % len(_COLOURS)] for index in range(len(rows))]
    by_label = rows[0].accuracy is not None
    plots = [
        _bars("Size", "kB of the ONNX file", rows, colours, lambda r: r.bytes / 1000, "{:,.1f} kB"),
        _bars("Latency", "median, ms, one thread", rows, colours, lambda r: r.latency_ms.p50, "{:.3f} ms"),
    ]
    if by_label:
        plots.append(_bars("Accuracy", "% of the labels", rows, colours, lambda r: r.accuracy, "{:.2f} %"))
    else:
        plots.append(_bars("Agreement", "% of the float model's answers", rows, colours, _agreement, "{:.2f} %"))
    plots.append(_bars("Fidelity", "SQNR against the float model, dB", rows, colours, _sqnr, "{:.1f} dB"))
    core = next((r.cortex_m.core for r in rows if r.cortex_m is not None), "")
    plots += [
        _bars(f"Flash, {core}", "kB of code and tables", rows, colours, _flash, "{:,.1f} kB"),
        _bars(f"RAM, {core}", "kB", rows, colours, _ram, "{:,.1f} kB"),
        _bars(f"Work, {core}", "million instructions", rows, colours, _work, "{:,.2f} M"),
    ]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(resources.templates()),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("compare.html.j2").render(
        c=comparison,
        version=__version__,
        rows=list(zip(rows, colours, strict=True)),
        plots=[plot for plot in plots if len(plot.bars) > 0],
        layers=_layers(rows, colours),
        by_label=by_label,
        by_class=any(row.score is not None and row.score.agreement is not None for row in rows),
        bar={"x": _BAR_START, "label_x": _BAR_START - _TEXT_GAP, "height": _BAR_HEIGHT, "width": _BAR_WIDTH},
        dot={"label_x": _DOT_START - _TEXT_GAP, "width": _DOT_WIDTH},
        finite=math.isfinite,
    )


def _agreement(row: Row) -> float | None:
    return None if row.score is None else row.score.agreement


def _sqnr(row: Row) -> float | None:
    return None if row.score is None or not math.isfinite(row.score.sqnr_db) else row.score.sqnr_db


def _flash(row: Row) -> float | None:
    flash = None if row.cortex_m is None else row.cortex_m.flash_bytes
    return None if flash is None else flash / 1000


def _ram(row: Row) -> float | None:
    ram = None if row.cortex_m is None else row.cortex_m.ram_bytes
    return None if ram is None else ram / 1000


def _work(row: Row) -> float | None:
    count = None if row.cortex_m is None else row.cortex_m.instructions
    return None if count is None else count / 1e6


def _bars(
    title: str,
    note: str,
    rows: Sequence[Row],
    colours: Sequence[str],
    value: Callable[[Row], float | None],
    spelling: str,
) -> BarPlot:
    """Bars from zero; rows without a value are left out."""
    found = [
        (row, colour, number) for row, colour in zip(rows, colours, strict=True) if (number := value(row)) is not None
    ]
    top = max((number for _, _, number in found), default=0.0)
    bars = tuple(
        Bar(
            _short(row.name),
            spelling.format(number),
            colour,
            index * _BAR_PITCH + (_BAR_PITCH - _BAR_HEIGHT) // 2,
            width := max(_BAR_SPAN * max(number, 0.0) / top if top > 0 else 0.0, 1.0),
            index * _BAR_PITCH + _BAR_PITCH // 2 + _TEXT_DROP,
            _BAR_START + width + _TEXT_GAP,
        )
        for index, (row, colour, number) in enumerate(found)
    )
    return BarPlot(title, note, bars, len(bars) * _BAR_PITCH)


def _layers(rows: Sequence[Row], colours: Sequence[str]) -> LayerPlot | None:
    """One line per tensor, one dot per variant; None if no variant shares tensor names with the float model."""
    names = list(dict.fromkeys(name for row in rows for name in row.layers))
    if not names:
        return None
    most = max(min(decibel, _TOP_DB) for row in rows for decibel in row.layers.values())
    top = max(10 * math.ceil(most / 10), 10)
    line = {name: index * _DOT_PITCH + _DOT_PITCH // 2 for index, name in enumerate(names)}
    dots = tuple(
        Dot(_dot_x(min(max(decibel, 0.0), top), top), line[name], colour, f"{row.name}: {decibel:.1f} dB")
        for row, colour in zip(rows, colours, strict=True)
        for name, decibel in row.layers.items()
    )
    floor = len(names) * _DOT_PITCH
    return LayerPlot(
        tuple((line[name] + _TEXT_DROP, _short(name, 38)) for name in names),
        tuple(
            (_dot_x(tick, top), f"{tick}" if tick < _TOP_DB else f"{tick} and more") for tick in range(0, top + 1, 10)
        ),
        dots,
        floor,
        floor + _DOT_AXIS - 2 * _TEXT_DROP,
        floor + _DOT_AXIS,
    )


def _dot_x(decibel: float, top: int) -> float:
    return _DOT_START + _DOT_SPAN * decibel / top


def _short(name: str, most: int = 18) -> str:
    """The end of a long name tells most."""
    return name if len(name) <= most else "…" + name[1 - most :]
