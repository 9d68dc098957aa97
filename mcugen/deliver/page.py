"""The comparison as one HTML file: no scripts, no downloads, plots as plain boxes.

Geometry is computed here, in percent, so that a page is as readable on a phone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .. import __version__
from ..emit.templating import environment
from .compare import Comparison, Row

# Okabe and Ito's palette: distinct for colour-blind readers. Grey is the float model.
_COLOURS = ("#8a8f98", "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442")

_DOT_PITCH, _DOT_EDGE = 5, 9  # pixels between two variants, and to the line's edge
_TOP_DB = 80  # beyond it a tensor is as good as equal


@dataclass(frozen=True)
class Bar:
    """width: percent of the longest bar's room."""

    label: str
    text: str
    colour: str
    width: float


@dataclass(frozen=True)
class BarPlot:
    title: str
    note: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class Dot:
    """x: percent of the axis. y: pixels, so that equal variants do not hide each other."""

    x: float
    y: int
    colour: str
    text: str


@dataclass(frozen=True)
class LayerPlot:
    """lines: (tensor, its dots). ticks: (percent of the axis, dB)."""

    lines: tuple[tuple[str, tuple[Dot, ...]], ...]
    ticks: tuple[tuple[float, str], ...]
    height: int  # of a line, pixels


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
    board = next((r.cortex_m.where for r in rows if r.cortex_m is not None), "")
    plots += [
        _bars(f"Flash, {board}", "kB of code and tables", rows, colours, _flash, "{:,.1f} kB"),
        _bars(f"RAM, {board}", "kB", rows, colours, _ram, "{:,.1f} kB"),
        _bars(f"Work, {board}", "million instructions", rows, colours, _work, "{:,.2f} M"),
    ]
    return (
        environment(html=True)
        .get_template("compare.html.j2")
        .render(
            c=comparison,
            version=__version__,
            rows=list(zip(rows, colours, strict=True)),
            plots=[plot for plot in plots if len(plot.bars) > 0],
            layers=_layers(rows, colours),
            by_label=by_label,
            by_class=any(row.score is not None and row.score.agreement is not None for row in rows),
            board=board,
            finite=math.isfinite,
        )
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
        Bar(row.name, spelling.format(number), colour, max(100 * max(number, 0.0) / top if top > 0 else 0.0, 0.4))
        for row, colour, number in found
    )
    return BarPlot(title, note, bars)


def _layers(rows: Sequence[Row], colours: Sequence[str]) -> LayerPlot | None:
    """One line per tensor, one dot per variant; None if no variant shares tensor names with the float model."""
    names = list(dict.fromkeys(name for row in rows for name in row.layers))
    if not names:
        return None
    most = max(min(decibel, _TOP_DB) for row in rows for decibel in row.layers.values())
    top = max(10 * math.ceil(most / 10), 10)

    shown = [(row, colour) for row, colour in zip(rows, colours, strict=True) if row.layers]

    def dots(name: str) -> tuple[Dot, ...]:
        return tuple(
            Dot(
                100 * min(max(row.layers[name], 0.0), top) / top,
                _DOT_EDGE + index * _DOT_PITCH,
                colour,
                f"{row.name}: {row.layers[name]:.1f} dB",
            )
            for index, (row, colour) in enumerate(shown)
            if name in row.layers
        )

    height = 2 * _DOT_EDGE + (len(shown) - 1) * _DOT_PITCH
    ticks = ((100 * tick / top, f"{tick}" if tick < _TOP_DB else f"{tick}+") for tick in range(0, top + 1, 10))
    return LayerPlot(tuple((_short(name), dots(name)) for name in names), tuple(ticks), height)


def _short(name: str, most: int = 48) -> str:
    """The end of a long name tells most."""
    return name if len(name) <= most else "…" + name[1 - most :]
