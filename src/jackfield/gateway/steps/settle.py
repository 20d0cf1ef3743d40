"""What the answer cost, in millisatoshi, from its usage and the price table. Unpriced stays None: it is not free."""

from jackfield.core.usage import Money
from jackfield.gateway.call import Call
from jackfield.money.prices import PriceTable

FREE = Money(0)


class Settle:
    def __init__(self, prices: PriceTable) -> None:
        self._prices = prices

    def __call__(self, call: Call) -> None:
        binding = call.binding
        if binding is None:
            return
        if binding.is_free:
            call.cost = _asked_for(call) or FREE
        elif call.usage is not None:
            model = call.model or binding.model or ""
            call.cost = self._prices.cost(binding.info.id, model, call.usage)


def _asked_for(call: Call) -> Money | None:
    """What a source inside this process asks for an answer: a person has a price of their own."""
    binding = call.binding
    if call.usage is None or binding is None or binding.info.hosts:
        return None
    asked = call.usage.extra.get("cost_msat")
    return Money(asked) if isinstance(asked, int) and asked > 0 else None
