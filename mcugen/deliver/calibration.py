"""Sample data for a float model: read from .npz, .npy or images, checked before anything is delegated.

ONNX Runtime's quantizers accept data that cannot calibrate (NaN, zeros, nothing at all) and write a useless
model; every such case is an error here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader

from ..errors import UserError
from ..prove.feeds import Input, fit, read_archive

IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".webp")
LAYOUTS = ("auto", "nchw", "nhwc")


@dataclass(frozen=True)
class Images:
    """How pixels become reals: (pixel * top / 255 - mean) / std, per channel.

    layout  of the model's input; auto: the axis that has 1 or 3 channels
    top     the real of a pixel of 255, before mean and std: 1, or 255 for models that take raw pixels
    """

    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    layout: str = "auto"
    top: float = 1.0


@dataclass(frozen=True)
class Data:
    """Samples by input name, along the first axis; the next axes are the input's own shape."""

    feeds: Mapping[str, np.ndarray]
    count: int
    source: str

    def sample(self, index: int) -> dict[str, np.ndarray]:
        return {name: np.asarray(array[index]) for name, array in self.feeds.items()}  # ORT takes no NumPy scalars

    def first(self, count: int) -> Data:
        kept = min(count, self.count)
        return Data({name: array[:kept] for name, array in self.feeds.items()}, kept, self.source)

    @property
    def sha256(self) -> str:
        digest = hashlib.sha256()
        for name in sorted(self.feeds):
            digest.update(f"{name}{self.feeds[name].shape}{self.feeds[name].dtype}".encode())
            digest.update(np.ascontiguousarray(self.feeds[name]).data)
        return digest.hexdigest()


class Reader(CalibrationDataReader):  # type: ignore[misc]
    """Data as ONNX Runtime's quantizers read it, one sample at a time."""

    def __init__(self, data: Data, advance: Callable[[], None] = lambda: None) -> None:
        self._data = data
        self._advance = advance
        self._next = 0

    def get_next(self) -> dict[str, np.ndarray] | None:
        if self._next == self._data.count:
            return None
        self._next += 1
        self._advance()
        return self._data.sample(self._next - 1)


def inputs_of(model: onnx.ModelProto) -> tuple[Input, ...]:
    """The inputs of a model whose shapes are fixed; initializers listed as inputs are none."""
    constants = {i.name for i in model.graph.initializer}
    return tuple(
        Input(
            value.name,
            onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type),
            tuple(d.dim_value for d in value.type.tensor_type.shape.dim),
        )
        for value in model.graph.input
        if value.name not in constants
    )


def load_data(path: Path, inputs: Sequence[Input], images: Images | None = None, limit: int | None = None) -> Data:
    """Samples for these inputs.

    .npz           one array per input, by its name, first axis = samples
    folder, .npy   one sample per file, in the order of the names; one subfolder per input if there are several
    folder, images one sample per file, for a model with one input of 1 or 3 channels
    """
    if path.is_dir():
        arrays = {i.name: _folder(_subfolder(path, i, inputs), i, images or Images(), limit) for i in inputs}
    else:
        arrays = read_archive(path)
    feeds, count = fit(arrays, inputs, path)
    data = Data(feeds, count, path.name)
    return data if limit is None else data.first(limit)


def check_images(images: Images, paths: Sequence[Path | None]) -> None:
    """Refuse a normalization that no data would pass: arrays are taken as they are."""
    if images != Images() and not any(path is not None and path.is_dir() for path in paths):
        raise UserError(
            "mean, std, pixels and layout are of folders of images, and none is given",
            hint="Leave them out; arrays must be normalized already.",
        )


def check_values(data: Data) -> None:
    """Refuse what no range can be learned from."""
    for name, array in data.feeds.items():
        where = f"{data.source}, array {name!r}"
        if np.issubdtype(array.dtype, np.floating):
            finite = np.isfinite(array).reshape(data.count, -1).all(axis=1)
            if not finite.all():
                raise UserError(
                    f"sample {int(np.argmin(finite))} holds NaN or infinity", origin=where, hint="Remove it."
                )
        if not array.any():
            raise UserError("every value is zero", origin=where, hint="Calibrate with real inputs.")


def load_labels(path: Path, count: int) -> np.ndarray:
    """Class numbers of `count` samples: the only array of the .npz, or the one named `labels`."""
    arrays = read_archive(path)
    if len(arrays) != 1 and "labels" not in arrays:
        raise UserError(
            f"it holds {len(arrays)} arrays: {', '.join(sorted(arrays))}",
            origin=str(path),
            hint="Save one array of class numbers, or name it 'labels'.",
        )
    labels = arrays["labels"] if "labels" in arrays else next(iter(arrays.values()))
    if not np.issubdtype(labels.dtype, np.integer) or labels.ndim != 1:
        raise UserError(
            f"labels are {labels.dtype} of shape {list(labels.shape)}",
            origin=str(path),
            hint="Save class numbers: integers, one for each sample.",
        )
    if len(labels) < count:
        raise UserError(f"{len(labels)} labels for {count} samples", origin=str(path))
    return labels[:count]


def _subfolder(path: Path, item: Input, inputs: Sequence[Input]) -> Path:
    if len(inputs) == 1:
        return path
    folder = path / item.name
    if not folder.is_dir():
        raise UserError(
            f"no subfolder for the model input {item.name!r}",
            origin=str(path),
            hint="A model with several inputs takes one subfolder per input, or an .npz.",
        )
    return folder


def _folder(folder: Path, item: Input, images: Images, limit: int | None) -> np.ndarray:
    files = sorted(f for f in folder.iterdir() if f.is_file() and f.suffix.lower() in (".npy", *IMAGES))
    kinds = {f.suffix.lower() == ".npy" for f in files}
    if not files:
        raise UserError(
            "the folder holds no sample", origin=str(folder), hint=f"Put .npy or images ({' '.join(IMAGES)}) there."
        )
    if len(kinds) > 1:
        raise UserError("the folder mixes .npy and images", origin=str(folder), hint="Keep one kind in it.")
    files = files[:limit]
    rows = [_npy(f, item) for f in files] if kinds == {True} else _pictures(files, item, images)
    return np.stack(rows)


def _npy(file: Path, item: Input) -> np.ndarray:
    try:
        array: np.ndarray = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        raise UserError("not a readable .npy file", origin=str(file)) from None
    if array.shape not in (item.shape, item.shape[1:]):
        raise UserError(f"the sample has shape {list(array.shape)}, the input {list(item.shape)}", origin=str(file))
    return array.reshape(item.shape)


def _pictures(files: Sequence[Path], item: Input, images: Images) -> list[np.ndarray]:
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise UserError(
            "reading images needs Pillow, which is not installed",
            hint="pip install mcugen[images], or save the samples as .npy.",
        ) from None
    if item.dtype.kind != "f":
        raise UserError(
            f"the input is {item.dtype}, images become real numbers", origin=item.name, hint="Save its codes as .npy."
        )
    channels_first, (height, width, channels) = _layout(item, images.layout)
    for name, values in (("mean", images.mean), ("std", images.std)):
        if len(values) not in (1, channels):
            raise UserError(f"--{name} has {len(values)} values for {channels} channels", hint="Give one, or one each.")
    if min(images.std) <= 0:
        raise UserError("--std must be greater than zero")
    rows = []
    for file in files:
        try:
            with Image.open(file) as picture:
                fitted = picture.convert("L" if channels == 1 else "RGB").resize(
                    (width, height), Image.Resampling.BILINEAR
                )
        except (OSError, UnidentifiedImageError):
            raise UserError("not a readable image", origin=str(file)) from None
        pixels = np.asarray(fitted, np.float32).reshape(height, width, channels)
        real = (pixels * (images.top / 255) - np.asarray(images.mean)) / np.asarray(images.std)
        row = real.transpose(2, 0, 1) if channels_first else real
        rows.append(row.reshape(item.shape).astype(item.dtype))
    return rows


def _layout(item: Input, layout: str) -> tuple[bool, tuple[int, int, int]]:
    """(channels first?, (height, width, channels)) of an image input."""
    refusal = UserError(
        f"the input's shape {list(item.shape)} is not that of one image ({layout})",
        origin=item.name,
        hint="Images need [1, 3, H, W] or [1, H, W, 3] (1 for grey); name it with --layout.",
    )
    if len(item.shape) != 4 or item.shape[0] != 1:
        raise refusal
    _, a, b, c = item.shape
    first, last = a in (1, 3) and layout != "nhwc", c in (1, 3) and layout != "nchw"
    if first == last:
        raise refusal
    return first, ((b, c, a) if first else (a, b, c))
