"""Packages: several nodes as one tar or zip file (cavern; PackageTest in service-tests.md)."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile

import pytest

from .conftest import CORE, VOS, Client, MakeClient

TAR, ZIP = "application/x-tar", "application/zip"
VIEW = "vos://cadc.nrc.ca~vospace/CADC/std/Pkg-1.0"
Contents = dict[str, bytes | str | None]  # name -> bytes of a file, target of a link, None


def document(client: Client, targets: list[str], mimetype: str) -> bytes:
    listed = "".join(f"<target>{client.uri(path)}</target>" for path in targets)
    param = f'<param uri="{CORE}format">{mimetype}</param>' if mimetype else ""
    return (
        f'<transfer xmlns="{VOS}" version="2.1">{listed}<direction>pullFromVoSpace</direction>'
        f'<view uri="{VIEW}">{param}</view><protocol uri="{CORE}httpsget"/></transfer>'
    ).encode()


def package(client: Client, targets: list[str], mimetype: str = TAR) -> Contents:
    answer = client.call("POST", "synctrans", data=document(client, targets, mimetype))
    assert answer.status_code == 303
    run = answer.headers["Location"]
    assert f"/{client.service}/pkg/" in run and run.endswith("/run")
    answer = client.call("GET", run)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, mimetype or TAR)
    suffix = ".zip" if mimetype == ZIP else ".tar"
    assert answer.headers["Content-Disposition"].endswith(f'{suffix}"')
    return of_zip(answer.content) if mimetype == ZIP else of_tar(answer.content)


def of_tar(data: bytes) -> Contents:
    found: Contents = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for one in archive:
            file = archive.extractfile(one) if one.isfile() else None
            found[one.name] = file.read() if file else one.linkname or None
    return found


def of_zip(data: bytes) -> Contents:
    found: Contents = {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        for one in archive.infolist():
            content = archive.read(one)
            link = stat.S_ISLNK(one.external_attr >> 16)
            name = one.filename.rstrip("/")
            found[name] = None if one.is_dir() else content.decode() if link else content
    return found


def link(client: Client, path: str, target: str) -> None:
    body = client.node(path, "LinkNode", target=target)
    assert client.call("PUT", f"nodes/{path}", data=body).status_code == 201


@pytest.fixture
def tree(cavern: Client) -> Client:
    """A nested tree, an empty container in it."""
    for path in ("r/dir1/sub", "r/dir2", "r/empty"):
        cavern.fake.mkdir(path)
    for path in ("r/dir1/f1", "r/dir1/sub/f2", "r/dir2/f3"):
        cavern.fake.put(path, path.encode())
    cavern.fake.put("r/dir2/nothing", b"")
    return cavern


@pytest.mark.parametrize("mimetype", [TAR, ZIP])
def test_a_single_file(tree: Client, mimetype: str) -> None:
    assert package(tree, ["r/dir1/f1"], mimetype) == {"f1": b"r/dir1/f1"}


@pytest.mark.parametrize("mimetype", [TAR, ZIP])
def test_a_whole_tree(tree: Client, mimetype: str) -> None:
    assert package(tree, ["r"], mimetype) == {
        "r": None,
        "r/dir1": None,
        "r/dir1/f1": b"r/dir1/f1",
        "r/dir1/sub": None,
        "r/dir1/sub/f2": b"r/dir1/sub/f2",
        "r/dir2": None,
        "r/dir2/f3": b"r/dir2/f3",
        "r/dir2/nothing": b"",
        "r/empty": None,
    }


@pytest.mark.parametrize("mimetype", [TAR, ZIP])
def test_several_targets_and_links_between_them(tree: Client, mimetype: str) -> None:
    link(tree, "r/dir1/sub/across", tree.uri("r/dir2/f3"))
    link(tree, "r/dir1/inside", tree.uri("r/dir1/f1"))
    link(tree, "r/dir1/outside", tree.uri("r/empty"))
    link(tree, "r/dir1/external", "file:///etc/hostname")
    found = package(tree, ["r/dir1", "r/dir2"], mimetype)
    assert found["dir1/sub/across"] == "../../dir2/f3"
    assert found["dir1/inside"] == "f1"
    assert not {"dir1/outside", "dir1/external"} & set(found)
    assert (found["dir1/f1"], found["dir2/f3"]) == (b"r/dir1/f1", b"r/dir2/f3")


def test_what_is_missing_is_left_out(tree: Client) -> None:
    assert package(tree, ["none"]) == {}
    assert package(tree, ["none", "r/empty"], ZIP) == {"empty": None}


def test_the_default_is_tar(tree: Client) -> None:
    assert package(tree, ["r/dir1/f1"], "") == {"f1": b"r/dir1/f1"}


def test_what_may_not_be_read_is_left_out(make: MakeClient) -> None:
    client = make("cavern", tokens=["ann:a"])
    client.fake.mkdir("d/private")
    client.fake.put("d/private/f", b"x")
    client.fake.put("d/secret", b"x")
    assert package(client, ["d"]) == {"d": None}
    client.fake.set_property("d", CORE + "ispublic", "true")
    assert package(client, ["d"]) == {"d": None, "d/private": None}


def test_a_big_file_on_disk(make: MakeClient, tmp_path_factory: pytest.TempPathFactory) -> None:
    client = make("cavern", data=tmp_path_factory.mktemp("data"))
    data = bytes(range(256)) * 12_000
    client.fake.put("big", data)
    for mimetype in (TAR, ZIP):
        assert package(client, ["big"], mimetype) == {"big": data}


def test_a_package_is_a_job_that_runs_once(tree: Client) -> None:
    answer = tree.call("POST", "synctrans", data=document(tree, ["r"], TAR))
    run = answer.headers["Location"]
    job = run.replace("/pkg/", "/transfers/").removesuffix("/run")
    assert tree.call("GET", f"{job}/phase").text == "SUSPENDED"
    assert tree.call("GET", run).status_code == 200
    assert tree.call("GET", f"{job}/phase").text == "COMPLETED"
    assert tree.call("GET", run).status_code == 400


def test_what_is_refused(tree: Client, vault: Client) -> None:
    answer = tree.call("POST", "synctrans", data=document(tree, ["r"], "application/x-rar"))
    assert tree.call("GET", answer.headers["Location"]).status_code == 400
    pushed = document(tree, ["r"], TAR).replace(b"pullFrom", b"pushTo")
    assert tree.call("POST", "synctrans", data=pushed).status_code == 400
    assert tree.call("GET", "pkg/none/run").status_code == 404
    assert tree.call("POST", "pkg/none/run").status_code == 405
    vault.fake.put("f", b"x")
    answer = vault.call("POST", "synctrans", data=document(vault, ["f"], TAR))
    job = answer.headers["Location"].removesuffix("/results/transferDetails")
    assert vault.call("GET", f"{job}/error").text.startswith("ViewNotSupported")
