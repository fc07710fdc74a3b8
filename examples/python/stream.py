"""Plays a WAV file into a live stream and takes the frames as they come, as a video call would.

    pip install grpcio grpcio-tools        # or: apt install python3-grpcio python3-grpc-tools
    python3 -m grpc_tools.protoc -I proto --python_out=examples/python \
        --grpc_python_out=examples/python proto/farm.proto
    python3 examples/python/stream.py speech.wav --out frames
"""

import argparse
import pathlib
import time
import wave

import farm_pb2
import farm_pb2_grpc
import grpc

PIECE_SECONDS = 0.1


def sound(path, model, in_real_time):
    """The messages to send: how to render, then the sound, a piece at a time."""
    with wave.open(path) as file:
        yield farm_pb2.StreamRequest(
            open=farm_pb2.Open(model_id=model, sample_rate=file.getframerate(), sample_format=farm_pb2.S16LE)
        )
        while piece := file.readframes(int(PIECE_SECONDS * file.getframerate())):
            yield farm_pb2.StreamRequest(audio=piece)
            if in_real_time:
                time.sleep(PIECE_SECONDS)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wav", help="16 bits, mono")
    parser.add_argument("--address", default="127.0.0.1:50053")
    parser.add_argument("--model", default="demo")
    parser.add_argument("--out", default="frames")
    parser.add_argument("--fast", action="store_true", help="send the sound as fast as the farm takes it")
    parser.add_argument("--key", help="one of auth.api_keys, where the farm has any")
    args = parser.parse_args()

    out = pathlib.Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    with grpc.insecure_channel(args.address) as channel:
        answers = farm_pb2_grpc.FarmServiceStub(channel).Stream(
            sound(args.wav, args.model, not args.fast),
            metadata=[("authorization", f"Bearer {args.key}")] if args.key else None,
        )
        for answer in answers:
            kind = answer.WhichOneof("response")
            if kind == "opened":
                print(f"open; a frame needs the sound of the {answer.opened.algorithmic_latency_ms:.0f} ms after it")
            elif kind == "frame":
                frame = answer.frame
                (out / f"frame-{frame.frame_index:04}.jpg").write_bytes(frame.data)
                print(f"frame {frame.frame_index} at {frame.presentation_time_ms} ms, {frame.latency_ms:.0f} ms late")
            else:
                print(f"ended after {answer.ended.frame_count} frames in {out}/")


if __name__ == "__main__":
    main()
