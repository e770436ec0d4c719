"""Writes tests/golden/baselines/reference.safetensors: what scikit-learn and XGBoost make of small data.

Usage: /usr/bin/python3 tools/golden/baselines.py tests/golden/baselines/reference.safetensors
(Debian 12: python3-sklearn 1.2.1, python3-xgboost 1.7.4; the versions that ran are in the metadata)

200 made rows of at most 3 visual and 4 text tokens, some without one of the two: 120 to train on, 40
that choose (ridge's penalty, the number of trees), 40 to predict.
"""
import json
import sys

import numpy as np
import sklearn
import xgboost
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

NUM_TRAIN, NUM_STOP, NUM_ROWS = 120, 40, 200
LAMBDAS = [1e-1, 1, 1e1, 3e1, 1e2, 3e2, 1e3, 3e3, 1e4, 3e4, 1e5, 1e6, 1e7]


def mean_of_tokens(tokens):
    total = np.zeros(tokens.shape[1], np.float32)
    for token in tokens.astype(np.float32):
        total += token
    return total / np.float32(len(tokens))


def features(visual, num_visual, text, num_text, num_frames):
    """[first frames, flattened | mean of the text tokens], NaN where there is none."""
    rows = []
    for v, nv, t, nt in zip(visual, num_visual, text, num_text):
        frames = np.full((num_frames, v.shape[1]), np.nan, np.float32)
        frames[:min(nv, num_frames)] = v[:min(nv, num_frames)].astype(np.float32)
        words = mean_of_tokens(t[:nt]) if nt else np.full(t.shape[1], np.nan, np.float32)
        rows.append(np.concatenate([frames.ravel(), words]))
    return np.stack(rows)


def split(rows):
    return rows[:NUM_TRAIN], rows[NUM_TRAIN:NUM_TRAIN + NUM_STOP], rows[NUM_TRAIN + NUM_STOP:]


def standardised(rows):
    scaler = StandardScaler().fit(split(rows)[0].astype(np.float64))
    return split(np.nan_to_num(scaler.transform(rows.astype(np.float64)), nan=0.0))


def fit_ridge(train, stop, test, y_train, y_stop):
    def error(penalty):
        model = Ridge(alpha=penalty).fit(train, y_train)
        return np.mean((model.predict(stop) - y_stop) ** 2)

    penalty = min(LAMBDAS, key=error)
    return penalty, Ridge(alpha=penalty).fit(train, y_train).predict(test)


def fit_trees(rows, y_train, y_stop):
    train, stop, test = split(rows)
    parameters = {"objective": "reg:squarederror", "tree_method": "hist", "max_bin": 64,
                  "max_depth": 10, "eta": 0.03, "base_score": float(np.mean(y_train.astype(np.float64))),
                  "seed": 2024, "nthread": 1, "verbosity": 0}
    booster = xgboost.train(parameters, xgboost.DMatrix(train, y_train), 500,
                            evals=[(xgboost.DMatrix(stop, y_stop), "stop")],
                            early_stopping_rounds=20, verbose_eval=False)
    predictions = booster.predict(xgboost.DMatrix(test),
                                  iteration_range=(0, booster.best_iteration + 1))
    return booster.best_iteration + 1, booster.best_score, predictions


def write_safetensors(path, tensors, metadata):
    kinds = {np.dtype(np.float16): "F16", np.dtype(np.float32): "F32", np.dtype(np.int32): "I32"}
    header, data = {"__metadata__": metadata}, b""
    for name, value in tensors.items():
        raw = np.ascontiguousarray(value).tobytes()
        header[name] = {"dtype": kinds[value.dtype], "shape": list(value.shape),
                        "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(len(text).to_bytes(8, "little") + text + data)


def main(path):
    rng = np.random.default_rng(7)
    visual = rng.normal(size=(NUM_ROWS, 3, 6)).astype(np.float16)
    text = (rng.normal(size=(NUM_ROWS, 4, 5)) * [1, 10, 0.1, 1, 0] + [0, 3, 0, 0, 2]).astype(np.float16)
    num_visual = rng.integers(1, 4, NUM_ROWS).astype(np.int32)
    num_text = rng.integers(1, 5, NUM_ROWS).astype(np.int32)
    num_visual[4::9] = 0
    num_text[6::11] = 0
    pooled = features(visual, num_visual, text, num_text, 1)
    flat = features(visual, num_visual, text, num_text, int(num_visual[:NUM_TRAIN].max()))
    signal = np.nan_to_num(pooled)
    y = (5 + signal[:, 0] - 2 * np.abs(signal[:, 1]) + 0.1 * signal[:, 7]
         + rng.normal(size=NUM_ROWS)).astype(np.float32)
    y_train, y_stop, _ = split(y)

    train, stop, test = standardised(pooled)
    svr = SVR().fit(train, y_train).predict(test)
    penalty, ridge = fit_ridge(train, stop, test, y_train, y_stop)
    rounds, score, trees = fit_trees(flat, y_train, y_stop)
    print(f"ridge: lambda {penalty}; trees: best of rounds {rounds}, RMSE {score}")
    f32 = lambda values: np.asarray(values, np.float32)
    write_safetensors(path, {
        "visual": visual, "text": text, "num_visual": num_visual, "num_text": num_text, "targets": y,
        "svr.predictions": f32(svr), "ridge.lambda": f32([penalty]), "ridge.predictions": f32(ridge),
        "trees.rounds": np.asarray([rounds], np.int32), "trees.stop_error": f32([score]),
        "trees.predictions": f32(trees),
    }, {"sklearn": sklearn.__version__, "xgboost": xgboost.__version__, "numpy": np.__version__})


if __name__ == "__main__":
    main(sys.argv[1])
