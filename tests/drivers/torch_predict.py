# SPDX-License-Identifier: Apache-2.0
"""tests/drivers/torch_predict.py - what PyTorch makes of models, in float32, as its users compute.

    torch_predict.py SITE_PACKAGES [JOBS.json]

Writes scores, distances of kmeans, projections of pca. Jobs are lists of an algorithm, an activation,
and the paths of model.safetensors, of rows and of the result, both .npy. Without jobs it tells whether
this Python has all it needs; of SITE_PACKAGES it takes what it has not itself, as Debian's the safetensors.
"""

import json
import sys
from pathlib import Path

sys.path.append(sys.argv[1])

import numpy  # noqa: E402
import torch  # noqa: E402
import torch.nn.functional as nn  # noqa: E402
from safetensors.torch import load_file  # noqa: E402


def linear(m, x, _):
    return nn.linear(x, m["weights"].T, m["bias"])


def factorization_machine(m, x, _):
    pairs = (x @ m["factors"]) ** 2 - x**2 @ m["factors"] ** 2
    return m["bias"] + x @ m["linear"] + pairs.sum(dim=1) / 2


def dense(m, x, activation):
    for i in range(1, sum(name.startswith("hidden_") for name in m) // 2 + 1):
        x = activation(nn.linear(x, m[f"hidden_{i}.weights"].T, m[f"hidden_{i}.bias"]))
    return nn.linear(x, m["output.weights"].T, m["output.bias"])


def residual_network(m, x, _):
    def conv(x, name, stride):
        weights = m[f"{name}.weights"]
        return nn.conv2d(x, weights, m[f"{name}.bias"], stride, weights.shape[2] // 2)

    x = torch.relu(conv((x - m["input.mean"]) * m["input.inv_std"], "stem", 1))
    for i in range(1, sum(name.endswith("conv_1.bias") for name in m) + 1):
        changes = f"block_{i}.shortcut.weights" in m
        side = conv(x, f"block_{i}.shortcut", 2) if changes else x
        x = torch.relu(conv(x, f"block_{i}.conv_1", 2 if changes else 1))
        x = torch.relu(conv(x, f"block_{i}.conv_2", 1) + side)
    return nn.linear(x.flatten(1), m["output.weights"].T, m["output.bias"])


def distances(m, x, _):
    return ((x[:, None] - m["centroids"]) ** 2).sum(dim=2)


def projections(m, x, _):
    return (x - m["mean"]) @ m["components"].T


ALGORITHMS = {
    "linear-learner": linear,
    "factorization-machines": factorization_machine,
    "mlp": dense,
    "image-classification": residual_network,
    "kmeans": distances,
    "pca": projections,
}


def main():
    for algorithm, activation, model, rows, out in json.loads(Path(sys.argv[2]).read_text()):
        x = torch.from_numpy(numpy.load(rows))
        with torch.inference_mode():
            got = ALGORITHMS[algorithm](load_file(model), x, getattr(torch, activation))
        numpy.save(out, got.numpy())


if __name__ == "__main__" and len(sys.argv) > 2:
    main()
