"""The one error a user can cause. Anything else that escapes is a bug and shows its traceback."""

from __future__ import annotations


class UserError(Exception):
    """The model or an option cannot be compiled; the CLI prints it and exits with 2.

    message  what is wrong, with the limit that was met and the value found
    hint     the next step the user can take
    origin   the ONNX node (or file) it is about, as the user knows it
    """

    def __init__(self, message: str, *, hint: str = "", origin: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.origin = origin

    def __str__(self) -> str:
        head = f"{self.origin}: {self.message}" if self.origin else self.message
        return f"{head.rstrip('.')}. {self.hint}".rstrip()


class CheckFailed(Exception):
    """A check the user asked for did not hold (mismatch, budget): the CLI prints it and exits with 1."""
