"""Post standard input as JSON to the address in $WEBHOOK_URL, signed with the secrets in the file $WEBHOOK_SECRET_FILE where there is one;
print one line on failure.

A program of its own, run by its path: names that do not resolve, servers that answer a byte a minute and endless answers cannot be
timed out as a whole in a thread, but a process can be killed. It uses only the standard library. The address comes in the environment,
because every user can read the arguments of a process. The secret is read here: it is in no argument, no environment and no log, and a new
one is in force with the next delivery. The signature is that of https://www.standardwebhooks.com (HMAC-SHA256).
"""

import base64
import binascii
import hashlib
import hmac
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from http.client import HTTPException
from typing import Final
from urllib.error import HTTPError, URLError
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import HTTPDefaultErrorHandler, HTTPErrorProcessor, HTTPHandler, HTTPSHandler, OpenerDirector, Request

ADDRESS: Final = "WEBHOOK_URL"
SECRET_FILE: Final = "WEBHOOK_SECRET_FILE"  # noqa: S105 - the name of a variable
SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - what every secret begins with
SECRET_BYTES: Final = (24, 64)
"""The lengths that the specification allows."""
MAX_SECRET_FILE_BYTES: Final = 4096
PAUSES: Final = (0.5, 1.0)
"""In s, between the tries."""
SERVER_ERROR: Final = 500
MAX_REASON_LENGTH: Final = 100


class DeliveryError(Exception):
    """The request failed; the message is a sentence without secrets."""


class RetryableDeliveryError(DeliveryError):
    """The request failed, but another try may succeed."""


def deliver(
    address: str,
    body: bytes,
    *,
    seconds: float,
    secret_file: str = "",
    pause: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.time,
) -> None:
    """Post `body`; retry after a failed connection and after a server error. Raises DeliveryError, also where it cannot be signed."""
    secrets = read_secrets(secret_file) if secret_file else ()
    for length in PAUSES:
        try:
            return _post(*_request(address, body, _signature(body, secrets, clock())), seconds)
        except RetryableDeliveryError as problem:
            sys.stderr.write(f"{problem}\n")  # the last line of output if our time is over before the next try
            pause(length)
    return _post(*_request(address, body, _signature(body, secrets, clock())), seconds)


def read_secrets(path: str) -> tuple[bytes, ...]:
    """Return the keys in a file of secrets, one a line: while a secret is being replaced the file holds the old and the new one.

    Raises DeliveryError, without a word of what the file holds."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - a Path would import more than this program needs
            lines = file.read(MAX_SECRET_FILE_BYTES).split()
    except (OSError, ValueError) as problem:
        raise DeliveryError(f"The secret file {path} cannot be read: {getattr(problem, 'strerror', None) or 'not a path'}") from None
    keys = tuple(_key(line) for line in lines)
    shortest, longest = SECRET_BYTES
    if not keys or not all(shortest <= len(key) <= longest for key in keys):
        raise DeliveryError(f"The secret file {path} holds no secret: {SECRET_PREFIX} and {shortest} to {longest} bytes in base64")
    return keys


def _key(line: bytes) -> bytes:
    """Return the bytes of a secret, none where it is not valid."""
    text = line.decode("ascii", "replace")
    try:
        return base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True) if text.startswith(SECRET_PREFIX) else b""
    except (binascii.Error, ValueError):
        return b""


def _signature(body: bytes, secrets: tuple[bytes, ...], now: float) -> dict[str, str]:
    """Return the headers that sign one try at unix time `now`: the id follows from the body, which differs with every end of a job."""
    if not secrets:
        return {}
    message_id, timestamp = f"msg_{hashlib.sha256(body).hexdigest()[:32]}", str(int(now))
    signatures = " ".join(sign(message_id, timestamp, body, secret) for secret in secrets)
    return {"webhook-id": message_id, "webhook-timestamp": timestamp, "webhook-signature": signatures}


def sign(message_id: str, timestamp: str, body: bytes, key: bytes) -> str:
    """Return the signature of one message with one key."""
    code = hmac.digest(key, f"{message_id}.{timestamp}.".encode() + body, "sha256")
    return f"v1,{base64.b64encode(code).decode()}"


def _request(address: str, body: bytes, signature: Mapping[str, str]) -> tuple[Request, str]:
    """Return the request, and the server's name as it may be logged: without user, password and path."""
    try:
        parts = urlsplit(address)
        server = parts.netloc.rpartition("@")[2]
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0:
            raise DeliveryError("The address is no http or https address")
        headers = {"Content-Type": "application/json", "User-Agent": "heygem-daemon", **_authorization(parts), **signature}
        bare = parts._replace(netloc=server, fragment="").geturl()
        return Request(bare, data=body, headers=headers, method="POST"), f"{parts.scheme}://{server}"  # noqa: S310 - checked above
    except ValueError:  # its text may hold the address
        raise DeliveryError("The address is not valid") from None


def _authorization(parts: SplitResult) -> dict[str, str]:
    if parts.username is None:
        return {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


def _opener() -> OpenerDirector:
    """Return an opener without urllib's defaults: proxies of the environment, redirects (a POST would become a GET), other schemes."""
    opener = OpenerDirector()
    for handler in (HTTPHandler, HTTPSHandler, HTTPErrorProcessor, HTTPDefaultErrorHandler):
        opener.add_handler(handler())
    return opener


def _post(request: Request, server: str, seconds: float) -> None:
    """Try once. The body of an answer is never read."""
    try:
        _opener().open(request, timeout=seconds).close()
    except HTTPError as answer:
        answer.close()
        kind = RetryableDeliveryError if answer.code >= SERVER_ERROR else DeliveryError
        raise kind(f"{server} answered {answer.code} {str(answer.reason)[:MAX_REASON_LENGTH]}") from None
    except URLError as problem:
        raise RetryableDeliveryError(f"{server} cannot be reached: {_describe(problem.reason)}") from None
    except (HTTPException, OSError) as problem:
        raise RetryableDeliveryError(f"{server} broke off: {_describe(problem)}") from None
    except ValueError:
        raise DeliveryError("The address is not valid") from None


def _describe(problem: object) -> str:
    """Return the message of an exception, truncated; of http.client only the class name, as its message may hold the address."""
    if isinstance(problem, HTTPException) and not isinstance(problem, OSError):
        return type(problem).__name__
    return str(getattr(problem, "strerror", None) or problem)[:MAX_REASON_LENGTH]


def main() -> None:
    """Run `webhook.py SECONDS`: exit with 0 when the server accepted it, else with 1 and a line on standard error."""
    seconds = float(sys.argv[1])
    signal.setitimer(signal.ITIMER_REAL, seconds + 1.0)  # ends us even if the process that started us is gone
    try:
        deliver(os.environ[ADDRESS], sys.stdin.buffer.read(), seconds=seconds, secret_file=os.environ.get(SECRET_FILE, ""))
    except DeliveryError as problem:
        sys.exit(str(problem))


if __name__ == "__main__":
    main()
