"""The boundary as something to build: on every core, against Arm's headers, its file lists, its CMake."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from cmsis_library import WARNINGS, cmsis_nn_root, declarations

from mcugen import resources
from mcugen.emit.cmsis_sources import BUNDLED, BUNDLED_HEADERS, arm_sources
from mcugen.errors import UserError

CORES = {
    "cortex-m0": ["-mfloat-abi=soft"],
    "cortex-m4": ["-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"],
    "cortex-m33": ["-mfpu=fpv5-sp-d16", "-mfloat-abi=hard"],
    "cortex-m55": ["-mfloat-abi=hard"],
}
STOCK_ALWAYS = {"arm_elementwise_add_s8"}  # what it requantizes on the way needs more than 8 bits
SOURCES = sorted((resources.cmsis() / "Source").glob("*.c"))
INCLUDES = [f"-I{resources.cmsis() / folder}" for folder in ("Include", "exact")]

needs_arm_gcc = pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="no arm-none-eabi-gcc")
needs_cmake = pytest.mark.skipif(shutil.which("cmake") is None, reason="no cmake")
needs_arm_library = pytest.mark.skipif(cmsis_nn_root() is None, reason="CMSIS_NN_ROOT is not set")


@needs_arm_gcc
@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("requant", ["MCUGEN_REQUANT_FPU=0", "MCUGEN_REQUANT_STOCK=1", ""])
def test_bundled_kernels_compile_without_warnings(core: str, requant: str, tmp_path: Path) -> None:
    macros = [f"-D{requant}"] if requant else []
    target = ["-mthumb", f"-mcpu={core}", *CORES[core]]
    command = ["arm-none-eabi-gcc", *target, *WARNINGS, "-O2", *macros, *INCLUDES, "-c", *map(str, SOURCES)]
    subprocess.run(command, cwd=tmp_path, check=True)


@pytest.mark.parametrize("header", ["arm_nnfunctions.h", "mcugen_requant.h"])
def test_headers_are_usable_from_cpp(header: str, tmp_path: Path) -> None:
    source = tmp_path / "use.cpp"
    source.write_text(f'#include "{header}"\n')
    subprocess.run(["g++", "-Wall", "-Wextra", "-Werror", *INCLUDES, "-fsyntax-only", str(source)], check=True)


def defined_functions(binary: Path) -> set[str]:
    symbols = subprocess.run(["nm", "-g", str(binary)], check=True, capture_output=True, text=True).stdout
    return set(re.findall(r" T (\w+)", symbols))


def test_bundled_table_is_what_the_sources_define(tmp_path: Path) -> None:
    defined = {}
    for source in SOURCES:
        target = tmp_path / f"{source.stem}.o"
        subprocess.run(["gcc", *INCLUDES, "-c", str(source), "-o", str(target)], check=True)
        defined |= dict.fromkeys(defined_functions(target), source.name)
    assert defined == BUNDLED


def test_bundled_headers_are_all_a_copy_needs(tmp_path: Path) -> None:
    for name in BUNDLED_HEADERS:
        shutil.copy(resources.cmsis() / name, tmp_path)
    for source in SOURCES:
        shutil.copy(source, tmp_path)
    subprocess.run(["gcc", "-fsyntax-only", *(source.name for source in SOURCES)], cwd=tmp_path, check=True)


@needs_arm_library
def test_declarations_agree_with_arms(tmp_path: Path) -> None:
    """Arm's header, then our prototypes again: a different type is an error. Members by size and place."""
    root = cmsis_nn_root()
    text = declarations()
    structs = dict((name, body) for body, name in re.findall(r"typedef struct\s*\{(.*?)\}\s*(\w+);", text, re.DOTALL))
    renamed = re.sub(r"\b(cmsis_nn_\w+|arm_cmsis_nn_status|ARM_CMSIS_NN_\w+)\b", r"our_\1", text)
    types = renamed[: renamed.rindex("} our_cmsis_nn_transpose_params;")] + "} our_cmsis_nn_transpose_params;\n"
    checks = []
    for name, body in structs.items():
        checks.append(f'_Static_assert(sizeof({name}) == sizeof(our_{name}), "{name}");')
        for member in re.findall(r"(\w+);", body):
            places = f"offsetof({name}, {member}) == offsetof(our_{name}, {member})"
            checks.append(f'_Static_assert({places}, "{name}.{member}");')
    for name in re.findall(r"\b(ARM_CMSIS_NN_\w+) =", text):
        checks.append(f'_Static_assert((int){name} == (int)our_{name}, "{name}");')
    prototypes = text[text.index("arm_cmsis_nn_status arm_convolve_wrapper_s8(") :]
    assert len(structs) > 10 and prototypes.count(";") == len(BUNDLED)
    source = tmp_path / "agree.c"
    headers = '#include <stddef.h>\n#include "arm_nnfunctions.h"\n'
    guard = "#ifdef MCUGEN_BUNDLED_CMSIS_NN\n#error not Arm's header\n#endif\n"
    source.write_text(headers + guard + types + "\n".join(checks) + prototypes)
    subprocess.run(["gcc", "-std=c11", f"-I{root}/Include", "-fsyntax-only", str(source)], check=True)


@needs_arm_library
def test_arm_sources_are_complete_and_exact_where_they_requantize(tmp_path: Path) -> None:
    root = cmsis_nn_root()
    assert root is not None
    sources = arm_sources(root)
    target = tmp_path / "all.so"
    link = ["gcc", "-O1", "-shared", "-fPIC", f"-I{root}/Include", "-Wl,--no-undefined", "-o", str(target)]
    subprocess.run([*link, *(str(source.path) for source in sources)], check=True)
    assert set(BUNDLED) <= defined_functions(target)
    for source in sources:
        if re.search(r"arm_nn_requantize|arm_requantize_mve", source.path.read_text()):
            assert source.exact_override or source.path.stem in STOCK_ALWAYS, source.path


@needs_arm_gcc
@needs_arm_library
def test_the_override_refuses_mve_without_float(tmp_path: Path) -> None:
    target = ["-mthumb", "-mcpu=cortex-m55+nofp+nomve.fp", "-mfloat-abi=softfp"]
    includes = [f"-I{cmsis_nn_root()}/Include", f"-I{resources.cmsis() / 'exact'}"]
    source = ["-include", "cmsis_nn_override.h", "-fsyntax-only", "-x", "c", "/dev/null"]
    result = subprocess.run(["arm-none-eabi-gcc", *target, *includes, *source], capture_output=True, text=True)
    assert result.returncode != 0 and "floating-point MVE" in result.stderr


def test_a_folder_that_is_no_checkout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a CMSIS-NN checkout"):
        arm_sources(tmp_path)


def test_an_unverified_revision_is_refused(tmp_path: Path) -> None:
    (tmp_path / "Include").mkdir()
    (tmp_path / "Include" / "arm_nnfunctions.h").write_text("/* $Revision:    V.99.1.0 */\n")
    with pytest.raises(UserError, match="revision 99 has not been verified"):
        arm_sources(tmp_path)


def configure(folder: Path, *options: str) -> list[dict[str, str]]:
    """Configures a project that uses the target; its compile commands."""
    (folder / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.18)\nproject(use C)\n"
        f"add_subdirectory({resources.cmsis()} cmsis)\n"
        "add_executable(use main.c)\ntarget_link_libraries(use PRIVATE cmsis-nn)\n"
    )
    (folder / "main.c").write_text("int main(void) { return 0; }\n")
    build = folder / "build"
    command = ["cmake", "-S", str(folder), "-B", str(build), "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON", *options]
    subprocess.run(command, check=True, capture_output=True)
    commands: list[dict[str, str]] = json.loads((build / "compile_commands.json").read_text())
    return commands


@needs_cmake
def test_cmake_builds_the_bundled_kernels_by_default(tmp_path: Path) -> None:
    commands = {Path(entry["file"]).name: entry["command"] for entry in configure(tmp_path)}
    assert set(commands) == {*BUNDLED.values(), "main.c"}
    assert all("-ffp-contract=off" in command for name, command in commands.items() if name != "main.c")


@needs_cmake
@pytest.mark.parametrize(
    ("option", "macro"),
    [
        ("-DMCUGEN_REQUANT=stock", "-DMCUGEN_REQUANT_STOCK=1"),
        ("-DMCUGEN_REQUANT_FPU=1", "-DMCUGEN_REQUANT_FPU=1"),
    ],
)
def test_cmake_tells_users_of_the_target_the_requantization(option: str, macro: str, tmp_path: Path) -> None:
    assert all(macro in entry["command"] for entry in configure(tmp_path, option))


@needs_cmake
@needs_arm_library
@pytest.mark.parametrize("requant", ["exact", "stock"])
def test_cmake_gives_the_override_to_the_right_sources_of_arm(requant: str, tmp_path: Path) -> None:
    root = cmsis_nn_root()
    assert root is not None
    commands = configure(tmp_path, f"-DCMSIS_NN_ROOT={root}", f"-DMCUGEN_REQUANT={requant}")
    flag = "-include cmsis_nn_override.h"
    overridden = {Path(entry["file"]) for entry in commands if flag in entry["command"]}
    exact = {source.path for source in arm_sources(root) if source.exact_override}
    assert overridden == (exact if requant == "exact" else set())
    assert exact <= {Path(entry["file"]) for entry in commands}
