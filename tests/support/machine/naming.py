"""The steps of programs that use names: making, looking, removing, renaming."""

from __future__ import annotations

import errno
import os

from tests.support.expected import Expected, State
from tests.support.machine.calls import MOST_HANDLES, Calls
from tests.support.machine.core import NAMES, ModelError, shown
from tests.support.machine.doubts import Possible
from vofs.cache.unlinked import GRACE_S


class Naming(Calls):
    """See the module's docstring; the arguments are those of `Core`."""

    def do_create(self, which: int, locks_left: int) -> bool:
        """open(2) with O_CREAT of a name that is free."""
        name = NAMES[which % len(NAMES)]
        if not self._may_name(name) or name in self.names or len(self.handles) >= MOST_HANDLES:
            return False
        file = self.deleted.get(name)
        writes = any(handle.file is file and handle.writes for handle in self.handles)
        if file is None or not writes:
            file = Expected(b"")
            self.bound[name].append(file)
        elif file.changing:
            return False
        if name in self.recently_hidden:
            file.may_replace |= self.recently_hidden[name].ever

        def created(number: object) -> None:
            self.recently_hidden.pop(name, None)
            if writes:  # another client deleted it, and whoever writes it makes its node again
                file.settle(State((b"",)))
            self.names[name] = file
            self._opened(number, file, os.O_RDWR, name)

        self._name_call(
            f"create {name}", lambda: self.fuse("create", name, 0o644, os.O_RDWR | os.O_CREAT),
            created, {name: None}, {name: file}, locks_left=locks_left,
        )  # fmt: skip
        return True

    def do_stat(self, which: int) -> bool:
        """stat(2) of a name."""
        name = NAMES[which % len(NAMES)]
        if not self._may_name(name):
            return False
        file = self.names.get(name)
        mark = 0 if file is None else file.mark()

        def found(attributes: object) -> None:
            size = int(getattr(attributes, "size"))  # noqa: B009
            if file is None:
                raise ModelError(f"stat {name}: {size} bytes, and there is no such file")
            if not any(state.has_size(size) for state in file.since(mark)):
                raise ModelError(f"stat {name}: {size} bytes, not {list(map(shown, file.now))}")

        def failed(number: int) -> None:
            if number == errno.ENOENT and file is not None:
                raise ModelError(f"stat {name}: no such file, and there is one")

        self._name_call(
            f"stat {name}", lambda: self.fuse("getattr", name), found, failed=failed,
            expects=(errno.ENOENT,) if file is None else (),
        )  # fmt: skip
        return True

    def do_unlink(self, which: int, locks_left: int) -> bool:
        """unlink(2)."""
        name = NAMES[which % len(NAMES)]
        file = self.names.get(name)
        if not self._may_name(name) or file is None:
            return False
        hides = file.handles > 0

        def unlink() -> None:
            if hides:
                self._hide(name, file)
                self._forget_hidden(file)
            else:
                self.fuse("unlink", name)

        def gone(value: object) -> None:
            self.names.pop(name, None)
            self.doubts.unlinked(name, file)  # a write has met another client's change meanwhile
            self._is_wanted_no_more(file)
            if hides:
                self.recently_hidden[name] = file
            if file.challenged is not None:  # what the mount had not seen may stay (R8, R9)
                self.doubts.add({name: None}, {name: file.challenged})

        self._name_call(
            f"unlink {name}", unlink, gone, {name: file}, {name: None}, locks_left=locks_left
        )
        return True

    def do_rename(self, which: int, other: int, locks_left: int) -> bool:
        """rename(2); libfuse first hides a file in the way that is open."""
        source = NAMES[which % len(NAMES)]
        destination = NAMES[other % len(NAMES)]
        file, replaced = self.names.get(source), self.names.get(destination)
        if source == destination or file is None:
            return False
        if not self._may_name(source) or not self._may_name(destination):
            return False
        if replaced is not None:
            file.may_replace |= replaced.ever | replaced.may_replace
        elif destination in self.recently_hidden:
            file.may_replace |= self.recently_hidden[destination].ever
        self.bound[destination].append(file)

        hidden_at: list[float] = []

        def rename() -> None:
            if replaced is None or not replaced.handles:
                self.fuse("rename", source, destination)
                return
            self._hide(destination, replaced)
            hidden_at.append(self.stage.monotonic())
            try:
                self.fuse("rename", source, destination)
            finally:
                self._forget_hidden(replaced)

        def renamed(value: object) -> None:
            self.recently_hidden.pop(destination, None)
            self._is_wanted_no_more(replaced)
            if source in self.doubts:  # a write has met another client's change meanwhile
                self.names.pop(destination, None)
                self.doubts.add(
                    {source: None, destination: file},
                    {source: None, destination: file.challenged or file},
                )
            elif destination in self.doubts:  # the same of the file that was replaced
                del self.names[source]
                self.doubts.means(destination, file)
            else:
                self.names[destination] = self.names.pop(source)

        def halfway() -> list[Possible]:
            """libfuse's two calls took so long that the first was an unlink (decision 0005)."""
            late = hidden_at and self.stage.monotonic() - hidden_at[0] >= GRACE_S
            return [{source: file, destination: None}] if late else []

        self._name_call(
            f"rename {source} {destination}", rename, renamed,
            {source: file, destination: replaced}, {source: None, destination: file},
            halfway=halfway, locks_left=locks_left,
        )  # fmt: skip
        return True

    def _is_wanted_no_more(self, file: Expected | None) -> None:
        """Its user has removed it: nobody looks for changes of it any more."""
        if file is not None:
            file.rival = False
        self.deleted = {name: kept for name, kept in self.deleted.items() if kept is not file}

    def do_drop(self, which: int) -> bool:
        """vofs drop: forget what is clean."""
        session, name = self.session, NAMES[which % len(NAMES)]
        if session is None:
            return False
        self.call(f"drop {name}", lambda: session.answer({"command": "drop", "path": name}))
        return True
