"""``etholoop play``: recordings, tracks and behaviours in the browser, frame by frame."""

import typer

from etholoop.commands._help import examples


def register(app: typer.Typer) -> None:
    app.command(
        "play",
        short_help="Look at recordings, tracks and bouts in the browser.",
        epilog=examples("etholoop play", "etholoop play cage1 --port 8090", "", "The page lists its keys: space, arrows, comma and dot, …"),
    )(play_command)


def play_command(
    video_id: str = typer.Argument(None, help="Recording to begin with; default: the first."),
    port: int = typer.Option(8088, min=0, max=65535, help="Port on 127.0.0.1; 0 takes any that is free."),
    browser: bool = typer.Option(True, "--browser/--no-browser", help="Open the page in the default browser."),
) -> None:
    """Serve a player for this project on this machine only: every picture is the exact frame of the recording."""
    from etholoop.commands._project_show import ProjectShow
    from etholoop.errors import EthoLoopError
    from etholoop.params import nearest
    from etholoop.project import find_project

    show = ProjectShow(find_project())
    if video_id is not None and video_id not in show.sources:
        raise EthoLoopError(f"unknown recording '{video_id}'; {nearest(video_id, sorted(show.sources))}")
    serve(show, port, browser, f"#{video_id}" if video_id else "")


def serve(show: object, port: int, browser: bool, fragment: str = "") -> None:
    """Serve until Ctrl-C."""
    import webbrowser

    from etholoop.services.player import Player

    player = Player(show, port)  # type: ignore[arg-type]
    typer.echo(f"{player.url}{fragment}   (Ctrl-C ends it)")
    if browser:
        webbrowser.open(player.url + fragment)
    player.serve()
