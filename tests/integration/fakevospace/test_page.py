"""The page at `/_fake/`, as a person meets it: in Chromium, wide and on a phone."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from fakevospace import FakeVOSpace, Rule, Status
from fakevospace.faultactions import ACTIONS
from fakevospace.faultplans import ENDPOINTS
from tests.support.browser import DRIVER, Browser, browser

from .conftest import Client

EVIL = "<img src=x onerror=alert(1)>"
pytestmark = [pytest.mark.slow]
needs_browser = pytest.mark.skipif(DRIVER is None, reason="chromedriver is not installed")


@pytest.fixture
def client() -> Iterator[Client]:
    """A fake with a little in it, and something that went wrong."""
    with FakeVOSpace(sample=True) as fake, fake.serve() as served:
        client = Client(fake, served.url)
        with client.session:
            fake.put("data/deep/f.txt".replace("data/deep/", ""), b"hello")
            fake.put(EVIL, b"x")
            client.call("GET", "nodes/none")
            client.upload("up", b"bytes")
            client.move("up", "sample")
            yield client


@pytest.fixture
def page(client: Client, tmp_path: Path) -> Iterator[Browser]:
    """A browser that shows the page."""
    with browser(tmp_path) as shown:
        shown.size(1280, 900)
        shown.open(f"{client.url}/_fake/")
        shown.wait_for("document.body.dataset.ready === 'yes'")
        yield shown


@needs_browser
def test_it_shows_tree_journal_jobs_and_names_as_they_are(page: Browser, client: Client) -> None:
    tree = page.text("#tree")
    assert "sample/" in tree and "f.txt" in tree and EVIL in tree
    assert page.run("return document.querySelectorAll('#tree img').length") == 0
    assert "GET /vault/nodes/none" in page.text("#journal")
    assert "COMPLETED" in page.text("#jobs") and "/up" in page.text("#jobs")
    page.click("#tree a")
    page.wait_for("document.querySelector('#tree').textContent.includes('mosaic.fits')")


@needs_browser
def test_the_journal_is_live_and_an_open_request_gets_its_status(
    page: Browser, client: Client
) -> None:
    client.call("GET", "nodes/later")
    page.wait_for("document.querySelector('#journal tr').textContent.includes('nodes/later')")
    assert "404" in page.text("#journal tr")


@needs_browser
def test_a_person_can_add_a_fault_and_lift_it(page: Browser, client: Client) -> None:
    page.type("select[name=method]", "GET")
    page.type("select[name=endpoint]", "nodes")
    page.type("input[name=path]", "/f*")
    page.click("#add")
    page.wait_for("document.querySelector('#faults tr')")
    assert client.fake.faults.plan.rules == (
        Rule(Status(503), method="GET", endpoint="nodes", path="/f*"),
    )
    assert "no request came" in page.text("#faults")
    assert client.call("GET", "nodes/f.txt").status_code == 503
    page.wait_for("document.querySelector('#faults td.number').textContent === '1'")
    page.click("#lift")
    page.wait_for("!document.querySelector('#faults tr')")
    assert client.call("GET", "nodes/f.txt").status_code == 200


@needs_browser
def test_every_matcher_has_a_field(page: Browser, client: Client) -> None:
    for name, text in (
        ("user", "bob"), ("offset", "4096"), ("nth", "2"), ("times", "3"), ("probability", "0.25"),
        ("seed", "7"),
    ):  # fmt: skip
        page.type(f"#fault input[name={name}]", text)
    fields = "return [...document.querySelector('#fault').elements].map(one => one.name)"
    assert {one.name for one in dataclasses.fields(Rule)} <= set(page.run(fields))
    page.click("#add")
    page.wait_for("document.querySelector('#faults tr')")
    assert client.fake.faults.plan.rules == (
        Rule(Status(503), user="bob", offset=4096, nth=2, times=3, probability=0.25, seed=7),
    )
    for shown in ("user=bob", "offset=4096", "probability=0.25", "seed=7"):
        assert shown in page.text("#faults")


@needs_browser
@pytest.mark.parametrize(
    ("name", "text", "told"),
    [("probability", "1.5", "at most 1"), ("seed", "x", "seed must be int"),
     ("offset", "-1", "at least 0"), ("nth", "two", "nth must be int")],
)  # fmt: skip
def test_a_matcher_that_cannot_be_is_explained(
    page: Browser, client: Client, name: str, text: str, told: str
) -> None:
    page.type(f"#fault input[name={name}]", text)
    page.click("#add")
    page.wait_for(f"document.querySelector('#message').textContent.includes('{told}')")
    assert client.fake.faults.plan.rules == ()


@needs_browser
def test_a_fault_that_cannot_be_is_explained(page: Browser, client: Client) -> None:
    page.run("document.querySelector('input[name=code]').value = '99'")
    page.click("#add")
    page.wait_for("document.querySelector('#message').textContent.includes('at least 200')")
    assert client.fake.faults.plan.rules == ()


@needs_browser
def test_clock_and_reset(page: Browser, client: Client) -> None:
    before = client.fake.clock()
    page.click("#forward")
    page.wait_for("!document.querySelector('#clock').textContent.includes('no answer')")
    assert client.fake.clock() >= before + 3600
    page.run("window.confirm = () => true; document.querySelector('#reset').click()")
    page.wait_for("!document.querySelector('#tree').textContent.includes('f.txt')")
    assert len(client.fake.journal) == 0


@needs_browser
@pytest.mark.parametrize(("name", "width", "height"), [("wide", 1280, 900), ("phone", 500, 900)])
def test_it_fits(page: Browser, name: str, width: int, height: int) -> None:
    page.size(width, height)
    page.wait_for("document.documentElement.scrollWidth <= window.innerWidth")
    if pictures := os.environ.get("FAKEVOSPACE_PICTURES"):
        page.picture(Path(pictures) / f"{name}.png")
    small = "return [...document.querySelectorAll('button, input, select')]"
    assert page.run(f"{small}.every(one => one.getBoundingClientRect().height >= 24)")


def test_it_is_self_contained_and_knows_every_action(client: Client) -> None:
    answer = requests.get(f"{client.url}/_fake/", timeout=20)
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    for word in ("http://", "https://", "//cdn", "@import"):
        assert word not in answer.text
    for name in ACTIONS:
        assert f"{name}: [" in answer.text
    for name in ENDPOINTS:
        assert f'"{name}"' in answer.text


def test_foreign_pages_may_not_ask(client: Client) -> None:
    for method, resource in (("POST", "reset"), ("GET", "journal")):
        headers = {"Origin": "https://elsewhere.test"}
        url = f"{client.url}/_fake/{resource}"
        assert requests.request(method, url, headers=headers, timeout=20).status_code == 403
    assert requests.post(
        f"{client.url}/_fake/clock", headers={"Origin": client.url}, json={"advance": 1}, timeout=20
    ).ok
