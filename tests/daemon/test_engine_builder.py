"""EngineBuilder models: real work in real processes that end well, badly, or not at all."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from daemon.inference.engine_builder import BuildJob, EngineBuilder
from daemon.records import ModelStatus
from engines.build.specification import Progress
from engines.errors import BuildError, EngineError, GpuMemoryError
from tests.conftest import wait_for


class Seen:
    """What the daemon gets."""

    def __init__(self) -> None:
        self.said: list[tuple[str, ModelStatus | EngineError | None]] = []
        """in the order told; None: built"""
        self.failures: list[BaseException] = []

    def report(self, job: BuildJob, status: ModelStatus) -> None:
        self.said.append((job.model, status))

    def ended(self, job: BuildJob, error: EngineError | None) -> None:
        self.said.append((job.model, error))

    def prepared(self) -> list[str]:
        return [model for model, status in self.said if status is None]

    def why(self) -> dict[str, str]:
        return {model: str(error) for model, error in self.said if isinstance(error, EngineError)}

    def progress(self) -> list[tuple[str, int | None]]:
        return [(s.detail, s.progress) for _, s in self.said if isinstance(s, ModelStatus)]


@contextmanager
def preparing(*jobs: BuildJob) -> Iterator[tuple[EngineBuilder, Seen]]:
    seen = Seen()
    made = EngineBuilder(seen.report, seen.ended, seen.failures.append)
    for one in jobs:
        made.add(one)
    made.start()
    try:
        yield made, seen
    finally:
        made.stop()
        assert made.join(5)
        assert not multiprocessing.active_children()
    assert not seen.failures


def job(work: Callable[[Progress], None], model: str = "m") -> BuildJob:
    return BuildJob(model, work)


def write_pid(file: Path, progress: Progress) -> None:
    """Work that ends at once; says in which process."""
    file.write_text(f"{os.getpid()} {os.nice(0)}")


def write_times(file: Path, progress: Progress) -> None:
    began = time.monotonic()
    time.sleep(0.1)
    file.write_text(f"{began} {time.monotonic()}")


def step_by_step(steps: int, seconds: float, progress: Progress) -> None:
    for step in range(steps):
        progress("stepping", step / steps)
        time.sleep(seconds / steps)
    progress("last touches", 1.0)


def never_end(started: Path, progress: Progress) -> None:
    """Keeps the CPU busy until it is killed."""
    started.write_text(str(os.getpid()))
    while True:
        progress("busy", 0.5)


def refuse(progress: Progress) -> None:
    raise BuildError("TensorRT says no; say please")


def blunder(progress: Progress) -> None:
    raise ZeroDivisionError("of nothing")


def leave(progress: Progress) -> None:
    os._exit(7)


def kill_by(number: signal.Signals, progress: Progress) -> None:
    os.kill(os.getpid(), number)


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_work_has_a_process_of_its_own(tmp_path: Path) -> None:
    with preparing(job(partial(write_pid, tmp_path / "pid"))) as (_, seen):
        wait_for(lambda: seen.prepared() == ["m"], "the model")
    pid, niceness = (tmp_path / "pid").read_text().split()
    assert int(pid) != os.getpid()
    assert int(niceness) > os.nice(0), "cameras go first"


def test_one_process_at_a_time(tmp_path: Path) -> None:
    files = [tmp_path / name for name in "ab"]
    with preparing(*(job(partial(write_times, file), file.name) for file in files)) as (_, seen):
        wait_for(lambda: len(seen.prepared()) == len(files), "both")
    (_, first_ended), (second_began, _) = (map(float, file.read_text().split()) for file in files)
    assert first_ended < second_began


def test_progress_is_told_in_whole_percents_and_not_too_often() -> None:
    began = time.monotonic()
    with preparing(job(partial(step_by_step, 1000, 2.0))) as (_, seen):
        wait_for(seen.prepared, "the end")
    took = time.monotonic() - began
    told = seen.progress()
    assert told[0] == ("starting", 0)
    assert told[-1] == ("last touches", 100), "a new kind of work is reported at once"
    steps = [percent for what, percent in told if what == "stepping"]
    assert steps == sorted(set(steps), key=lambda percent: percent or 0)
    assert 3 <= len(steps) <= took / 0.5 + 1


@pytest.mark.parametrize(
    ("work", "why"),
    [
        (refuse, "TensorRT says no; say please"),
        (blunder, "building failed with an unexpected error, see the log: ZeroDivisionError: of nothing"),
        (leave, "the process that built it ended with exit code 7; .*"),
        (
            partial(kill_by, signal.SIGKILL),
            "the process that built it was killed, probably out of memory; free some and send the command build-engine",
        ),
        (
            partial(kill_by, signal.SIGSEGV),
            "the process that built it was ended by SIGSEGV; `ospreyd engine build` says more about what it does",
        ),
    ],
)
def test_work_that_fails_stops_neither_the_next_nor_the_daemon(
    work: Callable[[Progress], None], why: str, tmp_path: Path
) -> None:
    with preparing(job(work, "bad"), job(partial(write_pid, tmp_path / "good"), "good")) as (_, seen):
        wait_for(seen.prepared, "the other model")
    assert seen.prepared() == ["good"]
    assert list(seen.why()) == ["bad"]
    assert re.fullmatch(why, seen.why()["bad"])


def no_memory(progress: Progress) -> None:
    raise GpuMemoryError("too little; run fewer models")


def test_the_kind_of_a_failure_is_told() -> None:
    """For what may succeed with smaller batches."""
    with preparing(job(no_memory)) as (_, seen):
        wait_for(seen.why, "the reason")
    assert isinstance(seen.said[-1][1], GpuMemoryError)


def test_stopping_kills_the_work_and_says_nothing(tmp_path: Path) -> None:
    with preparing(job(partial(never_end, tmp_path / "pid")), job(refuse, "next")) as (running, seen):
        wait_for((tmp_path / "pid").exists, "the work")
        wait_for(lambda: ("busy", 50) in seen.progress(), "its progress")
        pid = int((tmp_path / "pid").read_text())
        began = time.monotonic()
        running.stop()
        assert running.join(5)
        assert time.monotonic() - began < 2
        assert not alive(pid)
    assert not seen.why()
    assert not seen.prepared()


def test_who_stops_all_processes_at_once_sees_no_failure(tmp_path: Path) -> None:
    """systemd sends SIGTERM to the daemon and its child: the child may be gone before the daemon knows why."""
    with preparing(job(partial(never_end, tmp_path / "pid"))) as (running, seen):
        wait_for(lambda: ("busy", 50) in seen.progress(), "its progress")
        pid = int((tmp_path / "pid").read_text())
        os.kill(pid, signal.SIGTERM)
        wait_for(lambda: not alive(pid), "the end of the work")
        running.stop()
    assert not seen.why()


def test_a_job_may_come_while_another_is_done(tmp_path: Path) -> None:
    with preparing(job(partial(write_times, tmp_path / "first"), "first")) as (running, seen):
        wait_for(lambda: seen.prepared() == ["first"], "the first")
        running.add(job(partial(write_times, tmp_path / "second"), "second"))
        wait_for(lambda: seen.prepared() == ["first", "second"], "the second")


def test_a_cancelled_job_is_killed_and_not_told_of_again(tmp_path: Path) -> None:
    slow, waiting = job(partial(moving, tmp_path / "slow"), "slow"), job(refuse, "waiting")
    with preparing(slow, waiting, job(partial(write_times, tmp_path / "next"), "next")) as (running, seen):
        wait_for(lambda: (tmp_path / "slow").exists() and (tmp_path / "slow").read_text(), "the work")
        pid = int((tmp_path / "slow").read_text())
        running.cancel(waiting)
        running.cancel(slow)
        wait_for(lambda: seen.prepared() == ["next"], "the job after it")
        assert not alive(pid)
        assert not seen.why()


def test_an_unexpected_error_reaches_the_daemon() -> None:
    failures: list[BaseException] = []

    def broken(_job: BuildJob, _error: EngineError | None) -> None:
        raise ZeroDivisionError

    made = EngineBuilder(lambda *_: None, broken, failures.append)
    made.add(job(refuse))
    made.start()
    wait_for(lambda: failures, "the error")
    assert isinstance(failures[0], ZeroDivisionError)
    assert made.join(5)


def test_work_ends_with_a_daemon_that_was_killed(tmp_path: Path) -> None:
    """Nobody is left to tell of it."""
    file = tmp_path / "pid"
    starter = multiprocessing.get_context("spawn").Process(target=prepare_until_killed, args=(file,))
    starter.start()
    wait_for(lambda: file.exists() and file.read_text(), "the work")
    pid = int(file.read_text())
    starter.kill()
    starter.join()
    wait_for(lambda: not alive(pid), "its end")


def prepare_until_killed(file: Path) -> None:
    with preparing(job(partial(moving, file))):
        threading.Event().wait()


def moving(file: Path, progress: Progress) -> None:
    file.write_text(str(os.getpid()))
    for step in range(1_000_000):
        progress(f"step {step}", 0.0)
        time.sleep(0.01)
