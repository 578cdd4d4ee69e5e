# SPDX-License-Identifier: Apache-2.0
"""tests/integration/predict.py - the predictions that config.json puts into words, in NumPy and double,
from a model's arrays and raw features."""

import numpy


def relu(z):
    return numpy.maximum(z, 0)


def linear(model, x):
    return x.astype("float64") @ model["weights"] + model["bias"]


def factorization_machine(model, x):
    x = x.astype("float64")
    bias, weights, factors = (model[name].astype("float64") for name in ("bias", "linear", "factors"))
    return bias + x @ weights + ((x @ factors) ** 2 - x**2 @ factors**2).sum(axis=1) / 2


def dense(model, x, activation=relu):
    h = x.astype("float64")
    for i in range(1, 9):
        if f"hidden_{i}.weights" in model:
            h = activation(h @ model[f"hidden_{i}.weights"] + model[f"hidden_{i}.bias"])
    return h @ model["output.weights"] + model["output.bias"]


def conv(x, weights, bias, stride):
    """A padded convolution, (rows, channels, height, width)."""
    pad = weights.shape[2] // 2
    x = numpy.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    windows = numpy.lib.stride_tricks.sliding_window_view(x, weights.shape[2:], (2, 3))
    windows = windows[:, :, ::stride, ::stride]
    return numpy.einsum("nchwij,ocij->nohw", windows, weights, optimize=True) + bias[:, None, None]


def residual_network(model, images):
    """image-classification of 8 layers, of planes."""
    part = lambda name: (model[f"{name}.weights"].astype("float64"), model[f"{name}.bias"])
    x = (images.astype("float64") - model["input.mean"]) * model["input.inv_std"]
    x = relu(conv(x, *part("stem"), 1))
    for block in ("block_1", "block_2", "block_3"):
        changes = f"{block}.shortcut.weights" in model
        side = conv(x, *part(f"{block}.shortcut"), 2) if changes else x
        middle = relu(conv(x, *part(f"{block}.conv_1"), 2 if changes else 1))
        x = relu(conv(middle, *part(f"{block}.conv_2"), 1) + side)
    return x.reshape(len(x), -1) @ model["output.weights"] + model["output.bias"]


def distances(model, x):
    """Of every row to every centroid of kmeans, squared."""
    return ((x[:, None].astype("float64") - model["centroids"]) ** 2).sum(axis=2)


def projections(model, x):
    """On the components of pca."""
    return (x.astype("float64") - model["mean"]) @ model["components"].T.astype("float64")
