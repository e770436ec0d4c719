"""A demo bank with a model on it, and `mmra serve` on both, for tests and pictures of the page."""

import re
import shutil
import signal
import subprocess
import threading
from pathlib import Path


def make_demo(program, directory, clips=64):
    """Made-up clips, a bank and a network, all by `mmra demo`; what is there already is kept."""
    directory = Path(directory).resolve()  # the browser has another working directory
    if not (directory / "models" / "everything-1" / "training.json").exists():
        shutil.rmtree(directory, ignore_errors=True)
        subprocess.run(
            [program, "demo", "--dir", directory, "--clips", str(clips), "--seeds", "1", "--quiet"],
            check=True, stdout=subprocess.DEVNULL)
    return directory / "bank", directory / "models" / "everything-1", sorted((directory / "clips").glob("*.mp4"))


class Service:
    """`mmra serve` on a port that is free, until stop()."""

    def __init__(self, program, bank, model, *more):
        self.process = subprocess.Popen(
            [program, "serve", "--bank", bank, "--model", model, "--port", "0", *more],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.log = []
        threading.Thread(target=self._keep_log, daemon=True).start()
        line = self.process.stdout.readline()
        found = re.search(r"http://\S+", line)
        if not found:
            self.stop()
            raise RuntimeError(f"mmra serve did not start: {line}{''.join(self.log)}")
        self.url = found.group(0).rstrip("/")

    def _keep_log(self):
        for line in self.process.stderr:
            self.log.append(line)

    def stop(self):
        """Asks it to end; returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            status = self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        self.process.stdout.close()
        return status

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


