"""What every command shares: where it prints, how it fails, how it shows progress, and how shapes are written.

Results go to stdout, messages and progress to stderr.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, NoReturn

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from ..errors import CheckFailed, UserError
from ..prove.emulator import EmulatorError
from ..prove.progress import Advance

# Columns of a table on stdout; None: the terminal's. In a pipe or a file nothing is cut or wrapped.
WIDTH = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 1000

# No markup: names from models and files may hold what looks like it.
out = Console(highlight=False, soft_wrap=True, markup=False, width=WIDTH)
err = Console(stderr=True, highlight=False, markup=False)


def fail(message: str, code: int) -> NoReturn:
    err.print(message, markup=False, soft_wrap=True)
    sys.exit(code)


def guarded(command: Callable[..., None]) -> Callable[..., None]:
    """What the user can mend -> exit 2, a check that does not hold -> exit 1: one message, no traceback."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except UserError as error:
            fail(f"error: {error}", 2)
        except (CheckFailed, EmulatorError) as error:
            fail(f"check failed: {error}", 1)
        except OSError as error:
            if isinstance(error, BrokenPipeError) or error.strerror is None:
                raise
            where = "" if error.filename is None else f"{error.filename}: "
            fail(f"error: {where}{error.strerror}.", 2)
        except MemoryError as error:
            fail(f"error: not enough memory on this machine. {error}".rstrip(), 2)
        except KeyboardInterrupt:
            fail("interrupted", 130)

    return run


@contextmanager
def progress(label: str, total: int) -> Iterator[Advance]:
    """A bar on stderr; a spinner where the amount is not known."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Bars(*columns, console=err, transient=True, disable=not err.is_terminal) as bars:
        task = bars.add_task(label, total=total or None)
        yield lambda: bars.advance(task)


def parse_shape(text: str) -> tuple[str, tuple[int, ...]]:
    """(name, dimensions) of NAME=1,3,224,224; UserError for anything else."""
    name, separator, dims = text.rpartition("=")
    try:
        sizes = tuple(int(d) for d in dims.split(","))
    except ValueError:
        sizes = ()
    if not separator or not name or not sizes or not all(1 <= size < 2**31 for size in sizes):
        raise UserError(f"{text!r} is not a shape", hint="Write --shape name=1,3,224,224.")
    return name, sizes
