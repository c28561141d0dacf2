"""Dependency injection: makes each service once, by the types of its parameters."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar, get_type_hints

from app.errors import Misconfigured

# A class, or a function whose annotation says what it returns.
Provider = Callable[..., object]
T = TypeVar("T")


class Container:
    """The services of one process by their type: `services[Users]`.

    A parameter with a default keeps it, unless something of its type is provided.
    """

    def __init__(self, providers: Iterable[Provider], instances: Mapping[Any, object]) -> None:
        """Take the providers, and existing instances by the types under which they are found."""
        self._instances: dict[Any, Any] = dict(instances)
        self._providers: dict[Any, Provider] = {}
        for provider in providers:
            kind = _kind_of(provider)
            if kind in self._providers:
                other = _location_of(self._providers[kind])
                raise Misconfigured(
                    f"{_name_of(kind)} is provided twice: {other} and {_location_of(provider)}"
                )
            self._providers[kind] = provider

    def __getitem__(self, kind: type[T]) -> T:
        """Returns the service of this type, which is made the first time.

        Raises:
            Misconfigured: no module provides it, or a service that it depends on.

        """
        try:
            return self._instances[kind]
        except KeyError:
            return self._make(kind, ())

    def put(self, kind: Any, instance: object) -> None:
        """Provide an existing instance."""
        self._instances[kind] = instance

    def make_all(self) -> None:
        """Make every service, so that errors are found at the start.

        Raises:
            Misconfigured: one cannot be made, is not provided, or depends on itself; names the
                provider that needs it, with its file and line.

        """
        for kind in self._providers:
            self._make(kind, ())

    def _make(self, kind: Any, dependents: tuple[Any, ...]) -> Any:
        """Make a service for these, of which each depends on the next one."""
        if kind in self._instances:
            return self._instances[kind]
        provider = self._provider(kind, dependents)
        arguments = {
            parameter.name: self._make(parameter.kind, (*dependents, kind))
            for parameter in self._parameters(provider)
        }
        self._instances[kind] = provider(**arguments)
        return self._instances[kind]

    def _provider(self, kind: Any, dependents: tuple[Any, ...]) -> Provider:
        if kind in dependents:
            circle = (*dependents[dependents.index(kind) :], kind)
            raise Misconfigured(f"Circular dependency: {' needs '.join(map(_name_of, circle))}")
        if kind not in self._providers:
            needed = (
                f", which {_location_of(self._providers[dependents[-1]])} needs"
                if dependents
                else ""
            )
            raise Misconfigured(f"No module provides {_name_of(kind)}{needed}")
        return self._providers[kind]

    def _parameters(self, provider: Provider) -> Iterator["Parameter"]:
        hints = get_type_hints(provider.__init__ if inspect.isclass(provider) else provider)
        for name, parameter in inspect.signature(provider).parameters.items():
            kind = hints.get(name)
            is_known = kind in self._instances or kind in self._providers
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
        raise Misconfigured(f"{_location_of(provider)} has no return annotation")
    return kind


def _name_of(kind: Any) -> str:
    return getattr(kind, "__qualname__", str(kind))


def _location_of(provider: Provider) -> str:
    """Returns the name, file and line of a provider, for error messages."""
    unwrapped = inspect.unwrap(provider)
    name = getattr(unwrapped, "__qualname__", repr(unwrapped))
    try:
        line = inspect.getsourcelines(unwrapped)[1]
        return f"{name} ({inspect.getsourcefile(unwrapped)}, line {line})"
    except (OSError, TypeError):
        return name
