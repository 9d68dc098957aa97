"""Remakes the small nets of the common families in tests/models/families, as PyTorch's two exporters write them.

    pip install torch==2.13.0 onnx onnxscript && python tests/models/make_families.py [NET...]

Weights are random with fixed seeds, BatchNorm statistics are not trivial: no net has learnt anything. NET.script.onnx
comes from torch.onnx.export(dynamo=False), NET.dynamo.onnx from dynamo=True. The tests need the files only.
"""

from __future__ import annotations

import io
import itertools
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import onnx
import torch
import torch.nn.functional as F
from torch import Tensor, nn

FOLDER = Path(__file__).parent / "families"


@dataclass(frozen=True)
class Family:
    """A net and how it is exported.

    shape    of the input, the batch first
    opsets   of the two exporters
    dynamic  the batch is left open
    keep     the script exporter leaves Conv and BatchNormalization apart, as in training
    """

    make: Callable[[], nn.Module]
    shape: tuple[int, ...]
    opsets: tuple[int, int] = (13, 18)
    dynamic: bool = False
    keep: bool = False


def conv(inputs: int, outputs: int, kernel: int = 3, *, act: nn.Module | None = None, **options: int) -> nn.Sequential:
    """Conv without bias, BatchNorm, activation: what most nets are made of."""
    options.setdefault("padding", kernel // 2)
    layers = [nn.Conv2d(inputs, outputs, kernel, bias=False, **options), nn.BatchNorm2d(outputs)]
    return nn.Sequential(*layers, *([act] if act is not None else []))


def head(channels: int, classes: int) -> nn.Sequential:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(channels, classes))


def mobilenet_v1() -> nn.Module:
    layers: list[nn.Module] = [conv(3, 8, stride=2, act=nn.ReLU())]
    for inputs, outputs, stride in ((8, 16, 1), (16, 24, 2)):
        layers.append(conv(inputs, inputs, groups=inputs, stride=stride, act=nn.ReLU()))
        layers.append(conv(inputs, outputs, 1, act=nn.ReLU()))
    return nn.Sequential(*layers, head(24, 10), nn.Softmax(dim=-1))


class InvertedResidual(nn.Module):
    """Expand, depthwise, [squeeze-excite], project; the input is added where the shapes allow it."""

    def __init__(self, inputs: int, outputs: int, stride: int, act: nn.Module, gate: nn.Module | None = None) -> None:
        super().__init__()
        wide = 3 * inputs
        layers = [conv(inputs, wide, 1, act=act), conv(wide, wide, groups=wide, stride=stride, act=act)]
        if gate is not None:
            layers.append(SqueezeExcite(wide, act if isinstance(act, nn.SiLU) else nn.ReLU(), gate))
        self.body = nn.Sequential(*layers, conv(wide, outputs, 1))
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x) if self.adds else self.body(x)


class SqueezeExcite(nn.Module):
    def __init__(self, channels: int, act: nn.Module, gate: nn.Module) -> None:
        super().__init__()
        self.squeeze, self.excite = nn.Conv2d(channels, 4, 1), nn.Conv2d(4, channels, 1)
        self.act, self.gate = act, gate

    def forward(self, x: Tensor) -> Tensor:
        mean = F.adaptive_avg_pool2d(x, 1)
        return x * self.gate(self.excite(self.act(self.squeeze(mean))))


def mobilenet_v2() -> nn.Module:
    blocks = [InvertedResidual(8, 8, 1, nn.ReLU6()), InvertedResidual(8, 12, 2, nn.ReLU6())]
    return nn.Sequential(conv(3, 8, stride=2, act=nn.ReLU6()), *blocks, head(12, 10))


def mobilenet_v3() -> nn.Module:
    blocks = [
        InvertedResidual(6, 6, 1, nn.ReLU(), nn.Hardsigmoid()),
        InvertedResidual(6, 8, 2, nn.Hardswish(), nn.Hardsigmoid()),
    ]
    return nn.Sequential(conv(3, 6, stride=2, act=nn.Hardswish()), *blocks, head(8, 10))


def efficientnet() -> nn.Module:
    blocks = [InvertedResidual(6, 6, 1, nn.SiLU(), nn.Sigmoid()), InvertedResidual(6, 8, 2, nn.SiLU(), nn.Sigmoid())]
    return nn.Sequential(conv(3, 6, stride=2, act=nn.SiLU()), *blocks, head(8, 10))


class Residual(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(conv(inputs, outputs, stride=stride, act=nn.ReLU()), conv(outputs, outputs))
        self.skip = nn.Identity() if inputs == outputs else conv(inputs, outputs, 1, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.skip(x))


def resnet() -> nn.Module:
    stem = [conv(3, 6, act=nn.ReLU()), nn.MaxPool2d(3, stride=2, padding=1)]
    return nn.Sequential(*stem, Residual(6, 6, 1), Residual(6, 8, 2), head(8, 10))


def ds_cnn() -> nn.Module:
    layers: list[nn.Module] = [nn.Conv2d(1, 12, (10, 4), stride=2, padding=(5, 1)), nn.BatchNorm2d(12), nn.ReLU()]
    for _ in range(2):
        layers += [conv(12, 12, groups=12, act=nn.ReLU()), conv(12, 12, 1, act=nn.ReLU())]
    return nn.Sequential(*layers, nn.AvgPool2d((13, 5)), nn.Flatten(), nn.Linear(12, 12), nn.Softmax(dim=1))


class UNet(nn.Module):
    """Two levels down and up, with skips. up: how a level is enlarged."""

    def __init__(self, up: str) -> None:
        super().__init__()
        self.up = up
        self.enter, self.down, self.deep = (conv(a, b, act=nn.ReLU()) for a, b in ((1, 4), (4, 4), (4, 6)))
        self.up1 = nn.ConvTranspose2d(6, 4, 2, stride=2) if up == "transpose" else nn.Conv2d(6, 4, 3, padding=1)
        self.up2 = nn.ConvTranspose2d(4, 4, 4, 2, 1) if up == "transpose" else nn.Conv2d(4, 4, 3, padding=1)
        self.join1, self.join2 = conv(8, 4, act=nn.ReLU()), conv(8, 4, act=nn.ReLU())
        self.mask = nn.Conv2d(4, 2, 1)

    def enlarged(self, x: Tensor, skip: Tensor, layer: nn.Module) -> Tensor:
        if self.up == "nearest":
            x = F.interpolate(x, scale_factor=2, mode="nearest")
        elif self.up == "bilinear":
            x = F.interpolate(x, size=skip.shape[2:], mode="bilinear", align_corners=False)
        return torch.cat([layer(x), skip], dim=1)

    def forward(self, x: Tensor) -> Tensor:
        first = self.enter(x)
        second = self.down(F.max_pool2d(first, 2))
        deep = self.deep(F.max_pool2d(second, 2))
        y = self.join1(self.enlarged(deep, second, self.up1))
        return torch.sigmoid(self.mask(self.join2(self.enlarged(y, first, self.up2))))


class CausalBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, dilation: int) -> None:
        super().__init__()
        self.left = 2 * dilation
        self.conv1 = nn.Conv1d(inputs, outputs, 3, dilation=dilation)
        self.conv2 = nn.Conv1d(outputs, outputs, 3, dilation=dilation)
        self.norm = nn.BatchNorm1d(outputs)
        self.skip = nn.Identity() if inputs == outputs else nn.Conv1d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm(self.conv1(F.pad(x, (self.left, 0)))))
        return F.relu(self.conv2(F.pad(y, (self.left, 0))) + self.skip(x))


class TemporalNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(CausalBlock(3, 8, 1), CausalBlock(8, 8, 4))
        self.classify = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.classify(self.blocks(x)[:, :, -1])


def autoencoder() -> nn.Module:
    sizes = (32, 16, 4, 16)
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(16, 32))


class Recurrent(nn.Module):
    """A recurrent layer over [batch, time, features], then a classifier of its last state."""

    def __init__(self, layer: nn.RNNBase) -> None:
        super().__init__()
        self.layer = layer
        self.classify = nn.Linear(layer.hidden_size * (2 if layer.bidirectional else 1), 5)

    def forward(self, x: Tensor) -> Tensor:
        y, _ = self.layer(x)
        return self.classify(y[:, -1])


class Transformer(nn.Module):
    """One encoder layer over [batch, time, features]: norm first, two heads, Gelu; the mean over time is classified."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(6, 8)
        self.place = nn.Parameter(torch.randn(1, 12, 8) * 0.2)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(8) for _ in range(3))
        self.qkv, self.mix = nn.Linear(8, 24), nn.Linear(8, 8)
        self.wide, self.narrow = nn.Linear(8, 16), nn.Linear(16, 8)
        self.classify = nn.Linear(8, 5)

    def attend(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).reshape(-1, 12, 3, 2, 4).permute(2, 0, 3, 1, 4).unbind(0)
        weights = torch.softmax(q @ k.transpose(-2, -1) / math.sqrt(4), dim=-1)
        return self.mix((weights @ v).transpose(1, 2).reshape(-1, 12, 8))

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x) + self.place
        x = x + self.attend(self.norm1(x))
        x = x + self.narrow(F.gelu(self.wide(self.norm2(x))))
        return self.classify(self.norm3(x).mean(dim=1))


class Attention(Transformer):
    """The same with PyTorch's own scaled_dot_product_attention."""

    def attend(self, x: Tensor) -> Tensor:
        q, k, v = (part.view(-1, 12, 2, 4).transpose(1, 2) for part in self.qkv(x).chunk(3, dim=-1))
        return self.mix(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(-1, 12, 8))


class Shuffle(nn.Module):
    """ShuffleNetV2's unit: half of the channels pass, the other half is convolved, then they are shuffled."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.body = nn.Sequential(
            conv(half, half, 1, act=nn.ReLU()), conv(half, half, groups=half), conv(half, half, 1, act=nn.ReLU())
        )

    def forward(self, x: Tensor) -> Tensor:
        left, right = x.chunk(2, dim=1)
        y = torch.cat([left, self.body(right)], dim=1)
        n, c, h, w = y.shape
        return y.view(n, 2, c // 2, h, w).transpose(1, 2).contiguous().view(n, c, h, w)


def shufflenet() -> nn.Module:
    return nn.Sequential(conv(3, 12, stride=2, act=nn.ReLU()), Shuffle(12), head(12, 10))


class Fire(nn.Module):
    def __init__(self, inputs: int, squeezed: int, outputs: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeezed, 1)
        self.one, self.three = nn.Conv2d(squeezed, outputs, 1), nn.Conv2d(squeezed, outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.squeeze(x))
        return torch.cat([F.relu(self.one(x)), F.relu(self.three(x))], 1)


def squeezenet() -> nn.Module:
    stem = [nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True)]
    tail = [nn.Conv2d(12, 10, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*stem, Fire(8, 4, 8), Fire(16, 4, 6), *tail)


class Detector(nn.Module):
    """An anchor-free head on two scales: boxes (centre in the grid's own units, size) and class scores."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv(3, 6, stride=2, act=nn.SiLU()), conv(6, 8, stride=2, act=nn.SiLU()))
        self.deep = conv(8, 8, stride=2, act=nn.SiLU())
        self.heads = nn.ModuleList([nn.Conv2d(8, 7, 1), nn.Conv2d(8, 7, 1)])
        for size, name in ((6, "grid0"), (3, "grid1")):
            rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
            self.register_buffer(name, torch.stack([columns, rows]).float().reshape(1, 2, -1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        fine = self.stem(x)
        boxes, scores, objects = [], [], []
        for feature, layer, grid in zip((fine, self.deep(fine)), self.heads, (self.grid0, self.grid1), strict=True):
            y = layer(feature).flatten(2)
            centre, size, rest = torch.split(y, [2, 2, 3], dim=1)
            boxes.append(torch.cat([torch.sigmoid(centre) * 2 - 0.5 + grid, (torch.sigmoid(size) * 2) ** 2], dim=1))
            objects.append(torch.sigmoid(rest[:, :1]))
            scores.append(torch.sigmoid(rest[:, 1:]))
        joined = [torch.cat(parts, dim=2).transpose(1, 2) for parts in (boxes, objects, scores)]
        return joined[0], joined[1], joined[2]


class Dense(nn.Module):
    """DenseNet's layer: BatchNorm and Relu stand before the convolution, what comes out is put beside the input."""

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU(), nn.Conv2d(inputs, growth, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.body(x)], dim=1)


def densenet() -> nn.Module:
    blocks = [Dense(6, 4), Dense(10, 4), nn.BatchNorm2d(14), nn.ReLU(), nn.Conv2d(14, 8, 1), nn.AvgPool2d(2)]
    return nn.Sequential(nn.Conv2d(3, 6, 3, stride=2, padding=1), *blocks, Dense(8, 4), nn.PReLU(12), head(12, 6))


class Inception(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = conv(3, 6, stride=2, act=nn.LeakyReLU(0.1))
        self.one, self.three = conv(6, 4, 1, act=nn.ReLU()), nn.Sequential(conv(6, 4, 1), conv(4, 4, act=nn.ELU()))
        self.pooled, self.largest = conv(6, 4, 1, act=nn.Softplus()), conv(6, 4, 1, act=nn.Mish())
        self.tail = head(16, 6)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        mean, most = F.avg_pool2d(x, 3, 1, 1, count_include_pad=False), F.max_pool2d(x, 3, 1, 1)
        return self.tail(torch.cat([self.one(x), self.three(x), self.pooled(mean), self.largest(most)], dim=1))


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of [batch, channels, height, width]."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ConvNextBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.wide, self.narrow = nn.Linear(channels, 2 * channels), nn.Linear(2 * channels, channels)
        self.scale = nn.Parameter(torch.rand(channels))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.mix(x).permute(0, 2, 3, 1))
        return x + (self.scale * self.narrow(F.gelu(self.wide(y)))).permute(0, 3, 1, 2)


def convnext() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 8, 2, stride=2), ChannelNorm(8), ConvNextBlock(8), head(8, 6))


class GroupNormNet(nn.Module):
    """GroupNorm, weights shared by two scales, a learnt sum of them."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.GroupNorm(2, 8)
        self.shared, self.share = nn.Conv2d(8, 8, 3, padding=1), nn.Parameter(torch.tensor([0.3, 0.7]))
        self.tail = head(8, 6)

    def forward(self, x: Tensor) -> Tensor:
        x = F.silu(self.norm(self.stem(x)))
        small = F.interpolate(self.shared(F.avg_pool2d(x, 2)), scale_factor=2.0, mode="bilinear", align_corners=True)
        return self.tail(self.share[0] * self.shared(x) + self.share[1] * small)


class MixerBlock(nn.Module):
    def __init__(self, places: int, channels: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.places = nn.Sequential(nn.Linear(places, 8), nn.GELU(approximate="tanh"), nn.Linear(8, places))
        self.channels = nn.Sequential(nn.Linear(channels, 12), nn.GELU(), nn.Linear(12, channels))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.places(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        return x + self.channels(self.norm2(x))


class Patches(nn.Module):
    """Patches of an image as a sequence [batch, place, channel], with a class token before them if asked for."""

    def __init__(self, channels: int, token: bool) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, channels, 4, stride=4)
        self.token = nn.Parameter(torch.randn(1, 1, channels)) if token else None

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x).flatten(2).transpose(1, 2)
        return x if self.token is None else torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1)


class Vision(nn.Module):
    """A vision transformer of PyTorch's own layer, or a mixer of perceptrons."""

    def __init__(self, mixer: bool) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 12, 0.1, F.gelu, batch_first=True, norm_first=True)
        self.patches, self.body = Patches(8, not mixer), MixerBlock(16, 8) if mixer else layer
        self.first, self.classify = not mixer, nn.Linear(8, 6)

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(self.patches(x))
        return self.classify(y[:, 0] if self.first else y.mean(dim=1))


class Decoder(nn.Module):
    """A language model's layer: RMSNorm, causal attention, SwiGLU; [batch, time, features]."""

    def __init__(self) -> None:
        super().__init__()
        self.gain1, self.gain2 = nn.Parameter(torch.rand(8) + 0.5), nn.Parameter(torch.rand(8) + 0.5)
        self.q, self.k, self.v, self.out = (nn.Linear(8, 8, bias=False) for _ in range(4))
        self.gate, self.up, self.down = nn.Linear(8, 12), nn.Linear(8, 12), nn.Linear(12, 8)

    @staticmethod
    def norm(x: Tensor, gain: Tensor) -> Tensor:
        return gain * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x, self.gain1)
        weights = self.q(y) @ self.k(y).transpose(1, 2) * 8**-0.5
        future = torch.triu(torch.ones(10, 10, dtype=torch.bool), 1)
        weights = F.softmax(weights.masked_fill(future, -1e4), dim=-1)
        x = x + self.out(weights @ self.v(y))
        y = self.norm(x, self.gain2)
        return x + self.down(F.silu(self.gate(y)) * self.up(y))


class WaveNet(nn.Module):
    """Gated dilated convolutions over [batch, channels, time], the sum of their skips."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Conv1d(2, 6, 1)
        self.gates = nn.ModuleList([nn.Conv1d(6, 12, 2, dilation=d, padding=d) for d in (1, 4)])
        self.skips = nn.ModuleList([nn.Conv1d(6, 6, 1) for _ in range(2)])
        self.leave = nn.Conv1d(6, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x)
        total = 0
        for gate, skip in zip(self.gates, self.skips, strict=True):
            filtered, passed = gate(x)[..., : x.shape[-1]].chunk(2, dim=1)
            y = skip(torch.tanh(filtered) * torch.sigmoid(passed))
            total, x = total + y, x + y
        return self.leave(F.relu(total))


class SpeakerNet(nn.Module):
    """Dilated 1-D convolutions, mean and standard deviation over time, an embedding of length 1."""

    def __init__(self) -> None:
        super().__init__()
        self.frames = nn.Sequential(
            nn.Conv1d(6, 10, 5, dilation=1), nn.ReLU(), nn.BatchNorm1d(10), nn.Conv1d(10, 10, 3, dilation=2), nn.ReLU()
        )
        self.embed = nn.Linear(20, 8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.frames(x)
        mean = x.mean(dim=2)
        deviation = ((x - mean.unsqueeze(2)) ** 2).mean(dim=2).add(1e-5).sqrt()
        return F.normalize(self.embed(torch.cat([mean, deviation], dim=1)), dim=1)


class Reader(nn.Module):
    """Text in an image: convolutions, columns as a sequence, a recurrent layer, log probabilities at each place."""

    def __init__(self) -> None:
        super().__init__()
        self.columns = nn.Sequential(conv(1, 4, act=nn.ReLU()), nn.MaxPool2d(2), conv(4, 4, act=nn.ReLU()))
        self.layer = nn.GRU(16, 6, bidirectional=True)
        self.letters = nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.columns(x)
        y, _ = self.layer(x.flatten(1, 2).permute(2, 0, 1))
        return F.log_softmax(self.letters(y), dim=2)


def super_resolution() -> nn.Module:
    layers = [nn.Conv2d(1, 8, 5, padding=2), nn.Tanh(), nn.Conv2d(8, 4, 3, padding=1), nn.PixelShuffle(2)]
    return nn.Sequential(*layers, nn.Hardtanh(0.0, 1.0))


def generator() -> nn.Module:
    layers = [nn.ConvTranspose2d(6, 4, 4, 2, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU()]
    last = nn.ConvTranspose2d(4, 1, 3, 2, 1, output_padding=1)
    return nn.Sequential(nn.Linear(8, 96), nn.ReLU(), nn.Unflatten(1, (6, 4, 4)), *layers, last, nn.Tanh())


class Pyramid(nn.Module):
    """DeepLab's head: dilated convolutions side by side and the mean of the image, enlarged to the input's size."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv(3, 6, stride=2, act=nn.ReLU())
        self.rates = nn.ModuleList([conv(6, 4, dilation=d, padding=d, act=nn.ReLU()) for d in (1, 2, 4)])
        self.mean, self.mask = conv(6, 4, 1, act=nn.ReLU()), nn.Conv2d(16, 3, 1)
        # Near the opposite of what random inputs give each class, so that every one of them wins somewhere.
        self.mask.bias = nn.Parameter(torch.tensor([0.3, 0.7, 0.0]))

    def forward(self, x: Tensor) -> Tensor:
        y = self.stem(x)
        mean = self.mean(F.adaptive_avg_pool2d(y, 1))
        parts = [rate(y) for rate in self.rates]
        parts.append(F.interpolate(mean, size=y.shape[-2:], mode="bilinear", align_corners=False))
        mask = self.mask(torch.cat(parts, dim=1))
        return F.interpolate(mask, size=x.shape[-2:], mode="bilinear", align_corners=False).argmax(dim=1)


class Yolo(nn.Module):
    """Every second pixel as channels, pooling in a chain, two ways down and up, one head: [batch, place, class]."""

    def __init__(self) -> None:
        super().__init__()
        self.focus, self.down = conv(12, 6, act=nn.SiLU()), conv(6, 8, stride=2, act=nn.SiLU())
        self.pooled, self.join = conv(32, 6, 1, act=nn.SiLU()), conv(12, 6, act=nn.Hardswish())
        self.heads = nn.Conv2d(6, 3 * 7, 1)

    def forward(self, x: Tensor) -> Tensor:
        corners = [x[..., ::2, ::2], x[..., 1::2, ::2], x[..., ::2, 1::2], x[..., 1::2, 1::2]]
        fine = self.focus(torch.cat(corners, dim=1))
        chain = [self.down(fine)]
        for _ in range(3):
            chain.append(F.max_pool2d(chain[-1], 5, 1, 2))
        deep = F.interpolate(self.pooled(torch.cat(chain, dim=1)), scale_factor=2.0, mode="nearest")
        y = self.heads(self.join(torch.cat([deep, fine], dim=1)))
        n, _, h, w = y.shape
        y = y.view(n, 3, 7, h, w).permute(0, 1, 3, 4, 2).reshape(n, -1, 7)
        return torch.cat([y[..., :4].sigmoid(), torch.softmax(y[..., 4:], dim=-1)], dim=-1)


FAMILIES: dict[str, Family] = {
    "mobilenet_v1": Family(mobilenet_v1, (1, 3, 16, 16)),
    "mobilenet_v2": Family(mobilenet_v2, (1, 3, 16, 16), dynamic=True),
    "mobilenet_v3": Family(mobilenet_v3, (1, 3, 16, 16), (13, 20)),
    "efficientnet": Family(efficientnet, (1, 3, 16, 16), (17, 20)),
    "resnet": Family(resnet, (1, 3, 16, 16), (17, 18), keep=True),
    "ds_cnn": Family(ds_cnn, (1, 1, 25, 10), dynamic=True),
    "squeezenet": Family(squeezenet, (1, 3, 20, 20)),
    "shufflenet": Family(shufflenet, (1, 3, 16, 16), dynamic=True),
    "unet_nearest": Family(lambda: UNet("nearest"), (1, 1, 16, 16)),
    "unet_bilinear": Family(lambda: UNet("bilinear"), (1, 1, 16, 16), (17, 20), dynamic=True),
    "unet_transpose": Family(lambda: UNet("transpose"), (1, 1, 16, 16), (17, 18), keep=True),
    "detector": Family(Detector, (1, 3, 24, 24), (17, 20)),
    "temporal": Family(TemporalNet, (1, 3, 24), (17, 18), dynamic=True),
    "autoencoder": Family(autoencoder, (1, 32), dynamic=True),
    "lstm": Family(lambda: Recurrent(nn.LSTM(6, 10, batch_first=True)), (1, 12, 6), dynamic=True),
    "gru": Family(lambda: Recurrent(nn.GRU(6, 6, 2, batch_first=True, bidirectional=True)), (1, 12, 6), (17, 20)),
    "transformer": Family(Transformer, (1, 12, 6), (13, 18), dynamic=True),
    "attention": Family(Attention, (1, 12, 6), (17, 20)),
    "densenet": Family(densenet, (1, 3, 16, 16), (17, 18)),
    "inception": Family(Inception, (1, 3, 16, 16), (13, 20), dynamic=True),
    "convnext": Family(convnext, (1, 3, 12, 12), (17, 20)),
    "groupnorm": Family(GroupNormNet, (1, 3, 12, 12), (13, 18)),
    "mixer": Family(lambda: Vision(True), (1, 3, 16, 16), (17, 20), dynamic=True),
    "vision_transformer": Family(lambda: Vision(False), (1, 3, 16, 16), (17, 18), dynamic=True),
    "decoder": Family(Decoder, (1, 10, 8), (17, 20)),
    "wavenet": Family(WaveNet, (1, 2, 20), (13, 18), dynamic=True),
    "speaker": Family(SpeakerNet, (1, 6, 24), (17, 20)),
    "reader": Family(Reader, (1, 1, 8, 20), (17, 18)),
    "super_resolution": Family(super_resolution, (1, 1, 10, 10), (13, 20), dynamic=True),
    "generator": Family(generator, (1, 8), (17, 18)),
    "pyramid": Family(Pyramid, (1, 3, 16, 16), (17, 18), dynamic=True),
    "yolo": Family(Yolo, (1, 3, 16, 16), (13, 20)),
}


def seeded(family: Family, seed: int) -> nn.Module:
    """The net with random weights and, in every BatchNorm, statistics as of training."""
    torch.manual_seed(seed)
    net = family.make().eval()
    for module in net.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.3)
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.2, 1.5)
        elif isinstance(module, nn.LayerNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.3)
    return net


def exported(family: Family, net: nn.Module, dynamo: bool) -> onnx.ModelProto:
    batch = 2 if family.dynamic and dynamo else 1
    x = torch.randn(batch, *family.shape[1:])
    if dynamo:
        shapes = {"dynamic_shapes": ({0: torch.export.Dim("batch", min=1, max=64)},)} if family.dynamic else {}
        program = torch.onnx.export(net, (x,), dynamo=True, opset_version=family.opsets[1], verbose=False, **shapes)
        return program.model_proto
    stream = io.BytesIO()
    torch.onnx.export(
        net,
        (x,),
        stream,
        dynamo=False,
        opset_version=family.opsets[0],
        input_names=["input"],
        dynamic_axes={"input": {0: "batch"}} if family.dynamic else None,
        training=torch.onnx.TrainingMode.PRESERVE if family.keep else torch.onnx.TrainingMode.EVAL,
        do_constant_folding=not family.keep,
    )
    return onnx.load_from_string(stream.getvalue())


def bare(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model without what an exporter says about its own machine: doc strings, stack traces, metadata."""
    graph = model.graph
    for item in (model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output, *graph.value_info):
        for field in ("doc_string", "metadata_props"):
            item.ClearField(field)
    for node in graph.node:
        kept = [attribute for attribute in node.attribute if not attribute.name.startswith("pkg.")]
        del node.attribute[:]
        node.attribute.extend(kept)
        for attribute in node.attribute:
            attribute.ClearField("doc_string")
    return model


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for seed, (name, family) in enumerate(FAMILIES.items()):
        if not name.startswith(tuple(sys.argv[1:]) or ""):
            continue
        net = seeded(family, seed)
        for exporter in ("script", "dynamo"):
            model = bare(exported(family, net, exporter == "dynamo"))
            onnx.checker.check_model(model, full_check=True)
            path = FOLDER / f"{name}.{exporter}.onnx"
            onnx.save(model, path)
            print(f"{path.name:28} {path.stat().st_size:7,} bytes  opset {model.opset_import[0].version}")


if __name__ == "__main__":
    main()
