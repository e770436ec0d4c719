"""Writes tests/golden/plus/reference.safetensors: what scikit-learn and NumPy make of a few titles.

Usage: /usr/bin/python3 tools/golden/plus.py tests/golden/plus/reference.safetensors
(Debian 12: python3-sklearn 1.2.1, python3-numpy 1.24; the versions that ran are in the metadata)

60 made titles with hashtags, labels, folds and unit vectors: the Gram matrices of scikit-learn's tf-idf over
words and over characters, the kernel, the kernel ridge solved directly (all rows, and out of fold), and the
statistics of keys and of neighbours, out of fold, each written from its formula in docs/mmra-plus.md.
"""
import json
import re
import sys

import numpy as np
import sklearn
from sklearn.feature_extraction.text import TfidfVectorizer

from baselines import write_safetensors

NUM_ROWS, NUM_FOLDS, LAMBDA = 60, 5, 0.5
WORDS = ("the boat was built by one old man who can't swim and nobody at the harbour ever thought it would "
         "float, until today! Cake baking gone wrong: 3 eggs, 2 spoons of salt? my cat helped").split()
TAGS = ["# funny", "# sea shanty", "#boat", "# Baking # fail", "#cats rule", "# my harbour life"]


def made_titles(rng):
    titles = []
    for i in range(NUM_ROWS):
        begin, size = rng.integers(0, len(WORDS) - 9), rng.integers(1, 10)
        words = WORDS[begin:begin + size]
        tags = [TAGS[j] for j in rng.integers(0, len(TAGS), rng.integers(0, 3))]
        titles.append(" ".join(words + tags))
    return titles


def hashtags(title):
    """Behind "#": the word, or with a space in between everything up to the next "#"."""
    tags = []
    for part in title.split("#")[1:]:
        text = part if part[:1].isspace() else (part.split() or [""])[0]
        tag = re.sub(r"\W", "", text).lower()
        if tag:
            tags.append(tag)
    return tags


def words(title):
    return [word.lower() for word in re.findall(r"\w+", title)]


def pairs(title):
    found = words(title)
    return list(zip(found, found[1:]))


def key_statistics(titles, y, folds, keys, shrinkage):
    rows = []
    for i, title in enumerate(titles):
        others = folds != folds[i]
        mean, sums = y[others].mean(), {}
        for j in np.where(others)[0]:
            for key in set(keys(titles[j])):
                entry = sums.setdefault(key, [0.0, 0])
                entry[0] += y[j] - mean
                entry[1] += 1
        known = [sums[key] for key in set(keys(title)) if key in sums]
        if not known:
            rows.append([0.0] * 7)
            continue
        n = np.array([count for _, count in known], float)
        e = np.array([total for total, _ in known]) / (n + shrinkage)
        w = n / (n + shrinkage)
        rows.append([e.sum(), e.max(), e.min(), n.max(), n.min(), len(known), (w * e).sum() / (w.sum() + 0.3)])
    return np.array(rows)


def ridge(kernel, y, rows, queries):
    mean = y[rows].mean()
    a = np.linalg.solve(kernel[np.ix_(rows, rows)] + LAMBDA * np.eye(len(rows)), y[rows] - mean)
    return a, mean + kernel[np.ix_(queries, rows)] @ a


def neighbour_statistics(kernel, y, folds):
    rows = []
    for i in range(len(y)):
        others = np.where(folds != folds[i])[0]
        order = others[np.argsort(-kernel[i, others], kind="stable")][:100]
        s, q = kernel[i, order].astype(float), y[order]

        def weights(count):
            w = np.exp(20 * (s[:count] - s[0]))
            return w / w.sum()

        found = [s[0], s[:10].mean(), s[:50].mean()]
        found += [(weights(count) * q[:count]).sum() for count in (5, 20, 50, 100)]
        w, r = weights(50), q[:50]
        mean = (w * r).sum()
        found += [np.sqrt((w * (r - mean) ** 2).sum()), 1 / (w * w).sum()]
        rank = np.argsort(r, kind="stable")
        reached = np.cumsum(w[rank])
        found += [r[rank][min((reached < share).sum(), len(r) - 1)] for share in (.1, .25, .5, .75, .9)]
        z = s ** 4
        found.append((z * (q - y[others].mean())).sum() / (z.sum() + 0.05))
        rows.append(found)
    return np.array(rows)


def main(path):
    rng = np.random.default_rng(3)
    titles = made_titles(rng)
    vectors = rng.normal(size=(NUM_ROWS, 6)) + np.arange(6) / 3
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    folds = rng.permutation(NUM_ROWS) % NUM_FOLDS
    y = (5 + np.array([("boat" in t) + len(t) / 40 for t in titles]) + rng.normal(size=NUM_ROWS)).astype(np.float32)
    word_rows = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True,
                                token_pattern=r"(?u)\b\w+\b").fit_transform(titles).toarray()
    char_rows = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), min_df=3,
                                sublinear_tf=True).fit_transform(titles).toarray()
    lexical = (word_rows @ word_rows.T + char_rows @ char_rows.T) / 2
    dense = vectors.astype(float) @ vectors.T.astype(float)
    kernel = 0.6 * np.exp(2 * (lexical - 1)) + 0.4 * np.exp(4 * (dense - 1))
    y64, everyone = y.astype(float), np.arange(NUM_ROWS)
    coefficients, _ = ridge(kernel, y64, everyone, everyone)
    out_of_fold = np.zeros(NUM_ROWS)
    for fold in range(NUM_FOLDS):
        held = np.where(folds == fold)[0]
        out_of_fold[held] = ridge(kernel, y64, np.where(folds != fold)[0], held)[1]
    tensors = {"vectors": vectors, "folds": folds.astype(np.int32), "targets": y,
               "gram.words": word_rows @ word_rows.T, "gram.characters": char_rows @ char_rows.T,
               "kernel": kernel, "ridge.coefficients": coefficients, "ridge.out_of_fold": out_of_fold,
               "keys.hashtags": key_statistics(titles, y64, folds, hashtags, 5),
               "keys.words": key_statistics(titles, y64, folds, words, 20),
               "keys.pairs": key_statistics(titles, y64, folds, pairs, 5),
               "neighbours": neighbour_statistics(kernel, y64, folds)}
    tensors = {name: value if value.dtype == np.int32 else value.astype(np.float32) for name, value in tensors.items()}
    write_safetensors(path, tensors, {"titles": json.dumps(titles), "sklearn": sklearn.__version__,
                                      "numpy": np.__version__})


if __name__ == "__main__":
    main(sys.argv[1])
