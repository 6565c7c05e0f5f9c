"""The suite finds defects: each deliberate one of the fake service turns a run red.

A mutant is the fake with one piece replaced: another value of its personality, a subclass of its
rules, or a wrapper that changes requests or answers. The fake itself is not touched. Only the
clauses about the defect are run, and the same clauses pass on the fake as it is.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fakevospace.access import Caller, Users
from fakevospace.nodes import Node, NodeDraft
from fakevospace.personalities import VAULT
from fakevospace.personality import Personality
from fakevospace.properties import INHERIT
from fakevospace.server import Server
from fakevospace.service import Service
from fakevospace.space import Space
from fakevospace.state import State

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

GROUP = "ivo://cadc.nrc.ca/gms?mutants"
Headers = list[tuple[str, str]]


class Overwriting(Space):
    """A move replaces the data node that is in the way."""

    def move(self, source_path: str, destination_path: str, caller: Caller) -> Node:
        in_the_way = self.tree.at(destination_path)
        if in_the_way is not None and in_the_way.kind.holds_bytes:
            self.tree.discard(in_the_way)
        return super().move(source_path, destination_path, caller)


class Replacing(Space):
    """Setting a property replaces all."""

    def update(self, path: str, draft: NodeDraft, caller: Caller) -> Node:
        node = self.resolve(path, caller)
        node.properties = {}
        return super().update(path, draft, caller)


class Disinheriting(Space):
    """inheritPermissions is ignored."""

    def create(self, path: str, draft: NodeDraft, caller: Caller) -> Node:
        parent = self.container_for(path, caller)
        asked = parent.properties.pop(INHERIT, None)
        try:
            return super().create(path, draft, caller)
        finally:
            if asked is not None:
                parent.properties[INHERIT] = asked


class Altered(Service):
    """A service whose requests and answers pass through other hands."""

    def __init__(self, state: State) -> None:
        super().__init__(state)
        self.state = state

    def on_request(self, environ: WSGIEnvironment) -> None:
        """Change a request."""

    def on_answer(self, environ: WSGIEnvironment, status: str, headers: Headers) -> str:
        """Change the headers of an answer; returns its status."""
        return status

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        self.on_request(environ)

        def start(status: str, headers: Headers, _: Any = None) -> Any:
            return start_response(self.on_answer(environ, status, headers), headers)

        return super().__call__(environ, start)


class OffByOne(Altered):
    """A Range begins one byte late."""

    def on_request(self, environ: WSGIEnvironment) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", environ.get("HTTP_RANGE", ""))
        if asked:
            environ["HTTP_RANGE"] = f"bytes={int(asked[1]) + 1}-{asked[2]}"


class WithoutContentRange(Altered):
    """206 does not say which part it is."""

    def on_answer(self, environ: WSGIEnvironment, status: str, headers: Headers) -> str:
        headers[:] = [pair for pair in headers if pair[0] != "Content-Range"]
        return status


class ExclusivePages(Altered):
    """A page begins after the node that uri names."""

    def on_request(self, environ: WSGIEnvironment) -> None:
        for key in ("QUERY_STRING", "RAW_URI"):
            # "child3 " comes right after "child3".
            environ[key] = re.sub(r"([?&]|^)(uri=[^&]+)", r"\1\2%2520", environ[key])


class DigestDeaf(Altered):
    """A wrong Digest is accepted."""

    def on_request(self, environ: WSGIEnvironment) -> None:
        environ.pop("HTTP_DIGEST", None)


class NothingMissing(Altered):
    """A missing node is answered with 200."""

    def on_answer(self, environ: WSGIEnvironment, status: str, headers: Headers) -> str:
        missing = status.startswith("404") and environ["REQUEST_METHOD"] == "GET"
        return "200 OK" if missing and "/nodes/" in environ["RAW_URI"] else status


class StaleMd5(Altered):
    """A second PUT leaves the MD5 of the first."""

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] != "PUT" or "/files/" not in environ["RAW_URI"]:
            return super().__call__(environ, start_response)
        before = {node: node.md5 for node in self.nodes(self.state.tree.root)}
        body = super().__call__(environ, start_response)
        for node, md5 in before.items():
            node.md5 = md5 or node.md5
        return body

    def nodes(self, node: Node) -> Iterator[Node]:
        """The node and all below it."""
        yield node
        for child in node.children:
            yield from self.nodes(child)


@dataclass(frozen=True)
class Mutant:
    """One deliberate defect, and the clauses about it."""

    name: str
    clauses: tuple[str, ...]
    personality: Personality = VAULT
    space: type[Space] = Space
    service: Callable[[State], Service] = Service


MUTANTS = (
    Mutant("range off by one", ("VOS-6.4.3-range*",), service=OffByOne),
    Mutant("206 without Content-Range", ("VOS-6.4.3-range*",), service=WithoutContentRange),
    Mutant(
        "DELETE of a container that is not empty succeeds",
        ("VOS-CADC-delete-not-empty",),
        personality=replace(VAULT, recursive_delete=True),
    ),
    Mutant("uri paging exclusive", ("VOS-6.3.1-uri-*", "VOS-6.3.1-page*"), service=ExclusivePages),
    Mutant("lock ignored", ("VOS-CADC-lock-*",), personality=replace(VAULT, locks=False)),
    Mutant("MD5 stale", ("VOS-6.4.1-md5", "VOS-CADC-files-md5*"), service=StaleMd5),
    Mutant("move overwrites", ("VOS-6.2.2-duplicate*",), space=Overwriting),
    Mutant("wrong Digest accepted", ("VOS-CADC-wrong-digest*",), service=DigestDeaf),
    Mutant("setting a property replaces all", ("VOS-6.3.2-*property",), space=Replacing),
    Mutant("inheritPermissions ignored", ("VOS-CADC-inherited*",), space=Disinheriting),
    Mutant("missing is 200", ("VOS-6.3.1-missing", "VOS-6.2.4-gone"), service=NothingMissing),
    Mutant(
        "a job never waits as PENDING",
        ("VOS-6.4-pending", "VOS-6.4-abort"),
        personality=replace(VAULT, moves_at_post=True),
    ),
    Mutant(
        "links are not followed",
        ("VOS-CADC-link-in-path",),
        personality=replace(VAULT, follows_links=False),
    ),
)


@contextmanager
def served(mutant: Mutant) -> Iterator[str]:
    """The URL of the mutant."""
    users = Users(("ann:first", "bob:second"), groups={GROUP: ["bob"]})
    state = State(mutant.personality, data=None, clock=time.time, users=users, page_cap=0, rules=())
    state.space = mutant.space(state.personality, state.tree, users.groups)
    server = Server(mutant.service(state))
    server.start()
    try:
        yield f"{server.url}/{state.personality.service}"
    finally:
        server.close()
        state.close()


def judge(url: str, clauses: Iterable[str], scratch: Path) -> subprocess.CompletedProcess[str]:
    """Run these clauses against a service, with vault's profile."""
    second = scratch / "second"
    second.write_text("second")
    command = [sys.executable, "-m", "conformance", "service", "--target", url]
    command += ["--profile", "vault", "--other-token-file", str(second), "--group", GROUP]
    command += [word for clause in clauses for word in ("--only", clause)]
    environment = os.environ | {"VOSPACE_TOKEN": "first"}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env=environment
    )


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "-"))
def test_a_mutant_turns_the_suite_red(mutant: Mutant, tmp_path: Path) -> None:
    with served(mutant) as url:
        done = judge(url, mutant.clauses, tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "fails: VOS-" in done.stdout or "unexpected-pass: VOS-" in done.stdout


def test_without_a_defect_the_same_clauses_are_as_expected(tmp_path: Path) -> None:
    clauses = dict.fromkeys(clause for mutant in MUTANTS for clause in mutant.clauses)
    with served(Mutant("none", tuple(clauses))) as url:
        done = judge(url, clauses, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
