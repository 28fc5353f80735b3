"""No test reads or fills the cache of who runs it. Some need real networks and images, where they are at hand."""

import os
import tempfile
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # Before torch is imported: workers that each take every core run slower than one thread each.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session", autouse=True)
def cache_of_its_own():
    with tempfile.TemporaryDirectory() as folder:
        os.environ["STITCHC_CACHE_DIR"] = folder
        yield
        del os.environ["STITCHC_CACHE_DIR"]


@pytest.fixture(scope="session")
def shared() -> Path:
    """Where the real networks and images are."""
    folder = os.environ.get("STITCHC_SHARED")
    if not folder or not Path(folder).is_dir():
        pytest.skip("STITCHC_SHARED names no folder of real networks and images")
    return Path(folder)
