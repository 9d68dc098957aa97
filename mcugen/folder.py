"""Where outputs go: folders complete or absent, never somebody else's; what is missing above them is made."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import UserError


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """An empty folder to fill, which becomes `folder` if the block ends well and vanishes if it does not.

    `folder` must be new, empty, or an earlier output of mcugen (its report.json says so), which is replaced; a link to
    one stays a link.
    """
    refuse_foreign(folder)
    folder = folder.resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        yield staging
        staging.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(staging, folder)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise


def refuse_unwritable(path: Path | None) -> None:
    """UserError if no file can be written there: known before the work, not behind it."""
    if path is None:
        return
    if path.is_dir():
        raise UserError("it is a folder, not a file", origin=str(path))
    above = next(folder for folder in path.absolute().parents if folder.exists())
    if not above.is_dir():
        raise UserError(f"{above} is a file, not a folder", origin=str(path))


def with_folder(path: Path) -> Path:
    """`path`, about to be written: its folder is there now."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def refuse_foreign(folder: Path) -> None:
    """UserError if `folder` holds anything that mcugen did not write."""
    if folder.is_dir() and any(folder.iterdir()) and not _is_ours(folder):
        raise UserError("the folder holds something else", origin=str(folder), hint="Choose another -o.")
    if folder.exists() and not folder.is_dir():
        raise UserError("it is a file, not a folder", origin=str(folder), hint="Choose another -o.")


def _is_ours(folder: Path) -> bool:
    try:
        return "mcugen" in json.loads((folder / "report.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
