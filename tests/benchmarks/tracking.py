"""Tracking scored on annotated sequences: `python -m tests.benchmarks.tracking FOLDER ... [--rate 5] [--json]`.

A folder holds sequences, or is one: `det.txt`, `gt.txt` and `seqinfo.ini` as in the MOT Challenge, and `parked.txt`
with `frame,id` where it is known what stands. What is scored is what would be published: objects that are reported.
`--speed` tells what one frame costs instead.
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daemon.analysis.association import similarity
from daemon.analysis.geometry import View
from daemon.analysis.scene import Scene, SceneSettings
from daemon.config.tracking import Tracking
from daemon.records import EventType
from daemon.records.objects import LeftReason
from tests.benchmarks.mot_areas import LINES, ZONES, true_crossings_and_stays
from tests.benchmarks.mot_scores import Told, Tracked, agreement, comparable, f1, identity, pairs
from tests.benchmarks.mot_sequences import RATES, Floats, Sequence, looked_at, read

_SEEDS = {"irregular": (0, 1)}
_LINE_TOLERANCE, _ZONE_TOLERANCE = 1.5, 2.0  # seconds
_SIZE = np.array([40.0, 100.0])  # pixels
_LONG_PARKED = 20  # frames in which a parked object must have been found to be judged


@dataclass
class Run:
    """What was told of one sequence."""

    tracked: dict[int, tuple[NDArray[np.int64], Floats]] = field(default_factory=dict)
    standing: dict[int, list[bool]] = field(default_factory=dict)
    """of each of them"""
    crossings: list[Told] = field(default_factory=list)
    stays: list[Told] = field(default_factory=list)


def run(sequence: Sequence, frames: list[tuple[int, float]], tracking: Tracking, confidence: float) -> Run:
    """Follows the objects of a sequence through these frames."""
    result = Run()
    scene = scene_of(tracking, confidence, sequence.width, sequence.height)
    events = []
    for frame, at in frames:
        boxes, scores = sequence.found[frame]
        seen = scene.see(boxes, scores, np.zeros(len(boxes), np.int64), at, at, frame)
        told = [(index, each) for index, each in enumerate(seen.objects) if each is not None]
        rows = [index for index, _ in told]
        result.tracked[frame] = np.array([each.number for _, each in told], np.int64), boxes[rows]
        result.standing[frame] = [each.stationary for _, each in told]
        events += seen.events
    events += scene.end(LeftReason.SHUTDOWN, frames[-1][1])
    for event in events:
        if event.type is EventType.LINE_CROSSED and event.line and event.direction:
            result.crossings.append((event.line, event.time, event.direction.value))
        elif event.type in (EventType.ZONE_ENTERED, EventType.ZONE_LEFT) and event.zone:
            way = "in" if event.type is EventType.ZONE_ENTERED else "out"
            result.stays.append((event.zone, event.time, way))
    return result


def scene_of(tracking: Tracking, confidence: float, width: int, height: int, *, areas: bool = True) -> Scene:
    """Of one class, with the lines and zones of the benchmark or none."""
    numbers = itertools.count(1)
    zones, lines = (ZONES, LINES) if areas else ({}, {})
    settings = SceneSettings(tracking, confidence, None, {}, zones, lines)
    return Scene(
        "benchmark", settings, ["object"], View(width, height), lambda _: (str(number := next(numbers)), number)
    )


def _parked(sequence: Sequence, run: Run) -> tuple[dict[int, set[int]], int, int]:
    """Numbers that each parked object got; in how many of its frames it was found, and stood."""
    numbers: dict[int, list[int]] = defaultdict(list)
    stood: dict[int, int] = defaultdict(int)
    for frame, (ids, boxes) in run.tracked.items():
        truth = sequence.truth[frame]
        for row, column in pairs(similarity(truth.boxes.T, boxes.T)):
            if (number := int(truth.ids[row])) in (sequence.parked or {}).get(frame, ()):
                numbers[number].append(int(ids[column]))
                stood[number] += run.standing[frame][column]
    long = {number: set(ids) for number, ids in numbers.items() if len(ids) >= _LONG_PARKED}
    return long, sum(map(len, numbers.values())), sum(stood.values())


def score(sequences: list[Sequence], rate: str, tracking: Tracking, confidence: float) -> dict[str, Any]:
    """All figures of one rate."""
    compared: dict[str, Any] = {}
    lines, zones = np.zeros(3, np.int64), np.zeros(3, np.int64)
    parked: list[int] = []
    found = stood = 0
    for sequence in sequences:
        crossings, stays = true_crossings_and_stays(sequence)
        for seed in _SEEDS.get(rate, (0,)):
            frames = looked_at(sequence, rate, seed)
            told = run(sequence, frames, tracking, confidence)
            tracked: Tracked = told.tracked
            name = sequence.name if rate not in _SEEDS else f"{sequence.name}#{seed}"
            compared[name] = comparable(sequence.truth, tracked, [frame for frame, _ in frames])
            lines += agreement(crossings, told.crossings, _LINE_TOLERANCE)
            zones += agreement(stays, told.stays, _ZONE_TOLERANCE)
            if sequence.parked is not None:
                numbers, here, standing = _parked(sequence, told)
                parked += map(len, numbers.values())
                found, stood = found + here, stood + standing
    figures = identity(compared)
    result: dict[str, Any] = {"rate": rate, "pooled": figures.pop("pooled"), "sequences": figures}
    result |= {"lines": f1(lines), "zones": f1(zones)}
    if parked:
        result["parked"] = {
            "objects": len(parked),
            "ids_each": round(sum(parked) / len(parked), 2),
            "most_ids": max(parked),
            "stationary": round(100 * stood / max(1, found), 1),
        }
    return result


def frame_cost(count: int, *, areas: bool = False, frames: int = 400) -> float:
    """Processor time of one frame of so many objects that walk about, microseconds; the best of some blocks."""
    random, scene = np.random.default_rng(0), scene_of(Tracking(), 0.6, 1920, 1080, areas=areas)
    at, speed = random.uniform([50, 50], [1870, 1000], (count, 2)), random.normal(0, 3, (count, 2))
    height, shown = random.uniform(40, 160, count), []
    for _ in range(frames):
        at += speed
        speed[(at < 0) | (at > [1920, 1080])] *= -1
        x, y = (at + random.normal(0, 1, at.shape)).T
        boxes = np.stack([x - height * 0.2, y - height / 2, x + height * 0.2, y + height / 2], axis=1)
        scores, seen = random.uniform(0.3, 0.95, count), random.random(count) > 0.05
        order = np.argsort(-scores[seen], kind="stable")
        shown.append((boxes[seen][order], scores[seen][order]))
    costs = []
    for block in range(0, frames, 50):
        began = time.process_time()
        for index in range(block, block + 50):
            boxes, scores = shown[index]
            scene.see(boxes, scores, np.zeros(len(boxes), np.int64), index / 10, index / 10, index)
        costs.append((time.process_time() - began) / 50 * 1e6)
    return min(costs[1:])


def memory_growth(frames: int) -> Iterator[dict[str, float]]:
    """Memory of the process after each tenth of so many frames, megabytes.

    Of four objects that run about, one to four are shown, so that objects, crossings and stays come and go.
    """
    random, scene, began = np.random.default_rng(0), scene_of(Tracking(), 0.6, 1920, 1080), time.monotonic()
    at, speed = random.uniform([0, 0], [1920, 1080], (4, 2)), random.normal(0, 30, (4, 2))
    left = 0
    for number in range(1, frames + 1):
        at = (at + speed) % [1920, 1080]  # who leaves on one side is another one on the other
        shown = at[: 1 + number // 100 % 4]
        boxes = np.concatenate([shown, shown + _SIZE], axis=1)[random.random(len(shown)) > 0.1]
        labels, seconds = np.zeros(len(boxes), np.int64), number / 10
        seen = scene.see(boxes, np.full(len(boxes), 0.9), labels, seconds, seconds, number)
        left += sum(event.type is EventType.OBJECT_LEFT for event in seen.events)
        if number * 10 % frames == 0:
            passed = round(time.monotonic() - began, 1)
            yield {"frames": number, "objects": left, "MB": round(_resident_megabytes(), 1), "seconds": passed}


def _resident_megabytes() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def sequences_of(folders: list[Path]) -> list[Sequence]:
    """The sequences that the folders hold or are."""
    paths = [path for folder in folders for path in [folder, *sorted(folder.iterdir())]]
    found = [read(path) for path in paths if (path / "seqinfo.ini").exists()]
    if not found:
        sys.exit(f"no sequence with a seqinfo.ini in {', '.join(map(str, folders))}")
    return found


def main(arguments: list[str] | None = None) -> None:
    """Prints a line a rate, or one JSON document: of the rate that is asked for, or of each by its name."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.tracking", description=__doc__)
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--rate", choices=[*RATES, "all"], default="full", help="frames a second that are analysed")
    parser.add_argument("--confidence", type=float, default=0.6)
    parser.add_argument("--confirm-frames", type=int, default=2)
    parser.add_argument("--lost-after", type=float, default=1.0)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--speed", action="store_true")
    parser.add_argument(
        "--memory", type=int, metavar="FRAMES", help="tell how memory grows over so many frames instead"
    )
    options = parser.parse_args(arguments)
    if options.memory:
        for size in memory_growth(options.memory):
            print(json.dumps(size), flush=True)
        return
    if options.speed:
        costs = {
            f"{count} objects{' with areas' * areas}": round(frame_cost(count, areas=areas), 1)
            for count in (10, 50, 200)
            for areas in (False, True)
        }
        print(json.dumps(costs, indent=None if options.json else 1))
        return
    tracking = Tracking(confirm_frames=options.confirm_frames, lost_after=options.lost_after)
    sequences = sequences_of(options.folders)
    rates = list(RATES) if options.rate == "all" else [options.rate]
    results = {rate: score(sequences, rate, tracking, options.confidence) for rate in rates}
    if options.json:
        print(json.dumps(results.get(options.rate, results)))
        return
    for rate, result in results.items():
        _tell(rate, result)


def _tell(rate: str, result: Mapping[str, Any]) -> None:
    figures = {**result["pooled"], "lines F1": result["lines"]["F1"], "zones F1": result["zones"]["F1"]}
    print(rate.ljust(10), "  ".join(f"{name} {value}" for name, value in figures.items()), result.get("parked", ""))


if __name__ == "__main__":
    main()
