"""The steps of programs: system calls, with what libfuse makes of them, and what they mean."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress

from tests.support.expected import Expected, overwritten, resized
from tests.support.machine.core import NAMES, Core, Handle, ModelError, nothing, shown
from tests.support.machine.doubts import Possible

FLAGS = (os.O_RDONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC, os.O_RDWR | os.O_APPEND)
MOST_HANDLES = 5
Change = Callable[[bytes], bytes]


def _same(state: bytes) -> bytes:
    return state


class Programs(Core):
    """See the module's docstring; the arguments are those of `Core`."""

    # -- handles --------------------------------------------------------------------------------

    def do_create(self, which: int, locks_left: int) -> bool:
        """open(2) with O_CREAT of a name that is free."""
        name = NAMES[which % len(NAMES)]
        if not self._may_name(name) or name in self.names or len(self.handles) >= MOST_HANDLES:
            return False
        file = Expected(b"")
        if name in self.recently_hidden:
            file.may_replace |= set(self.recently_hidden[name].ever)
        self.bound[name].append(file)

        def created(number: object) -> None:
            self.recently_hidden.pop(name, None)
            self.names[name] = file
            self._opened(number, file, os.O_RDWR, name)

        self._name_call(
            f"create {name}", lambda: self.fuse("create", name, 0o644, os.O_RDWR | os.O_CREAT),
            created, {name: None}, {name: file}, locks_left=locks_left,
        )  # fmt: skip
        return True

    def do_open(self, which: int, flags_of: int, locks_left: int) -> bool:
        """open(2) of a file that is there."""
        name, flags = NAMES[which % len(NAMES)], FLAGS[flags_of % len(FLAGS)]
        file = self.names.get(name)
        if not self._may_name(name) or file is None or len(self.handles) >= MOST_HANDLES:
            return False

        def opened(number: object) -> None:
            self._opened(number, file, flags, name)

        def open_it() -> object:
            return self.fuse("open", name, flags)

        if not flags & os.O_TRUNC:
            self._name_call(f"open {name}", open_it, opened, locks_left=locks_left)
            return True
        if file.changing:
            return False
        self._change(
            file, lambda state: b"", f"open {name} to empty it", open_it, opened,
            names=True, locks_left=locks_left,
        )  # fmt: skip
        return True

    def _opened(self, number: object, file: Expected, flags: int, name: str) -> None:
        assert isinstance(number, int)
        file.handles += 1
        self.handles.append(Handle(number, file, flags, name))

    def do_close(self, which: int, locks_left: int) -> bool:
        """close(2) of the last descriptor; libfuse unlinks a hidden file with its last handle."""
        handle = self._handle(which, lambda handle: True)
        if handle is None:
            return False
        self.handles.remove(handle)

        def close() -> None:
            try:
                self.fuse("flush", handle.number)
            finally:
                self.fuse("release", handle.number)
                handle.file.handles -= 1
                self._forget_hidden(handle.file)

        self.call(f"close {handle.name}", close, locks_left=locks_left)
        return True

    def _forget_hidden(self, file: Expected) -> None:
        """What libfuse does when the last handle of an unlinked file has been closed."""
        if file.hidden and not file.handles:
            hidden, file.hidden = file.hidden, ""
            with suppress(OSError):  # nobody would be told
                self.fuse("unlink", hidden)

    # -- bytes ----------------------------------------------------------------------------------

    def do_read(self, which: int, start: int, length: int, locks_left: int) -> bool:
        """pread(2)."""
        handle = self._handle(which, lambda handle: handle.reads)
        if handle is None:
            return False
        offset, size = start * self.setting.unit, length * self.setting.unit
        file, mark = handle.file, handle.file.mark()

        def read(data: object) -> None:
            handle.busy = False
            assert isinstance(data, bytes | bytearray | memoryview)
            if not file.read_since(mark, offset, size, bytes(data)):
                wanted = [shown(state[offset : offset + size]) for state in file.ever[mark:]]
                raise ModelError(
                    f"read {handle.name} {offset}+{size}: {shown(bytes(data))}, not {wanted}"
                )

        self._handle_call(
            handle, lambda: self.fuse("read", handle.number, size, offset), read, "read", locks_left
        )
        return True

    def do_write(self, which: int, start: int, length: int, locks_left: int) -> bool:
        """pwrite(2), or write(2) of an appending handle."""
        handle = self._handle(which, lambda handle: handle.writes and not handle.file.changing)
        if handle is None:
            return False
        data, offset = self.fresh_data(length), start * self.setting.unit
        append = bool(handle.flags & os.O_APPEND)

        def write(state: bytes, part: bytes = data) -> bytes:
            return overwritten(state, len(state) if append else offset, part)

        half = data[: len(data) // 2]
        torn: list[Change] = [
            lambda state: write(state, half)[: len(state)],
            lambda state: write(state)[: len(state)],
            lambda state: write(state, half),
        ]
        self._change_by(
            handle, write, "write", lambda: self.fuse("write", handle.number, data, offset),
            locks_left, torn,
        )  # fmt: skip
        return True

    def do_truncate(self, which: int, size: int, locks_left: int) -> bool:
        """ftruncate(2)."""
        handle = self._handle(which, lambda handle: handle.writes and not handle.file.changing)
        if handle is None:
            return False
        end = size * self.setting.unit
        self._change_by(
            handle, lambda state: resized(state, end), "truncate",
            lambda: self.fuse("truncate", None, end, handle.number), locks_left,
        )  # fmt: skip
        return True

    def do_cut(self, which: int, size: int, locks_left: int) -> bool:
        """truncate(2), by name."""
        name, end = NAMES[which % len(NAMES)], size * self.setting.unit
        file = self.names.get(name)
        if not self._may_name(name) or file is None or file.changing:
            return False
        self._change(
            file, lambda state: resized(state, end), f"truncate {name}",
            lambda: self.fuse("truncate", name, end, None), names=True, locks_left=locks_left,
        )  # fmt: skip
        return True

    def _change_by(
        self,
        handle: Handle,
        change: Change,
        what: str,
        job: Callable[[], object],
        locks_left: int,
        torn: list[Change] | None = None,
    ) -> None:
        def free(value: object) -> None:
            handle.busy = False

        handle.busy = True
        self._change(
            handle.file, change, f"{what} {handle.name}", job, free, free, torn=torn,
            locks_left=locks_left,
        )  # fmt: skip

    def _change(
        self,
        file: Expected,
        change: Change,
        what: str,
        job: Callable[[], object],
        done: Callable[[object], None] = nothing,
        failed: Callable[[int], None] = nothing,
        *,
        names: bool = False,
        torn: list[Change] | None = None,
        locks_left: int,
    ) -> None:
        """A call that changes bytes: until it has ended, both states are possible.

        Args:
            file: what it changes.
            change: what it makes of a state.
            what: for messages.
            job: the call.
            done: called with its result.
            failed: called with its errno.
            names: it uses a name, so nobody changes names meanwhile.
            torn: what may be there when it failed half-way.
            locks_left: see `do_run`.
        """
        before, after = file.now, [change(state) for state in file.now]
        file.changing, self.naming = True, self.naming or names
        for state in after:
            file.add(state)

        def changed(value: object) -> None:
            file.changing, self.naming = False, self.naming and not names
            late = [state for state in file.now if state not in (*before, *after)]
            file.settle(*dict.fromkeys(after + [change(state) for state in late]))
            self._must_stay(file)
            self._meet(file, really=not set(before) & set(after))
            done(value)

        def not_changed(number: int) -> None:
            file.changing, self.naming = False, self.naming and not names
            possible = [part(state) for part in (_same, *(torn or ())) for state in before]
            file.settle(*dict.fromkeys([*possible, *file.now]))
            failed(number)

        def killed() -> None:
            file.tear(before, after)
            for name in [name for name, named in self.names.items() if named is file]:
                del self.names[name]
                self.doubts.add({name: file})

        self.call(what, job, changed, not_changed, killed, locks_left=locks_left)

    def _must_stay(self, file: Expected) -> None:
        """Unsent changes: a deletion by another client does not make the file vanish (R11)."""
        for name, deleted in self.deleted.items():
            if deleted is file and name in self.doubts:
                self.doubts.changed(name, file)
            elif deleted is file and name not in self.names:
                self.doubts.add({name: file})

    def _meet(self, file: Expected, *, really: bool) -> None:
        """A change of a file that another client may have changed unnoticed: perhaps a conflict.

        Args:
            file: the file.
            really: it was a change, so that ours must be kept.
        """
        theirs = file.challenged
        if theirs is None:
            return
        file.rival = file.rival or really
        for name in [name for name, named in self.names.items() if named is file]:
            del self.names[name]
            self.doubts.add({name: file}, {name: theirs})

    def do_fsync(self, which: int, locks_left: int) -> bool:
        """fsync(2)."""
        handle = self._handle(which, lambda handle: handle.writes)
        if handle is None:
            return False

        def free(value: object) -> None:
            handle.busy = False

        self._handle_call(
            handle, lambda: self.fuse("fsync", handle.number, 0), free, "fsync", locks_left
        )
        return True

    # -- names ----------------------------------------------------------------------------------

    def do_stat(self, which: int) -> bool:
        """stat(2) of a name."""
        name = NAMES[which % len(NAMES)]
        if not self._may_name(name):
            return False
        file = self.names.get(name)
        mark = 0 if file is None else file.mark()

        def found(attributes: object) -> None:
            size = getattr(attributes, "size", None)
            if file is None:
                raise ModelError(f"stat {name}: {size} bytes, and there is no such file")
            if size not in {len(state) for state in file.ever[mark:]}:
                raise ModelError(f"stat {name}: {size} bytes, not {list(map(len, file.now))}")

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
            del self.names[name]
            if hides:
                self.recently_hidden[name] = file

        self._name_call(
            f"unlink {name}", unlink, gone, {name: file}, {name: None}, locks_left=locks_left
        )
        return True

    def _hide(self, name: str, file: Expected) -> None:
        """What libfuse makes of the unlink of a file that is open."""
        hidden = self.hidden_name()
        self.fuse("rename", name, hidden)
        file.hidden = hidden

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
            file.may_replace |= set(replaced.ever) | replaced.may_replace
        elif destination in self.recently_hidden:
            file.may_replace |= set(self.recently_hidden[destination].ever)
        self.bound[destination].append(file)

        def rename() -> None:
            if replaced is None or not replaced.handles:
                self.fuse("rename", source, destination)
                return
            self._hide(destination, replaced)
            try:
                self.fuse("rename", source, destination)
            finally:
                self._forget_hidden(replaced)

        def renamed(value: object) -> None:
            self.recently_hidden.pop(destination, None)
            self.names[destination] = self.names.pop(source)

        self._name_call(
            f"rename {source} {destination}", rename, renamed,
            {source: file, destination: replaced}, {source: None, destination: file},
            locks_left=locks_left,
        )  # fmt: skip
        return True

    def do_drop(self, which: int) -> bool:
        """vofs drop: forget what is clean."""
        session, name = self.session, NAMES[which % len(NAMES)]
        if session is None:
            return False
        self.call(f"drop {name}", lambda: session.answer({"command": "drop", "path": name}))
        return True

    # -- pieces of calls ------------------------------------------------------------------------

    def _may_name(self, name: str) -> bool:
        """Whether a call may use that name now: the model knows what it should find there."""
        return not self.naming and name not in self.doubts

    def _name_call(
        self,
        what: str,
        job: Callable[[], object],
        done: Callable[[object], None],
        before: Possible | None = None,
        after: Possible | None = None,
        *,
        failed: Callable[[int], None] = nothing,
        locks_left: int = 0,
        expects: tuple[int, ...] = (),
    ) -> None:
        """A call that uses names; with `before` and `after`, one that changes what they mean."""
        self.naming = True

        def named(value: object) -> None:
            self.naming = False
            done(value)

        def doubt() -> None:
            if before is not None and after is not None:
                for name in before:
                    self.names.pop(name, None)
                self.doubts.add(before, after)

        def not_named(number: int) -> None:
            self.naming = False
            if number == errno.ETIMEDOUT:  # it may still happen (R19)
                doubt()
            failed(number)

        self.call(what, job, named, not_named, doubt, locks_left=locks_left, expects=expects)

    def _handle(self, which: int, wanted: Callable[[Handle], bool]) -> Handle | None:
        fitting = [handle for handle in self.handles if not handle.busy and wanted(handle)]
        return fitting[which % len(fitting)] if fitting else None

    def _handle_call(
        self,
        handle: Handle,
        job: Callable[[], object],
        done: Callable[[object], None],
        what: str,
        locks_left: int,
    ) -> None:
        def failed(number: int) -> None:
            handle.busy = False

        handle.busy = True
        self.call(f"{what} {handle.name}", job, done, failed, locks_left=locks_left)
