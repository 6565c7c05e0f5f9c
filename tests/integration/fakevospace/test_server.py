"""The server under load: many connections, large bodies, TLS."""

from __future__ import annotations

import hashlib
import http.client
import os
import resource
import ssl
import threading
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from fakevospace import FakeVOSpace, Hang, Rule
from fakevospace.sample import sample_files

from .conftest import Client, MakeClient


def test_32_connections_at_once(both: Client) -> None:
    payloads = {f"f{n}": os.urandom(1000 + n) for n in range(32)}
    failed: list[str] = []
    start = threading.Barrier(32)

    def work(name: str) -> None:
        client = Client(both.fake, both.url)
        with client.session:
            start.wait(20)
            for _ in range(3):
                client.upload(name, payloads[name])
                url = client.endpoints(name, "pullFromVoSpace")[0]
                if client.call("GET", url).content != payloads[name]:
                    failed.append(name)

    threads = [threading.Thread(target=work, args=(name,)) for name in payloads]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []
    assert both.fake.journal.count(method="PUT", endpoint="bytes", status=201) == 96


def test_hung_requests_do_not_stop_the_others(both: Client) -> None:
    both.fake.faults.add(Rule(Hang(), path="/slow"))
    parts = urlsplit(both.url)
    slow = [http.client.HTTPConnection(parts.hostname or "", parts.port) for _ in range(32)]
    for connection in slow:
        connection.request("GET", f"/{both.service}/nodes/slow")
    both.fake.journal.wait_for(32, path="/slow")
    assert both.call("GET", "nodes").status_code == 200
    both.fake.faults.clear()
    for connection in slow:
        assert connection.getresponse().status == 404
        connection.close()


def test_serving_ends_while_requests_hang(both: Client) -> None:
    both.fake.faults.add(Rule(Hang()))
    parts = urlsplit(both.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
    connection.request("GET", f"/{both.service}/nodes")
    both.fake.journal.wait_for(1)
    connection.close()  # the fixture ends the server; a test that left a thread would fail


def test_large_bodies_are_streamed(make: MakeClient, tmp_path: Path) -> None:
    """64 MiB up and down with --data raise the peak of the process by much less."""
    client = make("vault", data=tmp_path / "data")
    block, blocks = os.urandom(1 << 20), 64
    url = urlsplit(client.endpoints("f", "pushToVoSpace")[0])
    connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=60)
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    headers = {"Content-Length": str(blocks << 20)}
    connection.request("PUT", url.path, (block for _ in range(blocks)), headers)
    stored = connection.getresponse()
    assert (stored.status, stored.read()) == (201, b"")
    down = urlsplit(client.endpoints("f", "pullFromVoSpace")[0])
    connection.request("GET", down.path)
    answer, md5 = connection.getresponse(), hashlib.md5()
    while part := answer.read(1 << 20):
        md5.update(part)
    connection.close()
    assert answer.headers["Content-Length"] == str(blocks << 20)
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib
    assert grown_kib < 32 * 1024
    expected = hashlib.md5()
    for _ in range(blocks):
        expected.update(block)
    assert md5.digest() == expected.digest()


def test_tls_with_its_own_authority() -> None:
    with FakeVOSpace(sample=True) as fake, fake.serve(tls=True) as served:
        assert served.url.startswith("https://") and served.certificate_authority is not None
        context = ssl.create_default_context(cadata=served.certificate_authority.decode())
        parts = urlsplit(served.url)
        connection = http.client.HTTPSConnection(
            parts.hostname or "", parts.port, context=context, timeout=10
        )
        connection.request("GET", "/vault/nodes/sample?limit=0")
        assert connection.getresponse().read().startswith(b"<?xml")
        connection.close()


def test_plain_http_to_a_tls_port_hurts_nobody() -> None:
    with FakeVOSpace() as fake, fake.serve(tls=True) as served:
        parts = urlsplit(served.url)
        plain = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
        plain.request("GET", "/")
        with pytest.raises((http.client.HTTPException, OSError)):
            plain.getresponse()
        plain.close()


def test_sample_files_are_fits(tmp_path: Path) -> None:
    for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME"):  # astropy warns when they are missing
        Path(os.environ[name]).mkdir(parents=True, exist_ok=True)
    fits = pytest.importorskip("astropy.io.fits")
    assert sample_files() == sample_files()
    counts = {}
    for name, data in sample_files().items():
        (tmp_path / name).write_bytes(data)
        with fits.open(tmp_path / name) as hdus:
            hdus.verify("exception")
            counts[name] = [hdu.data is not None and hdu.data.std() > 10 for hdu in hdus]
    assert counts == {"starfield.fits": [True], "mosaic.fits": [False, True, True, True]}


def test_journal_knows_how_much_was_sent_before_the_client_left(
    make: MakeClient, tmp_path: Path
) -> None:
    client = make("vault", data=tmp_path / "data")
    client.fake.put("f", bytes(64 << 20))
    url = urlsplit(client.endpoints("f", "pullFromVoSpace")[0])
    connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=20)
    connection.request("GET", url.path)
    answer = connection.getresponse()
    assert len(answer.read(1 << 20)) == 1 << 20
    answer.close()
    connection.close()
    client.fake.journal.wait_for(method="GET", endpoint="bytes", ended=True)
    entry = client.fake.journal.entries(method="GET", endpoint="bytes")[0]
    assert 1 << 20 <= entry.bytes_out < 64 << 20


def test_file_deleted_while_it_is_written(both: Client) -> None:
    both.fake.put("f", b"before")
    url = urlsplit(both.endpoints("f", "pushToVoSpace")[0])
    both.fake.faults.add(Rule(Hang(after_bytes=2), method="PUT"))
    connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=20)
    connection.request("PUT", url.path, b"after")
    both.fake.faults.wait_until_hanging()
    assert both.call("DELETE", "nodes/f").status_code == 200
    both.fake.faults.clear()
    assert connection.getresponse().status == (201 if both.service == "vault" else 404)
    connection.close()
    assert both.call("GET", "nodes/f").status_code == 404
