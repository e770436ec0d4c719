"""Models that are replaced, torn, cut off and taken away while they are served and reloaded. No
request fails, each answer is wholly that of one model, and what is no model is refused.

    model_swap_test.py [--seconds 60] [--seed 1]
"""

import os
import random
import shutil
import signal
import threading
import time

import faults
import serve

OPTIONS = faults.options(("--seconds", 4, "of swapping"), ("--seed", 1, "of what is torn"))

REQUEST = faults.request("POST", "/v1/predict", {"title": "the boat"})


class Load:
    """Clients that predict, and note every answer."""

    def __init__(self, port, count=3):
        self.port, self.stopping = port, False
        self.bodies, self.failures, self.num_answers = set(), [], 0
        self.threads = [threading.Thread(target=self.run) for _ in range(count)]
        for thread in self.threads:
            thread.start()

    def run(self):
        try:
            connection = faults.Connection(self.port)
            while not self.stopping:
                status, _, body = connection.ask(REQUEST)
                if status != 200:
                    self.failures.append((status, body))
                self.bodies.add(body)
                self.num_answers += 1
        except OSError as error:
            self.failures.append(repr(error))

    def stop(self):
        self.stopping = True
        for thread in self.threads:
            thread.join()


class ModelSwap(faults.WithBank):
    train_flags = ("--model", "ridge")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # Models of one kind, whose files fit each other: each has another number, another calibration.
        cls.twins = []
        for k, level in ((3, 0.5), (10, 0.7), (20, 0.9)):
            cls.twins.append(f"{cls.folder.name}/knn-{k}")
            serve.run("train", "--bank", cls.bank, "--out", cls.twins[-1], "--model", "knn", "-k", k,
                      "--level", level, "--threads", 1, "--quiet")

    def setUp(self):
        self.place = f"{self.folder.name}/served"
        os.symlink(self.model, self.place)
        self.addCleanup(self.clear)

    def clear(self):
        if os.path.islink(self.place):
            os.unlink(self.place)
        else:
            shutil.rmtree(self.place, ignore_errors=True)

    def answer_of(self, model):
        server = self.serve("--read-only", model=model)
        answer = faults.Connection(server.port).ask(REQUEST)[2]
        server.stop()
        return answer

    def turn_link(self, model):
        os.symlink(model, self.place + ".new")
        os.replace(self.place + ".new", self.place)

    def test_turning_a_link_never_mixes_two_models(self):
        answers = [self.answer_of(model) for model in self.twins]
        self.assertEqual(len(set(answers)), len(answers))
        self.turn_link(self.twins[0])
        server = self.serve("--read-only", model=self.place)
        load = Load(server.port)
        chance = random.Random(OPTIONS.seed)
        statuses = []
        turning = True

        def reload():
            while turning:
                statuses.append(server.ask("POST", "/v1/reload").status)

        reloading = threading.Thread(target=reload)
        reloading.start()
        until = time.monotonic() + OPTIONS.seconds
        num_turns = 0
        while time.monotonic() < until:
            self.turn_link(chance.choice(self.twins))
            server.process.send_signal(signal.SIGHUP)
            num_turns += 1
            time.sleep(chance.random() * 0.1)
        turning = False
        reloading.join()
        self.turn_link(self.twins[1])
        self.assertEqual(server.ask("POST", "/v1/reload").status, 200)
        load.stop()
        self.assertEqual(load.failures[:1], [])
        self.assertEqual(load.bodies - set(answers), set(), "an answer of no whole model")
        self.assertEqual(faults.Connection(server.port).ask(REQUEST)[2], answers[1])
        print(f"\n{num_turns} turns, {len(statuses)} reloads ({statuses.count(200)} done, the others "
              f"refused while it turned), {load.num_answers} answers, none failed or mixed")
        self.assertLessEqual(set(statuses), {200, 409, 429})
        self.assertGreater(statuses.count(200), 0)
        self.assertEqual(server.stop(), 0)

    def test_torn_and_cut_off_models_are_refused_and_the_old_one_goes_on(self):
        os.unlink(self.place)
        shutil.copytree(self.model, self.place)
        expected = self.answer_of(self.place)
        server = self.serve("--read-only", model=self.place)
        load = Load(server.port)
        chance = random.Random(OPTIONS.seed)
        refused = accepted = 0
        until = time.monotonic() + OPTIONS.seconds
        # Notes for people, which a model may lack.
        files = sorted(name for name in os.listdir(self.place)
                       if os.path.isfile(f"{self.place}/{name}")
                       and name not in ("metrics.json", "history.csv"))
        cases = [(name, how) for name in files for how in ("gone", "empty", "cut", "noise")]
        while cases or time.monotonic() < until:
            name, how = cases.pop() if cases else (chance.choice(files),
                                                   chance.choice(("cut", "noise")))
            path = f"{self.place}/{name}"
            size = os.path.getsize(path)
            # In place, as a copy over a served model would.
            if how == "gone":
                os.unlink(path)
            elif how == "noise":
                with open(path, "r+b") as file:
                    for _ in range(8):
                        file.seek(chance.randrange(size))
                        file.write(bytes([chance.randrange(256)]))
            else:
                os.truncate(path, 0 if how == "empty" else chance.randrange(size - 2))
            answer = server.ask("POST", "/v1/reload")
            if answer.status == 409:
                self.expect_problem(answer, 409, "reload_failed")
                refused += 1
            else:  # noise in a number may leave a model, another one
                self.assertEqual((answer.status, how), (200, "noise"), (name, how))
                accepted += 1
            shutil.copy(f"{self.model}/{name}", path)
            if answer.status == 200:
                self.assertEqual(server.ask("POST", "/v1/reload").status, 200)
        shutil.rmtree(self.place)
        self.expect_problem(server.ask("POST", "/v1/reload"), 409, "reload_failed")
        load.stop()
        self.assertEqual(load.failures[:1], [])
        if accepted == 0:
            self.assertEqual(load.bodies, {expected})
        self.assertIn(expected, load.bodies)
        print(f"\n{refused} torn models refused, {accepted} with noise taken, {load.num_answers} "
              "answers, none failed")
        self.assertGreater(refused, 5)
        self.assertEqual(server.stop(), 0)


if __name__ == "__main__":
    faults.main()
