#!/usr/bin/env python3
"""Runs the authors' own MMRA and writes tests/golden/released/*.json, which our variant must equal.

Usage: python3 tools/golden_mmra_released.py CHECKOUT tests/golden/released   (Debian: python3-torch)

CHECKOUT is a working copy of the public repository ICDM-UESTC/MMRA. Its forward pass uses self.relu on
the embedding of the labels, which its constructor never makes; the script adds an nn.ReLU there and
changes nothing else.

Weights and features are functions of a name and an index (golden/made_numbers.py), so that both sides make them and
no file holds them. A file has the forward pass in float64 and float32, the gradients of the mean
squared error, the change that one step of Adam makes, and the losses of a few float32 steps. Of large
tensors it has the norm and two projections on made directions, of small ones every value.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent / "golden"))
from made_numbers import hashed, made, made_features, made_popularity, made_weight, summary

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


def made_inputs(case, dtype):
    d, frames, items = case["feature_dim"], case["frames"], case["items"]
    visual = made_features("visual", items * frames * d).reshape(items, frames, d)
    text = made_features("text", items * d).reshape(items, 1, d)
    labels = np.log2(made_popularity(items)).astype(np.float32)
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
    gradients = {name: summary(name, weight.grad, FULL_VALUES) for name, weight in model.named_parameters()}
    torch.optim.Adam(model.parameters(), ADAM_RATE).step()
    changes = {name: summary(name, weight - before[name], FULL_VALUES)
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
