"""`ospreyd engine inspect`: the layers of a built engine."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daemon.cli.options import Cache, Json
from daemon.cli.output import print_columns, print_json
from engines.backends import choose
from engines.build.cache import EngineCache, Entry
from engines.errors import CacheError
from engines.tensorrt.backend import TensorRt, find
from engines.text import counted

if TYPE_CHECKING:
    from engines.tensorrt.inspect import Inspection, Layer

_NAMED = 3
"""nodes of the model that a row of the table lists"""


def inspect(
    plan: Annotated[Path, typer.Argument(help="Engine file, as `engine list` names it.", show_default=False)],
    profile: Annotated[bool, typer.Option(help="Run the engine too: shows which nodes were fused, and times.")] = True,
    cache: Cache = None,
    as_json: Json = False,
) -> None:
    """Shows an engine's layers after fusion: the model's nodes in each, element types and time."""
    engines = EngineCache(cache)
    entry = _entry(engines, plan)
    trt = _built_with(entry)
    choose(trt.name)  # raises an error that says what is missing
    path = engines.find(entry.key, entry.path.suffix)
    if path is None:
        raise CacheError(f"{plan}: was damaged and is deleted; rebuild it with ospreyd engine build")
    from engines.tensorrt.inspect import inspect as inspect_plan  # noqa: PLC0415  it needs NVIDIA's CUDA bindings

    found = inspect_plan(path, trt, engines, profile)
    if as_json:
        print_json({"path": str(path), **asdict(found)})
    else:
        title = (entry.key.get(name) for name in ("model", "part", "precision", "tensorrt"))
        _show(found, ", ".join(str(text) for text in title if text is not None))


def _entry(engines: EngineCache, plan: Path) -> Entry:
    """Raises CacheError for a file that is not an engine of the cache."""
    for entry in engines.entries():
        same = plan.parent == Path() or plan.resolve() == entry.path.resolve()
        if entry.path.name == plan.name and same and "tensorrt" in entry.key:
            return entry
    raise CacheError(
        f"{plan}: is not an engine in {engines.folder}, and only engines built here are loaded; "
        "ospreyd engine list shows them"
    )


def _built_with(entry: Entry) -> TensorRt:
    """Raises CacheError for an engine that another TensorRT has built."""
    name, _, version = str(entry.key["tensorrt"]).partition(" ")
    trt = find(name)
    if trt.version != version:
        raise CacheError(
            f"{entry.path}: was built by {name} {version}, this is {trt.version}; rebuild it with ospreyd engine build"
        )
    return trt


def _show(found: Inspection, title: str) -> None:
    typer.echo(title)
    tensors = [
        (t.name, "input" if t.is_input else "output", t.dtype, _shape(t.shape), _shape(t.largest or ()))
        for t in found.tensors
    ]
    print_columns(("tensor", "", "type", "shape", "largest"), tensors)
    layers = [
        ("" if layer.milliseconds is None else f"{layer.milliseconds:.4f}", layer.precision, layer.kind, _origin(layer))
        for layer in found.layers
    ]
    print_columns(("ms", "type", "kind", "nodes of the model"), layers)
    total = sum(layer.milliseconds or 0.0 for layer in found.layers)
    nodes = {node for layer in found.layers for node in layer.origin}
    typer.echo(
        f"{counted(len(nodes), 'node')} of the model in {counted(len(found.layers), 'layer')}, "
        f"{total:.3f} ms at the largest shapes, "
        f"{found.device_memory / 1e6:.0f} MB of device memory for each execution context"
    )


def _origin(layer: Layer) -> str:
    if not layer.origin:
        return f"({layer.name})"
    more = len(layer.origin) - _NAMED
    return " + ".join(layer.origin[:_NAMED]) + (f" + {more} more" if more > 0 else "")


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join("any" if size < 0 else str(size) for size in shape)
