"""Stages: a served fake for each test that asks, and containers of it that sessions mount."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.brokenuploads import BEFORE, SETTLE_S
from tests.support.sessions import ManualClock, Service, Stage, SystemClock, enter, serving
from vofs.cache.clock import Clock

Open = Callable[..., Stage]


@pytest.fixture
def open_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Make stages, all of one service; each is unmounted at the end."""
    with ExitStack() as stack:
        services: dict[str, Service] = {}
        made: list[Stage] = []

        def open_it(
            personality: str = "vault", clock: Clock | None = None, **settings: Any
        ) -> Stage:
            if personality not in services:
                service = stack.enter_context(serving(personality, tmp_path / personality))
                stack.callback(service.fake.faults.clear)
                services[personality] = service
            service = services[personality]
            enter(service.environment, service.registry_cache, monkeypatch)
            folder = tmp_path / str(len(made))
            folder.mkdir()
            stage = Stage(service, f"/t{len(made)}", folder, clock or SystemClock(), **settings)
            made.append(stage)
            stack.callback(stage.close)
            return stage

        yield open_it


@pytest.fixture(params=["vault", "cavern"])
def stage(request: pytest.FixtureRequest, open_stage: Open) -> Stage:
    """One stage for each personality."""
    return open_stage(request.param)


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands still until the test moves it."""
    return ManualClock()


@pytest.fixture
def vault(open_stage: Open, clock: ManualClock) -> Stage:
    """A service whose nodes may lag, seen by a client that soon asks again."""
    return open_stage("vault", clock, close_wait_s=0.0, attr_ttl_s=1.0, negative_ttl_s=1.0)


@pytest.fixture
def made(open_stage: Open, clock: ManualClock) -> Callable[..., Stage]:
    """Make a stage with the file /f, or without; its clock is the test's."""

    def make(personality: str, *, existed: bool = True) -> Stage:
        stage = open_stage(personality, clock, close_wait_s=0.0, settle_s=SETTLE_S, attr_ttl_s=1.0)
        if existed:
            stage.store("/f", BEFORE)
        return stage

    return make
