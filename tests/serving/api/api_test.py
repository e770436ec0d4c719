"""Every endpoint of openapi.json and every problem it documents, on a real server; each answer is
validated against the document."""

import json
import os
import random
import re
import socket
import struct
import subprocess
import tempfile
import threading
import time
import unittest

from serve import PROGRAM, WithBank, form, run, with_decoder, y4m

# A problem that no request can bring about on a sound server.
NOT_PROVOKED = {"500"}


class Api(WithBank):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = cls.serve()
        cls.ask = cls.server.ask

    def test_health_page_and_headers(self):
        self.assertEqual(self.ask("GET", "/healthz").json, {"status": "ok"})
        self.assertEqual(self.ask("GET", "/readyz").json, {"status": "ready"})
        page = self.ask("GET", "/")
        self.assertIn("text/html", page.headers["content-type"])
        self.assertIn("default-src 'none'", page.headers["content-security-policy"])
        self.assertEqual(page.headers["x-content-type-options"], "nosniff")
        self.assertEqual(page.headers["x-frame-options"], "DENY")
        for name in re.findall(rb'(?:src|href)="/assets/([^"]+)"', page.body):
            asset = self.ask("GET", "/assets/" + name.decode())
            self.assertEqual(asset.status, 200)
        self.expect_problem(self.ask("GET", "/assets/..%2fsecret"), 404, "not_found")
        self.expect_problem(self.ask("GET", "/assets/%2e%2e"), 404, "not_found")
        self.assertEqual(self.ask("HEAD", "/healthz").body, b"")

    def test_openapi_lists_what_there_is(self):
        for path, operations in self.server.contract.document["paths"].items():
            for method in operations:
                if method == "parameters":
                    continue
                answer = self.server.raw(method.upper(), path.replace("{", "").replace("}", ""))
                self.assertNotEqual(answer.json.get("code") if "problem" in answer.headers[
                    "content-type"] else None, "method_not_allowed", (method, path))
                if answer.status == 404:
                    self.assertNotIn("nothing under this address", answer.body.decode())

    def test_metrics(self):
        self.ask("GET", "/healthz")
        text = self.ask("GET", "/metrics").body.decode()
        self.assertIn('mmra_http_responses_total{route="/healthz",method="GET",status="200"}', text)
        for line in text.splitlines():
            self.assertRegex(line, r'^(# (HELP|TYPE) \w+ .+|\w+(\{.*\})? [-+0-9.einfINF]+)$')
        self.assertIn("mmra_connections_open", text)

    def test_model_card(self):
        card = self.ask("GET", "/v1/model").json
        self.assertEqual(card["model"], "mmra")
        self.assertEqual(card["bank"]["unit"], "comments")
        self.assertEqual(card["bank"]["context_columns"]["followers"], "number")
        self.assertEqual(len(card["history"]), 1)

    def test_predict_is_what_the_program_predicts(self):
        said = json.loads(subprocess.run(
            [PROGRAM, "predict", "--bank", self.bank, "--model", self.model, "--title", "the tiger",
             "--json", "--threads", "1"], check=True, capture_output=True).stdout)
        with tempfile.NamedTemporaryFile(suffix=".y4m") as clip:
            clip.write(y4m(shade=90))
            clip.flush()
            said_of_clip = json.loads(subprocess.run(
                [PROGRAM, "predict", "--bank", self.bank, "--model", self.model, "--title", "x",
                 "--video", clip.name, "--json", "--threads", "1"], check=True,
                capture_output=True).stdout)
        served = self.ask("POST", "/v1/predict", {"title": "the tiger"}).json
        served_clip = self.ask("POST", "/v1/predict", fields=[("title", "x")],
                               video=y4m(shade=90)).json
        for expected, actual in ((said, served), (said_of_clip, served_clip)):
            self.assertAlmostEqual(expected["log2"], actual["log2"], places=4)
            self.assertEqual([i["id"] for i in expected["instances"]],
                             [i["id"] for i in actual["instances"]])
        self.assertEqual(said_of_clip["captions"], served_clip["captions"])
        self.assertEqual(len(served_clip["frames"]), 3)
        self.assertEqual(served_clip["frames"][0]["time_s"], 0.0)
        self.assertEqual(len(served["distribution"]["edges"]),
                         len(served["distribution"]["counts"]) + 1)
        self.assertEqual(sum(served["distribution"]["counts"]), 120)

    def test_predict_variants(self):
        by_id = self.ask("POST", "/v1/predict", {"id": "v7"}).json
        self.assertNotIn("v7", [i["id"] for i in by_id["instances"]])
        before = "2023-11-15T05:13:20Z"
        past = self.ask("POST", "/v1/predict", {"title": "the cake", "as_of": before}).json
        for instance in past["instances"]:
            self.assertLess(instance["posted_at"], before)
        whole = self.ask("POST", "/v1/predict", {
            "title": "the cake", "context": {"followers": 12, "creator": "c1", "width": None},
            "posted_at": 1700500000})
        self.assertEqual(whole.status, 200, whole.body)
        by_form = self.ask("POST", "/v1/predict", fields=[
            ("title", "the cake"), ("context", '{"followers": 12}'), ("posted_at", before)])
        self.assertEqual(by_form.status, 200, by_form.body)
        empty_file = self.ask("POST", "/v1/predict", fields=[("title", "the cake")], video=b"")
        self.assertEqual(empty_file.status, 200, "a browser sends an empty file for an empty field")

    def test_predict_events(self):
        body, media = form([("title", "the tiger")], y4m())
        answer = self.ask("POST", "/v1/predict", body=body, headers={
            "Content-Type": media, "Accept": "text/event-stream"})
        events = []
        for block in answer.body.decode().strip().split("\n\n"):
            name, data = block.split("\n")
            events.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
        self.assertEqual([name for name, _ in events], ["frames", "captions", "neighbours", "result"])
        self.assertEqual(len(events[0][1]["frames"]), 3)
        self.assertEqual(len(events[1][1]["captions"]), 3)
        self.server.contract.check_schema({"$ref": "#/components/schemas/Prediction"},
                                          json.dumps(events[3][1]))
        broken = self.ask("POST", "/v1/predict", body=form([], b"no video")[0],
                          headers={"Content-Type": media, "Accept": "text/event-stream"})
        self.expect_problem(broken, 422, "invalid_video")
        self.assertEqual(self.ask("GET", "/healthz").status, 200)

    def test_predict_problems(self):
        def refuse(status, code, *arguments, **more):
            self.expect_problem(self.ask("POST", "/v1/predict", *arguments, **more), status, code)

        refuse(404, "no_record", {"id": "nowhere"})
        refuse(400, "unknown_member", {"titel": "x"})
        refuse(400, "missing_member", {})
        refuse(400, "invalid_member", {"title": 3})
        refuse(400, "invalid_member", {"title": "a\0b"})
        refuse(400, "invalid_member", {"id": "v1", "title": "x"})
        refuse(400, "invalid_member", {"title": "x", "as_of": "yesterday"})
        refuse(400, "invalid_member", {"title": "x", "context": {"followers": "many"}})
        refuse(400, "unknown_member", {"title": "x", "context": {"colour": 1}})
        refuse(413, "too_large", {"title": "x" * 5000})
        refuse(413, "too_large", {"title": "x" * 300000})
        json_type = {"Content-Type": "application/json"}
        refuse(400, "invalid_json", body="[1]", headers=json_type)
        refuse(400, "invalid_json", body="{", headers=json_type)
        refuse(400, "invalid_json", body=b'{"title": "\xff"}', headers=json_type)
        refuse(400, "invalid_json", body='{"a":' * 9 + "1" + "}" * 9, headers=json_type)
        refuse(400, "invalid_json", body="[" * 100000, headers=json_type)
        refuse(415, "unsupported_media_type", body="title=x",
               headers={"Content-Type": "application/x-www-form-urlencoded"})
        refuse(400, "invalid_form", body="x", headers={"Content-Type": "multipart/form-data"})
        refuse(400, "invalid_form", body="x" * 2000,
               headers={"Content-Type": "multipart/form-data; boundary=b"})
        refuse(400, "invalid_form", fields=[("title", "x"), ("title", "y")])
        refuse(400, "invalid_form", fields=[("title", b"\xff\xfe")])
        refuse(422, "invalid_video", fields=[], video=b"this is no video")
        refuse(422, "invalid_video", fields=[], video=y4m()[:40])

    def test_compare(self):
        answer = self.ask("POST", "/v1/compare", {"titles": ["the boat", "the piano"]}).json
        self.assertEqual([r["title"] for r in answer["results"]], ["the boat", "the piano"])
        alone = self.ask("POST", "/v1/predict", {"title": "the piano"}).json
        self.assertAlmostEqual(answer["results"][1]["log2"], alone["log2"], places=4)
        with_clip = self.ask("POST", "/v1/compare", fields=[("title", "a"), ("title", "b")],
                             video=y4m())
        self.assertEqual(len(with_clip.json["results"]), 2)
        of_record = self.ask("POST", "/v1/compare", {"id": "v7", "titles": ["a", "b", "c"]})
        self.assertEqual(len(of_record.json["pairs"]), 3)
        for body in ({"titles": ["a"]}, {"titles": ["a", "a"]}, {"titles": ["a", ""]}):
            self.expect_problem(self.ask("POST", "/v1/compare", body), 400, "invalid_titles")
        self.expect_problem(self.ask("POST", "/v1/compare", {"titles": list("ab") * 20}), 413,
                            "too_large")
        self.expect_problem(self.ask("POST", "/v1/compare", {"id": "no", "titles": ["a", "b"]}), 404,
                            "no_record")
        self.expect_problem(self.ask("POST", "/v1/compare", {}), 400, "missing_member")
        self.expect_problem(self.ask("POST", "/v1/compare", fields=[("title", "a"), ("title", "b")],
                                     video=b"no"), 422, "invalid_video")
        self.expect_problem(self.ask("POST", "/v1/compare", body="x", headers={
            "Content-Type": "text/plain"}), 415, "unsupported_media_type")

    def test_search(self):
        results = self.ask("GET", "/v1/search?text=tiger&k=3").json["results"]
        self.assertEqual(len(results), 3)
        self.assertTrue(all("tiger" in result["title"] for result in results))
        by_id = self.ask("GET", "/v1/search?id=v7").json["results"]
        self.assertNotIn("v7", [result["id"] for result in by_id])
        by_clip = self.ask("POST", "/v1/search", fields=[("k", "2")], video=y4m(shade=200)).json
        self.assertEqual(by_clip["results"][0]["id"], "v8", "the very clip of that record")
        self.assertEqual(by_clip["results"][0]["thumbnail_url"], "/v1/videos/v8/thumbnails/0.jpg")
        for target, code in (("/v1/search", "missing_parameter"),
                             ("/v1/search?text=a&id=v1", "missing_parameter"),
                             ("/v1/search?text=a&k=0", "invalid_parameter"),
                             ("/v1/search?text=a&k=x", "invalid_parameter"),
                             ("/v1/search?text=a&x=1", "unknown_parameter"),
                             ("/v1/search?text=a&text=b", "invalid_http"),
                             ("/v1/search?text=%ff", "invalid_http"),
                             ("/v1/search?text=a&as_of=never", "invalid_member")):
            self.expect_problem(self.ask("GET", target), 400, code)
        self.expect_problem(self.ask("GET", "/v1/search?id=no"), 404, "no_record")
        self.expect_problem(self.ask("GET", "/v1/search?text=" + "a" * 5000), 413, "too_large")
        self.expect_problem(self.ask("POST", "/v1/search", fields=[("k", "1")]), 400, "missing_member")
        self.expect_problem(self.ask("POST", "/v1/search", fields=[("k", "500")], video=y4m()), 400,
                            "invalid_member")
        self.expect_problem(self.ask("POST", "/v1/search", video=b"x"), 422, "invalid_video")
        self.expect_problem(self.ask("POST", "/v1/search", {"text": "a"}), 415,
                            "unsupported_media_type")

    def test_list(self):
        ids = []
        after = ""
        while True:
            page = self.ask("GET", "/v1/videos?limit=50&sort=popularity&order=desc" + after).json
            ids += [video["id"] for video in page["videos"]]
            if page["next"] is None:
                break
            after = "&after=" + page["next"]
        self.assertEqual(len(ids), page["total"])
        self.assertEqual(len(set(ids)), len(ids))
        found = self.ask("GET", "/v1/videos?q=TIGER+of+day+1&limit=500").json["videos"]
        self.assertTrue(found and all("tiger of day 1" in video["title"] for video in found))
        since = self.ask("GET", "/v1/videos?from=2023-11-15T00:00:00Z&to=2023-11-16T00:00:00Z").json
        self.assertEqual(since["total"], 24)
        for target in ("limit=0", "limit=501", "sort=colour", "order=up", "from=x", "after=nobody",
                       "colour=red"):
            self.assertEqual(self.ask("GET", "/v1/videos?" + target).status, 400, target)

    def test_records_come_and_change_and_go(self):
        generation = self.ask("GET", "/v1/model").json["bank"]["generation"]
        added = self.ask("POST", "/v1/videos", fields=[
            ("id", "new/ü 1"), ("title", "a zeppelin"), ("popularity", "33"), ("split", "train"),
            ("posted_at", "2024-01-02T03:04:05Z"), ("context", '{"followers": 5}')], video=y4m())
        self.assertEqual(added.status, 201, added.body)
        address = added.headers["location"]
        self.assertEqual(address, "/v1/videos/new%2F%C3%BC%201")
        record = self.ask("GET", address).json
        self.assertEqual((record["title"], record["popularity"], record["has_video"]),
                         ("a zeppelin", 33.0, True))
        self.assertEqual(record["context"]["followers"], 5.0)
        self.assertEqual(record["context"]["width"], 64.0, "what the clip itself says")
        jpeg = self.ask("GET", record["thumbnails"][0])
        self.assertEqual(jpeg.body[:2], b"\xff\xd8")
        self.expect_problem(self.ask("GET", address + "/thumbnails/9.jpg"), 404, "no_thumbnail")
        found = self.ask("GET", "/v1/search?text=zeppelin&k=1").json["results"]
        self.assertEqual(found[0]["id"], "new/ü 1", "seen by the next search")

        changed = self.ask("PATCH", address, {"popularity": 44, "title": "a submarine"}).json
        self.assertEqual((changed["popularity"], changed["title"]), (44.0, "a submarine"))
        self.assertEqual(changed["captions"], record["captions"])
        found = self.ask("GET", "/v1/search?text=submarine&k=1").json["results"]
        self.assertEqual((found[0]["id"], found[0]["popularity"]), ("new/ü 1", 44.0))
        again = self.ask("PATCH", address, {"split": "valid", "context": {"followers": 6}}).json
        self.assertEqual((again["split"], again["context"]["followers"]), ("valid", 6.0))
        self.assertEqual(again["counts"], [])
        for day, views in ((8, 60), (6, 50), (20, 90)):  # the bank's horizon is seven days
            counted = self.ask("PATCH", address, {"popularity": views,
                                                  "observed_at": f"2024-01-{day:02}T07:00:00Z"}).json
        self.assertEqual(counted["counts"],
                         [{"popularity": 50.0, "observed_at": "2024-01-06T07:00:00Z"},
                          {"popularity": 60.0, "observed_at": "2024-01-08T07:00:00Z"},
                          {"popularity": 90.0, "observed_at": "2024-01-20T07:00:00Z"}])
        self.assertEqual(counted["popularity"], 60.0, "the last count within the horizon")
        self.assertEqual(self.ask("GET", address).json, counted)
        found = self.ask("GET", "/v1/search?text=submarine&k=1").json["results"]
        self.assertEqual(found[0]["popularity"], 60.0)
        self.expect_problem(self.ask("PATCH", address, {"observed_at": "2026-03-01T09:00:00Z"}), 400,
                            "missing_member")
        self.expect_problem(self.ask("PATCH", address, {
            "popularity": 1, "observed_at": "2026-02-01T00:00:00Z",
            "posted_at": "2026-02-02T00:00:00Z"}), 400, "invalid_member")
        self.assertEqual(self.ask("GET", address).json, counted, "all or nothing")
        self.expect_problem(self.ask("POST", "/v1/videos", {"id": "new/ü 1", "title": "x"}), 409,
                            "conflict")
        listed = self.ask("GET", "/v1/videos?q=submarine").json["videos"]
        self.assertEqual(listed[0]["thumbnail_url"], address + "/thumbnails/0.jpg")

        self.assertEqual(self.ask("DELETE", address).status, 204)
        for method, body in (("GET", None), ("DELETE", None), ("PATCH", {"popularity": 1})):
            self.expect_problem(self.ask(method, address, body), 404, "no_record")
        self.expect_problem(self.ask("GET", address + "/thumbnails/0.jpg"), 404, "no_record")
        self.assertGreater(self.ask("GET", "/v1/model").json["bank"]["generation"], generation)

    def test_record_problems(self):
        def refuse(status, code, body=None, **more):
            self.expect_problem(self.ask("POST", "/v1/videos", body, **more), status, code)

        refuse(400, "invalid_member", {"title": "no id"})
        refuse(400, "invalid_member", {"id": "a\nb", "title": "x"})
        refuse(413, "too_large", {"id": "x" * 512, "title": "x"})
        refuse(400, "missing_member", {"id": "empty"})
        refuse(400, "invalid_member", {"id": "a", "title": "x", "popularity": -1})
        refuse(400, "invalid_member", {"id": "a", "title": "x", "popularity": "12"})
        refuse(400, "invalid_member", {"id": "a", "title": "x", "split": "all"})
        refuse(400, "unknown_member", {"id": "a", "title": "x", "video": "/etc/passwd"})
        refuse(422, "invalid_video", fields=[("id", "a")], video=b"x")
        refuse(415, "unsupported_media_type", body="x", headers={"Content-Type": "text/plain"})
        patch = lambda json_body, **more: self.ask("PATCH", "/v1/videos/v1", json_body, **more)
        self.expect_problem(patch({"title": ""}), 400, "invalid_member")
        self.expect_problem(patch({"id": "v2"}), 400, "unknown_member")
        self.expect_problem(patch({"title": "x" * 5000}), 413, "too_large")
        self.expect_problem(patch(None, body="x", headers={"Content-Type": "text/plain"}), 415,
                            "unsupported_media_type")

    def test_transport_problems(self):
        self.expect_problem(self.ask("GET", "/nowhere"), 404, "not_found")
        self.expect_problem(self.ask("PUT", "/v1/model"), 405, "method_not_allowed")
        self.expect_problem(self.ask("GET", "/v1/model", headers={"Host": "evil.example"}), 421,
                            "unknown_host")
        self.expect_problem(self.ask("GET", "/v1/model", headers={"X": "y" * 20000}), 431,
                            "header_too_large")
        self.expect_problem(self.ask("POST", "/v1/predict", {"title": "x"}, headers={
            "Origin": "http://evil.example"}), 403, "cross_site")
        self.expect_problem(self.ask("POST", "/v1/predict", {"title": "x"}, headers={
            "Sec-Fetch-Site": "cross-site"}), 403, "cross_site")
        own = self.ask("POST", "/v1/predict", {"title": "x"}, headers={
            "Origin": f"http://127.0.0.1:{self.server.port}", "Sec-Fetch-Site": "same-origin"})
        self.assertEqual(own.status, 200)
        send = self.server.send_bytes
        self.assertIn(b" 400 ", send(b"NONSENSE\r\n\r\n"))
        self.assertIn(b" 400 ", send(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n"))
        self.assertIn(b" 400 ", send(b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: a\r\nConnection: close\r\n\r\n"))
        self.assertIn(b" 400 ", send(b"GET /%zz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
        self.assertIn(b" 400 ", send(b"GET http://a/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
        self.assertIn(b" 400 ", send(b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
                                     b"application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"))
        self.assertIn(b" 400 ", send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
                                     b"Content-Length: 3\r\n\r\nabc"))
        self.assertIn(b"HTTP/1.0 200", send(b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n"))
        two = send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
                   b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        self.assertEqual(two.count(b"HTTP/1.1 200"), 2, "pipelined")
        chunked = send(b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json"
                       b"\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
                       b"4\r\n{\"ti\r\nc\r\ntle\": \"boat\"\r\n1\r\n}\r\n0\r\n\r\n")
        self.assertIn(b" 200 ", chunked)

    def test_uploads_have_a_limit(self):
        server = self.serve("--max-upload", 1, bank=self.copy_bank())
        self.expect_problem(server.ask("POST", "/v1/predict", video=b"x" * (2 << 20)), 413, "too_large")
        body, media = form([], b"x" * (2 << 20))
        head = (f"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: {media}\r\n"
                "Transfer-Encoding: chunked\r\n\r\n").encode()
        chunk = f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"
        self.assertIn(b" 413 ", server.send_bytes(head + chunk))
        early = server.send_bytes((f"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
                                   f"{media}\r\nContent-Length: 9999999\r\n"
                                   "Expect: 100-continue\r\n\r\n").encode())
        self.assertIn(b" 413 ", early)
        self.assertNotIn(b" 100 ", early)
        server.stop()

    def test_tokens(self):
        made = {}
        lines = []
        for access in ("read", "write"):
            result = subprocess.run([PROGRAM, "serve", "--make-token", access], check=True,
                                    capture_output=True, text=True)
            made[access] = {"Authorization": "Bearer " + result.stdout.strip()}
            lines.append(result.stderr.strip().splitlines()[-1])
            self.assertNotIn(result.stdout.strip(), result.stderr, "the file has the hash alone")
        with open(self.folder.name + "/tokens", "w") as tokens:
            tokens.write("# who\n" + "\n".join(line + " someone" for line in lines) + "\n")
        server = self.serve("--tokens", self.folder.name + "/tokens", bank=self.copy_bank())
        record = {"id": "by-token", "title": "x"}
        everything = [("GET", "/metrics", None), ("GET", "/v1/model", None),
                      ("POST", "/v1/predict", {"title": "x"}),
                      ("POST", "/v1/compare", {"titles": ["x", "y"]}),
                      ("GET", "/v1/search?text=x", None), ("POST", "/v1/search", None),
                      ("GET", "/v1/videos", None), ("POST", "/v1/videos", record),
                      ("GET", "/v1/videos/v1", None), ("PATCH", "/v1/videos/v1", {"popularity": 1}),
                      ("DELETE", "/v1/videos/by-token", None),
                      ("GET", "/v1/videos/v7/thumbnails/0.jpg", None), ("POST", "/v1/reload", None)]
        for method, target, body in everything:
            for header in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic eA=="}):
                answer = server.ask(method, target, body, headers=header)
                self.expect_problem(answer, 401, "unauthorized")
                self.assertEqual(answer.headers["www-authenticate"], "Bearer")
        writes = [entry for entry in everything if entry[0] in ("PATCH", "DELETE")
                  or entry[1] == "/v1/reload" or entry[2] is record]
        for method, target, body in writes:
            self.expect_problem(server.ask(method, target, body, headers=made["read"]), 403, "forbidden")
            answer = server.ask(method, target, body, headers=made["write"])
            self.assertIn(answer.status, (200, 201, 204), answer.body)
        for method, target, body in everything:
            if (method, target, body) not in writes and (method, target) != ("POST", "/v1/search"):
                for access in ("read", "write"):
                    self.assertEqual(server.ask(method, target, body, headers=made[access]).status, 200)
        for target in ("/", "/healthz", "/readyz", "/openapi.json"):
            self.assertEqual(server.ask("GET", target).status, 200, "needs no token")
        server.stop()
        self.server.contract.seen |= server.contract.seen

    def test_read_only(self):
        self.servers.append(self.serve("--read-only"))
        server = self.servers[-1]
        for method, target, body in (("POST", "/v1/videos", {"id": "a", "title": "x"}),
                                     ("PATCH", "/v1/videos/v1", {"popularity": 1}),
                                     ("DELETE", "/v1/videos/v1", None)):
            self.expect_problem(server.ask(method, target, body), 403, "read_only")
        generation = server.ask("GET", "/v1/model").json["bank"]["generation"]
        self.assertEqual(self.ask("POST", "/v1/videos", {"id": "seen", "title": "a unicycle"}).status,
                         201, "by the server that has the bank's lock")
        self.assertGreater(server.ask("GET", "/v1/model").json["bank"]["generation"], generation)
        self.assertEqual(server.ask("GET", "/v1/videos?q=unicycle").json["total"], 1)
        self.assertEqual(self.ask("DELETE", "/v1/videos/seen").status, 204)
        self.assertEqual(server.stop(), 0)

    def finish(self, server):
        """Stops a server of one test, and counts what it answered."""
        self.assertEqual(server.stop(), 0)
        self.server.contract.seen |= server.contract.seen

    def test_what_takes_too_long_is_answered_at_its_deadline(self):
        never = with_decoder(self.folder.name + "/never", "exec sleep 1000")
        server = self.serve("--deadline", 0.2, bank=self.copy_bank(), program=never)
        for target, fields in (("/v1/predict", []), ("/v1/search", []),
                               ("/v1/compare", [("title", "x"), ("title", "y")])):
            answer = server.ask("POST", target, fields=fields, video=y4m())
            self.expect_problem(answer, 504, "deadline_passed")
        self.assertEqual(server.ask("POST", "/v1/predict", {"title": "x"}).status, 200)
        self.assertEqual(server.ask("GET", "/healthz").status, 200)
        self.finish(server)

        # However short the deadline, an answer in time or this one.
        server = self.serve("--deadline", 0.001, bank=self.copy_bank())
        for method, target, body in (("POST", "/v1/predict", {"title": "x"}),
                                     ("POST", "/v1/compare", {"titles": ["x", "y"]}),
                                     ("GET", "/v1/search?text=x", None)):
            statuses = {server.ask(method, target, body).status for _ in range(20)}
            self.assertLessEqual(statuses, {200, 504})
        self.finish(server)

    def test_a_full_queue_refuses(self):
        server = self.serve("--max-queued", 1, bank=self.copy_bank())
        answers = []

        def predict():
            for _ in range(10):
                answers.append(server.ask("POST", "/v1/predict", {"title": "the boat"}))

        for _ in range(20):  # until six at once have once been too many
            threads = [threading.Thread(target=predict) for _ in range(6)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            refused = [answer for answer in answers if answer.status == 429]
            if refused:
                break
        self.assertTrue(refused)
        for answer in refused:
            self.expect_problem(answer, 429, "overloaded")
            self.assertEqual(answer.headers["retry-after"], "1")
        right = {answer.json["log2"] for answer in answers if answer.status == 200}
        self.assertLessEqual({answer.status for answer in answers}, {200, 429})
        self.assertEqual(len(right), 1, "whatever is answered is right")
        self.finish(server)

    def test_uploads_have_a_number(self):
        server = self.serve("--max-uploads", 1, bank=self.copy_bank())
        body, media = form([], y4m())
        head = (f"POST /v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: {media}\r\n"
                f"Content-Length: {len(body)}\r\n\r\n").encode()
        with socket.create_connection(("127.0.0.1", server.port)) as slow:
            slow.sendall(head + body[:100])
            self.wait_until(lambda: server.metric("mmra_uploads_free") == 0)
            self.expect_problem(server.ask("POST", "/v1/search", video=y4m()), 429, "overloaded")
        self.wait_until(lambda: server.metric("mmra_uploads_free") == 1)
        self.assertEqual(server.ask("POST", "/v1/search", video=y4m()).status, 200)
        self.finish(server)

    def test_reload(self):
        self.assertEqual(self.ask("POST", "/v1/reload").json["model"], "mmra")
        broken = self.folder.name + "/model/training.json"
        os.rename(broken, broken + ".away")
        try:
            self.expect_problem(self.ask("POST", "/v1/reload"), 409, "reload_failed")
            self.assertEqual(self.ask("POST", "/v1/predict", {"title": "x"}).status, 200)
        finally:
            os.rename(broken + ".away", broken)
        self.assertEqual(self.ask("POST", "/v1/reload").status, 200)

    def test_z_everything_documented_was_seen(self):
        """Runs last (by its name): each operation has succeeded, and each problem has happened."""
        server = self.serve("--client-time", 0.3, bank=self.copy_bank())
        statuses = []
        for target in ("/healthz",):
            answer = server.send_bytes(f"GET {target} HTTP/1.1\r\nHost:".encode())
            self.assertIn(b" 408 ", answer)
            statuses.append("408")
        server.stop()
        contract = self.server.contract
        documented = set(statuses) - {"408"}
        seen_statuses = {str(status) for _, _, status in contract.seen} | set(statuses)
        for path, operations in contract.document["paths"].items():
            for method, operation in operations.items():
                if method == "parameters":
                    continue
                for status in operation["responses"]:
                    documented.add(status)
                    if status.startswith("2"):
                        self.assertIn((method.upper(), path, int(status)), contract.seen)
        self.assertEqual(documented - seen_statuses - NOT_PROVOKED - {"503", "507"}, set(),
                         "503 is that of a server that stops, 507 that of a full disk: faults")


if __name__ == "__main__":
    unittest.main(verbosity=2)
