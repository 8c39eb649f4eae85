"""Writes the models beside it, which ImportTests reads: small networks of the kinds that people export from PyTorch. Run with PyTorch 1.13."""
import pathlib
import torch
from torch import nn

FOLDER = pathlib.Path(__file__).parent
torch.manual_seed(1)


class Residual(nn.Module):
    """The parts of torchvision's ResNet: a stem, a block with and one without a shortcut of its own, a mean, a linear layer."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 7, 2, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        self.first, self.second = self.body(8, 8, 1), self.body(8, 16, 2)
        self.shortcut = nn.Sequential(nn.Conv2d(8, 16, 1, 2, bias=False), nn.BatchNorm2d(16))
        self.pool, self.head = nn.AdaptiveAvgPool2d(1), nn.Linear(16, 5)

    @staticmethod
    def body(channels, filters, stride):
        return nn.Sequential(nn.Conv2d(channels, filters, 3, stride, 1, bias=False), nn.BatchNorm2d(filters), nn.ReLU(), nn.Conv2d(filters, filters, 3, 1, 1, bias=False), nn.BatchNorm2d(filters))

    def forward(self, x):
        x = self.stem(x)
        x = torch.relu(self.first(x) + x)
        x = torch.relu(self.second(x) + self.shortcut(x))
        return self.head(torch.flatten(self.pool(x), 1))


class Parts(nn.Module):
    """What else image models have: depthwise and grouped convolutions, SiLU, concatenation, means without a pool, and pixels in PyTorch's order before a linear layer."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(2, 8, 3, padding=1)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=8)
        self.grouped = nn.Conv2d(8, 4, (3, 1), (2, 1), (1, 0), groups=2)
        self.pool = nn.AvgPool2d(2, count_include_pad=False)
        self.flat, self.wide = nn.Linear(12 * 2 * 4, 6), nn.Linear(12, 6)

    def forward(self, x):
        x = nn.functional.silu(self.stem(x))
        x = nn.functional.leaky_relu(self.depthwise(x), 0.1)
        x = torch.cat([torch.sigmoid(self.grouped(x)), torch.tanh(nn.functional.max_pool2d(x, (2, 1)))], 1)
        y = self.pool(x)
        return self.flat(torch.flatten(y, 1)) * self.wide(x.mean((2, 3)))


class Mobile(nn.Module):
    """The parts of torchvision's MobileNets: an inverted residual with ReLU6, a squeeze and excitation, hard activations; and SqueezeNet's pool, which counts a window that is not whole."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6())
        self.block = nn.Sequential(nn.Conv2d(8, 16, 1), nn.ReLU6(), nn.Conv2d(16, 16, 3, padding=1, groups=16), nn.Hardswish(), nn.Conv2d(16, 8, 1))
        self.squeeze = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 4, 1), nn.ReLU(), nn.Conv2d(4, 8, 1), nn.Hardsigmoid())
        self.pool, self.head = nn.MaxPool2d(2, 2, ceil_mode=True), nn.Linear(8, 5)

    def forward(self, x):
        x = self.stem(x)
        y = self.block(x)
        return self.head(self.pool(x + y * self.squeeze(y)).mean((2, 3)))


class Viewed(nn.Module):
    """A flattening as many models have it: by the size of the batch, which is in the graph as a shape that is taken apart and put together."""

    def __init__(self):
        super().__init__()
        self.convolution, self.head = nn.Conv2d(2, 4, 3), nn.Linear(4 * 4 * 4, 3)

    def forward(self, x):
        x = torch.relu(self.convolution(x))
        return self.head(x.view(x.size(0), -1))


class Perceptron(nn.Module):
    """A network of vectors."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.GELU(), nn.Dropout(0.25), nn.Linear(16, 16, bias=False), nn.LayerNorm(16), nn.ReLU(), nn.Linear(16, 3), nn.Softmax(1))

    def forward(self, x):
        return self.layers(x)


def write(name, model, *shape, keep=False):
    for module in model.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.normal_(module.running_mean, 0, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.normal_(module.bias, 0, 0.2)
    model.eval()
    training = torch.onnx.TrainingMode.PRESERVE if keep else torch.onnx.TrainingMode.EVAL  # PRESERVE leaves batch norms what they are
    torch.onnx.export(model, torch.randn(1, *shape), str(FOLDER / name), opset_version=17, training=training, do_constant_folding=not keep,
                      input_names=["x"], output_names=["y"], dynamic_axes={"x": {0: "N"}, "y": {0: "N"}})


write("residual.onnx", Residual(), 3, 32, 32)
write("residual-unfolded.onnx", Residual(), 3, 32, 32, keep=True)
write("parts.onnx", Parts(), 2, 8, 8)
write("mobile.onnx", Mobile(), 3, 16, 16)
write("viewed.onnx", Viewed(), 2, 6, 6)
write("perceptron.onnx", Perceptron(), 6, keep=True)
