"""Up to 32 frames from the beginning of a WAV file, as JPEG files.

    pip install grpcio grpcio-tools        # or: apt install python3-grpcio python3-grpc-tools
    python3 -m grpc_tools.protoc -I proto --python_out=examples/python \
        --grpc_python_out=examples/python proto/monolithic.proto
    python3 examples/python/infer.py speech.wav --frames 25 --out frames
"""

import argparse
import array
import pathlib
import sys
import wave

import grpc
import monolithic_pb2
import monolithic_pb2_grpc

# The default of 4 MB is too small for many frames.
LARGEST_MESSAGE = 100 * 2**20


def read_wav(path):
    """Mono float32 samples of a 16-bit WAV file, as bytes, and their rate."""
    with wave.open(path) as file:
        if file.getsampwidth() != 2 or file.getnchannels() != 1:
            sys.exit(f"{path}: got {file.getnchannels()} channels of {8 * file.getsampwidth()} bits, expected 1 of 16")
        samples = array.array("h", file.readframes(file.getnframes()))
        return array.array("f", (sample / 32768 for sample in samples)).tobytes(), file.getframerate()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wav")
    parser.add_argument("--address", default="127.0.0.1:50053")
    parser.add_argument("--model", default="demo")
    parser.add_argument("--frames", type=int, default=25)
    parser.add_argument("--out", default="frames")
    parser.add_argument("--key", help="one of auth.api_keys, where the farm has any")
    args = parser.parse_args()

    audio, sample_rate = read_wav(args.wav)
    options = [("grpc.max_receive_message_length", LARGEST_MESSAGE), ("grpc.max_send_message_length", LARGEST_MESSAGE)]
    with grpc.insecure_channel(args.address, options) as channel:
        answer = monolithic_pb2_grpc.MonolithicServiceStub(channel).InferBatchComposite(
            monolithic_pb2.CompositeBatchRequest(
                model_id=args.model, raw_audio=audio, sample_rate=sample_rate, batch_size=args.frames
            ),
            timeout=60,
            metadata=[("authorization", f"Bearer {args.key}")] if args.key else None,
        )
    if not answer.success:
        sys.exit(answer.error)
    out = pathlib.Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    for index, frame in enumerate(answer.composited_frames):
        (out / f"frame-{index:04}.jpg").write_bytes(frame)
    print(
        f"{len(answer.composited_frames)} frames in {out}/ from GPU {answer.gpu_id}: "
        f"{answer.total_time_ms:.0f} ms, of which inference {answer.inference_time_ms:.0f}, "
        f"audio {answer.audio_processing_ms:.0f}, composite {answer.composite_time_ms:.0f}"
    )


if __name__ == "__main__":
    main()
