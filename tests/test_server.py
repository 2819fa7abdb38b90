"""Tests of `examples/server.py`, over HTTP."""

import http.client
import json
import shutil
import socket
import sys
import threading
import time
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import spacy
from spacy.tokens import Doc

pytest.importorskip("fastapi")
pytest.importorskip("httpx")
uvicorn = pytest.importorskip("uvicorn")
TestClient = pytest.importorskip("starlette.testclient").TestClient

EXAMPLES = Path(__file__).parent.parent / "examples"
TEXT = "The dog ate  the apple"
BROWSER_ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture
def module(saved_pipeline: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The example as a module."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.delitem(sys.modules, "server", raising=False)
    monkeypatch.setenv("PIPELINE", str(saved_pipeline))
    import server

    return server


@pytest.fixture
def running(module: Any) -> Iterator[Any]:
    """A server that runs; its port is that of the first socket."""
    server = uvicorn.Server(uvicorn.Config(module.app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    yield server
    server.should_exit = True
    thread.join()


def request(
    running: Any, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, Any]:
    """Return the status and the body of an answer."""
    port = running.servers[0].sockets[0].getsockname()[1]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request(method, path, body, {"Content-Type": "application/json", **headers})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    is_json = answer.headers["content-type"] == "application/json"
    return answer.status, json.loads(content) if is_json else content.decode("utf8")


def ask(running: Any, text: str, k: int = 3) -> tuple[int, Any]:
    return request(running, "POST", "/tag", json.dumps({"text": text, "k": k}).encode())


def test_tokens_have_offsets_tags_and_the_best_tags(running: Any, saved_pipeline: Path) -> None:
    status, answer = ask(running, TEXT, k=2)
    tokens = answer["tokens"]
    assert status == 200
    assert [TEXT[token["start"] : token["end"]] for token in tokens] == [t["text"] for t in tokens]
    assert [token["tag"] for token in tokens] == [t.tag_ for t in spacy.load(saved_pipeline)(TEXT)]
    for token in tokens:
        if token["text"] == " ":
            assert token["best"] == [["_SP", 1.0]]
            continue
        (first, p), (_, second_p) = token["best"]
        assert first == token["tag"] and p == token["confidence"] >= second_p


def test_more_best_tags_than_there_are_labels_are_all(running: Any) -> None:
    assert len(ask(running, "dog", k=100)[1]["tokens"][0]["best"]) == 3


def test_requests_at_the_same_time_are_tagged_together(
    running: Any, module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = []
    tag = module.tag
    monkeypatch.setattr(module, "WINDOW", 0.3)
    monkeypatch.setattr(module, "tag", lambda *args: batches.append(len(args[1])) or tag(*args))
    texts = [f"The wug{i} ate book{i}" for i in range(16)]
    with ThreadPoolExecutor(16) as pool:
        answers = [answer for _, answer in pool.map(lambda text: ask(running, text), texts)]
    assert [" ".join(t["text"] for t in answer["tokens"]) for answer in answers] == texts
    assert sum(batches) == 16 and len(batches) < 16


def test_a_text_that_fails_spoils_no_other_of_its_batch(running: Any, module: Any) -> None:
    served = module.app.state.batcher.served

    def fail(text: str) -> Doc:
        if text == TEXT:
            raise KeyError(text)
        return tokenize(text)

    tokenize, served.nlp.tokenizer = served.nlp.tokenizer, fail
    answers = module.tag(served, [module.Query(text=text) for text in ("The dog", TEXT, "ate")])
    assert [a and len(json.loads(a)["tokens"]) for a in answers] == [2, None, 1]
    assert ask(running, TEXT) == (422, {"detail": "this text can't be tagged"})


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status", "reason"),
    [
        ("POST", "/tag", b"{}", {}, 422, "Field required"),
        ("POST", "/tag", b"{", {}, 422, "The body is not valid JSON: Expecting property name"),
        ("POST", "/tag", b"", {}, 422, "The body is not valid JSON: Expecting value"),
        ("POST", "/tag", b"[" * 90_000, {}, 422, "The body is not valid JSON: "),
        ("POST", "/tag", b'["text"]', {}, 422, "The body must be an object, such as"),
        ("POST", "/tag", b'{"text": "\xe0"}', {}, 422, "The body is not UTF-8, from byte 10 on"),
        (
            "POST",
            "/tag",
            b'{"text": 3, "k": 0}',
            {},
            422,
            "text: Input should be a valid string; k:",
        ),
        (
            *("POST", "/tag", b"text=dog", {"Content-Type": "application/x-www-form-urlencoded"}),
            *(415, "Content-Type: application/json, not application/x-www-form-urlencoded"),
        ),
        ("POST", "/tag", b"dog", {"Content-Type": ""}, 415, "Content-Type: application/json"),
        (
            *("POST", "/tag", json.dumps({"text": "a" * 5000, "k": 21}).encode(), {}),
            *(422, "k: at most 20 for a text of 5000 characters"),
        ),
        ("POST", "/tag", b'{"text": 3}', {}, 422, "valid string"),
        ("POST", "/tag", b'{"text": "dog", "k": 0}', {}, 422, "greater than or equal to 1"),
        ("POST", "/tag", b'{"text": "\\ud800"}', {}, 422, "valid string"),
        ("POST", "/tag", json.dumps({"text": "a" * 10_001}).encode(), {}, 422, "10000 characters"),
        ("POST", "/tag", b" " * 10**6, {}, 413, "at most 100000 bytes; these are 1000000"),
        ("POST", "/tag", None, {"Transfer-Encoding": "chunked"}, 411, "Content-Length"),
        ("GET", "/tag", None, {}, 405, "Method Not Allowed"),
        ("GET", "/tags", None, {}, 404, "Not Found"),
    ],
)
def test_bad_requests_are_told_why(
    method: str, path: str, body: Any, headers: Any, status: int, reason: str, running: Any
) -> None:
    answer = request(running, method, path, body, **headers)
    assert answer[0] == status and reason in json.dumps(answer[1])
    assert ask(running, TEXT)[0] == 200


def test_a_full_server_refuses_texts_and_says_so(
    running: Any, module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert request(running, "GET", "/ready") == (200, "ok")
    waiting = module.app.state.batcher.waiting
    monkeypatch.setattr(waiting, "_maxsize", 1)
    monkeypatch.setattr(waiting, "full", lambda: True)
    assert ask(running, TEXT)[0] == 503
    assert request(running, "GET", "/ready")[0] == 503
    assert request(running, "GET", "/health") == (200, "ok")


def test_a_server_whose_tagger_has_stopped_is_not_healthy(running: Any, module: Any) -> None:
    module.app.state.batcher.task.cancel()
    time.sleep(0.05)
    assert request(running, "GET", "/health")[0] == 503


def test_requests_are_answered_before_the_server_stops(
    running: Any, module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrived: list[Any] = []
    waiting, tag, go_on = module.app.state.batcher.waiting, module.tag, threading.Event()
    put = waiting.put_nowait
    monkeypatch.setattr(waiting, "put_nowait", lambda item: arrived.append(item) or put(item))
    monkeypatch.setattr(module, "tag", lambda *args: go_on.wait(20) and tag(*args))
    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(ask, running, TEXT) for _ in range(4)]
        while len(arrived) < 4 and not any(answer.done() for answer in answers):
            time.sleep(0.01)
        running.should_exit = True
        time.sleep(0.3)  # until the server has noticed
        go_on.set()
    assert [answer.result()[0] for answer in answers] == [200] * 4


def test_a_run_without_spaces_does_not_hold_others(running: Any) -> None:
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(ask, running, "$" * 10_000)
        waits = []
        while not answer.done():
            begin = time.perf_counter()
            assert request(running, "GET", "/health")[0] == 200
            waits.append(time.perf_counter() - begin)
        status, tokens = answer.result()
    assert status == 200 and len(tokens["tokens"]) == 10_000
    assert waits  # others got answers meanwhile


def test_a_client_that_sends_half_a_body_is_sent_away(
    running: Any, module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.5)
    port = running.servers[0].sockets[0].getsockname()[1]
    head = b"POST /tag HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.sendall(head + b'Content-Type: application/json\r\n\r\n{"text": ')
        running.should_exit = True
        answer = b"".join(iter(lambda: client.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 408") and b"The body was not there in 0.5 s." in answer


def test_a_client_that_leaves_harms_nobody(running: Any) -> None:
    port = running.servers[0].sockets[0].getsockname()[1]
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"POST /tag HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{")
    assert ask(running, TEXT)[0] == 200


def test_answers_do_not_pile_up(module: Any, saved_pipeline: Path) -> None:
    nlp = spacy.load(saved_pipeline)
    tagger = nlp.get_pipe("lstm_tagger")
    tagger.store_probabilities = True
    served = module.Served(nlp, tagger)
    queries = [module.Query(text="a " * 2500, k=20)] * 8
    answers = module.tag(served, queries[:1])
    tracemalloc.start()
    answers = module.tag(served, queries)
    left, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert left < 3 * sum(map(len, answers))
    assert peak < 40_000_000


def test_a_batch_has_a_limited_number_of_characters(
    running: Any, module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = []
    tag = module.tag
    monkeypatch.setattr(module, "WINDOW", 0.3)
    monkeypatch.setattr(module, "MAX_BATCH_CHARACTERS", 100)
    monkeypatch.setattr(module, "tag", lambda *args: batches.append(len(args[1])) or tag(*args))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda i: ask(running, f"{i} " * 30), range(8)))
    assert all(status == 200 for status, _ in answers)
    assert sum(batches) == 8 and max(batches) <= 2


@pytest.mark.parametrize("attribute", ["tag", "morph"])
def test_the_component_has_any_name(
    attribute: str,
    nlp: Any,
    train: Any,
    module: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train(nlp, name="tags", attribute=attribute).to_disk(tmp_path)
    monkeypatch.setenv("PIPELINE", str(tmp_path))
    with TestClient(module.app) as client:
        tokens = client.post("/tag", json={"text": TEXT}).json()["tokens"]
        assert client.get("/openapi.json").status_code == 200
    doc = nlp(TEXT)
    assert [t["tag"] for t in tokens] == [
        token.tag_ if attribute == "tag" else str(token.morph) or "_" for token in doc
    ]
    assert tokens[0]["best"][0][1] == tokens[0]["confidence"]
    monkeypatch.setenv("COMPONENT", "nothing")
    with pytest.raises(ValueError, match="nothing"), TestClient(module.app):
        pass


def test_the_page_needs_no_other_server(running: Any) -> None:
    status, page = request(running, "GET", "/")
    assert status == 200 and page.startswith("<!doctype html>")
    assert "http:" not in page and "https:" not in page


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Any]:
    """A Chromium without a window."""
    webdriver = pytest.importorskip("selenium.webdriver")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("needs Chromium and its driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in BROWSER_ARGUMENTS:
        options.add_argument(argument)
    options.add_argument(f"--user-data-dir={tmp_path}")
    with webdriver.Chrome(options, webdriver.ChromeService(driver)) as browser:
        browser.implicitly_wait(20)
        yield browser


def test_the_pipeline_is_described(running: Any, saved_pipeline: Path) -> None:
    status, about = request(running, "GET", "/pipeline")
    assert status == 200
    assert about["name"] == "/".join(saved_pipeline.parts[-2:])
    assert [*about["tags"]] == [*spacy.load(saved_pipeline).get_pipe("lstm_tagger").labels]
    assert about["tags"]["NN"] == "noun, singular or mass"


@pytest.mark.parametrize(("lang", "n"), [("en", 0), ("xx", 0), ("he", 2), ("nothing", 0)])
def test_languages_have_example_sentences(module: Any, lang: str, n: int) -> None:
    assert len(module.example_sentences(lang)) == n


def address(running: Any) -> str:
    return f"http://127.0.0.1:{running.servers[0].sockets[0].getsockname()[1]}/"


def test_the_page_tags_as_one_types(running: Any, browser: Any) -> None:
    browser.get(address(running))
    browser.find_element("id", "text").send_keys("Everybody <b>read</b> wugs")
    tokens = ask(running, "Everybody <b>read</b> wugs")[1]["tokens"]
    browser.find_element("xpath", f"//*[@id='status'][text()='{len(tokens)} tokens']")
    buttons = browser.find_elements("css selector", "#tokens button")
    shown = [button.text.split()[:2] for button in buttons]
    assert shown == [[token["text"], token["tag"]] for token in tokens]
    browser.execute_script("arguments[0].focus()", buttons[1])
    details = browser.find_element("id", "details").text.split("\n")
    assert details[1] == tokens[1]["text"]
    assert [tag for tag, _ in tokens[1]["best"]] == [x for x in details if x in ("DET", "NN", "V")]
    assert browser.get_log("browser") == []


def test_examples_are_a_click_away(running: Any, browser: Any) -> None:
    browser.get(address(running))
    first, second = browser.find_elements("css selector", "#examples button")
    sentence = first.text
    first.click()
    browser.find_element("css selector", "#tokens button")
    assert browser.find_element("id", "text").get_attribute("value") == sentence
    assert not second.is_displayed()


def test_emoji_are_one_thing_and_whitespace_is_space(running: Any, browser: Any) -> None:
    browser.get(address(running))
    text = "The \U0001f469\u200d\U0001f467  dog\n\u200b"
    box = browser.find_element("id", "text")
    browser.execute_script("arguments[0].value = arguments[1]", box, text)
    browser.execute_script("arguments[0].dispatchEvent(new Event('input'))", box)
    browser.find_element("css selector", "#tokens button")
    words = browser.find_elements("css selector", "#tokens .word")
    assert [word.text for word in words] == ["The", "\U0001f469\u200d\U0001f467", "dog", "U+200B"]
