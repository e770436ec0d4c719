"""Hostile requests and videos against a real server, which may be one under address and
undefined-behaviour sanitizers: each gets an answer or, where it is no HTTP, the end of its
connection; nothing crashes, is reported or leaks, and no answer tells of the machine.

    hostile_test.py [--requests 10000] [--videos 1000] [--clips FOLDER] [--seed 1] [--only NUMBER]

Videos are mutated clips that the program makes, and those of FOLDER. Each input follows from the
seed and its number alone; one that fails is named by both.
"""

import collections
import copy
import glob
import json
import os
import random
import re
import shutil
import signal
import stat
import subprocess
import tempfile
import threading
import time

import faults
import serve
from serve import PROGRAM, form, y4m

OPTIONS = faults.options(
    ("--requests", 600, "mutated requests"), ("--videos", 60, "mutated clips"),
    ("--clips", None, "a folder of more clips"), ("--seed", 1, "of every mutation"),
    ("--workers", 4, "clients at once"), ("--only", -1, "this input alone"))

# Of the machine, the build or the source: never in an answer.
LEAKS = re.compile(rb"/(usr|tmp|proc|home|root|var|work|build|dev)/|\.cpp\b|\.h:\d|std::|mmra::|0x[0-9a-f]{6}")

TOKENS = [b"\r\n", b"\n", b"\0", b"\r\n\r\n", b"Transfer-Encoding: chunked\r\n", b"Content-Length: 0\r\n",
          b"Content-Length: 99999999999999999999\r\n", b"Content-Length: -1\r\n", b"Expect: 100-continue\r\n",
          b"Connection: close\r\n", b"Connection: upgrade\r\nUpgrade: h2c\r\n", b"HTTP/1.0", b"HTTP/2.0",
          b"Host: \r\n", b"%00", b"%2e%2e%2f", b"..%2f", b"%", b"%zz", b"\xff\xfe", b"\xed\xa0\x80", b"{", b"}",
          b"[" * 40, b'"', b"\\u0000", b"\\ud800", b"1e999", b"-0", b"--", b"A" * 5000, b"?" * 50, b"&&==",
          b"Accept: text/event-stream\r\n", b"Range: bytes=0-\r\n", b"Authorization: Bearer x\r\n",
          b"Origin: http://elsewhere\r\n", b";;;;", b"boundary=", b'name=""', b"filename*=UTF-8''x"]

ODD_VALUES = [None, True, False, 0, -1, 1e308, -1e308, 2**63, 2**64, 10**400, 0.1, "", " ", "\0", "\ud800",
              "x" * 5000, "x" * 300000, "\u202e\u0000", "2024-02-30T00:00:00Z", "9999-12-31T23:59:59.999Z",
              "0001-01-01T00:00:00Z", [], {}, [[]], ["a"] * 200, {"a": {"b": {"c": {}}}}, "../../etc/passwd",
              "NaN", "\U0001F600" * 40, "v1", "v0", "a/b", "%2e", [None], "<script>", "1" * 400]


def http(method, target, body=b"", headers=()):
    head = f"{method} {target} HTTP/1.1\r\nHost: localhost\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in headers)
    if body:
        head += f"Content-Length: {len(body)}\r\n"
    return head.encode("utf-8", "surrogateescape") + b"\r\n" + body


def json_request(method, target, text):
    return http(method, target, text.encode("utf-8", "surrogatepass"),
                [("Content-Type", "application/json")])


JSON_REQUESTS = [
    ("POST", "/v1/predict", {"title": "the boat"}),
    ("POST", "/v1/predict", {"title": "the boat", "context": {"followers": 10, "creator": "c1"},
                             "posted_at": "2024-01-01T00:00:00Z", "as_of": "2024-01-02T00:00:00Z"}),
    ("POST", "/v1/predict", {"id": "v7", "as_of": "2024-01-02T00:00:00Z"}),
    ("POST", "/v1/compare", {"titles": ["the boat", "the cake"], "context": {"followers": 3}}),
    ("POST", "/v1/compare", {"id": "v8", "titles": ["the boat", "the cake", "the tiger"]}),
    ("POST", "/v1/videos", {"id": "new", "title": "new", "popularity": 3, "split": "train",
                            "posted_at": "2024-01-01T00:00:00Z", "context": {"followers": 1}}),
    ("PATCH", "/v1/videos/v9", {"popularity": 4, "title": "other", "split": "test"}),
]
GET_TARGETS = ["/", "/assets/app.js", "/openapi.json", "/healthz", "/readyz", "/metrics", "/v1/model",
               "/v1/search?text=boat&k=5", "/v1/search?id=v7&as_of=2024-01-01T00:00:00Z",
               "/v1/videos?limit=5&sort=popularity&order=desc&q=boat&from=2023-01-01T00:00:00Z",
               "/v1/videos?after=v7", "/v1/videos/v7", "/v1/videos/v7/thumbnails/0.jpg"]
FORMS = [("/v1/predict", [("title", "the boat"), ("context", '{"followers": 3}')]),
         ("/v1/compare", [("title", "the boat"), ("title", "the cake")]),
         ("/v1/search", [("k", "5")]),
         ("/v1/videos", [("id", "clip"), ("title", "a clip"), ("popularity", "5")])]


class Mutator:
    """One input from the seed and its number."""

    def __init__(self, number, clips):
        self.random = random.Random(f"{OPTIONS.seed}-{number}")
        self.clips = clips

    def some_valid(self):
        kind = self.random.randrange(4)
        if kind == 0:
            return http("GET", self.random.choice(GET_TARGETS))
        if kind == 1:
            target, fields = self.random.choice(FORMS)
            body, media = form(fields, y4m(frames=3, width=32, height=24))
            return http("POST", target, body, [("Content-Type", media)])
        if kind == 2 and self.random.random() < 0.2:
            return http("DELETE", f"/v1/videos/v{self.random.randrange(120)}")
        method, target, document = self.random.choice(JSON_REQUESTS)
        return json_request(method, target, json.dumps(document))

    # ---- bytes

    def place(self, data):
        """Anywhere, but in half of all cases in the head of a request."""
        end = data.find(b"\r\n\r\n")
        if end > 0 and self.random.random() < 0.5:
            return self.random.randrange(end + 4)
        return self.random.randrange(len(data) + 1)

    def mutate_bytes(self, data):
        for _ in range(self.random.choice((1, 1, 1, 2, 3, 8, 30))):
            at = self.place(data)
            how = self.random.randrange(8)
            length = self.random.choice((1, 1, 2, 4, 16, 100))
            if how == 0:
                data = data[:at] + bytes([self.random.randrange(256)]) + data[at + 1:]
            elif how == 1:
                data = data[:at] + data[at + length:]
            elif how == 2:
                data = data[:at] + self.random.choice(TOKENS) + data[at:]
            elif how == 3:
                data = data[:at] + self.random.randbytes(length) + data[at:]
            elif how == 4:
                data = data[:at] + data[at:at + length] * self.random.choice((2, 3, 50)) + data[at + length:]
            elif how == 5:
                data = data[:at] + bytes(b ^ (1 << self.random.randrange(8)) for b in data[at:at + 1]) + data[at + 1:]
            elif how == 6 and self.random.random() < 0.3:
                data = data[:at]
            else:
                other = self.some_valid()
                data = data[:at] + other[self.random.randrange(len(other)):]
            data = data[:2_000_000] or b"\0"
        return data

    # ---- structure

    def odd(self):
        return copy.deepcopy(self.random.choice(ODD_VALUES))

    def odd_json(self):
        method, target, document = self.random.choice(JSON_REQUESTS)
        document = json.loads(json.dumps(document))
        for _ in range(self.random.choice((1, 1, 2, 4))):
            if not isinstance(document, dict):
                break
            key = self.random.choice(list(document) or ["title"])
            how = self.random.randrange(6)
            if how == 0:
                document.pop(key, None)
            elif how == 1:
                document[str(self.odd())[:600]] = self.odd()
            elif how == 2 and isinstance(document.get(key), dict):
                document[key][str(self.odd())[:100]] = self.odd()
            elif how == 3 and isinstance(document.get(key), list):
                document[key] = document[key] * self.random.choice((0, 1, 30)) + [self.odd()]
            elif how == 4 and self.random.random() < 0.2:
                document = self.odd()
            else:
                document[key] = self.odd()
        text = json.dumps(document, ensure_ascii=self.random.random() < 0.5)
        how = self.random.randrange(10)
        if how == 0:
            text = text.replace("1", "NaN")
        elif how == 1:
            text = text[:-1] + ', "title": "twice"}'
        elif how == 2:
            text = "[" * self.random.choice((9, 1000, 100000)) + text
        elif how == 3:
            text = text + self.random.choice((" ", "x", "{}", "\0", "// c"))
        elif how == 4:
            text = "\ufeff" + text
        target = target if self.random.random() < 0.9 else target + self.random.choice(("/", "?a=b", "%00", "//"))
        request = json_request(method, target, text)
        if self.random.random() < 0.1:
            request = request.replace(b"application/json", self.random.choice(
                (b"text/plain", b"application/json; charset=utf-16", b"multipart/form-data", b"")))
        return request

    def odd_target(self):
        path, _, query = self.random.choice(GET_TARGETS).partition("?")
        parts = [part for part in query.split("&") if part]
        for _ in range(self.random.choice((1, 2, 3))):
            odd = self.random.choice(("-1", "0", "1e9", "99999999999999999999", "", "%00", "%ff%fe", "x" * 6000,
                                      "a%2fb", "..", "2024-13-01", "+", "%E2%80%AE", "desc", "v7", "[]", "a&k=2"))
            if parts and self.random.random() < 0.7:
                at = self.random.randrange(len(parts))
                parts[at] = parts[at].split("=")[0] + "=" + odd
            elif self.random.random() < 0.5:
                parts.append(self.random.choice(("k", "limit", "x", "text", "id")) + "=" + odd)
            else:
                path += "/" + odd
        method = self.random.choice(("GET", "GET", "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "POST", "DELETE", "get"))
        return http(method, path + ("?" + "&".join(parts) if parts else ""))

    def odd_form(self):
        target, fields = self.random.choice(FORMS)
        fields = list(fields)
        for _ in range(self.random.choice((0, 1, 2))):
            name = self.random.choice([name for name, _ in fields] + ["video", "x", "", "a\"b", "id"])
            value = self.odd()
            text = value if isinstance(value, str) else json.dumps(value)
            fields.insert(self.random.randrange(len(fields) + 1),
                          (name, text.encode("utf-8", "surrogatepass")))
        if self.random.random() < 0.1:
            fields *= 40
        video = y4m(frames=2, width=32, height=24) if self.random.random() < 0.3 else None
        boundary = self.random.choice(("b", "----mmra", "a" * 70, "x" * 71, "--", "a b", "'()+_,-./:=?"))
        body, media = form(fields, video, boundary)
        if self.random.random() < 0.5:
            body = self.mutate_bytes(body)
        headers = [("Content-Type", media)]
        if self.random.random() < 0.3:  # in chunks, some of which lie
            chunks = b""
            while body:
                piece, body = body[:self.random.randrange(1, 5000)], body[5000:]
                size = len(piece) if self.random.random() < 0.97 else self.random.choice((0, 1, 2**31, 2**64 - 1))
                chunks += f"{size:x}{self.random.choice(('', '', ';a=b'))}\r\n".encode() + piece + b"\r\n"
            chunks += self.random.choice((b"0\r\n\r\n", b"0\r\nX: y\r\n\r\n", b"", b"zz\r\n"))
            return http("POST", target, b"", headers + [("Transfer-Encoding", "chunked")]) + chunks
        return http("POST", target, body, headers)

    def request(self):
        kind = self.random.random()
        if kind < 0.4:
            return self.mutate_bytes(self.some_valid())
        if kind < 0.65:
            return self.odd_json()
        if kind < 0.8:
            return self.odd_target()
        return self.odd_form()

    # ---- clips

    def place_in_clip(self, data):
        """Half of the time in what a demuxer reads first, or last in MP4."""
        if self.random.random() < 0.5:
            moov = data.find(b"moov")
            start = moov if moov > 0 and self.random.random() < 0.7 else 0
            return min(len(data), start + self.random.randrange(4096))
        return self.random.randrange(len(data) + 1)

    def clip(self):
        data = self.random.choice(self.clips)
        for _ in range(self.random.choice((1, 1, 2, 4, 20, 100))):
            at = self.place_in_clip(data)
            how = self.random.randrange(8)
            length = self.random.choice((1, 4, 16, 300, 5000))
            if how <= 1:
                data = data[:at] + bytes([self.random.randrange(256)]) + data[at + 1:]
            elif how == 2:
                number = self.random.choice((0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, self.random.getrandbits(32)))
                data = data[:at] + number.to_bytes(4, "big") + data[at + 4:]
            elif how == 3:
                data = data[:at] + data[at + length:]
            elif how == 4:
                data = data[:at] + data[at:at + length] * 2 + data[at + length:]
            elif how == 5:
                data = data[:at] + bytes(min(length, max(0, len(data) - at))) + data[at + length:]
            elif how == 6 and self.random.random() < 0.2:
                data = data[:at]
            elif how == 7 and self.random.random() < 0.1:
                other = self.random.choice(self.clips)
                data = data[:at] + other[self.random.randrange(len(other)):]
            data = data or b"\0"
        return data

    def video_request(self):
        target, fields = self.random.choice(FORMS[:3])
        body, media = form(fields, self.clip(), boundary="xXxXx")
        return http("POST", target, body, [("Content-Type", media), ("Connection", "close")])


def make_clips(folder):
    """Some of the clips that `mmra demo` makes, H.264 in MP4; it is stopped when it has them."""
    process = subprocess.Popen([PROGRAM, "demo", "--dir", folder, "--clips", "60", "--quiet"],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not glob.glob(folder + "/**/videos.csv", recursive=True):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    process.wait()
    clips = sorted(glob.glob(folder + "/**/*.mp4", recursive=True))[::12]
    assert clips, "mmra demo made no clips"
    return clips


class Hostile(faults.WithBank):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="mmra-hostile-")
        self.addCleanup(folder.cleanup)
        self.reports = folder.name + "/report"
        # What a sanitizer finds in the server goes into a file; what it finds in a decoder, which may
        # open none, to that decoder's standard error.
        os.environ["ASAN_OPTIONS"] = f"log_path={self.reports}"
        os.environ["UBSAN_OPTIONS"] = f"log_path={self.reports}:print_stacktrace=1"
        os.environ["LSAN_OPTIONS"] = "print_suppressions=0"
        self.decoder_log = folder.name + "/decoders"
        decoder = os.path.join(os.path.dirname(os.path.abspath(PROGRAM)), "mmra-decoder")
        program = serve.with_decoder(folder.name, f'exec 2>>"{self.decoder_log}"\n'
                                     f'export UBSAN_OPTIONS=print_stacktrace=1\nexec "{decoder}" "$@"')
        self.clips = [y4m(), y4m(frames=5, width=320, height=180)]
        paths = make_clips(folder.name + "/demo")
        for folder_of_clips in filter(None, [OPTIONS.clips]):
            paths += sorted(glob.glob(folder_of_clips + "/*"))
        for path in paths:
            if stat.S_ISREG(os.stat(path).st_mode):
                with open(path, "rb") as clip:
                    self.clips.append(clip.read())
        shutil.rmtree(folder.name + "/demo")
        self.bank_served = self.copy_bank()
        self.server = self.serve("--decoders", 2, "--max-queued", 256, "--max-uploads", 32, "--deadline", 120,
                                 bank=self.bank_served, program=program)
        self.secret = self.folder.name.encode()

    def fault_of(self, request, answer):
        """What is wrong with the answer, if anything."""
        if not answer:
            # The end without a word: only for what is no whole HTTP request.
            return None if self.is_broken(request) else "no answer"
        for part in re.split(rb"(?=HTTP/1\.[01] \d{3} )", answer):
            if part and not re.match(rb"HTTP/1\.[01] \d{3} ", part):
                return "no status line"
            status = int(part[9:12]) if part else 200
            if status == 500 or status > 504 and status != 507:
                return f"status {status}"
            head, _, body = part.partition(b"\r\n\r\n")
            is_ours = b"Content-Type: application/" in head and b"openapi" not in body[:200]
            if self.secret in part or (is_ours and status >= 400 and LEAKS.search(self.without_echo(part, request))):
                return "it tells of the machine"
        return None

    @staticmethod
    def without_echo(answer, request):
        """Words of the request that an error quotes are the client's own."""
        return b"" if LEAKS.search(request) else answer

    @staticmethod
    def is_broken(request):
        """No HTTP/1, or cut off in its head or body, so that the end of input is the answer."""
        head, end, body = request.partition(b"\r\n\r\n")
        if not end or not re.match(rb"[^ ]+ [^ ]+ HTTP/1\.[01]\r", head + b"\r"):
            return True
        length = re.search(rb"(?i)\r\ncontent-length:[ \t]*(\d+)", head)
        if b"chunked" in head.lower():
            return True
        return length is not None and int(length.group(1)) > len(body)

    def run_all(self, count, make):
        numbers = iter(range(count) if OPTIONS.only < 0 else [OPTIONS.only])
        lock = threading.Lock()
        found, statuses, details = [], collections.Counter(), collections.defaultdict(list)

        def work():
            while not found:
                with lock:
                    number = next(numbers, None)
                if number is None:
                    return
                request = b""
                try:
                    request = make(Mutator(number, self.clips))
                    answer = self.server.send_bytes(request, timeout=180, half_close=True)
                    fault = self.fault_of(request, answer)
                except Exception as error:  # connecting failed, perhaps: it is gone
                    answer, fault = b"", repr(error)
                if fault is None and self.server.process.poll() is not None:
                    fault = "the server is gone"
                with lock:
                    status = answer[9:12].decode("latin-1")
                    statuses[status] += 1
                    if detail := re.search(rb'"detail":"the video cannot be decoded: ([^"]{0,60})', answer):
                        details[detail.group(1).decode()].append(number)
                    if fault:
                        found.append((number, fault, request[:600], answer[:1500]))

        threads = [threading.Thread(target=work) for _ in range(OPTIONS.workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(found, [], f"seed {OPTIONS.seed}")
        self.assertEqual(sum(statuses.values()), count if OPTIONS.only < 0 else 1)
        return statuses, details

    def expect_no_report(self):
        reports = glob.glob(self.reports + "*")
        for path in reports + glob.glob(self.decoder_log):
            with open(path, errors="replace") as report:
                self.assertEqual(report.read()[:6000], "", path)

    def run_against_the_server(self, name, count, make):
        started = time.monotonic()
        statuses, details = self.run_all(count, make)
        seconds = time.monotonic() - started
        print(f"\n{sum(statuses.values())} {name} in {seconds:.0f} s: "
              + ", ".join(f"{n} x {status or 'closed'}" for status, n in sorted(statuses.items())))
        for detail, numbers in sorted(details.items(), key=lambda item: -len(item[1]))[:12]:
            print(f"  {len(numbers):5} x {detail} ({name} number {min(numbers)})")
        answer = self.server.ask("POST", "/v1/predict", {"title": "the boat"})
        self.assertEqual(answer.status, 200)
        self.wait_until(lambda: self.server.metric("mmra_uploads_free") == 32)
        self.assertEqual(self.server.children(), [])
        status = self.server.stop()
        self.expect_no_report()  # leaks too, which are looked for at the end
        self.assertEqual(status, 0)
        verified = subprocess.run([PROGRAM, "bank", "verify", "--bank", self.bank_served],
                                  capture_output=True)
        self.assertEqual(verified.returncode, 0, verified.stdout + verified.stderr)
        return statuses

    def test_mutated_requests(self):
        statuses = self.run_against_the_server("mutated requests", OPTIONS.requests, Mutator.request)
        if OPTIONS.only < 0:
            self.assertGreater(statuses["200"], 0)
            self.assertGreater(statuses["400"], 0)

    def test_mutated_videos(self):
        statuses = self.run_against_the_server("mutated videos", OPTIONS.videos, Mutator.video_request)
        if OPTIONS.only < 0:
            self.assertGreater(statuses["200"], 0)
            self.assertGreater(statuses["422"], 0)
            self.assertLessEqual(set(statuses), {"200", "422"})


if __name__ == "__main__":
    faults.main()
