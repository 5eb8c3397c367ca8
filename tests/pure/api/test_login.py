"""Where signing in leads."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.admin.login import local_path


@pytest.mark.parametrize("target", ["/admin/messages/?q=a%20b&from=x", "/api/docs/#sync", "/", "/admin//x"])
def test_a_path_of_ours_is_kept(target: str) -> None:
    assert local_path(target) == target


@pytest.mark.parametrize(
    "target",
    [
        "",
        "admin/",
        "//evil.example/",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        "https://evil.example/",
        "javascript:alert(1)",
        " /admin/",
        "/x\r\nSet-Cookie: a=b",
        "/admin/login/?next=/admin/login/",
        "/admin/login",
    ],
)
def test_anything_else_leads_to_the_first_page(target: str) -> None:
    assert local_path(target) == "/admin/"


@given(st.text(alphabet=st.sampled_from("/\\:@?#.\t\n ahtps[]%2f"), max_size=20))
def test_nothing_leads_to_another_host(target: str) -> None:
    here = "http://mail.example/admin/login/"

    # As browsers read it (WHATWG URL): backslashes are slashes, tabs and line ends are nothing.
    found = local_path(target)
    read = found.replace("\\", "/").replace("\t", "").replace("\n", "")
    assert urlsplit(urljoin(here, read)).netloc == "mail.example"
