"""The command `python -m tools`"""
import argparse
import asyncio
import sys
from pathlib import Path


def parser() -> argparse.ArgumentParser:
    "The commands and their options."
    arguments = argparse.ArgumentParser("python -m tools", description="Makes the site and README.md, and cleans the notebooks.")
    arguments.add_argument("command", choices=["build", "serve", "readme", "clean"])
    arguments.add_argument("--renderer", choices=["smalldocs", "quarto"], default="smalldocs")
    arguments.add_argument("--port", type=int, help="for serve; without it, 8000 or the next free port")
    return arguments


def run(command: str, renderer: str, port: int | None) -> None:
    "Runs a command."
    if not Path("settings.ini").is_file():
        sys.exit("error: no settings.ini here; run this in the root of the repository")
    from tools import ERRORS, build, preview, readme  # a second

    try:
        if command == "serve":
            asyncio.run(preview.serve(renderer, port))
        elif command == "build":
            build.build(renderer)
        else:
            getattr(readme, command)()
    except ERRORS as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(0 if command == "serve" else 130)


if __name__ == "__main__":
    run(**vars(parser().parse_args()))
