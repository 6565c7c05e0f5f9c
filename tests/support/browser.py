"""A headless Chromium, driven by the plain WebDriver protocol; nothing to install but Debian's.

Enough for a page of our own: open it, find elements, type, click, run a script, take a picture.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

DRIVER = shutil.which("chromedriver")
TIMEOUT_S = 60
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--disable-default-apps", "--no-proxy-server",
)  # fmt: skip
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the key that the protocol has for elements


class Browser:
    """One session of one browser."""

    def __init__(self, url: str) -> None:
        self._url = url

    def ask(self, method: str, resource: str, **body: Any) -> Any:
        """Send a command and return its value."""
        data = json.dumps(body).encode() if method == "POST" else None
        request = Request(f"{self._url}{resource}", data, method=method)
        try:
            with urlopen(request, timeout=TIMEOUT_S) as answer:
                return json.load(answer)["value"]
        except HTTPError as error:
            raise AssertionError(error.read().decode()) from None

    def open(self, url: str) -> None:
        """Go to a page."""
        self.ask("POST", "/url", url=url)

    def run(self, script: str, *arguments: Any) -> Any:
        """Run a script in the page and return what it returns."""
        return self.ask("POST", "/execute/sync", script=script, args=list(arguments))

    def element(self, selector: str) -> str:
        """Return the path of the element that a CSS selector finds."""
        found = self.ask("POST", "/element", using="css selector", value=selector)
        return f"/element/{found[ELEMENT]}"

    def click(self, selector: str) -> None:
        """Click on an element."""
        self.ask("POST", f"{self.element(selector)}/click")

    def type(self, selector: str, text: str) -> None:
        """Type into an element."""
        self.ask("POST", f"{self.element(selector)}/value", text=text)

    def text(self, selector: str) -> str:
        """Return what an element shows."""
        return str(self.ask("GET", f"{self.element(selector)}/text"))

    def wait_for(self, script: str) -> None:
        """Wait until an expression of the page is true; the driver itself waits."""
        waiting = (
            "const done = arguments[arguments.length - 1], began = Date.now();"
            f"(function look() {{ if ({script}) done(true);"
            " else if (Date.now() - began > 20000) done(false); else setTimeout(look, 20); })()"
        )
        if not self.ask("POST", "/execute/async", script=waiting, args=[]):
            raise AssertionError(f"never true: {script}; the page: {self.text('body')}")

    def size(self, width: int, height: int) -> None:
        """Make the window so large."""
        self.ask("POST", "/window/rect", width=width, height=height)

    def picture(self, file: Path) -> None:
        """Write what is shown to a PNG file."""
        file.write_bytes(base64.b64decode(self.ask("GET", "/screenshot")))


@contextmanager
def browser(directory: Path) -> Iterator[Browser]:
    """A browser with a profile of its own in `directory`, gone at the end."""
    assert DRIVER is not None
    environment = os.environ | {"HOME": str(directory), "XDG_CONFIG_HOME": str(directory)}
    with subprocess.Popen(
        [DRIVER, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=environment,
    ) as driver:  # fmt: skip
        try:
            yield from _session(_url_of(driver), directory)
        finally:
            driver.terminate()
            driver.wait(TIMEOUT_S)


def _url_of(driver: subprocess.Popen[str]) -> str:
    """Read from the driver's first lines where it listens."""
    assert driver.stdout is not None
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline and (line := driver.stdout.readline()):
        if found := re.search(r"successfully on port (\d+)", line):
            return f"http://127.0.0.1:{found[1]}"
    raise AssertionError("chromedriver does not start")


def _session(url: str, directory: Path) -> Iterator[Browser]:
    options = {"args": [*FLAGS, f"--user-data-dir={directory}/profile"]}
    wanted = {"alwaysMatch": {"goog:chromeOptions": options, "unhandledPromptBehavior": "accept"}}
    made = Browser(url).ask("POST", "/session", capabilities=wanted)
    session = Browser(f"{url}/session/{made['sessionId']}")
    try:
        yield session
    finally:
        session.ask("DELETE", "")
