#!/usr/bin/env python3
"""The pictures of the README and of docs/: screenshots.py MMRA WORK_DIRECTORY IMAGE_DIRECTORY (scripts/screenshots.sh)."""

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from browser import Browser  # noqa: E402
from service import Service, make_demo  # noqa: E402

TITLE = "lighting a fire at night # vlog"
OTHERS = ("How I light a fire in ten seconds", "a quiet evening by the fire # cute")


def predict(browser, clip):
    browser.drop_file("#drop", clip)
    browser.type("#title", TITLE)
    browser.click("#ask-button")
    browser.one("#number")
    browser.click("#words-button")
    browser.one(".words .effects")
    for field, title in zip(browser.all(".other-title"), OTHERS):
        field.send_keys(title)
    browser.click("#compare-button")
    browser.one(".verdict")
    browser.run("document.activeElement.blur(); window.scrollTo(0, 0)")


def wait_for_pictures(browser):
    browser.wait(lambda: browser.run(
        "return [...document.images].every((image) => image.loading === 'lazy' || image.complete)"), "pictures")


def photograph_report(program, bank, work, images):
    """The top of what `mmra reproduce table3` writes about the demo's bank."""
    # Beside the bank and by its name alone, so that the page shows no path of this machine.
    subprocess.run([Path(program).resolve(), "reproduce", "table3", "--bank", bank.name, "--out", "table3", "--seeds", "3",
                    "--jobs", "2", "--quiet"], check=True, cwd=work, stdout=subprocess.DEVNULL)
    browser = Browser(1280, 1160, scale=0.75)
    browser.open((Path(work).resolve() / "table3" / "table3.html").as_uri())
    browser.picture(images / "experiment.png")
    browser.quit()


def main(program, work, images):
    images = Path(images)
    images.mkdir(parents=True, exist_ok=True)
    bank, model, clips = make_demo(program, work, clips=600)
    photograph_report(program, bank, work, images)
    with Service(program, bank, model, "--read-only") as service:
        browser = Browser(1280, 1180)
        browser.open(service.url + "/")
        predict(browser, clips[0])
        wait_for_pictures(browser)
        browser.picture(images / "page-predict.png")
        browser.open(service.url + "/#/bank")
        browser.one(".card img")
        browser.resize(1280, 860)
        browser.run("document.querySelectorAll('.card img').forEach((image) => { image.loading = 'eager'; })")
        browser.wait(lambda: browser.run(
            "return [...document.querySelectorAll('.card img')].slice(0, 8).every((image) => image.naturalWidth > 0)"),
            "the bank's pictures")
        browser.picture(images / "page-bank.png")
        browser.open(service.url + "/#/model")
        browser.run("location.reload()")
        browser.one("#model polyline")
        browser.picture(images / "page-model.png", whole=True)
        browser.quit()
        phone = Browser(390, 844, dark=True, scale=2)
        phone.open(service.url + "/")
        predict(phone, clips[0])
        phone.run("document.querySelector('.headline').scrollIntoView(); window.scrollBy(0, -76)")
        phone.picture(images / "page-phone-dark.png")
        phone.quit()


if __name__ == "__main__":
    main(*sys.argv[1:4])
