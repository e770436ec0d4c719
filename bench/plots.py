"""Draws bench/measured.csv, which holds figures of the tables in bench/README.md, into docs/images/bench-indexes.png.

usage: plots.py    (needs Matplotlib, a Python package)
"""

import csv
import os

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")


def read_series():
    """{figure: {series: [(x, y)]}} in the order of the file."""
    figures = {}
    with open(os.path.join(ROOT, "bench", "measured.csv"), encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            points = figures.setdefault(row["figure"], {}).setdefault(row["series"], [])
            points.append((float(row["x"]), float(row["y"])))
    return figures


def main():
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figures = read_series()
    figure, (rate, peers, readers) = pyplot.subplots(1, 3, figsize=(15, 4), constrained_layout=True)
    for series, points in figures["rate"].items():
        rate.loglog(*zip(*points), marker="o", label=series)
    rate.set(title="Packed codes, recall@10 of 0.95 and more", xlabel="vectors x 128", ylabel="queries/s, two threads")
    names = list(figures["peers"])
    values = [figures["peers"][name][0][1] for name in names]
    bars = peers.barh(names, values)
    peers.bar_label(bars, labels=[f"{value:,.0f}" for value in values], padding=3)
    peers.invert_yaxis()
    peers.set(title="A million x 128, recall@10 of 0.95 and more", xlabel="queries/s, two threads",
              xlim=(0, 1.2 * max(values)))
    peers.locator_params(axis="x", nbins=4)
    for series, points in figures["readers"].items():
        readers.plot(*zip(*points), marker="o", label=series)
    readers.set(title="Eight readers beside 5,000 rows/s", xlabel="rows", ylabel="p50, ms")
    readers.legend(loc="center left")
    figure.savefig(os.path.join(ROOT, "docs", "images", "bench-indexes.png"), dpi=80)


if __name__ == "__main__":
    main()
