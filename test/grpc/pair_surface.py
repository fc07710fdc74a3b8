"""The services of the separated pair as Python clients of that pair see them.

    python3 pair_surface.py COMPOSITING_ADDRESS INFERENCE_ADDRESS MONOLITHIC_ADDRESS CHECK

Runs one check, a function below; fails with what was got. Needs the stubs of proto/monolithic.proto,
proto/compositing.proto and proto/inference.proto on PYTHONPATH.
"""

import array
import sys

import compositing_pb2 as compositing
import compositing_pb2_grpc
import grpc
import inference_pb2 as inference
import inference_pb2_grpc
import monolithic_pb2 as monolithic
import monolithic_pb2_grpc

from surface import FEATURES, LARGEST_MESSAGE, tone

SIDE = 320
MOUTH_BYTES = 3 * SIDE * SIDE * 4


def faces(count):
    """Visual inputs as a compositing host makes them: a grey picture, the mouth hidden in channels 3 to 5."""
    plane = array.array("f", [128 / 255]) * (SIDE * SIDE)
    hidden = array.array("f", plane)
    for y in range(5, SIDE - 10):
        for x in range(5, SIDE - 5):
            hidden[y * SIDE + x] = 0
    return (plane * 3 + hidden * 3).tobytes() * count


def composites(pair):
    fields = {"model_id": "large", "batch_size": 3, "start_frame_idx": 7, "raw_audio": tone(), "sample_rate": 16000}
    expected = pair.monolithic.InferBatchComposite(monolithic.CompositeBatchRequest(**fields), timeout=120)
    got = pair.compositing.InferBatchComposite(compositing.CompositeBatchRequest(**fields), timeout=120)
    assert expected.success and got.success, (expected.error, got.error)
    assert list(got.composited_frames) == list(expected.composited_frames)


def mouths(pair):
    """Raw float32, the same for the same inputs, whatever else shares the batch."""
    request = {"model_id": "large", "visual_frames": faces(2), "raw_audio": tone(), "batch_size": 2}
    first = pair.inference.InferBatch(inference.InferBatchRequest(**request), timeout=120)
    assert first.success and first.gpu_id == 0 and first.worker_id == 0, first.error
    assert [len(output.data) for output in first.outputs] == [MOUTH_BYTES] * 2
    floats = array.array("f", first.outputs[0].data)
    assert -0.01 < min(floats) < max(floats) < 1.01 and len(set(floats)) > 100, (min(floats), max(floats))
    one = {**request, "visual_frames": faces(1), "batch_size": 1}
    again = pair.inference.InferBatch(inference.InferBatchRequest(**one), timeout=120)
    assert again.outputs[0].data == first.outputs[0].data
    named = {**one, "raw_audio": b"", "audio_features": FEATURES}
    assert pair.inference.InferBatch(inference.InferBatchRequest(**named), timeout=120).success
    own = pair.inference.InferBatch(inference.InferBatchRequest(**{**one, "visual_frames": b""}), timeout=120)
    assert own.success and own.outputs[0].data != first.outputs[0].data, own.error


def models(pair):
    for stub, messages in ((pair.compositing, compositing), (pair.inference, inference)):
        loaded = stub.LoadModel(messages.LoadModelRequest(model_id="demo", force_reload=True), timeout=60)
        assert loaded.success and loaded.load_time_ms > 0 and loaded.stats.memory_bytes > 0, loaded
        (listed, *_) = stub.ListModels(messages.ListModelsRequest()).models
        assert listed.model_id == "demo" and listed.loaded and listed.model_path.endswith(".onnx"), listed
        stats = stub.GetModelStats(messages.GetModelStatsRequest(model_id="demo"))
        assert len(stats.models) == 1 and stats.loaded_models > 0 and stats.max_models == 100, stats
        assert 0 < stats.total_memory_bytes < stats.max_memory_bytes, stats
        assert stub.UnloadModel(messages.UnloadModelRequest(model_id="demo")).success
    health = pair.inference.Health(inference.HealthRequest())
    assert health.healthy and health.gpu_count == 1 and health.gpus[0].name and health.version, health
    both = pair.compositing.Health(compositing.HealthRequest())
    assert both.healthy and both.inference_server_healthy and both.inference_server_url, both


def refusals(pair):
    for expected, fields in {
        "batch_size: got 0, expected 1 to 50": {"batch_size": 0},
        "model_unknown": {"model_id": "nobody"},
        "visual_frames: got 8 bytes": {"visual_frames": b"12345678"},
    }.items():
        request = {"model_id": "large", "raw_audio": tone(), "batch_size": 1, **fields}
        answer = pair.inference.InferBatch(inference.InferBatchRequest(**request), timeout=60)
        assert not answer.success and answer.gpu_id == -1 and expected in answer.error, (expected, answer.error)


CHECKS = (composites, mouths, models, refusals)


class Pair:
    def __init__(self, addresses):
        sizes = [("grpc.max_receive_message_length", LARGEST_MESSAGE), ("grpc.max_send_message_length", LARGEST_MESSAGE)]
        self.channels = [grpc.insecure_channel(address, sizes) for address in addresses]
        self.compositing = compositing_pb2_grpc.CompositingServiceStub(self.channels[0])
        self.inference = inference_pb2_grpc.InferenceServiceStub(self.channels[1])
        self.monolithic = monolithic_pb2_grpc.MonolithicServiceStub(self.channels[2])

    def close(self):
        for channel in self.channels:
            channel.close()


if __name__ == "__main__":
    *addresses, wanted = sys.argv[1:]
    pair = Pair(addresses)
    {check.__name__: check for check in CHECKS}[wanted](pair)
    pair.close()
