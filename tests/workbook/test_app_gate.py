"""Who may speak to the live app, and what a socket may say."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request

import pytest
from test_run import notebook

from launchpad_lib.app.gate import LOOPBACK, refusal
from tests.live_app import live_app, message, said, socket_of


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """Loopback with a token, and one page at most."""
    book = tmp_path_factory.mktemp("book")
    notebook(book / "notebooks", "risk_scoring", "shown = top", "print('counted', shown)")
    (book / "reports").mkdir()
    (book / "reports" / "page.html").write_text("a page")
    (book / "reports" / ".hidden.html").write_text("hidden")
    (book / "secret.html").write_text("secret")
    with live_app("--token", "--pages", "1", cwd=book) as address:
        yield address


class Asked:
    """A request as the gate sees it."""

    def __init__(self, method: str = "GET", **headers: str) -> None:
        from tornado.httputil import HTTPHeaders

        self.method = method
        self.headers = HTTPHeaders({"Host": "localhost:8866", **{k.replace("_", "-"): v for k, v in headers.items()}})


LINK = {"Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}


@pytest.mark.parametrize(
    "asked, is_answered",
    [
        (Asked(), True),
        (Asked(Host="127.0.0.1:8866"), True),
        (Asked(Host="[::1]:8866"), True),
        (Asked(Host="evil.example:8866"), False),  # DNS that leads here
        (Asked(Host="10.0.0.1:8866"), False),
        (Asked(Host="localhost.evil.example"), False),
        (Asked(Host="evil.example@localhost"), True),  # no name but a user: the host is ours
        (Asked(Host=""), False),
        (Asked(Host="[::1"), False),
        (Asked(Origin="http://localhost:8866"), True),
        (Asked(Origin="http://evil.example"), False),
        (Asked(Origin="http://localhost:9999"), False),
        (Asked(Origin="null"), False),
        (Asked(Sec_Fetch_Site="cross-site"), False),
        (Asked(Sec_Fetch_Site="cross-site", **LINK), True),
        (Asked("POST", Sec_Fetch_Site="cross-site", Origin="http://localhost:8866", **LINK), False),
        (Asked("POST"), False),
        (Asked("POST", Origin="http://localhost:8866"), True),
        (Asked("DELETE", Origin="http://localhost:8866"), False),
    ],
)
def test_only_our_own_name_and_our_own_pages_are_answered(asked, is_answered):
    assert (refusal(asked, hosts=LOOPBACK, any_address=False) is None) == is_answered


def test_where_every_address_is_ours_a_name_still_has_to_be_named():
    """An address in the Host was not looked up by anybody; a name was."""
    everywhere = {"hosts": LOOPBACK | {"apps.example"}, "any_address": True}
    assert refusal(Asked(Host="10.0.0.1:8866"), **everywhere) is None
    assert refusal(Asked(Host="apps.example"), **everywhere) is None
    assert refusal(Asked(Host="evil.example"), **everywhere) is not None


def get(address: str, **headers: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=60) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_a_token_is_asked_for_taken_into_a_cookie_and_out_of_the_address(app):
    bare, _, token = app.partition("?token=")
    assert get(bare)[0] == get(f"{bare}risk_scoring.html")[0] == get(f"{bare}runs/page.html")[0] == 403
    assert get(f"{bare}?token=wrong")[0] == 403
    assert get(f"{bare}kernels", Cookie="a=b")[0] in (403, 405)
    jar = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    with jar.open(f"{bare}risk_scoring.html?token={token}&top=2", timeout=60) as reply:
        assert reply.url == f"{bare}risk_scoring.html?top=2"
        assert "script-src 'sha256-" in reply.headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in reply.headers["Content-Security-Policy"]
    assert jar.open(f"{bare}runs/page.html", timeout=60).read() == b"a page"
    for path in ("secret.html", "runs/../secret.html", "runs/%2e%2e/secret.html", "runs/.hidden.html"):
        with pytest.raises(urllib.error.HTTPError):
            jar.open(f"{bare}{path}", timeout=60)
    assert get(bare, Host="evil.example", Authorization=f"token {token}")[0] == 403


def test_a_socket_runs_no_code_ends_its_kernel_and_there_are_never_more_than_so_many(app, tmp_path):
    bare, _, token = app.partition("?token=")
    known = {"Authorization": f"token {token}", "Origin": bare.rstrip("/")}
    mark = tmp_path / "executed"

    def kernel() -> dict:
        asked = urllib.request.Request(f"{bare}kernels", method="POST", headers=known)
        with urllib.request.urlopen(asked, timeout=300) as reply:
            return json.load(reply)

    async def spoken() -> dict:
        given = kernel()["kernel"]
        for wrong in ({}, known | {"Origin": "http://evil.example"}):
            with pytest.raises(Exception, match="403"):
                await socket_of(bare, given, **wrong)
        with pytest.raises(urllib.error.HTTPError) as full:
            kernel()
        assert full.value.code == 503 and "close one" in json.load(full.value)["sentence"]
        socket = await socket_of(bare, given, **known)
        await socket.write_message(message("execute_request", {"code": f"open({str(mark)!r}, 'w').close()"}))
        await socket.write_message(
            message("comm_open", {"comm_id": "c", "target_name": "launchpad", "data": {"name": "risk_scoring", "query": "?top=7"}})
        )  # fmt: skip
        answer = await said(socket, "page")
        while not answer.get("is_whole", True):
            answer = await said(socket, "page")
        await socket.write_message(message("comm_msg", {"comm_id": "c", "data": {"kind": "ask", "values": {"top": 0}}}))
        refused = await said(socket, "fault")
        socket.close()
        while True:  # the page is gone, and with it its kernel
            try:
                second = kernel()
                break
            except urllib.error.HTTPError:
                await asyncio.sleep(0.1)
        assert second["kernel"] != given
        return {"answer": answer, "refused": refused}

    told = asyncio.run(spoken())
    assert "counted 7" in told["answer"]["html"]
    assert told["refused"]["sentence"].startswith("risk_scoring: top='0': Input should be greater than or equal to 1")
    assert not mark.exists()
