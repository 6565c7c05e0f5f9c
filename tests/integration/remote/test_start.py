"""Finding a service, and saying in one line why it cannot be found; needs sockets."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.integration.remote.conftest import Open
from vofs.core.errors import (
    NotAuthenticated,
    NotSupported,
    RemoteError,
    RemoteTimeout,
    RemoteUnavailable,
)
from vofs.core.uris import parse_vospace
from vofs.remote.credentials import Anonymous, Token
from vofs.remote.vosclient import VosRemote


@pytest.fixture
def registry_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    cache = tmp_path / "registry"
    monkeypatch.setattr("cadcutils.net.ws.CACHE_LOCATION", str(cache))
    return cache


def one_line(error: BaseException) -> str:
    assert "\n" not in str(error)
    return str(error)


def test_a_registry_that_is_not_there(
    registry_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOSPACE_WEBSERVICE", "no-such-host.invalid")
    with pytest.raises(RemoteUnavailable) as caught:
        VosRemote(parse_vospace("vault:"), Anonymous(), timeout_s=20)
    assert "no-such-host.invalid" in one_line(caught.value)


def test_a_registry_that_says_nothing(
    registry_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """vos asks it without a timeout."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setenv("VOSPACE_WEBSERVICE", f"127.0.0.1:{listener.getsockname()[1]}")
        with pytest.raises(RemoteTimeout) as caught:
            VosRemote(parse_vospace("vault:"), Anonymous(), timeout_s=0.3)
    one_line(caught.value)


def test_a_service_that_the_registry_does_not_know(open_stage: Open) -> None:
    open_stage("vault")
    with pytest.raises(NotSupported) as caught:
        VosRemote(parse_vospace("nowhere:"), Anonymous())
    assert "knows no service ivo://cadc.nrc.ca/nowhere" in one_line(caught.value)


def test_a_wrong_token_is_told_at_the_first_request(open_stage: Open) -> None:
    stage = open_stage("vault", credential=Token("wrong"), tokens=["jane:right"])
    with pytest.raises(NotAuthenticated):
        stage.remote.get_node("/")


def test_a_right_token_works_for_everything(open_stage: Open) -> None:
    stage = open_stage("vault", credential=Token("right"), tokens=["jane:right"])
    stage.remote.put_bytes("/f", [b"12345"], 5)
    assert stage.remote.get_node("/f").length == 5
    users = {entry.user for entry in stage.fake.journal if entry.endpoint == "nodes"}
    assert users == {"jane"}


def test_anonymous_is_read_only(open_stage: Open) -> None:
    stage = open_stage("cavern", credential=Anonymous())
    assert not stage.remote.capabilities.writable
    assert stage.remote.capabilities.identity.endswith("|anonymous")
    assert list(stage.remote.list_children("/")) == []


def test_a_service_that_is_gone(open_stage: Open) -> None:
    stage = open_stage("vault")
    service = stage.remote
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    job = f"http://127.0.0.1:{port}/vault/transfers/1"
    with pytest.raises(RemoteUnavailable) as caught:
        service.run_move(job, 1.0)
    assert not caught.value.sent  # refused: it never left
    assert "refused" in one_line(caught.value)
    assert isinstance(caught.value, RemoteError)


# cadcutils switches this warning off when it is imported; pytest switches it on again.
@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
@pytest.mark.parametrize("insecure", [False, True])
def test_a_service_with_a_certificate_of_its_own_authority(
    open_stage: Open, insecure: bool
) -> None:
    stage = open_stage("vault", tls=True, insecure=insecure, trusting=not insecure)
    stage.remote.put_bytes("/f", [b"12345"], 5)
    assert stage.url.startswith("https://")
    assert stage.fake.get("f") == b"12345"


def test_a_certificate_that_is_not_trusted(open_stage: Open) -> None:
    with pytest.raises(RemoteUnavailable) as caught:
        open_stage("vault", tls=True, trusting=False)
    assert "--ca-file" in one_line(caught.value)
