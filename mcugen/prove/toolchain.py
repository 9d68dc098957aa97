"""Compiling C from Python: a shared library for the host, an image for an emulated core.

Objects and linked files live in a cache, $MCUGEN_CACHE or $XDG_CACHE_HOME/mcugen (it may be deleted
at any time), under a hash of everything that decides their bytes. Two levels:

    manifest  compiler, flags, source -> the files it read, with their hashes, and the object's key;
              answers without running the compiler
    object    compiler, code-generating flags, preprocessed text; the same code in another folder hits

Files enter the cache by an atomic rename, so concurrent processes never see half a file.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mcugen import resources
from mcugen.emit.memory import link_script
from mcugen.errors import UserError
from mcugen.target import Core, Memory

ARM_GCC = "arm-none-eabi-gcc"
QEMU = "qemu-system-arm"
_ARM_PACKAGES = "apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi"

# No contraction: a fused multiply-add rounds once where the reference rounds twice.
_WARNINGS = ("-Wall", "-Wextra")
_HOST_FLAGS = ("-std=c11", "-O2", "-fPIC", "-ffp-contract=off", *_WARNINGS)
_SECTIONS = ("-ffunction-sections", "-fdata-sections")
# GCC writes beside each object how much stack its functions take and whom they call.
_CALL_GRAPH = "-fcallgraph-info=su"
_ARM_FLAGS = ("-std=c11", "-mthumb", *_SECTIONS, "-ffp-contract=off", _CALL_GRAPH, *_WARNINGS)
_ARM_LINK_FLAGS = ("-nostartfiles", "--specs=nano.specs", "--specs=nosys.specs", "-Wl,--gc-sections")


@dataclass(frozen=True)
class Source:
    """A C file with flags of its own, which come last: ("-include", "override.h"), ("-O3",)."""

    path: Path
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sizes:
    """Bytes of an image by kind; the stack and the test data in the board's data region are not counted."""

    code_bytes: int
    const_bytes: int
    data_bytes: int
    bss_bytes: int

    @property
    def flash_bytes(self) -> int:
        return self.code_bytes + self.const_bytes + self.data_bytes

    @property
    def ram_bytes(self) -> int:
        return self.data_bytes + self.bss_bytes


def compile_shared(
    sources: Sequence[Source | Path],
    *,
    includes: Sequence[Path] = (),
    defines: Sequence[str] = (),
    extra_flags: Sequence[str] = (),
) -> Path:
    """A shared library of the host's C compiler ($CC or gcc). `defines` are "NAME" or "NAME=VALUE".

    UserError if there is no compiler, RuntimeError with its output if it refuses the code.
    """
    compiler = _host_compiler()
    flags = (*_HOST_FLAGS, *extra_flags)
    objects = _compile(compiler, sources, flags, includes, defines)
    return _link(compiler, objects, (*flags, "-shared"), suffix=".so")


def link_image(
    core: Core,
    sources: Sequence[Source | Path],
    *,
    includes: Sequence[Path] = (),
    defines: Sequence[str] = (),
    extra_flags: Sequence[str] = (),
    optimize: str = "-O2",
    sections: str | None = None,
    memories: Sequence[Memory] = (),
) -> Path:
    """An ELF image for the core's board: `sources` (with main) plus start-up, board.h and linker script.

    sections: text of a linker script that places more sections, in the regions `memories`.

    UserError if there is no compiler for the core or the image exceeds the board's memory,
    RuntimeError with the compiler's output if it refuses the code.
    """
    firmware = resources.firmware()
    board = sorted(firmware.glob("*.c"))
    compiler, flags = _arm_compiler(core), _image_flags(core, optimize, extra_flags)
    objects = _compile(compiler, [*sources, *board], flags, [*includes, firmware], defines)
    script = firmware / "link.ld"
    symbols = tuple(f"-Wl,--defsym={name}={value:#x}" for name, value in core.memory.symbols().items())
    with tempfile.TemporaryDirectory(prefix="mcugen-") as scratch:
        if sections is not None:
            script = Path(scratch) / "link.ld"
            script.write_text(link_script(core, memories, sections), encoding="utf-8")
        return _link(compiler, objects, (*flags, *_ARM_LINK_FLAGS, *symbols), suffix=".elf", script=script)


def _image_flags(core: Core, optimize: str, extra_flags: Sequence[str] = ()) -> tuple[str, ...]:
    return (*core.flags, *_ARM_FLAGS, optimize, *extra_flags)


def call_graphs(
    core: Core,
    sources: Sequence[Source | Path],
    *,
    includes: Sequence[Path] = (),
    defines: Sequence[str] = (),
    optimize: str = "-O2",
) -> list[str]:
    """GCC's call graph of every source, with the stack its functions take, as link_image compiles it."""
    folders = [*includes, resources.firmware()]
    objects = _compile(_arm_compiler(core), sources, _image_flags(core, optimize), folders, defines)
    return [path.with_suffix(".ci").read_text(encoding="utf-8") for path in objects]


def disassembly(elf: Path) -> str:
    """An Arm image's machine code as text."""
    return _run(["arm-none-eabi-objdump", "-d", "--no-show-raw-insn", str(elf)])


def available(core: Core, *, to_run: bool = True) -> str | None:
    """Why this machine cannot build the core's images (and run them, unless to_run=False), or None."""
    if to_run and core.machine is None:
        return f"no emulator has {core.name}"
    try:
        _arm_compiler(core)
    except UserError as error:
        return error.message
    if to_run and shutil.which(QEMU) is None:
        return f"{QEMU} is not installed"
    return None


def sizes(elf: Path) -> Sizes:
    """Sizes of an Arm image's sections, told apart by their ELF flags."""
    kinds = {"code": 0, "const": 0, "data": 0, "bss": 0}
    for name, kind, size, flags in _sections(elf):
        if "A" not in flags or name.startswith(".board_"):
            continue
        if "X" in flags or name == ".vectors":
            kinds["code"] += size
        elif "W" not in flags or name == ".init_array":
            kinds["const"] += size
        else:
            kinds["bss" if kind == "NOBITS" else "data"] += size
    return Sizes(kinds["code"], kinds["const"], kinds["data"], kinds["bss"])


def symbol_sizes(elf: Path) -> dict[str, int]:
    """Bytes of every function and object in an Arm image, by name; static namesakes are summed."""
    table: dict[str, int] = {}
    for line in _run(["arm-none-eabi-nm", "--print-size", "--defined-only", str(elf)]).splitlines():
        fields = line.split()  # address, size, type, name; no size for symbols of the linker script
        if len(fields) == 4:
            table[fields[3]] = table.get(fields[3], 0) + int(fields[1], 16)
    return table


def symbol_addresses(elf: Path) -> dict[str, int]:
    """Address of every symbol in an Arm image, the Thumb bit cleared."""
    lines = (line.split() for line in _run(["arm-none-eabi-nm", "--defined-only", str(elf)]).splitlines())
    return {fields[2]: int(fields[0], 16) & ~1 for fields in lines if len(fields) == 3}


def _sections(elf: Path) -> Iterable[tuple[str, str, int, str]]:
    """Name, type, size in bytes and flags of each section."""
    row = re.compile(r"\[ *\d+\] (\S+) +(\S+) +[0-9a-f]{8} [0-9a-f]+ ([0-9a-f]+) [0-9a-f]{2} +([A-Zxop]*) ")
    for match in row.finditer(_run(["arm-none-eabi-readelf", "-SW", str(elf)])):
        yield match[1], match[2], int(match[3], 16), match[4]


# --- compilers ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Compiler:
    command: tuple[str, ...]
    version: str

    @property
    def identity(self) -> tuple[str, ...]:
        """What stands for the compiler in every key of the cache."""
        return (*self.command, self.version)


def _host_compiler() -> _Compiler:
    return _probe(tuple(shlex.split(os.environ.get("CC", "gcc"))), "apt-get install gcc, or set CC.")


def _arm_compiler(core: Core) -> _Compiler:
    compiler = _probe((ARM_GCC,), _ARM_PACKAGES + ".")
    major = int(_ask(ARM_GCC, "-dumpversion").split(".")[0])
    if major < core.gcc:
        raise UserError(
            f"{core.name} needs {ARM_GCC} {core.gcc} or newer, found {major}.",
            hint="Install a newer Arm GNU Toolchain.",
        )
    # GCC answers the bare name when it does not find the file.
    if _ask(ARM_GCC, "-print-file-name=nano.specs").strip() == "nano.specs":
        raise UserError("the C library newlib is not installed.", hint=_ARM_PACKAGES + ".")
    return compiler


def _probe(command: tuple[str, ...], hint: str) -> _Compiler:
    if not command or shutil.which(command[0]) is None:
        raise UserError(f"C compiler {' '.join(command)!r} is not installed.", hint=hint)
    return _Compiler(command, _ask(*command, "--version"))


@cache
def _ask(*command: str) -> str:
    """What a compiler says about itself, asked once."""
    return _run(command)


def _run(command: Sequence[str]) -> str:
    """Standard output; RuntimeError with everything the tool said if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{shlex.join(command)}\nexit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


# --- compile and link ---------------------------------------------------------------------------


def _compile(
    compiler: _Compiler,
    sources: Sequence[Source | Path],
    flags: Sequence[str],
    includes: Sequence[Path],
    defines: Sequence[str],
) -> list[Path]:
    search = [*(f"-I{path.resolve()}" for path in includes), *(f"-D{define}" for define in defines)]

    def one(source: Source | Path) -> Path:
        source = source if isinstance(source, Source) else Source(source)
        return _object(compiler, source.path.resolve(), [*flags, *search, *source.flags])

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(one, sources))


def _object(compiler: _Compiler, source: Path, flags: Sequence[str]) -> Path:
    manifest = _entry("manifest", [*compiler.identity, *flags, str(source), _file_hash(source)], ".json")
    known = _read_manifest(manifest)
    if known is not None:
        return known

    with tempfile.NamedTemporaryFile(suffix=".d") as listing:
        # -P: without line markers the text, and so the key, is independent of the folder.
        preprocess = ["-E", "-P", "-MD", "-MT", "x", "-MF", listing.name]
        text = _run([*compiler.command, *flags, *preprocess, str(source)])
        rule = Path(listing.name).read_text().replace("\\\n", " ")
    read = [Path(name) for name in shlex.split(rule.partition(":")[2])]

    target = _entry("object", [*compiler.identity, *_code_flags(flags), text], ".o")
    if not target.exists():
        _produce(target, lambda out: _compile_one(compiler, source, flags, target, out))
    record = json.dumps({"object": target.name, "read": {str(path): _file_hash(path) for path in read}})
    _produce(manifest, lambda out: out.write_text(record))
    return target


def _compile_one(compiler: _Compiler, source: Path, flags: Sequence[str], target: Path, out: Path) -> None:
    """One object; its call graph, if the flags ask for one, goes beside the target first."""
    _run([*compiler.command, *flags, "-c", str(source), "-o", str(out)])
    if _CALL_GRAPH in flags:
        out.with_suffix(".ci").replace(target.with_suffix(".ci"))


def _read_manifest(manifest: Path) -> Path | None:
    """The object it names, if that is still there and every file read for it still has the same content."""
    try:
        record = json.loads(manifest.read_text())
        fresh = all(_file_hash(Path(path)) == digest for path, digest in record["read"].items())
    except FileNotFoundError:
        return None
    target = _cache() / "object" / record["object"]
    return target if fresh and target.exists() else None


def _link(
    compiler: _Compiler,
    objects: Sequence[Path],
    flags: Sequence[str],
    *,
    suffix: str,
    script: Path | None = None,
) -> Path:
    layout = [] if script is None else [f"-T{script}"]
    inputs = [path.stem for path in objects] + ([] if script is None else [_content_hash(script)])
    target = _entry("linked", [*compiler.identity, *_code_flags(flags), *inputs], suffix)
    if not target.exists():
        command = [*compiler.command, *flags, *layout, *map(str, objects), "-lm"]
        try:
            _produce(target, lambda out: _run([*command, "-o", str(out)]))
        except RuntimeError as error:
            _refuse_too_large(str(error))
            raise
    return target


def _refuse_too_large(output: str) -> None:
    found = re.search(r"region `(\w+)' overflowed by (\d+) bytes", output)
    if found:
        message = f"the image exceeds the {found[1]} memory of the emulated board by {int(found[2]):,} bytes"
        raise UserError(message, hint="The host has no such limit: --on host.")
    if "RAM is full" in output:
        message = "the image leaves no room for the stack in the RAM of the emulated board"
        raise UserError(message, hint="The host has no such limit: --on host.")


def _code_flags(flags: Sequence[str]) -> list[str]:
    """The flags that change generated code: what only steers the preprocessor shows in its text."""
    kept: list[str] = []
    rest = iter(flags)
    for flag in rest:
        if flag in ("-I", "-D", "-U", "-include", "-imacros", "-isystem", "-iquote"):
            next(rest, None)
        elif not flag.startswith(("-I", "-D", "-U")):
            kept.append(flag)
    return kept


# --- cache --------------------------------------------------------------------------------------


def _cache() -> Path:
    own = os.environ.get("MCUGEN_CACHE")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mcugen"


def _entry(kind: str, key: Iterable[str], suffix: str) -> Path:
    digest = hashlib.sha256("\0".join(key).encode()).hexdigest()[:40]
    return _cache() / kind / (digest + suffix)


def _produce(target: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make a file beside `target`, then move it there in one step."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, suffix=".part")
    os.close(handle)
    part = Path(name)
    try:
        write(part)
        part.chmod(0o644)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _content_hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _file_hash(path: Path) -> str:
    stat = path.stat()
    return _hash_once(str(path), stat.st_mtime_ns, stat.st_size)


@cache
def _hash_once(path: str, mtime_ns: int, size_bytes: int) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
