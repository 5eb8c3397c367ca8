"""HTML as text."""

from __future__ import annotations

import pytest

from mailcore.html.plaintext import readable


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>a  <b>b</b>\n c</p><p>d<br>e</p>", "a b c\n\nd\ne"),
        ("<head><title>no</title></head><style>p{}</style>x<script>no</script>", "x"),
        ("<table><tr><td>1</td><td>2</td></tr><tr><th>3<td>4</table>", "1 2\n\n3 4"),
        ("1 &lt; 2 &amp;amp; &#x41;", "1 < 2 &amp; A"),
        ("un<b>bro</b>ken", "unbroken"),
        ("a < b", "a < b"),
        ("a<p class='cut", "a"),
        ("<style>never ended", ""),
        ("", ""),
    ],
)
def test_it_reads_as_a_page_would(html: str, text: str) -> None:
    assert readable(html) == text
