"""Both engines keep the promise."""

from __future__ import annotations

from tests.storage.storage_contract import StorageContract


class TestStorageContract(StorageContract):
    """Run once over each engine: the fixture `store` is both."""
