"""Runs one operation of a known document and gives the answer, ready to be written as JSON."""

import logging
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any, NamedTuple, cast

import strawberry
from graphql import (
    ExecutionResult,
    GraphQLError,
    GraphQLSchema,
    execute,  # pyright: ignore[reportUnknownVariableType] - its middleware is not typed
)
from graphql.language import FieldNode

from app.errors import Code, Unavailable
from app.graphql.context import Context
from app.graphql.documents import Document, Documents, Executable, RefusedDocument, excess_error
from app.graphql.errors import coded, field_errors, internal_error, request_errors
from app.graphql.plans.plan import Plan

QUERY = "Query"

log = logging.getLogger(__name__)

Answer = dict[str, Any]


class Operation(NamedTuple):
    """What was asked for, found and fit to run."""

    document: Document
    executable: Executable
    variables: dict[str, Any]


class RequestError(NamedTuple):
    """Nothing was executed."""

    errors: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Engine:
    schema: strawberry.Schema
    documents: Documents

    def prepare(
        self, text: str, operation_name: str | None, variables: dict[str, Any]
    ) -> Operation | RequestError:
        document = self.documents.read(text)
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

    async def run(self, operation: Operation, context: Context) -> Answer | RequestError:
        """Execute. Every error is masked here, after execution, wherever it was raised."""
        plan = operation.executable.plan
        if plan is not None:
            try:
                return {"data": await plan.run(context, operation.variables)}
            except Unavailable as outage:
                # Twice the load is not what a database that does not answer needs.
                return _unanswered(plan, outage, context.client.request_id)
            except Exception as reason:
                log.debug("A plan left the query to the stock executor", exc_info=reason)
        return await self._run(operation, context)

    async def _run(self, operation: Operation, context: Context) -> Answer | RequestError:
        try:
            result = await self._execute(operation, context)
        except Exception as error:  # noqa: BLE001 - the last door: nothing of it may reach a client
            return {"errors": [internal_error(error, context.client.request_id)], "data": None}
        if not result.errors:
            return {"data": result.data}
        if all(error.path is None for error in result.errors):
            # The variables do not fit: no field was reached.
            return RequestError(request_errors(result.errors, Code.BAD_USER_INPUT))
        return {
            "errors": field_errors(result.errors, context.client.request_id),
            "data": result.data,
        }

    async def _execute(self, operation: Operation, context: Context) -> ExecutionResult:
        result = execute(
            self.core,
            operation.document.node,
            context_value=context,
            variable_values=operation.variables,
            operation_name=operation.executable.name,
            executor_class=_executor_class(self.schema),
            max_coercion_errors=5,
            hide_suggestions=True,
        )
        return await result if isawaitable(result) else result

    @property
    def core(self) -> GraphQLSchema:
        return core_schema(self.schema)


def _unanswered(plan: Plan, outage: Unavailable, request_id: str | None) -> Answer:
    """Say it of each root field, as the stock executor does: any of them may be null."""
    asked = {key: nodes for key, nodes in plan.root_fields.items() if not _is_typename(nodes)}
    errors = [
        GraphQLError(outage.message, nodes, path=[key], original_error=outage)
        for key, nodes in asked.items()
    ]
    data = {key: None if key in asked else QUERY for key in plan.root_fields}
    return {"errors": field_errors(errors, request_id), "data": data}


def _is_typename(nodes: list[FieldNode]) -> bool:
    return nodes[0].name.value == "__typename"


def core_schema(schema: strawberry.Schema) -> GraphQLSchema:
    """Give the graphql-core schema within; Strawberry has no public name for it."""
    return schema._schema  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


def _executor_class(schema: strawberry.Schema) -> Any:
    return cast("Any", schema).execution_context_class


def _no_operation(name: str | None) -> str:
    if name is None:
        return "The document has several operations: `operationName` must say which one."
    return "The document has no operation of that name."
