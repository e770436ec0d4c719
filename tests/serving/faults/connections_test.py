"""Clients that connect and say nothing, half of something, or everything very slowly, by the
thousand; and a server that has no descriptor left. Others are answered meanwhile, whoever is refused
is told so, and afterwards everything is as before.

    connections_test.py [--connections 10000]      (needs as many descriptors: ulimit -Hn)
"""

import json
import resource
import select
import socket
import time

import faults

OPTIONS = faults.options(("--connections", 1500, "opened and left"))

HALF = b"GET /healthz HTTP/1.1\r\nHost: loc"


def allow_descriptors(count):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard < count:
        raise RuntimeError(f"needs {count} descriptors, the limit is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(count, 1024), hard))


def answer_of(connection, timeout=20):
    """All that comes until the other side closes; None where it reset the connection."""
    connection.settimeout(timeout)
    answer = b""
    try:
        while piece := connection.recv(65536):
            answer += piece
    except ConnectionResetError:
        return answer or None
    return answer


def are_open(connections):
    """How many the other side has not closed (nothing was asked on them, so nothing comes)."""
    poll = select.poll()
    for connection in connections:
        poll.register(connection, select.POLLIN)
    return len(connections) - len(poll.poll(0))


class Connections(faults.WithBank):
    def setUp(self):
        allow_descriptors(OPTIONS.connections + 500)

    def open(self, server, count, data=b"", pause_after=None):
        connections = []
        for _ in range(count):
            connection = socket.create_connection(("127.0.0.1", server.port), timeout=30)
            if data:
                connection.sendall(data)
            connections.append(connection)
            if pause_after and len(connections) % pause_after == 0:
                time.sleep(0.1)
        return connections

    def expect_answers(self, server, count=5):
        """Predicts on fresh connections; the longest time it took."""
        longest = 0.0
        for _ in range(count):
            started = time.monotonic()
            self.assertEqual(server.ask("POST", "/v1/predict", {"title": "the boat"}).status, 200)
            longest = max(longest, time.monotonic() - started)
        return longest

    def test_connections_that_are_opened_and_left_cost_no_thread(self):
        server = self.serve("--max-connections", OPTIONS.connections + 100)
        pid = server.process.pid
        self.expect_answers(server)
        threads, memory, before = (faults.num_threads(pid), server.resident_mib(),
                                   faults.descriptors(pid))
        idle = self.open(server, OPTIONS.connections)
        self.wait_until(lambda: server.metric("mmra_connections_open") >= OPTIONS.connections)
        longest = self.expect_answers(server)
        self.assertEqual(faults.num_threads(pid), threads)
        self.assertEqual(server.metric("mmra_connections_evicted"), 0)
        self.assertEqual(are_open(idle), len(idle))
        grown = server.resident_mib() - memory
        print(f"\n{len(idle)} idle connections: {threads} threads as before, {grown:.1f} MiB more, an "
              f"answer within {longest * 1000:.0f} ms")
        self.assertLess(grown * 1024 / len(idle), 16, "KiB for an idle connection")
        for connection in idle:
            connection.close()
        self.wait_until(lambda: faults.descriptors(pid) <= before + 2)
        self.assertEqual(server.stop(), 0)

    def test_beyond_the_limit_the_silent_make_room_and_the_half_are_refused_and_told(self):
        limit = OPTIONS.connections // 2
        server = self.serve("--max-connections", limit, "--client-time", 3, bank=self.copy_bank())
        pid = server.process.pid
        before = faults.descriptors(pid)
        # Those that have just come do not make room.
        idle = self.open(server, OPTIONS.connections, pause_after=limit // 2)
        longest = self.expect_answers(server)
        evicted = server.metric("mmra_connections_evicted")
        self.assertGreater(evicted, OPTIONS.connections - limit - 70)
        self.assertLessEqual(faults.descriptors(pid), before + limit + 80)
        for connection in idle:
            connection.close()
        started = time.monotonic()
        half = self.open(server, OPTIONS.connections, HALF)
        opened_s = time.monotonic() - started
        statuses = {}
        for connection in half:
            answer = answer_of(connection)
            status = answer[9:12].decode() if answer else "reset"
            statuses[status] = statuses.get(status, 0) + 1
            if answer:
                self.assertIn(status, ("503", "408"), answer)
                self.assertIn("code", json.loads(answer.split(b"\r\n\r\n", 1)[1]))
            connection.close()
        print(f"\nlimit {limit}: of {len(idle)} silent ones {evicted:.0f} made room, an answer within "
              f"{longest * 1000:.0f} ms; {len(half)} half requests in {opened_s:.1f} s got {statuses}")
        self.assertGreater(statuses.get("408", 0), 0)
        # A client that is too slow to send its half at once counts as silent, and makes room.
        self.assertLess(statuses.get("reset", 0), len(half) // 50)
        self.expect_answers(server)
        self.wait_until(lambda: faults.descriptors(pid) <= before + 2)
        self.assertEqual(server.stop(), 0)

    def test_without_descriptors_it_refuses_and_recovers(self):
        server = self.serve("--client-time", 3, bank=self.copy_bank())
        pid = server.process.pid
        self.expect_answers(server)
        hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]
        before = faults.descriptors(pid)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (before + 40, hard))
        idle = self.open(server, 200, pause_after=15)
        self.expect_answers(server)
        self.assertGreater(server.metric("mmra_connections_evicted"), 100)
        for connection in idle:
            connection.close()
        half = self.open(server, 200, HALF)
        answers = [answer_of(connection) for connection in half]
        told = [answer for answer in answers if answer]
        codes = {int(answer[9:12]) for answer in told}
        self.assertEqual(codes, {408, 503}, "those that got in, and those that did not")
        self.assertEqual(len(told), len(half))
        for connection in half:
            connection.close()
        # What needs descriptors beside its connection is told so too, and nothing breaks.
        held = self.open(server, 39, HALF)
        for _ in range(5):
            answer = server.send_bytes(self.upload())
            if answer:
                self.assertIn(int(answer[9:12]), (200, 408, 429, 503), answer)
        for connection in held:
            connection.close()
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (hard, hard))
        self.expect_answers(server)
        self.assertEqual(server.ask("POST", "/v1/predict", video=faults.serve.y4m()).status, 200)
        self.wait_until(lambda: faults.descriptors(pid) <= before + 2)
        self.assertEqual(server.stop(), 0)

    @staticmethod
    def upload():
        body, media = faults.serve.form([("title", "x")], faults.serve.y4m())
        return (f"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                f"Content-Type: {media}\r\nContent-Length: {len(body)}\r\n\r\n").encode() + body

    def test_slow_clients_meet_their_deadlines_while_others_are_served(self):
        server = self.serve("--client-time", 1, bank=self.copy_bank())
        upload = self.upload()
        head_end = upload.index(b"\r\n\r\n") + 4
        started = time.monotonic()
        halves = [self.open(server, 30, data)
                  for data in (HALF, upload[:head_end], upload[:head_end + 900], upload[:-30])]
        slow = [connection for connections in halves for connection in connections]
        ends, longest = {}, 0.0
        waiting = {connection.fileno(): connection for connection in slow}
        answers = {number: b"" for number in waiting}
        while waiting and time.monotonic() - started < 30:
            longest = max(longest, self.expect_answers(server, 1))
            for connection in select.select(list(waiting.values()), [], [], 0.02)[0]:
                number = connection.fileno()
                try:
                    piece = connection.recv(65536)
                except ConnectionResetError:
                    piece = b""
                answers[number] += piece
                if not piece:
                    ends[number] = time.monotonic() - started
                    del waiting[number]
        self.assertEqual(waiting, {})
        # Uploads beyond the places for them are refused; the others are told that they are late.
        codes = {int(answer[9:12]) for answer in answers.values() if answer}
        self.assertEqual(codes, {408, 429})
        print(f"\n{len(slow)} slow clients ended after {min(ends.values()):.1f} to "
              f"{max(ends.values()):.1f} s (headers may take 1 s, bodies 2 s and 16 KiB/s), others were "
              f"answered within {longest * 1000:.0f} ms")
        self.assertLess(max(ends.values()), 15)
        self.wait_until(lambda: server.metric("mmra_uploads_free") == 16)
        for connection in slow:
            connection.close()
        self.assertEqual(server.stop(), 0)


if __name__ == "__main__":
    faults.main()
