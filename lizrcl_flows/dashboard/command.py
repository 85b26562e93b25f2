"""`lizrcl dashboard`: the web view of the archive."""

import click

LOOPBACK = ("127.0.0.1", "::1", "localhost")
TOKEN_LENGTH = 16
"""Characters that a token has at least."""


@click.group()
def dashboard() -> None:
    """Show the archive in a browser, read-only."""


@dashboard.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; beyond loopback: --token.")
@click.option("--port", default=8765, show_default=True, type=click.IntRange(1, 65535))
@click.option("--token", envvar="LIZRCL_DASHBOARD_TOKEN", help="Ask every reader for this [LIZRCL_DASHBOARD_TOKEN].")
def serve(host: str, port: int, token: str | None) -> None:
    """Serve the dashboard until Ctrl-C."""
    import uvicorn

    from lizrcl_flows.dashboard.app import create_app
    from lizrcl_flows.settings import load_settings

    check_token(host, token)
    click.echo(f"http://{f'[{host}]' if ':' in host else host}:{port}/  (Ctrl-C ends it)", err=True)
    app = create_app(load_settings(), token or None)
    uvicorn.run(app, host=host, port=port, log_level="warning", access_log=False, server_header=False)


def check_token(host: str, token: str | None) -> None:
    """Refuse to listen beyond loopback without a token.

    Raises
    ------
    InputError
        If there is none, or it is too short to keep anyone out.
    """
    from lizrcl_flows.errors import InputError

    if not token and host not in LOOPBACK:
        raise InputError(f"--host {host} is not loopback: --token or LIZRCL_DASHBOARD_TOKEN is needed")
    if token and len(token) < TOKEN_LENGTH:
        raise InputError(f"--token has {len(token)} characters; at least {TOKEN_LENGTH} are needed")
