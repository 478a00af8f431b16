"""What several commands ask for, in the same words."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engines.backends import BACKENDS
from engines.precision import Precision

ModelFile = Annotated[str, typer.Option("--model", help="ONNX file, or 'street', the demonstration model.")]
Family = Annotated[str, typer.Option(help="How the model's outputs are laid out.")]
Labels = Annotated[
    str | None, typer.Option(help="'coco' or a text file, one name a line; default: the model's metadata.")
]
Backend = Annotated[str, typer.Option(help=f"{', '.join(BACKENDS[:-1])} or {BACKENDS[-1]}.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

# of `ospreyd engine`: None is what --config says, or else the default
AnyModel = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="ONNX file, default: the demonstration model; with --config one of its models, default: default.",
    ),
]
AnyFamily = Annotated[str | None, typer.Option("--family", help="How the model's outputs are laid out; default: auto.")]
AnyBackend = Annotated[str | None, typer.Option("--backend", help=f"One of {', '.join(BACKENDS)}; default: auto.")]
AnyPrecision = Annotated[
    Precision | None, typer.Option("--precision", help="Default: fp16 with TensorRT, fp32 with ONNX Runtime.")
]
AnyBatch = Annotated[
    int | None, typer.Option("--max-batch", min=1, max=64, help="Most pictures in a batch; default: 8.")
]
Calibration = Annotated[
    Path | None, typer.Option(help="Folder of pictures for int8 and fp8; default: what engine build has collected.")
]
Configuration = Annotated[Path | None, typer.Option("--config", help="Configuration that says what is not given here.")]
Cache = Annotated[Path | None, typer.Option(help="Folder of built engines; default: the user's cache.")]
