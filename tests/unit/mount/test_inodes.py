"""R23: numbers stay with files, and two files in use never share one."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from vofs.mount.inodes import REMEMBERED, Inodes

NAMES = [f"/{a}{b}" for a in ("a", "b", "d", "e") for b in ("", "/x", "/y")]


def uri_of(path: str) -> str:
    return f"vos://example.org~space{path}"


def test_a_number_depends_on_the_uri_alone() -> None:
    assert Inodes(uri_of).of("/a") == Inodes(uri_of).of("/a") != Inodes(uri_of).of("/b")


def test_a_renamed_directory_takes_the_numbers_below_it_along() -> None:
    inodes = Inodes(uri_of)
    below = inodes.of("/d/x y")
    inodes.renamed("/d", "/e")
    assert inodes.of("/e/x y") == below
    assert inodes.of("/d/x y") != below


def test_a_rename_and_back_ends_with_the_number_it_began_with() -> None:
    inodes = Inodes(uri_of)
    number = inodes.of("/a")
    inodes.renamed("/a", "/b")
    inodes.renamed("/b", "/a")
    assert inodes.of("/a") == number


def test_what_is_remembered_is_bounded() -> None:
    inodes = Inodes(uri_of)
    for number in range(2 * REMEMBERED):
        inodes.renamed(f"/tmp{number}", "/file")
    last = inodes.of("/file")
    inodes.renamed("/tmp", "/other")
    assert inodes.of("/file") == last


class Names(RuleBasedStateMachine):
    """A tree of names, where each thing carries the number that it was first seen with."""

    def __init__(self) -> None:
        super().__init__()
        self.inodes = Inodes(uri_of)
        self.there: dict[str, int] = {}

    def _below(self, path: str) -> list[str]:
        return [other for other in self.there if other == path or other.startswith(path + "/")]

    @rule(path=st.sampled_from(NAMES))
    def make(self, path: str) -> None:
        parent = path.rpartition("/")[0]
        if path not in self.there and (not parent or parent in self.there):
            self.there[path] = self.inodes.of(path)

    @precondition(lambda self: self.there)
    @rule(data=st.data(), destination=st.sampled_from(NAMES))
    def rename(self, data: st.DataObject, destination: str) -> None:
        source = data.draw(st.sampled_from(sorted(self.there)))
        parent = destination.rpartition("/")[0]
        if (parent and parent not in self.there) or (destination + "/").startswith(source + "/"):
            return
        if source.startswith(destination + "/"):
            return
        self.inodes.renamed(source, destination)
        for path in self._below(destination):
            del self.there[path]
        for path in self._below(source):
            self.there[destination + path[len(source) :]] = self.there.pop(path)

    @invariant()
    def numbers_stay_and_differ(self) -> None:
        assert {path: self.inodes.of(path) for path in self.there} == self.there
        assert len(set(self.there.values())) == len(self.there)


TestNames = Names.TestCase
