"""Writes the fixtures of the reader with real PyTorch: python3 test/checkpoints/torch/write_fixtures.py OUT_DIR"""

import sys
from collections import OrderedDict
from pathlib import Path

import torch
from torch import nn

OUT = Path(sys.argv[1])


def tensors():
    """What the reader must give back; reader.test.ts knows these values, too."""
    base = torch.arange(24, dtype=torch.float32) / 8 - 1
    grid = base.view(4, 6)
    tied = torch.tensor([0.5, -0.25, 3.0])
    return OrderedDict(
        plain=grid.clone(),
        window=grid[1:3, 1::2],
        turned=grid.t(),
        spread=tied.view(3, 1).expand(3, 2),
        tied_a=tied,
        tied_b=tied,
        half=torch.tensor([1.5, -2.0, 6.1035e-05, 5.96e-08, 65504.0, float("inf")], dtype=torch.float16),
        brain=torch.tensor([1.5, -2.0, 3.140625, 1e30], dtype=torch.float32).to(torch.bfloat16),
        double=torch.tensor([0.1, -1e-3], dtype=torch.float64),
        scalar=torch.tensor(7.25),
        empty=torch.zeros(0, 3),
        count=torch.tensor(41, dtype=torch.int64),
        flags=torch.tensor([True, False]),
        parameter=nn.Parameter(torch.tensor([2.0, 4.0])),
    )


def training():
    """A checkpoint as training loops leave it: the network behind DataParallel, its optimiser, and some facts."""
    torch.manual_seed(5)
    net = nn.DataParallel(nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    net(torch.randn(2, 2, 5, 5)).sum().backward()
    optimizer.step()
    return {
        "epoch": 7,
        "best": None,
        "loss": 0.25,
        "seed": 2**70,
        "sizes": (1, [2, 3]),
        "names": ["größe", "x" * 300],
        "model": net.state_dict(),
        "optimizer": optimizer.state_dict(),
    }


class Bomb:
    """Would run a command wherever it is unpickled."""

    def __reduce__(self):
        import os

        return os.system, ("touch /tmp/checkpoint-was-run",)


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    torch.save(tensors(), OUT / "tensors.pth")
    torch.save(tensors(), OUT / "tensors-legacy.pth", _use_new_zipfile_serialization=False)
    torch.save(tensors(), OUT / "tensors-protocol-4.pth", pickle_protocol=4)
    torch.save(training(), OUT / "training.pth")
    torch.save(training(), OUT / "training-legacy.pth", _use_new_zipfile_serialization=False)
    torch.save(nn.Sequential(nn.Linear(2, 2)), OUT / "whole-network.pth")
    torch.save({"state_dict": tensors(), "args": Bomb()}, OUT / "bomb.pth")
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), str(OUT / "script.pth"))


main()
