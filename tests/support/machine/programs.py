"""The steps of programs that use handles: opening, closing, bytes, and what they mean."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress

from tests.support.expected import Change, Expected, State, mended, overwritten, resized
from tests.support.machine.calls import MOST_HANDLES, Calls
from tests.support.machine.core import NAMES, Handle, ModelError, nothing, shown

FLAGS = (os.O_RDONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC, os.O_RDWR | os.O_APPEND)


class Programs(Calls):
    """See the module's docstring; the arguments are those of `Core`."""

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
                with suppress(OSError):  # the kernel tells nobody
                    self.fuse("release", handle.number)
                handle.file.handles -= 1
                self._forget_hidden(handle.file)

        self.call(f"close {handle.name}", close, locks_left=locks_left)
        return True

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
            perhaps = mended(bytes(data), offset, file.since(mark))
            if not any(file.read_since(mark, offset, size, one) for one in perhaps):
                wanted = [*map(shown, file.since(mark))]
                raise ModelError(
                    f"read {handle.name} {offset}+{size}: {shown(bytes(data))}, not of {wanted}"
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

        def write(state: bytes) -> bytes:
            return overwritten(state, len(state) if append else offset, data)

        self._change_by(
            handle, write, "write", lambda: self.fuse("write", handle.number, data, offset),
            locks_left, tears=True,
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
        *,
        tears: bool = False,
    ) -> None:
        def free(value: object) -> None:
            handle.busy = False

        handle.busy = True
        self._change(
            handle.file, change, f"{what} {handle.name}", job, free, free, tears=tears,
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
        tears: bool = False,
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
            tears: it may fail half-way, and leave some of its bytes.
            locks_left: see `do_run`.
        """
        before = file.now
        after = [state for old in before for state in old.after(change)]
        some = [state.after_some_of(change) for state in before]
        file.before, self.naming = before, self.naming or names
        file.add(*after)

        def late() -> list[State]:
            """What another client has made of it meanwhile."""
            return [state for state in file.now if state not in (*before, *after)]

        def changed(value: object) -> None:
            file.before, self.naming = None, self.naming and not names
            theirs = [state for old in late() for state in old.after(change)]
            file.settle(*dict.fromkeys([*after, *theirs]))
            self._must_stay(file)
            self._meet(file, really=not set(before) & set(after))
            done(value)

        def not_changed(number: int) -> None:
            file.before, self.naming = None, self.naming and not names
            file.settle(*dict.fromkeys([*before, *(some if tears else ()), *file.now]))
            failed(number)

        def killed() -> None:
            file.settle(*dict.fromkeys([*some, *late()]))
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
        for name in [name for name, named in self.names.items() if named is file]:
            file.rival = file.rival or really
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
            handle,
            lambda: self.fuse("fsync", handle.number, 0),
            free,
            "fsync",
            locks_left,
            (errno.EIO,) if self.sync_may_have_failed else (),
        )
        return True
