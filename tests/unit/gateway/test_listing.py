"""Pages of lists, and the one model that a path names."""

import pytest

from jackfield.core.errors import BadRequest, ModelNotFound
from jackfield.core.ids import SlotNumber
from jackfield.gateway.listing import PARAMETERS_MAX, listed, page, parameters
from jackfield.slots.catalogue import CatalogueEntry

ITEMS = [{"id": name} for name in "abcde"]


def ids(**query: str) -> list[str]:
    return [item["id"] for item in page(ITEMS, query)["data"]]


def test_the_newest_comes_first_unless_the_query_says_otherwise() -> None:
    assert ids() == ["e", "d", "c", "b", "a"]
    assert ids(order="asc", limit="2") == ["a", "b"]
    assert ids(order="asc", after="b", limit="2") == ["c", "d"]
    assert ids(order="asc", after="a", before="d") == ["b", "c"]


def test_a_page_tells_where_it_ends_and_whether_there_is_more() -> None:
    told = page(ITEMS, {"order": "asc", "limit": "2"})
    assert (told["first_id"], told["last_id"], told["has_more"]) == ("a", "b", True)
    assert page([], {}) == {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}


@pytest.mark.parametrize(
    ("query", "param"),
    [({"limit": "0"}, "limit"), ({"limit": "x"}, "limit"), ({"limit": "9" * 30}, "limit"), ({"order": "up"}, "order")]
    + [({name: "z"}, name) for name in ("after", "before")],
)
def test_what_is_no_page_is_named(query: dict[str, str], param: str) -> None:
    with pytest.raises(BadRequest) as refused:
        page(ITEMS, query)
    assert refused.value.param == param


def test_the_last_of_a_name_counts_and_there_may_not_be_too_many() -> None:
    assert parameters(b"limit=1&limit=2&after=") == {"limit": "2", "after": ""}
    with pytest.raises(BadRequest):
        parameters(b"&".join(b"a=%d" % number for number in range(PARAMETERS_MAX + 1)))


def test_a_model_is_found_by_its_name_or_the_list_is_told() -> None:
    entry = CatalogueEntry("slot-0", SlotNumber(0), "scripted", "m", None)
    assert listed((entry,), "slot-0", "/v1/models") is entry
    with pytest.raises(ModelNotFound, match="GET /v1beta/models lists all") as missed:
        listed((entry,), "nope", "/v1beta/models")
    assert (missed.value.status, missed.value.param) == (404, "model")
