"""One look at a server: the only place that asks for ``/v1/models``."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import NamedTuple

import httpx

__all__ = ["PROBE_TIMEOUT_S", "Probe", "answers", "look", "look_once"]

PROBE_TIMEOUT_S = 2.0
_HOST = "127.0.0.1"


class Probe(NamedTuple):
    """One look at ``/v1/models``."""

    ready: bool
    models: tuple[str, ...]
    detail: str


def look(client: httpx.Client, base_url: str) -> Probe:
    """Ask a server for its models; anything but JSON with status 200 is not ready."""
    try:
        answer = client.get(f"{base_url}/v1/models")
    except httpx.ConnectError:
        return Probe(False, (), "port never opened")
    except httpx.HTTPError as error:
        return Probe(False, (), f"/v1/models: {type(error).__name__}")
    if answer.status_code != 200:
        return Probe(False, (), f"/v1/models answered {answer.status_code}")
    try:
        body = answer.json()
    except ValueError:
        return Probe(False, (), "/v1/models answered 200 without JSON")
    listed = body.get("data") if isinstance(body, dict) else None
    entries = listed if isinstance(listed, list) else []
    models = [e["id"] for e in entries if isinstance(e, dict) and "id" in e]
    return Probe(True, tuple(str(m) for m in models), "ready")


def look_once(
    base_url: str, timeout_s: float, headers: Mapping[str, str] | None = None
) -> Probe:
    """Ask a server that should be running, over a connection of its own.

    Proxy settings of the environment must not stand between us and the server.

    Args:
        base_url: address without ``/v1``.
        timeout_s: of connecting and of each read, seconds.
        headers: sent with the request.
    """
    with httpx.Client(timeout=timeout_s, trust_env=False, headers=headers) as client:
        return look(client, base_url)


def answers(port: int) -> bool:
    """Whether anybody listens on a port of this host."""
    with socket.socket() as sock:
        sock.settimeout(PROBE_TIMEOUT_S)
        return sock.connect_ex((_HOST, port)) == 0
