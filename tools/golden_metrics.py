"""Writes tests/golden/metrics/cases.json: metrics as NumPy and SciPy compute them.

Usage: python3 tools/golden_metrics.py tests/golden/metrics/cases.json   (Debian: python3-scipy)

Each case has float32 predictions and targets, and the expected nmse, mae and src over all rows and as
means over batches of `batch_size` rows; null where a metric is undefined.
"""
import json
import math
import sys
import warnings

import numpy as np
from scipy.stats import spearmanr


def metrics(p, t):
    p, t = p.astype(np.float64), t.astype(np.float64)
    constant_t = len(np.unique(t)) < 2
    constant_p = len(np.unique(p)) < 2
    nmse = math.nan if constant_t else np.mean((p - t) ** 2) / np.var(t)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SciPy warns of constant input and gives NaN
        src = math.nan if len(p) < 2 else spearmanr(p, t)[0]
    assert math.isnan(src) == (constant_p or constant_t)
    return np.array([nmse, np.mean(np.abs(p - t)), src])


def as_json(values):
    return {name: None if math.isnan(v) else float(v)
            for name, v in zip(("nmse", "mae", "src"), values)}


def case(name, p, t, batch_size):
    p, t = np.asarray(p, np.float32), np.asarray(t, np.float32)
    batches = [metrics(p[i:i + batch_size], t[i:i + batch_size])
               for i in range(0, len(p), batch_size)]
    return {"name": name, "predictions": p.tolist(), "targets": t.tolist(),
            "batch_size": batch_size, "whole": as_json(metrics(p, t)),
            "batch_means": as_json(np.mean(batches, axis=0))}


def main():
    rng = np.random.default_rng(7)
    t = rng.normal(6.8, 1.7, 300)
    p = t + rng.normal(0, 1.4, 300)
    counts = np.log2(rng.integers(1, 12, 200))
    cases = [
        case("continuous, short last batch", p, t, 64),
        case("many ties in targets", rng.normal(0, 1, 200), counts, 50),
        case("many ties in both", np.round(counts + rng.normal(0, 1, 200)), counts, 50),
        case("perfect", t, t, 100),
        case("reversed", -t, t, 100),
        case("constant prediction", np.full(50, 0.1), t[:50], 25),
        # 0.1 in float32: the mean of 49 of them is not exactly 0.1.
        case("constant targets", p[:49], np.full(49, 0.1), 7),
        case("all constant", np.full(5, 0.1), np.full(5, 0.1), 5),
        case("one row", [3.0], [4.5], 1),
        case("two rows", [3.0, 1.0], [4.5, 2.0], 2),
        case("last batch of one row", p[:9], t[:9], 4),
        case("large offset", p[:100] + 1e4, t[:100] + 1e4, 30),
    ]
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        json.dump(cases, file, indent=None, separators=(",", ":"))
        file.write("\n")


if __name__ == "__main__":
    main()
