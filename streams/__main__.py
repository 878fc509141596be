"""The command `shop-pulse`: it finds the module of a command when that command is used, and not before.

It stands above everything: here an error for a user becomes one line. Commands are imported late, so that
`--help` answers at once and a command works without the packages that only another one needs.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import NoReturn

import click

from streams import settings
from streams.errors import PulseError

# name -> module, attribute, one line for `--help` (asking the module would import it)
COMMANDS: dict[str, tuple[str, str, str]] = {
    "up": ("streams.local.up", "command", "Start everything on this machine, in one go."),
    "worker": ("streams.workers", "command", "Read the topics and keep the figures."),
    "rebuild": ("streams.rebuild", "command", "Count the log anew beside the figures served, then switch."),
    "serve": ("streams.web.serve", "command", "Answer questions: API, metrics and pages."),
    "token": ("streams.web.token_command", "command", "Make a livestream host's private link."),
    "generate": ("streams.sources.generate", "command", "Send seeded shopping events."),
    "history": ("streams.sources.history_command", "command", "Send the shop's last two months."),
    "canary": ("streams.canary", "command", "Send a record through the whole pipeline every 10 s."),
    "replay": ("streams.dead_letters", "replay", "Send dead letters again, after a fix."),
    "verify": ("verify.command", "command", "Recompute every figure from the log and compare."),
    "complete-journey": (
        "streams.sources.complete_journey",
        "command",
        "Send a year of real purchases (The Complete Journey).",
    ),
    "topics": ("streams.topics", "command", "Create the topics, or check them."),
    "dead-letters": ("streams.dead_letters", "dead_letters", "Show the latest dead letters."),
    "backtest": ("backtest.command", "command", "Measure the alert rules on seeded shops."),
    "bench": ("tests.bench.__main__", "command", "Measure the worker against other systems (in a checkout)."),
    "render": ("dashboards.render", "command", "Write every generated file anew."),
}


class LazyGroup(click.Group):
    """A click group whose commands are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name, imported now; None if there is none."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        try:
            command = getattr(importlib.import_module(module), attribute)
        except ModuleNotFoundError as error:
            if error.name is None or not module.startswith(error.name):
                raise
            raise PulseError(f"{cmd_name} belongs to a checkout of the repository; run it in one") from error
        if not isinstance(command, click.Command):
            raise TypeError(f"{module}.{attribute} is not a click.Command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of `--help`, without importing any command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, _, line) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="shop-pulse")
def cli() -> None:
    """Exact figures of social commerce from Kafka, within seconds."""
    # Every command refuses a setting with a typing error, also one that reads none itself.
    settings.load()


def main() -> NoReturn:
    """Run the command line: 0 when what was asked holds, 1 with one line when not, 130 after Ctrl-C."""
    try:
        status = cli.main(prog_name="shop-pulse", standalone_mode=False)
    except PulseError as error:
        print(f"shop-pulse: {error}", file=sys.stderr)
        sys.exit(1)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(error.exit_code)
    except click.ClickException as error:
        context = error.ctx if isinstance(error, click.UsageError) else None
        hint = f" (see {context.command_path} --help)" if context else ""
        print(f"shop-pulse: {error.format_message()}{hint}", file=sys.stderr)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output has gone (`| head`): nobody is left to tell, and no output left to flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    sys.exit(status if isinstance(status, int) else 0)


if __name__ == "__main__":
    main()
