"""
The networks of SyncTalk_2D and Ultralight-Digital-Human, and the speech encoder, as PyTorch modules: the same names of
parameters and the same arithmetic, for any width of the first layer. The originals' is 32.
"""

import torch
import torch.nn.functional as F
from torch import nn

# Each network: side of the picture, what it hears, shape of the sound, and how the older or the newer code names it.
NETWORKS = {
    "synctalk-328-ave": (320, "ave", (32, 16, 16), "nested"),
    "synctalk-328-hubert": (320, "hubert", (32, 32, 32), "nested"),
    "synctalk-328-wenet": (320, "wenet", (256, 16, 32), "nested"),
    "synctalk-160-ave": (160, "ave", (32, 16, 16), "nested"),
    "synctalk-160-hubert": (160, "hubert", (32, 32, 32), "nested"),
    "synctalk-160-wenet": (160, "wenet", (256, 16, 32), "nested"),
    "ultralight-hubert": (160, "hubert", (16, 32, 32), "flat"),
    "ultralight-wenet": (160, "wenet", (128, 16, 32), "flat"),
}

# Of random weights: between those of a linear layer (1) and of one before a ReLU (1.4).
GAIN = 1.1


class Residual(nn.Module):
    def __init__(self, inputs, outputs, stride=1, add=False):
        super().__init__()
        wide = inputs * 2
        self.add = add
        self.conv = nn.Sequential(
            nn.Conv2d(inputs, wide, 1, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU(),
            nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU(),
            nn.Conv2d(wide, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )

    def forward(self, x):
        return x + self.conv(x) if self.add else self.conv(x)


class Pair(nn.Module):
    def __init__(self, inputs, outputs, stride=1):
        super().__init__()
        self.double_conv = nn.Sequential(Residual(inputs, outputs, stride), Residual(outputs, outputs, add=True))

    def forward(self, x):
        return self.double_conv(x)


class Holder(nn.Module):
    """Gives a part the name that the originals give it, inside a Sequential as the older code has it, or plain."""

    def __init__(self, name, part, style):
        super().__init__()
        setattr(self, name, nn.Sequential(part) if style == "nested" else part)

    def forward(self, x):
        return next(self.children())(x)


class Up(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv = Pair(inputs, outputs)

    def forward(self, low, skip):
        low = F.interpolate(low, scale_factor=2, mode="bilinear", align_corners=True)
        return self.conv(torch.cat([low, skip], 1))


class Sound(nn.Module):
    def __init__(self, hears, inputs, c):
        super().__init__()
        if hears == "wenet":
            self.conv1 = Residual(inputs, c[3], add=inputs == c[3])
            self.conv2 = Residual(c[3], c[3], add=True)
            self.conv3 = nn.Conv2d(c[3], c[3], 3, (1, 2), 1)
        else:
            self.conv1 = Residual(inputs, c[1])
            self.conv2 = Residual(c[1], c[2])
            self.conv3 = nn.Conv2d(c[2], c[3], 3, 2 if hears == "hubert" else 1, 1)
        self.bn3 = nn.BatchNorm2d(c[3])
        self.conv4 = Residual(c[3], c[3], add=True)
        self.conv5 = nn.Conv2d(c[3], c[4], 3, 2, 3)
        self.bn5 = nn.BatchNorm2d(c[4])
        self.conv6 = Residual(c[4], c[4], add=True)
        self.conv7 = Residual(c[4], c[4], add=True)

    def forward(self, x):
        x = self.conv4(F.relu(self.bn3(self.conv3(self.conv2(self.conv1(x))))))
        return self.conv7(self.conv6(F.relu(self.bn5(self.conv5(x)))))


class LipSync(nn.Module):
    def __init__(self, name, width=32):
        super().__init__()
        size, hears, (inputs, _, _), style = NETWORKS[name]
        c = [width << step for step in range(5)]
        downs = [c[0], *c] if size == 320 else c
        ups = [(c[4], c[3] // 2), (c[3], c[2] // 2), (c[2], c[1] // 2), (c[1], c[0])]
        if size == 320:
            ups.append((c[1], c[0] // 2))
        if hears == "wenet" and style == "nested":
            inputs = c[3]
        self.audio_model = Sound(hears, inputs, c)
        self.fuse_conv = nn.Sequential(Pair(c[4] * 2, c[4]), Pair(c[4], c[3]))
        self.inc = Holder("inconv", Residual(6, c[0]), style)
        for step in range(1, len(downs)):
            pair = Pair(downs[step - 1], downs[step], 2)
            setattr(self, f"down{step}", Holder("maxpool_conv", pair, style))
        for step, (wide, narrow) in enumerate(ups, 1):
            setattr(self, f"up{step}", Up(wide, narrow))
        self.outc = nn.Module()
        self.outc.conv = nn.Conv2d(ups[-1][1], 3, 1)
        self.steps = len(ups)

    def forward(self, picture, sound):
        skips = [self.inc(picture)]
        for step in range(1, self.steps + 1):
            skips.append(getattr(self, f"down{step}")(skips[-1]))
        x = self.fuse_conv(torch.cat([skips.pop(), self.audio_model(sound)], 1))
        for step in range(1, self.steps + 1):
            x = getattr(self, f"up{step}")(x, skips.pop())
        return torch.sigmoid(self.outc.conv(x))


class Block(nn.Module):
    def __init__(self, inputs, outputs, kernel=3, stride=1, padding=1, add=False):
        super().__init__()
        self.conv_block = nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, padding), nn.BatchNorm2d(outputs))
        self.add = add

    def forward(self, x):
        out = self.conv_block(x)
        return F.relu(out + x if self.add else out)


def speech_encoder(width=32):
    """[batch, 1, 80, 16] → [batch, 16 × width, 1, 1]"""
    c = [width << step for step in range(5)]
    return nn.Sequential(
        Block(1, c[0]),
        *[Block(c[0], c[0], add=True) for _ in range(2)],
        Block(c[0], c[1], stride=(3, 1)),
        *[Block(c[1], c[1], add=True) for _ in range(2)],
        Block(c[1], c[2], stride=3),
        *[Block(c[2], c[2], add=True) for _ in range(2)],
        Block(c[2], c[3], stride=(3, 2)),
        Block(c[3], c[3], add=True),
        Block(c[3], c[4], padding=0),
        Block(c[4], c[4], kernel=1, padding=0),
    )


def randomise(net, seed):
    """Random weights that neither fade nor blow up along the network, and batch norms that each do something else."""
    numbers = torch.Generator().manual_seed(seed)

    def noise(tensor, spread):
        return torch.randn(tensor.shape, generator=numbers) * spread

    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data.copy_(noise(module.weight, GAIN * module.weight[0].numel() ** -0.5))
            if module.bias is not None:
                module.bias.data.copy_(noise(module.bias, 0.1))
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data.copy_(1 + noise(module.weight, 0.1))
            module.bias.data.copy_(noise(module.bias, 0.1))
            module.running_mean.copy_(noise(module.running_mean, 0.1))
            module.running_var.copy_(torch.exp(noise(module.running_var, 0.2)))
    return net.eval()


def ramp(*shape):
    """Inputs that TypeScript can make, too: (7919 · i mod 1000) / 1000."""
    count = 1
    for size in shape:
        count *= size
    return ((torch.arange(count, dtype=torch.int64) * 7919) % 1000).float().div(1000).view(*shape)
