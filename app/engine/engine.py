"""Runs one operation of a document and returns the answer, ready to be written as JSON."""

import logging
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from functools import partial
from inspect import isawaitable
from typing import Any, NamedTuple, TypeVar, cast

import strawberry
from graphql import (
    ExecutionResult,
    GraphQLError,
    GraphQLSchema,
    execute,  # pyright: ignore[reportUnknownVariableType] - its middleware is not typed
)

from app.engine.context import RequestContext
from app.engine.documents import Document, Documents, RefusedDocument, excess_error
from app.engine.duty_cycle import DutyCycle
from app.engine.errors import Describe, field_errors, internal_error, no_description, request_errors
from app.engine.executable import Executable, Variant
from app.engine.plans.outcomes import Outcomes, replaying
from app.errors import Code, coded

# All planning shares one queue, beside the queues of clients.
PLANNING = "planning"
# Coercing more values than this takes as long as reading a small document.
MANY_VALUES = 100

log = logging.getLogger(__name__)

T = TypeVar("T")
Answer = dict[str, Any]


class Operation(NamedTuple):
    """An executable operation, with its variables."""

    document: Document
    executable: Executable
    variables: dict[str, Any]


class RequestError(NamedTuple):
    """Nothing was executed."""

    errors: list[dict[str, Any]]

    @property
    def code(self) -> Code:
        """The code of all its errors: each stage has one code."""
        return Code(self.errors[0]["extensions"]["code"])


@dataclass(frozen=True, slots=True)
class Engine:
    schema: strawberry.Schema
    documents: Documents
    describe: Describe = no_description
    # For reading documents, coercing many values, planning and introspection. Known requesters have
    # a separate one, so that unknown ones do not delay them.
    slow_work: DutyCycle = field(default_factory=DutyCycle)
    slow_work_of_known: DutyCycle = field(default_factory=DutyCycle)

    async def prepare(
        self,
        text: str,
        operation_name: str | None,
        variables: dict[str, Any],
        context: RequestContext,
    ) -> Operation | RequestError:
        """Find the operation in its document.

        Raises:
            Overloaded: the document is new, and too many new ones are waiting.

        """
        document = self.documents.known(text)
        if document is None:
            read = partial(self.documents.read, text)
            document = await self._in_turn(context, text, read)
        if isinstance(document, RefusedDocument):
            return RequestError(document.errors)
        executable = document.operation(operation_name)
        if executable is None:
            return RequestError(
                [coded(_no_operation(operation_name), Code.OPERATION_RESOLUTION_FAILURE)]
            )
        if executable.may_be_too_much:
            excess = document.measured.check_variables(executable.name, variables)
            if excess is not None:
                return RequestError([excess_error(excess)])
        return Operation(document, executable, variables)

    async def run(self, operation: Operation, context: RequestContext) -> Answer | RequestError:
        """Execute. Every error is masked here, after execution, wherever it was raised."""
        executable = operation.executable
        variables = operation.variables
        if executable.introspects or (variables and _has_many_values(variables)):
            slow = partial(self._start, operation, context)
            started = await self._in_turn(context, object(), slow)
            return await self._finish(context, started)
        variant = executable.variant(variables)
        if variant is None:
            return await self._finish(context, self._start(operation, context))
        if variant.is_due:
            self._plan(operation, variant)
        outcomes: Outcomes = {}
        if variant.plan is not None:
            try:
                return {"data": await variant.plan.run(context, variables, outcomes)}
            except Exception as reason:  # noqa: BLE001 - the stock executor reports it
                # The message of the error may quote what the client sent.
                log.debug("A plan left the answer to the stock executor: %s", type(reason).__name__)
        answer = await self._finish(context, self._start(operation, context, outcomes))
        if isinstance(answer, dict) and "errors" not in answer:
            variant.note_answer()
        return answer

    async def _in_turn(self, context: RequestContext, key: Hashable, work: Callable[[], T]) -> T:
        requester = context.requester
        turns = self.slow_work_of_known if requester.is_known else self.slow_work
        return await turns.run(requester.key, key, work)

    def _plan(self, operation: Operation, variant: Variant) -> None:
        """Plan an operation, now or soon. The stock executor runs it until it has a plan."""
        plan = partial(self.documents.plan, operation.document, operation.executable, variant)
        self.slow_work.start(PLANNING, id(variant), plan)

    def _start(
        self, operation: Operation, context: RequestContext, outcomes: Outcomes | None = None
    ) -> Any:
        """Start the execution; returns the result, an awaitable of it, or the exception raised.

        Root fields that have an outcome are completed, not resolved again.
        """
        try:
            return execute(
                self.core,
                operation.document.node,
                context_value=context,
                variable_values=operation.variables,
                operation_name=operation.executable.name,
                middleware=[replaying(outcomes)] if outcomes else None,
                executor_class=_executor_class(self.schema),
                max_coercion_errors=5,
                hide_suggestions=True,
            )
        except Exception as error:  # noqa: BLE001 - `_finish` masks it
            return error

    async def _finish(self, context: RequestContext, started: Any) -> Answer | RequestError:
        try:
            result = await _result_of(started)
        except Exception as error:  # noqa: BLE001 - clients must not see it
            masked = internal_error(error, context.request_id, self.describe)
            return {"errors": [masked], "data": None}
        if not result.errors:
            return {"data": result.data}
        if all(error.path is None for error in result.errors):
            # The variables are invalid: no field was executed.
            texts = self.documents.texts
            return RequestError(request_errors(result.errors, Code.BAD_USER_INPUT, texts))
        return {
            "errors": self._field_errors(result.errors, context),
            "data": result.data,
        }

    def _field_errors(
        self, errors: Iterable[GraphQLError], context: RequestContext
    ) -> list[dict[str, Any]]:
        return field_errors(errors, context.request_id, self.documents.texts, self.describe)

    @property
    def core(self) -> GraphQLSchema:
        return core_schema(self.schema)


async def _result_of(started: Any) -> ExecutionResult:
    if isinstance(started, Exception):
        raise started
    return await started if isawaitable(started) else started


def _has_many_values(variables: dict[str, Any]) -> bool:
    todo: list[Any] = [variables]
    number = 0
    while todo and number <= MANY_VALUES:
        value = todo.pop()
        if isinstance(value, dict):
            todo.extend(cast("dict[str, Any]", value).values())
        elif isinstance(value, list):
            todo.extend(cast("list[Any]", value))
        number += 1
    return number > MANY_VALUES


def core_schema(schema: strawberry.Schema) -> GraphQLSchema:
    """Returns the graphql-core schema of a Strawberry schema; there is no public attribute."""
    return schema._schema  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


def _executor_class(schema: strawberry.Schema) -> Any:
    return cast("Any", schema).execution_context_class


def _no_operation(name: str | None) -> str:
    if name is None:
        return "The document has several operations: `operationName` must say which one."
    return "The document has no operation of that name."
