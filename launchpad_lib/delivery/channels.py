"""Where messages may go, as a params file declares it. What is secret is named there and stands in the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Annotated, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Variable = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,80}$")]
LOOPBACK = ("127.0.0.1", "localhost", "::1")
ADDRESS = re.compile(r"[^\s@<>,;:\"()\[\]\\]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,250}[A-Za-z0-9])?")


class ChannelError(ValueError):
    """A channel that cannot be used: one sentence that names the variable of a secret, never the secret."""


class _Channel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    attempts: int = Field(default=4, ge=1, le=10, description="how often a message is tried, with longer waits between")
    timeout_seconds: float = Field(default=10, gt=0, le=120, strict=False, description="longest time of one try")

    def secrets(self) -> list[str]:
        """Names of the environment variables that it reads."""
        named = (getattr(self, field) for field in type(self).model_fields if field.endswith("_env"))
        return [name for name in named if name is not None]


class SlackChannel(_Channel):
    """An incoming webhook of Slack."""

    kind: Literal["slack"] = Field(description="an incoming webhook of Slack")
    url_env: Variable = Field(description="environment variable that holds the webhook's address")


class PagerDutyChannel(_Channel):
    """PagerDuty's Events API v2; alerts only."""

    kind: Literal["pagerduty"] = Field(description="PagerDuty's Events API v2")
    key_env: Variable = Field(description="environment variable that holds the integration (routing) key")
    region: Literal["us", "eu"] = Field(default="us", description="service region of the account")
    url_env: Variable | None = Field(
        default=None, description="environment variable with another address of the Events API, for example a test's"
    )


class WebhookChannel(_Channel):
    """Any address that takes a JSON POST, signed as Standard Webhooks say."""

    kind: Literal["webhook"] = Field(description="an address that takes a signed JSON POST")
    url_env: Variable = Field(description="environment variable that holds the address")
    secret_env: Variable = Field(description="environment variable that holds the secret of the signature")


class MailChannel(_Channel):
    """E-mail through an SMTP server."""

    kind: Literal["mail"] = Field(description="e-mail through an SMTP server")
    host: str = Field(pattern=r"^[A-Za-z0-9.:-]{1,253}$", description="name of the SMTP server")
    port: int = Field(default=587, ge=1, le=65535, description="its port")
    security: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="none only to this machine, and without a password"
    )
    sender: str = Field(description="address that it comes from")
    to: list[str] = Field(min_length=1, max_length=50, description="addresses that it goes to")
    user_env: Variable | None = Field(default=None, description="environment variable that holds the user's name")
    password_env: Variable | None = Field(default=None, description="environment variable that holds the password")

    @field_validator("sender", "to")
    @classmethod
    def _are_addresses(cls, said: str | list[str]) -> str | list[str]:
        for one in [said] if isinstance(said, str) else said:
            if not ADDRESS.fullmatch(one):
                raise ValueError(f"{one[:80]!r} is no e-mail address; write for example team@example.com")
        return said

    @model_validator(mode="after")
    def _password_is_guarded(self) -> MailChannel:
        if (self.user_env is None) != (self.password_env is None):
            raise ValueError("user_env and password_env go together; name both or none")
        if self.security == "none" and (self.host not in LOOPBACK or self.password_env):
            raise ValueError(
                "security=none: mail without TLS goes to 127.0.0.1 only and without a password; write starttls or tls"
            )
        return self


Channel = Annotated[SlackChannel | PagerDutyChannel | WebhookChannel | MailChannel, Field(discriminator="kind")]


def secret_of(variable: str, environment: Mapping[str, str] = os.environ) -> str:
    """What an environment variable holds.

    Raises:
        ChannelError: it is not set, or empty, or holds what no header and no address may hold.
    """
    value = environment.get(variable, "").strip()
    if not value:
        raise ChannelError(f"{variable}: is not set; export it, secrets stand in the environment only")
    if not value.isascii() or not value.isprintable():
        raise ChannelError(f"{variable}: holds characters that are not printable ASCII; set it again")
    return value


def address_of(variable: str, environment: Mapping[str, str] = os.environ) -> str:
    """The address that an environment variable holds: https, or http to this machine.

    Raises:
        ChannelError: it is not set or no such address.
    """
    value = secret_of(variable, environment)
    try:
        parts = urlsplit(value)
        is_address = bool(parts.hostname) and not parts.username and (parts.port or 1) > 0
    except ValueError:
        parts, is_address = SplitResult("", "", "", "", ""), False
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
    if not (is_address and is_safe):
        raise ChannelError(f"{variable}: holds no https address (http only to 127.0.0.1); set it again")
    return value


def check_secrets(channels: Mapping[str, _Channel], environment: Mapping[str, str] = os.environ) -> None:
    """That every channel finds its secrets, before a run begins.

    Raises:
        ChannelError: the first that does not.
    """
    for name, channel in channels.items():
        for field in type(channel).model_fields:
            variable = getattr(channel, field) if field.endswith("_env") else None
            if variable is None:
                continue
            try:
                (address_of if field == "url_env" else secret_of)(variable, environment)
            except ChannelError as error:
                raise ChannelError(f"channels.{name}: {error}") from None
