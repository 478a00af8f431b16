"""The benchmark of tracking, on a sequence that is made here: what it prints, and that its figures can be bad."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.benchmarks.mot_sequences import looked_at, read
from tests.benchmarks.tracking import main

RATE, LENGTH, WIDTH, HEIGHT = 10, 200, 960, 540


def make(folder: Path, *, swap: bool = False) -> None:
    """Two people who walk past each other, and one car that stands; `swap` gives the people each other's places."""
    folder.mkdir()
    (folder / "seqinfo.ini").write_text(
        f"[Sequence]\nname={folder.name}\nframeRate={RATE}\nseqLength={LENGTH}\nimWidth={WIDTH}\nimHeight={HEIGHT}\n"
    )
    truth, found, parked = [], [], []
    random = np.random.default_rng(1)
    for frame in range(1, LENGTH + 1):
        x = 60 + 4 * frame
        boxes = {1: (x, 300, 40, 110), 2: (WIDTH - x, 380, 40, 110), 3: (470, 100, 120, 60)}
        parked.append(f"{frame},3")
        for number, box in boxes.items():
            shown = 3 - number if swap and number < 3 and frame // 10 % 2 else number
            truth.append(",".join(map(str, (frame, shown, *box, 1, 1, 1))))
            noise = np.array(box) + random.normal(0, 1, 4)
            found.append(",".join(map(str, (frame, -1, *noise.round(1), 0.9, -1, -1, -1))))
    for name, lines in (("gt.txt", truth), ("det.txt", found), ("parked.txt", parked)):
        (folder / name).write_text("\n".join(lines) + "\n")


def scored(capsys: pytest.CaptureFixture[str], folder: Path, *more: str) -> dict[str, Any]:
    main([str(folder), "--json", *more])
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


@pytest.mark.parametrize("rate", ["full", "5", "irregular"])
def test_easy_sequences_are_nearly_perfect(tmp_path: Path, capsys: pytest.CaptureFixture[str], rate: str) -> None:
    make(tmp_path / "easy")
    result = scored(capsys, tmp_path, "--rate", rate)
    assert result["pooled"].keys() == {"HOTA", "IDF1", "MOTA", "IDSW"}
    assert result["pooled"]["IDSW"] == 0
    assert result["pooled"]["IDF1"] > 95
    assert result["lines"]["F1"] == 100
    assert result["zones"]["F1"] > 90
    assert result["parked"]["most_ids"] == 1
    assert 40 < result["parked"]["stationary"] < 60  # it stands after ten of twenty seconds


def test_identities_that_change_are_seen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(tmp_path / "swapped", swap=True)
    result = scored(capsys, tmp_path / "swapped")
    assert result["pooled"]["IDSW"] > 10
    assert result["pooled"]["IDF1"] < 80


def test_frames_are_dropped_as_they_would_be(tmp_path: Path) -> None:
    make(tmp_path / "easy")
    sequence = read(tmp_path / "easy")
    assert len(looked_at(sequence, "full")) == LENGTH == len(looked_at(sequence, "10"))
    assert [frame for frame, _ in looked_at(sequence, "5")] == list(range(1, LENGTH, 2))
    uneven = np.diff([at for _, at in looked_at(sequence, "irregular")])
    assert uneven.max() == pytest.approx(1.0, abs=0.11)
    assert len(uneven) == pytest.approx(LENGTH / RATE * 5, rel=0.3)


def test_memory_is_told_ten_times(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--memory", "400"])
    sizes = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [size["frames"] for size in sizes] == list(range(40, 401, 40))
    assert sizes[-1]["objects"] > 5
    assert all(size["MB"] > 10 for size in sizes)
