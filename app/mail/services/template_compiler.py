"""Compiles templates of emails, and renders each once with sample values to check it."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from traceback import walk_tb
from typing import Any

from jinja2 import FileSystemLoader, StrictUndefined, Template, TemplateSyntaxError, nodes
from jinja2.defaults import DEFAULT_NAMESPACE
from jinja2.meta import find_undeclared_variables
from jinja2.sandbox import ImmutableSandboxedEnvironment

from app.mail.services.template_files import TemplateKind, template_error


class TemplateCompiler:
    """Compiles templates; errors name the file and the line."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders
        self._loader = FileSystemLoader(folders)
        # The sandbox keeps templates from Python internals, and from changing values. Emails are
        # plain text, which the HTML layout escapes.
        self._environment = ImmutableSandboxedEnvironment(
            loader=self._loader,
            undefined=StrictUndefined,
            trim_blocks=True,
            auto_reload=False,
            autoescape=_is_html,
        )

    def compile(self, file: str, kind: TemplateKind) -> Template:
        """Returns the template.

        Raises:
            Misconfigured: the template is invalid; names the path and the line.

        """
        try:
            return self._compile(file, kind)
        except TemplateSyntaxError as error:
            raise template_error(
                error.filename or file, error.lineno, error.message or ""
            ) from error
        except UnicodeDecodeError as error:
            raise template_error(self._path(file), None, "The file is not UTF-8 text.") from error
        except OSError as error:
            raise template_error(self._path(file), None, f"{error.strerror}.") from error

    def _compile(self, file: str, kind: TemplateKind) -> Template:
        source, path, _ = self._loader.get_source(self._environment, file)
        tree = self._environment.parse(source, file, path)
        _check_variables(tree, path, kind.variables)
        code = self._environment.compile(tree, file, path)
        template = Template.from_code(self._environment, code, self._environment.globals)
        for block in kind.blocks:
            if block not in template.blocks:
                raise template_error(path, None, f"There is no block {block}.")
        try:
            _render_sample(template, kind)
        except TemplateSyntaxError:
            # In a file that this one includes.
            raise
        except Exception as error:
            # Any error comes from the template, which an operator may have written.
            raise template_error(
                *self._place(error, path), str(error) or type(error).__name__
            ) from error
        return template

    def _path(self, file: str) -> str:
        found = (folder / file for folder in self._folders if (folder / file).exists())
        return str(next(found, file))

    def _place(self, error: Exception, path: str) -> tuple[str, int | None]:
        """Returns the path and line where a template, or a file it includes, raised an error."""
        place: tuple[str, int | None] = (path, None)
        for frame, line in walk_tb(error.__traceback__):
            name = frame.f_code.co_filename
            if Path(name).parent in self._folders:
                place = (name, line)
        return place


def render_block(template: Template, name: str, values: Mapping[str, object]) -> str:
    """Returns the text of a block; empty if the template does not have it."""
    block = template.blocks.get(name)
    if block is None:
        return ""
    try:
        return "".join(block(template.new_context(dict(values)))).strip()
    except Exception:  # noqa: BLE001 - it is raised again
        # This adds the lines of the template to the traceback.
        template.environment.handle_exception()


def _check_variables(tree: nodes.Template, path: str, variables: Collection[str]) -> None:
    unknown = find_undeclared_variables(tree) - {*variables, *DEFAULT_NAMESPACE}
    for node in tree.find_all(nodes.Name):
        if node.name in unknown:
            names = ", ".join(variables)
            message = f"There is no variable {node.name}. There are: {names}."
            raise template_error(path, node.lineno, message)


def _is_html(name: str | None) -> bool:
    return name is not None and name.endswith(".html")


def _render_sample(template: Template, kind: TemplateKind) -> None:
    values: dict[str, Any] = dict.fromkeys(kind.variables, "text")
    values |= kind.sample
    if not kind.blocks:
        template.render(values)
    for name in template.blocks:
        render_block(template, name, values)
