#!/usr/bin/env python3
"""The client against a running `mmra serve`.

    client_test.py MMRA WORK_DIRECTORY

Ends with 77, which ctest shows as skipped, where Python has no requests.
"""

import http.server
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import unittest
from datetime import datetime, timezone
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "clients" / "python"), str(ROOT / "tests" / "web")]

try:
    from mmra_client import Busy, Client, MmraError, NotFound
except ImportError as error:
    print(f"skipped: {error} (python3-requests)")
    sys.exit(77)
from service import Service, make_demo  # noqa: E402

program, directory = None, None


class AgainstTheService(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        bank, cls.model_directory, cls.clips = make_demo(program, directory)
        # A copy: the tests write to it.
        cls.scratch = tempfile.TemporaryDirectory()
        cls.bank = Path(cls.scratch.name) / "bank"
        shutil.copytree(bank, cls.bank)
        cls.service = Service(program, cls.bank, cls.model_directory)
        cls.client = Client(cls.service.url)

    @classmethod
    def tearDownClass(cls):
        cls.service.stop()
        cls.scratch.cleanup()

    def program_says(self, *arguments):
        run = subprocess.run([program, *arguments, "--json"], capture_output=True, text=True, check=True)
        return json.loads(run.stdout)

    def test_predicts_what_the_program_predicts(self):
        for title, clip in (("lighting a fire", None), ("lighting a fire", self.clips[0]), (None, self.clips[1])):
            asked = (["--title", title] if title else []) + (["--video", str(clip)] if clip else [])
            expected = self.program_says("predict", "--bank", self.bank, "--model", self.model_directory, *asked)
            answer = self.client.predict(title, clip)
            self.assertAlmostEqual(answer["log2"], expected["log2"], places=4)
            self.assertEqual([one["id"] for one in answer["instances"]],
                             [one["id"] for one in expected["instances"]])
            self.assertEqual(len(answer["distribution"]["edges"]), len(answer["distribution"]["counts"]) + 1)
            self.assertEqual(bool(answer["frames"]), clip is not None)

    def test_predicts_a_record_by_its_id(self):
        record = next(self.client.videos())
        answer = self.client.predict(id=record["id"])
        self.assertNotIn(record["id"], [one["id"] for one in answer["instances"]])

    def test_watches_the_work(self):
        events = list(self.client.watch("lighting a fire", self.clips[0]))
        names = [name for name, _ in events]
        self.assertEqual(names[-1], "result")
        self.assertEqual(set(names), {"frames", "captions", "neighbours", "result"})
        frames = dict(events)["frames"]["frames"]
        self.assertTrue(frames[0]["thumbnail"].startswith("data:image/jpeg;base64,"))
        self.assertAlmostEqual(events[-1][1]["log2"],
                               self.client.predict("lighting a fire", self.clips[0])["log2"], places=5)

    def test_compares(self):
        titles = ["lighting a fire", "a quiet evening"]
        for kwargs in ({}, {"video": self.clips[0]}):
            answer = self.client.compare(titles, **kwargs)
            self.assertEqual([one["title"] for one in answer["results"]], titles)
            log2 = [one["log2"] for one in answer["results"]]
            self.assertEqual(answer["best"], log2.index(max(log2)))
            self.assertAlmostEqual(answer["pairs"][0]["difference_log2"], log2[0] - log2[1], places=5)
        with self.assertRaises(MmraError) as refused:
            self.client.compare(["alone"])
        self.assertEqual(refused.exception.status, 400)

    def test_searches(self):
        record = next(self.client.videos())
        self.assertEqual(self.client.search(record["title"], k=3)[0]["title"], record["title"])
        self.assertEqual(len(self.client.search(id=record["id"], k=5)), 5)
        self.assertEqual(len(self.client.search(video=self.clips[0], k=4)), 4)

    def test_lists_every_record_once(self):
        records = list(self.client.videos(page=7))
        self.assertEqual(len(records), self.client.model()["bank"]["records"])
        self.assertEqual(len({record["id"] for record in records}), len(records))
        popular = [record["popularity"] for record in self.client.videos(sort="popularity", order="desc", page=9)]
        self.assertEqual(popular, sorted(popular, reverse=True))

    def test_writes_to_the_bank(self):
        id = "a/b ç?&.mp4"
        record = self.client.add_video(id, title="My boat", popularity=3,
                                       posted_at=datetime(2024, 7, 14, tzinfo=timezone.utc))
        self.assertEqual(record["posted_at"], "2024-07-14T00:00:00Z")
        self.assertEqual(self.client.video(id)["title"], "My boat")
        self.assertEqual(self.client.update_video(id, popularity=1234)["popularity"], 1234)
        with_clip = self.client.add_video("with-clip", video=self.clips[0], title="Mine")
        self.assertTrue(with_clip["has_video"])
        for one in (id, "with-clip"):
            self.client.delete_video(one)
            with self.assertRaises(NotFound):
                self.client.video(one)

    def test_names_what_is_wrong(self):
        with self.assertRaises(NotFound) as missing:
            self.client.video("nobody")
        self.assertTrue(missing.exception.code)
        self.assertTrue(missing.exception.hint)
        with self.assertRaises(MmraError) as empty:
            self.client.predict()
        self.assertEqual(empty.exception.status, 400)
        with self.assertRaises(ValueError):
            self.client.predict("a", posted_at=datetime(2024, 1, 1))
        self.assertTrue(self.client.is_ready())
        self.assertFalse(Client("http://127.0.0.1:9", timeout=2).is_ready())

    def test_example(self):
        example = ROOT / "clients" / "python" / "example.py"
        run = subprocess.run([sys.executable, example, self.clips[0], "lighting a fire", "a quiet evening",
                              "--url", self.service.url], capture_output=True, text=True, check=False)
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertIn("more than", run.stdout)
        self.assertIn("does best", run.stdout)


class AgainstABusyService(unittest.TestCase):
    """What the real one cannot be made to do on demand."""

    def serve(self, answers):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                status, headers, body = answers.pop(0)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.bodies = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return server, f"http://127.0.0.1:{server.server_port}"

    def test_asks_again_with_the_whole_clip(self):
        busy = (429, {"Retry-After": "0"}, b"{}")
        server, url = self.serve([busy, busy, (200, {}, b'{"popularity": 1}')])
        with tempfile.NamedTemporaryFile(suffix='".mp4') as clip:
            clip.write(b"\x00\xff" * 100000)
            clip.flush()
            self.assertEqual(Client(url).predict("a", clip.name), {"popularity": 1})
        self.assertEqual(len(server.bodies), 3)
        for body in server.bodies:
            self.assertEqual(body.count(b"\x00\xff" * 100000), 1)
            self.assertEqual(body[2:34], server.bodies[0][2:34])

    def test_gives_up(self):
        busy = (503, {"Retry-After": "0"}, b'{"title": "Busy", "code": "overloaded", "hint": "later"}')
        _, url = self.serve([busy] * 3)
        with self.assertRaises(Busy) as error:
            Client(url, retries=2).predict("a")
        self.assertEqual((error.exception.code, str(error.exception)), ("overloaded", "Busy (later)"))

    def test_understands_events_and_what_cuts_them_off(self):
        events = b": hello\n\nevent: frames\ndata: {\"frames\":\ndata: []}\n\n"
        stream = {"Content-Type": "text/event-stream"}
        error = b'event: error\ndata: {"title": "No", "status": 400, "code": "bad"}\n\n'
        _, url = self.serve([(200, stream, events + error), (200, stream, events),
                             (502, {}, b"<html>proxy</html>")])
        seen = []
        with self.assertRaises(MmraError) as refused:
            for event in Client(url).watch("a"):
                seen.append(event)
        self.assertEqual(seen, [("frames", {"frames": []})])
        self.assertEqual(refused.exception.code, "bad")
        with self.assertRaisesRegex(MmraError, "cut off"):
            list(Client(url).watch("a"))
        with self.assertRaisesRegex(MmraError, "answered 502"):
            Client(url).predict("a")


if __name__ == "__main__":
    program, directory = Path(sys.argv[1]).resolve(), sys.argv[2]
    unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=2)
