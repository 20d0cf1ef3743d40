"""AIRouter: asks whoever the rules name for a kind of work. Selects, then calls one handle; retries nothing."""

from collections.abc import Mapping
from typing import Any

import msgspec

from jackfield.core.errors import NotSupported
from jackfield.core.profiles import CapabilityRequirement
from jackfield.core.requests import ChatRequest
from jackfield.routing.explain import Selection
from jackfield.routing.select import ProviderSelector
from jackfield.routing.tasks import ROLES, TaskRequest, task_request
from jackfield.routing.use_cases import UseCases
from jackfield.slots.adapter import InferenceProviderAdapter
from jackfield.slots.completion import Completion


class AIRouter:
    """`use_cases` are the rules of what is asked for what; None takes those that ship with jackfield."""

    def __init__(self, selector: ProviderSelector, use_cases: UseCases | None = None) -> None:
        self._selector = selector
        self.use_cases = use_cases or UseCases.load()

    def pick(self, use_case: str | None = None, **rules: Any) -> tuple[InferenceProviderAdapter, str | None]:
        """The handle to ask and the model to ask it for. Raises BadRequest (use_case), NoCapableProvider with every reason."""
        return self._selector.pick_with_model(**self._ruled(use_case, rules))

    def select(self, use_case: str | None = None, **rules: Any) -> Selection[Any]:
        """The decision that `pick` would act on."""
        return self._selector.select(**self._ruled(use_case, rules))

    async def route_request(self, prompt: str, use_case: str | None = None, **options: Any) -> str:
        """The answer's text. `options` are those of `forward`. Raises as `pick`, and what the source raises."""
        adapter, model = self.pick(use_case)
        return await adapter.forward(prompt, **({} if model is None else {"model": model}), **options)

    async def route(
        self,
        task: str,
        inputs: Any,
        *,
        model: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        use_case: str | None = None,
    ) -> Completion:
        """A text-generation task answered. Raises BadRequest, NoCapableProvider, NotSupported for any other task."""
        request = task_request(task, inputs, model=model, parameters=parameters)
        if not isinstance(request, ChatRequest):
            raise NotSupported(f"{task} has no text for an answer: select a backend for it and ask that", param="task")
        adapter, wanted = self.pick(use_case, requirement=CapabilityRequirement(model=model), role=role_of(request))
        return await adapter.complete(request if wanted is None else with_model(request, wanted))

    def _ruled(self, use_case: str | None, rules: dict[str, Any]) -> dict[str, Any]:
        return rules if use_case is None else {"targets": self.use_cases.targets(use_case), **rules}


def role_of(request: TaskRequest) -> str:
    """The role of the slots that answer such a request."""
    return ROLES[type(request)]


def with_model(request: ChatRequest, model: str) -> ChatRequest:
    return msgspec.structs.replace(request, model=model)
