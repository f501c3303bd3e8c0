"""The page at /docs, made from the event contract: no script, no request to anywhere (FastAPI's own page loads from a
CDN).
"""

from __future__ import annotations

from html import escape

from launchpad_lib.collector.settings import Settings
from launchpad_lib.contract.annotations import KINDS
from launchpad_lib.contract.event.rules import ID_CHARACTERS, MAX_DEPTH, MAX_PROPERTIES_BYTES, NAME_CHARACTERS
from launchpad_lib.contract.tables import EVENT_PROPERTIES, EVENTS

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.55 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1.5rem; display: block; overflow-x: auto; }
th, td { text-align: left; padding: .35rem .7rem; border-bottom: 1px solid #8884; vertical-align: top; }
code, pre { font-family: ui-monospace, monospace; font-size: .92em; }
pre { background: #8881; padding: 1rem; border-radius: .5rem; overflow-x: auto; }
"""

_EXAMPLE = """curl -H 'content-type: application/json' -d '[{
  "event_id": "0195f3c2-7b1e-7c3d-9a4b-000000000001", "event_name": "option_selected",
  "user_id": "u1", "event_at": "2026-01-31T09:30:00Z", "feature_id": "configurator",
  "properties": {"quiz_id": "laptop", "option": "light"}
}]' http://127.0.0.1:8080/v1/events"""

_REPLIES = (
    (
        "202",
        "Every event was judged, and the accepted ones are on the disk: "
        '<code>{"accepted": n, "refused": [{"index", "event_id", "reason"}]}</code>. Do not send refused events again.',
    ),
    (
        "400, 413, 415",
        "The request cannot be read, is too large, or is packed in another way than gzip. Nothing was kept.",
    ),
    ("401, 403", "The write key or the web origin may not write. Nothing was kept."),
    (
        "429, 503",
        "Too many events, or the disk refuses. Nothing was kept: send again after <code>Retry-After</code> seconds.",
    ),
)


def docs_page(settings: Settings) -> str:
    """The page as HTML."""
    columns = [
        (c.name, "text" if c.type == "string" else c.type, "yes" if c.required else "", c.description)
        for c in EVENTS.columns
    ]
    typed = [
        (event, p.name, p.type, p.description) for event, properties in EVENT_PROPERTIES.items() for p in properties
    ]
    limits = [
        ("request", f"{settings.max_body_bytes:,} bytes, unpacked too"),
        ("properties of an event", f"{MAX_PROPERTIES_BYTES:,} bytes, {MAX_DEPTH} levels"),
        ("an id", f"{ID_CHARACTERS:,} characters"),
        ("a name", f"{NAME_CHARACTERS:,} characters"),
        ("events a request", f"{settings.max_events:,}"),
        (
            "rate",
            f"{settings.rate_per_second:g} events a second per key or client"
            if settings.rate_per_second
            else "no limit",
        ),
        ("write key", "needed" if settings.write_keys else "not needed"),
    ]
    replies = "".join(f"<tr><td><code>{status}</code></td><td>{text}</td></tr>" for status, text in _REPLIES)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" '
        'content="width=device-width, initial-scale=1">'
        f"<title>Collector</title><style>{_STYLE}</style><h1>Feature Launchpad collector</h1>"
        '<p><code>POST /v1/events</code> takes a JSON array of events, <code>{"events": [...]}</code>, or one '
        "event a line "
        "(<code>application/x-ndjson</code>), plain or gzip. The write key goes into <code>Authorization: "
        "Bearer</code>, <code>X-Write-Key</code> or "
        f"<code>?write_key=</code>.</p><pre>{escape(_EXAMPLE)}</pre>"
        f"<h2>Answers</h2><table><tr><th>status<th>meaning</tr>{replies}</table>"
        f"<h2>Event</h2>{_table(('field', 'type', 'required', 'meaning'), columns)}<p>Any other field is kept "
        "in <code>properties</code>.</p>"
        f"<h2>Typed properties</h2>{_table(('event', 'property', 'type', 'meaning'), typed)}"
        f"<h2>Limits</h2>{_table(('of', 'limit'), limits)}"
        "<p>Also: <code>POST /v1/annotations</code> (deployments, incidents; an object or an array of objects with "
        f"kind ({', '.join(KINDS)}), label and, if you like, at and feature_id), "
        "<code>GET /healthz</code>, <code>GET /metrics</code> (Prometheus), <code>GET "
        "/openapi.json</code>.</p></html>"
    )


def _table(head: tuple[str, ...], rows: list[tuple]) -> str:
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{''.join(f'<th>{escape(h)}' for h in head)}</tr>{body}</table>"
