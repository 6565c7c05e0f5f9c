"""The steps that happen to everybody: turns, time, faults, other clients, kill -9."""

from __future__ import annotations

import shutil

from tests.support.expected import Expected, State
from tests.support.faultydisk import ASIDE, COMMIT, CREATE, REMOVE, SYNC, TRUNCATE, WRITE, DiskFault
from tests.support.machine.core import ATTR_TTL_S, NAMES, ROOT, TIMEOUT_S, Core, ModelError, shown
from tests.support.machine.doubts import Possible
from tests.support.simulated import Fault
from tests.support.simulatednodes import Arrival
from vofs.core.errors import CacheDamaged, CacheFull, VofsError

PAUSES_S = (0.1, 0.6, 2.5, 11.0, 70.0)
LAGS_S = (300.0, 90.0, 30.0, 0.0)
FAULTS = tuple(fault for fault in Fault if fault is not Fault.DAMAGED)
CHANGES = (COMMIT, WRITE, WRITE, TRUNCATE, SYNC, CREATE, REMOVE, ASIDE)


class Happenings(Core):
    """See the module's docstring; the arguments are those of `Core`."""

    def do_run(self, which: int, locks_left: int) -> bool:
        """Let one actor go on."""
        ready = self.stage.ready
        if ready:
            self.go(ready[which % len(ready)], locks_left)
        return bool(ready)

    def do_pass(self, which: int) -> None:
        """Let time pass."""
        seconds = PAUSES_S[which % len(PAUSES_S)]
        self.pass_time(seconds)
        self.disturbed |= seconds >= TIMEOUT_S / 2 and bool(self.calls)

    def pass_time(self, seconds: float) -> None:
        self.stage.advance(seconds)
        self.service.notice(overdue_only=True)

    def do_fault(self, which: int) -> bool:
        """The next request that can go wrong in this way does."""
        if self.remote.armed:
            return False
        self.remote.armed.append(FAULTS[which % len(FAULTS)])
        return True

    def do_damage(self) -> bool:
        """The next bytes that come are damaged, once: two downloads that agree are right (R13)."""
        if self.remote.armed or self.damaged:
            return False
        self.remote.armed.append(Fault.DAMAGED)
        self.damaged = True
        return True

    def do_disk(self, which: int, nth: int) -> None:
        """One of the next changes of the cache directory fails."""

        def fail() -> None:
            self.disturbed = True
            error: VofsError = CacheDamaged("EIO") if nth % 3 == 2 else CacheFull("ENOSPC")
            raise error

        name = CHANGES[which % len(CHANGES)]
        self.sync_may_have_failed |= name == SYNC
        midway = which % len(CHANGES) == 2
        self.disk.heal()
        self.disk.plan(
            DiskFault(1 + nth // 3 % 3, name, midway=fail)
            if midway
            else DiskFault(1 + nth // 3 % 3, name, before=fail)
        )

    def do_notice(self) -> None:
        """The service notices that a PUT has broken."""
        self.service.notice(overdue_only=False)

    def do_lag(self, which: int) -> bool:
        """From now on node documents show for so long what our uploads replace (R13)."""
        self.service.lag_s = LAGS_S[which % len(LAGS_S)]
        return self.service.atomic

    # -- other clients --------------------------------------------------------------------------

    def do_foreign(self, which: int, action: int) -> bool:
        """Another client stores, or deletes, a file."""
        name = NAMES[which % len(NAMES)]
        if self.naming or name in self.doubts:
            return False
        file, node = self.names.get(name), self.service.nodes.get(ROOT + name)
        there = None if node is None else node.data
        self.disturbed = True
        if action % 3 == 0:
            if there is None:
                return False
            self.service.delete(ROOT + name)
            if file is not None:
                self.deleted[name] = file
                self.doubts.add({name: file}, {name: None})
                del self.names[name]
            return True
        same_size = action % 3 == 1 and there
        data = self.fresh_data(action // 3)
        if same_size and there:
            data = data[:1] * len(there)
        self.service.store(ROOT + name, data)
        self.foreign[data] = self.stage.monotonic()
        theirs = Expected(data)
        self.bound[name].append(theirs)
        agreed = [] if file is None else file.before or file.now
        if file is None:
            self.doubts.add({name: None}, {name: theirs})
        elif there is not None and State((there,)) in agreed:
            file.challenged = theirs  # until the mount has looked, a change here is a conflict
            file.add(State((data,)))
        else:
            # Whoever stores while a PUT of ours is under way may simply be the last one.
            unsent = there is None or not any(state.may_be(there) for state in agreed)
            file.rival = unsent and ROOT + name not in self.service.in_flight
            if not file.rival:
                self.partial.add(name)  # ours may have arrived, and be gone with its clean bytes
            del self.names[name]
            worlds: list[Possible] = [{name: file}, {name: theirs}]
            if file.rival and self.service.atomic:
                # A PUT that had looked before theirs came replaces it, unnoticed (R11).  What is
                # sent next meets theirs again where node documents lag: a conflict, kept aside.
                older = Expected(*file.ever)
                self.bound[name].append(older)
                worlds.append({name: older})
            self.doubts.add(*worlds)
        return True

    def arrived(self, arrival: Arrival) -> None:
        """Bytes of ours have arrived: they are what a user's file was at one moment (R3, R11)."""
        name = arrival.path.removeprefix(ROOT).partition(".conflict-")[0]
        theirs = ".conflict-" in arrival.path  # whose base is gone: it cannot be proved any more
        files = [
            file
            for file in self.bound.get(name, [])
            if (file.was_but_damaged if theirs else file.was)(arrival.data)
        ]
        if not files:
            raise ModelError(f"stored at {name}: {shown(arrival.data)}, which was never there")
        replaced = arrival.replaced or b""
        stored_at = self.foreign.get(replaced)
        old = stored_at is not None and stored_at < arrival.called_s - ATTR_TTL_S
        if not self.service.atomic and len(replaced) <= self.service.longest[arrival.path]:
            return  # it may look like what a broken PUT of ours has left (R2)
        if old and not any(replaced in file.ever | file.may_replace for file in files):
            raise ModelError(f"{name}: the version of another client is overwritten")

    # -- the end of a session -------------------------------------------------------------------

    def do_crash(self) -> None:
        """kill -9, and the next mount begins."""
        copy = self.folder / f"cache-{self.caches + 1}"
        if self.cache_dir.exists():
            shutil.copytree(self.cache_dir, copy)
            copy.chmod(0o700)
        self.bury()
        for call in self.calls:
            call.killed()
        self.calls.clear()
        for name, file in self.recently_hidden.items():  # not committed for a moment (R9)
            self.names.pop(name, None)
            self.doubts.add({name: file}, {name: None})
            node = self.service.nodes.get(ROOT + name)
            if node is None or node.data in self.foreign:
                self.partial.add(name)  # the version that its holes come from may be gone
        self._forget_handles()
        self.naming = False
        for file in self.all_files:
            file.killed()
        self.disturbed = True
        self.caches += 1
        self.mount()

    def bury(self) -> None:
        """End all actors where they stand, and close what is left of the session."""
        self.stage.kill()
        self.disk.heal()
        if self.session is not None:
            self.session.abandon()
            self.session = None
        self.records.clear()

    def do_remount(self) -> bool:
        """Unmount, with what can be sent being sent, and mount again."""
        if self.session is None or self.calls:
            return False
        session, self.session = self.session, None
        self._forget_handles()
        self.call("unmount", session.stop, lambda value: self.mount())
        return True

    def _forget_handles(self) -> None:
        self.handles.clear()
        self.recently_hidden.clear()
        for file in self.all_files:
            file.handles, file.hidden = 0, ""
