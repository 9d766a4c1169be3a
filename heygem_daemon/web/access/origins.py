"""Refuse requests that a foreign page makes a browser send: by the name of the server (DNS rebinding) and by where they come from."""

import ipaddress
import socket
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import urlsplit

from heygem_daemon.web.problems import WebProblem

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_PORTS: Final = {"http": 80, "https": 443}

Headers = Mapping[str, list[str]]
"""Names in lower case, each with all its values."""


def own_names(hosts: Iterable[str]) -> frozenset[str]:
    """Return the names by which this server may be called: its own and the configured ones. Asks no name server."""
    machine = socket.gethostname().lower().rstrip(".")
    short = machine.partition(".")[0]
    return frozenset({"localhost", machine, short, f"{short}.local", *(host.lower().rstrip(".") for host in hosts)} - {"", ".local"})


def check_host(headers: Headers, names: frozenset[str]) -> None:
    """Raise WebProblem (`unknown_host`) for a name that is not ours: a foreign domain that was pointed at this address.

    Addresses are no names: nobody can point them elsewhere."""
    values = headers.get("host", [])
    host = _host_of(values[0]) if len(values) == 1 else None
    if host is None or not (host in names or _is_address(host)):
        raise WebProblem("unknown_host", host=(host or "")[:100])


def check_origin(method: str, headers: Headers, scheme: str, allowed: frozenset[str]) -> None:
    """Raise WebProblem (`foreign_origin`) for what a foreign page makes a browser send, other than a plain visit.

    scheme: that of this request, "https" only where that is certain. allowed: further origins, "https://portal.example"."""
    origins, sites = headers.get("origin", []), headers.get("sec-fetch-site", [])
    if len(origins) > 1 or len(sites) > 1:
        raise WebProblem("foreign_origin", origin="")
    origin, site = (origins or [""])[0], (sites or [""])[0].lower()
    if origin and origin.lower().rstrip("/") in allowed:
        return
    if method not in SAFE_METHODS:
        is_own = _is_own(origin, headers["host"][0], scheme) if origin else site in {"", "same-origin", "none"}
    else:
        is_own = site != "cross-site" or _is_visit(headers)
    if not is_own:
        raise WebProblem("foreign_origin", origin=origin[:100])


def allowed_origins(origins: Iterable[str]) -> frozenset[str]:
    return frozenset(origin.lower().rstrip("/") for origin in origins)


def _is_own(origin: str, host: str, scheme: str) -> bool:
    """Return whether an Origin header names the server that the request went to."""
    try:
        parts = urlsplit(origin.lower())
    except ValueError:
        return False
    if parts.scheme not in _PORTS or (scheme == "https" and parts.scheme != "https") or parts.path or parts.query or parts.fragment:
        return False
    return _without_port(parts.netloc, _PORTS[parts.scheme]) == _without_port(host.lower(), _PORTS[parts.scheme])


def _without_port(host: str, port: int) -> str:
    return host.removesuffix(f":{port}")


def _is_visit(headers: Headers) -> bool:
    """Return whether a person follows a link: the answer then fills a window of its own, which the foreign page cannot read."""
    return headers.get("sec-fetch-mode") == ["navigate"] and headers.get("sec-fetch-dest") in (["document"], None)


def _host_of(value: str) -> str | None:
    """Return the name or address in a Host header, without port and brackets; None where it is none."""
    try:
        parts = urlsplit(f"//{value}")
        if parts.netloc != value or parts.username is not None or parts.password is not None:
            return None
        _ = parts.port  # raises ValueError where it is no number
        return (parts.hostname or "").rstrip(".") or None
    except ValueError:
        return None


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
