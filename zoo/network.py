"""Whether a download can work at all, found out in seconds: Hugging Face's client alone retries for a minute."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit
from urllib.request import getproxies

TIMEOUT_SECONDS = 3.0


def reachable(url: str) -> bool:
    """Whether the host of `url`, or the proxy that leads to it, takes a connection."""
    target = urlsplit(getproxies().get("https") or url)
    port = target.port or (443 if target.scheme == "https" else 80)
    try:
        socket.create_connection((target.hostname or "", port), timeout=TIMEOUT_SECONDS).close()
    except OSError:
        return False
    return True


@contextmanager
def hub_offline_if_unreachable() -> Iterator[None]:
    """Within, Hugging Face's client serves from its cache alone and fails at once when there is no network."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    if not before and not reachable(constants.ENDPOINT):
        constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
