"""NV12 pictures on the GPU give the detector what the graph gives on ONNX Runtime, and are seen as BGR is."""

from __future__ import annotations

import ctypes
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray

from daemon.demo.street.generator import StreetScene
from engines.backends import Backend, SessionSettings, open_session, prepare
from engines.build.cache import EngineCache
from engines.evaluate.verify import EVERY_CANDIDATE, compare_candidates
from engines.model import Model, read_model
from engines.models import street_onnx
from engines.pictures import Nv12Picture
from engines.records import DetectorSession
from tests.engines.nv12_cases import INPUTS, check, model_of, name_of, pictures, shape_of
from tests.nv12 import nv12

if TYPE_CHECKING:
    from engines.tensorrt.device import Memory


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


def by_kernel(shown: list[Nv12Picture], model: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Each as the detector gets it, in places that are two apart."""
    from engines.tensorrt.device import use_device  # noqa: PLC0415
    from engines.tensorrt.driver import download  # noqa: PLC0415
    from engines.tensorrt.letterbox import Nv12Kernel  # noqa: PLC0415
    from engines.tensorrt.letterbox import OnGpu as Placed  # noqa: PLC0415

    device = use_device()
    stream, most = device.stream(), 2 * len(shown)
    host = device.pinned((most, *shape_of(model)), dtype)
    images = device.memory(host.array.nbytes)
    letterbox = Nv12Kernel(device, model, dtype).letterbox(int(images), most)
    letterbox.enqueue([Placed(p, p.luma, p.chroma, 2 * place) for place, p in enumerate(shown)], stream)
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


@pytest.mark.parametrize("case", INPUTS, ids=name_of)
def test_the_kernel_equals_the_graph(case: Any, backend: Backend) -> None:
    """Of pictures of every size, matrix and range in one launch."""
    model, held = model_of(case), [OnGpu(each) for each in pictures()]
    for each, got in zip(held, by_kernel([each.picture for each in held], model, case[1]), strict=True):
        check(got, each.picture, model)


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
