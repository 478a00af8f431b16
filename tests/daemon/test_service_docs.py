"""What is written about metrics is what is exported: the table in the guide, and every query of the dashboard."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, Metric

from daemon.records import CameraState, Drop, ModelState, OutboxStatus
from daemon.records.followed import ObjectCounts
from daemon.service.metrics import DaemonMetrics, registry_of
from daemon.service.status import StatusRegistry
from daemon.service.watchdog import Watchdog
from daemon.stats import Stats
from tests.conftest import ROOT
from tests.daemon.publishing import INFO, config

EMPTY = OutboxStatus(waiting=0, dropped=0, size=0, oldest=None)
DASHBOARD = json.loads((ROOT / "docs" / "grafana.json").read_text(encoding="utf-8"))
STATES = {
    "ospreyd_camera_state": {state.value for state in CameraState},
    "ospreyd_objects": {"tracked", "lost", "stationary"},
    "ospreyd_model_state": {state.value for state in ModelState},
}


def registry() -> CollectorRegistry:
    """Of a daemon that has everything."""
    stats = Stats()
    stats.processed("front", queue=0.1)
    stats.tracked("front", ObjectCounts(tracked=1, lost=0, stationary=0, refused=0), 0.001)
    registry = StatusRegistry(config(1), INFO, stats, lambda: True)
    queues = {"batch": lambda: 0}
    return registry_of(
        DaemonMetrics(
            registry,
            Watchdog(registry, _raise),
            queues,
            lambda: EMPTY,
        )
    )


def _raise(error: BaseException) -> None:
    raise error


def families() -> Iterator[Metric]:
    """Those of ospreyd."""
    for family in registry().collect():
        if family.name.startswith("ospreyd_"):
            yield family


def labels(family: Metric) -> list[str]:
    """Their names; where there is no GPU, there are no samples of it to read them from."""
    if family.name.startswith("ospreyd_gpu_"):
        return ["gpu"]
    return sorted({label for sample in family.samples for label in sample.labels} - {"le"})


def exported(family: Metric) -> str:
    return family.name + ("_total" if family.type == "counter" else "")


def reference_table() -> list[str]:
    return [
        f"| `{exported(family)}` | {family.type} | {', '.join(labels(family))} | {family.documentation} |"
        for family in families()
    ]


def queries() -> list[str]:
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]


def test_the_table_of_metrics_is_up_to_date() -> None:
    text = (ROOT / "docs" / "service.md").read_text(encoding="utf-8")
    expected = "\n".join(reference_table())
    assert f"|---|---|---|---|\n{expected}\n\n" in text, f"the table in docs/service.md should be:\n{expected}"


@pytest.mark.parametrize("query", queries())
def test_a_query_of_the_dashboard_finds_what_is_exported(query: str) -> None:
    known = {
        f"{f.name}{suffix}": f for f in registry().collect() for suffix in ("", "_total", "_bucket", "_sum", "_count")
    }
    names = re.findall(r"\b(?:ospreyd|process)_\w+", query)
    assert names
    for name in names:
        assert name in known
        family = known[name]
        assert (family.type == "counter") == name.endswith("_total"), name
        assert (family.type == "histogram") == name.endswith(("_bucket", "_sum", "_count")), name
        used = set(re.findall(r"(\w+)=~?\"", query)) | _grouped(query)
        assert used - {"instance", "le"} <= set(labels(family)), name
        if states := re.findall(r"state=~?\"([^\"]+)\"", query):
            assert set(states[0].split("|")) <= STATES[name]


def _grouped(query: str) -> set[str]:
    return {name for group in re.findall(r"by \(([^)]*)\)", query) for name in group.split(", ")}


def test_the_dashboard_shows_every_metric() -> None:
    shown = " ".join(queries())
    missing = [exported(family) for family in families() if family.name not in shown]
    done = [f"ospreyd_results_{what}_total" for what in ("analysed", "formatted", "finished")]
    assert missing == [*done, "ospreyd_frames_handed_on_total", "ospreyd_ready"]


def test_every_reason_to_drop_a_frame_is_exported() -> None:
    (dropped,) = (family for family in families() if family.name == "ospreyd_frames_dropped")
    assert {sample.labels["reason"] for sample in dropped.samples} == {reason.value for reason in Drop}
