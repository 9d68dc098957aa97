"""The only file that knows where templates/, cmsis/ and firmware/ lie.

In a checkout (editable install) they are the top-level folders beside the package; a wheel carries
them inside it, as mcugen/_data/. Kernels may also lie in the folders of plugins.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def _root() -> Path:
    installed = _PACKAGE / "_data"
    return installed if installed.is_dir() else _PACKAGE.parent


def templates() -> Path:
    """Jinja2 templates, and kernels/: the C that CMSIS-NN lacks."""
    return _root() / "templates"


_plugins: list[Path] = []


def add_kernels(folder: Path) -> None:
    """Kernels are also found in `folder` from now on."""
    _plugins.append(folder)


def kernel_folders() -> tuple[Path, ...]:
    """Where kernels lie: our own first."""
    return (templates() / "kernels", *_plugins)


def kernel_file(name: str) -> Path | None:
    """A kernel's C file or header; None if there is none of this name."""
    return next((path for folder in kernel_folders() if (path := folder / name).is_file()), None)


def cmsis() -> Path:
    """The CMSIS-NN boundary: API headers, bundled kernels, exact requantization."""
    return _root() / "cmsis"


def firmware() -> Path:
    """Start-up code, linker scripts, boards and toolchain files."""
    return _root() / "firmware"
