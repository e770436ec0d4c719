"""The curl commands of docs/serving.md, run as they stand there."""

import os
import re
import subprocess
import unittest

from serve import WithBank, y4m

DOCUMENT = os.path.join(os.path.dirname(__file__), "../../../docs/serving.md")


class Docs(WithBank):
    def test_every_command_succeeds(self):
        server = self.serve()
        with open(DOCUMENT) as document:
            text = document.read()
        commands = [line for block in re.findall(r"```sh\n(.*?)```", text, re.S)
                    for line in block.strip().splitlines()]
        self.assertGreater(len(commands), 15)
        with open(self.folder.name + "/clip.mp4", "wb") as clip:
            clip.write(y4m())
        environment = dict(os.environ, SERVER=f"http://127.0.0.1:{server.port}")
        for command in commands:
            self.assertTrue(command.startswith("curl --fail-with-body "), command)
            done = subprocess.run(["sh", "-c", command], cwd=self.folder.name, env=environment,
                                  capture_output=True)
            self.assertEqual(done.returncode, 0, command + "\n" + done.stdout.decode()[-500:])
        self.assertEqual(server.stop(), 0)

    def test_every_code_is_documented(self):
        source = os.path.join(os.path.dirname(__file__), "../../../src/mmra/serving")
        with open(DOCUMENT) as document:
            documented = set(re.findall(r"`([a-z0-9_]+)`", document.read()))
        codes = set()
        for name in os.listdir(source):
            if not name.endswith(".cpp"):
                continue
            with open(os.path.join(source, name)) as file:
                text = file.read()
            codes |= set(re.findall(r'\{\s*[45]\d\d,\s*"([a-z0-9_]+)"', text))
            codes |= set(re.findall(r'(?:bad_request|refuse)\(\s*"([a-z0-9_]+)"', text))
        self.assertGreater(len(codes), 20)
        self.assertEqual({code for code in codes if "_" in code or len(code) > 5} - documented, set())


if __name__ == "__main__":
    unittest.main(verbosity=2)
