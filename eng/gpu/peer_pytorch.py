#!/usr/bin/env python3
"""The benchmarks' workloads and kernels in PyTorch, on a GPU, measured as ours are.

    peer_pytorch.py WORKLOAD TYPE SECONDS [BATCH]    whole training steps: one line with samples/s and peak memory
    peer_pytorch.py kernels FILE GROUP [...]         groups: matmul, singles, convolutions, bandwidth; a line of JSON for each kernel, in FILE

Types: fp32, and AMP in float16 with a GradScaler as
    eager            as its documentation writes it
    fused            eager, with the fused optimizer, which asks the host nothing
    compiled         torch.compile, and the fused optimizer
    graph            the step of fused, captured once into a CUDA graph and replayed
    compiled-graph   the same of compiled
Images are channels_last. Data are made once, on the device. cuDNN tries its algorithms before anything is timed.

The first form is a peer of the benchmarks' verb compare. DEVICE=cpu in the environment runs it all without a GPU, in bfloat16
and without a GradScaler: to try the script, not to measure. MILLIONS and SIZES give other sizes than those of the tables.
"""
import json
import os
import resource
import sys
import time

try:
    import torch
    from torch import nn
except ImportError as e:
    sys.exit(f"peer_pytorch.py: expected a python3 that has PyTorch, but it does not import: {e}")

DEVICE = os.environ.get("DEVICE", "cuda")
ON_GPU = DEVICE == "cuda"
HALF = torch.float16 if ON_GPU else torch.bfloat16
LAST = torch.channels_last
TYPES = ("fp32", "eager", "fused", "compiled", "graph", "compiled-graph")
BURST_SECONDS = 0.2


def synchronize():
    if ON_GPU:
        torch.cuda.synchronize()


# The networks, as test/Microsoft.ML.MixedPrecision.Benchmarks/Workload.cs has them.

def linear_layers(inputs, hidden, classes):
    layers = []
    for width in hidden:
        layers += [nn.Linear(inputs, width), nn.ReLU()]
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, classes))


def cnn():
    return nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25),
        nn.Flatten(), nn.Linear(64 * 12 * 12, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10))


def convolution(inputs, filters, kernel, stride=1):
    return [nn.Conv2d(inputs, filters, kernel, stride=stride, padding=kernel // 2, bias=False), nn.BatchNorm2d(filters)]


class Residual(nn.Module):
    def __init__(self, inputs, outputs, stride, body):
        super().__init__()
        self.body = nn.Sequential(*body)
        self.shortcut = nn.Identity() if stride == 1 and inputs == outputs else nn.Sequential(*convolution(inputs, outputs, 1, stride))
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        return self.relu(self.body(x) + self.shortcut(x))


def basic_block(inputs, filters, stride):
    return Residual(inputs, filters, stride, [*convolution(inputs, filters, 3, stride), nn.ReLU(inplace=True), *convolution(filters, filters, 3)])


def bottleneck(inputs, filters, stride):
    return Residual(inputs, 4 * filters, stride, [
        *convolution(inputs, filters, 1), nn.ReLU(inplace=True),
        *convolution(filters, filters, 3, stride), nn.ReLU(inplace=True),
        *convolution(filters, 4 * filters, 1)])


def resnet20():
    layers, channels = [*convolution(3, 16, 3), nn.ReLU(inplace=True)], 16
    for filters in (16, 32, 64):
        for block in range(3):
            layers.append(basic_block(channels, filters, 2 if block == 0 and filters > 16 else 1))
            channels = filters
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


RESNET50 = ((64, 3), (128, 4), (256, 6), (512, 3))


def resnet50():
    layers, channels = [*convolution(3, 64, 7, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)], 64
    for filters, blocks in RESNET50:
        for block in range(blocks):
            layers.append(bottleneck(channels, filters, 2 if block == 0 and filters > 64 else 1))
            channels = 4 * filters
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1000))


def attention(queries, keys, values, there):
    """there: [batch, 1, 1, keys], true where a key may be seen; None: all may."""
    if hasattr(nn.functional, "scaled_dot_product_attention"):
        return nn.functional.scaled_dot_product_attention(queries, keys, values, attn_mask=there)
    scores = queries @ keys.transpose(-2, -1) / queries.shape[-1] ** 0.5  # before PyTorch 2.0
    return torch.softmax(scores if there is None else scores.masked_fill(~there, -65504), -1) @ values


class EncoderLayer(nn.Module):
    """Norms first, as Architectures.TransformerEncoder."""

    def __init__(self, features, heads):
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(nn.LayerNorm(features) for _ in range(2))
        self.projections = nn.ModuleList((nn.Linear(features, 3 * features), nn.Linear(features, features)))
        self.mlp = nn.Sequential(nn.Linear(features, 4 * features), nn.GELU(), nn.Linear(4 * features, features))

    def forward(self, x, there=None):
        batch, length, features = x.shape
        heads = self.projections[0](self.norms[0](x)).view(batch, length, 3, self.heads, features // self.heads)
        queries, keys, values = heads.permute(2, 0, 3, 1, 4)
        mixed = attention(queries, keys, values, there)
        x = x + self.projections[1](mixed.transpose(1, 2).reshape(batch, length, features))
        return x + self.mlp(self.norms[1](x))


class Encoder(nn.Module):
    def __init__(self, length, features, layers, heads, classes):
        super().__init__()
        self.positions = nn.Parameter(torch.randn(length, features) * 0.02)
        self.body = nn.Sequential(*[EncoderLayer(features, heads) for _ in range(layers)], nn.LayerNorm(features))
        self.head = nn.Linear(features, classes)

    def forward(self, x):
        return self.head(self.body(x + self.positions).mean(1))


class Words(nn.Module):
    """Token 0 is padding: its vector is zero, no query sees it, and it does not count in the mean."""

    def __init__(self, length, vocabulary, features, layers, heads, classes):
        super().__init__()
        self.table = nn.Embedding(vocabulary, features, padding_idx=0)
        self.positions = nn.Parameter(torch.randn(length, features) * 0.02)
        self.layers = nn.ModuleList(EncoderLayer(features, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(features)
        self.head = nn.Linear(features, classes)

    def forward(self, tokens):
        there = tokens != 0
        x = self.table(tokens) + self.positions
        for layer in self.layers:
            x = layer(x, there[:, None, None, :])
        return self.head((self.norm(x) * there[:, :, None]).sum(1) / there.sum(1, keepdim=True))


class LastState(nn.Module):
    def __init__(self, features, hidden, classes):
        super().__init__()
        self.lstm = nn.LSTM(features, hidden, batch_first=True)
        self.head = nn.Linear(hidden, classes)

    def forward(self, x):
        return self.head(self.lstm(x)[0][:, -1])


VOCABULARIES = {"words": 20_000}

# name: network, shape of an example (channels first), classes, batch
WORKLOADS = {
    "mlp-small": (lambda: linear_layers(32, [64, 32], 2), (32,), 2, 32),
    "mlp": (lambda: linear_layers(784, [512, 256], 10), (784,), 10, 128),
    "cnn": (cnn, (1, 28, 28), 10, 128),
    "resnet20": (resnet20, (3, 32, 32), 10, 64),
    "encoder": (lambda: Encoder(64, 128, 2, 4, 10), (64, 128), 10, 32),
    "lstm": (lambda: LastState(64, 256, 10), (64, 64), 10, 32),
    "words": (lambda: Words(64, VOCABULARIES["words"], 128, 2, 4, 10), (64,), 10, 32),
    "resnet50": (resnet50, (3, 224, 224), 1000, 128),
    "mlp-100m": (lambda: linear_layers(4096, [4096] * 6, 10), (4096,), 10, 64),
}


def texts(batch, length, vocabulary):
    """Tokens that fill half of their positions and more, then 0."""
    words = torch.randint(1, vocabulary, (batch, length), device=DEVICE)
    ends = torch.randint((length + 1) // 2, length + 1, (batch, 1), device=DEVICE)
    return torch.where(torch.arange(length, device=DEVICE) < ends, words, torch.zeros_like(words))


def gradient_scaler():
    if hasattr(torch.amp, "GradScaler"):
        return torch.amp.GradScaler(DEVICE, enabled=ON_GPU)
    return torch.cuda.amp.GradScaler(enabled=ON_GPU)  # before PyTorch 2.3


class Training:
    """A network, its data, and one step of it."""

    def __init__(self, workload, kind, batch):
        network, shape, classes, usual = WORKLOADS[workload]
        self.batch = batch or usual
        self.mixed = kind != "fp32"
        torch.manual_seed(1)
        net = network().to(DEVICE).train()
        self.x = texts(self.batch, *shape, VOCABULARIES[workload]) if workload in VOCABULARIES else torch.randn((self.batch, *shape), device=DEVICE)
        self.y = torch.randint(classes, (self.batch,), device=DEVICE)
        if len(shape) == 3:
            net = net.to(memory_format=LAST)
            self.x = self.x.to(memory_format=LAST)
        self.net = torch.compile(net) if kind.startswith("compiled") else net
        fused = ON_GPU and kind not in ("fp32", "eager")
        self.optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, **({"fused": True} if fused else {}))
        self.scaler = gradient_scaler() if self.mixed else None
        self.criterion = nn.CrossEntropyLoss()
        self.loss = None
        self.run = self.step if "graph" not in kind or not ON_GPU else self.captured()

    def step(self):
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(DEVICE, dtype=HALF, enabled=self.mixed):
            loss = self.criterion(self.net(self.x), self.y)
        if self.scaler is None:
            loss.backward()
            self.optimizer.step()
        else:
            self.scaler.scale(loss).backward()
            self.scaler.step(self.optimizer)
            self.scaler.update()
        self.loss = loss.detach()

    def captured(self):
        """As PyTorch's notes on CUDA graphs capture a whole step: warmed up on a side stream, which makes the state that lives on."""
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(11):
                self.step()
        torch.cuda.current_stream().wait_stream(side)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.step()
        return graph.replay


def train(workload, kind, seconds, batch):
    if workload not in WORKLOADS or kind not in TYPES:
        sys.exit(f"peer_pytorch.py: expected one of {', '.join(WORKLOADS)} and one of {', '.join(TYPES)}, got '{workload}' and '{kind}'.")
    training = Training(workload, kind, batch)
    calls = 1

    def burst():
        start = time.perf_counter()
        for _ in range(calls):
            training.run()
        synchronize()
        return time.perf_counter() - start

    for _ in range(3):
        burst()  # cuDNN tries its algorithms, the compiler compiles
    while burst() < BURST_SECONDS and calls < 2048:
        calls *= 2
    steps, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        burst()
        steps += calls
    rate = steps * training.batch / (time.perf_counter() - start)
    peak = torch.cuda.max_memory_allocated() / 1e6 if ON_GPU else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    print(f"pytorch {workload} {kind} {rate:.1f} samples/s  peak {peak:.0f} MB  loss {training.loss.item():.3f}", flush=True)


# Kernels by themselves, under the names that our verbs gemm and bandwidth give them. "A + B" is what we do in two kernels.

def seconds_of(run):
    """Seconds of one call: the median of bursts, of which only the end is waited for."""
    run()
    synchronize()
    calls = 1

    def burst():
        start = time.perf_counter()
        for _ in range(calls):
            run()
        synchronize()
        return (time.perf_counter() - start) / calls

    while burst() * calls < 0.02:
        calls *= 2
    times, start = [], time.perf_counter()
    while len(times) < 3 or (len(times) < 7 and time.perf_counter() - start < 1):
        times.append(burst())
    times.sort()
    return (times[len(times) // 2] + times[(len(times) - 1) // 2]) / 2


class Table:
    def __init__(self, path):
        self.path = path

    def add(self, name, run, bytes_moved=0, flop=0):
        seconds = seconds_of(run)
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps({"name": name, "seconds": seconds, "bytes": bytes_moved, "flop": flop}) + "\n")
        rate = f"{flop / seconds / 1e9:12.1f} GFLOP/s" if flop else f"{bytes_moved / seconds / 1e9:12.1f} GB/s"
        print(f"{name:<52}{seconds * 1e3:10.4f} ms{rate}", flush=True)


def uniform(*shape, dtype=HALF):
    return torch.rand(shape, device=DEVICE, dtype=torch.float32).sub_(0.5).to(dtype)


def matmul(table):
    for n in (int(n) for n in os.environ.get("SIZES", "4096,8192").split(",")):
        a, b, c = uniform(n, n), uniform(n, n), torch.empty(n, n, device=DEVICE, dtype=HALF)
        table.add(f"matmul {n}", lambda: torch.matmul(a, b, out=c), flop=2.0 * n ** 3)


def singles(table):
    """In FP32 throughout, not TF32, as ours."""
    torch.set_float32_matmul_precision("highest")
    for n in (int(n) for n in os.environ.get("SINGLES", "4096").split(",")):
        a, b, c = uniform(n, n, dtype=torch.float32), uniform(n, n, dtype=torch.float32), torch.empty(n, n, device=DEVICE)
        table.add(f"single matmul {n}", lambda: torch.matmul(a, b, out=c), flop=2.0 * n ** 3)


def resnet50_convolutions():
    """kernel, stride, size, channels, filters: each 1x1 and 3x3 shape once, in the order of DeviceProducts.cs."""
    size, channels, found = 56, 64, []
    for filters, blocks in RESNET50:
        for block in range(blocks):
            stride = 2 if block == 0 and filters > 64 else 1
            found += [(1, 1, size, channels, filters), (3, stride, size, filters, filters), (1, 1, size // stride, filters, 4 * filters)]
            if block == 0:
                found.append((1, stride, size, channels, 4 * filters))
            size, channels = size // stride, 4 * filters
    return list(dict.fromkeys(found))


def convolutions(table):
    batch = int(os.environ.get("BATCH", "128"))
    for kernel, stride, size, channels, filters in resnet50_convolutions():
        x = uniform(batch, channels, size, size).to(memory_format=LAST)
        w = uniform(filters, channels, kernel, kernel).to(memory_format=LAST)
        pad = kernel // 2
        y = torch.conv2d(x, w, None, stride, pad)
        dy = uniform(*y.shape).to(memory_format=LAST)
        flop = 2.0 * y.numel() * channels * kernel * kernel

        def backward(of_input, of_weight):
            return torch.ops.aten.convolution_backward(dy, x, w, None, [stride] * 2, [pad] * 2, [1, 1], False, [0, 0], 1, [of_input, of_weight, False])

        name = f"conv {kernel}x{kernel}/{stride} {size}x{size}x{channels} to {filters}"
        table.add(f"{name} forward", lambda: torch.conv2d(x, w, None, stride, pad), flop=flop)
        table.add(f"{name} weight gradient", lambda: backward(False, True), flop=flop)
        table.add(f"{name} input gradient", lambda: backward(True, False), flop=flop)


def bandwidth(table):
    elements = int(os.environ.get("MILLIONS", "64")) << 20
    width, channels, pixels = 1024, 64, 32
    rows, batch = elements // width, elements // (channels * pixels * pixels)
    half, single = 2, 4

    x, y, dy = uniform(rows, width), torch.empty(rows, width, device=DEVICE, dtype=HALF), uniform(rows, width)
    table.add("Copy", lambda: y.copy_(x), 2.0 * half * elements)
    weight, bias = uniform(width), uniform(width)
    _, mean, inverse = torch.native_layer_norm(x, [width], weight, bias, 1e-5)
    table.add("LayerNorm.Forward", lambda: torch.native_layer_norm(x, [width], weight, bias, 1e-5), 2.0 * half * elements)
    table.add("LayerNorm.Backward + LayerNorm.WeightGradient", lambda: torch.ops.aten.native_layer_norm_backward(
        dy, x, [width], mean, inverse, weight, bias, [True, True, True]), 3.0 * half * elements)
    table.add("Softmax.Forward", lambda: torch.softmax(x, 1), 2.0 * half * elements)
    softmax = torch.softmax(x, 1)
    table.add("Softmax.Backward", lambda: torch.ops.aten._softmax_backward_data(dy, softmax, 1, HALF), 3.0 * half * elements)
    del x, y, dy, softmax, mean, inverse

    norm = nn.BatchNorm2d(channels).to(DEVICE).train()
    image = uniform(batch, channels, pixels, pixels).to(memory_format=LAST).requires_grad_()
    gradient = uniform(batch, channels, pixels, pixels).to(memory_format=LAST)
    with torch.autocast(DEVICE, dtype=HALF):  # statistics and weights in FP32, as AMP has them
        table.add("BatchNorm.Statistics + BatchNorm.Forward", lambda: norm(image), 2.0 * half * elements)
        output = norm(image)
    table.add("BatchNorm.Sums + BatchNorm.Backward",
              lambda: torch.autograd.grad(output, [image, norm.weight, norm.bias], gradient, retain_graph=True), 3.0 * half * elements)
    del image, gradient, output

    # AMP keeps FP32 weights and gradients. Ours reads FP16 gradients, and writes FP16 weights beside the masters.
    side = int(elements ** 0.5)
    parameter = nn.Parameter(uniform(side, side, dtype=torch.float32))
    optimizer = torch.optim.Adam([parameter], **({"fused": True} if ON_GPU else {}))
    scaler = gradient_scaler()
    parameter.grad = uniform(side, side, dtype=torch.float32)
    scaler.scale(torch.zeros((), device=DEVICE))  # makes its state

    def update():
        scaler.step(optimizer)
        scaler.update()

    table.add("GradientScan + Adam.Update", update, 9.0 * single * side * side)


def main(args):
    if ON_GPU and not torch.cuda.is_available():
        sys.exit(f"peer_pytorch.py: expected a GPU that PyTorch {torch.__version__} can use, found none.")
    torch.backends.cudnn.benchmark = True
    groups = {"matmul": matmul, "singles": singles, "convolutions": convolutions, "bandwidth": bandwidth}
    if args == ["version"]:
        print(f"PyTorch {torch.__version__}, CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}")
    elif len(args) >= 3 and args[0] == "kernels" and all(group in groups for group in args[2:]):
        for group in args[2:]:
            groups[group](Table(args[1]))
    elif len(args) in (3, 4) and args[0] != "kernels":
        train(args[0], args[1], float(args[2]), int(args[3]) if len(args) == 4 else None)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
