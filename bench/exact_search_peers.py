"""The top 10 of all against all by others' exact searches, beside ours, in turns; with --one of single queries in a
large table, beside ours through bytes and our plain scan of the floats by all threads.

usage: exact_search_peers.py BENCH_EXACT_SEARCH [--runs N] [--threads N] [--bank DIR] [--one ROWS]

BENCH_EXACT_SEARCH is build/release/bin/bench_exact_search, which makes the vectors and times ours and
oneDNN's bare product. Needs faiss-cpu and NumPy from the Python registry; usearch where it is there.
"""

import argparse
import os
import statistics
import subprocess
import tempfile
import time

DIM = 1024
TOP = 10


def faiss_searches(vectors, threads):
    import faiss

    faiss.omp_set_num_threads(threads)
    flat = faiss.IndexFlatIP(vectors.shape[1])
    flat.add(vectors)
    for block in (1024, 4096, len(vectors)):
        def search(block=block):
            return [flat.search(vectors[i:i + block], TOP + 1) for i in range(0, len(vectors), block)]
        yield f"faiss {faiss.__version__} IndexFlatIP, {block} queries at a time", search
    yield f"faiss {faiss.__version__} knn", lambda: faiss.knn(
        vectors, vectors, TOP + 1, metric=faiss.METRIC_INNER_PRODUCT)


def usearch_searches(vectors, threads):
    try:
        import usearch
        from usearch.index import MetricKind, search
    except (ImportError, AttributeError) as error:
        print(f"usearch is left out: {error}")
        return
    yield f"usearch {usearch.__version__} exact", lambda: search(
        vectors, vectors, TOP + 1, MetricKind.IP, exact=True, threads=threads)


def one_at_a_time(options):
    import faiss
    import numpy

    faiss.omp_set_num_threads(options.threads)
    command = [options.program, "one", str(options.runs), str(options.threads), str(options.one)]
    print(subprocess.run(command, check=True, capture_output=True, text=True).stdout, end="")
    with tempfile.NamedTemporaryFile() as file:
        subprocess.run([options.program, "write", file.name, str(options.one)], check=True,
                       stdout=subprocess.DEVNULL)
        flat = faiss.IndexFlatIP(DIM)
        with open(file.name, "rb") as rows:
            while len(piece := numpy.fromfile(rows, dtype=numpy.float32, count=100_000 * DIM)):
                flat.add(piece.reshape(-1, DIM))
    queries = numpy.stack([flat.reconstruct(i * 7919 % options.one) for i in range(options.runs)])
    seconds = []
    for query in queries:
        start = time.perf_counter()
        flat.search(query[None], TOP + 1)
        seconds.append(time.perf_counter() - start)
    print(f"faiss {faiss.__version__} IndexFlatIP, one query: median {statistics.median(seconds):.4f} s, "
          f"best {min(seconds):.4f} s")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--bank", help="a bank's vectors instead of made ones, all against all")
    parser.add_argument("--one", type=int, metavar="ROWS")
    options = parser.parse_args()
    import numpy

    print({name: os.environ.get(name) for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")})
    if options.one:
        one_at_a_time(options)
        return
    with tempfile.NamedTemporaryFile() as file:
        what = [options.bank] if options.bank else []
        dim = int(subprocess.run([options.program, "write", file.name, *what], check=True,
                                 stdout=subprocess.PIPE).stdout)
        vectors = numpy.fromfile(file.name, dtype=numpy.float32).reshape(-1, dim)
    searches = [*faiss_searches(vectors, options.threads), *usearch_searches(vectors, options.threads)]
    seconds = {name: [] for name, _ in searches}
    ours = []
    for _ in range(options.runs):
        output = subprocess.run([options.program, "all", "1", str(options.threads), *what], check=True,
                                capture_output=True, text=True).stdout
        ours.append(next(float(line.split()[3]) for line in output.splitlines()
                         if line.startswith("exact search:")))
        for name, search in searches:
            start = time.perf_counter()
            search()
            seconds[name].append(time.perf_counter() - start)
    print(f"ours: {statistics.median(ours):.2f} s, median of {options.runs}")
    for name, times in seconds.items():
        ratio = statistics.median(own / other for own, other in zip(ours, times))
        print(f"{name}: {statistics.median(times):.2f} s, ours / theirs {ratio:.2f}")


if __name__ == "__main__":
    main()
