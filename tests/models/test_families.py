"""Small nets of the common families, from both of PyTorch's exporters, in every style of quantization.

docs/families.md says how each does; none may become worse.
"""

from __future__ import annotations

import pytest
from family_styles import FAILED, NETS, NO_MODEL, RANKS, STYLES, Outcome, measured, outcome

from mcugen.prove.toolchain import available
from mcugen.target import core

QUANTIZED = [style for style, how in STYLES.items() if how.kind in ("own", "qdq", "qop")]
# Each net by one exporter and in one style, in turn.
FEW = [(net, QUANTIZED[number % len(QUANTIZED)]) for number, net in enumerate(NETS) if number // 2 % 2 == number % 2]
BOARDS = {
    "mobilenet_v2.script": "cortex-m0",
    "unet_bilinear.dynamo": "cortex-m4",
    "transformer.dynamo": "cortex-m55",
    "lstm.script": "cortex-m33",
}


def as_good_as_measured(net: str, style: str, found: Outcome) -> str:
    """What is wrong, "" if nothing is."""
    wanted = measured()[net][style]
    if found.rank == FAILED:
        return f"{net} {style}: {found.why}"
    order = (NO_MODEL, *RANKS)
    worse = order.index(found.rank) < order.index(wanted)
    return f"{net} {style} was {wanted}, is {found.rank}: {found.why}" if worse else ""


def test_every_net_and_style_is_measured() -> None:
    rows = measured()
    assert tuple(rows) == NETS
    assert all(tuple(row) == tuple(STYLES) and FAILED not in row.values() for row in rows.values())


@pytest.mark.parametrize(("net", "style"), FEW, ids=[f"{net}-{style}".replace(" ", "-") for net, style in FEW])
def test_a_style(net: str, style: str) -> None:
    assert as_good_as_measured(net, style, outcome(net, style)) == ""


@pytest.mark.slow
@pytest.mark.parametrize("net", NETS)
def test_every_style(net: str) -> None:
    print()
    wrong = []
    for style in STYLES:
        found = outcome(net, style)
        print(f"{net:22} {style:20} {found.rank:12} {found.why}")
        wrong.append(as_good_as_measured(net, style, found))
    assert not any(wrong), "\n".join(filter(None, wrong))


@pytest.mark.slow
@pytest.mark.parametrize("net", BOARDS)
def test_emulated_core(net: str) -> None:
    on = BOARDS[net]
    reason = available(core(on))
    if reason:
        pytest.skip(reason)
    assert as_good_as_measured(net, "own", outcome(net, "own", samples=4, on=on)) == ""
