"""Several ranks under a real mpirun: a training and an ingest are those of one process, go on with another
number of ranks, and what ends them (Ctrl-C, a rank that is killed, a mistake) is said in one line. Exit status
77: skipped, where mpirun or libmmra_mpi.so is not there.
"""

import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.parse
import urllib.request

PROGRAM = os.environ["MMRA_PROGRAM"]
WORDS = "boat cake tiger moon river stone lamp tree song game wall road fish bird".split()
ENVIRONMENT = {
    **os.environ,
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_btl_vader_single_copy_mechanism": "none",  # containers forbid it, and Open MPI says so
    "OMPI_MCA_hwloc_base_binding_policy": "none",
    "OMPI_MCA_mpi_yield_when_idle": "1",  # tests run side by side
    "OMPI_MCA_plm": "isolated",
    "OMPI_MCA_btl": "self,vader",
}
ROWS = 1500
EPOCHS = 6


def mpirun(size, *arguments):
    return ["mpirun", "-q", "--oversubscribe", "-n", str(size), PROGRAM, *map(str, arguments)]


def start(command):
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            stdin=subprocess.DEVNULL, env=ENVIRONMENT)


class Ended:
    def __init__(self, process):
        self.out, self.err = process.communicate(timeout=240)
        self.status = process.returncode

    def lines(self, *beginnings):
        return [line for line in self.err.splitlines() if line.startswith(beginnings)]


def ranks_of(launcher):
    """The processes of the program below a mpirun, in the order of their ranks."""
    with open(f"/proc/{launcher.pid}/task/{launcher.pid}/children", encoding="ascii") as children:
        pids = [int(pid) for pid in children.read().split()]
    ranks = {}
    for pid in pids:
        try:
            with open(f"/proc/{pid}/environ", "rb") as environment:
                for entry in environment.read().split(b"\0"):
                    if entry.startswith(b"OMPI_COMM_WORLD_RANK="):
                        ranks[int(entry.split(b"=")[1])] = pid
        except FileNotFoundError:  # it has ended meanwhile
            pass
    return [ranks[rank] for rank in sorted(ranks)]


def time_of(path):
    return os.stat(path).st_mtime_ns if os.path.exists(path) else 0


def wait_for(condition, seconds=120):
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise AssertionError("what was waited for did not happen")
        time.sleep(0.01)


def drop_collections(bank):
    address = urllib.parse.urlsplit(bank)
    management = urllib.parse.parse_qs(address.query).get("management", ["9091"])[0]
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for name in (address.path[1:], address.path[1:] + "_values"):
        body = json.dumps({"collection_name": name}).encode()
        request = urllib.request.Request(f"http://{address.hostname}:{management}/api/v1/collection", body,
                                         {"Content-Type": "application/json"}, method="DELETE")
        opener.open(request, timeout=60).read()


class Ranks(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="mmra-ranks-test-")
        cls.addClassCleanup(cls.folder.cleanup)
        cls.bank = cls.path("bank")
        ingested = subprocess.run([PROGRAM, "ingest", cls.manifest("titles.csv", ROWS), "--bank", cls.bank,
                                   "--quiet"], capture_output=True, text=True)
        assert ingested.returncode == 0, ingested.stderr

    @classmethod
    def manifest(cls, name, rows):
        """Titles whose words decide their popularity; one row in a hundred names a clip that is not there."""
        draw = random.Random(5)
        with open(cls.path(name), "w", encoding="utf-8") as out:
            out.write("id,title,popularity,split,video\n")
            for i in range(rows):
                words = draw.sample(range(len(WORDS)), 4)
                out.write(f"v{i},{' '.join(WORDS[w] for w in words)},{2 ** min(words) + draw.randrange(9)},"
                          f"{'valid' if i % 5 == 3 else 'train'},{'none.mp4' if i % 100 == 7 else ''}\n")
        return cls.path(name)

    @classmethod
    def path(cls, name):
        return os.path.join(cls.folder.name, name)

    def done(self, command):
        ended = Ended(start(command))
        self.assertEqual(ended.status, 0, ended.err)
        return ended

    def train(self, model, epochs, *more):
        return ["train", "--bank", self.bank, "--out", self.path(model), "--epochs", epochs, "--patience",
                epochs, "--threads", 1, "--micro-batches", 4, "--json", *more]

    def history(self, model):
        with open(self.path(os.path.join(model, "history.csv")), encoding="utf-8") as file:
            return [{name: float(row[name]) for name in ("train_loss", "stop_nmse", "stop_mae")}
                    for row in csv.DictReader(file)]

    def expect_same_history(self, model, expected):
        """Weights have the same bits; the measures of validation rows are of products of other sizes."""
        actual = self.history(model)
        self.assertEqual(len(actual), len(expected))
        for row, wanted in zip(actual, expected):
            for name, value in wanted.items():
                tolerance = 1e-9 if name == "train_loss" else 1e-5
                self.assertLessEqual(abs(row[name] - value), tolerance * max(1.0, abs(value)), (name, row, wanted))

    def epochs_kept(self, model):
        try:
            with open(self.path(os.path.join(model, "checkpoint", "checkpoint.json")), encoding="utf-8") as file:
                return len(json.load(file)["epochs"])
        except FileNotFoundError:
            return 0

    def test_a_training_is_that_of_one_process(self):
        self.done([PROGRAM, *map(str, self.train("alone", 2))])
        expected = self.history("alone")
        for size in (2, 3, 4):
            model = f"of-{size}"
            summary = json.loads(self.done(mpirun(size, *self.train(model, 2))).out)
            self.assertEqual(summary["epochs"], 2)
            self.expect_same_history(model, expected)

    def stopped(self, model, stop):
        """A training of two ranks that `stop(launcher)` ends when it has kept an epoch."""
        launcher = start(mpirun(2, *self.train(model, EPOCHS, "--quiet")))
        wait_for(lambda: self.epochs_kept(model) >= 1 or launcher.poll() is not None)
        stop(launcher)
        ended = Ended(launcher)
        self.assertNotEqual(ended.status, 0, "it was over before it was stopped")
        self.assertLess(self.epochs_kept(model), EPOCHS)
        return ended

    def resumed(self, model, size):
        self.done(mpirun(size, *self.train(model, EPOCHS, "--resume")))
        return self.history(model)

    def test_a_killed_rank_ends_the_run_with_one_line_and_a_checkpoint(self):
        self.done(mpirun(2, *self.train("whole", EPOCHS)))
        for victim in (0, 1):
            model = f"killed-{victim}"
            ended = self.stopped(model, lambda launcher: os.kill(ranks_of(launcher)[victim], signal.SIGKILL))
            said = ended.lines("error:", "stopping")
            self.assertEqual(len(said), 1, ended.err)
            self.assertIn("--resume", said[0])
            self.assertEqual(self.resumed(model, 2), self.history("whole"), "to the last bit")

    def test_ctrl_c_leaves_a_checkpoint_that_another_number_of_ranks_resumes(self):
        self.done([PROGRAM, *map(str, self.train("one", EPOCHS))])
        for size in (1, 3):
            model = f"stopped-{size}"
            ended = self.stopped(model, lambda launcher: launcher.send_signal(signal.SIGINT))
            self.assertEqual(len(ended.lines("stopping")), 1, ended.err)
            self.assertEqual(ended.lines("error:"), [])
            self.resumed(model, size)
            self.expect_same_history(model, self.history("one"))

    def exported(self, bank):
        """All that a bank has, once it has been verified."""
        out = self.path("exported")
        self.done([PROGRAM, "bank", "verify", "--bank", bank])
        self.done([PROGRAM, "bank", "export", "--bank", bank, "--out", out])
        files = {}
        for folder, _, names in os.walk(out):
            for name in names:
                with open(os.path.join(folder, name), "rb") as file:
                    files[name] = file.read()
        shutil.rmtree(out)
        return files

    def ingest(self, rows, bank):
        return ["ingest", self.manifest(f"{rows}.csv", rows), "--bank", self.path(bank), "--threads", 1]

    def test_an_ingest_is_that_of_one_process(self):
        self.done([PROGRAM, *map(str, self.ingest(2000, "ingested-alone"))])
        expected = self.exported(self.path("ingested-alone"))
        for size in (2, 3):
            bank = f"ingested-by-{size}"
            report = json.loads(self.done(mpirun(size, *self.ingest(2000, bank), "--json")).out)
            self.assertEqual((report["added"], report["failed"]), (1980, 20))
            self.assertEqual(self.exported(self.path(bank)), expected)

    def test_an_ingest_that_is_ended_at_random_goes_on_with_other_ranks(self):
        rows = 30000
        self.done([PROGRAM, *map(str, self.ingest(rows, "long-alone"))])
        expected = self.exported(self.path("long-alone"))
        data = self.path("long/records/data.mdb")
        draw = random.Random(time.time_ns())
        ends = [lambda launcher: os.kill(ranks_of(launcher)[1], signal.SIGKILL),
                lambda launcher: os.kill(ranks_of(launcher)[0], signal.SIGKILL),
                lambda launcher: launcher.send_signal(signal.SIGINT)]
        for turn, end in enumerate(ends):
            before = time_of(data)
            launcher = start(mpirun(2 + turn % 2, *self.ingest(rows, "long"), "--quiet"))
            wait_for(lambda: time_of(data) != before or launcher.poll() is not None)
            time.sleep(draw.uniform(0.0, 0.4))
            if launcher.poll() is None:
                end(launcher)
            ended = Ended(launcher)
            self.assertNotEqual(ended.status, 0, "it was over before it was ended")
            said = ended.lines("error:", "stopping")
            self.assertEqual(len(said), 1, ended.err)
            self.assertIn("goes on from there", said[0])
            self.done([PROGRAM, "bank", "verify", "--bank", self.path("long")])
        report = json.loads(self.done(mpirun(3, *self.ingest(rows, "long"), "--json")).out)
        self.assertGreater(report["unchanged"], 0)
        self.assertEqual(report["unchanged"] + report["added"], rows * 99 // 100)
        self.assertEqual(self.exported(self.path("long")), expected)

    @unittest.skipUnless(os.environ.get("MMRA_TEST_MILVUS"), "no Milvus server (scripts/milvus.sh)")
    def test_an_ingest_onto_a_server_is_that_of_one_process(self):
        rows = 2000
        self.done([PROGRAM, *map(str, self.ingest(rows, "for-server"))])
        expected = self.exported(self.path("for-server"))
        server, _, query = os.environ["MMRA_TEST_MILVUS"].partition("?")
        bank = f"milvus://{server}/mmra_ranks_{os.getpid()}{'?' if query else ''}{query}"
        self.addCleanup(drop_collections, bank)
        command = ["ingest", self.path(f"{rows}.csv"), "--bank", bank, "--threads", 1]
        launcher = start(mpirun(2, *command, "--quiet"))
        wait_for(lambda: len(ranks_of(launcher)) == 2 or launcher.poll() is not None)
        time.sleep(random.Random(time.time_ns()).uniform(0.5, 5.0))
        if launcher.poll() is None:
            os.kill(ranks_of(launcher)[1], signal.SIGKILL)
        ended = Ended(launcher)
        self.assertLessEqual(len(ended.lines("error:")), 1, ended.err)  # none before it has joined the others
        report = json.loads(self.done(mpirun(3, *command, "--json")).out)
        self.assertEqual(report["added"] + report["unchanged"], rows * 99 // 100)
        self.assertEqual(report["failed"], rows // 100)
        self.assertEqual(self.exported(bank), expected)

    def test_what_all_ranks_fail_with_is_said_once(self):
        for arguments, wanted in ((["train", "--bank", self.path("no"), "--out", self.path("m")], "no"),
                                  (["train", "--bank", self.bank, "--out", self.path("m"), "--model", "ridge"],
                                   "without mpirun"),
                                  (["train", "--bank", self.bank, "--out", self.path("m"), "--micro-batches", 2],
                                   "--micro-batches"),
                                  (["train", "--wrong"], "--help explains"),
                                  (["ingest", self.path("no.csv"), "--bank", self.path("n")], "no.csv"),
                                  (["ingest", "-", "--follow", "--bank", self.bank], "without mpirun"),
                                  (["bank", "info", "--bank", self.bank], "without mpirun")):
            ended = Ended(start(mpirun(3, *arguments)))
            self.assertIn(ended.status, (1, 2), ended.err)
            said = ended.lines("error:")
            self.assertEqual(len(said), 1, ended.err)
            self.assertIn(wanted, said[0])

    def test_without_the_library_it_says_what_is_missing(self):
        command = mpirun(2, *self.train("none", 1))
        ended = Ended(start(["env", "MMRA_MPI_LIBRARY=/nowhere/libmmra_mpi.so", *command]))
        self.assertEqual(ended.status, 1, ended.err)
        said = ended.lines("error:")
        self.assertEqual(len(said), 1, ended.err)
        self.assertIn("libopenmpi-dev", said[0])


if __name__ == "__main__":
    library = os.path.join(os.path.dirname(os.path.dirname(PROGRAM)), "lib", "libmmra_mpi.so")
    if shutil.which("mpirun") is None or not os.path.exists(library):
        print("skipped: there is no mpirun, or the program was built without MPI (bash scripts/setup.sh --extras)")
        sys.exit(77)
    unittest.main(verbosity=2)
