"""One ledger row per call, appended to the journal before the last bytes of the answer leave.

Also feeds the binding's metrics, which is_available, get_metrics and the panel show.
"""

from time import perf_counter

from jackfield.core.usage import Usage
from jackfield.gateway.call import Call
from jackfield.store.journal import Journal
from jackfield.store.ledger import LedgerRow

NO_USAGE = Usage()


class Record:
    def __init__(self, journal: Journal | None) -> None:
        self._journal = journal

    def __call__(self, call: Call) -> None:
        binding = call.binding
        usage = call.usage or NO_USAGE
        latency_s = perf_counter() - call.received_at
        first_token_s = None if call.first_token_at is None else call.first_token_at - call.received_at
        if binding is not None:
            binding.metrics.observe(latency_s, first_token_s, usage, call.cost, call.outcome)
        if self._journal is not None:
            self._journal.append(
                LedgerRow(
                    request_id=call.request_id,
                    attempt=call.attempt,
                    at=call.at,
                    slot=call.slot_number,
                    provider=binding.info.id if binding is not None else "",
                    model=call.model or (binding.model if binding is not None else None) or call.model_text,
                    prompt_tokens=usage.prompt_tokens,
                    completion_tokens=usage.completion_tokens,
                    cached_tokens=usage.cached_tokens,
                    reasoning_tokens=usage.reasoning_tokens,
                    cost_msat=None if call.cost is None else call.cost.msat,
                    latency_s=latency_s,
                    first_token_s=first_token_s,
                    streamed=call.stream,
                    outcome=call.outcome,
                    status=call.status,
                )
            )
