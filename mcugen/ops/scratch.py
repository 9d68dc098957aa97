"""Scratch bytes of the CMSIS-NN calls, per instruction set: the one place the plan asks.

The numbers are those of Arm's *_get_buffer_size functions (a test compares them), so that a plan fits whichever
library is linked; the bundled kernels need none. A plan for DSP or MVE also holds what plain C wants, so the same
project runs on the host.
"""

from __future__ import annotations

from collections.abc import Sequence

_INT16 = 2


def _plain_convolve(kernel_elements: int) -> int:
    """Two im2col columns of int16, padded to four elements."""
    return 2 * (-(-kernel_elements // 4) * 4) * _INT16


def _mve_convolve(kernel_elements: int) -> int:
    """Four im2col columns of int8, padded to a vector of 16."""
    return 4 * (-(-kernel_elements // 16) * 16)


def convolve(
    isa: str,
    *,
    kernel: Sequence[int],
    kernel_channels: int,
    input_channels: int,
    padding: Sequence[int],
    dilation: Sequence[int],
) -> int:
    """arm_convolve_wrapper_s8. kernel, padding, dilation are (h, w)."""
    pointwise = tuple(kernel) == (1, 1) and not any(padding) and tuple(dilation) == (1, 1)
    if pointwise and kernel_channels == input_channels:
        return 0
    elements = kernel[0] * kernel[1] * input_channels
    plain = _plain_convolve(elements)
    return max(plain, _mve_convolve(elements)) if isa == "mve" else plain


_MVE_DEPTHWISE_BLOCK = 124  # channels that Arm's MVE depthwise handles at once
_MVE_TO_CONV_ABOVE = 8  # outputs of a one-channel depthwise from which Arm's MVE wrapper runs a conv instead


def depthwise(
    isa: str,
    *,
    kernel: Sequence[int],
    input_channels: int,
    output_channels: int,
    padding: Sequence[int],
    dilation: Sequence[int],
) -> int:
    """arm_depthwise_conv_wrapper_s8."""
    taps = kernel[0] * kernel[1]
    if isa == "mve" and input_channels == 1 and output_channels > _MVE_TO_CONV_ABOVE:
        return max(_mve_convolve(taps), _plain_convolve(taps)) + taps * output_channels
    if input_channels != output_channels or tuple(dilation) != (1, 1):
        return 0
    if isa == "mve":
        return 4 * _MVE_DEPTHWISE_BLOCK * taps
    if tuple(kernel) == (3, 3) and max(padding) <= 1:
        return 0
    return input_channels * taps * _INT16 if isa == "dsp" else 0
