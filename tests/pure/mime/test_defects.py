"""The names of defects are documented, and only documented ones are given."""

import re
from pathlib import Path

from mailcore.mime import defects


def test_every_name_that_the_code_gives_has_a_meaning_and_the_reverse() -> None:
    package = Path(defects.__file__).parent
    sources = "".join(path.read_text(encoding="utf-8") for path in package.glob("*.py"))
    assert set(re.findall(r'defects\.add\("([^"]+)"\)', sources)) == set(defects.MEANINGS)


def test_the_documented_defects_are_those_of_the_code() -> None:
    page = (Path(__file__).parents[3] / "docs/mail.md").read_text(encoding="utf-8")
    section = page.partition("## Defects\n")[2].partition("\n## ")[0]
    assert dict(re.findall(r"^\| `([^`]+)` \| (.+) \|$", section, re.MULTILINE)) == defects.MEANINGS


def test_names_are_kept_once_in_order() -> None:
    found = defects.Defects()
    for name in ("nul", "bad-date", "nul"):
        found.add(name)
    assert list(found) == ["nul", "bad-date"]
