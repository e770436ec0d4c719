"""Title-only predictions a second of `mmra serve`, beside what the model alone takes.

    python3 bench/serve_load.py build/release/bin/mmra BANK MODEL [SECONDS]

Server and load (wrk) share the machine. The floor is `mmra predict --manifest` on one thread: the same
predictions, one after the other, without a server; its start is taken off by a second, shorter run.
"""

import json
import re
import subprocess
import sys
import tempfile
import time

SCRIPT = """
local n = 0
request = function()
  n = n + 1
  return wrk.format("POST", "/v1/predict", {["Content-Type"] = "application/json"},
                    string.format('{"title": "how I built boat number %d in a week"}', n))
end
"""


def floor(program, bank, model):
    def seconds(rows):
        lines = "".join(json.dumps({"id": f"q{i}", "title": f"how I built boat number {i} in a week"}) +
                        "\n" for i in range(rows))
        started = time.monotonic()
        subprocess.run([program, "predict", "--bank", bank, "--model", model, "--manifest", "-",
                        "--threads", "1"], input=lines.encode(), stdout=subprocess.DEVNULL, check=True)
        return time.monotonic() - started

    return 400 / (seconds(450) - seconds(50))


def resident_mib(pid):
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1)) / 1024


def main():
    program, bank, model = sys.argv[1:4]
    seconds = sys.argv[4] if len(sys.argv) > 4 else "5"
    print(f"the model alone, one thread: {floor(program, bank, model):.0f} predictions/s")
    server = subprocess.Popen([program, "serve", "--bank", bank, "--model", model, "--port", "0",
                               "--read-only"], stdout=subprocess.PIPE)
    address = server.stdout.readline().decode().split()[-1]
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(SCRIPT)
        script.flush()
        for connections in (1, 8, 64):
            report = subprocess.run(
                ["wrk", "-t", "1", "-c", str(connections), "-d", seconds, "-s", script.name, "--latency",
                 address + "/v1/predict"], capture_output=True, text=True, check=True).stdout
            rate = re.search(r"Requests/sec:\s+(\S+)", report).group(1)
            p50 = re.search(r"50%\s+(\S+)", report).group(1)
            p99 = re.search(r"99%\s+(\S+)", report).group(1)
            others = re.search(r"Non-2xx or 3xx responses: (\d+)", report)
            print(f"{connections:3} connections: {rate} predictions/s, p50 {p50}, p99 {p99}, "
                  f"not 200: {others.group(1) if others else 0}, {resident_mib(server.pid):.0f} MiB")
    server.terminate()
    server.wait()


if __name__ == "__main__":
    main()
