"""The front in process: the same service, without a socket."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from fakevospace import FakeVOSpace, Hang, Reset, Rule, Status
from fakevospace.faultboard import FaultNotPossible
from fakevospace.faults import Cut, Delay, LateCleanup, MalformedXml, WrongLength

REPOSITORY = Path(__file__).resolve().parents[3]
PERSONALITIES = ["vault", "cavern", "datalab", "spec"]
TIMEOUT_S = 20

# Runs in a process of its own, where an audit hook sees every socket that is made.
WHOLE_JOB = """
import sys
import urllib3  # tries at its import, with a socket of its own, whether there is IPv6
made = []
sys.addaudithook(lambda event, args: made.append(event) if event.startswith("socket.") else None)
{early}
import os
from fakevospace import FakeVOSpace
with FakeVOSpace({personality!r}, sample=True) as fake, fake.in_process() as front:
    from vos import Client
    client, root = Client(), front.vospace
    open(os.environ["HOME"] + "/small", "wb").write(b"0123456789")
    open(os.environ["HOME"] + "/big", "wb").write(os.urandom(1 << 20) * 6)
    client.mkdir(root + "d")
    client.copy(os.environ["HOME"] + "/small", root + "d/small")
    client.copy(os.environ["HOME"] + "/big", root + "d/big")
    assert fake.get("d/small") == b"0123456789"
    assert sorted(client.listdir(root + "d")) == ["big", "small"]
    client.copy(root + "d/big", os.environ["HOME"] + "/back")
    assert open(os.environ["HOME"] + "/back", "rb").read() == fake.get("d/big")
    client.move(root + "d/small", root + "moved")
    client.delete(root + "moved")
    assert client.isdir(root + "d") and not client.access(root + "moved")
    fake.journal.assert_count(2, method="PUT", endpoint="bytes", status=201)
assert not os.path.exists(front.home) and os.environ["HOME"] == {home!r}
assert not os.path.exists({home!r} + "/.config"), "the real HOME was written to"
assert made == [], made
print("done")
"""


@pytest.mark.parametrize("personality", ["vault", "cavern"])
@pytest.mark.parametrize("early", ["", "import vos"])
def test_unmodified_vos_does_its_whole_job_without_a_socket(
    personality: str, early: str, tmp_path: Path
) -> None:
    script = WHOLE_JOB.format(personality=personality, early=early, home=str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY), "HOME": str(tmp_path)},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.stdout.endswith("done\n"), done.stderr


@pytest.mark.parametrize("personality", PERSONALITIES)
def test_both_fronts_show_one_state(personality: str) -> None:
    with FakeVOSpace(personality) as fake, fake.in_process() as front:
        fake.put("f", b"data")
        service = fake.personality.service
        here = requests.get(f"{front.url}/{service}/nodes/f", timeout=TIMEOUT_S)
        assert here.status_code == 200 and here.headers["Content-Type"].startswith("text/xml")
        fake.journal.assert_lines([f"GET /{service}/nodes/f -> 200"])
    with fake.serve() as served, requests.Session() as session:
        there = session.get(f"{served.url}/{service}/nodes/f", timeout=TIMEOUT_S)
        assert there.content == here.content


class Md5File:
    """What vos sends: `read` and a length, and nothing else."""

    def __init__(self, data: bytes) -> None:
        self._stream, self._length = io.BytesIO(data), len(data)

    def read(self, size: int = -1) -> bytes:
        """Read like a file."""
        return self._stream.read(size)

    def __len__(self) -> int:
        return self._length


@pytest.mark.parametrize(
    "data", [b"bytes", Md5File(b"bytes"), io.BytesIO(b"bytes"), "bytes", iter([b"by", b"tes"])],
    ids=["bytes", "md5file", "file", "text", "iterator"],
)  # fmt: skip
def test_bodies_of_every_kind(data: object) -> None:
    with FakeVOSpace("cavern") as fake, fake.in_process() as front:
        url = f"{front.url}/arc/files/f"
        answer = requests.put(url, data=data, timeout=TIMEOUT_S)  # type: ignore[arg-type]
        assert (answer.status_code, fake.get("f")) == (201, b"bytes")
        assert answer.headers["Digest"].startswith("md5=")
        assert requests.get(url, timeout=TIMEOUT_S).content == b"bytes"
        head = requests.head(url, timeout=TIMEOUT_S)
        assert (head.headers["Content-Length"], head.content) == ("5", b"")
        entry = fake.journal.entries(method="PUT")[0]
        assert (entry.bytes_in, entry.duration_s is not None) == (5, True)


def test_redirects_ranges_and_two_headers_of_one_name() -> None:
    with FakeVOSpace("vault", tokens=["ann:secret"]) as fake, fake.in_process() as front:
        fake.put("f", b"0123456789")
        headers = {"Authorization": "Bearer secret", "Range": "bytes=2-4"}
        answer = requests.get(f"{front.url}/vault/files/f", headers=headers, timeout=TIMEOUT_S)
        assert (answer.status_code, answer.content) == (206, b"234")
        refused = requests.get(
            f"{front.url}/vault/nodes", headers={"Authorization": "Bearer x"}, timeout=TIMEOUT_S
        )
        assert refused.status_code == 401 and "ivoa" in refused.headers["WWW-Authenticate"]


def test_other_hosts_do_not_answer_and_the_version_check_is_known_by_its_path() -> None:
    with FakeVOSpace() as fake, fake.in_process():
        with pytest.raises(requests.ConnectionError):
            requests.get("https://elsewhere.test/vault/nodes", timeout=TIMEOUT_S)
        known = requests.get("https://index.test/pypi/vos/json", timeout=TIMEOUT_S)
        assert known.json() == {"releases": {}}
        fake.journal.assert_lines([])


def test_control_is_there_too() -> None:
    with FakeVOSpace() as fake, fake.in_process() as front:
        plan = '{"rule": [{"action": "status", "code": 503, "retry_after": 2}]}'
        made = requests.post(f"{front.url}/_fake/faults", data=plan, timeout=TIMEOUT_S)
        assert made.status_code == 201
        answer = requests.get(f"{front.url}/vault/nodes", timeout=TIMEOUT_S)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
        refused = requests.post(
            f"{front.url}/_fake/faults", data='[{"action": "hang"}]', timeout=TIMEOUT_S
        )
        assert refused.status_code == 400 and "needs a connection" in refused.text
        fake.journal.assert_count(1)


@pytest.mark.parametrize("action", [Hang(), Reset(), Cut(), WrongLength(), LateCleanup()])
def test_faults_that_need_a_connection_are_refused(action: Hang) -> None:
    with FakeVOSpace() as fake:
        with fake.in_process(), pytest.raises(FaultNotPossible, match=r"serve\(\)"):
            fake.faults.add(Rule(action))
        fake.faults.add(Rule(action))  # outside it may be had again
        with pytest.raises(FaultNotPossible), fake.in_process():
            pass


def test_faults_that_need_a_connection_strike_only_there_while_both_fronts_are_open() -> None:
    with FakeVOSpace() as fake, fake.serve(), fake.in_process() as front:
        fake.faults.add(Rule(Reset(), times=1))
        with pytest.raises(FaultNotPossible):
            requests.get(f"{front.url}/vault/nodes", timeout=TIMEOUT_S)
        assert requests.get(f"{front.url}/vault/nodes", timeout=TIMEOUT_S).status_code == 200


def test_faults_that_can_be_had() -> None:
    with FakeVOSpace() as fake, fake.in_process() as front:
        fake.faults.add(Rule(Delay(0.01)), Rule(Status(503)), Rule(MalformedXml()))
        assert requests.get(f"{front.url}/vault/nodes", timeout=TIMEOUT_S).status_code == 200
