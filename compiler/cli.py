"""The command line: a command is run here, and what it tells or fails with is printed.

Exit codes: 0 done; 1 a finding or an error in model, data or options; 2 wrong usage; 130 Ctrl-C.
"""

import os
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from types import FrameType
from typing import Any, NoReturn

import typer

from spikec.compiler.cli_commands import app
from spikec.compiler.cli_report import Report, write, write_error
from spikec.compiler.errors import SpikecError, one_line


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit."""
    _clean_up_when_terminated()
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Run a command, print what it tells, and return the exit code."""
    as_json, debug = "--json" in arguments, "--debug" in arguments
    try:
        return _run(arguments, as_json)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read has seen enough; nothing more can be written, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        if debug:
            traceback.print_exc()
        return _tell(error, arguments, as_json)


def _run(arguments: Sequence[str], as_json: bool) -> int:
    command: Any = typer.main.get_command(app)
    try:
        result: Any = command.main(args=list(arguments), prog_name="spikec", standalone_mode=False)
    except typer.Abort:
        return 130
    code: int = result if isinstance(result, int) else 0
    if isinstance(result, Report):
        write(result, as_json)
        code = result.code
    sys.stdout.flush()
    return code


def _tell(error: Exception, arguments: Sequence[str], as_json: bool) -> int:
    """Print an error as one line and return the exit code."""
    # typer brings click along under a name of its own; its usage errors are BadParameter's base.
    usage: Any = typer.BadParameter.__mro__[1]
    if isinstance(error, usage):
        return _tell_usage(error, arguments, as_json)
    if isinstance(error, SpikecError):
        write_error(error, as_json, error.code)
        return 1
    if isinstance(error, MemoryError):
        told = SpikecError("", "spikec", "there is not enough memory", "Use less data at once")
    else:
        told = SpikecError(
            "",
            "internal error",
            f"{type(error).__name__}: {one_line(str(error))[:200]}",
            "This is a bug in spikec, please report it; use --debug for the traceback",
        )
    write_error(told, as_json, "internal")
    return 1


def _tell_usage(error: Any, arguments: Sequence[str], as_json: bool) -> int:
    """Print a usage error as one line with a hint."""
    if type(error).__name__ == "NoArgsIsHelpError":
        print(error.message, file=sys.stderr)
        return 2
    # An option without its value comes without a context.
    commands = [a for a in arguments if not a.startswith("-")][:1]
    path = error.ctx.command_path if error.ctx else " ".join(["spikec", *commands])
    message = " ".join(error.format_message().replace("Value error, ", "").split())
    problem, _, remedy = message.partition(" Did you mean ")
    nearest: Sequence[str] = getattr(error, "possibilities", None) or ()
    if nearest:
        problem, remedy = error.message, f"{nearest[0]}?"
    remedy = f"Did you mean {remedy}" if remedy else f"See {path} --help"
    problem = problem[:1].lower() + problem[1:].rstrip(".")
    write_error(SpikecError("", path, problem, remedy), as_json, "usage")
    return 2


def _clean_up_when_terminated() -> None:
    """Turn SIGTERM into an exit, so that temporary files are removed on the way."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, leave)
