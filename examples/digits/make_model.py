"""Make the digits model: train it, write it as ONNX, quantize it, check it.

    pip install torch==2.13.0 scikit-learn==1.9.1 onnx==1.23.2 onnxruntime==1.31.1
    python examples/digits/make_model.py

Writes beside this file: digits_float.onnx, digits.onnx, digits_inputs.npz and digits_labels.npz.
They are part of the example, so nobody needs this script to run it. Seeds are fixed and training
uses one thread; another CPU or another release of PyTorch may still round differently and give
other weights.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

HERE = Path(__file__).resolve().parent
SEED = 0
EPOCHS = 120
BATCH = 64
TEST_IMAGES = 450
CALIBRATION_IMAGES = 256
EXAMPLE_IMAGES = 32
MIN_ACCURACY = 0.97
INTEGER_OPERATORS = {
    "QLinearConv",
    "QLinearAdd",
    "QLinearGlobalAveragePool",
    "QLinearSoftmax",
    "QGemm",
    "MaxPool",  # on uint8 it copies, and so does its NHWC form
    "NhwcMaxPool",
    "Flatten",
    "Transpose",
    "QuantizeLinear",  # of the input image
    "DequantizeLinear",  # of the probabilities
}

Images = NDArray[np.float32]  # [N, 1, 8, 8], 0..1
Labels = NDArray[np.int64]  # [N]


class Digits(nn.Module):
    """[N, 1, 8, 8] -> [N, 10] logits. Each attribute is the ONNX node of that name."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3, padding=1, bias=False)
        self.conv1_bn = nn.BatchNorm2d(8)
        self.dw = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
        self.dw_bn = nn.BatchNorm2d(8)
        self.pw = nn.Conv2d(8, 8, 1, bias=False)
        self.pw_bn = nn.BatchNorm2d(8)
        self.pool = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(8, 32, 3, padding=1, bias=False)
        self.conv2_bn = nn.BatchNorm2d(32)
        self.fc = nn.Linear(32, 10)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        stem = torch.relu(self.conv1_bn(self.conv1(image)))
        block = torch.relu(self.dw_bn(self.dw(stem)))
        block = torch.relu(stem + self.pw_bn(self.pw(block)))
        features = torch.relu(self.conv2_bn(self.conv2(self.pool(block))))
        logits: torch.Tensor = self.fc(features.mean(dim=(2, 3)))
        return logits


def load_data() -> tuple[Images, Images, Labels, Labels]:
    """Training images, held-out images, training labels, held-out labels; same share of every digit."""
    digits = load_digits()
    images = (digits.images / 16.0).astype(np.float32).reshape(-1, 1, 8, 8)
    labels = digits.target.astype(np.int64)
    train_x, test_x, train_y, test_y = train_test_split(
        images, labels, test_size=TEST_IMAGES, random_state=SEED, stratify=labels
    )
    return train_x, test_x, train_y, test_y


def shifted(images: torch.Tensor) -> torch.Tensor:
    """Move each image by -1, 0 or 1 pixel in x and in y: 1347 images are few."""
    padded = nn.functional.pad(images, (1, 1, 1, 1))
    moves = torch.randint(0, 3, (len(images), 2)).tolist()
    return torch.stack([padded[i, :, y : y + 8, x : x + 8] for i, (y, x) in enumerate(moves)])


def train(images: Images, labels: Labels) -> Digits:
    """Adam with one learning-rate cycle over EPOCHS."""
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    net, x, y = Digits(), torch.from_numpy(images), torch.from_numpy(labels)
    optimizer = torch.optim.Adam(net.parameters(), weight_decay=1e-4)
    steps = -(-len(x) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.02, total_steps=EPOCHS * steps)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(x)).split(BATCH):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(shifted(x[batch])), y[batch], label_smoothing=0.05).backward()
            optimizer.step()
            schedule.step()
    return net.eval()


def to_onnx(net: Digits) -> onnx.ModelProto:
    """The float model, node by node, with batch 1 and readable names (an exporter would choose its own)."""
    weights = {name: tensor.detach().numpy() for name, tensor in net.state_dict().items()}
    weights = {name: array for name, array in weights.items() if array.ndim}  # not num_batches_tracked

    def conv(name: str, source: str, *, group: int = 1) -> list[onnx.NodeProto]:
        kernel = net.get_submodule(name).kernel_size
        bn = [f"{name}_bn.{part}" for part in ("weight", "bias", "running_mean", "running_var")]
        return [
            helper.make_node(
                "Conv", [source, f"{name}.weight"], [f"{name}_out"], name,
                kernel_shape=kernel, pads=[k // 2 for k in kernel] * 2, group=group,
            ),
            helper.make_node(
                "BatchNormalization", [f"{name}_out", *bn], [f"{name}_bn_out"], f"{name}_bn",
                epsilon=net.get_submodule(f"{name}_bn").eps,
            ),
        ]  # fmt: skip

    def relu(name: str, source: str) -> onnx.NodeProto:
        return helper.make_node("Relu", [source], [f"{name}_out"], name)

    nodes = [
        *conv("conv1", "image"),
        relu("conv1_relu", "conv1_bn_out"),
        *conv("dw", "conv1_relu_out", group=8),
        relu("dw_relu", "dw_bn_out"),
        *conv("pw", "dw_relu_out"),
        helper.make_node("Add", ["conv1_relu_out", "pw_bn_out"], ["add_out"], "add"),
        relu("add_relu", "add_out"),
        helper.make_node("MaxPool", ["add_relu_out"], ["pool_out"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        *conv("conv2", "pool_out"),
        relu("conv2_relu", "conv2_bn_out"),
        helper.make_node("GlobalAveragePool", ["conv2_relu_out"], ["gap_out"], "gap"),
        helper.make_node("Flatten", ["gap_out"], ["flatten_out"], "flatten"),
        helper.make_node("Gemm", ["flatten_out", "fc.weight", "fc.bias"], ["fc_out"], "fc", transB=1),
        helper.make_node("Softmax", ["fc_out"], ["probabilities"], "softmax", axis=-1),
    ]
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 1, 8, 8])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [1, 10])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    opset = helper.make_opsetid("", 17)
    model = helper.make_model(graph, producer_name="digits", opset_imports=[opset], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


class Calibration(CalibrationDataReader):
    """Feeds images one by one to the quantizer, which records the range of every tensor."""

    def __init__(self, images: Images) -> None:
        self._feeds: Iterator[dict[str, Images]] = ({"image": image[None]} for image in images)

    def get_next(self) -> dict[str, Images] | None:
        return next(self._feeds, None)


def quantize(model: onnx.ModelProto, images: Images, path: Path) -> None:
    """Static QDQ: uint8 activations, int8 weights with one scale per output channel."""
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(model, prepared)  # folds BatchNormalization into Conv
        quantize_static(
            prepared,
            path,
            Calibration(images),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )


def accuracy(path: Path, images: Images, labels: Labels) -> float:
    """Share of images whose largest probability is at the label, under ONNX Runtime."""
    session = ort.InferenceSession(path, _options(), providers=["CPUExecutionProvider"])
    found = [session.run(None, {"image": image[None]})[0].argmax() for image in images]
    return float(np.mean(found == labels))


def executed_operators(path: Path) -> Counter[str]:
    """The operators ONNX Runtime really runs, after its own fusions."""
    with tempfile.TemporaryDirectory() as folder:
        options = _options()
        options.optimized_model_filepath = f"{folder}/optimized.onnx"
        ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        return Counter(node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node)


def _options() -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.x64quantprecision", "1")  # no int16 saturation on old CPUs
    return options


def main() -> None:
    train_x, test_x, train_y, test_y = load_data()
    float_path, int8_path = HERE / "digits_float.onnx", HERE / "digits.onnx"
    model = to_onnx(train(train_x, train_y))
    onnx.save(model, float_path)
    quantize(model, train_x[:CALIBRATION_IMAGES], int8_path)
    np.savez_compressed(HERE / "digits_inputs.npz", image=test_x[:EXAMPLE_IMAGES])
    np.savez_compressed(HERE / "digits_labels.npz", label=test_y[:EXAMPLE_IMAGES])

    for path in (float_path, int8_path):
        print(f"{path.name}: {path.stat().st_size} bytes, accuracy {accuracy(path, test_x, test_y):.4f}")
    operators = executed_operators(int8_path)
    print("ONNX Runtime runs", ", ".join(f"{count} {name}" for name, count in sorted(operators.items())))
    if outside := operators.keys() - INTEGER_OPERATORS:
        raise SystemExit(f"not fused into integer kernels: {', '.join(sorted(outside))}")
    if accuracy(int8_path, test_x, test_y) < MIN_ACCURACY:
        raise SystemExit(f"accuracy is below {MIN_ACCURACY}")


if __name__ == "__main__":
    main()
