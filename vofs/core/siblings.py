"""Which files of a directory will be read next, when they are read in listing order (R24).

Pure.  Each directory has one small frozen value, `Walk`.  When three of its files were read in
listing order, one right after the other, the next ones are worth fetching: as many as `AHEAD`
beyond the one that is read, each of them once.  How large they may be and what they may cost is
not decided here.

Whoever has read a directory so to its end and begins with the first file of another one still reads
in listing order, that of the tree: there he does not begin at nought.

Several programs, or several threads of one, may share a walk: once it goes on, they may read in any
order what was fetched for them.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass, replace

LARGEST_SIBLING = 256 * 1024  # bytes
IN_ORDER = 3  # files that must have been read in listing order
AHEAD = 32  # names beyond the one that is read
MOST_BETWEEN = 64  # names that are looked at to see whether a file was left out


@dataclass(frozen=True, slots=True)
class Walk:
    """How far somebody has read through a directory.

    Attributes:
        last: the name, in listing order the last one, that was read.
        in_order: how many files were read one right after the other up to it.
        upto: everything up to this name was offered to be fetched.
    """

    last: str = ""
    in_order: int = 0
    upto: str = ""

    @property
    def goes_on(self) -> bool:
        """Whether it looks as if the files after the last one will be read, too."""
        return self.in_order >= IN_ORDER

    def reached(
        self, name: str, order: list[str], is_read: Callable[[str], bool], *, follows: bool = False
    ) -> Walk:
        """`name` is being read.

        Args:
            name: of a file.
            order: the names of the directory, in listing order: that of the code points.
            is_read: whether a name is one that reading would show: a file that is not empty.
            follows: another directory was just read to its end.

        Returns:
            The walk after it; a new one when a file was left out, the same one when the listing
            does not have that name.
        """
        at = bisect_left(order, name)
        if name == self.last or order[at : at + 1] != [name]:
            return self
        if self.goes_on and name <= self.upto:
            return replace(self, last=max(self.last, name))
        in_order = self.in_order or (IN_ORDER if follows else 0)
        if in_order and self.last < name:
            between = order[bisect_right(order, self.last) : at]
            if _none(between, is_read):
                return replace(self, last=name, in_order=in_order + 1)
        return Walk(name, 1)

    def is_at_the_end(self, order: list[str], is_read: Callable[[str], bool]) -> bool:
        """Whether it has gone on to the last file of the directory; arguments as for `reached`."""
        return self.goes_on and _none(order[bisect_right(order, self.last) :], is_read)

    def ahead(self, order: list[str]) -> list[str]:
        """The names that are worth fetching now and were not offered before, in listing order."""
        if not self.goes_on:
            return []
        end = bisect_right(order, self.last) + AHEAD
        return order[bisect_right(order, max(self.last, self.upto)) : end]

    def offered(self, names: list[str]) -> Walk:
        """What `ahead` returned was taken."""
        return replace(self, upto=names[-1]) if names else self


def _none(names: list[str], is_read: Callable[[str], bool]) -> bool:
    """Whether no file is among `names`; too many to look at count as one."""
    return len(names) <= MOST_BETWEEN and not any(map(is_read, names))
