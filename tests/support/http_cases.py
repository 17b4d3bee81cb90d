"""What the tests of the HTTP conventions share."""

from __future__ import annotations

from creditdesk.entities.spaces.resource_type import ResourceType

TYPES = ResourceType.path()
FAILURE = ["Message", "Value", "Errors", "WasSuccessful"]
