"""One cached file: what a second object on the same row finds after a kill at any moment."""

from __future__ import annotations

import hashlib
import os
from contextlib import closing

import pytest

from tests.support.simulatednodes import token_of
from tests.unit.cache.conftest import Parts, disk_with
from vofs.cache.cachedfile import AT_ONCE, CachedFile
from vofs.cache.datafile import DataFile
from vofs.cache.waiting import Patience
from vofs.core.errors import CacheFull, RemoteFailed, VersionChanged
from vofs.core.filestate import Ticket
from vofs.core.lifecycle import Event, Upload
from vofs.core.nodes import VersionToken

OLD = bytes(range(1, 101))
BLOCK = 64 << 10  # more than a file of a few bytes takes on any file system


def sent(file: CachedFile, ticket: Ticket) -> bytes:
    return b"".join(file.ticket_chunks(ticket))


def ticket_of(file: CachedFile) -> Ticket:
    assert file.queue()
    ticket = file.cut_ticket()
    assert ticket is not None
    return ticket


def test_a_write_into_a_hole_is_committed_before_it_returns(parts: Parts) -> None:
    """R18: a killed process loses nothing that was acknowledged."""
    with closing(parts.load(parts.row("/f", base=token_of(OLD)))) as file:
        file.write(10, b"abc")
        file.write(90, b"x" * 20)
        killed = parts.again("/f")
        assert killed.is_dirty
        assert killed.size == 110
        assert killed.read(10, 3) == b"abc"
        assert killed.read(90, 100) == b"x" * 20
        assert killed.read(0, 11) is None
        assert killed.gaps == [(0, 10), (13, 90)]
        killed.close()


def test_a_write_to_a_whole_file_survives_at_the_data_files_size(parts: Parts) -> None:
    with closing(parts.load(parts.row("/f", OLD, token_of(OLD)))) as file:
        assert not file.is_dirty
        file.write(0, b"new", append=True)
        file.truncate(102)
        killed = parts.again("/f")
        assert killed.is_dirty
        assert killed.read(0, 200) == OLD + b"ne"
        killed.close()


def test_the_dirty_mark_comes_before_the_first_changed_byte(parts: Parts) -> None:
    """Right as designed: no half-written byte is ever called clean."""
    row = parts.row("/f", OLD, token_of(OLD))

    class Watching(DataFile):
        def write(self, offset: int, data: bytes | memoryview) -> None:
            found = parts.index.find("/f")
            assert found is not None
            assert found.generation != found.stored_generation
            seen.append(offset)
            super().write(offset, data)

    seen: list[int] = []
    with closing(
        CachedFile(row, disk_with(parts, Watching), parts.index, parts.clock, parts.table.space)
    ) as file:
        file.write(5, b"x")
        assert seen == [5]


@pytest.mark.parametrize("whole", [True, False])
def test_a_full_disk_leaves_the_file_as_it_was(parts: Parts, whole: bool) -> None:
    """Space is checked before accepting."""
    row = parts.row("/f", OLD if whole else None, token_of(OLD))

    class Full(DataFile):
        def write(self, offset: int, data: bytes | memoryview) -> None:
            raise CacheFull("no room")

    with closing(
        CachedFile(row, disk_with(parts, Full), parts.index, parts.clock, parts.table.space)
    ) as file:
        with pytest.raises(CacheFull):
            file.write(200, b"abc")
        assert file.size == 100
        assert file.read(0, 100) == (OLD if whole else None)


def test_append_goes_to_the_files_own_end(parts: Parts) -> None:
    """R15: whatever offset arrives."""
    with closing(parts.load(parts.row("/f", base=token_of(OLD)))) as file:
        file.write(3, b"tail", append=True)
        assert file.size == 104
        assert file.read(100, 9) == b"tail"


def test_truncate_then_extend_reads_zeros(parts: Parts) -> None:
    for whole in (True, False):
        file = parts.load(parts.row(f"/{whole}", OLD if whole else None, token_of(OLD)))
        file.truncate(20)
        file.truncate(60)
        assert file.read(20, 40) == bytes(40)
        killed = parts.again(f"/{whole}")
        assert killed.size == 60
        assert killed.read(20, 40) == bytes(40)
        killed.close()
        file.close()


def test_r03_the_ticket_is_what_it_was_when_cut(parts: Parts) -> None:
    """R3: overwritten, cut and extended while it is being sent."""
    with closing(parts.load(parts.row("/f", OLD, token_of(OLD)))) as file:
        file.write(0, b"first")
        wanted = file.read(0, 100)
        ticket = ticket_of(file)
        chunks = file.ticket_chunks(ticket)
        file.write(50, b"second")
        file.truncate(10)
        file.write(200, b"third")
        assert b"".join(chunks) == wanted
        file.stored(token_of(wanted or b""))
        assert file.is_dirty
        assert sent(file, ticket_of(file)) == file.read(0, 205)


def test_r03_a_file_cut_under_its_upload_goes_on_in_a_new_data_file(parts: Parts) -> None:
    """Nothing is copied but what is left, which is nothing: the upload keeps the old data file."""
    content = os.urandom(3 << 20)
    with closing(parts.load(parts.row("/f", content, token_of(content)))) as file:
        file.counted(len(content))
        file.write(0, b"first")
        ticket = ticket_of(file)
        chunks = file.ticket_chunks(ticket)
        begun = next(chunks)
        file.write(2 << 20, b"second")
        file.truncate(10)
        assert file.read(0, 100) == b"first" + content[5:10]
        assert parts.table.space.used_bytes <= len(content) + BLOCK
        file.write(2 << 20, b"third")
        file.truncate((2 << 20) + 1)
        assert file.read(10, 2 << 20) == bytes((2 << 20) - 10) + b"t"
        assert begun + b"".join(chunks) == b"first" + content[5:]
        killed = parts.again("/f")
        assert killed.read(0, 2 << 20) == b"first" + content[5:10] + bytes((2 << 20) - 10)
        killed.close()
        file.stored(token_of(b"first" + content[5:]))
        assert parts.table.space.used_bytes < BLOCK
        assert sent(file, ticket_of(file)) == file.read(0, 3 << 20)


def test_r03_r21_a_long_end_is_copied_aside_in_parts_for_which_there_is_room(parts: Parts) -> None:
    """Between two parts others have the file; where the room ends, nothing has changed."""
    content = os.urandom(1 << 20) * (3 * (AT_ONCE >> 20))
    with closing(parts.load(parts.row("/f", content, token_of(content)))) as file:
        file.counted(len(content))
        file.write(0, b"first")
        ticket = ticket_of(file)
        asked: list[int] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(parts.disk, "require_room", asked.append)
            patch.setattr(parts.table.space, "limit_bytes", 0)
            file.truncate(AT_ONCE + 1)
        assert asked == [AT_ONCE, AT_ONCE - 1]
        assert file.size == AT_ONCE + 1
        assert (
            hashlib.md5(sent(file, ticket)).digest() == hashlib.md5(b"first" + content[5:]).digest()
        )


def test_r21_where_there_is_no_room_to_keep_the_end_a_file_stays_as_it_was(parts: Parts) -> None:
    content = os.urandom(1 << 20) * 3
    with closing(parts.load(parts.row("/f", content, token_of(content)))) as file:
        file.write(0, b"first")
        ticket = ticket_of(file)

        def full(size: int) -> None:
            raise CacheFull("no room")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(parts.disk, "require_room", full)
            patch.setattr(parts.table.space, "limit_bytes", 0)
            with pytest.raises(CacheFull):
                file.truncate(2 << 20)
            assert file.read(0, 4 << 20) == b"first" + content[5:]
            file.truncate(0)
        assert file.size == 0
        assert sent(file, ticket) == b"first" + content[5:]


def test_r07_only_the_tickets_generation_becomes_clean(parts: Parts) -> None:
    with closing(parts.load(parts.row("/f", OLD, token_of(OLD)))) as file:
        file.write(0, b"1")
        ticket = ticket_of(file)
        generation = file.generation
        file.write(1, b"2")
        file.stored(token_of(b"1" + OLD[1:]))
        assert file.is_dirty
        file.wait_stored(generation, 0)
        ticket = ticket_of(file)
        content = sent(file, ticket)
        file.stored(token_of(content))
        killed = parts.again("/f")
        assert [file.is_dirty, killed.is_dirty] == [False, False]
        assert killed.read(0, 3) == b"12" + OLD[2:3]
        killed.close()


def test_r02_a_put_that_began_is_on_record_until_it_is_proved(parts: Parts) -> None:
    with closing(parts.load(parts.row("/f", OLD, token_of(OLD)))) as file:
        file.write(0, b"1")
        ticket = ticket_of(file)
        file.begin_put(ticket, durable=True)
        killed = parts.again("/f")
        assert killed.upload_state is Upload.IN_DOUBT
        assert killed.put is not None
        assert (killed.put.generation, killed.put.size) == (ticket.generation, 100)
        killed.close()
        file.stored(token_of(sent(file, ticket)))
        again = parts.again("/f")
        assert again.put is None
        assert again.upload_state is Upload.IDLE
        again.close()


def test_a_failed_upload_stays_failed(parts: Parts) -> None:
    with closing(parts.load(parts.row("/f", OLD, token_of(OLD)))) as file:
        file.write(0, b"1")
        assert file.queue()
        file.give_up(Event.FAIL, RemoteFailed("it said no"))
        killed = parts.again("/f")
        assert killed.upload_state is Upload.FAILED
        assert "it said no" in killed.error
        assert killed.attempts == 1
        killed.close()


def test_r12_a_new_version_is_a_new_data_file(parts: Parts) -> None:
    with closing(parts.load(parts.row("/f", OLD, token_of(OLD)))) as file:
        number = file.number
        claims, _ = file.claim_missing(0, 100, ranges=True)
        assert claims == []
        new = token_of(b"new")
        assert not file.revalidate(new, 7)
        assert file.number > number
        assert file.size == 3
        assert file.read(0, 3) is None
        assert parts.disk.data_numbers() == [file.number]
        claims, base = file.claim_missing(0, 3, ranges=True)
        assert base == new
        assert file.accept(claims[0], 0, b"new")
        file.release_claim(claims[0], None)
        assert file.read(0, 9) == b"new"
        assert file.revalidate(new, 7)
        assert file.read(0, 9) == b"new"


def test_r12_a_claim_dies_with_its_version(parts: Parts) -> None:
    with closing(parts.load(parts.row("/f", base=token_of(OLD)))) as file:
        claims, _ = file.claim_missing(0, 100, ranges=True)
        assert file.accept(claims[0], 0, OLD[:50])
        assert not file.revalidate(token_of(b"other" * 20), 7)
        assert not file.accept(claims[0], 50, OLD[50:])
        assert file.gaps == [(0, 100)]


def test_r12_the_failure_of_a_download_dies_with_its_version(parts: Parts) -> None:
    """Who waits for the new version does not get the old one's VersionChanged."""
    with closing(parts.load(parts.row("/f", base=token_of(OLD)))) as file:
        (old,), _ = file.claim_missing(0, 100, ranges=True)
        assert not file.revalidate(token_of(b"other" * 20), 7)
        before = file.failure_count
        file.release_claim(old, VersionChanged("another version"))
        assert file.failure_count == before
        (new,), _ = file.claim_missing(0, 100, ranges=True)
        file.release_claim(new, VersionChanged("yet another"))
        with pytest.raises(VersionChanged, match="yet another"):
            file.wait_for(0, 100, before, Patience(1.0))


def test_a_dirty_file_is_never_revalidated(parts: Parts) -> None:
    with closing(parts.load(parts.row("/f", OLD, token_of(OLD)))) as file:
        file.write(0, b"mine")
        assert not file.revalidate(token_of(b"theirs"), 7)
        assert file.read(0, 4) == b"mine"


def test_a_download_never_overwrites_what_was_written(parts: Parts) -> None:
    with closing(parts.load(parts.row("/f", base=token_of(OLD)))) as file:
        claims, _ = file.claim_missing(0, 100, ranges=False)
        file.write(10, b"mine")
        file.accept(claims[0], 0, OLD)
        assert file.read(0, 100) == OLD[:10] + b"mine" + OLD[14:]


def test_what_is_past_a_cut_is_not_fetched(parts: Parts) -> None:
    with closing(parts.load(parts.row("/f", base=token_of(OLD)))) as file:
        claims, _ = file.claim_missing(0, 100, ranges=False)
        file.truncate(30)
        file.truncate(50)
        file.accept(claims[0], 0, OLD)
        assert file.read(0, 100) == OLD[:30] + bytes(20)


def test_what_arrives_from_past_a_cut_is_not_kept(parts: Parts) -> None:
    """A download that began before the cut brings old bytes; the extension reads zeros."""
    with closing(parts.load(parts.row("/f", base=token_of(OLD)))) as file:
        claims, _ = file.claim_missing(0, 100, ranges=False)
        file.truncate(30)
        file.accept(claims[0], 0, OLD)
        file.state.check_invariants()
        file.truncate(50)
        assert file.read(0, 100) == OLD[:30] + bytes(20)


def test_r06_what_was_filled_in_from_elsewhere_is_taken_back(parts: Parts) -> None:
    """All but our own bytes; the row says so, too."""
    base = VersionToken(100, "a" * 32)
    file = parts.load(parts.row("/f", base=base))
    file.write(40, b"ours")
    holes = file.gaps
    claims, _ = file.claim_missing(0, 100, ranges=False)
    for claim in claims:
        assert file.accept(claim, claim.start, b"x" * (claim.end - claim.start))
        file.release_claim(claim, None)
    assert file.gaps == []
    file.write(10, b"OURS")
    file.take_back(holes)
    assert file.gaps == [(0, 10), (14, 40), (44, 100)]
    assert (file.read(10, 4), file.read(40, 4)) == (b"OURS", b"ours")
    file.close()
    again = parts.again("/f")
    assert again.gaps == [(0, 10), (14, 40), (44, 100)]
    again.close()
