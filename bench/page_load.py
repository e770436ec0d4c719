"""How long the page of `mmra serve` takes to load and to show the bank, in headless Chromium.

    python3 bench/page_load.py build/release/bin/mmra BANK MODEL [RUNS]

A fresh browser profile each run, so that nothing is in its cache. `load`: navigation to the end of the page's load event;
`bank`: navigation to the first videos of the bank's view.
"""

import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "web"))
from browser import Browser  # noqa: E402
from service import Service  # noqa: E402


def main():
    program, bank, model = sys.argv[1:4]
    runs = int(sys.argv[4]) if len(sys.argv) > 4 else 5
    load, shown = [], []
    with Service(program, bank, model, "--read-only") as service:
        for _ in range(runs):
            browser = Browser()
            try:
                browser.open(service.url + "/")
                load.append(browser.run("const t = performance.getEntriesByType('navigation')[0];"
                                        "return t.loadEventEnd - t.startTime;"))
                browser.open("about:blank")
                started = time.monotonic()
                browser.open(service.url + "/#/bank")
                browser.one(".card")
                shown.append(1000 * (time.monotonic() - started))
            finally:
                browser.quit()
    for name, times in (("load", load), ("bank", shown)):
        print(f"{name}: median {statistics.median(times):.0f} ms, worst {max(times):.0f} ms ({runs} runs)")


if __name__ == "__main__":
    main()
