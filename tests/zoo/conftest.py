"""What several tests of the zoo need."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No network, and caches that hold nothing; returns the folder that torch's cached weights would lie in."""
    from huggingface_hub import constants

    monkeypatch.setattr("stitchc.zoo.network.reachable", lambda url: False)
    monkeypatch.setattr("stitchc.zoo.from_torchvision.reachable", lambda url: False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "torch" / "hub" / "checkpoints"
