"""The report, and a Doc that is rendered, in a real browser, where there is one.

No script of a corpus runs, no page is wider than a phone, and axe finds nothing. AXE_CORE names the
file axe.min.js of the package axe-core.
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
RUN_AXE = """<script>
for (const details of document.querySelectorAll("details")) details.open = true;
axe.run().then(({violations}) => {
  const isWide = document.documentElement.scrollWidth > window.innerWidth;
  const found = violations.map(v => v.id + " " + v.nodes[0].html);
  document.title = (isWide ? "wide, " : "") + "axe: " + found.join("; ");
});
</script></body>"""
EVIL = "<script>document.title = 'run'</script>"

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium")


@pytest.fixture
def page(pipeline: str, corpus: Path, tmp_path: Path) -> Path:
    """A report whose corpus has a script among its words."""
    words = ["The", EVIL, "ate"]
    DocBin(docs=[Doc(Vocab(), words=words, tags=["DET", "NN", "V"])]).to_disk(tmp_path / "x.spacy")
    shutil.copy(corpus, tmp_path)
    (tmp_path / "log").write_text('{"step":0,"score":0.1}\n{"step":9,"score":0.9}\n')
    log = tmp_path / "log"
    write_report([pipeline, pipeline], tmp_path, tmp_path / "r.html", train=corpus, log=log)
    return tmp_path / "r.html"


@pytest.fixture
def rendered(pipeline: str, tmp_path: Path) -> Path:
    """A page with a rendered Doc, with probabilities."""
    nlp = spacy.load(pipeline)
    nlp.get_pipe("lstm_tagger").store_probabilities = True
    html = render(nlp("The dog ate the unheard-of apple " * 9), page=True, jupyter=False)
    (tmp_path / "doc.html").write_text(html, encoding="utf8")
    return tmp_path / "doc.html"


def dump(page: Path, *flags: str) -> str:
    """Return what Chromium makes of a page."""
    user = page.with_name("user")
    command = [CHROMIUM, *FLAGS.split(), f"--user-data-dir={user}", *flags, "--dump-dom"]
    run = subprocess.run([*command, page.as_uri()], capture_output=True, text=True, timeout=60)
    return run.stdout


def test_no_script_of_a_corpus_runs(page: Path) -> None:
    title, *_ = re.findall("<title>(.*?)</title>", dump(page))
    assert title.startswith("How ")


@pytest.mark.skipif(not AXE.is_file(), reason="AXE_CORE names no file")
@pytest.mark.parametrize(("width", "scheme"), [(320, 0), (1200, 1)])  # dark and light
@pytest.mark.parametrize("name", ["page", "rendered"])
def test_axe_finds_nothing(
    name: str, width: int, scheme: int, request: pytest.FixtureRequest
) -> None:
    page = request.getfixturevalue(name)
    html = re.sub("<meta http-equiv[^>]*>", "", page.read_text(encoding="utf8"))
    script = f"<script>{AXE.read_text(encoding='utf8')}</script>"
    tested = page.with_name("tested.html")
    tested.write_text(html.replace("</body>", script + RUN_AXE), encoding="utf8")
    flags = [f"--window-size={width},800", f"--blink-settings=preferredColorScheme={scheme}"]
    title, *_ = re.findall("<title>(.*?)</title>", dump(tested, *flags), re.DOTALL)
    assert title == "axe: "
