"""No test reads or fills the cache of who runs it."""

import os
import tempfile

import pytest


@pytest.fixture(scope="session", autouse=True)
def cache_of_its_own():
    with tempfile.TemporaryDirectory() as folder:
        os.environ["STITCHC_CACHE_DIR"] = folder
        yield
        del os.environ["STITCHC_CACHE_DIR"]
