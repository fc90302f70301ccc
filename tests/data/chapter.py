#!/usr/bin/env python3
"""What PyTorch says about the chapter's networks, for the tests in tests/tests/chapter.

usage: chapter.py   (needs torch; writes chapter.json and chapter.safetensors beside this script; the files there are from torch 2.15.0)

Numbers are float64. The JSON holds texts, lists and single numbers; the safetensors file holds tensors under `<net>/<name>`:
- flat, nested, tied: the chapter's 4-8-1, `rgnet` and 4-8-8-8-1. `state/…` (every name, aliases too), `x`, `y` (the output), and with the
  loss mse(net(x), target): `target`, `loss`, `grad/…` (each parameter once).
- tied also has `use/2.…` and `use/4.…`: the gradients of the same net with two equal layers instead of one that is used twice.
- autoencoder: tanh(x wᵀ + be) w + bd; rnn: one cell over 5 steps, with `use/<step>.…` for each step's contribution.
- init/…: values of the initializers that draw nothing.
"""
import copy
import json
import pathlib
import struct

import torch
from torch import nn

torch.set_default_dtype(torch.float64)
torch.manual_seed(1)
here = pathlib.Path(__file__).parent
tensors, report = {}, {"torch": torch.__version__.split("+")[0], "nets": {}}


def put(name, tensor):
    tensors[name] = tensor.detach().clone().contiguous()


# The networks of the chapter, as it writes them.
def block1():
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 4), nn.ReLU())


def block2():
    net = nn.Sequential()
    for i in range(4):
        net.add_module(f"block {i}", block1())
    return net


shared = nn.Linear(8, 8)
nets = {
    "flat": nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1)),
    "nested": nn.Sequential(block2(), nn.Linear(4, 1)),
    "tied": nn.Sequential(nn.Linear(4, 8), nn.ReLU(), shared, nn.ReLU(), shared, nn.ReLU(), nn.Linear(8, 1)),
}


def gradients(name, net, loss):
    """The gradients of a net's parameters, each under its first name, and the loss."""
    put(f"{name}/loss", loss)
    loss.backward()
    for path, parameter in net.named_parameters():
        put(f"{name}/grad/{path}", parameter.grad)


for name, net in nets.items():
    # Default weights leave the nested net's output almost without its input; wider ones show more.
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.uniform_(-0.9, 0.9)
    x, target = torch.rand(2, 4), torch.rand(2, 1)
    report["nets"][name] = {
        "print": repr(net),
        "parameters": [[path, list(p.shape)] for path, p in net.named_parameters()],
        "state_dict": [[path, list(p.shape)] for path, p in net.state_dict().items()],
        "count": sum(p.numel() for p in net.parameters()),
        "modules": [[path, type(m).__name__] for path, m in net.named_modules(remove_duplicate=False)],
    }
    for path, value in net.state_dict().items():
        put(f"{name}/state/{path}", value)
    put(f"{name}/x", x)
    put(f"{name}/y", net(x))
    put(f"{name}/target", target)
    gradients(name, net, nn.functional.mse_loss(net(x), target))

# The tied net taken apart: each use is a layer of its own, with the same values.
untied = copy.deepcopy(nets["tied"])
untied[4] = copy.deepcopy(untied[2])
assert untied[4].weight is not untied[2].weight
untied.zero_grad()
nn.functional.mse_loss(untied(tensors["tied/x"]), tensors["tied/target"]).backward()
for use in (2, 4):
    for leaf, parameter in untied[use].named_parameters():
        put(f"tied/use/{use}.{leaf}", parameter.grad)


class Autoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.empty(3, 6).uniform_(-0.7, 0.7))
        self.be = nn.Parameter(torch.empty(3).uniform_(-0.7, 0.7))
        self.bd = nn.Parameter(torch.empty(6).uniform_(-0.7, 0.7))

    def forward(self, x):
        return torch.tanh(x @ self.w.T + self.be) @ self.w + self.bd


class Rnn(nn.Module):
    """`uses`: the cell's matrix of each step, so that its gradient can be seen step by step."""

    def __init__(self):
        super().__init__()
        self.ih, self.hh, self.out = nn.Linear(3, 5), nn.Linear(5, 5, bias=False), nn.Linear(5, 2)

    def forward(self, x, uses=None):
        h = torch.zeros(x.shape[0], 5)
        for step in range(x.shape[1]):
            weight = self.hh.weight if uses is None else uses[step]
            h = torch.tanh(self.ih(x[:, step]) + h @ weight.T)
        return self.out(h)


auto, x = Autoencoder(), torch.rand(4, 6) * 2 - 1
for path, value in auto.state_dict().items():
    put(f"autoencoder/state/{path}", value)
put("autoencoder/x", x)
gradients("autoencoder", auto, nn.functional.mse_loss(auto(x), x))

rnn, x, target = Rnn(), torch.rand(4, 5, 3) * 2 - 1, torch.rand(4, 2)
for path, value in rnn.state_dict().items():
    put(f"rnn/state/{path}", value)
put("rnn/x", x)
put("rnn/target", target)
gradients("rnn", rnn, nn.functional.mse_loss(rnn(x), target))
uses = [rnn.hh.weight.detach().clone().requires_grad_() for _ in range(5)]
nn.functional.mse_loss(rnn(x, uses), target).backward()
for step, use in enumerate(uses):
    put(f"rnn/use/{step}.hh.weight", use.grad)


# What PyTorch's initializers draw from: the arguments that reach uniform_ and normal_, caught on the way.
class Caught(Exception):
    pass


def drawn_from(initialize):
    """The distribution that `initialize` asks for first: {"uniform": [low, high]} or {"normal": [mean, std]}."""

    def catch(kind):
        def method(self, a=0.0, b=1.0, *, generator=None):
            raise Caught(kind, float(a), float(b))

        return method

    originals = torch.Tensor.uniform_, torch.Tensor.normal_
    torch.Tensor.uniform_, torch.Tensor.normal_ = catch("uniform"), catch("normal")
    try:
        initialize()
    except Caught as caught:
        kind, a, b = caught.args
        return {kind: [a, b]}
    finally:
        torch.Tensor.uniform_, torch.Tensor.normal_ = originals
    raise AssertionError("nothing was drawn")


SHAPES = [(8, 4), (1, 8), (16, 3), (6, 4, 3), (8, 4, 3, 3), (4, 2, 3, 2, 2)]
init = report["init"] = {"gain": [], "fans": [], "drawn": []}
for nonlinearity in ["linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
                     "sigmoid", "tanh", "relu", "selu"]:
    init["gain"].append([nonlinearity, None, nn.init.calculate_gain(nonlinearity)])
for slope in [None, 0.0, 0.01, 0.2, 5**0.5]:
    init["gain"].append(["leaky_relu", slope, nn.init.calculate_gain("leaky_relu", slope)])
for shape in SHAPES:
    fan_in, fan_out = nn.init._calculate_fan_in_and_fan_out(torch.empty(shape))
    init["fans"].append([list(shape), fan_in, fan_out])
    weight = torch.empty(shape)

    def case(name, settings, initialize):
        init["drawn"].append({"name": name, "shape": list(shape), "settings": settings, **drawn_from(initialize)})

    for name in ["xavier_uniform", "xavier_normal"]:
        for gain in [1.0, 5 / 3]:
            case(name, {"gain": gain}, lambda: getattr(nn.init, name + "_")(weight, gain=gain))
    for name in ["kaiming_uniform", "kaiming_normal"]:
        for mode in ["fan_in", "fan_out"]:
            for a, nonlinearity in [(0.0, "relu"), (0.0, "leaky_relu"), (5**0.5, "leaky_relu"), (0.0, "tanh"), (0.0, "selu"), (0.0, "linear")]:
                settings = {"a": a, "mode": mode, "nonlinearity": nonlinearity}
                case(name, settings, lambda: getattr(nn.init, name + "_")(weight, **settings))
    case("uniform", {"low": -0.3, "high": 0.5}, lambda: nn.init.uniform_(weight, -0.3, 0.5))
    case("normal", {"mean": 0.1, "std": 0.02}, lambda: nn.init.normal_(weight, 0.1, 0.02))

# The defaults of layers. A layer draws its weight first, then its bias.
init["defaults"] = []
for inputs, outputs in [(4, 8), (8, 1), (20, 8), (3, 300)]:
    layer = nn.Linear(inputs, outputs)
    weight = drawn_from(lambda: nn.init.kaiming_uniform_(layer.weight, a=5**0.5))
    assert drawn_from(layer.reset_parameters) == weight
    kaiming, nn.init.kaiming_uniform_ = nn.init.kaiming_uniform_, lambda *_, **__: None
    bias = drawn_from(layer.reset_parameters)
    nn.init.kaiming_uniform_ = kaiming
    init["defaults"].append({"layer": "Linear", "sizes": [inputs, outputs], "weight": weight, "bias": bias})
init["defaults"].append({"layer": "Embedding", "sizes": [11, 6], "weight": drawn_from(nn.Embedding(11, 6).reset_parameters)})
norm = nn.LayerNorm(5)
init["defaults"].append({"layer": "LayerNorm", "sizes": [5], "weight": {"constant": norm.weight[0].item()}, "bias": {"constant": norm.bias[0].item()}})

# Initializers that draw nothing.
for shape in [(3, 3), (2, 4), (5, 2)]:
    put(f"init/eye/{'x'.join(map(str, shape))}", nn.init.eye_(torch.empty(shape)))
for shape, groups in [((4, 4, 3), 1), ((4, 2, 3, 3), 1), ((6, 3, 5), 2), ((4, 2, 3, 2, 3), 2)]:
    put(f"init/dirac/{'x'.join(map(str, shape))}/{groups}", nn.init.dirac_(torch.empty(shape), groups))
put("init/constant/2x3", nn.init.constant_(torch.empty(2, 3), 42.0))
# orthogonal_: what holds of the result, whatever was drawn. Rows or columns, whichever are fewer, are orthogonal, of length `gain`.
init["orthogonal"] = []
for shape, gain in [((5, 5), 1.0), ((3, 7), 1.0), ((7, 3), 2.0), ((4, 2, 3), 1.5)]:
    w = nn.init.orthogonal_(torch.empty(shape), gain).flatten(1)
    product = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    side = "rows" if w.shape[0] <= w.shape[1] else "columns"
    init["orthogonal"].append({"shape": list(shape), "gain": gain, "side": side, "size": len(product)})
    assert torch.allclose(product, gain**2 * torch.eye(len(product)), atol=1e-12)
# sparse_: zeros per column.
init["sparse"] = []
for shape, sparsity in [((10, 4), 0.1), ((7, 3), 0.5), ((5, 5), 0.9)]:
    zeros = (nn.init.sparse_(torch.empty(shape), sparsity) == 0).sum(0)
    assert (zeros == zeros[0]).all()
    init["sparse"].append({"shape": list(shape), "sparsity": sparsity, "zeros_per_column": int(zeros[0])})

# safetensors, written by hand so that nothing but torch is needed.
header, body = {}, b""
for name, tensor in sorted(tensors.items()):
    raw = b"".join(struct.pack("<d", value) for value in tensor.flatten().tolist())
    header[name] = {"dtype": "F64", "shape": list(tensor.shape), "data_offsets": [len(body), len(body) + len(raw)]}
    body += raw
text = json.dumps(header, separators=(",", ":")).encode()
text += b" " * (-len(text) % 8)
(here / "chapter.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + body)


def lines(value, depth=0):
    """JSON with one item a line, two levels deep."""
    pad = " " * (depth + 1)
    if depth < 2 and isinstance(value, dict):
        return "{\n" + ",\n".join(f"{pad}{json.dumps(k)}: {lines(v, depth + 1)}" for k, v in value.items()) + "\n" + " " * depth + "}"
    if depth < 3 and isinstance(value, list):
        return "[\n" + ",\n".join(pad + json.dumps(v) for v in value) + "\n" + " " * depth + "]"
    return json.dumps(value, ensure_ascii=False)


(here / "chapter.json").write_text(lines(report) + "\n")
print(len(tensors), "tensors,", len(init["drawn"]), "distributions")
