"""``etholoop labels serve|connect|users``: the labelling server."""

from typing import TYPE_CHECKING

import typer

from etholoop.commands._help import examples

if TYPE_CHECKING:
    from etholoop.project import Project

SERVE_EXAMPLES = examples(
    "etholoop labels serve", "etholoop labels serve --background", "etholoop labels serve --status", "etholoop labels serve --stop"
)
CONNECT_EXAMPLES = examples("etholoop labels connect https://label.my-lab.org", "etholoop labels connect own")
USERS_EXAMPLES = examples("etholoop labels users", "etholoop labels users anna@lab.org ben@lab.org")


def register(app: typer.Typer) -> None:
    from etholoop.commands._labels_group import labels_group

    group = labels_group(app)
    group.command("serve", short_help="Run Label Studio for this project.", epilog=SERVE_EXAMPLES)(serve_command)
    group.command("connect", short_help="Use a Label Studio that runs elsewhere.", epilog=CONNECT_EXAMPLES)(connect_command)
    group.command("users", short_help="Who is on the server.", epilog=USERS_EXAMPLES)(users_command)


def serve_command(
    *,
    port: int = typer.Option(8080, min=1, max=65535, help="Port on 127.0.0.1."),
    background: bool = typer.Option(False, "--background", help="Give the terminal back; --stop ends it."),
    status: bool = typer.Option(False, "--status", help="Say whether it runs, and where."),
    stop: bool = typer.Option(False, "--stop", help="End it; its data stay."),
) -> None:
    """Run Label Studio for this project, on this machine only."""
    from etholoop.project import find_project

    project = find_project()
    if status:
        typer.echo(status_line(project))
    elif stop:
        typer.echo(stop_server(project))
    else:
        serve(project, port, background=background)


def serve(project: "Project", port: int, *, background: bool) -> None:
    """Start the server, say how to log in, and unless in the background wait for Ctrl-C."""
    import signal

    from etholoop.services import label_studio_server as server

    where = server.place(project)
    login = server.secret(where)
    typer.echo("starting Label Studio (the first start makes its database and takes half a minute)")
    found, process = server.start(project, port, typer.echo)
    typer.echo(f"Label Studio on {found.url}")
    typer.echo(f"  log in as {login.email}, password in {where.secret} (only you can read it); log in {where.log}")
    typer.echo("  more people: `etholoop labels users THEIR-EMAIL`; next: `etholoop labels push`")
    if background:
        return

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        status = process.wait()
        typer.echo(f"Label Studio ended by itself (status {status}). End of its log:\n{server.log_tail(where)}", err=True)
        raise typer.Exit(1)
    except KeyboardInterrupt:
        typer.echo("stopping Label Studio")
    finally:
        server.stop(where)
        signal.signal(signal.SIGTERM, before)


def status_line(project: "Project") -> str:
    """Whether the project's own server runs, and whether it answers."""
    from etholoop.services import label_studio_server as server

    found = server.running(server.place(project))
    if not found:
        return "Label Studio does not run; `etholoop labels serve --background` starts it"
    state = "runs" if server.answers(found.url) else "is there but does not answer"
    return f"Label Studio {server.VERSION} {state} on {found.url} (process {found.pid})"


def stop_server(project: "Project") -> str:
    from etholoop.services import label_studio_server as server

    return "Label Studio stopped; its data stay" if server.stop(server.place(project)) else "Label Studio was not running"


def connect_command(
    url: str = typer.Argument(..., help="Address of the server; 'own' goes back to this project's own."),
    token: str = typer.Option("", envvar="LABEL_STUDIO_API_KEY", help="Access token; asked for when not given."),
) -> None:
    """Use a Label Studio that runs elsewhere. Its token is kept in a private file outside of Git."""
    from etholoop.project import find_project
    from etholoop.services import label_studio

    project = find_project()
    if url == "own":
        typer.echo("back to the own server" if label_studio.forget(project) else "it was the own server already")
        return
    token = token or typer.prompt("token (Label Studio: Account & Settings, Access Token)", hide_input=True)
    with label_studio.Client(url, token) as client:
        n_projects = len(client.projects())
        version = client.version()
    path = label_studio.remember(project, url, token)
    typer.echo(f"{url}: Label Studio {version}, {n_projects} projects; kept in {path}")


def users_command(emails: list[str] = typer.Argument(None, help="Make accounts for these e-mail addresses; without: list them.")) -> None:
    """List the people on the server, or make accounts for more; each gets a password, shown once."""
    import secrets

    from etholoop.commands.labels_pull import names_of_users
    from etholoop.project import find_project
    from etholoop.services import label_studio

    project = find_project()
    with label_studio.connect(project) as client:
        for email in emails or []:
            password = secrets.token_urlsafe(12)
            client.sign_up(email, password)
            typer.echo(f"account {email}, password {password} (shown only now; to be changed in Account & Settings)")
        names = names_of_users(project, client.users())
        for user in [] if emails else client.users():
            typer.echo(f"{names[user['id']]:<24}{user['email']}")
