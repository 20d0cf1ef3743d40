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
            call.cost = FREE
        elif call.usage is not None:
            model = call.model or binding.model or ""
            call.cost = self._prices.cost(binding.info.id, model, call.usage)
