"""The storage contract on both engines."""

from __future__ import annotations

from tests.storage.storage_contract import StorageContract


class TestStorageContract(StorageContract):
    """Runs on each engine: the fixture `store` is parametrized."""
