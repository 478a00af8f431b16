"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engines.backends import BACKENDS
from engines.precision import Precision

Labels = Annotated[
    str | None, typer.Option(help="'coco' or a text file, one name a line; default: the model's metadata.")
]
InputSize = Annotated[
    str | None, typer.Option(help="WIDTHxHEIGHT in pixels, for a file that leaves the size of its input open.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
CatalogueFile = Annotated[
    Path | None, typer.Option("--catalogue", help="Another catalogue than the one that ships with ospreyd (YAML).")
]

# of `ospreyd engine`: None means the value of --config, else the default
AnyModel = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="ONNX file or name of an installed model, default: the installed default; with --config one of its "
        "models, default: default.",
    ),
]
AnyFamily = Annotated[str | None, typer.Option("--family", help="How the model's outputs are laid out; default: auto.")]
AnyBackend = Annotated[str | None, typer.Option("--backend", help=f"One of {', '.join(BACKENDS)}; default: auto.")]
AnyPrecision = Annotated[
    Precision | None, typer.Option("--precision", help="Default: fp16 with TensorRT, fp32 with ONNX Runtime.")
]
AnyBatch = Annotated[int | None, typer.Option("--max-batch", min=1, max=64, help="Largest batch; default: 8.")]
Calibration = Annotated[
    Path | None,
    typer.Option(help="Folder of calibration images for int8 and fp8; default: those that engine build has collected."),
]
Configuration = Annotated[
    Path | None, typer.Option("--config", help="Configuration file; options given here take precedence.")
]
Cache = Annotated[Path | None, typer.Option(help="Folder of built engines; default: the user's cache.")]
