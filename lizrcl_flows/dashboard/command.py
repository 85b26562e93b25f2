"""`lizrcl dashboard`: the archive in a browser."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from socket import socket

TOKEN_LENGTH = 16
"""Characters that a token has at least."""


@click.group()
def dashboard() -> None:
    """Look at the archive in a browser, read-only."""


@dashboard.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; beyond loopback: --token.")
@click.option("--port", default=8765, show_default=True, type=click.IntRange(0, 65535), help="0: a free one.")
@click.option("--token", envvar="LIZRCL_DASHBOARD_TOKEN", help="Ask every reader for this [LIZRCL_DASHBOARD_TOKEN].")
def serve(host: str, port: int, token: str | None) -> None:
    """Serve the dashboard until Ctrl-C. Whoever may reach the address may read the whole archive."""
    import uvicorn

    from lizrcl_flows.dashboard.app import create_app
    from lizrcl_flows.dashboard.pages.overview import home
    from lizrcl_flows.errors import BackendError
    from lizrcl_flows.settings import load_settings

    check_token(host, token)
    app = create_app(load_settings(), token or None)
    listening = listen(host, port)
    try:
        app.state.reader.read(home)  # the first page is then as fast as the next
    except BackendError as error:
        click.echo(f"pages will say so until it answers: {error}", err=True)
    place, number = listening.getsockname()[:2]
    shown = f"[{place}]" if ":" in place else place
    click.echo(f"http://{shown}:{number}/{'?token=...' if token else ''}  (Ctrl-C ends it)", err=True)
    # no log of addresses: the first one has the token in it
    config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False, ws="none")
    uvicorn.Server(config).run(sockets=[listening])


def check_token(host: str, token: str | None) -> None:
    """Refuse to listen beyond loopback without a token.

    Raises
    ------
    InputError
        If there is none, or it is too short to keep anyone out.
    """
    from lizrcl_flows.dashboard.security import LOOPBACK
    from lizrcl_flows.errors import InputError

    if not token and host not in LOOPBACK:
        raise InputError(f"--host {host} is not loopback: --token or LIZRCL_DASHBOARD_TOKEN is needed")
    if token and len(token) < TOKEN_LENGTH:
        raise InputError(f"--token has {len(token)} characters; at least {TOKEN_LENGTH} are needed")


def listen(host: str, port: int) -> "socket":
    """Return a socket that listens.

    Raises
    ------
    InputError
        If the address is not one of this machine, or the port is taken.
    """
    import socket as sockets

    from lizrcl_flows.errors import InputError

    try:
        family = sockets.getaddrinfo(host, port, type=sockets.SOCK_STREAM)[0][0]
        return sockets.create_server((host, port), family=family)
    except OSError as error:
        raise InputError(f"--host {host} --port {port}: {error.strerror}; another port may be free") from error
