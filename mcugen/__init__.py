"""mcugen: quantized ONNX models as C firmware for Arm Cortex-M, equal to ONNX Runtime byte for byte.

The public API, in the order one uses it:

    from pathlib import Path
    import mcugen

    compiled = mcugen.compile(Path("model.onnx"), mcugen.Options(core="cortex-m4"))
    samples = mcugen.random_samples(compiled, count=1000, seed=0)       # or load_samples(compiled, Path("x.npz"), None)
    assert mcugen.verify(compiled, samples).bit_exact                   # on="cortex-m55" for an emulated core
    print(mcugen.profile(compiled, samples).instructions)
    mcugen.build(compiled, Path("out/model"), ram=64 * 1024, flash=None)

With operators of your own: `load_plugin(Path("plugin.py"))` first; see `mcugen.plugin`.
From a float model, and to other targets: `quantize` with QuantizeOptions, `export` with ExportOptions.

UserError: the model or an option cannot be compiled. CheckFailed: a budget is broken. For the code, start with
`mcugen.pipeline`.
"""

__version__ = "0.1.0"

from .deliver.bundle import Options as ExportOptions
from .deliver.export import export
from .deliver.quantize import quantize
from .deliver.quantize_options import Options as QuantizeOptions
from .errors import CheckFailed, UserError
from .pipeline import Options, compile
from .plugin import load_plugin
from .project import build
from .prove.profile import profile
from .prove.samples import load_samples, random_samples
from .prove.verify import verify

__all__ = [
    "CheckFailed",
    "ExportOptions",
    "Options",
    "QuantizeOptions",
    "UserError",
    "build",
    "compile",
    "export",
    "load_plugin",
    "load_samples",
    "profile",
    "quantize",
    "random_samples",
    "verify",
]
