"""What a bank on a Milvus server must survive, by the program against a real server: the server killed while it is
written, changed and searched; connections cut half-way; a full disk under it. Nothing that was acknowledged is lost,
nothing is there twice, the program ends with one line that says what happened, and run again it finishes.

    faults_test.py [--times 20] [--seed 1] [--fault KIND ...]

By scripts/milvus_faults.sh. MMRA_PROGRAM is build/release/bin/mmra. The server is started here, one for each kind,
with data and ports of its own (MILVUS_PORT, MILVUS_MANAGEMENT_PORT); a disk that is full wants root (a tmpfs is
mounted) and is left out, saying so, without.
"""

import argparse
import csv
import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

PROGRAM = os.environ["MMRA_PROGRAM"]
ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../../.."))
PORT = int(os.environ.get("MILVUS_PORT", "19630"))
MANAGEMENT = int(os.environ.get("MILVUS_MANAGEMENT_PORT", "9631"))
NUM_ROWS = 400
KINDS = ("killed_in_ingest", "killed_in_update", "killed_in_search", "cut_in_ingest", "full_disk")


class Server:
    """scripts/milvus.sh, its data in `home`."""

    def __init__(self, home):
        self.environment = dict(os.environ, MILVUS_HOME=home, MILVUS_PORT=str(PORT), MILVUS_MANAGEMENT_PORT=str(MANAGEMENT),
                                # All collections in one log, as on a server of many: docs/milvus.md.
                                ROOTCOORD_DMLCHANNELNUM="1")
        self.home = home
        self.seconds_to_start = []

    def script(self, *arguments):
        return subprocess.run(["bash", "scripts/milvus.sh", *arguments], cwd=ROOT, env=self.environment,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)

    def start(self):
        begun = time.monotonic()
        started = self.script("start")
        self.seconds_to_start.append(time.monotonic() - begun)
        if started.returncode != 0:
            raise RuntimeError("the server does not start: " + started.stderr.strip())

    def stop(self):
        self.script("stop")

    def kill(self):
        """As a power cut would, but for what the kernel has yet to write."""
        self.script("kill")


class CuttingProxy:
    """Passes connections on, and cuts each of the first `num_cuts` after some bytes of the answers or questions."""

    def __init__(self, target, num_cuts, seed):
        self.target = target
        self.random = random.Random(seed)
        self.num_cuts = num_cuts
        self.num_cut = 0
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                budget = self.random.randrange(1, 60_000) if self.num_cut < self.num_cuts else None
                self.num_cut += budget is not None
            server = socket.create_connection(("127.0.0.1", self.target))
            left = [budget]
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self.pump, args=(source, sink, left), daemon=True).start()

    @staticmethod
    def pump(source, sink, left):
        try:
            while data := source.recv(16384):
                if left[0] is not None:
                    data = data[:max(left[0], 0)]
                    left[0] -= len(data)
                sink.sendall(data)
                if left[0] is not None and left[0] <= 0:
                    break
        except OSError:
            pass
        for each in (source, sink):
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.listener.close()


class Run:
    """One bank on the server, and what it must hold."""

    def __init__(self, server, folder, number, seed):
        self.server = server
        self.random = random.Random(seed)
        self.collection = f"faults{number}"
        self.manifest = os.path.join(folder, f"{number}.csv")
        self.half = os.path.join(folder, f"{number}.half.csv")
        self.popularity = {f"v{i}": self.random.randrange(1000) for i in range(NUM_ROWS)}
        words = ["cat", "dog", "boat", "cake", "dance", "river", "train", "snow", "song", "garden"]
        rows = [(name, " ".join(self.random.choices(words, k=5)) + " " + name, count) for name, count in self.popularity.items()]
        for path, some in ((self.manifest, rows), (self.half, rows[:NUM_ROWS // 2])):
            with open(path, "w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([("id", "title", "popularity"), *some])

    def bank(self, port=PORT, management=MANAGEMENT):
        return f"milvus://127.0.0.1:{port}/{self.collection}?management={management}"

    @staticmethod
    def program(*arguments):
        return subprocess.Popen([PROGRAM, *arguments, "--quiet"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    @staticmethod
    def finish(process, may_fail=False):
        out, error = process.communicate(timeout=600)
        said = error.strip().splitlines()
        if process.returncode == 0:
            return True, out
        assert may_fail, f"failed: {out}{error}"
        assert process.returncode == 1, f"exit status {process.returncode}: {error}"
        assert len([line for line in said if line.startswith("error: ")]) == 1 and len(said) <= 2, f"not one line: {error}"
        return False, said[-1]

    def run(self, *arguments):
        return self.finish(self.program(*arguments))[1]

    def ingest(self, manifest=None, **ports):
        return self.program("ingest", manifest or self.manifest, "--bank", self.bank(**ports))

    def ingest_half(self):
        self.finish(self.ingest(self.half))

    def export(self):
        """What the bank holds, by id: every value of every record is read and its checksum compared."""
        out = f"{os.path.splitext(self.manifest)[0]}.{len(os.listdir(os.path.dirname(self.manifest)))}.copy"
        self.run("bank", "export", "--bank", self.bank(), "--out", out)
        with open(os.path.join(out, "videos.csv"), newline="", encoding="utf-8") as file:
            found = [(row["id"], float(row["popularity"])) for row in csv.DictReader(file)]
        counted = {}
        if os.path.exists(os.path.join(out, "counts.csv")):
            with open(os.path.join(out, "counts.csv"), newline="", encoding="utf-8") as file:
                counted = {row["id"]: float(row["popularity"]) for row in csv.DictReader(file)}
        shutil.rmtree(out)
        assert len(found) == len(dict(found)), "records are there twice"
        return {**dict(found), **counted}

    def check(self):
        """Every record there, once, with its popularity; every byte verified."""
        self.run("bank", "verify", "--bank", self.bank())
        found = self.export()
        lost = sorted(self.popularity.keys() - found.keys())
        changed = sorted(name for name, count in found.items() if self.popularity.get(name) != count)
        assert not lost, f"{len(lost)} records are lost: {lost[:5]}"
        assert not changed, f"{len(changed)} records are changed: {changed[:5]}"

    def drop(self):
        """The server loads every collection when it starts again."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        for name in (self.collection, self.collection + "_values"):
            body = json.dumps({"collection_name": name}).encode()
            request = urllib.request.Request(f"http://127.0.0.1:{MANAGEMENT}/api/v1/collection", body,
                                             {"Content-Type": "application/json"}, method="DELETE")
            opener.open(request, timeout=60).read()

    def kill_soon(self, longest):
        time.sleep(self.random.uniform(0.0, longest))
        self.server.kill()


def killed_in(run, make_process, longest, check_before):
    process = make_process()
    run.kill_soon(longest)
    done, said = run.finish(process, may_fail=True)
    run.server.start()
    check_before(run.export())
    if not done:
        run.finish(make_process())
    run.check()
    return None if done else said


def killed_in_ingest(run):
    run.ingest_half()
    acknowledged = dict(list(run.popularity.items())[:NUM_ROWS // 2])

    def check_before(found):
        assert found.items() >= acknowledged.items(), "what was acknowledged is lost"
        assert found.items() <= run.popularity.items(), "records of nobody"

    return killed_in(run, run.ingest, 6.0, check_before)


def killed_in_update(run):
    run.finish(run.ingest())
    before = dict(run.popularity)
    counts = run.manifest + ".counts"
    run.popularity = {name: count + 1 + run.random.randrange(1000) for name, count in before.items()}
    with open(counts, "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "popularity", "observed_at"])
        rows.writerows((name, count, "2026-01-02T00:00:00Z") for name, count in run.popularity.items())

    def check_before(found):
        assert found.keys() == before.keys(), "records are lost"
        assert all(count in (before[name], run.popularity[name]) for name, count in found.items()), "counts of nobody"

    return killed_in(run, lambda: run.program("bank", "update", counts, "--bank", run.bank()), 5.0, check_before)


def killed_in_search(run):
    run.finish(run.ingest())
    queries = [f"v{run.random.randrange(NUM_ROWS)}" for _ in range(5)]
    search = lambda name: run.program("search", "--id", name, "--bank", run.bank(), "--json")
    before = [run.finish(search(name))[1] for name in queries]
    killer = threading.Thread(target=run.kill_soon, args=(2.0,))
    killer.start()
    said = None
    for name, expected in zip(queries, before):
        done, answer = run.finish(search(name), may_fail=True)
        if done:
            assert answer == expected, "another answer"
        else:
            said = answer
    killer.join()
    run.server.start()
    assert [run.finish(search(name))[1] for name in queries] == before, "other answers after the restart"
    run.check()
    return said


def cut_in_ingest(run):
    proxies = [CuttingProxy(PORT, 3, run.random.random()), CuttingProxy(MANAGEMENT, 3, run.random.random())]
    ports = {"port": proxies[0].port, "management": proxies[1].port}
    done, said = run.finish(run.ingest(**ports), may_fail=True)
    if not done:
        run.finish(run.ingest(**ports))
    for proxy in proxies:
        proxy.close()
    run.check()
    return f"{sum(proxy.num_cut for proxy in proxies)} cuts; " + ("done at once" if done else said)


def full_disk(run):
    run.ingest_half()
    acknowledged = dict(list(run.popularity.items())[:NUM_ROWS // 2])
    filler = os.path.join(run.server.home, "data", "filler")
    space = os.statvfs(run.server.home)
    free = space.f_bavail * space.f_frsize
    with open(filler, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(4096, free - run.random.randrange(200_000, 4_000_000)))
    done, said = run.finish(run.ingest(), may_fail=True)
    os.remove(filler)
    # A server that met a full disk may be gone.
    run.server.kill()
    run.server.start()
    assert run.export().items() >= acknowledged.items(), "what was acknowledged is lost"
    if not done:
        run.finish(run.ingest())
    run.check()
    return None if done else said


RUNS_ON_A_SMALL_DISK = 4


def runs_on_a_server(kind, num_wanted, seed, first, seconds_to_start):
    """What was said, run by run (None: it was done before the fault), on one server; None: no small disk is to be had."""
    is_small = kind == "full_disk"
    with tempfile.TemporaryDirectory() as folder:
        home = os.path.join(folder, "server")
        os.mkdir(home)
        if is_small and subprocess.run(["mount", "-t", "tmpfs", "-o", "size=700m", "tmpfs", home], check=False,
                                       stderr=subprocess.DEVNULL).returncode != 0:
            return None
        os.symlink(os.path.join(ROOT, "build/milvus/package"), os.path.join(home, "package"))
        server = Server(home)
        said = []
        try:
            server.start()
            while sum(outcome is not None for outcome in said) < num_wanted:
                run = Run(server, folder, first + len(said), seed * 1000 + first + len(said))
                begun = time.monotonic()
                said.append(globals()[kind](run))
                print(f"{kind} {first + len(said)}, {time.monotonic() - begun:.0f} s: {said[-1] or 'done before'}",
                      file=sys.stderr, flush=True)
                run.drop()
                if is_small and len(said) == RUNS_ON_A_SMALL_DISK:  # its logs keep what was dropped
                    break
        finally:
            server.stop()
            seconds_to_start += server.seconds_to_start
            if is_small:
                subprocess.run(["umount", "-l", home], check=False)
    return said


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fault", nargs="+", choices=KINDS, default=KINDS)
    options = parser.parse_args()
    for kind in options.fault:
        outcomes, starts = [], []
        while (num_left := options.times - sum(outcome is not None for outcome in outcomes)) > 0:
            more = runs_on_a_server(kind, num_left, options.seed, len(outcomes), starts)
            if more is None:
                print(f"{kind}: left out, a small disk cannot be mounted here")
                break
            outcomes += more
            assert len(outcomes) <= 4 * options.times, "the fault is never in time"
        else:
            missed = outcomes.count(None)
            print(f"{kind}: {options.times} times, nothing lost, nothing doubled ({missed} more were done before it); the server "
                  f"started {len(starts)} times, in {min(starts):.0f} to {max(starts):.0f} s; what was said:", flush=True)
            said = [re.sub(r"faults\d+|\b\d+ rows", lambda each: each[0].strip("0123456789 ") + " …", outcome)
                    for outcome in outcomes if outcome]
            for line in sorted(set(said)):
                print(f"  {said.count(line)} x {line}")


if __name__ == "__main__":
    sys.exit(main())
