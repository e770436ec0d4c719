"""Many requests over kept connections, more than the queue takes: the memory stays as it is, and
every answer is that which the same request gets alone.

    soak_test.py [--requests 100000] [--connections 64] [--predictions 0.25] [--bank BANK --model MODEL]
"""

import itertools
import json
import math
import statistics
import threading
import time

import faults

OPTIONS = faults.options(
    ("--requests", 3000, "answered ones"), ("--connections", 64, "kept"),
    ("--predictions", 0.25, "the share that are predictions; the others search"),
    ("--queued", 16, "mmra serve --max-queued"), ("--growth", 8.0, "MiB that are no leak"),
    ("--bank", None, "instead of one made for the test"), ("--model", None, "its model"))

NUM_TITLES = 60


# Effects are differences of two predictions, and shares are quotients of small effects.
LOOSER = {"effect_log2": 4.0, "frame_effects_log2": 4.0, "share": 100.0}


def differences(expected, answer):
    """The largest relative difference of two documents' numbers; infinity where anything else
    differs."""
    if isinstance(expected, float) or isinstance(answer, float):
        if not all(isinstance(x, (int, float)) for x in (expected, answer)):
            return math.inf
        return abs(expected - answer) / max(1.0, abs(expected))
    if type(expected) is not type(answer):
        return math.inf
    if isinstance(expected, dict):
        if list(expected) != list(answer):
            return math.inf
        return max((differences(expected[k], answer[k]) / LOOSER.get(k, 1.0) for k in expected),
                   default=0.0)
    if isinstance(expected, list):
        if len(expected) != len(answer):
            return math.inf
        return max((differences(a, b) for a, b in zip(expected, answer)), default=0.0)
    return 0.0 if expected == answer else math.inf


class Soak(faults.WithBank):
    train_flags = ("--epochs", 1)

    def setUp(self):
        bank = OPTIONS.bank or self.bank
        self.server = self.serve("--max-queued", OPTIONS.queued, "--read-only", bank=bank,
                                 model=OPTIONS.model)
        titles = [f"{what} a {thing} in {n} days" for what, thing, n in itertools.product(
            ("how I built", "never buy", "my first"), faults.serve.SUBJECTS, range(1, 6))][:NUM_TITLES]
        self.predictions = [faults.request("POST", "/v1/predict", {"title": title})
                            for title in titles]
        self.searches = [faults.request("GET", "/v1/search?k=5&text=" + title.replace(" ", "+"))
                         for title in titles]
        alone = faults.Connection(self.server.port)
        self.expected = {}
        for request in self.predictions + self.searches:
            status, _, body = alone.ask(request)
            self.assertEqual(status, 200, body)
            self.expected[request] = body
        alone.close()

    def run_clients(self):
        numbers = itertools.count()
        lock = threading.Lock()
        self.num_answered = self.num_refused = self.num_unequal = 0
        self.largest_difference = 0.0
        self.failures = []
        every = max(1, round(1 / OPTIONS.predictions)) if OPTIONS.predictions > 0 else 0

        def client():
            connection = faults.Connection(self.server.port)
            while (number := next(numbers)) < OPTIONS.requests and not self.failures:
                is_prediction = every and number % every == 0
                kind = self.predictions if is_prediction else self.searches
                request = kind[number * 7 % len(kind)]
                refused = 0
                while True:
                    status, head, body = connection.ask(request)
                    if status != 429:
                        break
                    if b"\r\nRetry-After: " not in head or json.loads(body)["code"] != "overloaded":
                        self.failures.append(head + body)
                    refused += 1
                    time.sleep(0.002 * min(refused, 20))
                difference = 0.0
                if status != 200:
                    self.failures.append((status, body))
                elif body != self.expected[request]:
                    difference = differences(json.loads(self.expected[request]), json.loads(body))
                with lock:
                    self.num_answered += 1
                    self.num_refused += refused
                    self.num_unequal += body != self.expected[request]
                    self.largest_difference = max(self.largest_difference, difference)
            connection.close()

        def guarded():
            try:
                client()
            except Exception as error:  # a test counts whatever it is
                self.failures.append(repr(error))

        threads = [threading.Thread(target=guarded) for _ in range(OPTIONS.connections)]
        for thread in threads:
            thread.start()
        samples, threads_seen, descriptors_seen = [], set(), 0
        pid = self.server.process.pid
        while any(thread.is_alive() for thread in threads):
            samples.append((self.num_answered, self.server.resident_mib()))
            threads_seen.add(faults.num_threads(pid))
            descriptors_seen = max(descriptors_seen, faults.descriptors(pid))
            time.sleep(min(1.0, 0.05 + OPTIONS.requests / 1e5))
        for thread in threads:
            thread.join()
        samples.append((self.num_answered, self.server.resident_mib()))
        return samples, threads_seen, descriptors_seen

    def test_memory_stays_and_answers_are_those_of_one_alone(self):
        before = self.server.resident_mib()
        started = time.monotonic()
        samples, threads_seen, descriptors_seen = self.run_clients()
        seconds = time.monotonic() - started
        self.assertEqual(self.failures[:1], [])
        self.assertEqual(self.num_answered, OPTIONS.requests)
        # The queue, the arenas of the threads and the caches fill at first.
        early = [mib for n, mib in samples if 0.2 <= n / OPTIONS.requests <= 0.4]
        late = [mib for n, mib in samples if n / OPTIONS.requests >= 0.8]
        growth = statistics.median(late) - statistics.median(early or [before])
        print(f"\n{self.num_answered} answers over {OPTIONS.connections} connections in {seconds:.0f} s "
              f"({self.num_answered / seconds:.0f}/s), {self.num_refused} times 429")
        print(f"resident MiB: {before:.1f} before, then " + ", ".join(
            f"{samples[i * (len(samples) - 1) // 10][1]:.1f}" for i in range(11))
            + f"; from 20-40 % to the last fifth {growth:+.1f}")
        print(f"threads {sorted(threads_seen)}, descriptors at most {descriptors_seen}")
        print(f"answers that are not byte for byte that of one alone: {self.num_unequal}, numbers apart "
              f"by at most {self.largest_difference:.2g}")
        self.assertLess(self.largest_difference, 1e-6)
        self.assertLess(growth, OPTIONS.growth)
        self.assertEqual(len(threads_seen), 1, threads_seen)
        self.assertGreater(self.num_refused, 0, "nothing was refused: more connections are needed")
        self.assertEqual(self.server.metric("mmra_model_queue"), 0)
        self.assertEqual(self.server.stop(), 0)


if __name__ == "__main__":
    faults.main()
