"""A damaged file is compiled or refused; it never ends in a traceback. Its bytes are damaged, or its fields."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import onnx
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from mcugen import Options, UserError, compile

DIGITS = Path(__file__).parent.parent / "examples" / "digits" / "digits.onnx"
FAMILIES = Path(__file__).parent / "models" / "families"
NETS = (DIGITS, *(FAMILIES / f"{net}.onnx" for net in ("detector.dynamo", "gru.script", "transformer.script")))

INTEGERS = (-(2**31), -2, -1, 0, 1, 2, 3, 7, 2**31 - 1)
NUMBERS: dict[int, Sequence[Any]] = {
    FieldDescriptor.CPPTYPE_INT32: INTEGERS,
    FieldDescriptor.CPPTYPE_INT64: (*INTEGERS, -(2**63), 2**40, 2**63 - 1),
    FieldDescriptor.CPPTYPE_FLOAT: (float("nan"), float("inf"), -0.1, 0.0, 1e-42, 1e38),
}


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


def entries(value: Any) -> list[Any]:
    """Of a repeated field, or the one value of another."""
    return list(value) if isinstance(value, Sequence) and not isinstance(value, (str, bytes)) else [value]


def fields(message: Message) -> Iterator[tuple[Message, FieldDescriptor]]:
    """All that are set, in it and below it; not the weights' own bytes."""
    for field, value in message.ListFields():
        if field.name != "raw_data":
            yield message, field
        for part in entries(value):
            if isinstance(part, Message):
                yield from fields(part)


def change_a_field(model: onnx.ModelProto, chance: random.Random) -> None:
    """An entry is dropped or doubled, a number becomes another one, a name that of something else."""
    found = list(fields(model.graph))
    message, field = chance.choice(found)
    now = getattr(message, field.name)
    values = [value for m, f in found if f == field for value in entries(getattr(m, field.name))]
    other = chance.choice(NUMBERS.get(field.cpp_type, values))
    if isinstance(now, Message):
        now.CopyFrom(other)
    elif isinstance(now, (str, bytes, int, float)):
        setattr(message, field.name, other)
    elif chance.random() < 0.5:
        del now[chance.randrange(len(now))]
    else:
        now.insert(chance.randrange(len(now)), other)


@pytest.mark.parametrize("seed", [*range(1), *(pytest.param(s, marks=pytest.mark.slow) for s in range(1, 40))])
def test_models_with_changed_fields_are_compiled_or_refused(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    models = [onnx.load(path) for path in NETS]
    path, compiled, refused = tmp_path / "changed.onnx", 0, 0
    for _ in range(24):
        model = onnx.ModelProto()
        model.CopyFrom(chance.choice(models))
        for _ in range(chance.choice([1, 1, 2])):
            change_a_field(model, chance)
        path.write_bytes(model.SerializeToString())
        try:
            compile(path, Options())
            compiled += 1
        except UserError:
            refused += 1
    assert compiled and refused, "nothing or everything is damage: the fuzzer does nothing"
