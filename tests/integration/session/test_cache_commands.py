"""`vofs cache ls|check|recover`: the cache of a mount that is gone (interface.md 3)."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.integration.session.conftest import Open
from tests.support.logs import ExpectLog
from tests.support.oldformats import old_index
from tests.support.sessions import Stage
from vofs.cache.inspection import Entry, State
from vofs.cache.recovering import new_file
from vofs.cli.vofs import main


@pytest.fixture
def stage(open_stage: Open, expect_log: ExpectLog) -> Stage:
    """An unmounted cache: a clean file, a new one, a changed one with holes, one in a directory."""
    stage = open_stage("vault")
    stage.store("/clean", b"the service has it")
    stage.store("/holes", b"0123456789")
    stage.mkdir("/d")
    mount = stage.mount(threads=False)
    mount.get("/clean")
    for path, data, offset in (("/new", b"never sent", 0), ("/d/new", b"neither", 0)):
        handle = mount.create(path)
        mount.write(handle, data, offset)
        mount.call("utimens", path, (0, 5_000_000_000))
        mount.call("release", handle)
    handle = mount.open("/holes", 2)
    mount.write(handle, b"ab", 4)
    mount.call("release", handle)
    mount.stop()
    return stage


def run(capsys: pytest.CaptureFixture[str], *words: object, code: int = 0) -> str:
    """The command's stdout, or its one line of stderr when it fails."""
    assert main(["cache", *map(str, words)]) == code
    out, err = capsys.readouterr()
    return out or err


def value(capsys: pytest.CaptureFixture[str], *words: object, code: int = 0) -> Any:
    return json.loads(run(capsys, *words, "--json", code=code))


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below `folder`."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def data_of(stage: Stage, content: bytes) -> Path:
    """The data file that holds `content`."""
    data = (stage.cache_dir / "data").iterdir()
    return next(path for path in data if path.read_bytes() == content)


def test_ls_tells_what_is_in_it_and_changes_nothing(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(stage.cache_dir)
    listed = value(capsys, "ls", stage.cache_dir)
    files = {
        file["path"]: (file["size"], file["present"], file["state"]) for file in listed["files"]
    }
    assert files == {
        "/t0/clean": (18, 18, "clean"),
        "/t0/d/new": (7, 7, "unsent"),
        "/t0/holes": (10, 2, "unsent"),
        "/t0/new": (10, 10, "unsent"),
    }
    assert (listed["unsent"], listed["leftovers"], listed["set_aside"]) == (3, [], [])
    assert listed["identity"] == stage.remote.capabilities.identity
    text = run(capsys, "ls", stage.cache_dir)
    assert "files: 4, never uploaded: 3" in text
    assert contents(stage.cache_dir) == before


def test_check_compares_with_the_data_files_and_their_md5(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    assert value(capsys, "check", stage.cache_dir) == {"files": 4, "damaged": []}
    data_of(stage, b"the service has it").write_bytes(b"the disk has this.")
    os.truncate(data_of(stage, b"never sent"), 3)
    checked = value(capsys, "check", stage.cache_dir, code=1)
    found = {file["path"]: file["problem"] for file in checked["damaged"]}
    assert set(found) == {"/t0/clean", "/t0/new"}
    assert "MD5" in found["/t0/clean"]
    assert "ends at 3" in found["/t0/new"]
    text = run(capsys, "check", stage.cache_dir, code=1)
    assert "can be fetched again" in text
    assert "NEVER UPLOADED" in text


@pytest.mark.promise("The cache", "Without a mount")
def test_recover_copies_what_was_never_sent_under_its_names(
    stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`vofs cache ls DIR` lists what a cache holds whose mount is gone, `check` compares it with
    its data files and their MD5, and `recover DIR [INTO]` copies what was never uploaded to INTO
    (`./recovered-TIME`), under the original names and times. A file whose other bytes are not here
    is called `NAME.partial`, and the answer says which bytes those are. Nothing is overwritten,
    the cache is not changed, and a cache that a mount uses is refused."""
    before, into = contents(stage.cache_dir), tmp_path / "out"
    recovered = value(capsys, "recover", stage.cache_dir, into)
    assert contents(into) == {
        "t0/new": b"never sent",
        "t0/d/new": b"neither",
        "t0/holes.partial": b"\0\0\0\0ab\0\0\0\0",
    }
    assert {one["path"]: one["missing"] for one in recovered}["/t0/holes"] == [[0, 4], [6, 10]]
    assert (into / "t0/new").stat().st_mtime == 5
    (into / "t0/new").write_bytes(b"mine by now")
    text = run(capsys, "recover", stage.cache_dir, into)
    assert "PARTIAL, 10 bytes, these are not here: 0-4, 6-10" in text
    assert (into / "t0/new").read_bytes() == b"mine by now"
    assert (into / "t0/new.1").read_bytes() == b"never sent"
    assert contents(stage.cache_dir) == before


def test_recover_goes_where_one_is_when_no_place_is_given(
    stage: Stage,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    run(capsys, "recover", stage.cache_dir)
    (into,) = (tmp_path / "here").iterdir()
    assert into.name.startswith("recovered-2")
    assert (into / "t0/d/new").read_bytes() == b"neither"


def test_recover_takes_out_what_is_left_of_damaged_files(
    stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str], expect_log: ExpectLog
) -> None:
    """Found by this command, or set aside by a mount before."""
    os.truncate(data_of(stage, b"never sent"), 5)
    recovered = value(capsys, "recover", stage.cache_dir, tmp_path / "a", code=1)
    (new,) = [one for one in recovered if one["path"] == "/t0/new"]
    assert new["problem"]
    assert new["missing"] == [[5, 10]]
    assert (tmp_path / "a/t0/new").read_bytes() == b"never\0\0\0\0\0"
    expect_log("is set aside", level=40)
    expect_log("of an earlier mount")
    stage.mount(threads=False).stop()
    listed = value(capsys, "ls", stage.cache_dir)
    assert [file["path"] for file in listed["files"] if file["state"] == "damaged"] == ["/t0/new"]
    value(capsys, "recover", stage.cache_dir, tmp_path / "b", code=1)
    assert contents(tmp_path / "b")["t0/new.damaged"] == b"never\0\0\0\0\0"


def test_a_cache_in_use_is_refused(
    stage: Stage, capsys: pytest.CaptureFixture[str], expect_log: ExpectLog
) -> None:
    expect_log("of an earlier mount")
    mount = stage.mount(threads=False)
    for command in ("ls", "check", "recover"):
        assert "a mount uses the cache" in run(capsys, command, stage.cache_dir, code=1)
    mount.stop()


def test_what_is_no_cache_is_said_and_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for directory in (tmp_path, tmp_path / "missing"):
        assert "is no cache of vofs" in run(capsys, "ls", directory, code=1)
    assert list(tmp_path.iterdir()) == []


def test_an_index_that_cannot_be_read_still_gives_its_data(
    stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (stage.cache_dir / "index.sqlite").write_bytes(b"gone" * 1000)
    assert "vofs cache recover" in run(capsys, "ls", stage.cache_dir, code=1)
    assert "vofs cache recover" in run(capsys, "check", stage.cache_dir, code=1)
    assert main(["cache", "recover", str(stage.cache_dir), str(tmp_path / "out")]) == 0
    err = capsys.readouterr().err
    assert "without their names" in err
    assert b"never sent" in contents(tmp_path / "out").values()


def test_a_cache_that_was_set_aside_is_read_like_any_other(
    stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str], expect_log: ExpectLog
) -> None:
    expect_log("set aside as")
    whole = tmp_path / "whole"
    shutil.copytree(stage.cache_dir, whole)
    (stage.cache_dir / "index.sqlite").write_bytes(b"gone" * 1000)
    stage.mount(threads=False).stop()
    (kept,) = value(capsys, "ls", stage.cache_dir)["set_aside"]
    shutil.copy(whole / "index.sqlite", Path(kept) / "index.sqlite")
    assert value(capsys, "ls", kept)["unsent"] == 3


def test_an_older_format_is_read_and_not_migrated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = tmp_path / "cache"
    cache.mkdir(mode=0o700)
    old_index(cache / "index.sqlite")
    before = (cache / "index.sqlite").read_bytes()
    listed = value(capsys, "ls", cache)
    states = {file["path"]: file["state"] for file in listed["files"]}
    assert states == {"/clean": "clean", "/dirty": "conflict (partial)"}
    assert (cache / "index.sqlite").read_bytes() == before


def test_names_lead_nowhere_else(tmp_path: Path) -> None:
    entry = Entry(1, "/../../etc/passwd", 0, State.UNSENT, (), None, None, "")
    path, descriptor = new_file(tmp_path, entry, "")
    os.close(descriptor)
    assert path.relative_to(tmp_path) == Path("%2E%2E/%2E%2E/etc/passwd")
