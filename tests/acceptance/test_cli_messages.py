"""`mozzart messages`: what is stored is found, shown and saved; what a stranger wrote is shown and never obeyed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest

from tests.support.dovecot import Dovecot
from tests.support.mail import make_mail
from tests.support.processes import Mozzart

NAME = "Größe ../../../etc/pass\u202ewd.pdf"


def letter() -> bytes:
    message = EmailMessage()
    message["From"] = "Jürgen Groß <juergen@example.net>"
    message["To"] = "anna@example.org"
    message["Subject"] = "Annual \x1b[31mreport\x07 of the board"
    message["Message-ID"] = "<report@example.net>"
    message.set_content("Please read\tthis.\n\x1b]0;owned\x07 Budget: 7 [bold]markup[/]\n")
    message.add_attachment(b"one", maintype="application", subtype="pdf", filename=NAME)
    message.add_attachment(b"two", maintype="application", subtype="pdf", filename=NAME)
    return message.as_bytes().replace(b"\n", b"\r\n")


@pytest.fixture(scope="module")
def full(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mozzart]:
    """A database with 31 messages; nothing runs any more."""
    server = Dovecot()
    mozzart = Mozzart(tmp_path_factory.mktemp("messages"), {"SYNC_INTERVAL": "3600"})
    try:
        server.start()
        server.append_many([make_mail(number).raw for number in range(30)])
        server.append(letter(), flags="\\Seen \\Flagged $Forwarded")
        mozzart.use(server).start().wait_ready().wait_stored(31)
        mozzart.stop()
        yield mozzart
    finally:
        mozzart.stop()
        server.close()


def found(mozzart: Mozzart, *arguments: str) -> list[dict[str, object]]:
    ran = mozzart.run("messages", "search", "--json", *arguments)
    assert ran.returncode == (0 if ran.stdout else 1), ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()]


def test_search_lists_the_newest_first_up_to_the_limit(full: Mozzart) -> None:
    assert len(found(full)) == 20
    everything = found(full, "--limit", "1000")
    assert len(everything) == 31
    times = [str(one["received_at"]) for one in everything]
    assert times == sorted(times, reverse=True)

    ran = full.run("messages", "search", "--limit", "5")
    assert ran.returncode == 0
    assert len([line for line in ran.stdout.splitlines() if "Jürgen M" in line or "Groß" in line]) == 5
    assert "5 messages, there are more: --limit 50" in ran.stdout


def test_search_takes_words_phrases_and_filters(full: Mozzart) -> None:
    assert len(found(full, "annual", "BUDGET")) == 1
    assert len(found(full, "budget: 7")) == 1, "one argument: side by side"
    assert found(full, "board annual") == []
    assert found(full, "annual", "-budget") == []
    assert len(found(full, "annual", "-xylophone9", "subject:ann", "from:Groß", "has:attachment")) == 1
    assert "--acount" in full.run("messages", "search", "annual", "--acount", "default").stderr
    assert len(found(full, "ann*", "--from", "groß")) == 1
    assert len(found(full, "--attachments")) == 1
    assert len(found(full, "--no-attachments", "--limit", "99")) == 30
    assert found(full, "--mailbox", "Nirgends") == []
    assert found(full, "--expunged") == []
    assert found(full, "--until", "1d") == []
    assert len(found(full, "--since", "1d", "--limit", "99")) == 31
    for strange in ('"', "AND", "a:b", "*", "'; --", "(", "NEAR("):
        assert full.run("messages", "search", "--", strange).stderr == ""


def test_flags_are_filters_and_are_seen_in_the_list_and_on_the_message(full: Mozzart) -> None:
    (report,) = found(full, "--seen")
    assert report["flags"] == ["$Forwarded", "\\Flagged", "\\Seen"]
    assert found(full, "--flagged") == [report]
    assert len(found(full, "--unseen", "--unflagged", "--unanswered", "--limit", "99")) == 30
    assert found(full, "--answered") == []
    lines = full.run("messages", "search", "--limit", "99").stdout.splitlines()
    assert sum("●" in line for line in lines) == 30
    assert [("●" in line, "★" in line) for line in lines if "Groß" in line] == [(False, True)]
    shown = full.run("messages", "show", str(report["id"])).stdout
    assert "read, $Forwarded, flagged" in shown


def test_nothing_found_is_said_and_has_its_code(full: Mozzart) -> None:
    ran = full.run("messages", "search", "xylophone9")

    assert (ran.returncode, ran.stdout) == (1, "No message matches.\n")


def the_report(mozzart: Mozzart) -> str:
    (one,) = found(mozzart, "annual")
    return str(one["id"])


def test_show_tells_everything_and_no_control_character_reaches_the_terminal(full: Mozzart) -> None:
    shown = full.run("messages", "show", the_report(full))

    assert shown.returncode == 0
    for words in (
        "Jürgen Groß <juergen@example.net>",
        "anna@example.org",
        "default/INBOX, UIDVALIDITY ",
        "Please read\tthis.",
        "Budget: 7 [bold]markup[/]",
        "part 2, application/pdf, 3 B",
        "stored +",
    ):
        assert words in shown.stdout, words
    listed = full.run("messages", "search", "annual").stdout
    for text in (shown.stdout, listed):
        assert not set(text) & {chr(code) for code in (*range(9), *range(11, 32), 127, 0x9B)}


def test_show_gives_parts_and_json(full: Mozzart) -> None:
    number = the_report(full)

    assert full.run("messages", "show", number, "--part", "text").stdout.startswith("Please read\tthis.\n")
    assert "Message-ID: <report@example.net>\n" in full.run("messages", "show", number, "--part", "headers").stdout
    assert full.run("messages", "show", number, "--part", "html").stdout == ""
    facts = json.loads(full.run("messages", "show", number, "--json").stdout)
    assert (facts["message_id"], len(facts["attachments"])) == ("<report@example.net>", 2)


def test_save_writes_each_attachment_under_a_safe_name_and_overwrites_nothing(full: Mozzart, tmp_path: Path) -> None:
    number, place = the_report(full), tmp_path / "new" / "place"

    first = full.run("messages", "save", number, "--to", str(place))
    second = full.run("messages", "save", number, "--to", str(place), "--part", "3")

    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    saved = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert len(saved) == 3
    assert all(name.startswith("new/place/Größe") and name.endswith(".pdf") for name in saved)
    assert sorted(path.read_bytes() for path in place.iterdir()) == [b"one", b"two", b"two"]
    assert len(first.stdout.splitlines()) == 2


def test_what_cannot_be_shown_or_saved_is_a_sentence(full: Mozzart, tmp_path: Path) -> None:
    number = the_report(full)
    (tmp_path / "file").touch()
    for arguments, words in (
        (("show", "999999"), "no message 999999"),
        (("save", number, "--part", "77"), "no attachment 77; it has: 2, 3"),
        (("save", number, "--to", str(tmp_path / "file" / "below")), "Not a directory"),
    ):
        ran = full.run("messages", *arguments)
        assert (ran.returncode, ran.stdout) == (1, ""), arguments
        assert words in ran.stderr
        assert len(ran.stderr.splitlines()) == 1


def test_a_file_that_is_gone_is_named(full: Mozzart, tmp_path: Path) -> None:
    (row,) = full.rows(
        "SELECT file FROM mailbox_app_mailattachment WHERE sha256 = ?", hashlib.sha256(b"one").hexdigest()
    )
    path = full.media / row["file"]
    path.rename(tmp_path / "away")
    try:
        ran = full.run("messages", "save", the_report(full), "--to", str(tmp_path / "out"))
    finally:
        (tmp_path / "away").rename(path)

    assert ran.returncode == 1
    assert Path(row["file"]).name in ran.stderr
    assert "mozzart verify" in ran.stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_mail_of_html_alone_is_shown_as_text(full: Mozzart) -> None:
    html = "<style>p {}</style><p>Hello <b>Anna</b>,</p><p>bye&nbsp;now</p><script>x</script>"
    full.execute(f"UPDATE mailbox_app_mailmessage SET body_text = '', body_html = '{html}' WHERE uid = 1")
    (one,) = [one for one in found(full, "--limit", "99") if one["uid"] == 1]
    shown = full.run("messages", "show", str(one["id"]))
    assert shown.returncode == 0
    assert shown.stdout.endswith("Hello Anna,\n\nbye now\n")
    assert "--part html" in shown.stdout
