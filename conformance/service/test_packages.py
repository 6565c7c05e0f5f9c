"""Archives of several nodes (opencadc PackageTest; VOSpace 2.1, section 3.4.5)."""

from __future__ import annotations

import io
import tarfile
import zipfile

import pytest

from conformance.expect import expect_redirect, expect_status
from conformance.wire import Protocol, Service, transfer_document
from conformance.wire.terms import FORMAT, HTTPS_GET, LINK, PACKAGE, PULL

pytestmark = pytest.mark.needs("packages")

TAR, ZIP = "application/x-tar", "application/zip"


def archive(service: Service, kind: str, *paths: str) -> bytes:
    """The archive of these nodes."""
    document = transfer_document(
        [service.nodes.uri(path) for path in paths],
        PULL,
        [Protocol(HTTPS_GET)],
        view=PACKAGE,
        view_parameters={FORMAT: kind},
    )
    answer = service.connection.send("GET", expect_redirect(service.transfers.post(document)))
    return expect_status(answer, 200).content


def files(service: Service, kind: str, *paths: str) -> dict[str, bytes]:
    """The regular files of the archive of these nodes, names without an outer slash."""
    content = archive(service, kind, *paths)
    found: dict[str, bytes] = {}
    if kind == ZIP:
        with zipfile.ZipFile(io.BytesIO(content)) as opened:
            for name in opened.namelist():
                if not name.endswith("/"):
                    found[name.strip("/")] = opened.read(name)
    elif content:
        with tarfile.open(fileobj=io.BytesIO(content)) as opened_tar:
            for member in opened_tar.getmembers():
                file = opened_tar.extractfile(member) if member.isfile() else None
                if file is not None:
                    found[member.name.strip("/")] = file.read()
    return found


def endings(found: dict[str, bytes], *names: str) -> dict[str, bytes]:
    """The content of the one file that ends in each of these names."""
    return {
        name: next(content for path, content in found.items() if path.endswith(name))
        for name in names
    }


@pytest.mark.clause("VOS-CADC-pkg-single", source="opencadc PackageTest.singleFileTargetTest")
def test_one_file(service: Service, container: str) -> None:
    service.make(f"{container}/one.txt", b"content of one")
    for kind in (TAR, ZIP):
        found = files(service, kind, f"{container}/one.txt")
        assert len(found) == 1
        assert endings(found, "one.txt") == {"one.txt": b"content of one"}


@pytest.mark.clause("VOS-CADC-pkg-multiple", source="opencadc PackageTest.multipleTargetTest")
def test_several_targets(service: Service, container: str) -> None:
    for number in ("1", "2"):
        service.make(f"{container}/dir{number}")
        service.make(f"{container}/dir{number}/file{number}.txt", number.encode())
    for kind in (TAR, ZIP):
        found = files(service, kind, f"{container}/dir1", f"{container}/dir2")
        assert len(found) == 2
        assert endings(found, "dir1/file1.txt", "dir2/file2.txt") == {
            "dir1/file1.txt": b"1",
            "dir2/file2.txt": b"2",
        }


@pytest.mark.clause(
    "VOS-3.4.5-package",
    source="VOSpace 2.1 §3.4.5: the contents of the container and all its children; fullTest",
)
def test_a_whole_tree(service: Service, container: str) -> None:
    service.make(f"{container}/top")
    service.make(f"{container}/top/a.bin", bytes(range(256)))
    service.make(f"{container}/top/in")
    service.make(f"{container}/top/in/b.txt", b"b")
    service.make(f"{container}/top/empty")
    for kind in (TAR, ZIP):
        found = files(service, kind, f"{container}/top")
        assert len(found) == 2
        assert endings(found, "top/a.bin", "top/in/b.txt") == {
            "top/a.bin": bytes(range(256)),
            "top/in/b.txt": b"b",
        }
    with tarfile.open(fileobj=io.BytesIO(archive(service, TAR, f"{container}/top"))) as opened:
        assert any(one.isdir() and one.name.endswith("empty") for one in opened.getmembers())


@pytest.mark.clause("VOS-CADC-pkg-empty", source="opencadc PackageTest.emptyTargetTest")
def test_an_empty_container(service: Service, container: str) -> None:
    service.make(f"{container}/empty")
    assert files(service, TAR, f"{container}/empty") == {}


@pytest.mark.clause(
    "VOS-CADC-pkg-missing", source="opencadc PackageTest.targetNotFoundTest: an empty archive, 200"
)
def test_a_missing_target(service: Service, container: str) -> None:
    assert files(service, TAR, f"{container}/missing") == {}


@pytest.mark.clause(
    "VOS-CADC-pkg-permission",
    source="opencadc PackageTest.permissionDeniedTest: an empty archive for who may not read",
)
@pytest.mark.needs("strict", "permissionProps")
def test_what_cannot_be_read_is_left_out(
    service: Service, stranger: Service, open_container: str
) -> None:
    path = f"{open_container}/private"
    service.make(path, properties={"ivo://ivoa.net/vospace/core#ispublic": "false"})
    service.make(f"{path}/data", b"secret")
    assert b"secret" not in archive(stranger, TAR, path)


@pytest.mark.clause(
    "VOS-CADC-pkg-link", source="opencadc PackageTest.inPackageLinkNodeTest: a link inside is kept"
)
def test_a_link_inside_the_package(service: Service, container: str) -> None:
    service.make(f"{container}/top")
    service.make(f"{container}/top/data.txt", b"data")
    service.make_link(f"{container}/top/link", f"{container}/top/data.txt")
    with tarfile.open(fileobj=io.BytesIO(archive(service, TAR, f"{container}/top"))) as opened:
        (link,) = (one for one in opened.getmembers() if one.name.endswith("top/link"))
        assert link.issym() or link.isfile()
        if link.issym():
            assert link.linkname.endswith("data.txt")


@pytest.mark.clause(
    "VOS-CADC-pkg-link-out",
    source="opencadc PackageTest.outOfPackageLinkNodeTest: a link out of the package does no harm",
)
def test_a_link_out_of_the_package(service: Service, container: str) -> None:
    service.make(f"{container}/outside.txt", b"outside")
    service.make(f"{container}/top")
    service.make(f"{container}/top/data.txt", b"data")
    service.make_link(f"{container}/top/link", f"{container}/outside.txt")
    found = files(service, TAR, f"{container}/top")
    assert endings(found, "top/data.txt") == {"top/data.txt": b"data"}


@pytest.mark.clause(
    "VOS-CADC-pkg-link-between",
    source="opencadc PackageTest.linkTargetInDifferentPackageRootTest: a relative link",
)
def test_a_link_between_two_targets(service: Service, container: str) -> None:
    for name in ("one", "two"):
        service.make(f"{container}/{name}")
    service.make(f"{container}/two/data.txt", b"data")
    service.make_link(f"{container}/one/link", f"{container}/two/data.txt")
    content = archive(service, TAR, f"{container}/one", f"{container}/two")
    with tarfile.open(fileobj=io.BytesIO(content)) as opened:
        (link,) = (one for one in opened.getmembers() if one.name.endswith("one/link"))
        assert not link.linkname.startswith("/")
        if link.issym():
            assert link.linkname.endswith("two/data.txt") and ".." in link.linkname


@pytest.mark.clause(
    "VOS-CADC-pkg-link-external",
    source="opencadc PackageTest.externalLinkNodeTest: a link to an external resource is left out",
)
@pytest.mark.needs("linkExternalFile")
def test_an_external_link_is_left_out(service: Service, container: str) -> None:
    service.make(f"{container}/top")
    service.make(f"{container}/top/data.txt", b"data")
    target = "file:///path/to/external/data"
    expect_status(service.nodes.put(f"{container}/top/link", LINK, target=target), 201)
    content = archive(service, TAR, f"{container}/top")
    with tarfile.open(fileobj=io.BytesIO(content)) as opened:
        assert not [one for one in opened.getnames() if one.endswith("top/link")]
