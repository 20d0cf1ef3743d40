"""Lists that come in pages, and bodies as checked types."""

import pytest

from jackfield.core.errors import Malformed
from jackfield.providers.http_json import MAX_PAGES, all_pages, decoded, path_part


async def test_pages_are_asked_until_there_is_none() -> None:
    pages = {"list?size=2": ([1, 2], "a/b"), "list?size=2&after=a%2Fb": ([3], None)}
    asked: list[str] = []

    async def page(query: str) -> tuple[list[int], str | None]:
        asked.append(query)
        return pages[query]

    assert await all_pages(page, "list?size=2", "after") == [1, 2, 3]
    assert asked == list(pages)


async def test_a_list_without_an_end_is_left() -> None:
    async def page(query: str) -> tuple[list[str], str]:
        return [query], "again"

    assert len(await all_pages(page, "list?size=1", "after")) == MAX_PAGES


@pytest.mark.parametrize("body", [b"", b"\xff", b"[1]", b"[" * 3000])
def test_what_is_not_what_it_should_be_is_named(body: bytes) -> None:
    with pytest.raises(Malformed, match="the count is not what it should be"):
        decoded(body, dict[str, int], "the count")


def test_an_id_cannot_leave_its_step() -> None:
    assert path_part("../a b?c") == "..%2Fa%20b%3Fc"
