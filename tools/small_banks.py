#!/usr/bin/env python3
"""What a hundred or a thousand rows give: the figures of docs/from-your-own-export.md.

    small_banks.py MMRA videos.csv     (MicroLens-100k with the authors' split, as `mmra import microlens` makes it)

Draws rows from the train split, trains on 80 % of them, stops and calibrates by the rest, and scores on the whole test
split; then the same for a niche of the data with and without all that is not of it. Prints one JSON object a run, to be
read with any tool. One thread; about half an hour on two cores. Python 3.9 or later, no packages.
"""

import csv
import json
import random
import re
import subprocess
import sys
import tempfile
from pathlib import Path

NICHE = re.compile(r"naruto|anime|manga|comic|animation|cartoon", re.I)
NICHE_TEST_ROWS = 600
NICHE_SEED = 77


def divide(rows, seed):
    """80 % to train, the rest (at least 8) to stop and calibrate."""
    rows = rows[:]
    random.Random(seed).shuffle(rows)
    valid = max(8, round(0.2 * len(rows)))
    return rows[valid:], rows[:valid]


def run(program, *arguments):
    return subprocess.run([program, *arguments, "--quiet", "--threads", "1"], check=True, capture_output=True,
                          text=True).stdout


def measure(program, what, parts, models, **about):
    with tempfile.TemporaryDirectory() as directory:
        directory = Path(directory)
        with open(directory / "m.csv", "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["id", "title", "popularity", "split"])
            for rows, split in parts:
                for row in rows:
                    writer.writerow([row["id"], row["title"], row["popularity"], split])
        bank = directory / "bank"
        run(program, "ingest", directory / "m.csv", "--bank", bank, "--unit", "comments")
        for model in models:
            run(program, "train", "--bank", bank, "--out", directory / model, "--model", model)
            scores = json.loads(run(program, "evaluate", "--bank", bank, "--model", directory / model, "--json"))
            calibration = json.loads((directory / model / "calibration.json").read_text())
            print(json.dumps({"what": what, "model": model, **about,
                              **{key: scores[key] for key in ("n", "nmse", "mae", "src")},
                              "coverage": scores["interval"]["coverage"],
                              "half_width_log2": calibration["half_width_log2"],
                              "calibration_rows": calibration["num_rows"]}), flush=True)


def main(program, manifest):
    with open(manifest, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    train = [row for row in rows if row["split"] == "train"]
    test = [row for row in rows if row["split"] == "test"]
    for count, seeds in ((100, 5), (300, 3), (1000, 3), (3000, 2)):
        for seed in range(seeds):
            own, valid = divide(random.Random(1000 * count + seed).sample(train, count), seed)
            measure(program, "own", [(own, "train"), (valid, "valid"), (test, "test")], ["mean", "ridge", "mmra-plus"],
                    rows=count, seed=seed)

    niche = [row for row in rows if NICHE.search(row["title"])]
    other = [row for row in rows if not NICHE.search(row["title"])]
    elsewhere = [([row for row in other if row["split"] != "valid"], "train"),
                 ([row for row in other if row["split"] == "valid"], "valid")]
    random.Random(NICHE_SEED).shuffle(niche)
    test, pool = niche[:NICHE_TEST_ROWS], niche[NICHE_TEST_ROWS:]
    models = ["ridge", "mmra-plus"]
    measure(program, "elsewhere", [*elsewhere, (test, "test")], models, rows=0, seed=0)
    for count in (100, 1000):
        for seed in range(2):
            own, valid = divide(random.Random(31 * count + seed).sample(pool, count), seed)
            mine = [(own, "train"), (valid, "valid"), (test, "test")]
            measure(program, "niche", mine, models, rows=count, seed=seed)
            measure(program, "both", [*elsewhere, *mine], models, rows=count, seed=seed)


if __name__ == "__main__":
    main(*sys.argv[1:3])
