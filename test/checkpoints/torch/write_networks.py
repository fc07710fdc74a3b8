"""
Writes checkpoints of networks with random weights, and what PyTorch computes with them:
python3 test/checkpoints/torch/write_networks.py OUT_DIR [NAME …], and options.

NAME.pth is the checkpoint; NAME.output.f32 holds every N-th value of the outputs for the inputs of `ramp`, batch 2.
"""

import argparse
from pathlib import Path

import torch

from networks import NETWORKS, LipSync, ramp, randomise, speech_encoder

ENCODER = "audio_visual_encoder"

parser = argparse.ArgumentParser()
parser.add_argument("out", type=Path)
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--width", type=int, default=32)
parser.add_argument("--half", action="store_true", help="save the weights as float16")
parser.add_argument("--coarse", action="store_true", help="round all weights to 16ths, which pack well")
parser.add_argument("--legacy", action="store_true", help="save as PyTorch did before 1.6")
parser.add_argument("--exact", action="store_true", help="say how far float32 is off")
parser.add_argument("--every", type=int, default=1)
parser.add_argument("names", nargs="*", metavar="NAME")
options = parser.parse_intermixed_args()
torch.set_num_threads(1)
options.out.mkdir(parents=True, exist_ok=True)

for name in options.names or [*NETWORKS, ENCODER]:
    if name == ENCODER:
        net = speech_encoder(options.width)
        inputs = [ramp(2, 1, 80, 16) * 8 - 4]
    else:
        size, hears, sound, style = NETWORKS[name]
        net = LipSync(name, options.width)
        channels = net.audio_model.conv1.conv[0].in_channels
        inputs = [ramp(2, 6, size, size), ramp(2, channels, *sound[1:]) * 2 - 1]
    net = randomise(net, options.seed)
    if options.coarse:
        for weights in [*net.parameters(), *net.buffers()]:
            weights.data.copy_((weights * 16).round() / 16)
    if options.half:
        net = net.half().float()
    with torch.no_grad():
        output = net(*inputs).flatten()[:: options.every].contiguous()
    weights = net.half().state_dict() if options.half else net.state_dict()
    torch.save(weights, options.out / f"{name}.pth", _use_new_zipfile_serialization=not options.legacy)
    (options.out / f"{name}.output.f32").write_bytes(output.numpy().tobytes())
    print(name, [tuple(tensor.shape) for tensor in inputs], f"std {output.std():.4f}")
    if options.exact:
        exact = net.double()(*[tensor.double() for tensor in inputs]).flatten()[:: options.every]
        print(f"  off float64 by {(exact - output).abs().max():.1e}")
