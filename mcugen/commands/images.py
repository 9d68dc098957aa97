"""Flags that every command has which reads a folder of images: how pixels become a model's input."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

import click

from ..deliver.calibration import LAYOUTS, Images
from ..errors import UserError
from .console import guarded


def _numbers(text: str, option: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UserError(f"{text!r} is not a list of numbers", origin=option, hint="Write 0.485,0.456,0.406.") from None


def image_options(command: Callable[..., None]) -> Callable[..., None]:
    """How a folder of images becomes samples; the command gets `images`."""

    @guarded
    @wraps(command)
    def run(mean: str, std: str, pixels: str, layout: str, **others: object) -> None:
        command(images=Images(_numbers(mean, "--mean"), _numbers(std, "--std"), layout, float(pixels)), **others)

    for option in (
        click.option(
            "--layout", type=click.Choice(LAYOUTS), default="auto", show_default=True, help="Of an image input."
        ),
        click.option(
            "--pixels", type=click.Choice(["1", "255"]), default="1", show_default=True, help="What 255 becomes."
        ),
        click.option("--std", default="1", show_default=True, help="Of images, per channel or one."),
        click.option("--mean", default="0", show_default=True, help="Of images, per channel or one."),
    ):
        run = option(run)
    return run
