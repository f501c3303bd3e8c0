"""The digest of a run: short, worst first, names as text, under 100 KB as a mail, sent once."""

from __future__ import annotations

import email
import email.policy
import html
import json
import re
from datetime import UTC, datetime

import pytest
from markdown_it import MarkdownIt

from launchpad_lib.cli.main import main
from launchpad_lib.contract.manifest import manifest_text
from launchpad_lib.delivery.mail import mail_of
from launchpad_lib.delivery.payloads import slack_payload
from launchpad_lib.page.small_png import small_png
from launchpad_lib.runner.digest import digest_html, digest_markdown, digest_message, digest_of
from tests.delivery.receivers import Mails
from tests.delivery.test_sending import mail_channel
from tests.summaries import HOSTILE, cell, days, feature, found, manifest, notebook, number


def many(**more):
    """Sixty features with lines, ten numbers, findings of every kind, hostile names everywhere."""
    names = HOSTILE + [f"feature {i}" for i in range(53)]
    findings = [found("act", f"“{n}” is slow (1 to 2); now 352 ms.", feature_id=n, users=5) for n in HOSTILE]
    objective = cell("9 ms", "act", value=403.0, limit=287.0, unit="ms", series=days([200 + 7 * i for i in range(20)]))
    base = {
        "notebooks": [notebook("engagement", findings=findings), notebook("risk", "failed", reason="x" * 5000)],
        "scorecard": [feature(n, "act", objective=objective) for n in names],
        "metrics": [number(n, 0.5, segment=n, series=days([0.4, 0.5, 0.3])) for n in names[:10]],
        "verdict": "Checkout is degraded now.",
        "status": "failed",
    }
    return manifest(**(base | more))


def text_of(page: str) -> str:
    return " ".join(
        html.unescape(re.sub(r"<[^>]+>", " ", re.sub(r"<style>.*?</style>", " ", page, flags=re.S))).split()
    )


def test_it_says_the_verdict_three_things_to_do_and_each_feature_worst_first():
    rows = [feature("checkout", "act", feature_name="Checkout"), feature("search", feature_name="Search")]
    told = [
        found("act", f"{n} is slow; since Monday.", feature_id=n, users=7) for n in ("checkout", "search", "a", "b")
    ]
    said = manifest(
        notebooks=[notebook("risk", findings=told)],
        scorecard=rows,
        metrics=[number("share_rate", 0.5, label="Share rate", segment="checkout", series=days([0.4, 0.5]))],
        verdict="Checkout is degraded now.",
    )
    page, _ = digest_html(digest_of(said), link=str, pictures="data")
    text = text_of(page)
    order = ["Checkout is degraded now.", "Do this", "checkout is slow", "search is slow", "a is slow", "Each feature",
             "Checkout ● degraded now", "p95 403 ms, objective 287 ms · used by 76 %", "Search ✓ healthy", "In numbers",
             "Share rate, Checkout 50 %", "45 to 55 %, n = 400"]  # fmt: skip
    places = [text.replace("\u00a0", " ").find(part) for part in order]
    assert -1 not in places and places == sorted(places), dict(zip(order, places, strict=True))
    assert "b is slow" not in text and 'href="risk.html#proof"' in page and "data:image/png;base64," in page
    assert "http" not in page.replace("https://reports", ""), "nothing is fetched"


def test_names_are_text_in_the_html_and_in_markdown():
    digest = digest_of(many())
    page, _ = digest_html(digest, link=str, pictures="data")
    assert "<script" not in page and "<b>x" not in page and "\x00" not in page and "\u202e" not in page
    told = digest_markdown(digest, link=str)
    drawn = MarkdownIt("commonmark", {"html": True}).render(told)
    assert "<script" not in drawn and "<b>x" not in drawn and "alert(1)" in drawn
    links = re.findall(r'href="([^"]*)"', drawn)
    assert links and all(to.startswith(("engagement.html", "index.html", "no%20such%20page.html")) for to in links)


def test_markdown_of_a_name_is_the_name_again():
    name = "a*b*_c_ [x](javascript:1) `d` <i> # | ~~e~~ & ![f](g) \\"
    one = digest_of(many(scorecard=[feature("f", feature_name=name[:30])], verdict=name))
    drawn = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(digest_markdown(one, link=str))
    assert html.unescape(re.search(r"<h1>(.*?)</h1>", drawn)[1]) == name


def test_the_whole_mail_of_a_large_run_stays_under_100_kb():
    said = digest_message(many(), channel="team", base_url=None, run="small", at=datetime(2026, 1, 1, tzinfo=UTC))
    mail = mail_of(said, mail_channel(25))
    assert len(mail.as_bytes()) < 100_000 and len(said.pictures) >= 5
    names = re.findall(r"cid:([\w-]+)", said.html)
    assert names == [p.name for p in said.pictures] and "<a " not in said.html, "a link would lead nowhere"
    blocks = slack_payload(said)["blocks"]
    assert len(json.dumps(blocks[0])) < 2000 and len(blocks) == 2


def test_links_lead_to_where_the_reports_are_published():
    said = digest_message(
        many(), channel="team", base_url="https://reports.example/x/", run="small", at=datetime(2026, 1, 1, tzinfo=UTC)
    )
    links = set(re.findall(r'href="([^"]*)"', said.html))
    assert said.link == "https://reports.example/x/r/index.html" and said.link in links
    assert all(to.startswith("https://reports.example/x/r/") for to in links)


def test_a_run_that_found_nothing_is_a_digest_too():
    page, _ = digest_html(digest_of(manifest()), link=str, pictures="cid")
    assert "No page found what asks for somebody now" in page and "Do this" not in page


def test_a_tighter_png_is_the_same_picture():
    import vl_convert

    svg = '<svg xmlns="http://www.w3.org/2000/svg" width="30" height="20"><circle cx="9" cy="9" r="7" fill="#b3261e"/></svg>'
    png = vl_convert.svg_to_png(svg)
    inner = small_png(png)
    embedded = '<svg xmlns="http://www.w3.org/2000/svg" width="30" height="20"><image width="30" height="20" href="data:image/png;base64,{}"/></svg>'  # noqa: E501
    import base64

    drawn = [vl_convert.svg_to_png(embedded.format(base64.b64encode(p).decode())) for p in (png, inner)]
    assert drawn[0] == drawn[1] and len(inner) < len(png)
    with pytest.raises(ValueError, match="is no PNG"):
        small_png(b"\x89PNG\r\n\x1a\nnothing")


def test_the_command_prints_it_and_sends_it_once(tmp_path, capsys):
    for folder in ("notebooks", "params", "reports/r"):
        (tmp_path / folder).mkdir(parents=True)
    said = many(params={"name": "small"})
    (tmp_path / "reports" / "r" / "manifest.json").write_text(manifest_text(said), encoding="utf-8")
    path = tmp_path / "params" / "p.yaml"
    with Mails() as server:
        team = mail_channel(server.port).model_dump(mode="json", exclude_none=True)
        told = {"name": "small", "sequence": [["funnels"]], "channels": {"team": team}, "digest": ["team"]}
        path.write_text(json.dumps(told))
        assert main(["digest", "--params", str(path)]) == 0
        assert capsys.readouterr().out.startswith("# Checkout is degraded now.\n")
        assert main(["digest", "r", "--params", str(path), "--html"]) == 0
        assert capsys.readouterr().out.startswith("<!doctype html>") and server.came == []
        for _ in range(2):
            assert main(["digest", "--params", str(path), "--send"]) == 0
        out = capsys.readouterr().out
    assert "team: sent digest" in out and "was sent before" in out and len(server.came) == 1
    mail = email.message_from_bytes(server.came[0][2], policy=email.policy.default)
    assert mail["Subject"] == "small: Checkout is degraded now." and mail.get_body(("html",)) is not None
    path.write_text(json.dumps(told | {"digest": []}))
    assert main(["digest", "--params", str(path), "--send"]) == 2
    assert "digest: names no channel" in capsys.readouterr().err
