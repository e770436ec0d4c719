"""Chromium without a window, driven by Selenium; both are Debian's."""

import time

try:
    from selenium import webdriver
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait
except ImportError:
    webdriver = None

SECONDS = 60  # the longest that anything may take on a busy machine


class Unavailable(Exception):
    """There is no browser to test with."""


class Browser:
    def __init__(self, width=1280, height=860, dark=False, scale=1):
        if webdriver is None:
            raise Unavailable("no Selenium for Python (python3-selenium)")
        options = webdriver.ChromeOptions()
        for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                         "--disable-dev-shm-usage", "--lang=en-US"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        try:
            self.driver = webdriver.Chrome(options=options)
        except Exception as error:  # Selenium has no one type for "no browser"
            raise Unavailable(f"no Chromium with its driver (chromium, chromium-driver): {error}") from error
        self.width, self.height, self.scale = width, height, scale
        self.emulate(dark)
        self.resize(width, height)

    def emulate(self, dark=False, media=""):
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce"}]})

    def resize(self, width, height):
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": height, "deviceScaleFactor": self.scale, "mobile": width < 600})

    def open(self, url):
        self.driver.get(url)

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector):
        """The first that is shown, once there is one."""
        def shown(_):
            return next((found for found in self.all(selector) if found.is_displayed()), None)
        return WebDriverWait(self.driver, SECONDS, ignored_exceptions=()).until(
            shown, f"{selector} is not shown; the page says: {self.text()[:500]}")

    def wait(self, holds, what):
        WebDriverWait(self.driver, SECONDS).until(
            lambda _: holds(), f"{what}; the page says: {self.text()[:500]}")

    def text(self):
        return self.driver.execute_script("return document.body ? document.body.innerText : ''")

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def type(self, selector, text):
        field = self.one(selector)
        field.clear()
        field.send_keys(text)

    def click(self, selector):
        element = self.one(selector)
        self.run("arguments[0].scrollIntoView({block: 'center'})", element)
        element.click()

    def keys(self, *keys):
        webdriver.ActionChains(self.driver).send_keys(*keys).perform()

    def drop_file(self, selector, file):
        """A file from outside the browser, let go over an element as a person does it."""
        element = self.one(selector)
        self.run("arguments[0].scrollIntoView({block: 'center'})", element)
        x, y = self.run(
            "const r = arguments[0].getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]",
            element)
        data = {"items": [], "files": [str(file)], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.driver.execute_cdp_cmd("Input.dispatchDragEvent",
                                        {"type": kind, "x": x, "y": y, "data": data})

    def complaints(self):
        """What the console has that is a warning or worse, since the last call."""
        return [entry["message"] for entry in self.driver.get_log("browser")
                if entry["level"] in ("SEVERE", "WARNING")]

    def accessibility_faults(self, axe):
        """What axe-core (the text of its script) finds that is moderate or worse, as lines."""
        self.run(axe)
        found = self.driver.execute_async_script(
            "const done = arguments[arguments.length - 1];"
            "axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice']})"
            ".then((result) => done(result.violations), (error) => done([{id: String(error), impact: 'critical', nodes: []}]));")
        return [f"{one['id']} ({one['impact']}): " + "; ".join(
            str(node.get("html", ""))[:160] + " " + " ".join(
                check["message"] for check in node.get("any", []))[:200] for node in one["nodes"][:3])
            for one in found if one["impact"] in ("serious", "critical", "moderate")]

    def picture(self, file, whole=False):
        if whole:
            self.resize(self.width, self.run("return document.documentElement.scrollHeight"))
            time.sleep(0.5)  # charts are drawn anew
        self.driver.save_screenshot(str(file))
        if whole:
            self.resize(self.width, self.height)

    def quit(self):
        self.driver.quit()
