"""Take the screenshots of the guide: a report, a rendered Doc, and the server's page.

python docs/screenshots.py training/model-best docs --log training.log

It needs Chromium and its driver, Selenium, and the packages of the extra "server". The log is the
output of the training.
"""

import argparse
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

import spacy
from selenium import webdriver

from spacy_lstm_tagger import render
from spacy_lstm_tagger.cli.report import write_report
from spacy_lstm_tagger.pipeline.tagger import find_tagger

ROOT = Path(__file__).parent.parent
CORPUS = ROOT / "corpus" / "english"
TEXT = "She wants to book the table we saw in the book. Time flies like an arrow; fruit flies too."
FLAGS = (
    "--headless --no-sandbox --disable-gpu --no-first-run --hide-scrollbars --disable-sync "
    "--disable-background-networking --disable-component-update"
)
# A wide light window with a narrow dark one in front of it.
FRAMES = """<!doctype html><meta charset="utf-8">
<style>
body {{ margin: 0; width: 1200px; height: {height}px; overflow: hidden; background: #d9dce3; }}
iframe {{ position: absolute; border: 0; border-radius: 12px; transform-origin: 0 0;
  outline: 1px solid #b9bec9; }}
.desktop {{ left: 30px; top: 30px; width: 1280px; height: 1400px; transform: scale(.66);
  color-scheme: light; }}
.phone {{ left: 860px; top: 60px; width: 390px; height: 844px; transform: scale(.8);
  color-scheme: dark; border-radius: 24px; }}
</style>
<iframe class="desktop" src="{address}"></iframe><iframe class="phone" src="{address}"></iframe>
"""


def screenshot(page: str, output: Path, height: int, folder: Path) -> None:
    """Take a picture of a page in two windows.

    page (str): Its address.
    output (Path): The PNG file to write.
    height (int): Height of the picture in pixels.
    folder (Path): A folder for temporary files.
    """
    frames = folder / "frames.html"
    frames.write_text(FRAMES.format(address=page, height=height), encoding="utf8")
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in (*FLAGS.split(), f"--user-data-dir={folder / 'user'}"):
        options.add_argument(flag)
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    with webdriver.Chrome(options, service) as browser:
        size = {"width": 1200, "height": height, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        browser.get(frames.as_uri())
        time.sleep(3)  # until the scripts of the page are done
        browser.save_screenshot(str(output))


@contextmanager
def server(pipeline: Path) -> Iterator[str]:
    """Run the server of the examples, and return its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "uvicorn",
        "--app-dir",
        ROOT / "examples",
        "server:app",
    ]
    environment = {**os.environ, "PIPELINE": str(pipeline)}
    process = subprocess.Popen([*command, "--port", str(port)], env=environment)
    try:
        while socket.socket().connect_ex(("127.0.0.1", port)):
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.terminate()
        process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pipeline", type=Path, help="a trained pipeline with an lstm_tagger")
    parser.add_argument("output", type=Path, help="the folder to write to")
    parser.add_argument("--log", type=Path, help="the output of the training")
    arguments = parser.parse_args()
    with TemporaryDirectory() as name:
        folder = Path(name)
        page = folder / "report.html"
        write_report(
            [str(arguments.pipeline)],
            CORPUS / "dev.spacy",
            page,
            train=CORPUS / "train.spacy",
            log=arguments.log,
        )
        screenshot(page.as_uri(), arguments.output / "report.png", 700, folder)
        nlp = spacy.load(arguments.pipeline)
        find_tagger(nlp)[1].store_probabilities = True
        page.write_text(render(nlp(TEXT), page=True, jupyter=False) or "", encoding="utf8")
        screenshot(page.as_uri(), arguments.output / "render.png", 440, folder)
        with server(arguments.pipeline) as address:
            screenshot(f"{address}#{quote(TEXT)}", arguments.output / "server.png", 600, folder)


if __name__ == "__main__":
    main()
