"""The interface of the one-process server as a Python client of that server sees it.

    python3 surface.py ADDRESS CHECK

Runs one check, a function below; fails with what was got. Needs the stubs of proto/monolithic.proto on PYTHONPATH.
"""

import array
import math
import sys

import grpc
import monolithic_pb2 as messages
import monolithic_pb2_grpc

RATES = (8000, 11025, 16000, 22050, 44100, 48000)
BATCHES = (1, 8, 24, 25, 32)
LARGEST_MESSAGE = 100 * 2**20
JPEG = b"\xff\xd8"


def tone(seconds=1.5, rate=16000):
    return array.array("f", (0.3 * math.sin(i * 2000 / rate) for i in range(int(seconds * rate)))).tobytes()


def pictures(count):
    return array.array("f", [0.5]) * (count * 6 * 320 * 320)


FEATURES = array.array("f", [0.1] * 8192).tobytes()


def infer(stub, **fields):
    request = {"model_id": "demo", "batch_size": 1, "raw_audio": tone(), "sample_rate": 16000, **fields}
    return stub.InferBatchComposite(messages.CompositeBatchRequest(**request), timeout=120)


def accepted(stub, **fields):
    answer = infer(stub, **fields)
    assert answer.success and answer.error == "", answer.error
    assert answer.gpu_id == 0 and answer.total_time_ms > 0
    assert len(answer.composited_frames) == fields.get("batch_size", 1)
    assert all(frame.startswith(JPEG) for frame in answer.composited_frames)
    return answer


def batch_sizes(stub):
    for size in BATCHES:
        accepted(stub, batch_size=size)


def visual_frames(stub):
    for size in (1, 32):
        accepted(stub, model_id="large", batch_size=size, visual_frames=pictures(size).tobytes())


def features(stub):
    accepted(stub, raw_audio=b"", audio_features=FEATURES, batch_size=4)
    accepted(stub, model_id="large", raw_audio=b"", audio_features=FEATURES, visual_frames=pictures(1).tobytes())


def sample_rates(stub):
    for rate in RATES:
        accepted(stub, raw_audio=tone(rate=rate), sample_rate=rate, batch_size=24)


def positions(stub):
    first, last = accepted(stub), accepted(stub, start_frame_idx=2**31 - 1)
    assert first.composited_frames != last.composited_frames


def models(stub):
    listed = stub.ListModels(messages.ListModelsRequest()).models
    assert [model.model_id for model in listed] == ["demo", "large"], listed
    loaded = stub.LoadModel(messages.LoadModelRequest(model_id="demo", preferred_gpu=-1))
    assert loaded.success and loaded.gpu_id == 0, loaded
    assert accepted(stub).model_loaded
    (stats,) = stub.GetModelStats(messages.GetModelStatsRequest(model_id="demo")).models
    assert stats.loaded and stats.request_count > 0 and stats.last_used_timestamp > 0, stats
    health = stub.Health(messages.HealthRequest())
    assert health.healthy and list(health.gpu_ids) == [0] and len(health.gpu_memory_used_gb) == 1, health
    unloaded = stub.UnloadModel(messages.UnloadModelRequest(model_id="demo"))
    assert unloaded.success, unloaded.error
    again = accepted(stub)
    assert not again.model_loaded and again.model_load_time_ms > 0, again.model_load_time_ms


def refusals(stub):
    for expected, fields in {
        "batch_size: got 33, expected 1 to 32": {"batch_size": 33},
        "sample_rate: got 7999, expected 8000 to 48000": {"sample_rate": 7999},
        "start_frame_idx: got -1": {"start_frame_idx": -1},
        "raw_audio: got 3 bytes": {"raw_audio": b"abc"},
        "got neither": {"raw_audio": b""},
        "audio_features: got 4 bytes": {"raw_audio": b"", "audio_features": b"abcd"},
        "visual_frames: got 8 bytes": {"visual_frames": b"12345678"},
        "model_unknown": {"model_id": "nobody"},
    }.items():
        answer = infer(stub, **fields)
        assert not answer.success and answer.gpu_id == -1 and expected in answer.error, (expected, answer.error)


CHECKS = (batch_sizes, visual_frames, features, sample_rates, positions, models, refusals)

if __name__ == "__main__":
    address, wanted = sys.argv[1:]
    sizes = [("grpc.max_receive_message_length", LARGEST_MESSAGE), ("grpc.max_send_message_length", LARGEST_MESSAGE)]
    with grpc.insecure_channel(address, sizes) as channel:
        {check.__name__: check for check in CHECKS}[wanted](monolithic_pb2_grpc.MonolithicServiceStub(channel))
