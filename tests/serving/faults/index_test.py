"""A server whose bank has an index and, behind it, much that is searched exactly: it brings the index up to
date while it answers and writes, and a kill meanwhile leaves the old index or the new one.

    index_test.py [--kills 20] [--seed 1]
"""

import json
import os
import random
import shutil
import signal
import subprocess
import time

import faults
from serve import PROGRAM, run

OPTIONS = faults.options(("--kills", 3, "of the server while it is at work"), ("--seed", 1, "of when"))

WORDS = ["boat", "cake", "tiger", "piano", "river", "snow", "drum", "lamp"]
NUM_INDEXED = 3000
NUM_BEHIND = 4500  # more than the least that is worth a segment
TITLE = "the boat and a cake by the river"


def write_manifest(path, first, count):
    with open(path, "w") as manifest:
        manifest.write("id,title,popularity,posted_at\n")
        for i in range(first, first + count):
            words = [WORDS[i // 8**digit % 8] for digit in range(4)]
            manifest.write(f"v{i},the {words[0]} and a {words[1]} by the {words[2]} of {words[3]},{i % 900},"
                           f"{1700000000 + 60 * i}\n")


class Index(faults.WithBank):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        root = cls.folder.name
        for name, first, count in (("a", 0, NUM_INDEXED), ("b", NUM_INDEXED, NUM_BEHIND)):
            write_manifest(f"{root}/{name}.csv", first, count)
        cls.bank, cls.model = f"{root}/large", f"{root}/large-model"
        run("ingest", f"{root}/a.csv", "--bank", cls.bank, "--quiet")
        run("bank", "reindex", "--index", "HNSW8", "--bank", cls.bank, "--quiet")
        # Without its setting the bank has no index that ingest would bring up to date.
        shutil.move(f"{cls.bank}/index.json", f"{root}/index.json")
        run("ingest", f"{root}/b.csv", "--bank", cls.bank, "--quiet")
        shutil.move(f"{root}/index.json", f"{cls.bank}/index.json")
        run("train", "--bank", cls.bank, "--out", cls.model, *cls.train_flags, "--quiet")

    def search_cost(self, bank):
        said = subprocess.run([PROGRAM, "bank", "info", "--bank", bank, "--json"], capture_output=True)
        self.assertEqual(said.returncode, 0, said.stderr)
        return json.loads(said.stdout)["search"]

    def found_exactly(self, bank):
        """Titles are often equal: the same similarities then belong to other ids."""
        said = subprocess.run([PROGRAM, "search", "--bank", bank, "--text", TITLE, "--exact", "--json"],
                              capture_output=True)
        self.assertEqual(said.returncode, 0, said.stderr)
        return [hit["similarity"] for hit in json.loads(said.stdout)]

    def found(self, server):
        answer = server.ask("GET", "/v1/search?k=10&text=" + TITLE.replace(" ", "%20"))
        self.assertEqual(answer.status, 200, answer.body)
        return [hit["similarity"] for hit in answer.json["results"]]

    def test_the_index_is_brought_up_to_date_while_it_answers_and_writes(self):
        bank = self.copy_bank()
        self.assertEqual(self.search_cost(bank)["tail"], NUM_BEHIND)
        server = self.serve(bank=bank)
        num_answers, num_added = 0, 0
        until = time.monotonic() + 120
        while server.metric("mmra_index_updates") == 0:
            self.assertLess(time.monotonic(), until, "the index was left as it is")
            self.assertEqual(len(self.found(server)), 10)
            num_answers += 1
            record = {"id": f"new{num_added}", "title": f"a new zeppelin {num_added}", "popularity": 1}
            self.assertEqual(server.ask("POST", "/v1/videos", record).status, 201)
            num_added += 1
        self.assertGreater(num_answers, 2, "nobody was answered meanwhile")
        self.assertEqual([round(s, 5) for s in self.found(server)],
                         [round(s, 5) for s in self.found_exactly(bank)])
        newest = server.ask("GET", "/v1/search?k=1&text=a%20new%20zeppelin").json["results"][0]
        self.assertTrue(newest["id"].startswith("new"), newest)
        self.assertEqual(server.stop(), 0)
        cost = self.search_cost(bank)
        self.assertEqual(cost["indexed"] + cost["tail"], NUM_INDEXED + NUM_BEHIND + num_added)
        self.assertLessEqual(cost["tail"], num_added, "only what came since lies behind it")
        run("bank", "verify", "--bank", bank)

    def test_a_server_that_only_reads_leaves_it_alone(self):
        bank = self.copy_bank()
        server = self.serve("--read-only", bank=bank)
        for _ in range(3):
            self.assertEqual(len(self.found(server)), 10)
        self.assertEqual(server.stop(), 0)
        self.assertEqual(self.search_cost(bank)["tail"], NUM_BEHIND)

    def test_a_kill_leaves_the_old_index_or_the_new_one(self):
        chance = random.Random(OPTIONS.seed)
        tails = []
        for _ in range(OPTIONS.kills):
            bank = self.copy_bank()
            server = self.serve(bank=bank)
            self.found(server)
            time.sleep(2 * chance.random())
            server.stop(signal.SIGKILL)
            run("bank", "verify", "--bank", bank)
            tails.append(self.search_cost(bank)["tail"])
            self.assertIn(tails[-1], (0, NUM_BEHIND))
            server = self.serve(bank=bank)
            self.found(server)
            self.wait_until(lambda: server.metric("mmra_index_updates") == 1 or tails[-1] == 0)
            self.assertEqual(server.stop(), 0)
            listed = json.load(open(f"{bank}/derived/index/segments.json"))["segments"]
            left = set(os.listdir(f"{bank}/derived/index")) - {"segments.json"} - set(listed)
            if tails[-1] != 0:
                self.assertEqual(left, set(), "what the killed one left is gone")
        print(f"\n{OPTIONS.kills} kills, {tails.count(NUM_BEHIND)} before the new index was there")


if __name__ == "__main__":
    faults.main()
