"""NV12 pictures on the GPU give the detector what the graph gives on ONNX Runtime, and are seen as BGR is."""

from __future__ import annotations

import ctypes
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from daemon.demo.street.generator import StreetScene
from engines.backends import Backend, SessionSettings, open_session, prepare
from engines.build.cache import EngineCache
from engines.evaluate.verify import EVERY_CANDIDATE, compare_candidates
from engines.graphs.nv12 import CHROMA, COLOURS, LUMA, WIDTH, colours, nv12_model
from engines.graphs.preprocess import IMAGES, InputGeometry
from engines.model import Model, read_model
from engines.models import street_onnx
from engines.pictures import ColourMatrix, Nv12Picture
from engines.records import DetectorSession
from tests.engines.test_preprocess import GEOMETRIES
from tests.nv12 import nv12

if TYPE_CHECKING:
    from engines.tensorrt.device import Memory

INPUT = 320, 224
SIZES = ((64, 48), (1280, 720), (333, 517), (1919, 1079), (1, 1), (3840, 2160))
KINDS = [(matrix, full) for matrix in ColourMatrix for full in (False, True)]
TYPES = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.float16): TensorProto.FLOAT16}


class OnGpu:
    """A picture whose planes are copied to the GPU, as NVDEC leaves it there."""

    def __init__(self, picture: Nv12Picture) -> None:
        from engines.tensorrt.device import use_device  # noqa: PLC0415  it needs NVIDIA's CUDA bindings
        from engines.tensorrt.driver import upload  # noqa: PLC0415

        device = use_device()
        stream, event = device.stream(), device.marker()
        self.memories: list[Memory] = []
        for plane in picture.read():
            host = device.pinned(plane.shape, np.uint8)
            host.array[:] = plane
            self.memories.append(device.memory(plane.nbytes))
            upload(int(self.memories[-1]), host.array, stream)
            stream.synchronize()
        event.record(stream)
        self.event = event
        luma, chroma = map(int, self.memories)
        self.picture = replace(
            picture, luma=luma, chroma=chroma, gpu=device.index, ready=event.handle, owner=self, read=picture.read
        )


def noisy(width: int, height: int) -> NDArray[np.uint8]:
    noise = np.random.default_rng(3).integers(0, 256, (height, width, 3)).astype(np.uint8)
    return np.asarray(cv2.GaussianBlur(noise, (5, 5), 0), np.uint8).reshape(height, width, 3)


def by_graph(picture: Nv12Picture, model: Model, element: int) -> NDArray[Any]:
    graph = nv12_model(model.geometry, model.width, model.height, element, model.planar)
    luma, chroma = picture.read()
    inputs = {
        LUMA: luma[None, :, :, None],
        CHROMA: chroma.reshape(1, len(chroma), -1, 2),
        WIDTH: np.array([picture.width]),
        COLOURS: colours(picture.matrix, picture.full_range),
    }
    return np.asarray(ort.InferenceSession(graph.SerializeToString()).run([IMAGES], inputs)[0][0])


def by_kernel(pictures: list[Nv12Picture], model: Model, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Each as the detector gets it, in places that are two apart."""
    from engines.tensorrt.device import use_device  # noqa: PLC0415
    from engines.tensorrt.driver import download  # noqa: PLC0415
    from engines.tensorrt.letterbox import Nv12Kernel  # noqa: PLC0415
    from engines.tensorrt.letterbox import OnGpu as Placed  # noqa: PLC0415

    device = use_device()
    stream, most = device.stream(), 2 * len(pictures)
    shape = (3, model.height, model.width) if model.planar else (model.height, model.width, 3)
    host = device.pinned((most, *shape), dtype)
    images = device.memory(host.array.nbytes)
    letterbox = Nv12Kernel(device, model, dtype).letterbox(int(images), most)
    letterbox.enqueue([Placed(p, p.luma, p.chroma, 2 * place) for place, p in enumerate(pictures)], stream)
    download(host.array, int(images), stream)
    stream.synchronize()
    out = host.array[::2].copy()
    letterbox.free()
    return out


@pytest.fixture(scope="module")
def model() -> Model:
    return read_model(street_onnx())


def test_the_record_is_laid_out_as_in_the_kernel(backend: Backend) -> None:
    from engines.tensorrt.letterbox import _PICTURE, _Input  # noqa: PLC0415

    assert (_PICTURE.itemsize, ctypes.sizeof(_Input)) == (96, 48)


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=lambda g: g.fit.value)
@pytest.mark.parametrize("dtype", [*TYPES, np.dtype(np.uint8)], ids=str)
@pytest.mark.parametrize("planar", [True, False], ids=["planar", "interleaved"])
def test_the_kernel_equals_the_graph(
    geometry: InputGeometry, dtype: np.dtype[Any], planar: bool, backend: Backend
) -> None:
    """Of pictures of every size, matrix and range in one launch."""
    if dtype == np.uint8:
        geometry = replace(geometry, mean=(0.0,) * 3, std=(1.0,) * 3)
    width, height = INPUT
    model: Any = SimpleNamespace(path="model", geometry=geometry, width=width, height=height, planar=planar)
    held = [
        OnGpu(nv12(noisy(*size), *KINDS[number % 4], pitch=(size[0] + 511) // 256 * 256))
        for number, size in enumerate(SIZES)
    ]
    got = by_kernel([each.picture for each in held], model, dtype)
    element = helper.np_dtype_to_tensor_dtype(dtype)
    span = max(geometry.std) / 255
    for each, out in zip(held, got, strict=True):
        difference = np.abs(out.astype(np.float64) - by_graph(each.picture, model, element)) * span
        assert difference.max() < 0.006  # one value of 8 bits, where that is what the model takes
        assert difference.mean() < 0.0005


@pytest.fixture(scope="module")
def session(backend: Backend, cache: EngineCache, model: Model) -> Any:
    settings = SessionSettings(EVERY_CANDIDATE, max_batch=4, cache=cache.folder)
    opened = open_session(prepare(backend, model, settings, lambda *_: None))
    yield opened
    opened.close()


def test_a_batch_of_every_kind_is_seen_as_bgr_is(session: DetectorSession) -> None:
    """BGR, NV12 in host memory and on the GPU in any order, again and again in every slot."""
    streets = [StreetScene(*size, seed=40 + i).render(5.0)[0] for i, size in enumerate([(640, 480), (1280, 720)] * 2)]
    wanted = [session.collect(session.submit([nv12(street).host()])).detections[0] for street in streets]
    held = [OnGpu(nv12(street, pitch=2048)) for street in streets]
    for turn in range(12):
        batch: list[Any] = []
        for index, street in enumerate(streets):
            kind = (index + turn) % 3
            batch.append([nv12(street).host(), nv12(street), held[index].picture][kind])
        found = session.collect(session.submit(batch)).detections
        for got, want in zip(found, wanted, strict=True):
            assert len(got) > 0
            confident = [d.scores >= 0.3 for d in (got, want)]
            assert abs(int(confident[0].sum()) - int(confident[1].sum())) <= 1
            best = min(3, int(confident[1].sum()))
            assert np.abs(got.scores[:best] - want.scores[:best]).max() < 0.05
    same = session.collect(session.submit([held[0].picture, held[0].picture])).detections
    assert compare_candidates(same[0], same[1], 0.45).agrees


def test_a_picture_that_is_being_decoded_is_waited_for(session: Any) -> None:
    from engines.tensorrt.device import use_device  # noqa: PLC0415
    from tests.conftest import wait_for  # noqa: PLC0415
    from tests.gpu.kernels import Latch  # noqa: PLC0415

    held = OnGpu(nv12(StreetScene(640, 480, seed=50).render(5.0)[0]))
    wanted = session.collect(session.submit([held.picture])).detections[0]
    for _ in range(session.slots):
        session.collect(session.submit([held.picture]))
    decoder, latch = use_device().stream(), Latch()
    latch.hold(decoder)
    held.event.record(decoder)
    waiting = session.submit([held.picture])
    free = session.submit([replace(held.picture, ready=None)])
    wait_for(lambda: session.is_done(free), "the batch that waits for nothing")
    assert not session.is_done(waiting)
    latch.open()
    found = session.collect(waiting).detections[0]
    session.collect(free)
    latch.close()
    assert compare_candidates(wanted, found, 0.45).agrees
