"""Numbers that both sides make: functions of a name and an index, so that no golden file holds them.

tests/model/made_values.h has the same functions.
"""

import numpy as np
import torch

MASK = (1 << 64) - 1


def hashed(name, count):
    """splitmix64 of FNV-1a(name) + index: uint64 [count]."""
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = ((seed ^ byte) * 0x100000001B3) & MASK
    with np.errstate(over="ignore"):
        z = (np.arange(count, dtype=np.uint64) + np.uint64(seed)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def made(name, count):
    """Even in [-1, 1), multiples of 2^-23: float64 [count]."""
    return (hashed(name, count) >> np.uint64(40)).astype(np.float64) / 2.0**23 - 1.0


def made_weight(name, shape):
    """Of the size that PyTorch initialises with; weights of a layer norm are near 1."""
    bound = 1.0 / np.sqrt(float(shape[-1])) if len(shape) >= 2 else 0.05
    centre = 1.0 if ".norm" in name and name.endswith(".weight") else 0.0
    values = (centre + made(name, int(np.prod(shape))) * bound).astype(np.float32)
    return torch.from_numpy(values.reshape(shape))


def made_features(name, count):
    """Multiples of 1/512 in [-2, 2): exact in float16."""
    return (hashed(name, count) >> np.uint64(53)).astype(np.float64) / 512.0 - 2.0


def made_popularity(count):
    return (1 + hashed("popularity", count) % np.uint64(4096)).astype(np.float64)


def summary(name, tensor, full_values):
    """Norm and two projections on made directions; every value of up to `full_values`."""
    values = tensor.detach().numpy().astype(np.float64).ravel()
    result = {"norm": float(np.linalg.norm(values)),
              "projections": [float(np.dot(values, made(f"{name}#{i}", values.size)))
                              for i in range(2)]}
    if values.size <= full_values:
        result["values"] = values.tolist()
    return result
