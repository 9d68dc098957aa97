"""How deep the stack can get in a run: a bound over the call graph, for a target's compiler.

GCC states the frame and the calls of every function it compiles (-fcallgraph-info=su). Functions of the C library and
of libgcc come compiled, naked ones are assembly, and assembly inside others pushes too; frames are read from the linked
image as well. Interrupts use the stack on top.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Frame:
    """A function: its own bytes (None: decided at run time) and whom it calls."""

    own_bytes: int | None
    calls: frozenset[str]


@dataclass(frozen=True)
class Stack:
    """Bytes of the deepest path, with the functions on it; None with the reason where there is no bound."""

    bound_bytes: int | None
    path: tuple[str, ...]
    why: str = ""


def bound(function: str, graphs: Iterable[str], disassembly: str, addresses: Mapping[str, int]) -> Stack:
    """From `function` down; graphs: GCC's call graphs (.ci).

    disassembly, addresses: of the image and its symbols, for functions that the graphs do not hold.
    """
    frames: dict[str, Frame] = {}
    for text in graphs:
        frames |= compiled_frames(text)
    linked = library_frames(disassembly, addresses)
    found: dict[str, tuple[int, tuple[str, ...]]] = {}
    open_calls: list[str] = []

    def deepest(name: str) -> tuple[int, tuple[str, ...]]:
        if name in found:
            return found[name]
        shown = _shown(name)
        frame = _frame(frames.get(name), linked.get(_symbol(name)))
        if name == _INDIRECT:
            raise _Unbounded(f"{_shown(open_calls[-1])} calls through a pointer")
        if frame is None:
            raise _Unbounded(f"{shown} is not in the image")
        if name in open_calls:
            raise _Unbounded(f"{shown} is recursive")
        if frame.own_bytes is None:
            raise _Unbounded(f"{shown} decides about its frame at run time")
        open_calls.append(name)
        below = max((deepest(callee) for callee in sorted(frame.calls)), default=(0, ()))
        open_calls.pop()
        found[name] = frame.own_bytes + below[0], (shown, *below[1])
        return found[name]

    try:
        bytes_, path = deepest(function)
    except _Unbounded as reason:
        return Stack(None, (), str(reason))
    return Stack(bytes_, path)


def _frame(compiled: Frame | None, linked: Frame | None) -> Frame | None:
    """What GCC says of a function, or the image where that is more: GCC does not count what assembly pushes.

    Of 0 bytes, what the image says: a naked function is all assembly, and calls from it.
    """
    if compiled is None or linked is None:
        return compiled or linked
    if compiled.own_bytes == 0:
        return Frame(linked.own_bytes, compiled.calls | linked.calls)
    if compiled.own_bytes is None or linked.own_bytes is None:
        return compiled
    return Frame(max(compiled.own_bytes, linked.own_bytes), compiled.calls)


class _Unbounded(Exception):
    """Why no bound exists."""


def _symbol(name: str) -> str:
    """The function as the image has it: in its graph GCC puts the file before static ones."""
    return name.rpartition(":")[2]


def _shown(name: str) -> str:
    """The function as its C file calls it: without the .constprop and such that GCC puts behind clones."""
    return _symbol(name).partition(".")[0]


_INDIRECT = "__indirect_call"
_NODE = re.compile(r'^node: \{ title: "([^"]+)" label: "[^"]*\\n(\d+) bytes \(([a-z,]+)\)', re.MULTILINE)
_EDGE = re.compile(r'^edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"', re.MULTILINE)


def compiled_frames(text: str) -> dict[str, Frame]:
    """The functions of one .ci file; "static" and "dynamic,bounded" frames have a size, "dynamic" ones do not."""
    calls: dict[str, set[str]] = {}
    for caller, callee in _EDGE.findall(text):
        calls.setdefault(caller, set()).add(callee)
    return {
        name: Frame(None if kind == "dynamic" else int(size), frozenset(calls.get(name, ())))
        for name, size, kind in _NODE.findall(text)
    }


_FUNCTION = re.compile(r"^([0-9a-f]+) <([^>]+)>:$", re.MULTILINE)
_INSTRUCTION = re.compile(r"^\s*[0-9a-f]+:\t(\S+)\s*(.*?)\s*(?:[;@].*)?$", re.MULTILINE)
_CONDITION = "eq|ne|cs|hs|cc|lo|mi|pl|vs|vc|hi|ls|ge|lt|gt|le"
_BRANCH = re.compile(rf"(b|bl|b(?:{_CONDITION})|cbn?z)(\.[nw])?")  # not bfi, bic, nor words of data that read as bfcsel
_TARGET = re.compile(r"<([^>+]+)(?:\+0x[0-9a-f]+)?>")


def library_frames(disassembly: str, addresses: Mapping[str, int]) -> dict[str, Frame]:
    """Every function of an image by its machine code: all it pushes, added up, and all it branches to.

    Pushes on different paths are added too, so the sum is never too small. A function may have several names; static
    functions of one name count as one, with the largest frame and the calls of all.
    """
    heads = list(_FUNCTION.finditer(disassembly))
    frames: dict[str, Frame] = {}
    starts: dict[int, str] = {}
    for index, head in enumerate(heads):
        name, following = head[2], heads[index + 1] if index + 1 < len(heads) else None
        end = len(disassembly) if following is None else following.start()
        starts[int(head[1], 16)] = name
        code = [(m, operands) for m, operands in _INSTRUCTION.findall(disassembly, head.end(), end) if m[0] != "."]
        own: int | None = 0
        calls: set[str] = set()
        for mnemonic, operands in code:
            grown = _pushed(mnemonic, operands)
            own = None if grown is None or own is None else own + grown
            target = _TARGET.search(operands) if _BRANCH.fullmatch(mnemonic) else None
            if target is not None:
                if target[1] != name or mnemonic == "bl":  # a branch inside the function is no call
                    calls.add(target[1])
            elif mnemonic == "blx" or (mnemonic == "bx" and operands != "lr"):
                calls.add(_INDIRECT)
        real = [instruction for instruction in code if not instruction[0].startswith("nop")]
        if real and not _leaves(*real[-1]) and following is not None:
            calls.add(following[2])
        if (same := frames.get(name)) is not None:
            own = None if own is None or same.own_bytes is None else max(own, same.own_bytes)
            calls |= same.calls
        frames[name] = Frame(own, frozenset(calls))
    also = {name: frames[starts[address]] for name, address in addresses.items() if address in starts}
    return also | frames


def _leaves(mnemonic: str, operands: str) -> bool:
    """Does nothing follow this instruction?"""
    if mnemonic in ("b", "b.n", "b.w", "bx", "udf"):
        return True
    return "pc" in operands and mnemonic.startswith(("pop", "ldm", "ldr", "mov", "add", "tb"))


def _pushed(mnemonic: str, operands: str) -> int | None:
    """Bytes by which an instruction lowers the stack pointer, at most; None if only the run can tell."""
    if mnemonic.startswith(("push", "vpush")) or (
        mnemonic.startswith(("stmdb", "vstmdb")) and operands.startswith("sp!")
    ):
        return _registers(operands)
    if mnemonic.startswith("sub") and operands.startswith("sp,"):
        amount = re.search(r"#(\d+)$", operands)
        return int(amount[1]) if amount else None
    if (stored := re.search(r"\[sp, #-(\d+)\]!", operands)) is not None:
        return int(stored[1])
    return 0


def _registers(operands: str) -> int:
    """Bytes of a register list: {r4, r5, lr} or {d8-d15}."""
    total = 0
    listed = operands[operands.index("{") + 1 : operands.index("}")]
    for item in listed.split(","):
        first, _, last = item.strip().partition("-")
        size = 8 if first.startswith("d") else 4
        count = int(last[1:]) - int(first[1:]) + 1 if last else 1
        total += size * count
    return total
