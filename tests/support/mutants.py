"""Deliberate defects of the cache; each is killed by a test that names what it would break.

`python -m tests.support.mutants [WORD...]` makes a copy of vofs for each (whose name holds a WORD),
changes the one place there, runs the tests that must notice, and prints which test killed it.  A
mutant that lives is a missing test: exit code 1.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SESSION = "tests/integration/session"
MOST_S = 120.0
VOUCHED = (  # of FileCore.sync: the index says that the data is on the disk
    "        with self.lock:\n            self._is_durable(generation)\n            self._save("
    "whole=True if sound and self.state.is_sound else None, durable=True)\n"
)
_LOOK = "look=lambda: self._confirm_base(file, anew=True)"
FILLED = f"        self._fetcher.fill(file, inside=True, {_LOOK})\n"
REBASED = """\
        from vofs.core.attributes import version_token
        while file.gaps:
            try:
                self._fetcher.fill(file, inside=True)
            except VersionChanged:
                file.state.base = version_token(self._remote.get_node(file.path))
"""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One defect.

    Attributes:
        name: what is wrong.
        path: of the module, below vofs/.
        old: what stands there, exactly once.
        new: what stands there instead.
        tests: who must notice, as pytest is told; each of them alone would do.
    """

    name: str
    path: str
    old: str
    new: str
    tests: tuple[str, ...]


MUTANTS = (
    Mutant(
        "dirty cleared without the generation check",
        "core/filestate.py",
        "        self.stored_generation = ticket.generation\n",
        "        self.stored_generation = self.generation\n",
        ("tests/unit/cache/test_cachedfile.py::test_r07_only_the_tickets_generation_becomes_clean",),
    ),
    Mutant(
        "accept overwrites present bytes",
        "core/fetchstate.py",
        "self.backing_end)))\n        return self.present.gaps(start, end)\n",
        "self.backing_end)))\n        return [(start, end)] if start < end else []\n",
        ("tests/unit/cache/test_cachedfile.py::test_a_download_never_overwrites_what_was_written",),
    ),
    Mutant(
        "backing_end ignored",
        "core/fetchstate.py",
        "(first, min(claim.end, self.backing_end))",
        "(first, claim.end)",
        ("tests/models/test_filestate.py",),
    ),
    Mutant(
        "a dirty range is evicted",
        "core/fetchstate.py",
        "            and not self.dirty.overlaps(start, end)\n",
        "",
        ("tests/models/test_eviction.py", "tests/models/test_filestate.py"),
    ),
    Mutant(
        "a conflict is not noticed",
        "cache/upload.py",
        "        if node is not None and is_foreign(self._remote, file, node):\n",
        "        if False:\n",
        (f"{SESSION}/test_conflicts.py::test_r11_both_are_kept_and_both_are_shown",),
    ),
    Mutant(
        "late clean-up by path is not waited for",
        "cache/doubt.py",
        "        return path in self._broken\n",
        "        return False\n",
        (f"{SESSION}/test_doubts.py::test_r01_what_the_old_handler_truncates_late_is_sent_again",),
    ),
    Mutant(
        "an own torn PUT is taken for a foreign truncation",
        "cache/foreign.py",
        "        return not _is_torn(remote, file, token, given_up)\n",
        "        return True\n",
        (f"{SESSION}/test_doubts.py::test_r02_what_a_torn_put_leaves_is_no_foreign_change",
         f"{SESSION}/test_rules.py::test_r01_r02_a_torn_put_is_sent_again"),
    ),
    Mutant(
        "a listing that lags behind our own PUT is believed",
        "core/ownversions.py",
        "    if any(_shows(memory.ours, replaced, token) for replaced in old):\n",
        "    if False:\n",
        (f"{SESSION}/test_lag.py::test_r13_a_listing_that_lags_behind_our_upload_drops_nothing",),
    ),
    Mutant(
        "a flush before the data uploads an empty file",
        "mount/fileoperations.py",
        "        if handle.wrote:\n",
        "        if handle.changed:\n",
        (f"{SESSION}/test_rules.py::test_r04_creation_and_truncation_alone_are_not_flushed",),
    ),
    Mutant(
        "a stale size with O_APPEND",
        "cache/cachedfile.py",
        "            start = self.state.size if append else offset\n",
        "            start = offset\n",
        (f"{SESSION}/test_rules.py::test_r15_append_goes_to_the_end_whatever_offset_arrives",),
    ),
    Mutant(
        "a version change between two ranges",
        "remote/byteio.py",
        "        _prove(response, total, expected)\n",
        "",
        (f"{SESSION}/test_content.py::test_r12_a_change_between_two_ranges_of_one_read",
         f"{SESSION}/test_rules.py::test_r12_a_change_between_two_ranges_never_mixes"),
    ),
    Mutant(
        "the second rename fails, and the name does not come back",
        "mount/operations.py",
        "                self._parts.namespace.attach_again(replaced)\n",
        "",
        (f"{SESSION}/test_rules_of_names.py::test_r09_when_the_second_rename_fails_the_name_comes_back",),
    ),
    Mutant(
        "ENOSYS is let out",
        "core/errnos.py",
        "        return errno.EOPNOTSUPP if number == errno.ENOSYS else number\n",
        "        return number\n",
        ("tests/unit/mount/test_boundary.py", "tests/unit/core/test_errnos.py"),
    ),
    Mutant(
        "a short read",
        "cache/cachedfile.py",
        "            if not self.state.present.covers(offset, end):\n                return None\n",
        "            if gaps := self.state.gaps(offset, end):\n                end = gaps[0][0]\n",
        ("tests/concurrency/test_reads.py", f"{SESSION}/test_rules.py"),
    ),
    Mutant(
        "a change of boot_id is ignored",
        "cache/indexfile.py",
        "            lost = before is not None and before != boot_id and not clean\n",
        "            lost = False\n",
        (f"{SESSION}/test_power_loss.py::test_r05_a_clean_copy_is_served_only_with_the_right_md5",
         f"{SESSION}/test_power_loss.py::test_r05_anything_else_never_goes_over_a_node"),
    ),
    Mutant(
        "the dirty mark comes after the pwrite",
        "cache/cachedfile.py",
        "            self._before_change(start, end)\n"
        "            before = self.state.size\n"
        "            self._sparse = self._sparse or start > before\n"
        "            try:\n"
        "                self._data.write(start, data)\n",
        "            before = self.state.size\n"
        "            self._sparse = self._sparse or start > before\n"
        "            try:\n"
        "                self._data.write(start, data)\n"
        "                self._before_change(start, end)\n",
        (f"{SESSION}/test_crash_regressions.py::test_r02_no_changed_byte_is_called_clean",),
    ),
    Mutant(
        "a ticket without copying aside",
        "core/filestate.py",
        "        return self._aside.gaps(start, end)\n",
        "        return []\n",
        ("tests/unit/cache/test_cachedfile.py::test_r03_the_ticket_is_what_it_was_when_cut",),
    ),
    Mutant(
        "holes are filled from the new version",
        "cache/upload.py",
        FILLED,
        REBASED,
        (f"{SESSION}/test_writes.py"
         "::test_r06_holes_of_a_version_that_is_gone_are_never_filled_from_another",),
    ),
    Mutant(
        "unlink discards before DELETE is confirmed",
        "mount/namespace.py",
        "self._delete(self._parts.journal.advance(",
        "self._gone_here(standing)\n            self._delete(self._parts.journal.advance(",
        (f"{SESSION}/test_rules_of_names.py::test_r08_a_refused_deletion_keeps_what_is_pending",),
    ),
    Mutant(
        "the cache of another identity is adopted",
        "cache/indexfile.py",
        "        if identity not in (None, self.identity):\n",
        "        if False:\n",
        ("tests/unit/cache/test_index.py", "tests/unit/cache/test_index_refused.py"),
    ),
    Mutant(
        "fsync commits the index before the data is on the disk",
        "cache/filecore.py",
        f"        self.sync_data()\n{VOUCHED}",
        f"{VOUCHED}        self.sync_data()\n",
        (f"{SESSION}/test_durability.py::test_r18_a_power_loss_during_fsync_leaves_no_mixture",),
    ),
    Mutant(
        "fsync leaves the data in memory",
        "cache/filecore.py",
        "            data.sync()\n",
        "            pass\n",
        (f"{SESSION}/test_promises.py::test_fsync_brings_data_and_index_to_the_disk",),
    ),
    Mutant(
        "fsync commits the index as any commit",
        "cache/filecore.py",
        "self.state.is_sound else None, durable=True)",
        "self.state.is_sound else None)",
        (f"{SESSION}/test_promises.py::test_fsync_brings_data_and_index_to_the_disk",),
    ),
    Mutant(
        "fsync leaves the name of a data file in memory",
        "cache/filecore.py",
        "            self._disk.sync_names()\n",
        "",
        (f"{SESSION}/test_durability.py"
         "::test_r18_fsync_of_a_file_that_was_cut_under_its_upload",),
    ),
    Mutant(
        "put_started is committed without the data",
        "cache/sending.py",
        "            self.sync_data()\n",
        "            pass\n",
        (f"{SESSION}/test_durability.py"
         "::test_r02_put_started_is_on_the_disk_with_all_that_a_torn_put_needs",),
    ),
    Mutant(
        "a clean stop without syncing the cache",
        "mount/session.py",
        "            self._disk.sync()\n",
        "",
        (f"{SESSION}/test_durability.py"
         "::test_r05_after_a_clean_stop_everything_is_on_the_disk",),
    ),
    Mutant(
        "the properties of a node that was deleted to be made again are forgotten",
        "cache/emptyfile.py",
        "                self.settle(intent)\n",
        "                self._journal.forget(intent)\n",
        (f"{SESSION}/test_restarts.py"
         "::test_r04_killed_while_an_empty_file_is_made_again_it_keeps_its_properties",),
    ),
    Mutant(
        "after a restart the paths of an intent are not held",
        "mount/session.py",
        "                hold = self._parts.gate.hold(intent.paths, 0)\n",
        "                hold = None\n",
        (f"{SESSION}/test_restarts.py"
         "::test_r08_after_a_restart_nothing_is_sent_below_an_unsettled_rename",),
    ),
    Mutant(
        "holes are filled without a look at the version",
        "cache/upload.py",
        "            self._confirm_filling(file, holes)\n",
        "            pass\n",
        (f"{SESSION}/test_holes.py::test_r06_where_no_md5_is_told_the_date_is_looked_at",),
    ),
    Mutant(
        "what fills holes is believed as it comes",
        "cache/proving.py",
        "            return self._judged(found, base, expected)\n",
        "            self._is_proved()\n            return None\n",
        (f"{SESSION}/test_holes.py"
         "::test_r06_a_damaged_download_is_never_sent_over_the_good_file",),
    ),
    Mutant(
        "what is here is sent without a proof",
        "core/basebytes.py",
        "        return bool(self.unproven) and self.expected is not None\n",
        "        return False\n",
        (f"{SESSION}/test_holes.py"
         "::test_r06_r08_what_was_not_proved_is_not_after_a_kill_either",),
    ),
)  # fmt: skip


def mutated(mutant: Mutant, folder: Path) -> None:
    """Make a copy of vofs below `folder` with the defect in it.

    Raises:
        AssertionError: what the mutant changes is not there, or not once: its list is stale.
    """
    shutil.copytree(ROOT / "vofs", folder / "vofs", ignore=shutil.ignore_patterns("__pycache__"))
    place = folder / "vofs" / mutant.path
    text = place.read_text()
    assert text.count(mutant.old) == 1, f"{mutant.name}: stands {text.count(mutant.old)} times"
    place.write_text(text.replace(mutant.old, mutant.new))


def killers(mutant: Mutant) -> list[str]:
    """The tests that fail with the defect; empty when it lives.

    Raises:
        RuntimeError: pytest could not run them.
    """
    with tempfile.TemporaryDirectory(prefix="vofs-mutant-") as name:
        folder = Path(name)
        mutated(mutant, folder)
        command = [sys.executable, "-m", "pytest", "-n0", "-q", "-x", "-p", "no:cacheprovider"]
        command += ["-o", f"pythonpath={folder} {ROOT}", "-o", "console_output_style=classic"]
        done = subprocess.run(
            [*command, *mutant.tests], cwd=ROOT, capture_output=True, text=True, check=False,
            env=os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
            timeout=MOST_S,
        )  # fmt: skip
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{mutant.name}: pytest says\n{done.stdout}{done.stderr}")
    return list(dict.fromkeys(re.findall(r"^(?:FAILED|ERROR) \S*?::(\S+)", done.stdout, re.M)))


def main() -> int:
    """See the module's docstring."""
    words = sys.argv[1:]
    wanted = [one for one in MUTANTS if not words or any(word in one.name for word in words)]
    width = max(len(one.name) for one in wanted)
    lines = [f"{'mutant'.ljust(width)}  killed by"]
    lived = 0
    for mutant in wanted:
        found = killers(mutant)
        lived += not found
        lines.append(f"{mutant.name.ljust(width)}  {', '.join(found) or '*** nothing ***'}")
        print(lines[-1], flush=True)
    lines.append(f"{len(wanted) - lived} of {len(wanted)} mutants killed")
    print(lines[-1])
    report = ROOT / "report"
    report.mkdir(exist_ok=True)
    (report / "mutants.txt").write_text("\n".join(lines) + "\n")
    return 1 if lived else 0


if __name__ == "__main__":
    sys.exit(main())
