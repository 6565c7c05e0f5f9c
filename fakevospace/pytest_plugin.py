"""The pytest plugin: a VOSpace per test, in process (`vospace`) or served (`vospace_server`).

Both are new for each test and take their options from a marker:

    @pytest.mark.vospace(personality="cavern", sample=True, tokens=["ann:secret"])

The marker's arguments are those of `FakeVOSpace`; `tls` is that of `FakeVOSpace.serve`.  Loading
the plugin imports nothing but pytest: a project that does not use it pays nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from fakevospace.fake import FakeVOSpace
    from fakevospace.fronts import InProcessFake, ServedFake

MARKER = (
    "vospace(personality, sample, tokens, ...): options of the fixtures vospace and vospace_server,"
    " as FakeVOSpace takes them"
)


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", MARKER)


def _options(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return the options of the markers of a test; the nearest one wins."""
    options: dict[str, Any] = {}
    for marker in request.node.iter_markers("vospace"):
        if marker.args:
            raise pytest.UsageError("vospace: options are given by name")
        options = {**marker.kwargs, **options}
    return options


def _new(options: dict[str, Any]) -> FakeVOSpace:
    from fakevospace.fake import FakeVOSpace  # only for tests that use it

    return FakeVOSpace(**options)


@pytest.fixture
def vospace_front(request: pytest.FixtureRequest) -> Iterator[InProcessFake]:
    """A VOSpace in process, with its `url`, `vospace` (short name) and `fake`."""
    options = _options(request)
    options.pop("tls", None)
    with _new(options) as fake, fake.in_process() as front:
        yield front


@pytest.fixture
def vospace(vospace_front: InProcessFake) -> FakeVOSpace:
    """A VOSpace in process: `vos.Client()` and `requests` reach it, without any socket."""
    return vospace_front.fake


@pytest.fixture
def vospace_server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServedFake]:
    """A VOSpace on a port of the loopback interface: `url`, `vospace`, `fake`, `environment`."""
    options = _options(request)
    tls = options.pop("tls", False)
    with _new(options) as fake, fake.serve(tls=tls) as served:
        yield served
