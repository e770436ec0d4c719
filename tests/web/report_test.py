#!/usr/bin/env python3
"""The pages that `mmra reproduce` writes, in a real browser.

    report_test.py MMRA WORK_DIRECTORY [--axe axe.min.js]

Ends with 77, which ctest shows as skipped, where there is no Chromium to test with.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from browser import Browser, Unavailable  # noqa: E402

SKIPPED = 77
PAGES = ("table2", "table3", "figure2")
SUBJECTS = ("boat", "cake", "tiger", "piano")
UNIT = "likes, comments and shares of all kinds taken together"  # longer than an axis
arguments = None

# Of every element with text of its own (SVG's too): its contrast with what lies behind it.
CONTRASTS = """
const probe = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
function rgb(colour) {
  probe.clearRect(0, 0, 1, 1);
  probe.fillStyle = colour;
  probe.fillRect(0, 0, 1, 1);
  return [...probe.getImageData(0, 0, 1, 1).data];
}
function luminance(colour) {
  const [r, g, b] = colour.slice(0, 3).map((c) => c / 255).map(
      (c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
function behind(element) {
  for (let e = element; e; e = e.parentElement) {
    const colour = rgb(getComputedStyle(e).backgroundColor);
    if (colour[3] === 255) return colour;
  }
  return [255, 255, 255, 255];
}
function contrast(colour, element) {
  const [low, high] = [luminance(rgb(colour)), luminance(behind(element))].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}
const found = [];
for (const element of document.querySelectorAll('body *')) {
  if (!element.getClientRects().length) continue;  // not shown
  const style = getComputedStyle(element);
  const isText = [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
  const isDrawn = element.matches('.mark, polyline');
  if (isText) {
    const colour = element instanceof SVGElement ? style.fill : style.color;
    found.push(['text', element.textContent.trim().slice(0, 40), contrast(colour, element)]);
  } else if (isDrawn) {
    found.push(['mark', element.outerHTML.slice(0, 60),
                contrast(style.fill === 'none' ? style.stroke : style.fill, element)]);
  }
}
return found;
"""

# Of every plot: what lies outside of it, and which of its texts lie over each other.
PLOTS = """
return [...document.querySelectorAll('svg')].map((svg) => {
  const frame = svg.getBoundingClientRect();
  const box = (element) => {
    const r = element.getBoundingClientRect();
    return {left: r.left - frame.left, right: r.right - frame.left, top: r.top - frame.top,
            bottom: r.bottom - frame.top, what: element.textContent || element.outerHTML.slice(0, 80)};
  };
  const texts = [...svg.querySelectorAll('text')].map(box);
  const outside = [...texts, ...[...svg.querySelectorAll('.mark, line, polyline')].map(box)].filter(
      (b) => b.left < -0.5 || b.top < -0.5 || b.right > frame.width + 0.5 || b.bottom > frame.height + 0.5);
  const over = [];
  texts.forEach((a, i) => texts.slice(i + 1).forEach((b) => {
    // The boxes of lines of text have room above and below the letters.
    const height = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
    if (Math.min(a.right, b.right) - Math.max(a.left, b.left) > 0.5 && height > 3) over.push(a.what + ' | ' + b.what);
  }));
  return {label: svg.getAttribute('aria-label'), width: frame.width, height: frame.height,
          marks: svg.querySelectorAll('.mark').length, lines: svg.querySelectorAll('polyline').length,
          texts: texts.map((t) => t.what), outside: outside.map((b) => b.what), over};
});
"""

TABLE = """
return [...document.querySelectorAll('section')].flatMap((section) =>
  [...section.querySelectorAll('table')].map((table) => ({
    name: table.parentElement.getAttribute('aria-label'),
    head: [...table.querySelectorAll('thead tr:last-child > *')].map((cell) => cell.innerText),
    rows: [...table.querySelectorAll('tbody tr')].map((row) => [...row.children].map((cell) => cell.innerText))})));
"""


def run(*command):
    done = subprocess.run([arguments.program, *command], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"mmra {' '.join(map(str, command))} ended with {done.returncode}: {done.stderr}")


def make_pages(directory):
    """The three experiments on a bank of titles, cut short; the folder of their documents."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    lines = ["id,title,popularity,split"]
    for i in range(80):
        split = {3: "valid", 4: "test"}.get(i % 5, "train")
        lines.append(f"{i},the {SUBJECTS[i % 4]} of day {i},{(1 << (2 * (i % 4))) + i % 3},{split}")
    (directory / "m.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    bank = directory / "a <img src=x onerror=alert(1)> bank"
    run("ingest", directory / "m.csv", "--bank", bank, "--unit", UNIT, "--quiet")
    out = directory / "out"
    for page in PAGES:
        run("reproduce", page, "--bank", bank, "--out", out, "--epochs", "2", "--jobs", "2", "--threads", "2",
            "--seeds", "2" if page == "table3" else "1", "--quiet")
    return out


class Report(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.out = make_pages(Path(arguments.directory).resolve())
        cls.browser = Browser()

    @classmethod
    def tearDownClass(cls):
        cls.browser.quit()

    def setUp(self):
        self.browser.emulate()
        self.browser.resize(1280, 860)
        self.browser.open("about:blank")
        self.browser.complaints()

    def tearDown(self):
        self.assertEqual(self.browser.complaints(), [], "the console has nothing to complain of")

    def each_page(self):
        """Opens one page after the other, and gives what its JSON document says."""
        for page in PAGES:
            self.browser.open((self.out / f"{page}.html").as_uri())
            yield json.loads((self.out / f"{page}.json").read_text(encoding="utf-8"))

    def tables(self):
        return {table["name"]: table for table in self.browser.run(TABLE)}

    def best_cells(self):
        """(column, row) of what the test table has in bold."""
        return sorted((column, name) for column, name in self.browser.run(
            "return [...document.querySelector('table').querySelectorAll('.best')].map((bold) =>"
            "    [bold.closest('td').cellIndex, bold.closest('tr').cells[0].innerText])"))

    @staticmethod
    def best_of(rows):
        best = []
        for column, (metric, choose) in enumerate((("nmse", min), ("mae", min), ("src", max)), 1):
            means = {row["name"]: row["test"][metric]["mean"] for row in rows}
            defined = [mean for mean in means.values() if mean is not None]
            best += [(column, name) for name, mean in means.items() if defined and mean == choose(defined)]
        return sorted(best)

    def test_needs_nothing_but_itself(self):
        for _ in self.each_page():
            self.assertEqual(self.browser.run(
                "return performance.getEntriesByType('resource').map((entry) => entry.name)"), [])
            self.assertEqual(self.browser.run(
                "return document.querySelectorAll('script, iframe, img, object, embed').length"), 0)
            markup = self.browser.run("return document.documentElement.outerHTML")
            markup = re.sub(r"<(code|dd|dt)\b[^>]*>.*?</\1>", "", markup)  # data, as text
            self.assertEqual(re.findall(r"(?:src|href)=[\"'](?!#|data:)[^\"']*|url\([^)]*\)|@import", markup), [])
            self.assertIn("a <img src=x onerror=alert(1)> bank", self.browser.text())

    def test_has_every_row_in_its_tables(self):
        for document in self.each_page():
            tables = self.tables()
            finished = [row for row in document["rows"] if row["runs"]]
            self.assertGreater(len(finished), 3)
            test = tables["Metrics of the test split"]["rows"]
            self.assertEqual([row[0] for row in test], [row["name"] for row in document["rows"]])
            for shown, row in zip(test, document["rows"]):
                if not row["runs"]:
                    self.assertEqual(shown[1], row["reason"])
                    continue
                for cell, metric in zip(shown[1:4], ("nmse", "mae", "src")):
                    mean = row["test"][metric]["mean"]
                    self.assertTrue(cell.startswith("–" if mean is None else f"{mean:.4f}"), cell)
                self.assertEqual(shown[4], str(len(row["runs"])))
            self.assertEqual(self.best_cells(), self.best_of(finished))
            differences = tables[f"Differences from {document['reference']}"]["rows"]
            self.assertEqual([row[0] for row in differences],
                             [row["name"] for row in finished if row["name"] != document["reference"]])
            self.assertEqual([row[0] for row in tables["Validation, intervals and cost"]["rows"]],
                             [row["name"] for row in finished])
            reference = next(row for row in finished if row["name"] == document["reference"])
            self.assertEqual(len(tables["Deciles of the prediction"]["rows"]),
                             len(reference["runs"][0]["by_prediction"]))
            self.assertEqual([code.text for code in self.browser.all(".commands code")],
                             [row["command"] for row in document["rows"] if row["command"]])
            for table in tables.values():
                for row in table["rows"]:
                    if len(row) > 3 and not any("tokens" in cell for cell in row):
                        self.assertEqual(len(row), len(table["head"]), row)

    def test_draws_its_plots(self):
        for document in self.each_page():
            finished = [row for row in document["rows"] if row["runs"]]
            plots = self.browser.run(PLOTS)
            for plot in plots:
                self.assertEqual(plot["outside"], [], plot["label"])
                self.assertEqual(plot["over"], [], plot["label"])
                self.assertGreater(plot["width"], 300)
                self.assertGreater(plot["height"], 100)
                self.assertGreater(plot["marks"], 0, plot["label"])
                self.assertNotIn("nothing to show", plot["texts"])
            by_label = {plot["label"]: plot for plot in plots}
            if document["title"].startswith("Figure"):
                for label in ("nMSE ↓ by k", "MAE ↓ by k", "SRC ↑ by k"):
                    self.assertEqual((by_label[label]["marks"], by_label[label]["lines"]), (8, 1))
            else:
                for label in ("nMSE ↓", "MAE ↓"):
                    self.assertGreaterEqual(by_label[label]["marks"], len(finished))
                    self.assertTrue(set(row["name"] for row in finished) <= set(by_label[label]["texts"]), label)
            scatter = next(plot for label, plot in by_label.items() if label.startswith("Predicted against true"))
            self.assertEqual(scatter["marks"], document["n"])
            self.assertTrue(any(text.endswith("…") for text in scatter["texts"]), "a label that is too long is cut")
            with_curve = [row for row in finished if "epochs" in row["runs"][0]]
            for title, rows in (("Error by decile of the label", finished), ("Training loss", with_curve),
                                ("nMSE of the stopping rows", with_curve)):
                drawn = [plot for plot in plots if plot["label"] == title]
                # The reference is in each of the plots that the rows are divided among.
                self.assertEqual(sum(plot["lines"] for plot in drawn), len(rows) + len(drawn) - 1, title)
                for plot in drawn:
                    self.assertIn(document["reference"], plot["texts"])
                for row in rows:
                    self.assertTrue(any(row["name"] in plot["texts"] for plot in drawn), row["name"])

    def test_fits_a_phone(self):
        for width in (390, 320):
            self.browser.resize(width, 844)
            for _ in self.each_page():
                self.assertFalse(self.browser.run(
                    "return document.documentElement.scrollWidth > window.innerWidth"), "the page scrolls sideways")
                # A wide table scrolls in its own box, and the names of its rows stay.
                scrolled = self.browser.run(
                    "const box = document.querySelector('.wide');"
                    "box.scrollLeft = 120;"
                    "return [box.scrollLeft, box.getBoundingClientRect().left,"
                    "        box.querySelector('tbody th').getBoundingClientRect().left]")
                self.assertEqual(scrolled[0], 120)
                self.assertAlmostEqual(scrolled[1], scrolled[2], delta=1)
                sizes = self.browser.run("return [...document.querySelectorAll('svg')].map((svg) =>"
                                         "    12 * svg.getBoundingClientRect().width / svg.viewBox.baseVal.width)")
                self.assertGreater(min(sizes), 8.5, "the text of plots in px")

    def test_is_legible_in_light_dark_and_print(self):
        backgrounds = []
        for dark, media in ((False, ""), (True, ""), (True, "print")):
            self.browser.emulate(dark, media)
            for _ in self.each_page():
                found = self.browser.run(CONTRASTS)
                self.assertGreater(len(found), 200)
                self.assertEqual([one for one in found if one[2] < (4.5 if one[0] == "text" else 3.0)], [],
                                 "dark" if dark else "light")
            backgrounds.append(self.browser.run("return getComputedStyle(document.body).backgroundColor"))
        self.assertEqual(backgrounds, ["rgb(255, 255, 255)", "rgb(20, 24, 29)", "rgb(255, 255, 255)"])

    def test_is_reached_by_keyboard(self):
        from selenium.webdriver.common.keys import Keys
        self.browser.resize(390, 844)
        for _ in self.each_page():
            links = [link.text for link in self.browser.all("nav a")]
            regions = self.browser.run("return [...document.querySelectorAll('.wide')].map((box) => box.ariaLabel)")
            seen = []
            for _ in range(len(links) + len(regions)):
                self.browser.keys(Keys.TAB)
                focused = self.browser.driver.switch_to.active_element
                seen.append(focused.get_attribute("aria-label") or focused.text)
                self.assertNotEqual(self.browser.run("return getComputedStyle(document.activeElement).outlineStyle"),
                                    "none")
            self.assertEqual(seen, links + regions)
            for link in self.browser.all("nav a"):
                target = link.get_attribute("href").split("#")[1]
                self.assertEqual(self.browser.run("return document.getElementById(arguments[0]).innerText", target),
                                 link.text)
            self.browser.run("document.querySelector('.wide').focus()")
            self.browser.keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
            self.browser.wait(lambda: self.browser.run("return document.querySelector('.wide').scrollLeft") > 0,
                              "the arrow keys move a table")

    def test_has_no_fault_of_accessibility(self):
        if not arguments.axe:
            self.skipTest("no axe-core")
        axe = Path(arguments.axe).read_text(encoding="utf-8")
        for width, dark in ((1280, False), (390, True)):
            self.browser.resize(width, 844)
            self.browser.emulate(dark)
            for _ in self.each_page():
                self.assertEqual(self.browser.accessibility_faults(axe), [])


def main():
    global arguments
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("directory")
    parser.add_argument("--axe", help="axe.min.js of the npm package axe-core")
    arguments = parser.parse_args()
    if arguments.axe and not Path(arguments.axe).exists():
        print("no axe-core (scripts/fetch_axe.sh fetches it): accessibility is not checked")
        arguments.axe = None
    try:
        Browser().quit()
    except Unavailable as reason:
        print(f"skipped: {reason}")
        return SKIPPED
    result = unittest.TextTestRunner(verbosity=2).run(unittest.defaultTestLoader.loadTestsFromTestCase(Report))
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
