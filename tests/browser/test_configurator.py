"""The configurator in a real Chromium against a real collector: what the user did is in the spool, each event once, and nothing asks another host."""

from __future__ import annotations

import functools
import http.server
import re
import socket
import threading
import time
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from launchpad_lib.contract.tables import CONFIGURATOR_EVENTS
from tests.collecting import ROOT, Collector, running, spooled, start, stop

STATIC = ROOT / "launchpad_lib/collector/static"
PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 860}


@pytest.fixture
def collector(tmp_path: Path):
    with running(tmp_path / "spool") as started:
        yield started


@pytest.fixture
def visit(browser):
    """Opens contexts whose every request is watched; afterwards: no foreign host, no error on a page."""
    contexts, foreign, errors = [], [], []

    def open_context(**how: object):
        context = browser.new_context(**({"viewport": DESKTOP} | how))
        contexts.append(context)

        def judge(route) -> None:
            if urlsplit(route.request.url).hostname == "127.0.0.1":
                route.continue_()
            else:
                foreign.append(route.request.url)
                route.abort()

        context.route("**/*", judge)
        context.on("weberror", lambda error: errors.append(str(error.error)))
        context.on(
            "console",
            lambda message: errors.append(message.text) if "Content Security Policy" in message.text else None,
        )
        return context

    yield open_context
    for context in contexts:
        context.close()
    assert not foreign and not errors


def wait_for(page, collector: Collector, count: int, seconds: float = 90.0) -> list[dict]:
    """The spool's events once there are `count`, and then a moment later, so that a double would be seen.

    Waits in the page, never by sleeping: the watch over requests answers only while Playwright is at work.
    """
    deadline = time.monotonic() + seconds
    while len(spooled(collector.spool)) < count and time.monotonic() < deadline:
        page.wait_for_timeout(50)
    page.wait_for_timeout(400)
    return spooled(collector.spool)


def names(events: list[dict]) -> list[str]:
    return [e["event_name"] for e in sorted(events, key=lambda e: e["event_id"])]


def choose(page, value: str) -> None:
    page.locator(f"label:has(input[value={value}])").click()


def slide(page, name: str, value: str) -> None:
    page.locator(f"#{name}").fill(value)


def answer_all(page) -> None:
    page.get_by_role("button", name="Start", exact=True).click()
    choose(page, "code")
    page.get_by_role("button", name="Next").click()
    choose(page, "fast")
    page.get_by_role("button", name="Next").click()
    slide(page, "budget", "2400")
    page.get_by_role("button", name="Next").click()
    slide(page, "screen", "16")
    choose(page, "no_pen")
    page.get_by_role("button", name="Show my laptop").click()


FULL = [
    "quiz_started",
    "option_selected",
    "option_selected",
    "slider_adjusted",
    "slider_adjusted",
    "option_selected",
    "quiz_completed",
    "result_viewed",
]


def test_a_quiz_completed_with_an_offline_time_in_the_middle_is_kept_once(visit, collector):
    context = visit(viewport=PHONE)
    page = context.new_page()
    page.goto(collector.url)
    page.get_by_role("button", name="Yes, count").click()
    page.get_by_role("button", name="Start", exact=True).click()
    choose(page, "create")
    assert names(wait_for(page, collector, 2)) == ["quiz_started", "option_selected"]
    context.set_offline(True)
    page.get_by_role("button", name="Next").click()
    choose(page, "fast")
    page.get_by_role("button", name="Next").click()
    slide(page, "budget", "2800")
    banner = page.locator("#banner")
    banner.get_by_text("You are offline").wait_for()
    page.get_by_text("2 events wait").wait_for()
    page.wait_for_timeout(1500)  # attempts fail meanwhile
    assert len(spooled(collector.spool)) == 2
    context.set_offline(False)
    page.get_by_text("Everything is sent").wait_for()
    page.get_by_role("button", name="Next").click()
    choose(page, "pen")
    page.get_by_role("button", name="Show my laptop").click()
    assert page.locator("#result-name").inner_text() == "Atelier 16"
    page.get_by_role("button", name="Copy the link").click()
    events = wait_for(page, collector, 8)
    assert names(events) == [
        "quiz_started",
        "option_selected",
        "option_selected",
        "slider_adjusted",
        "option_selected",
        "quiz_completed",
        "result_viewed",
        "result_shared",
    ]
    assert max(Counter(e["event_id"] for e in events).values()) == 1
    assert len({e["user_id"] for e in events}) == len({e["session_id"] for e in events}) == 1
    by_name = {e["event_name"]: e for e in events}
    assert by_name["slider_adjusted"]["properties"] == {
        "quiz_id": "laptop",
        "slider": "budget",
        "value": 2800,
        "previous_value": 1400,
    }
    assert by_name["quiz_completed"]["properties"]["interactions"] == 4
    assert by_name["result_viewed"]["properties"]["result"] == "atelier_16"
    assert by_name["result_shared"]["properties"]["channel"] == "link"
    assert set(by_name) == set(CONFIGURATOR_EVENTS)
    assert all(e["feature_id"] == "configurator" and e["platform"] == "web" for e in events)


def test_the_page_opens_offline_and_what_it_kept_is_sent_after_a_reload(visit, collector):
    context = visit()
    page = context.new_page()
    page.goto(collector.url)
    page.get_by_role("button", name="Yes, count").click()
    page.evaluate("navigator.serviceWorker.ready")
    page.wait_for_function(
        "caches.has('configurator-1').then(async (there) => there && (await (await caches.open('configurator-1')).keys()).length >= 6)"
    )
    context.set_offline(True)
    answer_all(page)
    page.reload()
    assert page.locator("#result-name").inner_text() == "Forge 16"
    context.set_offline(False)
    # The reload shows the result of the link in the address once more: one more view.
    assert names(wait_for(page, collector, 9)) == [*FULL, "result_viewed"]


def test_it_is_completed_with_the_keyboard_alone(visit, collector):
    page = visit(viewport=PHONE).new_page()
    page.goto(collector.url)
    press = page.keyboard.press
    page.get_by_role("button", name="Start", exact=True).focus()
    press("Enter")
    assert page.evaluate("document.activeElement.textContent") == "What will it do most?"
    press("Tab")
    press("Space")
    press("ArrowDown")
    press("Enter")
    assert page.evaluate("document.activeElement.textContent") == "If you can have only one thing?"
    press("Tab")
    press("Enter")
    assert page.get_by_role("alert").inner_text() == "Choose one to go on"
    press("Space")
    press("Enter")
    press("Tab")
    press("ArrowRight")
    press("Tab")
    press("Enter")
    press("Tab")
    press("Tab")
    press("Space")
    press("Enter")
    assert page.evaluate("document.activeElement.id") == "result-name"
    assert page.evaluate("tracker.counts.tracked") >= 8
    assert spooled(collector.spool) == [], "nobody agreed yet"
    page.get_by_role("button", name="Yes, count").click()
    kept = Counter(names(wait_for(page, collector, 8)))
    assert kept["option_selected"] == 4 and kept["slider_adjusted"] == 1 and kept["quiz_completed"] == 1


def test_who_says_no_is_neither_stored_nor_sent(visit, collector):
    context = visit()
    page = context.new_page()
    page.goto(collector.url)
    page.get_by_role("button", name="No thanks").click()
    answer_all(page)
    assert page.locator("#result-name").inner_text() == "Forge 16"
    assert page.evaluate("tracker.flush(300)") is True
    assert page.evaluate("Object.keys(localStorage)") == ["launchpad.consent"]
    page.reload()
    assert page.locator("#consent").is_hidden()
    page.wait_for_timeout(500)
    assert spooled(collector.spool) == [] and context.cookies() == []


def test_a_closed_page_sends_what_it_still_had(visit, collector):
    context = visit()
    page = context.new_page()
    page.goto(collector.url)
    page.get_by_role("button", name="Yes, count").click()
    page.wait_for_timeout(300)
    for _ in range(3):
        page.evaluate("tracker.track('last_words')")
    again = context.new_page()
    page.close(run_before_unload=True)
    assert names(wait_for(again, collector, 3)) == ["last_words"] * 3
    # The store's copies are sent once more by the next page, and not kept twice.
    again.goto(collector.url)
    assert again.evaluate("tracker.flush(5000)") is True
    assert names(wait_for(again, collector, 3)) == ["last_words"] * 3


def test_two_tabs_send_each_event_once(visit, collector):
    context = visit()
    pages = [context.new_page() for _ in range(2)]
    for page in pages:
        page.goto(collector.url)
    pages[0].get_by_role("button", name="Yes, count").click()
    pages[1].evaluate("tracker.setConsent('granted')")
    for n in range(60):
        pages[n % 2].evaluate("n => tracker.track('tab', { n })", n)
    assert all(page.evaluate("tracker.flush(8000)") for page in pages)
    events = wait_for(pages[0], collector, 60)
    assert sorted(e["properties"]["n"] for e in events) == list(range(60))
    assert len({e["user_id"] for e in events}) == 1


def test_tabs_that_begin_in_the_same_millisecond_are_one_visitor_in_one_session(visit, collector):
    """What one tab writes to localStorage another one sees late: here all four ask for their first ids at once."""
    context = visit()
    pages = [context.new_page() for _ in range(4)]
    for page in pages:
        page.goto(collector.url)
    begin = pages[0].evaluate("Date.now()") + 1500
    track = "tracker.setConsent('granted'); for (let n = 0; n < 5; n++) tracker.track('tab', { n });"
    for page in pages:
        page.evaluate("([at, code]) => void setTimeout(new Function(code), at - Date.now())", [begin, track])
    events = wait_for(pages[0], collector, 20)
    assert len({e["event_id"] for e in events}) == 20
    assert len({e["user_id"] for e in events}) == len({e["session_id"] for e in events}) == 1
    again = context.new_page()
    again.goto(collector.url)
    again.evaluate("tracker.track('later')")
    events = wait_for(again, collector, 21)
    assert len({e["user_id"] for e in events}) == len({e["session_id"] for e in events}) == 1


def test_what_is_denied_while_it_is_being_stored_leaves_no_id_behind(visit, collector):
    page = visit().new_page()
    page.goto(collector.url)
    page.evaluate("tracker.setConsent('granted'); tracker.track('tab'); tracker.setConsent('denied')")
    page.wait_for_timeout(300)
    kept = page.evaluate("""async () => {
      const database = await new Promise((done) => {
        const request = indexedDB.open("launchpad-events");
        request.onsuccess = () => done(request.result);
      });
      const store = database.transaction(["identity"]).objectStore("identity");
      const ids = await new Promise((done) => { const all = store.getAll(); all.onsuccess = () => done(all.result); });
      return [ids, Object.keys(localStorage).filter((key) => !key.endsWith(".consent"))];
    }""")
    assert kept == [[], []]


def test_a_collector_that_dies_and_comes_back_gets_everything(visit, tmp_path):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    collector = start(tmp_path / "spool", port=port)
    try:
        page = visit().new_page()
        page.goto(collector.url)
        page.get_by_role("button", name="Yes, count").click()
        page.evaluate("for (let n = 0; n < 120; n++) tracker.track('life', { n })")
        page.wait_for_timeout(900)
        collector.kill()
        collector.process.stdout.close()
        page.evaluate("for (let n = 120; n < 240; n++) tracker.track('life', { n })")
        page.get_by_text("You are offline").wait_for()
        collector = start(tmp_path / "spool", port=port)
        assert page.evaluate("tracker.flush(20000)") is True
        assert {e["properties"]["n"] for e in spooled(collector.spool)} == set(range(240))
        assert page.evaluate("tracker.counts") == {"tracked": 240, "delivered": 240, "refused": 0, "dropped": 0}
    finally:
        stop(collector)


def test_refused_oversized_and_too_many_events_are_told(visit, tmp_path):
    with running(tmp_path, "--max-body-bytes", "20000") as collector:
        page = visit().new_page()
        page.goto(collector.url)
        told = page.evaluate(
            """async () => {
              const { Tracker } = await import("./tracking.js");
              const told = [];
              const tracker = new Tracker({ name: "told", consent: "granted", intervalMs: 60000, maxStored: 30,
                onRefused: (event, reason) => told.push([event.event_name, reason]), onDropped: (count) => told.push(["dropped", count]) });
              for (let n = 0; n < 40; n++) tracker.track("many", { n, pad: "x".repeat(1500) });
              const until = Date.now() + 60000;  // the store drops behind `track`: not before all 40 have met the cap
              while (tracker.counts.dropped < 10 && Date.now() < until) await new Promise((go) => setTimeout(go, 20));
              tracker.track("slider_adjusted", { slider: "budget", value: "high" });
              tracker.track("large", { pad: "x".repeat(70000) });
              tracker.track("lone \\ud800 name", { text: "\\ud800 \\\\ud800" });
              tracker.track("middling", { pad: "x".repeat(30000) });
              await tracker.flush(60000);
              return { told, counts: tracker.counts };
            }"""
        )
        reasons = {name: reason for name, reason in told["told"] if name != "dropped"}
        assert (
            "64 KiB" in reasons["large"]
            and "413" in reasons["middling"]
            and "not a number" in reasons["slider_adjusted"]
        )
        assert told["counts"]["dropped"] == sum(count for name, count in told["told"] if name == "dropped") >= 10
        events = spooled(tmp_path)
        assert told["counts"]["delivered"] == len(events) == 43 - 2 - told["counts"]["dropped"]
        assert max(e["properties"].get("n", 0) for e in events) == 39


def test_retry_after_is_honoured_by_the_page(visit, tmp_path):
    with running(tmp_path, "--rate", "20", "--burst", "20") as collector:
        page = visit().new_page()
        page.goto(collector.url)
        page.get_by_role("button", name="Yes, count").click()
        page.evaluate("for (let n = 0; n < 100; n++) tracker.track('much', { n })")
        started = time.monotonic()
        assert page.evaluate("tracker.flush(25000)") is True
        # Two batches of 50 at 20 a second after the burst of 20: the second waits until the bucket is out of its debt of 30 and full again.
        assert time.monotonic() - started > 2
        assert sorted(e["properties"]["n"] for e in spooled(tmp_path)) == list(range(100))


def test_a_shared_link_shows_its_result_and_nonsense_in_it_is_passed_over(visit, collector):
    page = visit().new_page()
    page.goto(f"{collector.url}/#budget=900&battery=8&screen=14&use=study&priority=cheap&pen=no_pen")
    assert page.locator("#result-name").inner_text() == "Pebble 14"
    page = visit().new_page()
    page.goto(f"{collector.url}/#budget=1e9&battery=<b>&use=%22%3E%3Cimg&priority=cheap&pen=no_pen")
    assert page.get_by_role("button", name="Start", exact=True).is_visible()


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP, {"width": 320, "height": 560}])
def test_nothing_overflows_and_every_control_has_a_name(visit, collector, viewport):
    page = visit(viewport=viewport).new_page()
    page.goto(collector.url)
    page.get_by_role("button", name="No thanks").click()
    answer_all(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    for section in ("intro", "use", "priority", "budget", "size", "result"):
        page.evaluate(
            "name => document.querySelectorAll('[data-step]').forEach((s) => (s.hidden = s.dataset.step !== name))",
            section,
        )
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"], section
        for role in ("button", "slider", "radio", "link"):
            for control in page.get_by_role(role).all():
                snapshot = control.aria_snapshot()
                assert re.match(rf'- {role} "', snapshot), snapshot
        small = page.evaluate(
            """() => [...document.querySelectorAll("button, .secondary, .options label, input[type=range]")]
              .filter((e) => e.offsetParent && e.getBoundingClientRect().height < 43.9).map((e) => e.outerHTML)"""
        )
        assert not small, "touch targets are at least 44 pixels high"


def test_a_page_of_another_origin_sends_where_it_is_allowed_and_keeps_its_events_where_not(visit, tmp_path):
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "index.html").write_text("<!doctype html><title>Shop</title>")
    quiet = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    shop = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(quiet, directory=tmp_path / "shop"))
    threading.Thread(target=shop.serve_forever, daemon=True).start()
    origin = f"http://127.0.0.1:{shop.server_address[1]}"
    send = """async ([url, key]) => {
      const { Tracker } = await import(url + "/tracking.js");
      const tracker = new Tracker({ url, consent: "granted", writeKey: key });
      tracker.track("bought", { n: 1 });
      return [await tracker.flush(1500), tracker.counts.delivered];
    }"""
    key = "a-public-key-of-the-shop"
    try:
        with running(
            tmp_path / "open", "--allow-origin", origin, environment={"LAUNCHPAD_WRITE_KEYS": key}
        ) as collector:
            page = visit().new_page()
            page.goto(origin)
            assert page.evaluate(send, [collector.url, key]) == [True, 1]
            assert names(spooled(tmp_path / "open")) == ["bought"]
            # A wrong key keeps the event waiting for a better day.
            assert page.evaluate(send, [collector.url, "some-other-key-altogether"]) == [False, 0]
        with running(tmp_path / "closed") as collector:
            page = visit().new_page()
            page.goto(origin)
            with pytest.raises(Exception, match="Failed to fetch"):
                page.evaluate(send, [collector.url, key])
            assert spooled(tmp_path / "closed") == []
    finally:
        shop.shutdown()
        shop.server_close()


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    colour = colour if len(colour) == 7 else "#" + "".join(c * 2 for c in colour[1:])
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_text_is_readable_by_day_and_by_night():
    css = (STATIC / "configurator.css").read_text()
    schemes = [
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6})\b", block))
        for block in re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    ]
    assert len(schemes) == 2
    for scheme in (schemes[0], schemes[0] | schemes[1]):
        pairs = "ink/paper soft/paper accent/paper ink/card soft/card ink/tint soft/tint on-accent/accent paper/calm"
        for text, ground in (pair.split("/") for pair in pairs.split()):
            bright, dark = sorted((luminance(scheme[text]), luminance(scheme[ground])), reverse=True)
            assert (bright + 0.05) / (dark + 0.05) >= 4.5, (text, ground)
