"""Reads a file at random offsets and compares with what it was made of; a process of its own.

Usage: random_reader.py PATH SIZE READS SEED.  Prints "READS WRONG ERRORS".  The file is the one
`block(n)` makes: every block of 64 KiB differs from every other, so that a byte from a wrong place
is seen.
"""

import hashlib
import os
import random
import sys

BLOCK = 65536
READ = 4096


def block(number: int) -> bytes:
    """The 64 KiB of block `number`."""
    return hashlib.shake_128(b"%d" % number).digest(BLOCK)


def expected(offset: int) -> bytes:
    """What 4 KiB at `offset` must be."""
    number, within = divmod(offset, BLOCK)
    found = block(number)[within : within + READ]
    return found + block(number + 1)[: READ - len(found)] if len(found) < READ else found


def main() -> None:
    """See the module's docstring."""
    path, size, reads, seed = sys.argv[1], *map(int, sys.argv[2:])
    chance = random.Random(seed)
    wrong = errors = 0
    descriptor = os.open(path, os.O_RDONLY)
    for _ in range(reads):
        offset = chance.randrange(size - READ)
        try:
            found = os.pread(descriptor, READ, offset)
        except OSError:
            errors += 1
            continue
        wrong += found != expected(offset)
    print(reads, wrong, errors)


if __name__ == "__main__":
    main()
