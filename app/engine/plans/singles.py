"""Functions of a single expression, read from their source."""

import ast
import inspect
import textwrap
from functools import lru_cache
from types import CodeType, FunctionType
from typing import Any, NamedTuple


class Single(NamedTuple):
    """A function of a single expression."""

    parameters: tuple[str, ...]
    expression: ast.expr


@lru_cache(maxsize=1024)
def single_of(function: FunctionType) -> Single | None:
    """Give what a function returns, None where there is more to it, or to what it hangs on."""
    found = _definition(function)
    if found is None or function.__closure__ or function.__defaults__:
        return None
    match found.body:
        case [ast.Return(value=ast.expr() as value)]:
            pass
        case [ast.Expr(value=ast.Constant()), ast.Return(value=ast.expr() as value)]:
            pass
        case _:
            return None
    parameters = found.args
    if parameters.posonlyargs or parameters.kwonlyargs or parameters.vararg or parameters.kwarg:
        return None
    return Single(tuple(each.arg for each in parameters.args), value)


def _definition(function: FunctionType) -> ast.FunctionDef | None:
    """Read a function's source, if that is what runs: a newer version may lie there by now."""
    try:
        text = textwrap.dedent(inspect.getsource(function))
        found = ast.parse(text).body[0]
        constants = compile(text, "<source>", "exec", dont_inherit=True).co_consts
    except (OSError, TypeError, SyntaxError):
        return None
    written = [
        each
        for each in constants
        if isinstance(each, CodeType) and each.co_name == function.__name__
    ]
    same = len(written) == 1 and _said(written[0]) == _said(function.__code__)
    return found if same and isinstance(found, ast.FunctionDef) else None


def _said(code: CodeType) -> tuple[object, ...]:
    """What a function does, without where it stands."""
    constants: list[Any] = [
        _said(each) if isinstance(each, CodeType) else (type(each), each) for each in code.co_consts
    ]
    return code.co_code, code.co_names, code.co_varnames, constants
