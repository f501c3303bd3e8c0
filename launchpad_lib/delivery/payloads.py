"""What each kind of receiver reads: Slack's blocks, PagerDuty's event, the signed JSON of a webhook.

Names from the data are text in all of them: no markup, no mention, no address.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

from launchpad_lib.contract.legible import visible
from launchpad_lib.delivery.message import Message, one_line

SLACK_CHARACTERS = 2900  # of 3,000 that a block may hold
SUMMARY_CHARACTERS = 1000  # of 1,024
PAGERDUTY = {
    "us": "https://events.pagerduty.com/v2/enqueue",
    "eu": "https://events.eu.pagerduty.com/v2/enqueue",
}
GLYPHS = {"critical": "●", "error": "●", "warning": "▲", "info": "○"}


def slack_payload(message: Message) -> dict[str, Any]:
    """Blocks of plain text, in which `<!channel>`, `*` and `_` are what they look like; the link is ours.

    >>> from datetime import UTC, datetime
    >>> m = Message("resolve", "k", "i", "info", "<!here> is well", (), datetime(2026, 1, 1, tzinfo=UTC), "weekly")
    >>> slack_payload(m)["text"]
    '✓ &lt;!here&gt; is well'
    """
    head = f"{_glyph(message)} {one_line(message.title)}"
    body = "\n".join(visible(line) for line in message.lines)
    blocks: list[dict[str, Any]] = [_plain(head)]
    if body:
        blocks.append(_plain(body if len(body) <= SLACK_CHARACTERS else f"{body[: SLACK_CHARACTERS - 1]}…"))
    if message.link:
        address = message.link.replace("&", "&amp;").replace("<", "%3C").replace(">", "%3E").replace("|", "%7C")
        blocks.append({"type": "context", "elements": [{"type": "mrkdwn", "text": f"<{address}|Proof>"}]})
    escaped = head.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return {"text": escaped, "blocks": blocks, "unfurl_links": False, "unfurl_media": False}


def _plain(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "plain_text", "text": text, "emoji": False}}


def _glyph(message: Message) -> str:
    return "✓" if message.kind == "resolve" else GLYPHS[message.severity]


def pagerduty_payload(message: Message, *, routing_key: str) -> dict[str, Any]:
    """An event of the Events API v2: what begins, or what is over, under one `dedup_key`."""
    event: dict[str, Any] = {"routing_key": routing_key, "event_action": message.kind, "dedup_key": message.key}
    if message.kind == "resolve":
        return event
    event["payload"] = {
        "summary": one_line(message.title, most=SUMMARY_CHARACTERS),
        "source": one_line(message.feature_id or message.run) or "launchpad",
        "severity": message.severity,
        "timestamp": message.at.isoformat(),
        "component": one_line(message.feature_id or ""),
        "group": message.run,
        "class": one_line(message.rule),
        "custom_details": {"told": [visible(line) for line in message.lines]},
    }
    if message.link:
        event["links"] = [{"href": message.link, "text": "Proof"}]
    return event


def webhook_payload(message: Message) -> dict[str, Any]:
    """The message as JSON; text as it is in the data."""
    return {
        "type": f"launchpad.{'digest' if message.kind == 'digest' else f'alert.{message.kind}'}",
        "timestamp": message.at.isoformat(),
        "data": {
            "key": message.key,
            "severity": message.severity,
            "title": message.title,
            "lines": list(message.lines),
            "run": message.run,
            "rule": message.rule,
            "feature_id": message.feature_id,
            "link": message.link,
        },
    }


def json_body(payload: dict[str, Any]) -> bytes:
    """A payload as UTF-8; a lone surrogate, which has no UTF-8, stays an escape."""
    return json.dumps(payload, ensure_ascii=True, allow_nan=False).encode()


def signature_headers(body: bytes, *, message_id: str, secret: str, now_seconds: int) -> dict[str, str]:
    """The three headers of Standard Webhooks (standardwebhooks.com): id, time, and HMAC-SHA256 over `id.time.body`.

    A secret that begins with `whsec_` is base64; any other is taken as it stands.

    >>> said = signature_headers(
    ...     b'{"test": 2432232314}',
    ...     message_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
    ...     secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    ...     now_seconds=1614265330,
    ... )
    >>> said["webhook-signature"]
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
    """
    key = base64.b64decode(secret[6:]) if secret.startswith("whsec_") else secret.encode()
    signed = hmac.new(key, f"{message_id}.{now_seconds}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(now_seconds),
        "webhook-signature": f"v1,{base64.b64encode(signed).decode()}",
    }
