"""A disk that is full under the bank, and one under the uploads: whoever wants to store gets 507,
everybody else an answer, nothing is lost, and the next write works when there is room again.

The limit of a file's size stands for the full disk everywhere; where a file system in memory may be
mounted, that is filled too.

    full_disk_test.py [--rounds 5]
"""

import os
import resource
import signal
import shutil
import subprocess

import faults
from serve import PROGRAM, y4m
from small_disk import SmallDisk

OPTIONS = faults.options(("--rounds", 1, "full, then room, and full again"))

MAX_WRITES = 3000


class FullDisk(faults.WithBank):
    def setUp(self):
        self.stored = {}  # id: popularity, of what was acknowledged
        self.number = 0

    def add(self, server):
        self.number += 1
        record_id = f"n{self.number}"
        title = f"number {self.number} " + "and so on " * 300
        answer = server.ask("POST", "/v1/videos", {"id": record_id, "title": title, "popularity": 1})
        if answer.status == 201:
            self.stored[record_id] = 1.0
        return answer

    def add_until_full(self, server):
        for _ in range(MAX_WRITES):
            answer = self.add(server)
            if answer.status != 201:
                self.expect_problem(answer, 507, "insufficient_storage")
                return
        self.fail("the disk was never full")

    def expect_all(self, server):
        for record_id, popularity in self.stored.items():
            found = server.ask("GET", "/v1/videos/" + record_id)
            self.assertEqual((found.status, found.json.get("popularity")), (200, popularity))
        self.assertEqual(server.ask("GET", f"/v1/videos/n{self.number + 1}").status, 404)

    def expect_service_while_full(self, server):
        """All but storing goes on; a change happens wholly or is refused."""
        self.assertEqual(server.ask("POST", "/v1/predict", {"title": "the boat"}).status, 200)
        self.assertEqual(server.ask("GET", "/v1/search?text=boat").status, 200)
        self.assertEqual(server.ask("GET", "/v1/videos").status, 200)
        some = next(iter(self.stored))
        changed = server.ask("PATCH", "/v1/videos/" + some, {"popularity": 77})
        if changed.status == 200:
            self.stored[some] = 77.0
        else:
            self.expect_problem(changed, 507, "insufficient_storage")
        removed = server.ask("DELETE", "/v1/videos/" + some)
        if removed.status == 204:
            del self.stored[some]
        else:
            self.expect_problem(removed, 507, "insufficient_storage")
        self.assertEqual(server.ask("POST", "/v1/predict", {"title": "the boat"}).status, 200)
        self.expect_all(server)

    def expect_writes_again(self, server):
        self.assertEqual(self.add(server).status, 201)
        some = next(iter(self.stored))
        self.assertEqual(server.ask("PATCH", "/v1/videos/" + some, {"popularity": 5}).status, 200)
        self.stored[some] = 5.0
        self.expect_all(server)

    def expect_whole(self, bank, server):
        self.assertEqual(server.stop(signal.SIGKILL), -signal.SIGKILL)
        verified = subprocess.run([PROGRAM, "bank", "verify", "--bank", bank], capture_output=True)
        self.assertEqual(verified.returncode, 0, verified.stdout + verified.stderr)
        again = self.serve(bank=bank)
        self.expect_all(again)
        self.assertEqual(self.add(again).status, 201)
        self.assertEqual(again.stop(), 0)
        left = [name for _, _, names in os.walk(bank) for name in names if ".tmp." in name]
        self.assertEqual(left, [])

    def test_a_bank_that_may_not_grow(self):
        bank = self.copy_bank()
        server = self.serve(bank=bank)
        self.assertEqual(self.add(server).status, 201)
        pid = server.process.pid
        unlimited = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        for _ in range(OPTIONS.rounds):
            size = os.path.getsize(bank + "/records/data.mdb")
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size + 100_000, unlimited[1]))
            self.add_until_full(server)
            self.expect_service_while_full(server)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, unlimited)
            self.expect_writes_again(server)
        self.assertIn("cannot write", server.errors(), "the operator is told")
        self.expect_whole(bank, server)

    def test_an_upload_that_may_not_grow(self):
        server = self.serve(bank=self.copy_bank())
        pid = server.process.pid
        unlimited = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        clip = y4m(frames=40, width=320, height=240)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (len(clip) // 2, unlimited[1]))
        for target in ("/v1/predict", "/v1/search"):
            answer = server.ask("POST", target, video=clip)
            self.expect_problem(answer, 507, "insufficient_storage")
        fields = [("id", "full")]
        answer = server.ask("POST", "/v1/videos", fields=fields, video=clip)
        self.expect_problem(answer, 507, "insufficient_storage")
        self.assertEqual(server.ask("POST", "/v1/predict", video=y4m()).status, 200, "it fits")
        self.wait_until(lambda: server.metric("mmra_uploads_free") == 16)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, unlimited)
        self.assertEqual(server.ask("POST", "/v1/videos", fields=fields, video=clip).status, 201)
        self.assertIn("cannot write a temporary file", server.errors(), "the operator is told")
        self.assertEqual(server.stop(), 0)

    def small_disk(self, kib):
        try:
            disk = SmallDisk(kib)
        except (PermissionError, FileNotFoundError) as error:
            self.skipTest(f"no file system can be mounted: {error}")
        self.addCleanup(disk.close)
        return disk

    def test_a_disk_that_is_full_under_the_bank(self):
        disk = self.small_disk(64 << 10)
        bank = disk.path + "/bank"
        shutil.copytree(self.bank, bank)
        server = self.serve(bank=bank)
        self.addCleanup(lambda: server.process.poll() is None and server.stop(signal.SIGKILL))
        for _ in range(OPTIONS.rounds):
            self.assertEqual(self.add(server).status, 201)
            room = disk.used_kib() + 200
            disk.resize(room)
            self.add_until_full(server)
            self.expect_service_while_full(server)
            disk.resize(room + (16 << 10))
            self.expect_writes_again(server)
        print(f"\n{len(self.stored)} records kept over {OPTIONS.rounds} full disks")
        self.expect_whole(bank, server)

    def test_a_disk_that_is_full_under_the_uploads(self):
        disk = self.small_disk(512)
        server = self.serve("--upload-dir", disk.path, bank=self.copy_bank())
        clip = y4m(frames=40, width=320, height=240)
        for _ in range(3):
            self.expect_problem(server.ask("POST", "/v1/predict", video=clip), 507,
                                "insufficient_storage")
        self.wait_until(lambda: disk.used_kib() == 0)
        self.assertEqual(server.ask("POST", "/v1/predict", {"title": "the boat"}).status, 200)
        disk.resize(64 << 10)
        self.assertEqual(server.ask("POST", "/v1/predict", video=clip).status, 200)
        self.assertEqual(server.stop(), 0)


if __name__ == "__main__":
    faults.main()
