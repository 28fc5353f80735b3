"""click's parts as this command line needs them: verbs loaded late, options in groups, names that are nearly right."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from types import MappingProxyType
from typing import Any

import click
from click.shell_completion import CompletionItem

from ..passes.data.errors import unknown

COMMON = "Common options"
_SENTENCE = 200  # characters: what a verb does is said whole, in as many lines as that takes

MODEL = "timm/NAME, torchvision/NAME, digits/NAME, a checkpoint, or a Python FILE:FACTORY."


class Option(click.Option):
    """An option that says under which title `--help` lists it. One with a single value may be given once."""

    def __init__(self, *names: Any, group: str = "Options", **kwargs: Any):
        super().__init__(*names, **kwargs)
        self.group = group

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        super().add_to_parser(parser, ctx)
        if self.multiple or self.is_flag or self.count:
            return
        for known in (parser._long_opt, parser._short_opt):
            for name, taken in known.items():
                if taken.obj is self:
                    taken.process = _once(name, taken.process, ctx)


def _once(name: str, process: Callable[..., None], ctx: click.Context) -> Callable[..., None]:
    """`process`, which puts an option's value into the parser's state, but not over another that was given before."""

    def given(value: Any, state: Any) -> None:
        before = len(state.order)
        process(value, state)
        if state.order[before] in state.order[:before]:
            raise hinted(ctx, f"{name} was given twice", "Give it once.")

    return given


class Argument(click.Argument):
    """An argument with a line of help. A shell offers files for it: models and artifacts are most often that."""

    def __init__(self, *names: Any, text: str = "", check: Callable[[str], None] | None = None, **kwargs: Any):
        """check: refuses a value that names what is not there, as far as can be told before anything is loaded."""
        super().__init__(*names, **kwargs)
        self.text, self.check = text, check

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(incomplete, type="file")]


class Verb(click.Command):
    """A command whose help has the arguments, the options by group, and an example.

    under: by first word, the module of a command that runs in this one's place, with the words behind it.
    """

    under: Mapping[str, str] = MappingProxyType({})

    def __init__(self, *args: Any, example: str = "", **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.example = example

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        if args and args[0] in self.under:
            command = import_module(self.under[args[0]]).command
            return command.make_context(f"{info_name} {args[0]}", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        arguments = [(p.make_metavar(ctx), p.text) for p in self.params if isinstance(p, Argument) and p.text]
        if arguments:
            with formatter.section("Arguments"):
                formatter.write_dl(arguments)
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record and not isinstance(parameter, Argument):
                groups.setdefault(getattr(parameter, "group", COMMON), []).append(record)
        for title, records in sorted(groups.items(), key=lambda item: item[0] == COMMON):
            with formatter.section(title):
                formatter.write_dl(records)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self.example:
            with formatter.section("Example"):
                formatter.write(f"  {self.example}\n")


class Verbs(click.Group):
    """A group whose verbs are imported when they are named, but for those that were added to it.

    verbs: title -> names, in the order of the help page. modules: where a verb's `command` is, as "stitchc.cli.{}".
    """

    def __init__(self, *args: Any, modules: str = "", verbs: dict[str, Sequence[str]], **kwargs: Any):
        kwargs |= {"no_args_is_help": False, "invoke_without_command": True, "subcommand_metavar": "VERB ..."}
        super().__init__(*args, **kwargs)
        self.modules = modules
        self.verbs = verbs

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for names in self.verbs.values() for name in names]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in self.list_commands(ctx):
            return None
        return self.commands.get(name) or import_module(self.modules.format(name)).command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if not args[0].startswith("-") and args[0] not in self.list_commands(ctx):
            error = unknown(args[0], "verb", self.list_commands(ctx))
            raise hinted(ctx, error.message, error.hint)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        value = super().invoke(ctx)
        if ctx.invoked_subcommand is None:
            click.echo(ctx.get_help())
        return value

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, names in self.verbs.items():
            with formatter.section(title):
                commands = [(name, self.get_command(ctx, name)) for name in names]
                formatter.write_dl([(name, c.get_short_help_str(_SENTENCE)) for name, c in commands if c])


class Name(click.ParamType):
    """One of a few names; a near miss is answered with the nearest."""

    name = "name"

    def __init__(self, *names: str, known: Callable[[], Sequence[str]] | None = None):
        """known: gives the names when they are asked for, where other packages may add some."""
        self._names, self._known = names, known

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._known()) if self._known else self._names

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        return "|".join(self.names)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value in self.names:
            return value
        error = unknown(value, f"value of {param.opts[-1] if param else 'this'}", self.names)
        raise hinted(ctx, error.message, error.hint)


def hinted(ctx: click.Context | None, message: str, hint: str) -> click.UsageError:
    """A usage error whose hint stands before the pointer to `--help`."""
    error = click.UsageError(message, ctx=ctx)
    error.hint = hint  # type: ignore[attr-defined]  # failure.py reads it
    return error


def option(*names: str, group: str = "Options", **kwargs: Any) -> Callable[[Any], Any]:
    """click.option with a group for the help page."""
    return click.option(*names, cls=Option, group=group, **kwargs)


def argument(*names: str, text: str = "", **kwargs: Any) -> Callable[[Any], Any]:
    """click.argument with a line of help; more of `Argument`."""
    return click.argument(*names, cls=Argument, text=text, **kwargs)


def model_argument(*names: str, text: str = MODEL, artifact: bool = False, **kwargs: Any) -> Callable[[Any], Any]:
    """An argument that names a model. artifact: or the folder of an artifact."""
    from ..zoo.present import check_model

    return argument(*names, text=f"{text} Or the folder of an artifact." if artifact else text, check=check_model,
                    **kwargs)  # fmt: skip
