"""A small vision transformer for 32x32 images: trained here, and a model file that stitchc reads.

    python benchmarks/vit.py --data 'tar:cifar10_jpeg.tar.xz?split=train' --test 'tar:cifar10_jpeg.tar.xz?split=test' \\
        --out vit_cifar10.pt
    stitchc eval 'benchmarks/vit.py:make("vit_cifar10.pt")' --data 'tar:cifar10_jpeg.tar.xz?split=test&limit=2000'

The checkpoint is written whole after every epoch, and the same command goes on from it.
"""

import argparse
import math
import os
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CLASSES, SIDE = 10, 32
MEAN, STD = (0.5,) * 3, (0.25,) * 3
PADDING = 4


class Attention(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        qkv = self.qkv(x).reshape(batch, length, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        x = F.scaled_dot_product_attention(q, k, v)
        return self.proj(x.transpose(1, 2).reshape(batch, length, width))


class Mlp(nn.Module):
    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(x)))


class Encoder(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width, 2 * width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class VisionTransformer(nn.Module):
    """64 tokens, each of 4x4 pixels, and the mean of them (Dosovitskiy et al. 2021).

    Two strided convolutions make the tokens: they learn in a few epochs what one of stride 4 needs many for (Xiao et
    al. 2021).
    """

    def __init__(self, width: int = 96, depth: int = 6, heads: int = 3):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, width // 2, 3, 2, 1, bias=False),
            nn.BatchNorm2d(width // 2),
            nn.ReLU(),
            nn.Conv2d(width // 2, width, 3, 2, 1),
        )
        self.pos_embed = nn.Parameter(torch.randn(1, (SIDE // 4) ** 2, width) * 0.02)
        self.blocks = nn.Sequential(*(Encoder(width, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).flatten(2).transpose(1, 2) + self.pos_embed
        return self.head(self.norm(self.blocks(x)).mean(1))


def make(checkpoint: str, pretrained: bool = True) -> nn.Module:
    """The network with the weights of `checkpoint`, in eval mode."""
    net = VisionTransformer()
    if pretrained:
        net.load_state_dict(torch.load(checkpoint, weights_only=True)["model"])
    return net.eval()


def input_spec(name: str) -> tuple[tuple[int, int, int], tuple[float, ...], tuple[float, ...]]:
    return (3, SIDE, SIDE), MEAN, STD


def pictures(words: str) -> tuple[Tensor, Tensor]:
    """Pixels uint8 [n, 3, 32, 32] and labels int64 [n] of the images that `words` name."""
    from stitchc import zoo
    from stitchc.passes.data.model import InputSpec

    images = zoo.images(words)
    assert images.labels is not None, f"{words} has no labels"
    plain = InputSpec((3, SIDE, SIDE), (0.0,) * 3, (1.0,) * 3)
    return torch.cat([(batch * 255).round().byte() for batch in images.batches(plain, 1024)]), images.labels


def normalised(pixels: Tensor) -> Tensor:
    return (pixels.float() / 255 - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


def augmented(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Every image mirrored or not, and shifted by up to `PADDING` pixels of edge."""
    n = len(pixels)
    padded = F.pad(pixels, (PADDING,) * 4)
    top, left = torch.randint(0, 2 * PADDING + 1, (2, n, 1), generator=generator)
    columns = torch.arange(SIDE).expand(n, -1)
    columns = torch.where(torch.rand(n, 1, generator=generator) < 0.5, columns.flip(1), columns) + left
    rows = torch.arange(SIDE).expand(n, -1) + top
    image, channel = torch.arange(n).view(n, 1, 1, 1), torch.arange(3).view(3, 1, 1)
    return padded[image, channel, rows[:, None, :, None], columns[:, None, None]]


@torch.no_grad()
def accuracy(net: nn.Module, pixels: Tensor, labels: Tensor) -> float:
    net.eval()
    hits = [net(normalised(x)).argmax(1) == y for x, y in zip(pixels.split(500), labels.split(500), strict=True)]
    return float(torch.cat(hits).double().mean())


def write(state: dict[str, object], path: Path) -> None:
    whole = path.with_name(path.name + ".part")
    torch.save(state, whole)
    os.replace(whole, path)


def train(arguments: argparse.Namespace) -> None:
    pixels, labels = pictures(arguments.data)
    test_pixels, test_labels = pictures(arguments.test)
    torch.manual_seed(arguments.seed)
    net = VisionTransformer()
    optimizer = torch.optim.AdamW(net.parameters(), lr=arguments.lr, weight_decay=0.05)
    batches = len(labels) // arguments.batch
    total, warmup = arguments.epochs * batches, batches // 2
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda t: (t + 1) / warmup if t < warmup else 0.5 + 0.5 * math.cos(math.pi * t / total)
    )
    done = 0
    if arguments.out.exists():
        state = torch.load(arguments.out, weights_only=True)
        net.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        done = state["epoch"]
        print(f"goes on after epoch {done}", flush=True)
    for epoch in range(done, arguments.epochs):
        generator = torch.Generator().manual_seed(arguments.seed + epoch)
        start = time.perf_counter()
        net.train()
        for index in torch.randperm(len(labels), generator=generator).split(arguments.batch)[:batches]:
            x = normalised(augmented(pixels[index], generator))
            loss = F.cross_entropy(net(x), labels[index], label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        top1 = accuracy(net, test_pixels, test_labels)
        state = {"model": net.state_dict(), "optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()}
        write({**state, "epoch": epoch + 1, "top1": top1}, arguments.out)
        seconds = time.perf_counter() - start
        print(f"epoch {epoch + 1}: {top1:.1%} of {len(test_labels)} test images, {seconds:.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Trains a small vision transformer on 32x32 images of ten classes.")
    parser.add_argument("--data", required=True, help="DATA to train on")
    parser.add_argument("--test", required=True, help="DATA to measure on")
    parser.add_argument("--out", type=Path, required=True, help="the checkpoint")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    train(parser.parse_args())


if __name__ == "__main__":
    main()
