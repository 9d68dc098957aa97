"""Train, prune, train for 8 bits, export: from PyTorch to the float ONNX models the story starts from.

    python -m venv .venv-torch && .venv-torch/bin/pip install -r examples/driver_monitoring/requirements.txt
    .venv-torch/bin/python examples/driver_monitoring/make_models.py

Writes beside this file: face.onnx, gaze.onnx, fatigue_dense.onnx, fatigue.onnx (pruned), fatigue_qat.onnx, and for each
net calibration images (NET_train.npz) and held-out ones with labels (NET_test.npz). All of it is part of the example,
so nobody needs this script to run it. Seeds are fixed and training uses one thread; another CPU or release of PyTorch
may still round differently and give other weights.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import cabin
import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn
from torch.nn.utils import fusion, parametrize

HERE = Path(__file__).resolve().parent
TRAINING, HELD_OUT = 4000, 2000  # drawn images
KEPT = {"face": (24, 48), "gaze": (24, 64), "fatigue": (24, 96)}  # of them in the repository: calibration, held-out
PRUNED = 0.3
BATCH = 64
OPSET = 18

Drawn = Callable[[int, int], tuple[cabin.Images, cabin.Labels]]


def stage(inputs: int, outputs: int) -> list[nn.Module]:
    """Half the height and width."""
    conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    return [conv, nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2)]


def fatigue_net() -> nn.Sequential:
    """[N, 1, 48, 48] pixels 0..255 -> [N, 3]: three stages, two linear layers."""
    head = [nn.Flatten(), nn.Linear(16 * 6 * 6, 24), nn.ReLU(), nn.Linear(24, len(cabin.FATIGUE))]
    return nn.Sequential(*stage(1, 8), *stage(8, 12), *stage(12, 16), *head)


def gaze_net() -> nn.Sequential:
    """[N, 1, 32, 32] pixels -> [N, 4]."""
    return nn.Sequential(*stage(1, 8), *stage(8, 12), nn.Flatten(), nn.Linear(12 * 8 * 8, len(cabin.GAZE)))


def face_net() -> nn.Sequential:
    """[N, 1, 48, 48] pixels -> [N, 36]: one score for each cell of 8 x 8 pixels. Convolutions only."""
    return nn.Sequential(*stage(1, 8), *stage(8, 16), *stage(16, 24), nn.Conv2d(24, 1, 1), nn.Flatten())


def train(net: nn.Module, draw: Drawn, epochs: int, rate: float) -> None:
    """Adam with one learning-rate cycle; leaves the net in evaluation mode."""
    torch.manual_seed(0)
    images, labels = (torch.from_numpy(array) for array in draw(TRAINING, 1))
    optimizer = torch.optim.Adam(net.parameters(), weight_decay=1e-5)
    steps = epochs * -(-TRAINING // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=rate, total_steps=steps)
    net.train()
    for _ in range(epochs):
        for batch in torch.randperm(TRAINING).split(BATCH):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(images[batch].float()), labels[batch], label_smoothing=0.05).backward()
            optimizer.step()
            schedule.step()
    net.eval()


def prune(net: nn.Sequential, share: float) -> nn.Sequential:
    """A copy without `share` of the channels of each hidden layer: those with the smallest weights.

    The channels are gone, not zero: every layer is smaller, and so is what the next one reads.
    """
    net = copy.deepcopy(net)
    kept, importance = torch.arange(1), torch.ones(1)  # of the input: all
    layers = [layer for layer in net if isinstance(layer, nn.Conv2d | nn.BatchNorm2d | nn.Linear)]
    last = layers[-1]
    for index, layer in enumerate(layers):
        if isinstance(layer, nn.BatchNorm2d):
            for name in ("weight", "bias", "running_mean", "running_var"):
                getattr(layer, name).data = getattr(layer, name).data[kept]
            layer.num_features = len(kept)
            continue
        weight = layer.weight.data
        if isinstance(layer, nn.Linear) and isinstance(layers[index - 1], nn.BatchNorm2d):
            area = weight.shape[1] // len(importance)  # what Flatten made of one channel
            kept = (kept[:, None] * area + torch.arange(area)).flatten()
        weight = weight[:, kept]
        importance = weight.abs().flatten(1).mean(1)
        if index + 1 < len(layers) and isinstance(layers[index + 1], nn.BatchNorm2d):
            importance = importance * layers[index + 1].weight.data.abs() / layers[index + 1].running_var.sqrt()
        count = len(weight) if layer is last else round(len(weight) * (1 - share))
        kept = importance.topk(count).indices.sort().values
        layer.weight.data = weight[kept]
        if layer.bias is not None:
            layer.bias.data = layer.bias.data[kept]
    return net


class RoundedWeight(nn.Module):
    """int8 with one scale per output channel, as the quantizer will round it; the gradient passes through."""

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        scale = weight.detach().abs().flatten(1).amax(1) / 127
        zero = torch.zeros(len(scale), dtype=torch.int32)
        return torch.fake_quantize_per_channel_affine(weight, scale, zero, 0, -127, 127)


class RoundedActivation(nn.Module):
    """int8 over the range seen so far, with 0 in it."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("low", torch.zeros(()))
        self.register_buffer("high", torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.low, self.high = torch.minimum(self.low, x.detach().min()), torch.maximum(self.high, x.detach().max())
        scale = (self.high - self.low) / 255
        return torch.fake_quantize_per_tensor_affine(x, scale, (-128 - self.low / scale).round().int(), -128, 127)


def quantization_aware(net: nn.Sequential, draw: Drawn, epochs: int, rate: float) -> nn.Sequential:
    """A copy, BatchNorm folded, trained while weights and activations are rounded to 8 bits.

    The result is a float net whose weights lie on the int8 grid: quantizing it changes none of them.
    """
    layers: list[nn.Module] = []
    for layer in copy.deepcopy(net):
        if isinstance(layer, nn.BatchNorm2d):
            layers[-1] = fusion.fuse_conv_bn_eval(layers[-1], layer)
        else:
            layers.append(layer)
    weighted = [layer for layer in layers if isinstance(layer, nn.Conv2d | nn.Linear)]
    for layer in weighted:
        parametrize.register_parametrization(layer, "weight", RoundedWeight())
    rounded = [RoundedActivation()]
    for layer in layers:
        rounded.append(layer)
        if isinstance(layer, nn.ReLU) or layer is layers[-1]:
            rounded.append(RoundedActivation())
    train(nn.Sequential(*rounded), draw, epochs, rate)
    for layer in weighted:
        parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
    return nn.Sequential(*layers).eval()


def export(net: nn.Module, name: str, size: int) -> Path:
    """ONNX with an open batch; without the exporter's notes, which name files of this machine."""
    path = HERE / f"{name}.onnx"
    program = torch.onnx.export(
        net,
        (torch.zeros(2, 1, size, size),),
        input_names=["image"],
        output_names=["scores"],
        opset_version=OPSET,
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        verbose=False,
    )
    model = program.model_proto
    graph = model.graph
    for item in (model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output, *graph.value_info):
        item.ClearField("metadata_props")
        item.ClearField("doc_string")
    graph.name = name
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    return path


def report(path: Path, draw: Drawn) -> None:
    images, labels = draw(HELD_OUT, 2)
    session = onnxruntime.InferenceSession(path)
    scores = session.run(None, {"image": images.astype(np.float32)})[0]
    right = 100 * float((scores.argmax(1) == labels).mean())
    weights = sum(int(np.prod(tensor.dims)) for tensor in onnx.load(path).graph.initializer)
    size = path.stat().st_size
    print(f"{path.name:20} {size:7,} bytes {weights:7,} weights, {right:.2f} % of {HELD_OUT} right", flush=True)


def samples(name: str, draw: Drawn) -> None:
    """Pixels as bytes: the models take them as they are."""
    calibration, held_out = KEPT[name]
    np.savez_compressed(HERE / f"{name}_train.npz", image=draw(calibration, 1)[0])
    images, labels = draw(held_out, 2)
    np.savez_compressed(HERE / f"{name}_test.npz", image=images, labels=labels)


def main() -> None:
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(0)
    nets = {}
    for name, make, epochs in (("face", face_net, 4), ("gaze", gaze_net, 6), ("fatigue_dense", fatigue_net, 8)):
        net, draw = make(), getattr(cabin, name.removesuffix("_dense"))
        train(net, draw, epochs, 0.01)
        nets[name] = net
    pruned = prune(nets["fatigue_dense"], PRUNED)
    train(pruned, cabin.fatigue, 5, 0.005)
    nets["fatigue"] = pruned
    nets["fatigue_qat"] = quantization_aware(pruned, cabin.fatigue, 2, 0.0005)
    for name, net in nets.items():
        draw = getattr(cabin, name.split("_")[0])
        report(export(net, name, draw(1, 0)[0].shape[-1]), draw)
    for name in KEPT:
        samples(name, getattr(cabin, name))


if __name__ == "__main__":
    main()
