"""Tests of the report and of rendered Docs in a browser, if Chromium is there.

Nothing is wider than a phone, scripts in a corpus don't run, and axe finds nothing. The environment
variable AXE_CORE is the path of axe.min.js, from the npm package axe-core.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import spacy
from spacy.tokens import Doc, DocBin
from spacy.vocab import Vocab

from spacy_lstm_tagger import render
from spacy_lstm_tagger.cli.report import write_report

CHROMIUM = shutil.which("chromium") or ""
AXE = Path(os.environ.get("AXE_CORE", "nothing"))
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync "
    "--disable-background-networking --disable-component-update --virtual-time-budget=20000"
)
OPEN_ALL = 'for (const details of document.querySelectorAll("details")) details.open = true;'
# Chromium's windows have a minimum width of 500 pixels, frames don't.
PHONE = """<!doctype html><title>?</title>
<iframe src="page.html" style="width: {width}px; height: 800px; border: 0"></iframe>
<script>
const frame = document.querySelector("iframe");
frame.onload = () => {{
  const document = frame.contentDocument, wide = [];
  {open_all}
  for (const element of document.querySelectorAll("body *")) {{
    const {{left, right}} = element.getBoundingClientRect();
    const style = frame.contentWindow.getComputedStyle(element);
    const scrolls = ["auto", "scroll"].includes(style.overflowX);
    if (right > {width} && left < {width} || scrolls && element.scrollWidth > element.clientWidth)
      wide.push(element.tagName + " " + element.className);
  }}
  const n = document.querySelectorAll("body *").length;
  window.document.title = n + " elements, wide: " + wide.join(", ");
}};
</script>"""
RUN_AXE = f"""<script>
{OPEN_ALL}
axe.run().then(({{violations}}) => {{
  document.title = "axe: " + violations.map(v => v.id + " " + v.nodes[0].html).join("; ");
}});
</script></body>"""
EVIL = "<script>document.title = 'run'</script>"
LOG = '{"step":0,"score":0.1}\n{"step":9,"score":0.9}\n'
LONG = "a_label_that_is_longer_than_the_screen_of_a_phone_is_wide|" * 3

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium")


@pytest.fixture
def report(pipeline: str, corpus: Path, tmp_path: Path) -> Path:
    """A comparison on a corpus with scripts, long words, long labels and Arabic text."""
    words = ["The", EVIL, "ate" * 99, "الكتاب", "."]
    docs = [Doc(Vocab(), words=words, tags=["DET", "NN", LONG, "NN", "."])]
    (tmp_path / "corpus").mkdir()
    DocBin(docs=docs).to_disk(tmp_path / "corpus" / "x.spacy")
    shutil.copy(corpus, tmp_path / "corpus")
    (tmp_path / "log").write_text(LOG)
    page = tmp_path / "page.html"
    pipelines = [pipeline, pipeline]
    write_report(pipelines, tmp_path / "corpus", page, train=corpus, log=tmp_path / "log")
    return page


@pytest.fixture
def rendered(pipeline: str, tmp_path: Path) -> Path:
    """A page with a rendered Doc, with probabilities."""
    nlp = spacy.load(pipeline)
    nlp.get_pipe("lstm_tagger").store_probabilities = True
    text = "The dog ate the unheard-of apple " * 9 + "ate" * 99
    html = render(nlp(text), page=True, jupyter=False)
    (tmp_path / "page.html").write_text(html, encoding="utf8")
    return tmp_path / "page.html"


def title_in_chromium(page: Path, *flags: str) -> str:
    """Return the title that a page has after its scripts have run."""
    user = page.with_name("user")
    command = [CHROMIUM, *FLAGS.split(), f"--user-data-dir={user}", *flags, "--dump-dom"]
    run = subprocess.run([*command, page.as_uri()], capture_output=True, text=True, timeout=120)
    title, *_ = re.findall("<title>(.*?)</title>", run.stdout, re.DOTALL)
    return title


def test_no_script_of_a_corpus_runs(report: Path) -> None:
    assert title_in_chromium(report).startswith("Tagging report")


@pytest.mark.parametrize("width", [320, 390])
@pytest.mark.parametrize("name", ["report", "rendered"])
def test_nothing_is_wider_than_a_phone(
    name: str, width: int, request: pytest.FixtureRequest
) -> None:
    page = request.getfixturevalue(name)
    phone = page.with_name("phone.html")
    phone.write_text(PHONE.format(width=width, open_all=OPEN_ALL), encoding="utf8")
    title = title_in_chromium(phone, "--allow-file-access-from-files")
    assert re.fullmatch(r"\d\d+ elements, wide: ", title)


@pytest.mark.skipif(not AXE.is_file(), reason="AXE_CORE names no file")
@pytest.mark.parametrize(("width", "scheme"), [(500, 0), (1280, 1)])  # dark and light
@pytest.mark.parametrize("name", ["report", "rendered"])
def test_axe_finds_nothing(
    name: str, width: int, scheme: int, request: pytest.FixtureRequest
) -> None:
    page = request.getfixturevalue(name)
    html = re.sub("<meta http-equiv[^>]*>", "", page.read_text(encoding="utf8"))
    script = f"<script>{AXE.read_text(encoding='utf8')}</script>"
    tested = page.with_name("tested.html")
    tested.write_text(html.replace("</body>", script + RUN_AXE), encoding="utf8")
    flags = [f"--window-size={width},800", f"--blink-settings=preferredColorScheme={scheme}"]
    assert title_in_chromium(tested, *flags) == "axe: "
