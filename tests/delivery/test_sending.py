"""Messages to real local servers: what arrives, what is tried again, what never leaves, and what is written down."""

from __future__ import annotations

import base64
import email
import email.policy
import hashlib
import hmac
import json
import logging
import shutil
import signal
import ssl
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from launchpad_lib.delivery.channels import Channel, ChannelError, address_of, check_secrets
from launchpad_lib.delivery.mail import mail_of
from launchpad_lib.delivery.message import Message, Picture
from launchpad_lib.delivery.payloads import slack_payload
from launchpad_lib.delivery.sending import deliver
from launchpad_lib.delivery.sent_log import SENT_LOG, sent_log
from tests.delivery.receivers import Http, Mails, dripping, hanging

HOSTILE = "<!channel> *x* <https://evil.example|click> \u202ePDF\r\nBcc: victim@example.com\x00 & @here"
KEY = "R" * 32


def message(**more) -> Message:
    said = {
        "kind": "trigger",
        "key": "k1",
        "message_id": "m1",
        "severity": "error",
        "title": "Search: degraded now",
        "lines": ("It missed its objective.", "owner search team"),
        "at": datetime(2026, 1, 18, 6, tzinfo=UTC),
        "run": "weekly",
        "rule": "scorecard.health degraded now",
        "feature_id": "search",
        "page": "risk_scoring",
        "link": "https://reports.example/weekly-1/risk_scoring.html#now",
    }
    return Message(**(said | more))


def channel(kind: str, **more) -> Channel:
    return TypeAdapter(Channel).validate_python({"kind": kind} | more)


def sent(tmp_path: Path, to: Channel, *messages: Message):
    waits: list[float] = []
    with sent_log(tmp_path) as log:
        done = deliver([("ops", m) for m in messages or [message()]], {"ops": to}, log, wait=waits.append)
    return done, waits, [json.loads(line) for line in (tmp_path / SENT_LOG).read_text().splitlines()]


def test_slack_shows_names_as_text_and_the_link_is_ours(tmp_path, monkeypatch):
    with Http() as server:
        monkeypatch.setenv("SLACK_URL", f"{server.address}/services/T0/B0/very-secret")
        done, waits, log = sent(tmp_path, channel("slack", url_env="SLACK_URL"), message(title=HOSTILE))
    (path, headers, _), (body,) = server.came[0], server.bodies
    assert path == "/services/T0/B0/very-secret" and headers["content-type"] == "application/json"
    plain = [b["text"] for b in body["blocks"] if b["type"] == "section"]
    assert all(t["type"] == "plain_text" and t["emoji"] is False for t in plain)
    assert (
        "<" not in body["text"]
        and "&lt;!channel&gt;" in body["text"]
        and "\u202e" not in json.dumps(body, ensure_ascii=False)
    )
    assert body["blocks"][-1]["elements"][0]["text"] == (
        "<https://reports.example/weekly-1/risk_scoring.html#now|Proof>"
    )
    assert (done[0].outcome, waits, [line["outcome"] for line in log]) == ("sent", [], ["sending", "sent"])


def test_a_very_long_message_fits_into_slacks_blocks():
    said = slack_payload(message(title="x" * 9000, lines=("y" * 9000,)))
    assert max(len(b["text"]["text"]) for b in said["blocks"] if b["type"] == "section") <= 3000


def test_pagerduty_begins_and_ends_one_alert_under_one_key(tmp_path, monkeypatch):
    with Http(202) as server:
        monkeypatch.setenv("PD_URL", f"{server.address}/v2/enqueue")
        monkeypatch.setenv("PD_KEY", KEY)
        to = channel("pagerduty", key_env="PD_KEY", url_env="PD_URL")
        sent(tmp_path, to, message(title=HOSTILE), message(kind="resolve", message_id="m2"))
    begun, over = server.bodies
    assert (begun["event_action"], begun["dedup_key"], begun["routing_key"]) == ("trigger", "k1", KEY)
    payload = begun["payload"]
    assert {"summary", "source", "severity"} <= set(payload) and payload["severity"] == "error"
    assert "\n" not in payload["summary"] and "\x00" not in payload["summary"] and payload["source"] == "search"
    assert begun["links"] == [{"href": message().link, "text": "Proof"}]
    assert over == {"routing_key": KEY, "event_action": "resolve", "dedup_key": "k1"}


def test_a_webhook_is_signed_as_standard_webhooks_say(tmp_path, monkeypatch):
    """Verified by the rule of the specification, written here anew: base64(HMAC-SHA256(secret, id.timestamp.body))."""
    with Http() as server:
        monkeypatch.setenv("HOOK_URL", server.address)
        monkeypatch.setenv("HOOK_SECRET", "whsec_" + base64.b64encode(b"a secret of sixteen").decode())
        sent(tmp_path, channel("webhook", url_env="HOOK_URL", secret_env="HOOK_SECRET"), message(title=HOSTILE))
    _, headers, body = server.came[0]
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(b"a secret of sixteen", signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}" and headers["webhook-id"] == "m1"
    assert server.bodies[0]["data"]["title"] == HOSTILE and server.bodies[0]["type"] == "launchpad.alert.trigger"


def test_what_fails_for_now_is_tried_again_with_longer_waits(tmp_path, monkeypatch):
    with Http(500, 503, 200) as server:
        monkeypatch.setenv("SLACK_URL", server.address)
        done, waits, log = sent(tmp_path, channel("slack", url_env="SLACK_URL"))
    assert done[0].outcome == "sent" and done[0].attempts == 3 and len(server.came) == 3
    assert 0.8 <= waits[0] <= 1.2 and 1.6 <= waits[1] <= 2.4 and log[-1]["attempts"] == 3


def test_a_receiver_may_say_how_long_to_wait_up_to_a_minute(tmp_path, monkeypatch):
    with Http((429, {"retry-after": "7"}), (429, {"retry-after": "99999"}), 200) as server:
        monkeypatch.setenv("SLACK_URL", server.address)
        assert sent(tmp_path, channel("slack", url_env="SLACK_URL"))[1] == [7.0, 60.0]


def test_after_the_last_try_it_is_failed_and_the_next_message_goes_on(tmp_path, monkeypatch):
    with Http(500, 500, 200) as server:
        monkeypatch.setenv("SLACK_URL", server.address)
        to = channel("slack", url_env="SLACK_URL", attempts=2)
        done, _, log = sent(tmp_path, to, message(), message(message_id="m2", key="k2"))
    assert [d.outcome for d in done] == ["failed", "sent"]
    assert log[1]["fault"] == "answered 500" and log[1]["attempts"] == 2


@pytest.mark.parametrize(("status", "tries"), [(400, 1), (404, 1), (410, 1), (408, 2), (429, 2), (502, 2)])
def test_only_what_can_change_is_tried_again(tmp_path, monkeypatch, status, tries):
    with Http(status) as server:
        monkeypatch.setenv("SLACK_URL", server.address)
        done, *_ = sent(tmp_path, channel("slack", url_env="SLACK_URL", attempts=2))
    assert done[0].outcome == "failed" and len(server.came) == tries


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_carries_nothing_elsewhere(tmp_path, monkeypatch, status):
    with Http() as elsewhere, Http((status, {"location": f"{elsewhere.address}/x"})) as server:
        monkeypatch.setenv("SLACK_URL", server.address)
        done, *_ = sent(tmp_path, channel("slack", url_env="SLACK_URL"))
    assert elsewhere.came == [] and len(server.came) == 1 and "leads elsewhere" in done[0].fault


def test_no_proxy_of_the_environment_is_asked(tmp_path, monkeypatch):
    with Http() as proxy, Http() as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HTTPS_PROXY"):
            monkeypatch.setenv(name, proxy.address)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("SLACK_URL", server.address)
        sent(tmp_path, channel("slack", url_env="SLACK_URL"))
    assert proxy.came == [] and len(server.came) == 1


def test_a_receiver_that_says_nothing_or_never_ends_is_left(tmp_path, monkeypatch):
    to = channel("slack", url_env="SLACK_URL", attempts=1, timeout_seconds=0.3)
    for silent in (hanging(), dripping(b"HTTP/1.1 200 OK\r\nx: y\r\n")):
        with silent as port:
            monkeypatch.setenv("SLACK_URL", f"http://127.0.0.1:{port}/")
            done, *_ = sent(tmp_path, to)
        assert done[0].outcome == "failed" and done[0].fault


def test_no_secret_stands_in_the_log_the_faults_or_the_logging(tmp_path, monkeypatch, caplog):
    secret = "s3cr3t-of-the-address"
    caplog.set_level(logging.DEBUG)
    told = []
    for answers in ([500], [404], [(302, {"location": "http://127.0.0.1:1/"})]):
        with Http(*answers) as server:
            monkeypatch.setenv("HOOK_URL", f"{server.address}/{secret}?token={secret}")
            monkeypatch.setenv("HOOK_SECRET", f"{secret}-signing")
            to = channel("webhook", url_env="HOOK_URL", secret_env="HOOK_SECRET", attempts=2)
            done, *_ = sent(tmp_path, to, message(message_id=str(answers)))
            told += [done[0].says(), repr(done)]
    monkeypatch.setenv("HOOK_URL", f"http://127.0.0.1:1/{secret}")
    told.append(repr(sent(tmp_path, channel("webhook", url_env="HOOK_URL", secret_env="HOOK_SECRET", attempts=1))[0]))
    told += [(tmp_path / SENT_LOG).read_text(), caplog.text]
    assert secret not in "\n".join(told) and (tmp_path / SENT_LOG).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "value",
    [
        "",
        "http://hooks.slack.example/x",
        "https://user:pass@hooks.slack.example/x",
        "ftp://127.0.0.1/x",
        "https:///x",
        "https://a.example/\r\nx: y",
        "http://127.0.0.1.evil.example/",
        "https://[::1",
    ],
)
def test_an_address_is_https_or_this_machine_and_an_error_names_only_its_variable(value):
    with pytest.raises(ChannelError) as told:
        address_of("HOOK", {"HOOK": value})
    assert str(told.value).startswith("HOOK: ") and (not value or value not in str(told.value))
    with pytest.raises(ChannelError, match="^channels.ops: HOOK: "):
        check_secrets({"ops": channel("slack", url_env="HOOK")}, {"HOOK": value})


def parsed(content: bytes):
    return email.message_from_bytes(content, policy=email.policy.default)


def mail_channel(port: int, **more) -> Channel:
    base = {"host": "127.0.0.1", "port": port, "security": "none", "sender": "launchpad@example.com"}
    return channel("mail", **({"to": ["team@example.com"]} | base | more))


def test_no_name_of_the_data_can_write_a_head_of_a_mail(tmp_path):
    with Mails() as server:
        done, *_ = sent(tmp_path, mail_channel(server.port), message(title=HOSTILE, lines=(HOSTILE, "x\n.\nRSET")))
    assert done[0].outcome == "sent"
    sender, to, content, _ = server.came[0]
    mail = parsed(content)
    assert (sender, to) == ("launchpad@example.com", ["team@example.com"]) and mail["Bcc"] is None
    assert "Bcc: victim@example.com" in mail["Subject"] and "\n" not in mail["Subject"]
    assert mail["Message-ID"] == "<m1@example.com>" and "x\n.\nRSET" in mail.get_content().replace("\r", "")


def test_a_digest_is_html_with_its_pictures_within_and_a_text_beside_it():
    picture = Picture("line-1", b"\x89PNG\r\n\x1a\n")
    said = message(kind="digest", html='<p>Verdict <img src="cid:line-1" alt="a"></p>', pictures=(picture,))
    mail = parsed(mail_of(said, mail_channel(25)).as_bytes())
    plain, related = mail.iter_parts()
    html, image = related.iter_parts()
    assert mail.get_content_type() == "multipart/alternative" and "degraded now" in plain.get_content()
    assert html.get_content_type() == "text/html" and image["Content-ID"] == "<line-1>"
    assert image.get_content() == picture.png and image.get_content_disposition() == "inline"


def test_a_busy_mail_server_is_asked_again_and_one_that_refuses_is_not(tmp_path):
    with Mails(busy=1) as server:
        assert sent(tmp_path, mail_channel(server.port))[0][0].attempts == 2 and len(server.came) == 1
    with Mails(refuse="team@example.com") as server:
        done, *_ = sent(tmp_path, mail_channel(server.port), message(message_id="m2"))
    assert (done[0].outcome, done[0].attempts) == ("failed", 1) and "refuses every address (550)" in done[0].fault


def test_some_refused_addresses_are_a_fault_and_the_others_have_it_once(tmp_path):
    with Mails(refuse="gone@example.com") as server:
        done, *_ = sent(tmp_path, mail_channel(server.port, to=["gone@example.com", "team@example.com"]))
    assert "refuses 1 of 2 addresses" in done[0].fault and len(server.came) == 1


@pytest.mark.parametrize("speaker", [lambda: hanging(), lambda: dripping(b"220-hello\r\n")], ids=["silent", "endless"])
def test_a_mail_server_that_never_comes_to_an_end_is_left(tmp_path, speaker):
    with speaker() as port:
        done, *_ = sent(tmp_path, mail_channel(port, attempts=1, timeout_seconds=0.3))
    assert done[0].fault == "no answer within 0.3 s"


def test_mail_is_not_sent_where_starttls_is_asked_and_not_offered(tmp_path):
    with Mails() as server:
        done, *_ = sent(tmp_path, mail_channel(server.port, security="starttls"))
    assert done[0].fault == "the server offers no STARTTLS" and server.came == []


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate of 127.0.0.1 that signed itself."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl to make a certificate")
    folder = tmp_path_factory.mktemp("certificate")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key.pem -out cert.pem"
    more = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    subprocess.run([*command.split(), *more], cwd=folder, check=True, capture_output=True)
    return folder


def context_of(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    return context


def test_a_webhook_is_told_only_with_a_certificate_that_is_trusted(tmp_path, monkeypatch, certificate):
    with Http(tls=context_of(certificate)) as server:
        monkeypatch.setenv("SLACK_URL", server.address)
        done, *_ = sent(tmp_path, channel("slack", url_env="SLACK_URL"))
        assert (done[0].fault, done[0].attempts, server.came) == ("its certificate is not trusted", 1, [])
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert.pem"))
        assert sent(tmp_path, channel("slack", url_env="SLACK_URL"))[0][0].outcome == "sent"
    assert len(server.came) == 1


def test_starttls_sends_only_to_a_certificate_that_is_trusted(tmp_path, monkeypatch, certificate):
    monkeypatch.setenv("MAIL_USER", "u")
    monkeypatch.setenv("MAIL_PASSWORD", "pass-w0rd")

    def accepts(server, session, envelope, mechanism, said):  # noqa: ANN001, ANN202
        from aiosmtpd.smtp import AuthResult

        return AuthResult(success=(said.login, said.password) == (b"u", b"pass-w0rd"), handled=False)

    with Mails(
        tls_context=context_of(certificate), require_starttls=True, authenticator=accepts, auth_required=True
    ) as server:
        to = mail_channel(server.port, security="starttls", user_env="MAIL_USER", password_env="MAIL_PASSWORD")
        done, *_ = sent(tmp_path, to)
        assert done[0].fault == "the server's certificate is not trusted" and server.came == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert.pem"))
        done, *_ = sent(tmp_path, to)
        assert done[0].outcome == "sent" and server.came[0][3]
        monkeypatch.setenv("MAIL_PASSWORD", "an0ther")
        done, _, log = sent(tmp_path, to, message(message_id="m3"))
    assert done[0].fault == "the server refuses the user or the password" and "an0ther" not in json.dumps(log)


@pytest.mark.parametrize(
    "more",
    [
        {"security": "none", "host": "mail.example.com"},
        {"security": "none", "user_env": "U", "password_env": "P"},
        {"user_env": "U"},
        {"to": ["a@b.example\r\nBcc: c@d.example"]},
        {"to": ["a@b.example,c@d.example"]},
        {"sender": "Name <a@b.example>"},
        {"host": "evil\r\n.example"},
        {"password": "written down"},
    ],
)
def test_a_mail_channel_that_would_leak_or_break_is_refused(more):
    base = {"host": "127.0.0.1", "port": 25, "sender": "a@b.example", "to": ["c@d.example"]}
    with pytest.raises(ValidationError):
        channel("mail", **(base | more))


def test_what_was_sent_is_not_sent_again_and_what_was_cut_off_is_sent_under_the_same_id(tmp_path, monkeypatch):
    with Http() as server:
        monkeypatch.setenv("HOOK_URL", server.address)
        monkeypatch.setenv("HOOK_SECRET", "a secret of sixteen")
        to = channel("webhook", url_env="HOOK_URL", secret_env="HOOK_SECRET")
        sent(tmp_path, to)
        done, *_ = sent(tmp_path, to)
        assert done[0].outcome == "was sent before:" and len(server.came) == 1
        # As a kill between sending and writing leaves it: the line of what was begun, and half a line.
        lines = (tmp_path / SENT_LOG).read_text().splitlines()
        (tmp_path / SENT_LOG).write_text(lines[0] + "\n" + lines[1][:40])
        with sent_log(tmp_path) as kept:
            done = deliver([("ops", message())], {"ops": to}, kept)
    assert done[0].outcome == "sent" and [h["webhook-id"] for _, h, _ in server.came] == ["m1", "m1"]
    whole = [json.loads(line) for line in (tmp_path / SENT_LOG).read_text().splitlines() if line.endswith("}")]
    assert [line["outcome"] for line in whole] == ["sending", "sending", "sent"] and whole[1]["again"] is True


KILLED = """
import os, signal, sys
from pathlib import Path
from launchpad_lib.delivery import sending
from launchpad_lib.delivery.sent_log import sent_log
from tests.delivery.test_sending import channel, message
real = sending.send
def send_and_die(*asked):
    real(*asked)
    os.kill(os.getpid(), signal.SIGKILL)
sending.send = send_and_die
with sent_log(Path(sys.argv[1])) as log:
    sending.deliver([("ops", message())], {"ops": channel("webhook", url_env="HOOK_URL", secret_env="HOOK_SECRET")}, log)
"""


def test_a_kill_right_after_sending_costs_no_message_and_no_new_id(tmp_path, monkeypatch):
    with Http() as server:
        monkeypatch.setenv("HOOK_URL", server.address)
        monkeypatch.setenv("HOOK_SECRET", "a secret of sixteen")
        died = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], cwd=Path(__file__).parents[2], check=False)
        assert died.returncode == -signal.SIGKILL
        with sent_log(tmp_path) as log:
            assert log.is_in_doubt("ops", "m1") and not log.was_taken("ops", "m1")
            to = channel("webhook", url_env="HOOK_URL", secret_env="HOOK_SECRET")
            deliver([("ops", message())], {"ops": to}, log)
    assert [h["webhook-id"] for _, h, _ in server.came] == ["m1", "m1"]
