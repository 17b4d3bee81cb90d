"""Secrets are encrypted in the database, with a key outside it; the key can be rotated."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import httpx
import pyotp
import pytest

from creditdesk.app import build_app
from creditdesk.auth.encryption import (
    EncryptionKeyError,
    SecretCipher,
    encrypt_stored_secrets,
    generate_encryption_key,
)
from creditdesk.auth.tokens import signing_secret
from creditdesk.cli.program import FAILED, OK, run
from creditdesk.entities.security.credential import Credential
from creditdesk.entities.security.signing_key import SigningKey
from creditdesk.entities.sys.user import User
from creditdesk.schema.repository import Store
from creditdesk.settings import AuthSettings, Settings
from tests.support.users import (
    SIGN_IN_TIME,
    create_person,
    create_user_token,
    http_client,
    password_form,
    set_two_factor,
)

FIRST, SECOND = generate_encryption_key(), generate_encryption_key()


def settings(keys: str) -> Settings:
    return Settings(auth=AuthSettings(encryption_key=keys, argon2_time_cost=1))


async def stored_secrets(store: Store) -> list[str]:
    async with store.read_session() as session:
        keys = [row["Secret"] for row in await session.find(SigningKey)]
        return keys + [row["TotpSecret"] for row in await session.find(Credential)]


async def sign_in(store: Store, keys: str, secret: str) -> httpx.Response:
    async with http_client(build_app(store, settings(keys), lambda: SIGN_IN_TIME)) as client:
        code = pyotp.TOTP(secret).at(SIGN_IN_TIME)
        return await client.post("/api/token", data=password_form(totp=code))


async def test_secrets_set_through_the_api_are_encrypted(each_store: Store) -> None:
    token = await create_user_token(each_store, "root@example.org", lifetime_days=4000)
    secret = pyotp.random_base32()
    app = build_app(each_store, settings(FIRST))
    async with http_client(app, token) as client:
        user = {"FullName": "Ada", "Email": "ada@example.org", "Language": 1, "Active": True}
        secrets = {"Password": "correct horse battery", "TwoFactorSecret": secret}
        created = await client.post(User.path(), json=user | secrets | {"APIAccess": True})
        assert created.status_code == 200, created.text
    found = [each for each in await stored_secrets(each_store) if each]
    assert [each for each in found if secret in each] == []
    assert any(SecretCipher(FIRST).decrypt(each) == secret for each in found)
    assert (await sign_in(each_store, FIRST, secret)).status_code == 200


async def test_stored_secrets_are_encrypted_and_rotated(each_store: Store) -> None:
    token_key = await signing_secret(each_store, AuthSettings(), SIGN_IN_TIME)
    user_id = await create_person(each_store)
    secret = await set_two_factor(each_store, user_id, on=True)
    assert set(await stored_secrets(each_store)) == {token_key, secret}
    for keys in (FIRST, f"{SECOND},{FIRST}", SECOND):
        cipher = SecretCipher(keys)
        for changed in (0 if keys == SECOND else 2, 0):
            async with each_store.write_session() as session:
                assert await encrypt_stored_secrets(session, cipher) == changed
        stored = await stored_secrets(each_store)
        assert not {token_key, secret} & set(stored)
        assert {cipher.decrypt(each) for each in stored} == {token_key, secret}
        signer = AuthSettings(encryption_key=keys)
        assert await signing_secret(each_store, signer, SIGN_IN_TIME) == token_key
    assert (await sign_in(each_store, SECOND, secret)).status_code == 200
    with pytest.raises(EncryptionKeyError):
        SecretCipher(FIRST).decrypt(stored[0])


def test_malformed_key_is_refused() -> None:
    with pytest.raises(EncryptionKeyError, match="must be 32 random bytes"):
        SecretCipher("short")


def test_key_file_beside_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "creditdesk.db"
    key_file = tmp_path / "creditdesk.db.key"
    monkeypatch.setenv("CREDITDESK_DATABASE_URL", f"sqlite:///{file}")
    assert run(["init", "--admin", "boss@x.example"]) == OK
    assert run(["user", "token", "boss@x.example"]) == OK
    assert run(["checkpoint"]) == OK
    assert key_file.stat().st_mode & 0o777 == 0o600
    old_key = key_file.read_text().strip()

    def secrets() -> list[str]:
        with sqlite3.connect(file) as connection:
            rows = connection.execute("SELECT secret FROM signing_key ORDER BY name").fetchall()
        connection.close()
        return [secret for (secret,) in rows]

    before = secrets()
    assert len(before) == 2
    assert b"PRIVATE KEY" not in file.read_bytes()
    capsys.readouterr()
    assert run(["rotate-key"]) == OK
    assert capsys.readouterr().out.startswith("Secrets encrypted with the new key: 2.")
    new_key, kept = key_file.read_text().split()
    assert kept == old_key
    plain = [SecretCipher(old_key).decrypt(each) for each in before]
    assert [SecretCipher(new_key).decrypt(each) for each in secrets()] == plain
    assert key_file.stat().st_mode & 0o777 == 0o600
    key_file.unlink()
    assert run(["user", "token", "boss@x.example"]) == FAILED
    assert "encrypted with another key" in capsys.readouterr().err
    monkeypatch.setenv("CREDITDESK_AUTH_ENCRYPTION_KEY", new_key)
    assert run(["user", "token", "boss@x.example"]) == OK
