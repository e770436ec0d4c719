"""What the tests of faults share: how long they run, and a client that is quicker than http.client.

Each test is a script of its own: as it stands it takes seconds; its options make it as long as one likes.

    MMRA_PROGRAM=build/release/bin/mmra python3 tests/serving/faults/soak_test.py --requests 100000
"""

import argparse
import json
import os
import socket
import sys
import unittest

for folder in ("../..", "../api"):
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), folder))

import serve  # noqa: E402  (after the path to it)


def options(*wanted):
    """The values of these options (name, default, help); what is left is for unittest."""
    parser = argparse.ArgumentParser(add_help=False)
    for name, default, explanation in wanted:
        parser.add_argument(name, default=default, help=explanation,
                            type=type(default) if default is not None else str)
    if "--help" in sys.argv:
        parser.print_help()
        sys.exit(0)
    values, sys.argv[1:] = parser.parse_known_args()
    return values


def main():
    unittest.main(verbosity=2)


class Connection:
    """Whole requests out, whole answers back, over one kept connection."""

    def __init__(self, port, timeout=120):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rest = b""

    def ask(self, request):
        """(status, head, body)."""
        self.socket.sendall(request)
        while b"\r\n\r\n" not in self.rest:
            self.more()
        head, self.rest = self.rest.split(b"\r\n\r\n", 1)
        length = 0
        for line in head.split(b"\r\n"):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        while len(self.rest) < length:
            self.more()
        body, self.rest = self.rest[:length], self.rest[length:]
        return int(head[9:12]), head, body

    def more(self):
        piece = self.socket.recv(65536)
        if not piece:
            raise ConnectionError("the server closed the connection")
        self.rest += piece

    def close(self):
        self.socket.close()


def request(method, target, document=None):
    """The bytes of a request with a JSON body."""
    body = b"" if document is None else json.dumps(document).encode()
    head = f"{method} {target} HTTP/1.1\r\nHost: localhost\r\n"
    if document is not None:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def num_threads(pid):
    return len(os.listdir(f"/proc/{pid}/task"))


def status_mib(pid, name):
    with open(f"/proc/{pid}/status") as status:
        for line in status:
            if line.startswith(name + ":"):
                return int(line.split()[1]) / 1024
    raise KeyError(name)


class WithBank(serve.WithBank):
    """With a model that needs no LibTorch where the test does not need a network."""

    train_flags = ("--model", "knn")
