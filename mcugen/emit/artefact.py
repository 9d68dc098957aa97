"""Compiled: what every output reads, and the names it has in C."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import onnx

from ..ir import Graph, TensorType
from ..plan import ALIGN, Plan
from ..step import Step
from ..target import Core, Memory


@dataclass(frozen=True)
class Port:
    """A model input or output as the firmware sees it."""

    name: str  # ONNX name
    c_name: str  # accessor behind the model's prefix: "input", or "input_image" where there are several
    type: TensorType
    perm: tuple[int, ...]  # axes of the ONNX tensor, in the firmware's order

    @property
    def model_shape(self) -> tuple[int, ...]:
        """The shape of the ONNX tensor."""
        return tuple(self.type.shape[self.perm.index(axis)] for axis in range(len(self.perm)))


@dataclass(frozen=True)
class Shared:
    """What models of one project decide together: its name, and table -> the memory region it is copied to."""

    project: str
    staged: Mapping[str, str]


@dataclass(frozen=True)
class Compiled:
    name: str  # C identifier, prefix of everything the firmware sees
    model: onnx.ModelProto  # as read, shapes fixed
    model_sha256: str
    core: Core
    requant: str
    library: str  # "bundled" or "arm"
    io: str
    graph: Graph
    steps: tuple[Step, ...]
    plan: Plan
    memories: tuple[Memory, ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    shared: Shared | None = None  # None: the model is alone
    kernels: str = ""  # specialised or api, and why
    planned: str = ""  # whole layers or bands, and why

    @property
    def macs(self) -> int:
        return sum(step.macs for step in self.steps)

    @property
    def feed(self) -> Port | None:
        """The input whose rows come in one after the other."""
        fed = next((node.inputs[0] for node in self.graph.nodes if node.op == "feed"), None)
        return next((port for port in self.inputs if port.name == fed), None)

    @property
    def arena_bytes(self) -> int:
        """Of the arena's struct: the plan's bytes, and how far a feed has come."""
        return max(self.plan.arena_bytes, ALIGN) + (ALIGN if self.feed else 0)


_KEYWORDS = frozenset(
    "alignas alignof and asm auto bool break case catch char class const continue default delete do double else enum "
    "extern false float for friend goto if inline int long namespace new not operator or private protected public "
    "register restrict return short signed sizeof static struct switch template this throw true try typedef union "
    "unsigned using virtual void volatile while xor".split()
)


def identifier(text: str, fallback: str = "model") -> str:
    """A lower-case C identifier from untrusted text: letters, digits, single underscores; never a keyword."""
    name = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:48].strip("_")
    if not name:
        name = fallback
    if name[0].isdigit() or name in _KEYWORDS:
        name = f"{fallback}_{name}"
    return name


# What a project cannot be called: its header would hide one of the C library or of the project itself, its CMake target
# would be one of CMake's or the project's own.
_TAKEN = frozenset(
    "assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp signal stdalign stdarg stdatomic "
    "stdbool stddef stdint stdio stdlib stdnoreturn string tgmath threads time uchar wchar wctype "
    "all board clean depend help install main package test vectors".split()
)


def project_name(text: str, fallback: str = "model") -> str:
    """The C identifier that a project is called by, in C, in CMake and as a file."""
    name = identifier(text, fallback)
    taken = name in _TAKEN or name.startswith(("mcugen", "arm_nn"))
    return f"{fallback}_{name}" if taken else name


def step_name(op: str, origin: tuple[str, ...], taken: set[str]) -> str:
    """A readable name from the ONNX node: its last path component, or the operator with a number."""
    text = origin[0] if origin else ""
    last = text.split(";")[-1].rstrip("/").split("/")[-1].split("#")[0]
    last = re.sub(r"(?i)(_quant|_prequant|_quantize)+(__\d+)?$", "", last)
    name = identifier(last, op)
    if re.sub(r"_+\d*$", "", name) in _GENERIC or len(name) > 24:
        name = op
    base, number = name, 1
    if name == op:
        name = f"{op}_0"
    while name in taken:
        name = f"{base}_{number}"
        number += 1
    return name


# Exporters call every node by its operator; a number says more.
_GENERIC = frozenset(
    "conv conv2d conv2d1 gemm matmul matmuladdfusion add mul relu clip softmax maxpool averagepool avgpool "
    "globalaveragepool flatten reshape transpose concat pad batchnormalization dequantizelinear quantizelinear biasadd "
    "depthwise depthwise1 depthwise2 depthwise3 resource resource1 sigmoid identity identity_int8".split()
)


def ports(names: tuple[str, ...], graph: Graph, kind: str) -> tuple[Port, ...]:
    found: list[Port] = []
    perms = {node.inputs[0]: node.attrs["perm"] for node in graph.nodes if node.op == "feed"}
    taken: set[str] = set()
    for name in names:
        c_name = kind if len(names) == 1 else f"{kind}_{identifier(name, 'tensor')}"
        base, number = c_name, 1
        while c_name in taken:
            number += 1
            c_name = f"{base}_{number}"
        taken.add(c_name)
        type = graph.type(name)
        found.append(Port(name, c_name, type, perms.get(name, tuple(range(len(type.shape))))))
    return tuple(found)
