"""Mail: what a message looks like there, and one try to hand it to an SMTP server within a deadline."""

from __future__ import annotations

import contextlib
import smtplib
import socket
import ssl
import threading
from collections.abc import Iterator
from email.message import EmailMessage
from email.policy import SMTP

from launchpad_lib.contract.legible import visible
from launchpad_lib.delivery.channels import MailChannel, secret_of
from launchpad_lib.delivery.message import Message, one_line
from launchpad_lib.delivery.posting import TAKEN, Answer

PREFIXES = {"trigger": "", "resolve": "Over: ", "digest": ""}


def mail_of(message: Message, channel: MailChannel) -> EmailMessage:
    """The message as mail: text, and for a digest HTML with its pictures within.

    The head holds one line each, whatever the data hold; its `Message-ID` is that of the message, so that a program
    which knows it can tell a second copy.
    """
    mail = EmailMessage(policy=SMTP.clone(utf8=False))
    mail["From"] = channel.sender
    mail["To"] = ", ".join(channel.to)
    mail["Subject"] = one_line(PREFIXES[message.kind] + message.title)
    mail["Date"] = message.at
    mail["Message-ID"] = f"<{message.message_id}@{channel.sender.rpartition('@')[2]}>"
    mail["References"] = f"<{message.key}@{channel.sender.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"
    told = [visible(line) for line in message.lines] + ([message.link] if message.link else [])
    mail.set_content("\n\n".join([one_line(message.title), *told]) + "\n", cte="quoted-printable")
    if message.html:
        mail.add_alternative(message.html, subtype="html", cte="quoted-printable")
        parts = mail.get_payload()
        for picture in message.pictures:
            parts[1].add_related(  # type: ignore[union-attr, index]  # of a multipart the payload is a list of parts
                picture.png,
                "image",
                "png",
                cid=f"<{picture.name}>",
                disposition="inline",
                filename=f"{picture.name}.png",
            )
    return mail


def send_mail(message: Message, channel: MailChannel) -> Answer:
    """One try. No word of the server reaches what is written down: it may repeat what it was told."""
    mail = mail_of(message, channel)
    user = secret_of(channel.user_env) if channel.user_env else None
    password = secret_of(channel.password_env) if channel.password_env else None
    try:
        with _within(channel) as server:
            if channel.security == "starttls":
                server.starttls(context=ssl.create_default_context())
            if user is not None and password is not None:
                server.login(user, password)
            refused = server.send_message(mail)
    except smtplib.SMTPNotSupportedError:
        return Answer(f"the server offers no {'STARTTLS' if channel.security == 'starttls' else 'login'}", True)
    except smtplib.SMTPAuthenticationError:
        return Answer("the server refuses the user or the password", True)
    except smtplib.SMTPRecipientsRefused as error:
        codes = [code for code, _ in error.recipients.values()]
        return Answer(f"the server refuses every address ({codes[0]})", all(code >= 500 for code in codes))
    except smtplib.SMTPResponseException as error:
        return Answer(f"the server answered {error.smtp_code}", error.smtp_code >= 500)
    except ssl.SSLCertVerificationError:
        return Answer("the server's certificate is not trusted", True)
    except TimeoutError:
        return Answer(f"no answer within {channel.timeout_seconds:g} s")
    except (smtplib.SMTPException, OSError) as error:
        return Answer(f"the connection failed ({type(error).__name__})")
    if refused:
        return Answer(f"the server refuses {len(refused)} of {len(channel.to)} addresses; the others have it", True)
    return TAKEN


@contextlib.contextmanager
def _within(channel: MailChannel) -> Iterator[smtplib.SMTP]:
    """A connection that is cut when the channel's time is over, however slowly the server speaks.

    Raises:
        TimeoutError: it was cut.
    """
    is_over = threading.Event()
    held: list[socket.socket] = []

    def cut() -> None:
        is_over.set()
        for one in held:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(channel.timeout_seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        # The connection is made here, so that the timer knows it before the server has said a word.
        connection = socket.create_connection((channel.host, channel.port), timeout=channel.timeout_seconds)
        # From here the timer alone ends it: smtplib makes one error of a late answer and of none.
        connection.settimeout(channel.timeout_seconds + 5)
        held.append(connection)
        if channel.security == "tls":
            connection = ssl.create_default_context().wrap_socket(connection, server_hostname=channel.host)
            held[:] = [connection]
        with connection, _on(connection, channel.host) as server:
            yield server
    except (smtplib.SMTPException, OSError) as error:
        if is_over.is_set() and not isinstance(error, TimeoutError):
            raise TimeoutError from error
        raise
    finally:
        timer.cancel()


class _Smtp(smtplib.SMTP):
    """SMTP over a connection that is there already."""

    def __init__(self, connection: socket.socket, host: str) -> None:
        self._there = connection
        super().__init__(host, timeout=connection.gettimeout() or 10)

    def _get_socket(self, host, port, timeout):  # noqa: ANN001, ANN202  # as smtplib calls it
        return self._there


def _on(connection: socket.socket, host: str) -> smtplib.SMTP:
    return _Smtp(connection, host)
