#!/usr/bin/env python3
"""Runs the authors' own MMRA and writes tests/golden/released/*.json, which our variant must equal.

Usage: python3 tools/golden_mmra_released.py CHECKOUT tests/golden/released   (Debian: python3-torch)

CHECKOUT is a working copy of the public repository ICDM-UESTC/MMRA. Its forward pass uses self.relu on
the embedding of the labels, which its constructor never makes; the script adds an nn.ReLU there and
changes nothing else.

Weights and features are functions of a name and an index (`made`), so that both sides make them and
no file holds them. A file has the forward pass in float64 and float32, the gradients of the mean
squared error, the change that one step of Adam makes, and the losses of a few float32 steps. Of large
tensors it has the norm and two projections on made directions, of small ones every value.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch

MASK = (1 << 64) - 1
FULL_VALUES = 400  # tensors up to this size are written whole
CASES = [
    {"name": "reduced", "feature_dim": 12, "frames": 6, "k": 4, "batch": 5, "items": 14,
     "alpha": 0.6, "float_steps": 6, "float_steps_rate": 1e-3},
    {"name": "one_frame", "feature_dim": 8, "frames": 1, "k": 1, "batch": 2, "items": 5,
     "alpha": 0.25, "float_steps": 6, "float_steps_rate": 1e-3},
    {"name": "true_size", "feature_dim": 768, "frames": 10, "k": 10, "batch": 3, "items": 20,
     "alpha": 0.6, "float_steps": 3, "float_steps_rate": 1e-5},
]
ADAM_RATE = 1e-5


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
    bound = 1.0 / np.sqrt(float(shape[-1])) if len(shape) == 2 else 0.05
    values = (made(name, int(np.prod(shape))) * bound).astype(np.float32)
    return torch.from_numpy(values.reshape(shape))


def made_features(name, count):
    """Multiples of 1/512 in [-2, 2): exact in float16."""
    return (hashed(name, count) >> np.uint64(53)).astype(np.float64) / 512.0 - 2.0


def made_inputs(case, dtype):
    d, frames, items = case["feature_dim"], case["frames"], case["items"]
    visual = made_features("visual", items * frames * d).reshape(items, frames, d)
    text = made_features("text", items * d).reshape(items, 1, d)
    popularity = 1 + hashed("popularity", items) % np.uint64(4096)
    labels = np.log2(popularity.astype(np.float64)).astype(np.float32)
    batch, k = case["batch"], case["k"]
    rows = (hashed("instances", batch * k) % np.uint64(items)).astype(np.int64).reshape(batch, k)
    similarities = made("similarities", batch * k).astype(np.float32).reshape(batch, k)

    def tensor(array):
        return torch.from_numpy(np.ascontiguousarray(array)).to(dtype)

    inputs = (tensor(visual[:batch]), tensor(text[:batch]), tensor(similarities),
              tensor(visual[rows]), tensor(text[rows][:, :, 0]), tensor(labels[rows][:, :, None]))
    return inputs, tensor(labels[:batch, None])


def made_model(authors, case, dtype):
    model = authors(alpha=case["alpha"], frame_num=case["frames"], feature_dim=case["feature_dim"])
    model.relu = torch.nn.ReLU()
    model = model.to(dtype)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.copy_(made_weight(name, tuple(weight.shape)))
    return model


def summary(name, tensor):
    values = tensor.detach().numpy().astype(np.float64).ravel()
    result = {"norm": float(np.linalg.norm(values)),
              "projections": [float(np.dot(values, made(f"{name}#{i}", values.size)))
                              for i in range(2)]}
    if values.size <= FULL_VALUES:
        result["values"] = values.tolist()
    return result


def float_losses(authors, case):
    model = made_model(authors, case, torch.float32)
    inputs, labels = made_inputs(case, torch.float32)
    adam = torch.optim.Adam(model.parameters(), case["float_steps_rate"])
    losses = []
    for _ in range(case["float_steps"]):
        loss = torch.nn.functional.mse_loss(model(*inputs), labels)
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    return losses


def golden(authors, case):
    with torch.no_grad():
        in_float = made_model(authors, case, torch.float32)(*made_inputs(case, torch.float32)[0])
    model = made_model(authors, case, torch.float64)
    inputs, labels = made_inputs(case, torch.float64)
    output = model(*inputs)
    loss = torch.nn.functional.mse_loss(output, labels)
    loss.backward()
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    gradients = {name: summary(name, weight.grad) for name, weight in model.named_parameters()}
    torch.optim.Adam(model.parameters(), ADAM_RATE).step()
    changes = {name: summary(name, weight - before[name])
               for name, weight in model.named_parameters()}
    return {**case, "torch": torch.__version__,
            "num_parameters": sum(weight.numel() for weight in model.parameters()),
            "forward_float64": output[:, 0].tolist(), "forward_float32": in_float[:, 0].tolist(),
            "loss_float64": loss.item(), "gradients": gradients,
            "adam_rate": ADAM_RATE, "adam_changes": changes,
            "float_losses": float_losses(authors, case)}


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.path.insert(0, sys.argv[1])
    from model.MicroLens100k.MMRA import Model
    torch.set_num_threads(1)
    out = Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    for case in CASES:
        text = json.dumps(golden(Model, case), indent=0)
        (out / f"{case['name']}.json").write_text(text + "\n")


main()
