"""The cache of engines: what is built once is found again, and nothing that is damaged or foreign is used."""

from __future__ import annotations

import errno
import fcntl
import json
import multiprocessing
import os
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engines.build.cache import EngineCache
from engines.errors import BuildError, CacheError
from tests.conftest import telling, wait_for

KEY = {"part": "detector", "onnx": "abc", "max_batch": 4}
DATA = b"a plan" * 1000
LOCKS = Path("/proc/locks")


def get(cache: EngineCache, key: dict[str, object] = KEY, data: bytes = DATA) -> tuple[Path, int]:
    """The file, and how often it had to be built."""
    calls = []

    def build() -> bytes:
        calls.append(1)
        return data

    path, _ = cache.get(key, ".plan", build)
    return path, len(calls)


def test_a_built_file_is_found(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path / "new" / "engines")
    path, first = get(cache)
    again, second = get(EngineCache(cache.folder))
    assert (first, second) == (1, 0)
    assert again == path
    assert path.read_bytes() == DATA
    assert cache.folder.stat().st_mode & 0o777 == 0o700
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("change", [{"onnx": "abd"}, {"max_batch": 8}, {"tensorrt": "tensorrt_rtx 1.7"}])
def test_another_key_is_built(tmp_path: Path, change: dict[str, object]) -> None:
    cache = EngineCache(tmp_path)
    first, _ = get(cache)
    other, built = get(cache, KEY | change)
    assert built == 1
    assert other != first
    assert len(cache.entries()) == 2


@pytest.mark.parametrize("harm", ["cut", "changed", "empty", "no notes", "broken notes", "gone"])
def test_a_damaged_file_is_rebuilt(tmp_path: Path, harm: str) -> None:
    cache = EngineCache(tmp_path)
    path, _ = get(cache)
    notes = path.with_suffix(".json")
    harms: dict[str, Callable[[], object]] = {
        "cut": lambda: path.write_bytes(DATA[:100]),
        "changed": lambda: path.write_bytes(DATA[:-1] + b"x"),
        "empty": lambda: path.write_bytes(b""),
        "no notes": notes.unlink,
        "broken notes": lambda: notes.write_text("{"),
        "gone": path.unlink,
    }
    harms[harm]()
    path, built = get(cache)
    assert built == 1
    assert path.read_bytes() == DATA
    assert get(cache)[1] == 0


def test_a_failed_build_leaves_no_file(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path)

    def fails() -> bytes:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        cache.get(KEY, ".plan", fails)
    assert cache.entries() == []
    assert get(cache)[1] == 1


def test_threads_build_once(tmp_path: Path) -> None:
    built = []
    begun = threading.Barrier(4)

    def build() -> bytes:
        built.append(1)
        return DATA

    def want() -> None:
        begun.wait()
        EngineCache(tmp_path).get(KEY, ".plan", build)

    threads = [threading.Thread(target=want) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 1


def _want(folder: Path, log: Path, begun: object) -> None:
    begun.wait()  # type: ignore[attr-defined]  # a barrier of the multiprocessing context

    def build() -> bytes:
        with log.open("a") as file:
            file.write("built\n")
        return DATA

    EngineCache(folder).get(KEY, ".plan", build)


def test_processes_build_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    log, begun = tmp_path / "log", context.Barrier(3)
    processes = [context.Process(target=_want, args=(tmp_path / "engines", log, begun)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert log.read_text() == "built\n"


def test_prune_deletes_the_least_recently_used(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path)
    paths = [get(cache, KEY | {"n": n}, bytes(10_000))[0] for n in range(4)]
    for age, path in zip((4000, 1000, 3000, 2000), paths, strict=True):
        notes = path.with_suffix(".json")
        used = notes.stat().st_mtime - age
        os.utime(notes, (used, used))
        path.with_suffix(".kernels").write_bytes(bytes(5_000))
    gone = cache.prune(35_000)
    assert {entry.path for entry in gone} == {paths[0], paths[2]}
    assert {entry.path for entry in cache.entries()} == {paths[1], paths[3]}
    assert not paths[0].with_suffix(".kernels").exists()
    get(cache, KEY | {"n": 3})
    assert cache.prune(20_000)[0].path == paths[1]  # 3 has just been used


def test_prune_deletes_partial_files_of_killed_processes(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path)
    old, new = tmp_path / "building-old", tmp_path / "building-new"
    for file in (old, new):
        file.write_bytes(DATA)
    hours_ago = time.time() - 7200
    os.utime(old, (hours_ago, hours_ago))
    cache.prune(10**9)
    assert (old.exists(), new.exists()) == (False, True)


def test_prune_deletes_orphaned_files(tmp_path: Path) -> None:
    """As processes that ended while they built, and engines that were deleted, leave them."""
    cache = EngineCache(tmp_path)
    kept, _ = get(cache)
    kept.with_suffix(".kernels").write_bytes(DATA)
    for name in ("calibration", "cuda"):
        (tmp_path / name).mkdir()
    foreign = tmp_path / "notes.txt"
    foreign.touch()
    timings = cache.path({"tensorrt": "1"}, ".timings")
    old_timings = cache.path({"tensorrt": "0"}, ".timings")
    for file in (timings, old_timings):
        file.write_bytes(DATA)
    os.utime(old_timings, (0, 0))
    for n, suffix in enumerate((".kernels", ".lock", ".plan", ".onnx", ".json")):
        cache.path({"n": n}, suffix).write_bytes(DATA)
    without_plan, _ = get(cache, {"n": 10})
    without_plan.unlink()
    expected = {kept, *(kept.with_suffix(s) for s in (".json", ".lock", ".kernels")), timings, foreign}
    cache.prune(10**9)
    assert {file for file in tmp_path.iterdir() if file.is_file()} == expected
    cache.prune(0)
    assert {file for file in tmp_path.iterdir() if file.is_file()} == {foreign}
    assert (tmp_path / "calibration").exists()


def test_prune_keeps_files_of_a_build_in_progress(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path)

    def build() -> bytes:
        kernels = cache.path(KEY, ".kernels")
        kernels.write_bytes(DATA)
        cache.prune(0)
        assert kernels.exists()
        assert cache.path(KEY, ".lock").exists()
        return DATA

    path, _ = cache.get(KEY, ".plan", build)
    assert path.exists()


def test_a_deleted_lock_file_is_recreated(tmp_path: Path) -> None:
    """Else the next builder would make a new lock file, and both would build."""
    cache, lock = EngineCache(tmp_path), EngineCache(tmp_path).path(KEY, ".lock")
    held: list[bool] = []

    def second() -> bytes:
        with lock.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                held.append(True)
        return DATA

    waiting = threading.Thread(target=lambda: cache.get(KEY, ".plan", second))

    def first() -> bytes:
        waiting.start()
        inode = f":{lock.stat().st_ino} "
        wait_for(lambda: any("->" in line and inode in line for line in LOCKS.read_text().splitlines()), "the lock")
        lock.unlink()  # as `prune` does while it holds the lock
        raise BuildError("not this time")

    with pytest.raises(BuildError):
        cache.get(KEY, ".plan", first)
    waiting.join()
    assert held == [True]


def test_a_build_prunes_to_the_limit_but_keeps_its_own_file(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path)
    old, _ = get(cache)
    new, _ = cache.get({"n": 1}, ".plan", lambda: bytes(50_000), limit=1_000)
    assert [entry.path for entry in cache.entries()] == [new]
    assert not old.exists()


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_a_folder_writable_by_others_is_refused(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "engines"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(CacheError, match=telling(f"chmod 700 {folder}")):
        EngineCache(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "engines"
    folder.mkdir(mode=0o700)
    os.chown(folder, 12345, 12345)
    with pytest.raises(CacheError, match=telling(folder, "12345")):
        EngineCache(folder)


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "engines"
    folder.touch()
    with pytest.raises(CacheError, match=telling(folder, os.strerror(errno.EEXIST))):
        EngineCache(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_is_reported(tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", str(folder)]
    mounted = subprocess.run(mount, check=False, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    try:
        cache = EngineCache(folder)
        with pytest.raises(CacheError, match=telling(folder, "8 MB")):
            cache.get(KEY, ".plan", lambda: bytes(8_000_000))
        assert {file.suffix for file in folder.iterdir()} <= {".lock"}
        assert get(cache)[1] == 1
    finally:
        subprocess.run(["umount", folder], check=True)


def test_metadata_has_the_key(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path)
    path, _ = get(cache)
    (entry,) = cache.entries()
    assert entry.key == KEY
    assert entry.path == path
    assert entry.size == len(DATA) + path.with_suffix(".json").stat().st_size
    assert json.loads(path.with_suffix(".json").read_text())["key"] == KEY
