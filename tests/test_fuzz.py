"""A damaged file is compiled or refused; it never ends in a traceback."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from mcugen import Options, UserError, compile

DIGITS = Path(__file__).parent.parent / "examples" / "digits" / "digits.onnx"


def damaged(content: bytes, chance: random.Random) -> bytes:
    """A few bytes changed, dropped or inserted."""
    data = bytearray(content)
    for _ in range(chance.choice([1, 1, 2, 5])):
        where = chance.randrange(len(data))
        kind = chance.random()
        if kind < 0.6:
            data[where] = chance.randrange(256)
        elif kind < 0.8:
            del data[where : where + chance.randrange(1, 20)]
        else:
            data[where:where] = chance.randbytes(chance.randrange(1, 9))
    return bytes(data)


@pytest.mark.parametrize("seed", [*range(4), *(pytest.param(s, marks=pytest.mark.slow) for s in range(4, 40))])
def test_damaged_models_are_compiled_or_refused(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    content = DIGITS.read_bytes()
    refused = 0
    for _ in range(60):
        path = tmp_path / "damaged.onnx"
        path.write_bytes(damaged(content, chance))
        try:
            compile(path, Options())
        except UserError as error:
            assert error.message
            refused += 1
    assert refused, "no damage was noticed: the fuzzer does nothing"
