#!/usr/bin/env python3
"""Runs the authors' CLSTM, CBAN, HMMVED, MASSL and TMALL, which our `released` variants must equal.

Usage: python3 tools/golden/neural_baselines.py CHECKOUT tests/golden/neural_baselines

(Debian: python3-torch.) CHECKOUT is a working copy of the public repository ICDM-UESTC/MMRA. Its CBAN
has a pooling matrix for four frames; the script puts one for the case's frames there. Where noise is
given, torch.randn_like returns made numbers; where it is seeded, both sides draw from the same
generator in training mode, dropout included. Nothing else is changed.

The TMALL of its own paper (Chen et al., Micro Tells Macro, ACM MM 2016) is not in that repository: the
script has the objective written down once more, in loops.

Weights and features are functions of a name and an index (made_numbers.py). A file has the forward pass
in float64 and float32, the objective, its gradients and the change that one step of Adam makes.
"""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import torch

from made_numbers import made, made_features, made_popularity, made_weight, summary

FULL_VALUES = 40  # tensors up to this size are written whole
SEED = 7
RATE = {"clstm": 1e-4, "cban": 1e-4, "hmmved": 1e-4, "massl": 1e-4, "tmall": 1e-3,
        "tmall_paper": 1e-3}
FOLDERS = {"clstm": "Contexual_LSTM", "cban": "CBAN", "hmmved": "HMMVED", "massl": "MASSL",
           "tmall": "TMALL"}
LATENT = {"hmmved": 50, "massl": 256}
SIZES = [{"size": "reduced", "feature_dim": 16, "frames": 3, "batch": 5},
         {"size": "one_frame", "feature_dim": 8, "frames": 1, "batch": 4},
         {"size": "true_size", "feature_dim": 768, "frames": 10, "batch": 3}]


def load(checkout, kind):
    """The module model.py of one of their folders, which import each other by bare names."""
    folder = Path(checkout) / "baselines" / FOLDERS[kind]
    sys.path.insert(0, str(folder))
    sys.modules.pop("visual_encoder", None)
    spec = importlib.util.spec_from_file_location(f"authors_{kind}", folder / "model.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.path.remove(str(folder))
    return module


def make_model(module, case, dtype):
    dim, kind = case["feature_dim"], case["kind"]
    if kind == "clstm":
        model = module.ContextualLSTM(dim, dim, 50, 1)
    elif kind == "cban":
        model = module.CBAN(dim)
        model.add_attention_matrix_1 = torch.nn.Parameter(torch.empty(case["frames"], dim))
    elif kind == "hmmved":
        model = module.HMMVED(dim, LATENT[kind])
    elif kind == "massl":
        model = module.MASSL(dim, LATENT[kind])
    else:
        model = module.TransductiveModel(2, [dim, dim], 256, 1)
    model = model.to(dtype)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.copy_(made_weight(name, tuple(weight.shape)))
    return model


def tensor(array, dtype):
    return torch.from_numpy(np.ascontiguousarray(array)).to(dtype)


def inputs_of(case, dtype, rows=None):
    dim, frames, items = case["feature_dim"], case["frames"], rows or case["batch"]
    visual = made_features("visual", items * frames * dim).reshape(items, frames, dim)
    text = made_features("text", items * dim).reshape(items, dim)
    labels = np.log2(made_popularity(items)).astype(np.float32)[:, None]
    return tensor(visual, dtype), tensor(text, dtype), tensor(labels, dtype)


class GivenNoise:
    """While it lives, torch.randn_like(x) is made numbers in [-2, 2)."""

    def __enter__(self):
        self.original = torch.randn_like
        torch.randn_like = lambda x: tensor(
            2.0 * made("noise", x.numel()).reshape(tuple(x.shape)), x.dtype)

    def __exit__(self, *_):
        torch.randn_like = self.original


def objective(model, case, dtype):
    """Output and loss as the authors' train.py has them."""
    visual, text, labels = inputs_of(case, dtype)
    if case["kind"] in LATENT:
        output, divergence = model(visual, text)
        return output, 0.95 * torch.nn.functional.mse_loss(output, labels) + 0.05 * divergence
    output = model(visual, text)
    return output, torch.nn.functional.mse_loss(output, labels)


def tmall_objective(module, model, case, dtype):
    """Of train.py: the rows of the batch and as many test rows, each with one visual vector."""
    batch = case["batch"]
    visual, text, labels = inputs_of(case, dtype, 2 * batch)
    visual = visual[:, 0]
    output = model([visual, text])
    error = torch.nn.functional.mse_loss(output[:batch], labels[:batch])
    grams = [torch.mm(x.T, x) for x in (visual, text)]
    return output, error + module.laplacian_penalty(grams, 1.0)


def learned(model, loss, rate):
    """Gradients, and the change by a step of Adam, of all weights that take part."""
    loss.backward()
    weights = {name: w for name, w in model.named_parameters() if w.grad is not None}
    before = {name: w.detach().clone() for name, w in weights.items()}
    gradients = {name: summary(name, w.grad, FULL_VALUES) for name, w in weights.items()}
    torch.optim.Adam(model.parameters(), rate).step()
    changes = {name: summary(name, w - before[name], FULL_VALUES) for name, w in weights.items()}
    return {"gradients": gradients, "adam_changes": changes, "adam_rate": rate,
            "num_parameters": sum(w.numel() for w in weights.values())}


def golden(module, case):
    kind = case["kind"]

    def run(model, dtype):
        if kind == "tmall":
            return tmall_objective(module, model, case, dtype)
        return objective(model, case, dtype)

    model = make_model(module, case, torch.float64).eval()
    with GivenNoise():
        output, loss = run(model, torch.float64)
        with torch.no_grad():
            in_float = run(make_model(module, case, torch.float32).eval(), torch.float32)[0]
    rows = case["batch"]
    result = {**case, "torch": torch.__version__, "forward_float64": output[:rows, 0].tolist(),
              "forward_float32": in_float[:rows, 0].tolist(), "objective": loss.item(),
              **learned(model, loss, RATE[kind])}
    if kind in LATENT and case["frames"] == 1:
        # With one frame their layer and ours draw the same masks; with more, theirs draws for the
        # frames too that nothing comes of.
        model = make_model(module, case, torch.float64).train()
        torch.manual_seed(SEED)
        loss = run(model, torch.float64)[1]
        loss.backward()
        result["seeded"] = {
            "seed": SEED, "objective": loss.item(),
            "gradients": {name: summary(name, w.grad, FULL_VALUES)
                          for name, w in model.named_parameters() if w.grad is not None}}
    return result


# TMALL as its paper has it. Rows: the first `batch` are labelled; row 1 has no video, row 2 no title,
# one of the unlabelled has neither.
PAPER_CASE = {"kind": "tmall_paper", "size": "reduced", "visual_dim": 6, "text_dim": 4, "frames": 3,
              "words": 2, "batch": 5, "rows": 9, "width": 8, "smoothness": 0.7,
              "disagreement": 30.0, "without_video": [1, 7], "without_title": [2, 7]}


def paper_laplacian(x):
    """L / tr L of the graph with edges exp(-|xi - xj|^2 / median^2): one entry at a time."""
    n = x.shape[0]
    squared = [[((x[i] - x[j]) ** 2).sum() for j in range(n)] for i in range(n)]
    apart = sorted(squared[i][j].item() for i in range(n) for j in range(n) if i != j)
    median = apart[(len(apart) - 1) // 2]
    edges = [[torch.exp(-squared[i][j] / median) for j in range(n)] for i in range(n)]
    degree = [sum(row) for row in edges]
    laplacian = torch.stack([
        torch.stack([(1.0 if i == j else 0.0) - edges[i][j] / torch.sqrt(degree[i] * degree[j])
                     for j in range(n)]) for i in range(n)])
    return laplacian / sum(laplacian[i, i] for i in range(n))


def tmall_paper_golden():
    case = PAPER_CASE
    rows, dims = case["rows"], {"visual": case["visual_dim"], "text": case["text_dim"]}
    counts = {"visual": case["frames"], "text": case["words"]}
    lacking = {"visual": case["without_video"], "text": case["without_title"]}
    shapes = {"shared_space_matrix": (sum(dims.values()), case["width"]),
              "popularity_prediction.weight": (1, case["width"]),
              "popularity_prediction.bias": (1,), "absent.visual": (dims["visual"],),
              "absent.text": (dims["text"],)}
    weights = {}
    for name, shape in shapes.items():
        weights[name] = torch.nn.Parameter(made_weight(name, shape).double())
    features = {m: tensor(made_features(m, rows * counts[m] * dims[m])
                          .reshape(rows, counts[m], dims[m]).mean(1), torch.float64) for m in dims}
    labels = tensor(np.log2(made_popularity(rows)).astype(np.float32), torch.float64)
    joined = torch.stack([
        torch.cat([weights[f"absent.{m}"] if i in lacking[m] else features[m][i] for m in dims])
        for i in range(rows)])
    shared = joined @ weights["shared_space_matrix"]
    f = (shared @ weights["popularity_prediction.weight"].T)[:, 0] \
        + weights["popularity_prediction.bias"]
    batch = case["batch"]
    whole = paper_laplacian(shared)
    loss = ((f[:batch] - labels[:batch]) ** 2).mean() \
        + case["smoothness"] * sum(f[i] * whole[i, j] * f[j] for i in range(rows)
                                   for j in range(rows))
    for m in dims:
        own = [i for i in range(rows) if i not in lacking[m]]
        difference = paper_laplacian(shared[own]) - paper_laplacian(features[m][own])
        loss = loss + case["disagreement"] * (difference ** 2).sum()

    class Holder(torch.nn.Module):
        def named_parameters(self):
            return weights.items()

        def parameters(self):
            return weights.values()

    return {**case, "torch": torch.__version__, "forward_float64": f[:batch].tolist(),
            "objective": loss.item(), **learned(Holder(), loss, RATE["tmall_paper"])}


def write(out, result):
    text = json.dumps(result, indent=0)
    (out / f"{result['kind']}_{result['size']}.json").write_text(text + "\n")


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    torch.set_num_threads(1)
    out = Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    for kind in FOLDERS:
        module = load(sys.argv[1], kind)
        for size in SIZES:
            if kind == "tmall" and size["frames"] > 1:
                continue  # theirs takes one visual vector
            write(out, golden(module, {"kind": kind, **size}))
    write(out, tmall_paper_golden())


if __name__ == "__main__":
    main()
