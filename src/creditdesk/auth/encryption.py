"""Encryption of secrets in the database: signing keys, and the seeds of one-time codes.

Encryption keys come from the settings or a key file, so a copy of the database alone reveals no secret.
"""

from __future__ import annotations

from typing import Final

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from creditdesk.entities.security.credential import Credential
from creditdesk.entities.security.signing_key import SigningKey
from creditdesk.schema.entity import Entity
from creditdesk.schema.query import Comparison, Filter
from creditdesk.schema.repository import Finder, WriteSession

_PREFIX: Final = "fernet:"
_SECRETS: Final = ((SigningKey, "Secret"), (Credential, "TotpSecret"))


class EncryptionKeyError(ValueError):
    """A key is malformed, or is not the one that a stored secret was encrypted with."""


class SecretCipher:
    """Encrypts with the first of its keys and decrypts with any of them; keys are Fernet keys.

    Without keys it stores secrets unencrypted. It returns unencrypted stored secrets unchanged.
    """

    def __init__(self, keys: str = "") -> None:
        try:
            fernets = [Fernet(key.strip()) for key in keys.split(",") if key.strip()]
        except ValueError:
            raise EncryptionKeyError("An encryption key must be 32 random bytes in URL-safe base 64.") from None
        self._first = fernets[0] if fernets else None
        self._all = MultiFernet(fernets) if fernets else None

    def encrypt(self, secret: str) -> str:
        if self._first is None:
            return secret
        return _PREFIX + self._first.encrypt(secret.encode()).decode()

    def decrypt(self, stored: str) -> str:
        """The secret. Raises EncryptionKeyError where none of the keys encrypted it."""
        if not stored.startswith(_PREFIX):
            return stored
        try:
            if self._all is not None:
                return self._all.decrypt(stored.removeprefix(_PREFIX)).decode()
        except InvalidToken:
            pass
        raise EncryptionKeyError(
            "The secrets of the database are encrypted with another key. Restore its key file, or"
            " set auth.encryption_key."
        )

    def is_current(self, stored: str) -> bool:
        """Whether the first key encrypted the stored secret."""
        if self._first is None:
            return not stored.startswith(_PREFIX)
        try:
            self._first.decrypt(stored.removeprefix(_PREFIX))
        except InvalidToken:
            return False
        return stored.startswith(_PREFIX)


NO_CIPHER: Final = SecretCipher()
"""Stores secrets unencrypted."""


def generate_encryption_key() -> str:
    """A new key."""
    return Fernet.generate_key().decode()


async def check_stored_secrets(session: Finder, cipher: SecretCipher) -> None:
    """Raises EncryptionKeyError for a stored secret that no key of the cipher encrypted."""
    for entity, column in _SECRETS:
        for row in await session.find(entity, [_is_set(entity, column)], columns=["Id", column]):
            cipher.decrypt(row[column])


async def encrypt_stored_secrets(session: WriteSession, cipher: SecretCipher) -> int:
    """Encrypts every secret that the first key has not encrypted; returns how many there were."""
    count = 0
    for entity, column in _SECRETS:
        found = await session.find(entity, [_is_set(entity, column)], columns=["Id"])
        rows = await session.lock(entity, [row["Id"] for row in found])
        changes = [
            (row_id, {column: cipher.encrypt(cipher.decrypt(row[column]))})
            for row_id, row in rows.items()
            if row[column] and not cipher.is_current(row[column])
        ]
        if changes:
            await session.update(entity, changes)
        count += len(changes)
    return count


def _is_set(entity: type[Entity], column: str) -> Filter:
    return Filter(entity.meta().columns[column], Comparison.NOT_NULL)
