"""Both engines keep the promise."""

from __future__ import annotations

from tests.storage.promise import Promise


class TestPromise(Promise):
    """Run once over each engine: the fixture `store` is both."""
