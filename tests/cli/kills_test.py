"""kill -9 at random moments of whatever writes a bank that has an index: `ingest` of a file and of a stream, `bank
update`, `bank compact`, `bank reindex`. What was acknowledged is there, the bank opens, `bank verify` finds nothing,
a search answers, and the same command, run again, leaves the bank that it leaves where nobody kills it.

    MMRA_PROGRAM=build/release/bin/mmra python3 tests/cli/kills_test.py [--kills 200] [--seed 1]
"""

import argparse
import collections
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

PROGRAM = os.environ["MMRA_PROGRAM"]
# Beside processes of unit tests one thread each is enough.
ENVIRONMENT = dict(os.environ, OMP_NUM_THREADS="1")
WORDS = "boat cake tiger moon river stone lamp tree song game wall road fish bird".split()
NUM_INDEXED = 3000
NUM_ADDED = 5000  # more than the least that is worth a segment of its own
NUM_REMOVED = 100
TRACE = "unforgettable"  # in the title of each record that is removed


def options():
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**6)
    values, sys.argv[1:] = parser.parse_known_args()
    return values


OPTIONS = options()


def row(i):
    words = " ".join(WORDS[i // len(WORDS)**digit % len(WORDS)] for digit in range(4))
    return {"id": f"v{i}", "title": f"{words} {TRACE}" if i < NUM_REMOVED else words, "popularity": i * 7 % 997,
            "posted_at": 1700000000 + 60 * i}


def run(*arguments, stdin=subprocess.DEVNULL):
    result = subprocess.run([PROGRAM, *arguments], stdin=stdin, capture_output=True, text=True, timeout=300,
                            env=ENVIRONMENT)
    if result.returncode != 0:
        raise AssertionError(f"{arguments}: {result.returncode}: {result.stdout} {result.stderr}")
    return result.stdout


class Kills(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="mmra-kills-test-")
        cls.addClassCleanup(cls.folder.cleanup)
        cls.random = random.Random(OPTIONS.seed)
        print(f"--kills {OPTIONS.kills} --seed {OPTIONS.seed}", file=sys.stderr)
        cls.write_csv("first.csv", [row(i) for i in range(NUM_INDEXED)])
        cls.write_csv("more.csv", [row(NUM_INDEXED + i) for i in range(NUM_ADDED)])
        cls.write_csv("counts.csv", [{"id": f"v{i}", "popularity": 5000 + i, "observed_at": 1800000000 + day * 86400}
                                     for i in range(NUM_INDEXED) for day in range(3)])
        with open(cls.path("more.jsonl"), "w", encoding="utf-8") as out:
            for i in range(NUM_ADDED):
                out.write(json.dumps(row(NUM_INDEXED + i)) + "\n")
        run("ingest", cls.path("first.csv"), "--bank", cls.path("base"), "--quiet")
        run("bank", "reindex", "--index", "HNSW8", "--bank", cls.path("base"), "--quiet")
        # As `remove` leaves it: gone from results, on the disk until a compaction.
        shutil.copytree(cls.path("base"), cls.path("removed"))
        run("bank", "remove", "--bank", cls.path("removed"), "--quiet",
            *(argument for i in range(NUM_REMOVED) for argument in ("--id", f"v{i}")))

    @classmethod
    def path(cls, name):
        return os.path.join(cls.folder.name, name)

    @classmethod
    def write_csv(cls, name, rows):
        with open(cls.path(name), "w", encoding="utf-8") as out:
            out.write(",".join(rows[0]) + "\n")
            out.writelines(",".join(map(str, each.values())) + "\n" for each in rows)

    def exported(self, bank):
        """Every row and tensor."""
        out = self.path("export")
        shutil.rmtree(out, ignore_errors=True)
        run("bank", "export", "--bank", bank, "--out", out, "--quiet")
        files = {}
        for folder, _, names in os.walk(out):
            for name in names:
                with open(os.path.join(folder, name), "rb") as file:
                    files[os.path.relpath(os.path.join(folder, name), out)] = file.read()
        self.assertGreater(len(files), 1)
        return files

    def info(self, bank):
        return json.loads(run("bank", "info", "--bank", bank, "--json"))

    def sound(self, bank):
        """It opens, verify finds nothing, and searches through its index mostly find what they do without it."""
        run("bank", "verify", "--bank", bank)
        num_same = 0
        for i in range(1, 5):
            search = ("search", "--bank", bank, "--text", row(NUM_INDEXED - 500 * i)["title"], "-k", "5", "--json")
            found, exact = (json.loads(run(*search, *more)) for more in ((), ("--exact",)))
            self.assertEqual(len(found), 5)
            num_same += found[0]["similarity"] == exact[0]["similarity"]
        self.assertGreaterEqual(num_same, 2)

    def kill_at_random(self, base, command, check, stdin=os.devnull):
        """`command(bank)` on copies of `base`; `check(bank, standard output)` after each kill."""
        bank = self.path("killed")

        def run_whole():
            with open(stdin, encoding="utf-8") as rows:
                run(*command(bank), stdin=rows)

        def fresh():
            shutil.rmtree(bank, ignore_errors=True)
            shutil.copytree(self.path(base), bank)

        fresh()
        begin = time.monotonic()
        run_whole()
        seconds = time.monotonic() - begin
        expected, index = self.exported(bank), self.info(bank)["index"]
        outcomes = collections.Counter()
        for turn in range(3 * OPTIONS.kills):  # where some are over before they are killed
            if outcomes["killed"] == OPTIONS.kills:
                break
            fresh()
            with tempfile.TemporaryFile("w+", encoding="utf-8") as out, open(stdin, encoding="utf-8") as rows:
                process = subprocess.Popen([PROGRAM, *command(bank)], stdin=rows, stdout=out,
                                           stderr=subprocess.DEVNULL, env=ENVIRONMENT)
                time.sleep(self.random.uniform(0, seconds))
                process.send_signal(signal.SIGKILL)
                outcomes["killed" if process.wait() == -signal.SIGKILL else "over before"] += 1
                out.seek(0)
                said = out.read()
            with self.subTest(turn=turn):
                self.sound(bank)
                check(bank, said)
                run_whole()
                self.sound(bank)
                self.assertEqual(self.exported(bank), expected)
                self.assertEqual(self.info(bank)["index"], index)
        print(f"{command('BANK')[:2]}: {dict(outcomes)}, {seconds:.2f} s each", file=sys.stderr)
        self.assertGreater(outcomes["killed"], 0, "none was killed at its work")

    def count(self, bank):
        return self.info(bank)["records"]

    def test_ingest_of_a_file(self):
        def check(bank, _):
            self.assertIn(self.count(bank), range(NUM_INDEXED, NUM_INDEXED + NUM_ADDED + 1))
        self.kill_at_random("base", lambda bank: ("ingest", self.path("more.csv"), "--bank", bank, "--quiet"), check)

    def test_ingest_of_a_stream(self):
        def check(bank, said):
            acknowledged = {json.loads(line)["id"] for line in said.splitlines() if line.endswith("}")}
            there = self.exported(bank)["videos.csv"].decode().splitlines()
            self.assertFalse(acknowledged - {line.split(",")[0] for line in there})
            num_acknowledged.append(len(acknowledged))
        num_acknowledged = []
        self.kill_at_random("base", lambda bank: ("ingest", "-", "--follow", "--bank", bank, "--quiet"), check,
                            stdin=self.path("more.jsonl"))
        self.assertGreater(sum(num_acknowledged), 0)

    def test_update(self):
        def check(bank, _):
            self.assertEqual(self.count(bank), NUM_INDEXED)
        self.kill_at_random("base", lambda bank: ("bank", "update", self.path("counts.csv"), "--bank", bank,
                                                  "--quiet"), check)

    def test_compact(self):
        before = self.exported(self.path("removed"))

        def check(bank, _):
            self.assertEqual(self.exported(bank), before)

        def compact(bank):
            return ("bank", "compact", "--bank", bank, "--quiet")
        self.assertTrue(self.traces(self.path("removed")), "nothing would be found where something is")
        self.kill_at_random("removed", compact, check)
        self.assertFalse(self.traces(self.path("killed")))  # after a kill, and a second run

    def traces(self, bank):
        found = []
        for folder, _, names in os.walk(bank):
            for name in names:
                with open(os.path.join(folder, name), "rb") as file:
                    if TRACE.encode() in file.read():
                        found.append(name)
        return found

    def test_reindex(self):
        before = self.exported(self.path("base"))

        def check(bank, _):
            self.assertEqual(self.exported(bank), before)
        self.kill_at_random("base", lambda bank: ("bank", "reindex", "--index", "IVF16,PQ16x4fs", "--bank", bank,
                                                  "--quiet"), check)


if __name__ == "__main__":
    unittest.main(verbosity=2)
