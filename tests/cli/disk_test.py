"""Disks that are full, or may only be read, under each command that writes a bank, a model or a file:
status 1 and one line that says what and where, nothing lost, and the same command does it once there is
room. What reads a bank reads it from such a disk too.

The limit of a file's size stands for the full disk everywhere; where a file system in memory may be
mounted, that is filled and made read-only too.
"""

import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from small_disk import SmallDisk  # noqa: E402

PROGRAM = os.environ["MMRA_PROGRAM"]
ROWS = 300
WORDS = "boat cake tiger moon river stone lamp tree song game wall road fish bird".split()


def title(i):
    return " ".join(WORDS[(i * k + k) % len(WORDS)] for k in range(1, 6)) + f" number {i}"


def limit_files(size):
    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    return limit


def run(*arguments, preexec=None):
    return subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True, timeout=300,
                          preexec_fn=preexec)


class Disks(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="mmra-disk-test-")
        self.addCleanup(self.folder.cleanup)
        self.manifest = self.write("first.csv", range(ROWS))
        self.more = self.write("more.csv", range(ROWS, 3 * ROWS))
        self.counts = os.path.join(self.folder.name, "counts.csv")
        with open(self.counts, "w", encoding="utf-8") as out:
            out.write("id,popularity,observed_at\n")
            for i in range(ROWS):
                for day in range(10, 20):
                    out.write(f"v{i},{100 + i * day},2024-03-{day}T00:00:00Z\n")

    def small_disk(self):
        try:
            disk = SmallDisk(65536)
        except PermissionError as error:
            self.skipTest(f"no file system may be mounted here: {error}")
        self.addCleanup(disk.close)
        return disk

    def write(self, name, numbers):
        path = os.path.join(self.folder.name, name)
        with open(path, "w", encoding="utf-8") as out:
            out.write("id,title,popularity,posted_at\n")
            for i in numbers:
                out.write(f"v{i},{title(i)},{i * 7 % 97},2024-02-{1 + i % 28:02}T00:00:00Z\n")
        return path

    def done(self, *arguments):
        result = run(*arguments)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def make(self, place):
        """A bank, another and a model below `place`."""
        bank, other, model = (os.path.join(place, name) for name in ("bank", "other", "model"))
        self.done("ingest", self.manifest, "--bank", bank, "--quiet")
        self.done("bank", "backup", "--bank", bank, "--out", other)
        self.done("bank", "remove", "--bank", bank, "--id", *(f"v{i}" for i in range(0, 40)))
        self.done("train", "--bank", bank, "--model", "ridge", "--out", model, "--quiet", "--threads", 1)
        return bank, other, model

    def commands(self, place):
        """Each command that writes below `place`, with what it must leave a bank with when it fails."""
        bank, other, model = (os.path.join(place, name) for name in ("bank", "other", "model"))
        new = os.path.join(place, "new")
        return {
            "ingest more": ["ingest", self.more, "--bank", bank, "--quiet"],
            "ingest into a new bank": ["ingest", self.more, "--bank", new + "-bank", "--quiet"],
            "update": ["bank", "update", self.counts, "--bank", bank],
            "compact": ["bank", "compact", "--bank", bank],
            "backup": ["bank", "backup", "--bank", bank, "--out", new + "-backup"],
            "merge": ["bank", "merge", other, "--bank", bank],
            "reindex": ["bank", "reindex", "--bank", bank],
            "index": ["bank", "reindex", "--index", "HNSW8", "--bank", bank, "--quiet"],
            "remove": ["bank", "remove", "--bank", bank, "--id", *(f"v{i}" for i in range(60, 260))],
            "export": ["bank", "export", "--bank", bank, "--out", new + "-export"],
            "fit-encoder": ["bank", "fit-encoder", "--manifest", self.more, "--bank", new + "-fitted"],
            "train": ["train", "--bank", bank, "--model", "ridge", "--out", new + "-model", "--quiet",
                      "--threads", "1"],
        }

    def records(self, bank):
        return int(re.search(r"records\s+([\d,]+)", self.done("bank", "info", "--bank", bank))
                   .group(1).replace(",", ""))

    def expect_one_line(self, name, result):
        self.assertEqual(result.returncode, 1, f"{name}: {result.stdout}{result.stderr}")
        lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
        self.assertEqual(len(lines), 1, f"{name}: {result.stderr}")
        return lines[0]

    def expect_sound(self, name, bank, at_least):
        self.done("bank", "verify", "--bank", bank)
        self.assertGreaterEqual(self.records(bank), at_least, name)

    def test_files_that_may_not_grow(self):
        bank, other, _ = self.make(self.folder.name)
        before = self.records(bank)
        num_failed = 0
        for name, command in self.commands(self.folder.name).items():
            if name == "remove":
                continue  # it takes from the bank; what is free there is enough
            for size in (512, 20_000):
                result = run(*command, preexec=limit_files(size))
                if result.returncode != 0:
                    num_failed += 1
                    self.expect_one_line(f"{name} with {size} bytes", result)
                self.expect_sound(name, bank, before)
        self.expect_sound("merge", other, ROWS)
        self.assertGreater(num_failed, 8)

    def test_full_disk(self):
        disk = self.small_disk()
        bank, other, _ = self.make(disk.path)
        for name, command in self.commands(disk.path).items():
            before = self.records(bank)
            failed = None
            for spare in (0, 12, 100):
                disk.resize(disk.used_kib() + spare)
                result = run(*command)
                if result.returncode != 0:
                    failed = self.expect_one_line(f"{name} with {spare} KiB", result)
                    self.assertRegex(failed, "(?i)space|full|room", name)
                self.expect_sound(name, bank, before if name != "remove" else 60)
                self.expect_sound(name, other, ROWS)
                if result.returncode == 0:
                    break
            disk.resize(65536)
            if failed is not None and result.returncode != 0:
                again = run(*command)  # there is room: it goes on, or begins again
                self.assertEqual(again.returncode, 0, f"{name}: {again.stderr}")
            self.expect_sound(name, bank, 60)

    def test_read_only_disk(self):
        disk = self.small_disk()
        bank, _, model = self.make(disk.path)
        before = self.records(bank)
        disk.remount("ro")
        for name, command in self.commands(disk.path).items():
            line = self.expect_one_line(name, run(*command))
            self.assertRegex(line, "(?i)read-only", name)
        for reading in (["bank", "info", "--bank", bank], ["bank", "verify", "--bank", bank],
                        ["search", "--bank", bank, "--text", title(70)],
                        ["bank", "export", "--bank", bank, "--out", os.path.join(self.folder.name, "export")],
                        ["predict", "--bank", bank, "--model", model, "--title", title(71)],
                        ["evaluate", "--bank", bank, "--model", model]):
            self.done(*reading)
        disk.remount("rw")
        self.assertEqual(self.records(bank), before)
        self.done("bank", "verify", "--bank", bank)


if __name__ == "__main__":
    unittest.main(verbosity=2)
