"""Compiles templates of emails, and tries each before it is needed."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from traceback import walk_tb
from typing import Any

from jinja2 import FileSystemLoader, StrictUndefined, Template, TemplateSyntaxError, nodes
from jinja2.defaults import DEFAULT_NAMESPACE
from jinja2.meta import find_undeclared_variables
from jinja2.sandbox import ImmutableSandboxedEnvironment

from app.mail.services.template_files import Kind, fault


class Compiler:
    """Compiles templates, and says of a wrong one in which line of which file it is wrong."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders
        self._loader = FileSystemLoader(folders)
        # A template can neither reach Python nor change what it is given. Emails are plain text;
        # the HTML layout, into which it is put, escapes it.
        self._environment = ImmutableSandboxedEnvironment(
            loader=self._loader,
            undefined=StrictUndefined,
            trim_blocks=True,
            auto_reload=False,
            autoescape=_is_html,
        )

    def compile(self, file: str, kind: Kind) -> Template:
        """Returns the template.

        Raises:
            Misconfigured: what is wrong, with the path and the line.

        """
        try:
            return self._compile(file, kind)
        except TemplateSyntaxError as error:
            raise fault(error.filename or file, error.lineno, error.message or "") from error
        except UnicodeDecodeError as error:
            raise fault(self._path(file), None, "This is not UTF-8.") from error
        except OSError as error:
            raise fault(self._path(file), None, f"{error.strerror}.") from error

    def _compile(self, file: str, kind: Kind) -> Template:
        source, path, _ = self._loader.get_source(self._environment, file)
        tree = self._environment.parse(source, file, path)
        _check_variables(tree, path, kind.variables)
        code = self._environment.compile(tree, file, path)
        template = Template.from_code(self._environment, code, self._environment.globals)
        for block in kind.blocks:
            if block not in template.blocks:
                raise fault(path, None, f"There is no block {block}.")
        try:
            _try(template, kind)
        except TemplateSyntaxError:
            # Of a file that this one includes.
            raise
        except Exception as error:
            # It runs what an operator has written: whatever that raises is a fault in the template.
            raise fault(*self._place(error, path), str(error) or type(error).__name__) from error
        return template

    def _path(self, file: str) -> str:
        found = (folder / file for folder in self._folders if (folder / file).exists())
        return str(next(found, file))

    def _place(self, error: Exception, path: str) -> tuple[str, int | None]:
        """Returns where in a template an error was raised, in files that it includes too."""
        place: tuple[str, int | None] = (path, None)
        for frame, line in walk_tb(error.__traceback__):
            name = frame.f_code.co_filename
            if Path(name).parent in self._folders:
                place = (name, line)
        return place


def render_block(template: Template, name: str, values: Mapping[str, object]) -> str:
    """Returns what a block says; an empty text if there is no such block."""
    block = template.blocks.get(name)
    if block is None:
        return ""
    try:
        return "".join(block(template.new_context(dict(values)))).strip()
    except Exception:  # noqa: BLE001 - it is raised again
        # With the lines of the template in its traceback.
        template.environment.handle_exception()


def _check_variables(tree: nodes.Template, path: str, variables: Collection[str]) -> None:
    unknown = find_undeclared_variables(tree) - {*variables, *DEFAULT_NAMESPACE}
    for node in tree.find_all(nodes.Name):
        if node.name in unknown:
            there_are = ", ".join(variables)
            message = f"There is no variable {node.name}. There are: {there_are}."
            raise fault(path, node.lineno, message)


def _is_html(name: str | None) -> bool:
    return name is not None and name.endswith(".html")


def _try(template: Template, kind: Kind) -> None:
    values: dict[str, Any] = dict.fromkeys(kind.variables, "text")
    values |= kind.sample
    if not kind.blocks:
        template.render(values)
    for name in template.blocks:
        render_block(template, name, values)
