"""Makes each service once, out of what the annotations of its parameters name."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar, get_type_hints

from app.errors import Misconfigured

# A class, or a function whose annotation says what it returns.
Provider = Callable[..., object]
T = TypeVar("T")


class Container:
    """The services of one process by their type: `services[Users]`.

    A parameter with a default is left to it, unless something of its type is provided.
    """

    def __init__(self, providers: Iterable[Provider], given: Mapping[Any, object]) -> None:
        """Take providers, and things that are there already, by the type they are asked for."""
        self._made: dict[Any, Any] = dict(given)
        self._providers: dict[Any, Provider] = {}
        for provider in providers:
            kind = _kind_of(provider)
            if kind in self._providers:
                other = _place_of(self._providers[kind])
                raise Misconfigured(
                    f"{_name_of(kind)} is provided twice: {other} and {_place_of(provider)}"
                )
            self._providers[kind] = provider

    def __getitem__(self, kind: type[T]) -> T:
        """Return the service of this type, and make it if it is not made yet.

        Raises:
            Misconfigured: no module provides it, or something that it is made of.

        """
        try:
            return self._made[kind]
        except KeyError:
            return self._make(kind, ())

    def put(self, kind: Any, thing: object) -> None:
        """Provide something that is there already."""
        self._made[kind] = thing

    def make_all(self) -> None:
        """Make every service, so that what is wrong with one is known at once.

        Raises:
            Misconfigured: one cannot be made, is not provided, or goes in a circle; names the
                provider that needs it, with its file and line.

        """
        for kind in self._providers:
            self._make(kind, ())

    def _make(self, kind: Any, on_the_way: tuple[Any, ...]) -> Any:
        if kind in self._made:
            return self._made[kind]
        provider = self._provider(kind, on_the_way)
        arguments = {
            parameter.name: self._make(parameter.kind, (*on_the_way, kind))
            for parameter in self._parameters(provider)
        }
        self._made[kind] = provider(**arguments)
        return self._made[kind]

    def _provider(self, kind: Any, on_the_way: tuple[Any, ...]) -> Provider:
        if kind in on_the_way:
            circle = " needs ".join(map(_name_of, (*on_the_way[on_the_way.index(kind) :], kind)))
            raise Misconfigured(f"Services go in a circle: {circle}")
        if kind not in self._providers:
            needed = (
                f", which {_place_of(self._providers[on_the_way[-1]])} needs" if on_the_way else ""
            )
            raise Misconfigured(f"No module provides {_name_of(kind)}{needed}")
        return self._providers[kind]

    def _parameters(self, provider: Provider) -> Iterator["Parameter"]:
        hints = get_type_hints(provider.__init__ if inspect.isclass(provider) else provider)
        for name, parameter in inspect.signature(provider).parameters.items():
            kind = hints.get(name)
            is_known = kind in self._made or kind in self._providers
            if parameter.default is parameter.empty or is_known:
                yield Parameter(name, kind)


class Parameter(NamedTuple):
    name: str
    kind: Any


def _kind_of(provider: Provider) -> Any:
    if inspect.isclass(provider):
        return provider
    kind = get_type_hints(provider).get("return")
    if kind is None:
        raise Misconfigured(f"{_place_of(provider)} does not say what it returns")
    return kind


def _name_of(kind: Any) -> str:
    return getattr(kind, "__qualname__", str(kind))


def _place_of(provider: Provider) -> str:
    """Return its name, file and line, as error messages state them."""
    unwrapped = inspect.unwrap(provider)
    name = getattr(unwrapped, "__qualname__", repr(unwrapped))
    try:
        line = inspect.getsourcelines(unwrapped)[1]
        return f"{name} ({inspect.getsourcefile(unwrapped)}, line {line})"
    except (OSError, TypeError):
        return name
