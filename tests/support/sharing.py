"""Writes into one file, or reads it, while others do, until the mount dies; a process of its own.

Usage: sharing.py write PATH LEDGER WRITER FIRST CALLS, or sharing.py read PATH LEDGER READER 0
CALLS.  The file consists of slots of 3000 bytes, so that neighbours share pages; writer 0 owns the
even ones, writer 1 the odd ones.  What is written tells, in each 8 bytes, where it belongs and
which write it is of; 0 is what was there at first.  So a byte from a wrong place, or of no write at
all, is seen, also where a read comes in the middle of a write.

Before each write "SLOT NUMBER" goes to the ledger, which lies outside the mount, and "done" after
it; before each read nothing, and "done" after it.  The exit code is 0 when all calls are made (a
number of 0 means for ever) or the mount died, and 1 when anything was wrong: the ledger's last line
says what.  Needs nothing of vofs.
"""

import errno
import os
import random
import struct
import sys
import zlib

DEAD = (errno.ENOTCONN, errno.ECONNABORTED, errno.ESHUTDOWN)
SLOTS, CELLS, CELL = 300, 375, struct.Struct("<IHH")
SLOT = CELLS * CELL.size


def content(slot: int, number: int) -> bytes:
    """What write `number` puts into `slot`."""
    return b"".join(
        CELL.pack(place, number, _check(place, number))
        for place in range(slot * CELLS, (slot + 1) * CELLS)
    )


def _check(place: int, number: int) -> int:
    return zlib.crc32(b"%d %d" % (place, number)) & 0xFFFF


def writes_in(slot: int, data: bytes) -> set[int]:
    """The writes whose bytes are in `slot`.

    Raises:
        ValueError: a byte belongs elsewhere, or was never written.
    """
    numbers = set()
    for index, (place, number, check) in enumerate(CELL.iter_unpack(data)):
        if place != slot * CELLS + index or check != _check(place, number):
            raise ValueError(f"slot {slot}, {8 * index} bytes into it: {place} {number} {check}")
        numbers.add(number)
    return numbers


def write(path: str, ledger: int, writer: int, first: int, calls: int) -> None:
    """Change random slots of one's own; now and then close the file, so that it is sent."""
    chance = random.Random(2 * first + writer)
    handle = os.open(path, os.O_WRONLY)
    for number in range(first, first + calls if calls else 1 << 16):
        slot = 2 * chance.randrange(SLOTS // 2) + writer
        os.write(ledger, b"%d %d\n" % (slot, number))
        written = os.pwrite(handle, content(slot, number), slot * SLOT)
        if written != SLOT:
            raise OSError(errno.ENOTCONN, "a part was written")
        os.write(ledger, b"done\n")
        if chance.random() < 0.05:
            os.close(handle)
            handle = os.open(path, os.O_WRONLY)
    os.close(handle)


def read(path: str, ledger: int, reader: int, _first: int, calls: int) -> None:
    """Read random slots, now and then through a new handle."""
    chance = random.Random(-1 - reader)
    handle = os.open(path, os.O_RDONLY)
    for _ in range(calls or 1 << 30):
        slot = chance.randrange(SLOTS)
        data = os.pread(handle, SLOT, slot * SLOT)
        if len(data) != SLOT:  # the kernel's answer when the mount dies between two pages
            os.pread(handle, SLOT - len(data), slot * SLOT + len(data))
            raise ValueError(f"slot {slot}: {len(data)} bytes")
        writes_in(slot, data)
        os.write(ledger, b"done\n")
        if chance.random() < 0.05:
            os.close(handle)
            handle = os.open(path, os.O_RDONLY)
    os.close(handle)


def main() -> int:
    """See the module's docstring."""
    act = {"write": write, "read": read}[sys.argv[1]]
    ledger = os.open(sys.argv[3], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        act(sys.argv[2], ledger, *map(int, sys.argv[4:7]))
    except (OSError, ValueError) as exc:
        if isinstance(exc, OSError) and exc.errno in DEAD:
            return 0
        os.write(ledger, f"{exc!r}\n".encode())
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
