"""Pieces of which the calls of programs are made: names in use, handles in use, hidden files."""

from __future__ import annotations

import errno
from collections.abc import Callable
from contextlib import suppress

from tests.support.expected import Expected
from tests.support.machine.core import Core, Handle, nothing
from tests.support.machine.doubts import Possible

MOST_HANDLES = 5


class Calls(Core):
    """See the module's docstring; the arguments are those of `Core`."""

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
        halfway: Callable[[], list[Possible]] = list,
        locks_left: int = 0,
        expects: tuple[int, ...] = (),
    ) -> None:
        """A call that uses names; with `before` and `after`, one that changes what they mean.

        Args:
            what: for messages.
            job: the call.
            done: called with its result.
            before, after: what the names it changes mean before it, and after it.
            failed: called with its errno.
            halfway: what else they may mean when it is killed now.
            locks_left: see `do_run`.
            expects: errors that are right although nothing was wrong.
        """
        self.naming = True

        def named(value: object) -> None:
            self.naming = False
            done(value)

        def doubt() -> None:
            if before is not None and after is not None:
                for name in before:
                    self.names.pop(name, None)
                self.doubts.add(before, after, *halfway())

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
        expects: tuple[int, ...] = (),
    ) -> None:
        def failed(number: int) -> None:
            handle.busy = False

        handle.busy = True
        gone = any(file is handle.file for file in self.deleted.values())  # with what is not here
        self.call(
            f"{what} {handle.name}", job, done, failed, locks_left=locks_left,
            expects=(*expects, errno.ESTALE) if gone else expects,
        )  # fmt: skip

    def _hide(self, name: str, file: Expected) -> None:
        """What libfuse makes of the unlink of a file that is open."""
        hidden = self.hidden_name()
        self.fuse("rename", name, hidden)
        file.hidden = hidden

    def _forget_hidden(self, file: Expected) -> None:
        """What libfuse does when the last handle of an unlinked file has been closed."""
        if file.hidden and not file.handles:
            hidden, file.hidden = file.hidden, ""
            with suppress(OSError):  # nobody would be told
                self.fuse("unlink", hidden)

    def _opened(self, number: object, file: Expected, flags: int, name: str) -> None:
        assert isinstance(number, int)
        file.handles += 1
        self.handles.append(Handle(number, file, flags, name))
