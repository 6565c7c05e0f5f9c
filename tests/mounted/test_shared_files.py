"""Files with more than one user, through the kernel: handles that append, descriptors that were
duplicated, mappings, readers beside a writer.
"""

from __future__ import annotations

import hashlib
import os
import time

from tests.mounted.conftest import Corner
from tests.support.mounted import eventually, pattern, python, shell

MB = 1 << 20
THREE_MB = pattern(3 * MB)


def test_R15_two_appending_handles(corner: Corner) -> None:
    """O_APPEND from two handles: every write goes to the end as it is then."""
    path = corner.put("log", b"start\n")
    one = os.open(path, os.O_WRONLY | os.O_APPEND)
    two = os.open(path, os.O_WRONLY | os.O_APPEND)
    for number in range(20):
        os.write(one if number % 2 else two, b"%d\n" % number)
    os.close(one)
    os.close(two)
    assert corner.get("log") == b"start\n" + b"".join(b"%d\n" % number for number in range(20))


def test_R15_append_after_the_file_grew_on_the_service(corner: Corner) -> None:
    """A file that grew behind our back, seen again after --attr-ttl: appending overwrites
    nothing."""
    path = corner.put("log", b"short\n")
    assert path.read_bytes() == b"short\n"
    corner.put("log", b"much longer than before\n")
    eventually(lambda: path.read_bytes() == b"much longer than before\n")
    shell('echo end >> "$1"', path)
    assert corner.get("log") == b"much longer than before\nend\n"


def test_two_processes_append(corner: Corner) -> None:
    """Two processes appending lines at once: no line is lost or torn."""
    path = corner.put("log", b"")
    shell(
        'for who in a b; do (for n in $(seq 50); do echo "$who$n" >> "$1"; done) & done; wait',
        path,
    )
    lines = path.read_bytes().split()
    assert sorted(lines) == sorted(b"%s%d" % (w, n) for w in (b"a", b"b") for n in range(1, 51))
    eventually(lambda: corner.get("log") == path.read_bytes())


def test_R15_appending_again_and_again_costs_no_second(corner: Corner) -> None:
    """The kernel keeps count of the size while it writes: an open waits for a stale size only when
    somebody else changed the file."""
    path = corner.put("log", b"")
    began = time.monotonic()
    shell('for n in 1 2 3 4 5 6; do echo $n >> "$1"; done', path)
    assert time.monotonic() - began < 2
    assert corner.get("log") == b"1\n2\n3\n4\n5\n6\n"


def test_B15_duplicated_descriptors(corner: Corner) -> None:
    """Every close of a duplicate is a flush: the bytes so far are sent, the rest follows."""
    descriptor = os.open(corner.path / "new", os.O_WRONLY | os.O_CREAT, 0o644)
    os.write(descriptor, b"one")
    os.close(os.dup(descriptor))
    assert corner.get("new") == b"one"
    os.close(os.dup(descriptor))
    os.close(os.dup(descriptor))
    os.write(descriptor, b"two")
    os.close(descriptor)
    assert corner.get("new") == b"onetwo"
    assert corner.fake.journal.count(method="PUT", endpoint="bytes") == 2


MMAP = """
import mmap, os, sys
path, size = sys.argv[1], int(sys.argv[2])
with open(path, "r+b") as file:
    view = mmap.mmap(file.fileno(), 0)
    assert view[:4] == b"\\0\\0\\0\\0", bytes(view[:4])
    view[10:15] = b"mmapd"
    view[size - 5:] = b"ended"
    view.flush()
    view[20:23] = b"two"
    view.close()
"""


def test_R18_mmap_stores_arrive(corner: Corner) -> None:
    """A shared writable mapping: its stores are on the service after the file is closed."""
    size = 2 * MB
    path = corner.put("mapped", bytes(size))
    python(MMAP, path, str(size))
    expected = bytearray(size)
    expected[10:15], expected[20:23], expected[-5:] = b"mmapd", b"two", b"ended"
    assert path.read_bytes() == expected
    corner.eventually_holds("mapped", bytes(expected))


MMAP_LATE = """
import mmap, os, sys
file = os.open(sys.argv[1], os.O_RDWR)
view = mmap.mmap(file, 0)
os.close(file)
view[5:9] = b"late"
view.close()
"""


def test_R18_mmap_stores_after_the_close_arrive(corner: Corner) -> None:
    """Stores into a mapping come after the last FLUSH of the descriptor: release sends them."""
    path = corner.put("mapped", bytes(8192))
    python(MMAP_LATE, path)
    corner.eventually_holds("mapped", bytes(5) + b"late" + bytes(8183))


def test_a_private_mapping_reads(corner: Corner) -> None:
    """A read-only mapping, as astropy and the linker make them."""
    path = corner.put("mapped", THREE_MB)
    script = (
        "import mmap,sys,hashlib;f=open(sys.argv[1],'rb');"
        "m=mmap.mmap(f.fileno(),0,access=mmap.ACCESS_READ);print(hashlib.md5(m).hexdigest())"
    )
    assert python(script, path).strip() == hashlib.md5(THREE_MB).hexdigest()


def test_a_writer_and_a_reader_at_once(corner: Corner) -> None:
    """A second open sees the first one's bytes and size before they are sent."""
    with open(corner.path / "new", "wb", buffering=0) as writer:
        writer.write(b"first")
        with open(corner.path / "new", "rb") as reader:
            assert reader.read() == b"first"
            writer.write(b" second")
            assert os.fstat(reader.fileno()).st_size == 12
            assert reader.read() == b" second"
