"""What dividing costs on one machine: `mpirun -n 2` with one thread each beside one process with two
threads, in turns, and how far their losses lie apart.

    python3 bench/ranks.py PROGRAM ingest MANIFEST [TURNS]
    python3 bench/ranks.py PROGRAM train BANK [TURNS] [more flags of mmra train]
"""

import csv
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

RANKS = 2
ENVIRONMENT = {name: value for name, value in os.environ.items()
               if name not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")}
ENVIRONMENT |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}


def run(command):
    ended = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT)
    if ended.returncode != 0:
        sys.exit(f"{' '.join(command)}: {ended.stderr}")
    return json.loads(ended.stdout)


def commands(program, arguments):
    """One process with as many threads as there are ranks, and the ranks."""
    common = [program, *arguments, "--json", "--quiet", "--threads"]
    return {"one process": [*common, str(RANKS)],
            "ranks": ["mpirun", "-q", "-n", str(RANKS), "--bind-to", "core", *common, "1"]}


def losses(model):
    with open(os.path.join(model, "history.csv"), encoding="utf-8") as file:
        return [float(row["train_loss"]) for row in csv.DictReader(file)]


def main():
    program, what, source, *more = sys.argv[1:]
    turns = int(more[0]) if more else 3
    seconds = {"one process": [], "ranks": []}
    curves = {}
    folder = tempfile.mkdtemp(prefix="mmra-ranks-bench-")
    for turn in range(turns):
        out = os.path.join(folder, "out")
        arguments = ([what, source, "--bank", out] if what == "ingest" else
                     [what, "--bank", source, "--out", out, *more[1:]])
        for name, command in commands(program, arguments).items():
            seconds[name].append(run(command)["seconds"])
            if what == "train":
                curves[name] = losses(out)
            shutil.rmtree(out)
            print(f"turn {turn + 1}, {name}: {seconds[name][-1]:.2f} s", flush=True)
    shutil.rmtree(folder)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    print(f"medians: one process {medians['one process']:.2f} s, {RANKS} ranks {medians['ranks']:.2f} s, "
          f"rate of the ranks {medians['one process'] / medians['ranks']:.3f} of its")
    if curves:
        apart = max(abs(a - b) / a for a, b in zip(curves["one process"], curves["ranks"]))
        print(f"losses of {len(curves['ranks'])} epochs: at most {apart:.1e} apart, relative")


if __name__ == "__main__":
    main()
