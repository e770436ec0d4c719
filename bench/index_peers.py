"""Approximate search by others, beside ours: bench_index_search and this script, in one run.

usage: index_peers.py BENCH_INDEX_SEARCH [--rows N] [--dim D] [--bank DIR] [--specs HNSW32 IVF1024,PQ64x4fs] [--peers NAME ...]

Of each peer the narrowest search that finds 95 % of the ten nearest; of those that compare vectors again (ScaNN,
FAISS's RFlat) the fastest of several numbers of these. Needs NumPy, and of faiss-cpu, hnswlib, scann and usearch
(Python packages) those that are to be measured.
"""

import argparse
import os
import statistics
import subprocess
import tempfile
import time

TOP = 10
WIDTHS = (10, 12, 16, 20, 24, 28, 32, 40, 48, 64, 96, 128, 192, 256, 384, 512, 1024)
LISTS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14) + WIDTHS[2:]
COMPARED_AGAIN = (20, 30, 40, 60, 100)
WANTED = 0.95
RUNS = 5


def recall_of(found, wanted):
    return sum(len(set(a) & set(b)) for a, b in zip(found.tolist(), wanted.tolist())) / wanted.size


def memory_mib():
    """The resident memory of this process."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def seconds_of(search, *setting):
    started = time.perf_counter()
    search(*setting)
    return time.perf_counter() - started


def measure(name, made, search, wanted, num_queries, settings=tuple((width,) for width in WIDTHS)):
    """`search(*setting)` gives the ids of all queries' ten; settings that share all but the first number are
    ascending in it. The fastest of those that find enough."""
    enough = {}
    for setting in settings:
        if setting[1:] in enough:
            continue
        recall = recall_of(search(*setting), wanted)
        if recall >= WANTED:
            enough[setting[1:]] = (min(seconds_of(search, *setting) for _ in range(2)), setting, recall)
    if not enough:
        print(f"{name}: made in {made:.1f} s, never finds enough", flush=True)
        return
    _, setting, recall = min(enough.values())
    seconds = []
    processor_seconds = []
    for _ in range(RUNS):
        before = time.process_time()
        seconds.append(seconds_of(search, *setting))
        processor_seconds.append(time.process_time() - before)
    print(f"{name}: made in {made:.1f} s, {setting}, recall@10 {recall:.4f}, "
          f"{num_queries / statistics.median(seconds):.0f} queries/s, {num_queries / min(processor_seconds):.0f} a "
          f"second of processor time; {memory_mib():.0f} MiB resident", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--bank", help="a bank's vectors instead of made ones")
    parser.add_argument("--specs", nargs="*", default=["HNSW32"])
    parser.add_argument("--recall", default="0.96", help="ours is made for, on its own sample")
    parser.add_argument("--peers", nargs="*", default=["faiss", "hnswlib", "usearch", "scann"])
    parser.add_argument("--leaves", type=int, nargs="*", help="of ScaNN's tree")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
        os.environ.pop(name, None)
    os.environ.setdefault("OMP_NUM_THREADS", str(options.threads))
    import numpy

    what = [options.bank, "0"] if options.bank else [str(options.rows), str(options.dim)]
    for spec in options.specs:
        subprocess.run([options.program, "search", spec, *what, options.recall], check=True)
    with tempfile.TemporaryDirectory() as folder:
        files = [os.path.join(folder, name) for name in ("vectors", "queries")]
        options.dim = int(subprocess.run([options.program, "write", *files, *what], check=True,
                                         stdout=subprocess.PIPE).stdout)
        vectors, queries = (numpy.fromfile(file, dtype=numpy.float32).reshape(-1, options.dim)
                            for file in files)
    import faiss

    faiss.omp_set_num_threads(options.threads)
    wanted = faiss.knn(queries, vectors, TOP, metric=faiss.METRIC_INNER_PRODUCT)[1]
    print(f"before the peers: {memory_mib():.0f} MiB resident, {vectors.nbytes / 2**20:.0f} of them vectors")
    if "faiss" in options.peers:
        for spec in options.specs:
            compares_again = "fs" in spec
            index = faiss.index_factory(options.dim, spec + ",RFlat" * compares_again, faiss.METRIC_INNER_PRODUCT)
            started = time.perf_counter()
            if not index.is_trained:
                index.train(vectors[::max(1, len(vectors) // 100_000)])
            index.add(vectors)
            made = time.perf_counter() - started
            space = faiss.ParameterSpace()

            def search(width, compared_again=0):
                space.set_index_parameter(index, "efSearch" if "HNSW" in spec else "nprobe", width)
                if compares_again:
                    space.set_index_parameter(index, "k_factor_rf", compared_again / TOP)
                return index.search(queries, TOP)[1]

            lists = [(width,) for width in (WIDTHS if "HNSW" in spec else LISTS)]
            settings = [(*width, again) for again in COMPARED_AGAIN for width in lists] if compares_again else lists
            measure(f"faiss-cpu {faiss.__version__} {spec}" + ",RFlat" * compares_again, made, search, wanted,
                    len(queries), settings)
            del index
    if "hnswlib" in options.peers:
        import hnswlib

        index = hnswlib.Index(space="ip", dim=options.dim)
        index.init_index(max_elements=len(vectors), ef_construction=40, M=32)
        index.set_num_threads(options.threads)
        started = time.perf_counter()
        index.add_items(vectors)
        made = time.perf_counter() - started

        def search(width):
            index.set_ef(width)
            return index.knn_query(queries, k=TOP)[0].astype(numpy.int64)

        measure("hnswlib M=32", made, search, wanted, len(queries))
    if "usearch" in options.peers:
        import usearch
        from usearch.index import Index

        index = Index(ndim=options.dim, metric="ip", dtype="f32", connectivity=32, expansion_add=40)
        started = time.perf_counter()
        index.add(numpy.arange(len(vectors)), vectors, threads=options.threads)
        made = time.perf_counter() - started

        def search(width):
            index.expansion_search = width
            return index.search(queries, TOP, threads=options.threads).keys.astype(numpy.int64)

        measure(f"usearch {usearch.__version__} f32", made, search, wanted, len(queries))
    if "scann" in options.peers:
        import scann

        root = len(vectors) ** 0.5
        for leaves in options.leaves or (int(root), int(2.3 * root)):
            started = time.perf_counter()
            searcher = (scann.scann_ops_pybind.builder(vectors, TOP, "dot_product")
                        .set_n_training_threads(options.threads)
                        .tree(num_leaves=leaves, num_leaves_to_search=10, training_sample_size=250_000)
                        .score_ah(2, anisotropic_quantization_threshold=0.2).reorder(100).build())
            searcher.set_num_threads(options.threads)
            made = time.perf_counter() - started

            def search(width, compared_again):
                return searcher.search_batched_parallel(
                    queries, leaves_to_search=width,
                    pre_reorder_num_neighbors=compared_again)[0].astype(numpy.int64)

            measure(f"scann {scann.__version__ if hasattr(scann, '__version__') else ''} tree {leaves}", made, search,
                    wanted, len(queries), [(width, again) for again in COMPARED_AGAIN for width in LISTS])
            del searcher


if __name__ == "__main__":
    main()
