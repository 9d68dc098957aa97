"""Compiling from Python: the cache, flags of single files, refusals, sizes."""

from __future__ import annotations

import ctypes
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from board_programs import PROGRAMS

from mcugen.errors import UserError
from mcugen.prove import toolchain
from mcugen.prove.toolchain import Source, compile_shared, link_image
from mcugen.target import Core
from mcugen.target import core as core_named

needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")

CallsSince = Callable[[], list[str]]


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    cache = tmp_path / "cache"
    monkeypatch.setenv("MCUGEN_CACHE", str(cache))
    return cache


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CallsSince:
    """A gcc that notes what it is asked for: the answer is the kind of each call since the last answer."""
    log = tmp_path / "calls.txt"
    wrapper = tmp_path / "noting-gcc"
    wrapper.write_text(
        '#!/bin/sh\nkind=link\nfor flag in "$@"; do case $flag in -E) kind=preprocess;; -c) kind=compile;; '
        f"--version) kind=version;; esac; done\necho $kind >> '{log}'\nexec gcc \"$@\"\n"
    )
    wrapper.chmod(0o755)
    monkeypatch.setenv("CC", str(wrapper))

    def since() -> list[str]:
        kinds = [kind for kind in log.read_text().split() if kind != "version"]
        log.write_text("")
        return kinds

    return since


def _project(folder: Path, answer: int) -> Path:
    folder.mkdir()
    (folder / "answer.h").write_text(f"#define ANSWER {answer}\n")
    source = folder / "answer.c"
    source.write_text('#include "answer.h"\nint answer(void) { return ANSWER + PLUS; }\n')
    return source


def _answer(source: Path) -> int:
    library = compile_shared([source], includes=[source.parent], defines=["PLUS=1"])
    return int(ctypes.CDLL(str(library)).answer())


@needs_gcc
def test_cache_answers_without_compiling(tmp_path: Path, empty_cache: Path, calls: CallsSince) -> None:
    source = _project(tmp_path / "one", 41)
    assert _answer(source) == 42
    assert calls() == ["preprocess", "compile", "link"]

    assert _answer(source) == 42
    assert calls() == []

    elsewhere = _project(tmp_path / "two", 41)
    assert _answer(elsewhere) == 42
    assert calls() == ["preprocess"]

    (source.parent / "answer.h").write_text("#define ANSWER 7\n")
    assert _answer(source) == 8
    assert calls() == ["preprocess", "compile", "link"]

    shutil.rmtree(empty_cache / "object")
    assert _answer(elsewhere) == 42
    assert calls() == ["preprocess", "compile"]
    assert not list(empty_cache.rglob("*.part"))


@needs_gcc
def test_code_flags_are_part_of_the_key(tmp_path: Path, empty_cache: Path, calls: CallsSince) -> None:
    source = tmp_path / "plain.c"
    source.write_text("int plain(int x) { return 3 * x; }\n")
    libraries = {compile_shared([source], extra_flags=flags) for flags in [(), ("-O1",), ("-O3",), ("-DUNUSED",)]}
    assert len(libraries) == 3
    assert calls().count("compile") == 3


@needs_gcc
def test_concurrent_compilations_do_not_collide(tmp_path: Path, empty_cache: Path) -> None:
    source = _project(tmp_path / "one", 41)
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(_answer, [source] * 8)) == {42}


@needs_gcc
def test_flags_of_one_file(tmp_path: Path, empty_cache: Path) -> None:
    override = tmp_path / "override.h"
    override.write_text("#define VALUE 5\n")
    first, second = tmp_path / "first.c", tmp_path / "second.c"
    first.write_text("int first(void) { return VALUE; }\n")
    second.write_text("#ifdef VALUE\n#error leaked\n#endif\nint second(void) { return 6; }\n")
    library = ctypes.CDLL(str(compile_shared([Source(first, ("-include", str(override))), second])))
    assert (library.first(), library.second()) == (5, 6)


@needs_gcc
def test_refused_code_shows_the_compilers_words(tmp_path: Path, empty_cache: Path) -> None:
    source = tmp_path / "wrong.c"
    source.write_text("int wrong(void) { return missing; }\n")
    with pytest.raises(RuntimeError, match=r"wrong\.c:1:.*missing"):
        compile_shared([source])


def test_missing_host_compiler_names_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(UserError, match=r"'no-such-compiler' is not installed\. apt-get install gcc"):
        compile_shared([PROGRAMS / "hello.c"])


def test_missing_arm_tools_name_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    core = core_named("cortex-m4")
    assert toolchain.available(core) == "C compiler 'arm-none-eabi-gcc' is not installed."
    with pytest.raises(UserError, match="apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi"):
        link_image(core, [PROGRAMS / "hello.c"])


def test_sizes_by_kind(core: Core) -> None:
    elf = link_image(core, [PROGRAMS / "memory.c"])
    sizes, symbols = toolchain.sizes(elf), toolchain.symbol_sizes(elf)
    assert symbols["arena"] == 1024 * 1024
    assert symbols["weights"] == 400 * 1024
    assert symbols["main"] + symbols["start"] < sizes.code_bytes < 4096
    assert 0 <= sizes.const_bytes - symbols["weights"] < 1024
    assert sizes.data_bytes == symbols["initialised"]
    assert 0 <= sizes.bss_bytes - symbols["arena"] < 64
    assert sizes.flash_bytes == sizes.code_bytes + sizes.const_bytes + sizes.data_bytes
    assert sizes.ram_bytes == sizes.data_bytes + sizes.bss_bytes


@pytest.mark.parametrize(
    ("size_bytes", "section", "message"),
    [
        (5 << 20, ".bss", "exceeds the RAM memory of the emulated board by"),
        ((4 << 20) - 0x4000, ".bss", "leaves no room for the stack"),
        (5 << 20, ".mcugen_weights", "exceeds the CODE memory of the emulated board by"),
    ],
)
def test_image_too_large_for_the_board(core: Core, tmp_path: Path, size_bytes: int, section: str, message: str) -> None:
    source = tmp_path / "large.c"
    const = "" if section == ".bss" else f'__attribute__((section("{section}"))) const '
    source.write_text(
        f"{const}char large[{size_bytes}]{' = {1}' if const else ''};\n"
        f"int main(void) {{ return ((volatile const char *)large)[1]; }}\n"
    )
    with pytest.raises(UserError, match=message):
        link_image(core, [source])
