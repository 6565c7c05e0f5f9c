"""Which content a cached file has: that of one version, compared with the service's MD5 (R6, R13).

A file that has become whole by downloads is hashed and compared.  The last bytes of a file that is
not too large are held back meanwhile: they are in the data file and not yet present, so that nobody
gets all of a damaged file.  What was read of a file while it was incomplete cannot be taken back;
therefore each open handle keeps a `Reader`, and a handle that was given bytes which turned out to
be damaged, or to be of a version that is gone, gets an error and never a mixture.

Of a changed file the base version is compared as long as all of it is still wanted: a file that was
only appended to.  Where changes have overwritten parts of it, readers get what came, and it is
compared before the file is sent (`filling`).

The hash is taken with the lock for each block only.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace

from vofs.cache.clock import Clock
from vofs.cache.datafile import DataFile
from vofs.cache.disk import Disk
from vofs.cache.evictable import Evictable
from vofs.cache.index import Index
from vofs.cache.rows import FileRow
from vofs.cache.space import Space
from vofs.core.contentcheck import ContentCheck, Verdict, disputed, is_right
from vofs.core.errors import DownloadsDiffer, TransferCorrupted, VersionChanged, VofsError
from vofs.core.fetchstate import Claim
from vofs.core.filestate import FileState
from vofs.core.lifecycle import Life
from vofs.core.nodes import VersionToken
from vofs.core.spans import Span

HELD_BACK_BELOW = 64 << 20  # bytes; a larger file is hashed after its readers were served
CHECKED_BELOW = 4 << 30  # bytes; hashing a larger copy while somebody waits would take too long
WRONG_FOR_S = 60.0  # how long a file that never arrives right is not tried again


@dataclass(slots=True)
class Reader:
    """One open handle, as the content of its file sees it.

    Attributes:
        content: number of the oldest content that it was given bytes of, None: of none yet.
    """

    content: int | None = None


class Content(Evictable):
    """See the module's docstring; the arguments are those of `FileCore`."""

    def __init__(self, row: FileRow, disk: Disk, index: Index, clock: Clock, space: Space) -> None:
        super().__init__(row, disk, index, clock, space)
        self._content = 0  # counts what was dropped: another version, or a damaged download
        self._good_from = 0
        self._gone: type[VofsError] = VersionChanged  # what older contents than that are
        self._check = ContentCheck()
        self._unchecked = False
        self._held: list[tuple[Claim, Span]] = []
        self._wrong: tuple[DownloadsDiffer, float] | None = None
        self._row_losses = row.losses

    # -- readers --------------------------------------------------------------------------------

    def _give(self, reader: Reader | None) -> None:
        """`reader` is about to get bytes of the present content.

        Raises:
            VersionChanged, TransferCorrupted: it has got some that do not belong together with it.
        """
        if reader is None:
            return
        if reader.content is None:
            reader.content = self._content
        if reader.content < self._good_from:
            why = "changed on the service" if self._gone is VersionChanged else "arrived damaged"
            raise self._gone(f"{self.path} {why} after this handle began to read: open it again")

    def _require_good(self) -> None:
        """Whether it is worth downloading at all.

        Raises:
            DownloadsDiffer: it came differently each time, a moment ago.
        """
        if self._wrong is not None:
            failure, at = self._wrong
            if self._clock.monotonic() - at < WRONG_FOR_S:
                raise failure
            self._wrong = None

    # -- checking -------------------------------------------------------------------------------

    def note_digest(self, md5: str | None) -> None:
        """A reply told the MD5 of the whole file; it counts where the node tells none."""
        if md5 is not None:
            with self.lock:
                self.state.digest_told = md5

    def _expected(self) -> str | None:
        """The MD5 that what is downloaded should have, None where nobody tells or parts of it are
        not wanted any more."""
        state = self.state
        attached = state.life is Life.ATTACHED
        return state.expected if attached and state.keeps_base else None

    def _arrived(self, claim: Claim, spans: list[Span]) -> None:
        """Downloaded bytes are in the data file: they are present, or held back.  Lock held."""
        self._unchecked = self._unchecked or bool(spans)
        size = self.state.size
        small = size <= HELD_BACK_BELOW
        if spans and small and self._expected() is not None and self.state.gaps(0, size) == spans:
            self._held = [(claim, span) for span in spans]
        else:
            self.state.accepted(spans)
            self._came(spans)

    def _is_held_back(self, start: int, end: int) -> bool:
        return any(first < end and start < last for _, (first, last) in self._held)

    def _held_end(self) -> int:
        return max((last for _, (_, last) in self._held), default=0)

    def check(self, claims: list[Claim]) -> Verdict | None:
        """Compare a file that has just become whole with the MD5 that the service tells.

        To be called by a downloader that has no more to bring, before it releases its claims.

        Args:
            claims: what it has brought; bytes that another one holds back are his to check.

        Returns:
            None when there is nothing to compare, or the file changed meanwhile.
        """
        with self.lock:
            state, base, expected, held = self.state, self.state.base, self._expected(), self._held
            if held and held[0][0] not in claims:
                return None
            whole = bool(held) or state.is_whole
            if base is None or expected is None or not self._unchecked or not whole:
                self._release_held()
                return None
            self._unchecked = False
            epoch = state.epoch

        def same() -> bool:
            now = self.state
            missing = [span for _, span in held]  # and nothing else: blocks may be evicted
            return (
                now.epoch == epoch
                and now.life is Life.ATTACHED  # else its name, and the row, are another file's
                and now.keeps_base
                and self._held is held
                and bool(held or now.unproven)  # else an upload was faster (`Proving`)
                and now.gaps(0, now.size) == missing
            )

        found = self.digest_while(base.length, same)
        with self.lock:
            if found is None or not same():
                if self._held is held:  # else it is another content's
                    self._release_held()
                return None
            return self._judged(found, base, expected)

    def _judged(self, found: str, base: VersionToken, expected: str) -> Verdict:
        """Let the content in, or drop it.  Lock held."""
        verdict = self._check.judge(found, expected)
        match verdict:
            case Verdict.REPEAT:
                self._drop_clean(base)
                return verdict
            case Verdict.WRONG:
                self._drop_clean(base)
                self._good_from, self._gone = self._content, TransferCorrupted
                self._check = ContentCheck()
                failure = f"{self.path}: each download has another MD5, none has {expected}"
                self._wrong = DownloadsDiffer(failure), self._clock.monotonic()
                return verdict
            case Verdict.DISPUTED:
                self.error = disputed(expected, found)
                self._is_proved()
                self._save()
            case Verdict.RIGHT:
                if self._check.repeated:
                    self._good_from, self._gone = self._content, TransferCorrupted
                self._check = ContentCheck()
                self._is_proved()
                if self._row_promises and not self._row_whole and self.state.is_whole:
                    self._save(whole=True)  # it was saved as not yet proved
        return verdict

    def _is_proved(self) -> None:
        """What is here of the base version is what the service tells.  Lock held."""
        self._release_held()
        self.state.proved()
        self._unchecked = False

    def _release_held(self) -> None:
        """What was held back is present, as far as it is still wanted.  Lock held."""
        held, self._held = self._held, []
        for claim, span in held:
            wanted = self.state.acceptable(claim, *span)
            self.state.accepted(wanted)
            self._came(wanted)
        self.lock.notify_all()

    def check_copy(self) -> None:
        """After a power loss: a clean copy stays only when all of it has the right MD5 (R5).

        Called once, when the file is loaded.  What has passed, or is fetched again, is believed
        from then on; so is the row of a changed file that fsync(2) had brought to the disk.
        """
        with self.lock:
            state, base, losses = self.state, self.state.base, self._index.losses
            if self._row_losses == losses:
                return
            dirty, empty = state.is_dirty, not state.present
            checkable = state.is_whole and state.size <= CHECKED_BELOW
        found = None
        if checkable and not dirty and not empty:
            found = self.digest_while(state.size, lambda: True)
        with self.lock:
            self._row_losses = losses
            if not dirty:
                if not empty and base is not None and not self._is_copy(found, base):
                    self._drop(base)
                self.state.proved()
                self._losses = losses
            self._save()

    def _is_copy(self, found: str | None, base: VersionToken) -> bool:
        return found is not None and is_right(found, base.md5 or "", self.error)

    # -- another content ------------------------------------------------------------------------

    def _drop(self, base: VersionToken) -> None:
        """Nothing that is here stays, and `base` is what is downloaded from now on.  Lock held."""
        fresh = deepcopy(self.state)
        fresh.rebase(base)
        self._take_new_data_file(fresh)
        self._begin_content()

    def _drop_clean(self, base: VersionToken) -> None:
        """What is here of `base` goes, and is downloaded anew; what was changed stays.  Lock held.

        A changed file keeps its data file: what comes is the same version once more.
        """
        if not self.state.is_dirty:
            self._drop(base)
            return
        self.state.take_back([(0, self.state.size)])
        self._begin_content()
        self._account()
        self._save(whole=self.state.is_whole)

    def _begin_content(self) -> None:
        """What comes from now on is another content than what was here.  Lock held."""
        self._content += 1
        self._held = []
        self._unchecked = False
        self.lock.notify_all()

    def _take_new_version(self, base: VersionToken) -> None:
        """The service has another version: it replaces what is here.  Lock held."""
        self._drop(base)
        self._good_from, self._gone = self._content, VersionChanged
        self._check, self._wrong, self.error = ContentCheck(), None, ""

    def _take_new_data_file(self, state: FileState) -> None:
        """R12: a new version is a new data file, whose number was never used.

        The row is replaced first; when that fails, the file stays as it was.  Lock held.
        """
        row = replace(self._row(state), whole=state.is_whole, present_bytes=0)
        made: list[DataFile] = []

        def create(number: int) -> None:  # before the commit: afterwards nothing may fail
            self._disk.create_data(number)
            made.append(self._disk.open_data(number, create=False))
            made[0].truncate(state.size)

        try:
            stored = self._index.replace(row, create)
        except BaseException:
            for data in made:
                data.close()
            raise
        old_number, old_data = self.number, self._data
        self.number, self.state, self._row_whole = stored.number, state, row.whole
        self._losses = self._row_losses = stored.losses
        self._data = made[0]
        self._row_promises, self._row_bytes, self._charged = row.whole, 0, 0
        self._sync_failed = False
        old_data.close()
        self._disk.remove_data(old_number)
        self._space.renumbered(self, old_number)
        self._account()
