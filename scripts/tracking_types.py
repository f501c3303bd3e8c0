"""Writes the JSDoc types of tracking.js from the event contract. `--check` only says whether they are up to date."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from launchpad_lib.contract.tables import EVENT_PROPERTIES  # noqa: E402

MODULE = ROOT / "launchpad_lib/collector/static/tracking.js"
BEGIN = "// begin of the part generated from launchpad_lib/contract/tables.py by scripts/tracking_types.py\n"
END = "// end of the generated part\n"
TYPES = {"string": "string", "number": "number", "integer": "number", "boolean": "boolean"}


def generated() -> str:
    """The typedefs: one per event, and a map from event names to them."""
    parts = []
    for event, properties in EVENT_PROPERTIES.items():
        lines = [f" * @typedef {{object}} {_type_name(event)}"]
        for p in properties:
            name = p.name if p.required else f"[{p.name}]"
            whole = "a whole number: " if p.type == "integer" else ""
            lines.append(f" * @property {{{TYPES[p.type]}}} {name} {whole}{p.description}")
        parts.append("/**\n" + "\n".join(lines) + "\n */\n")
    names = "\n".join(f" * @property {{{_type_name(event)}}} {event}" for event in EVENT_PROPERTIES)
    parts.append(f"/**\n * @typedef {{object}} TypedProperties\n{names}\n */\n")
    return "\n".join(parts)


def _type_name(event: str) -> str:
    return "".join(word.capitalize() for word in event.split("_"))


def main() -> int:
    """Exit status 1 when `--check` finds a difference."""
    text = MODULE.read_text(encoding="utf-8")
    head, rest = text.split(BEGIN)
    fresh = head + BEGIN + generated() + END + rest.split(END)[1]
    if "--check" in sys.argv:
        if fresh != text:
            print(
                f"{MODULE.relative_to(ROOT)} is not up to date: run python scripts/tracking_types.py", file=sys.stderr
            )
            return 1
        return 0
    MODULE.write_text(fresh, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
