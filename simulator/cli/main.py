"""Entry point of ``tierlab``: finds the command, and turns errors into one line and a status.

Exit status: 0 ok, 1 a check failed, 2 bad input, 130 interrupted.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
from collections.abc import Sequence

import click

from tierlab.kernels.base.errors import BadInput, BrokenLaw
from tierlab.kernels.base.names import near

COMMANDS = {
    "run": ("tierlab.simulator.cli.run:run", "Simulate a scenario."),
    "replay": ("tierlab.simulator.cli.replay:replay", "Simulate a request log."),
    "plan": ("tierlab.simulator.cli.plan:plan", "Say what fits, and how fast it can be."),
    "sweep": ("tierlab.simulator.cli.sweep:sweep", "Run many points of a scenario."),
    "choose": ("tierlab.simulator.cli.sweep:choose", "Choose among the points of a sweep."),
    "report": ("tierlab.simulator.cli.report:report", "Write runs and sweeps as one page."),
    "compare": ("tierlab.simulator.cli.compare:compare", "Hold a run against measurements."),
    "calibrate": (
        "tierlab.simulator.cli.calibrate:calibrate",
        "Measure a device, fit time models.",
    ),
    "predict": ("tierlab.simulator.cli.predict:predict", "Predict times of shapes."),
    "validate": ("tierlab.simulator.cli.validate:validate", "Hold models against silicon."),
    "trace": ("tierlab.simulator.cli.trace:trace", "Look into request logs, convert, make them."),
    "list": ("tierlab.simulator.cli.listing:list_names", "List what can be named."),
    "show": ("tierlab.simulator.cli.show:show", "Show one thing with all its sources."),
    "demo": ("tierlab.simulator.cli.demo:demo", "Answer a built-in question."),
}


class Lazy(click.Group):
    """A group that imports a command when it is run, not when it is listed.

    Attributes
    ----------
    commands_by_name
        Name -> (module:attribute, summary), in the order of use.
    """

    commands_by_name = COMMANDS

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order of use."""
        return list(self.commands_by_name)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in self.commands_by_name:
            return None
        module, attribute = self.commands_by_name[cmd_name][0].split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command, suggesting near misses."""
        if args[0] not in self.commands_by_name:
            accepted = near(args[0], self.commands_by_name)
            raise BadInput(ctx.command_path, f"no command {args[0]!r}", accepted)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self.commands_by_name.items()])


NEW_OBJECTS = 50_000
"""After so many Python looks for unreachable cycles, not after 700: importing makes far more that
all stay, and looking at them takes an eighth of a small run."""
EPILOG = """\b
Examples:
  tierlab plan --model Llama-3.1-8B --hardware H100 --context 32768
  tierlab replay conversation_trace.jsonl --model Llama-3.1-8B --hardware H200
  tierlab run scenario.toml --set engine.max_num_seqs=64 --json
  tierlab list hardware
"""


@click.group(
    cls=Lazy,
    epilog=EPILOG,
    invoke_without_command=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="tierlab", message="tierlab %(version)s")
def cli() -> None:
    """Compare designs for serving long-context language models before they are built.

    tierlab simulates GPU memory, CPU memory, CXL memory and flash under real request logs, and
    says for every figure where its time comes from.
    """


def _usage(error: click.ClickException) -> str:
    """Return click's complaint as one line that names the option."""
    if isinstance(error, click.NoSuchOption):
        accepted = near(error.option_name, error.possibilities or [])
        hint = f"; {accepted}" if error.possibilities else "; see --help"
        return f"{error.option_name}: no such option{hint}"
    return " ".join(error.format_message().split())


def _fail(line: str, status: int = 2) -> int:
    click.echo(f"tierlab: error: {line}", err=True)
    return status


def _invoke(arguments: Sequence[str]) -> int:
    result = cli.main(list(arguments), prog_name="tierlab", standalone_mode=False)
    return result if isinstance(result, int) else 0


def run_cli(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit status."""
    try:
        return _invoke(arguments)
    except BadInput as error:
        return _fail(error.line())
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return 2
    except click.ClickException as error:
        return _fail(_usage(error))
    except BrokenLaw as error:
        return _fail(f"a conservation law broke, a defect in tierlab; please report: {error}", 1)
    except (click.Abort, KeyboardInterrupt):
        return _fail("interrupted; nothing was written", 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def main() -> None:
    """Run ``tierlab`` with the process's arguments."""
    gc.set_threshold(NEW_OBJECTS)
    sys.exit(run_cli(sys.argv[1:]))
