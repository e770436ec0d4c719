#!/usr/bin/env python3
"""The page of `mmra serve` in a real browser.

    page_test.py MMRA WORK_DIRECTORY [--axe axe.min.js]

Ends with 77, which ctest shows as skipped, where there is no Chromium to test with.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import unittest
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from browser import Browser, Unavailable  # noqa: E402
from service import Service, make_demo  # noqa: E402

SKIPPED = 77
HOSTILE = "<img src=x onerror=\"window.hacked=1\"><b>bold</b> & more"
arguments = None


class Page(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.bank, cls.model, cls.clips = make_demo(arguments.program, arguments.directory)
        cls.service = cls.serve("--read-only")
        cls.browser = Browser()

    @classmethod
    def tearDownClass(cls):
        cls.browser.quit()
        status = cls.service.stop()
        assert status in (0, 130), f"mmra serve ended with {status}: {cls.service.log}"

    @classmethod
    def serve(cls, *more, bank=None):
        return Service(arguments.program, bank or cls.bank, cls.model, *more)

    def setUp(self):
        self.browser.resize(1280, 860)
        self.browser.open("about:blank")
        self.browser.complaints()
        self.browser.open(self.service.url + "/")
        self.expected_complaints = ()

    def tearDown(self):
        unexpected = [line for line in self.browser.complaints()
                      if not any(part in line for part in self.expected_complaints)]
        self.assertEqual(unexpected, [], "the console has nothing to complain of")
        self.assertIsNone(self.browser.run("return window.hacked ?? null"), "data became markup")

    def predict(self, title=None, clip=None):
        if clip:
            self.browser.drop_file("#drop", clip)
            self.assertEqual(self.browser.one("#clip-name").text, clip.name)
        if title:
            self.browser.type("#title", title)
        self.browser.click("#ask-button")
        self.browser.one("#number")

    def check_accessibility(self, state):
        if not arguments.axe:
            return
        faults = self.browser.accessibility_faults(Path(arguments.axe).read_text(encoding="utf-8"))
        self.assertEqual(faults, [], f"axe, {state}")

    def test_predicts_a_clip_that_is_dropped(self):
        self.predict("lighting a fire at night # vlog", self.clips[0])
        self.assertGreater(len(self.browser.all(".frames figure img")), 1)
        self.assertIn("confidence between", self.browser.one(".headline .sentence").text)
        self.assertIn("of the bank’s videos", self.browser.one(".headline .sentence").text)
        self.assertGreater(len(self.browser.all(".headline .chart rect.bar")), 5)
        label = self.browser.one(".headline .chart svg[role=img]").get_attribute("aria-label")
        self.assertIn("The prediction is " + self.browser.one("#number").text, label)
        parts = [element.text for element in self.browser.all(".effects .name")]
        self.assertEqual(parts[:3], ["The clip", "The title", "The past videos"])
        self.assertEqual(len(self.browser.all(".instances > li")), 10)
        self.browser.wait(lambda: self.browser.run(
            "const all = [...document.querySelectorAll('.instances img')];"
            "all.forEach((image) => { image.loading = 'eager'; });"
            "return all.length === 10 && all.every((image) => image.naturalWidth > 0)"),
            "all instances have their pictures")
        self.check_accessibility("a result")

        self.browser.click("#clip-remove")
        self.assertFalse(self.browser.one("#drop-empty").get_attribute("hidden"))

    def test_compares_titles_side_by_side(self):
        self.predict("lighting a fire", self.clips[1])
        first, second = self.browser.all(".other-title")
        first.send_keys("a quiet evening")
        second.send_keys(HOSTILE)
        self.browser.click("#compare-button")
        self.browser.one(".verdict")
        names = [element.text for element in self.browser.all(".ranking .name")]
        self.assertEqual(sorted(names), sorted(["lighting a fire", "a quiet evening", HOSTILE]))
        values = [float(element.text.replace(",", "")) for element in self.browser.all(".ranking strong")]
        self.assertEqual(values, sorted(values, reverse=True))
        self.assertIn("does best", self.browser.one(".verdict").text)
        self.assertEqual(len(self.browser.all(".ranking .tag.good")), 1)
        self.check_accessibility("a comparison")

        self.browser.click("#words-button")
        self.browser.wait(lambda: len(self.browser.all(".words .effects li")) == 3, "three words")
        words = {element.text for element in self.browser.all(".words .effects .name")}
        self.assertEqual(words, {"lighting", "a", "fire"})

    def test_works_without_a_mouse(self):
        from selenium.webdriver.common.keys import Keys
        self.browser.keys(Keys.TAB)
        self.assertEqual(self.browser.driver.switch_to.active_element.text, "Skip to content")
        seen = []
        for _ in range(14):
            self.browser.keys(Keys.TAB)
            focused = self.browser.driver.switch_to.active_element
            seen.append(focused.get_attribute("id") or focused.text)
            if seen[-1] == "title":
                break
        self.assertEqual(seen[-3:], ["Model", "clip", "title"])
        self.browser.keys("a quiet evening", Keys.ENTER)
        self.browser.one("#number")
        self.assertEqual(self.browser.run("return document.querySelector('[aria-live] #number') !== null"), True)

    def test_takes_titles_as_text(self):
        with tempfile.TemporaryDirectory() as scratch:
            copy = Path(scratch) / "bank"
            shutil.copytree(self.bank, copy)
            with self.serve(bank=copy) as service:
                record = {"id": HOSTILE, "title": HOSTILE, "popularity": 5, "split": "train"}
                urllib.request.urlopen(urllib.request.Request(
                    service.url + "/v1/videos", json.dumps(record).encode(),
                    {"Content-Type": "application/json"})).close()
                self.browser.open(service.url + "/")
                self.predict(HOSTILE)
                names = [element.text for element in self.browser.all(".instances .name")]
                self.assertIn(HOSTILE, names)
                self.browser.open(service.url + "/#/bank")
                self.browser.type("#find-text", HOSTILE)
                self.browser.click("#find button[type=submit]")
                self.browser.wait(lambda: HOSTILE in self.browser.one("#bank-count").text, "a search")
                self.assertEqual(self.browser.one(".card .name").text, HOSTILE)
                self.browser.click(".card")
                self.browser.wait(lambda: self.browser.all("dialog[open] .facts dd"), "the record")
                self.assertEqual(self.browser.one("#detail-heading").text, HOSTILE)
                self.assertIn(HOSTILE, [one.text for one in self.browser.all("dialog .facts dd")])

    def test_asks_for_the_token(self):
        self.expected_complaints = ("the server responded with a status of 401",)
        made = subprocess.run([arguments.program, "serve", "--make-token", "read"],
                              capture_output=True, text=True, check=True)
        with tempfile.NamedTemporaryFile("w") as tokens:
            tokens.write(made.stderr.strip().splitlines()[-1] + "\n")
            tokens.flush()
            with self.serve("--read-only", "--tokens", tokens.name) as service:
                self.browser.open(service.url + "/#/bank")
                self.browser.type("#token", "wrong")
                self.check_accessibility("the question for a token")
                self.browser.click("#token-form .primary")
                self.assertIn("does not take this token", self.browser.one("#token-error").text)
                self.browser.type("#token", made.stdout.strip())
                self.browser.click("#token-form .primary")
                self.browser.wait(lambda: self.browser.all(".card"), "the bank")
                self.browser.wait(lambda: self.browser.run(
                    "const image = document.querySelector('.card img');"
                    "return image !== null && image.naturalWidth > 0"), "a picture that needs the token")
                self.assertEqual(self.browser.all("dialog[open]"), [])
                self.browser.run("location.reload()")
                self.browser.one(".card")

    def test_browses_the_bank(self):
        from selenium.webdriver.common.keys import Keys
        self.browser.click("nav a[data-view=bank]")
        self.browser.wait(lambda: len(self.browser.all(".card")) == 48, "a page of the bank")
        self.assertRegex(self.browser.one("#bank-count").text, r"\d+ videos")
        self.check_accessibility("the bank")
        self.browser.click("#more")
        self.browser.wait(lambda: len(self.browser.all(".card")) > 48, "more of the bank")

        def shown():
            return [int(element.text.replace(",", "")) for element in self.browser.all(".card .meta strong")]
        self.assertEqual(shown(), sorted(shown(), reverse=True))
        self.browser.run("const s = document.getElementById('sort'); s.value = 'popularity:asc';"
                         "s.dispatchEvent(new Event('input', {bubbles: true}))")
        self.browser.wait(lambda: len(self.browser.all(".card")) == 48 and shown() == sorted(shown()),
                          "the least popular first")

        title = self.browser.one(".card .name").text
        self.browser.one(".card").send_keys(Keys.ENTER)
        self.browser.wait(lambda: self.browser.all("dialog[open] .facts dd"), "the record")
        self.assertEqual(self.browser.one("#detail-heading").text, title)
        self.check_accessibility("a record")
        self.browser.keys(Keys.ESCAPE)
        self.browser.wait(lambda: not self.browser.all("dialog[open]"), "the dialog is closed")

        self.browser.type("#find-text", title)
        self.browser.click("#find button[type=submit]")
        self.browser.wait(lambda: "most like" in self.browser.one("#bank-count").text, "a search")
        self.assertEqual(self.browser.one(".card .name").text, title)

        self.browser.click("#bank-count button")
        self.browser.type("#words", "no title has this")
        self.assertIn("Nothing fits", self.browser.one("#bank-list .blank").text)

    def test_searches_by_clip(self):
        self.browser.open(self.service.url + "/#/bank")
        self.browser.one(".card")
        self.browser.all("#find-clip")[0].send_keys(str(self.clips[2]))
        self.browser.wait(lambda: "most like the clip" in self.browser.one("#bank-count").text, "a search")
        self.browser.one(".card")

    def test_shows_the_model(self):
        self.browser.click("nav a[data-view=model]")
        self.browser.one("#m-metrics")
        text = self.browser.one("#model").text
        for part in ("mmra", "nMSE", "calibrated", "How it learned", "likes"):
            self.assertIn(part, text)
        self.assertEqual(len(self.browser.all("#model polyline")), 2)
        self.check_accessibility("the model")

    def test_asks_for_something_to_predict(self):
        self.browser.click("#ask-button")
        self.assertEqual(self.browser.one("#ask-error").text, "Give a clip, a title, or both.")
        self.check_accessibility("a form that was refused")

    def test_shows_why_a_clip_cannot_be_read(self):
        self.expected_complaints = ("the server responded with a status of 4",)
        with tempfile.NamedTemporaryFile(suffix=".mp4") as file:
            file.write(b"this is no video" * 100)
            file.flush()
            self.browser.drop_file("#drop", Path(file.name))
            self.browser.click("#ask-button")
            problem = self.browser.one("#answer .problem")
        self.assertEqual(problem.get_attribute("role"), "alert")
        self.assertTrue(problem.text.startswith("This clip cannot be read"), problem.text)
        self.assertGreater(len(problem.text.splitlines()), 1)
        self.assertNotIn("/tmp/", problem.text, "no path of the machine")
        self.check_accessibility("a problem")

    def test_says_when_the_service_is_gone(self):
        self.expected_complaints = ("ERR_CONNECTION_REFUSED",)
        other = self.serve("--read-only")
        self.browser.open(other.url + "/")
        self.browser.wait(lambda: self.browser.one("#facts").text, "the page is there")
        other.stop()
        self.browser.type("#title", "a boat")
        self.browser.click("#ask-button")
        self.assertIn("cannot be reached", self.browser.one("#answer .problem").text)
        self.assertEqual(self.browser.one("#ask-button").text, "Predict", "one can ask again")

    def test_fits_a_phone_in_the_dark(self):
        phone = Browser(390, 844, dark=True)
        try:
            phone.open(self.service.url + "/")
            phone.type("#title", "lighting a fire")
            phone.click("#ask-button")
            phone.one("#number")
            for view in ("predict", "bank", "model"):
                phone.run("location.hash = '#/' + arguments[0]", view)
                phone.one({"predict": "#number", "bank": ".card", "model": "#m-metrics"}[view])
                self.assertFalse(
                    phone.run("return document.documentElement.scrollWidth > window.innerWidth"),
                    f"{view} does not fit")
            background = phone.run("return getComputedStyle(document.body).backgroundColor")
            self.assertEqual(background, "rgb(19, 20, 24)")
            self.assertEqual(phone.complaints(), [])
        finally:
            phone.quit()

    def test_asks_nobody_else(self):
        self.predict("lighting a fire", self.clips[0])
        addresses = self.browser.run(
            "return performance.getEntriesByType('resource').map((entry) => entry.name)")
        self.assertGreater(len(addresses), 5)
        for address in addresses:
            self.assertTrue(address.startswith((self.service.url, "data:", "blob:")), address)


def main():
    global arguments
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("directory")
    parser.add_argument("--axe", help="axe.min.js of the npm package axe-core")
    parser.add_argument("--only", help="cases whose name holds this")
    arguments = parser.parse_args()
    if arguments.axe and not Path(arguments.axe).exists():
        print("no axe-core (scripts/fetch_axe.sh fetches it): accessibility is not checked")
        arguments.axe = None
    try:
        Browser().quit()
    except Unavailable as reason:
        print(f"skipped: {reason}")
        return SKIPPED
    loader = unittest.defaultTestLoader
    if arguments.only:
        loader.testNamePatterns = [f"*{arguments.only}*"]
    result = unittest.TextTestRunner(verbosity=2).run(loader.loadTestsFromTestCase(Page))
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
