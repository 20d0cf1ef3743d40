import pytest

from jackfield.transport.host import bracketed, is_loopback, normal_host


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("API.Example.com", "api.example.com"),
        ("api.example.com:443", "api.example.com"),
        ("api.example.com.", "api.example.com"),
        (" api.example.com ", "api.example.com"),
        ("[::1]:8080", "::1"),
        ("[::1]", "::1"),
        ("::1", "::1"),
        ("FE80::1", "fe80::1"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("", ""),
    ],
)
def test_hosts_have_one_spelling(text: str, host: str) -> None:
    assert normal_host(text) == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.255.0.9", "::1", "localhost", "a.localhost", "::ffff:127.0.0.1"])
def test_this_machine_is_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        "0.0.0.0", "::", "10.0.0.1", "128.0.0.1", "127.1", "0x7f000001", "2130706433", "::ffff:8.8.8.8", "fe80::1",
        "localhost.example.com", "notlocalhost", "127.0.0.1.example.com", "",
    ],
)  # fmt: skip
def test_everything_else_is_not(host: str) -> None:
    assert not is_loopback(host)


def test_addresses_of_the_sixth_kind_are_bracketed() -> None:
    assert bracketed("::1") == "[::1]"
    assert bracketed("localhost") == "localhost"
