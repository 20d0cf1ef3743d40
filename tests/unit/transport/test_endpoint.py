import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jackfield.core.errors import BadRequest
from jackfield.transport.endpoint import OUR_HEADERS, Endpoint, encode_headers, split_target


@pytest.mark.parametrize(
    ("url", "shown", "base", "authority"),
    [
        ("http://127.0.0.1:11434/v1", "http://127.0.0.1:11434", "/v1", "127.0.0.1:11434"),
        ("HTTPS://Api.Example.com/v1/", "https://api.example.com:443", "/v1", "api.example.com"),
        ("http://[::1]:8080", "http://[::1]:8080", "", "[::1]:8080"),
        ("http://localhost", "http://localhost:80", "", "localhost"),
        ("https://host_with_underscore:8443/a/b", "https://host_with_underscore:8443", "/a/b", "host_with_underscore:8443"),
        ("https://bücher.example", "https://xn--bcher-kva.example:443", "", "xn--bcher-kva.example"),
    ],
)
def test_urls_are_taken_apart(url: str, shown: str, base: str, authority: str) -> None:
    endpoint = Endpoint.parse(url)
    assert (str(endpoint), endpoint.base_path, endpoint.authority) == (shown, base, authority)


@pytest.mark.parametrize(
    "url",
    [
        "", "localhost:11434", "ftp://x", "http://", "http:///v1", "http://a b", "http://a\r\nx: y", "http://host:0",
        "http://host:99999", "http://host:port", "http://user:hunter22@host", "http://key@host", "http://host/v1?key=1",
        "http://host/v1#x", "http://ho\u2028st", "http://[::1", "http://host/\u00e9", "unix:", "unix://run/x", "unix:///a\0b",
        "unix:///" + "x" * 200, "http://a..%zz",
    ],
)  # fmt: skip
def test_nonsense_is_refused_as_the_base_url(url: str) -> None:
    with pytest.raises(BadRequest) as caught:
        Endpoint.parse(url)
    assert caught.value.param == "base_url"
    assert "hunter22" not in str(caught.value)


def test_a_forgotten_scheme_is_proposed() -> None:
    with pytest.raises(BadRequest, match="did you mean http://localhost:11434"):
        Endpoint.parse("localhost:11434")


def test_unix_sockets_have_a_path_and_maybe_a_base() -> None:
    plain = Endpoint.parse("unix:///run/llama.sock")
    based = Endpoint.parse("unix:///run/llama.sock:/v1")
    assert (plain.unix_path, plain.base_path, str(plain)) == ("/run/llama.sock", "", "unix:/run/llama.sock")
    assert (based.unix_path, based.base_path, based.authority) == ("/run/llama.sock", "/v1", "localhost")
    assert plain.is_local


def test_endpoints_are_values() -> None:
    one, two = Endpoint.parse("http://localhost:1/v1"), Endpoint.parse("http://LOCALHOST:1/v1/")
    assert one == two
    assert len({one, two}) == 1
    assert one.pool_key == Endpoint.parse("http://localhost:1/other").pool_key
    assert one.pool_key != Endpoint.parse("http://localhost:1", verify_tls=False).pool_key


def test_proxy_credentials_never_show() -> None:
    endpoint = Endpoint.parse("http://localhost:1", proxy="http://ann:hunter22@127.0.0.1:3128")
    assert endpoint.proxy is not None
    assert endpoint.proxy.authorization == "Basic YW5uOmh1bnRlcjIy"
    for text in (repr(endpoint), str(endpoint), repr(endpoint.proxy), str(endpoint.proxy), repr(endpoint.head("GET", "", {}))):
        assert "hunter22" not in text
        assert "YW5u" not in text


@pytest.mark.parametrize("proxy", ["127.0.0.1:3128", "socks5://127.0.0.1", "http://p/path", "http://p:0", "http://a:sec ret@p"])
def test_a_proxy_is_a_scheme_a_host_and_a_port(proxy: str) -> None:
    with pytest.raises(BadRequest) as caught:
        Endpoint.parse("http://localhost:1", proxy=proxy)
    assert caught.value.param == "proxy"
    assert "sec ret" not in str(caught.value)


def test_a_unix_socket_takes_no_proxy() -> None:
    with pytest.raises(BadRequest, match="proxy"):
        Endpoint.parse("unix:///run/x.sock", proxy="http://127.0.0.1:3128")


def test_the_head_is_whole_but_for_the_length() -> None:
    head = Endpoint.parse("http://localhost:8080/v1/").head(
        "post", "/chat/completions", {"Authorization": "Bearer sk-12345678"}
    )
    assert head.data == (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost:8080\r\naccept-encoding: identity\r\n"
        b"user-agent: jackfield\r\nAuthorization: Bearer sk-12345678\r\n"
    )
    assert head.takes_body
    assert "sk-12345678" not in repr(head)


def test_a_plain_proxy_is_told_the_whole_url_and_who_asks() -> None:
    endpoint = Endpoint.parse("http://api.example.com/v1", proxy="http://ann:pw@127.0.0.1:3128")
    data = endpoint.head("GET", "models", {}).data
    assert data.startswith(b"GET http://api.example.com/v1/models HTTP/1.1\r\nhost: api.example.com\r\n")
    assert b"proxy-authorization: Basic YW5uOnB3\r\n" in data


def test_a_tunnelled_target_hears_nothing_of_the_proxy() -> None:
    data = Endpoint.parse("https://api.example.com", proxy="http://ann:pw@127.0.0.1:3128").head("GET", "models", {}).data
    assert data.startswith(b"GET /models HTTP/1.1\r\n")
    assert b"proxy" not in data


@pytest.mark.parametrize("path", ["a b", "a\r\nhost: evil", "a\n", "é", "a\x00", 'a"b', "a\\b", "a#b"])
def test_paths_cannot_smuggle(path: str) -> None:
    with pytest.raises(BadRequest):
        Endpoint.parse("http://localhost").head("GET", path, {})


@pytest.mark.parametrize("method", ["", "GE T", "GET\r\n", "CONNECT", "é"])
def test_methods_are_one_word(method: str) -> None:
    with pytest.raises(BadRequest):
        Endpoint.parse("http://localhost").head(method, "", {})


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\nb", "é", *sorted(OUR_HEADERS), "Content-Length", "Host"])
def test_header_names_are_tokens_and_not_ours(name: str) -> None:
    with pytest.raises(BadRequest):
        encode_headers({name: "x"})


def test_a_key_with_its_line_end_is_explained_and_not_shown() -> None:
    with pytest.raises(BadRequest, match="pasted with its line end") as caught:
        encode_headers({"authorization": "Bearer sk-12345678\n"})
    assert "sk-12345678" not in str(caught.value)


@given(st.dictionaries(st.text(max_size=12), st.text(max_size=24), max_size=4))
def test_whatever_is_encoded_stays_one_line_per_header(headers: dict[str, str]) -> None:
    try:
        lines = encode_headers(headers)
    except BadRequest:
        return
    assert lines.count(b"\r\n") == len(headers)
    assert lines.count(b"\n") == lines.count(b"\r") == len(headers)
    assert b"\0" not in lines


@given(st.text(alphabet=string.printable + "é\0", max_size=40))
def test_parse_gives_an_endpoint_or_a_bad_request(tail: str) -> None:
    for url in (tail, f"http://{tail}", f"https://h/{tail}", f"unix://{tail}"):
        try:
            endpoint = Endpoint.parse(url)
        except BadRequest:
            continue
        data = endpoint.head("GET", "x", {}).data
        assert data.count(b"\n") == data.count(b"\r\n") == 4


def test_a_whole_url_is_split_into_where_and_what() -> None:
    endpoint, target = split_target("https://prices.example/v1/all?page=2")
    assert (str(endpoint), target) == ("https://prices.example:443", "/v1/all?page=2")
    for url in ("https://a:b@prices.example/", "prices.example", "https://prices.example/a b"):
        with pytest.raises(BadRequest):
            split_target(url)
