"""A real `mmra serve` on a real small bank and model, and a client that checks every answer against
the server's own openapi.json."""

import errno
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

import jsonschema

PROGRAM = os.environ["MMRA_PROGRAM"]
SUBJECTS = ["boat", "cake", "tiger", "piano"]


def y4m(frames=12, width=64, height=48, shade=40):
    """A clip that FFmpeg reads, made of what Python has: grey pictures that a bright bar crosses."""
    clip = b"YUV4MPEG2 W%d H%d F10:1 Ip A1:1 C420jpeg\n" % (width, height)
    for i in range(frames):
        row = bytearray([shade]) * width
        at = i * 4 % (width - 8)
        row[at : at + 8] = b"\xff" * 8
        clip += b"FRAME\n" + bytes(row) * height + bytes([128]) * (width * height // 2)
    return clip


def form(fields, video=None, boundary="----mmraboundary"):
    """A multipart body and its media type."""
    body = b""
    for name, value in fields:
        body += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode()
        body += (value if isinstance(value, bytes) else value.encode()) + b"\r\n"
    if video is not None:
        body += (
            f'--{boundary}\r\nContent-Disposition: form-data; name="video"; filename="a.y4m"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        ).encode()
        body += video + b"\r\n"
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def run(*arguments):
    subprocess.run([PROGRAM, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)


class Contract:
    """openapi.json, and what of it has been seen."""

    def __init__(self, document):
        self.document = document
        self.seen = set()
        self.paths = []
        for path in document["paths"]:
            pattern = re.sub(r"\\{[^/]+\\}", "[^/]+", re.escape(path))
            self.paths.append((re.compile(pattern + "$"), path))

    def operation(self, method, path):
        for pattern, name in self.paths:
            if pattern.match(path):
                return name, self.document["paths"][name].get(method.lower())
        return None, None

    def check(self, method, target, answer):
        path = target.split("?")[0]
        name, operation = self.operation("GET" if method == "HEAD" else method, path)
        if operation is None:
            assert answer.status in (400, 404, 405, 408, 421, 431), (method, target, answer.status)
            return self.check_schema({"$ref": "#/components/schemas/Problem"}, answer.body)
        documented = operation["responses"]
        assert str(answer.status) in documented, f"{method} {name}: {answer.status} is not documented"
        self.seen.add((method, name, answer.status))
        response = documented[str(answer.status)]
        if "$ref" in response:
            response = self.document["components"]["responses"][response["$ref"].split("/")[-1]]
        content = response.get("content")
        if content is None or method == "HEAD":
            assert answer.body == b"", answer.body
            return
        media = answer.headers["content-type"].split(";")[0]
        assert media in content, f"{method} {name} {answer.status}: {media} is not documented"
        if media.endswith("json"):
            self.check_schema(content[media]["schema"], answer.body)

    def check_schema(self, schema, body):
        whole = dict(schema, components=self.document["components"])
        jsonschema.Draft202012Validator(whole).validate(json.loads(body))


def with_decoder(folder, script):
    """The program beside a decoder that is this shell script: `mmra serve` takes the one beside it."""
    os.makedirs(folder + "/bin")
    os.symlink(os.path.join(os.path.dirname(PROGRAM), "../lib"), folder + "/lib")
    program = shutil.copy(PROGRAM, folder + "/bin/mmra")
    decoder = folder + "/bin/mmra-decoder"
    with open(decoder, "w") as file:
        file.write("#!/bin/sh\n" + script + "\n")
    os.chmod(decoder, 0o755)
    return program


class Server:
    def __init__(self, bank, model, *flags, program=PROGRAM):
        self.log = tempfile.TemporaryFile()
        self.upload_folder = tempfile.TemporaryDirectory(prefix="mmra-uploads-")
        self.process = subprocess.Popen(
            [program, "serve", "--bank", bank, "--model", model, "--port", "0", "--threads", "1",
             *([] if "--upload-dir" in flags else ["--upload-dir", self.upload_folder.name]),
             *map(str, flags)],
            stdout=subprocess.PIPE, stderr=self.log)
        line = self.process.stdout.readline().decode()
        assert line.startswith("listening on http://"), line + self.errors()
        self.host, self.port = re.match(r"listening on http://(.*):(\d+)", line).groups()
        self.port = int(self.port)
        self.contract = Contract(json.loads(self.raw("GET", "/openapi.json").body))

    def errors(self):
        self.log.seek(0)
        return self.log.read().decode()

    def connect(self, timeout=30):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def raw(self, method, target, body=None, headers=None, connection=None):
        used = connection or self.connect()
        used.request(method, target, body=body, headers=headers or {})
        response = used.getresponse()
        answer = Answer(response.status, {k.lower(): v for k, v in response.getheaders()},
                        response.read())
        if connection is None:
            used.close()
        return answer

    def ask(self, method, target, json_body=None, fields=None, video=None, headers=None, body=None):
        headers = dict(headers or {})
        if json_body is not None:
            body = json.dumps(json_body)
            headers.setdefault("Content-Type", "application/json")
        if fields is not None or video is not None:
            body, headers["Content-Type"] = form(fields or [], video)
        answer = self.raw(method, target, body, headers)
        self.contract.check(method, target, answer)
        return answer

    def send_bytes(self, data, timeout=10, half_close=False):
        """What comes back on a connection that sends these bytes alone."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as connection:
            try:
                connection.sendall(data)
                if half_close:
                    connection.shutdown(socket.SHUT_WR)
            except OSError as error:
                # The server may have answered and closed before it was told everything.
                if error.errno not in (errno.ENOTCONN, errno.EPIPE, errno.ECONNRESET):
                    raise
            answer = b""
            try:
                while True:
                    piece = connection.recv(65536)
                    if not piece:
                        return answer
                    answer += piece
            except (ConnectionResetError, socket.timeout):
                return answer

    def resident_mib(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1)) / 1024

    def children(self):
        found = []
        for task in os.listdir(f"/proc/{self.process.pid}/task"):
            try:
                with open(f"/proc/{self.process.pid}/task/{task}/children") as children:
                    found += [int(child) for child in children.read().split()]
            except FileNotFoundError:
                pass
        return found

    def metric(self, name):
        """A gauge of /metrics."""
        text = self.raw("GET", "/metrics").body.decode()
        return float(re.search(rf"^{name} (\S+)$", text, re.MULTILINE).group(1))

    def stop(self, how=signal.SIGTERM, timeout=30):
        if self.process.poll() is None:
            self.process.send_signal(how)
        status = self.process.wait(timeout)
        assert os.listdir(self.upload_folder.name) == [], "an upload was left behind"
        self.upload_folder.cleanup()
        self.process.stdout.close()
        self.log.close()
        return status


class WithBank(unittest.TestCase):
    """A bank of 120 records, two of them with clips, and a model, made once for all cases."""

    folder = None
    train_flags = ("--epochs", 1)

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="mmra-serve-test-")
        root = cls.folder.name
        for shade in (40, 200):
            with open(f"{root}/{shade}.y4m", "wb") as clip:
                clip.write(y4m(shade=shade))
        with open(f"{root}/m.csv", "w") as manifest:
            manifest.write("id,title,popularity,split,posted_at,followers,creator,video\n")
            for i in range(120):
                split = "valid" if i % 5 == 3 else "test" if i % 5 == 4 else "train"
                video = {7: "40.y4m", 8: "200.y4m"}.get(i, "")
                manifest.write(f"v{i},the {SUBJECTS[i % 4]} of day {i},{2 ** (i % 4 * 2 + i % 3)},"
                               f"{split},{1700000000 + 3600 * i},{i * 10},c{i % 5},{video}\n")
        cls.bank, cls.model = f"{root}/bank", f"{root}/model"
        run("ingest", f"{root}/m.csv", "--bank", cls.bank, "--unit", "comments", "--horizon", "7d",
            "--frames", 3, "--quiet")
        run("train", "--bank", cls.bank, "--out", cls.model, *cls.train_flags, "--threads", 1,
            "--quiet")
        cls.servers = []

    @classmethod
    def tearDownClass(cls):
        for server in cls.servers:
            if server.process.poll() is None:
                server.stop(signal.SIGKILL)
        cls.folder.cleanup()

    @classmethod
    def serve(cls, *flags, bank=None, model=None, program=PROGRAM):
        server = Server(bank or cls.bank, model or cls.model, *flags, program=program)
        cls.servers.append(server)
        return server

    @classmethod
    def copy_bank(cls):
        """Another bank: each has one writer."""
        copy = tempfile.mkdtemp(dir=cls.folder.name) + "/bank"
        shutil.copytree(cls.bank, copy)
        return copy

    def wait_until(self, holds, seconds=60):
        until = time.monotonic() + seconds
        while not holds():
            self.assertLess(time.monotonic(), until, "it has not come to be")
            time.sleep(0.01)

    def expect_problem(self, answer, status, code):
        self.assertEqual((answer.status, answer.json.get("code")), (status, code), answer.body)
        self.assertEqual(answer.headers["content-type"], "application/problem+json")
        for leaked in (self.folder.name, "/usr/", "/build/", "std::", ".cpp"):
            self.assertNotIn(leaked, answer.body.decode())
