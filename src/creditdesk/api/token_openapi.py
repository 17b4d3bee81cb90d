"""POST /api/token as the OpenAPI document shows it. Must not know how tokens are given."""

from __future__ import annotations

from typing import Any, Final

TOKEN_OPERATION: Final[dict[str, Any]] = {
    "operationId": "token",
    "tags": ["auth"],
    "summary": "Exchange a password or a refresh token for tokens",
    "security": [],
    "parameters": [
        {
            "name": "client_id",
            "in": "header",
            "schema": {"type": "string", "maxLength": 320},
            "description": "Names the client a refresh token belongs to; the e-mail when left out.",
        }
    ],
    "requestBody": {
        "required": True,
        "content": {
            "application/x-www-form-urlencoded": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "grant_type": {"type": "string", "enum": ["password", "refresh_token"]},
                        "username": {"type": "string"},
                        "password": {"type": "string"},
                        "totp": {"type": "string"},
                        "refresh_token": {"type": "string"},
                        "client_id": {"type": "string"},
                    },
                    "required": ["grant_type"],
                }
            }
        },
    },
    "responses": {
        "200": {
            "description": "Tokens.",
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "properties": {
                            "access_token": {"type": "string"},
                            "token_type": {"const": "bearer"},
                            "expires_in": {"type": "integer"},
                            "refresh_token": {"type": "string"},
                        },
                        "required": ["access_token", "token_type", "expires_in", "refresh_token"],
                    }
                }
            },
        },
        "400": {"$ref": "#/components/responses/GrantRefused"},
        "429": {"$ref": "#/components/responses/GrantRefused"},
    },
}
