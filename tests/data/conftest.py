"""Every test has a cache of its own and no data directory from outside."""

import pytest


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SSLX_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SSLX_DATA", raising=False)
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
    return tmp_path / "cache"
