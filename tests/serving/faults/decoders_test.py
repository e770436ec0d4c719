"""Decoders that are killed while they decode: each kill costs the one upload that had it, which is told,
and the uploads beside it get what they get alone.

    decoders_test.py [--kills 50]
"""

import os
import random
import signal
import threading
import time

import faults
from serve import y4m

OPTIONS = faults.options(("--kills", 3, "of decoders"), ("--seed", 1, "of when"))

UPLOADS_AT_ONCE = 4


class Decoders(faults.WithBank):
    def test_a_killed_decoder_costs_its_upload_alone(self):
        chance = random.Random(OPTIONS.seed)
        server = self.serve("--decoders", 2, "--read-only")
        clip = y4m(frames=120, width=640, height=360)
        expected = server.ask("POST", "/v1/search", video=clip).body
        killed = whole = rounds = 0
        while killed < OPTIONS.kills:
            rounds += 1
            self.assertLess(rounds, 40 * OPTIONS.kills, "no decoder can be caught at work")
            answers = []
            clients = [threading.Thread(target=lambda: answers.append(
                server.ask("POST", "/v1/search", video=clip))) for _ in range(UPLOADS_AT_ONCE)]
            for client in clients:
                client.start()
            time.sleep(chance.random() * 0.05)
            hit = 0
            while any(client.is_alive() for client in clients) and not hit:
                for child in server.children()[:1]:
                    try:
                        os.kill(child, signal.SIGKILL)
                        hit = 1
                    except ProcessLookupError:
                        pass
            for client in clients:
                client.join()
            failed = [answer for answer in answers if answer.status != 200]
            for answer in failed:
                self.expect_problem(answer, 422, "invalid_video")
                self.assertIn("its decoder", answer.json["detail"])
            # One that had just ended, or had said all, is none the worse for it.
            self.assertLessEqual(len(failed), hit)
            for answer in answers:
                if answer.status == 200:
                    self.assertEqual(answer.body, expected)
            killed += len(failed)
            whole += len(answers) - len(failed)
        print(f"\n{killed} decoders killed at work, their uploads told so, {whole} beside them whole")
        self.assertEqual(server.children(), [])
        self.wait_until(lambda: server.metric("mmra_uploads_free") == 16)
        self.assertEqual(server.stop(), 0)


if __name__ == "__main__":
    faults.main()
