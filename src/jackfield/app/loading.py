"""POST /models/load and /models/unload, GET /models/loaded: which models are in memory, and getting them there and away again.

Paths outside any dialect. What is done is gateway/stock.py's; here it is put together and spoken to in JSON.
"""

from typing import TYPE_CHECKING, Any

import msgspec

from jackfield.core.errors import BadRequest
from jackfield.dialects.openai_chat import parse_fields
from jackfield.gateway.client import Client
from jackfield.gateway.door import Methods
from jackfield.gateway.fields import model_of, shown
from jackfield.gateway.stock import Held, Stock
from jackfield.slots.graphics import FoundDevice, find_devices

if TYPE_CHECKING:
    from jackfield.app.compose import House

JSON = (b"content-type", b"application/json")
_text = msgspec.json.Decoder(str | None).decode


def stock_of(house: "House") -> Stock:
    """The models that the house's slots hold."""

    def devices() -> tuple[FoundDevice, ...] | None:
        looked = house.discovery.devices if house.discovery is not None else ()
        return looked or (find_devices() if house.settings.discovery.hardware else None)

    return Stock(house.pipeline.resolve.standings, house.registry, house.catalogue, devices, house.secrets.known_values)


class Loading:
    def __init__(self, stock: Stock) -> None:
        self._stock = stock

    @property
    def routes(self) -> dict[str, Methods]:
        return {
            "/models/load": {"POST": self.load},
            "/models/unload": {"POST": self.unload},
            "/models/loaded": {"GET": self.loaded},
        }

    async def load(self, client: Client) -> None:
        fields = parse_fields(await client.body())
        held = await self._stock.load(model_of(fields), _hardware(fields))
        await _reply(client, _told(held, loaded=True))

    async def unload(self, client: Client) -> None:
        held = await self._stock.unload(model_of(parse_fields(await client.body())))
        await _reply(client, _told(held, loaded=False))

    async def loaded(self, client: Client) -> None:
        """Sources that cannot tell are not in it."""
        data = [
            {"slot": each.slot, "provider": each.provider, **msgspec.to_builtins(each.model)}
            for each in await self._stock.loaded()
        ]
        await _reply(client, {"object": "list", "data": data})


def _hardware(fields: dict[str, msgspec.Raw]) -> str | None:
    """Raises BadRequest."""
    raw = fields.get("hardware", msgspec.Raw(b"null"))
    try:
        hardware: str | None = _text(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise BadRequest(f'hardware must be a string such as "cpu", got {shown(raw)}', param="hardware") from None
    return hardware


def _told(held: Held, *, loaded: bool) -> dict[str, Any]:
    said = {"success": True, "model": held.model, "slot": held.slot, "provider": held.provider, "loaded": loaded}
    return said if held.hardware is None else {**said, "hardware": held.hardware}


async def _reply(client: Client, value: Any) -> None:
    await client.reply(200, [JSON], msgspec.json.encode(value))
