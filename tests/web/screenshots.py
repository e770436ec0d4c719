#!/usr/bin/env python3
"""The pictures of the README: screenshots.py MMRA WORK_DIRECTORY IMAGE_DIRECTORY (scripts/screenshots.sh)."""

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


def main(program, work, images):
    images = Path(images)
    images.mkdir(parents=True, exist_ok=True)
    bank, model, clips = make_demo(program, work, clips=240)
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
