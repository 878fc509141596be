"""The command line: commands are found late, and errors are one line with the right exit code."""

from __future__ import annotations

import importlib
import subprocess
import sys

import click
import pytest

from streams import __main__ as command_line
from streams.errors import PulseError


def _raising(error: BaseException) -> click.Command:
    """A command that only raises."""

    @click.command()
    def command() -> None:
        raise error

    return command


def _run(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["shop-pulse", *arguments])
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.parametrize("name", list(command_line.COMMANDS))
def test_every_command_is_there(name: str) -> None:
    """Each name leads to a click command, and `--help` lists it without importing it."""
    module, attribute, line = command_line.COMMANDS[name]
    assert isinstance(getattr(importlib.import_module(module), attribute), click.Command)
    assert line.endswith(".")


def test_help_imports_no_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` works where the packages of some command are missing."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} was imported")

    monkeypatch.setattr(importlib, "import_module", refuse)
    assert _run(["--help"], monkeypatch) == 0
    out = capsys.readouterr().out
    assert all(f"\n  {name} " in out for name in command_line.COMMANDS)


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (PulseError("Redis is gone; start it"), 1, "shop-pulse: Redis is gone; start it\n"),
        (KeyboardInterrupt(), 130, ""),
        (click.UsageError("no such thing"), 2, "shop-pulse: no such thing (see shop-pulse up --help)\n"),
        (click.ClickException("not today"), 1, "shop-pulse: not today\n"),
    ],
)
def test_an_error_is_one_line(
    error: BaseException,
    code: int,
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What a user can mend is said in one line on stderr; Ctrl-C says nothing."""
    monkeypatch.setattr(command_line.cli, "get_command", lambda *_: _raising(error))
    assert _run(["up"], monkeypatch) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.lstrip("\n") == line


@pytest.mark.parametrize("name", list(command_line.COMMANDS))
def test_no_number_on_the_command_line_is_endless(name: str) -> None:
    """What Python takes for a float and nobody can wait for or divide by is refused by every option."""
    module, attribute, _ = command_line.COMMANDS[name]
    command = getattr(importlib.import_module(module), attribute)
    ctx = click.Context(command)
    for param in command.params:
        if isinstance(param.type, click.types.FloatParamType):
            assert param.process_value(ctx, "1") == 1.0
            for text in ("nan", "NaN", "inf", "-inf", "infinity", "1e999"):
                with pytest.raises(click.BadParameter):
                    param.process_value(ctx, text)


def test_a_time_that_is_no_number_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says what is wrong and what to give instead."""
    assert _run(["generate", "--for", "nan"], monkeypatch) == 2
    err = capsys.readouterr().err
    assert "'nan' is not a finite number; give one like 20" in err and err.count("\n") == 1


def test_an_unknown_command_says_where_to_look(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A typing error in a command's name is one line too."""
    assert _run(["upp"], monkeypatch) == 2
    err = capsys.readouterr().err
    assert err.startswith("shop-pulse: No such command 'upp'") and err.count("\n") == 1


def test_a_wrong_setting_is_one_line_of_a_real_process() -> None:
    """The whole way: environment, process, stderr, exit code."""
    done = subprocess.run(
        [sys.executable, "-m", "streams", "up"],
        env={"SHOP_PULSE_KAFKAS": "x:1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("shop-pulse: SHOP_PULSE_KAFKAS is not a setting;")
    assert done.stderr.count("\n") == 1
