"""The Date field (RFC 5322 §3.3), in the forms that mailers really write. Never raises; linear."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Final

from mailcore.mime.defects import Defects
from mailcore.mime.encodedword import decode_words

_MAX_LENGTH: Final = 200
_FIRST_YEAR: Final = 1900  # RFC 5322 §3.3
_LAST_YEAR: Final = 2200  # what is beyond counts from elsewhere: in Bangkok 2026 is 2569
_MAX_OFFSET: Final = timedelta(hours=14)

# Nearly all there is.
_USUAL: Final = re.compile(
    r"(?:[A-Za-z]{3}, {1,2})?(\d{1,2}) ([A-Za-z]{3}) (\d{4}) (\d\d):(\d\d):(\d\d) (?:([+-])(\d\d)(\d\d)|GMT|UTC?)"
    r"(?: \([^()]*\))?",
    re.ASCII,
)
_MONTHS: Final = {
    name: number for number, name in enumerate("jan feb mar apr may jun jul aug sep oct nov dec".split(), 1)
}

# How the months begin in other languages, and in longer forms of English, without accents: German, French, Spanish,
# Italian, Portuguese, Dutch, Danish, Norwegian, Swedish, Polish, Czech, Hungarian, Romanian, Turkish, Finnish, Russian,
# Ukrainian, Greek. The longest beginning counts.
_MONTH_NAMES: Final = {
    name: number
    for number, names in enumerate(
        (
            "jan ene gen ian sty led oca tam янв січ ιαν",
            "feb fev fevr únor uno lut sub hel фев лют φεβ",
            "mar mrz maer mrt brez bre maa мар бер μαρ",
            "apr avr abr kwi dub nis huh апр кві απρ",
            "may mai maj mei mag kve tou мая маи тра μαι",
            "jun juin giu iun cze cerv cvn haz kes июн чер ιουν",
            "jul juil lug iul lip cervenec cervence cvc tem hei июл лип ιουλ",
            "aug aou ago sie srp agu elo авг сер αυγ",
            "sep set szept wrz zar eyl syy сен вер σεπ",
            "oct okt ott out paz rij eki lok окт жов οκτ",
            "nov noi lis kas marras ноя лис νοε",
            "dec dez des dic gru pro ara jou дек гру δεκ",
        ),
        1,
    )
    for name in names.split()
}
_LONGEST_NAME: Final = max(map(len, _MONTH_NAMES))

# Hours and minutes east of Greenwich. RFC 5322 §4.3 names the first line; of the others only those that mean one thing.
_ZONES: Final = {
    name: timedelta(minutes=minutes)
    for minutes, names in {
        0: "ut gmt utc z wet",
        -300: "est",
        -240: "edt ast",
        -360: "cst",
        -420: "mst pdt",
        -480: "pst akdt",
        -180: "adt brt art",
        -540: "akst",
        -600: "hst",
        60: "cet met mez west",
        120: "cest mest mesz eet sast cat",
        180: "eest msk eat",
        240: "msd",
        330: "ist",
        420: "wib",
        480: "hkt sgt awst",
        540: "jst kst",
        570: "acst",
        600: "aest",
        630: "acdt",
        660: "aedt",
        720: "nzst",
        780: "nzdt",
    }.items()
    for name in names.split()
} | {"cdt": timedelta(hours=-5), "mdt": timedelta(hours=-6)}
del _ZONES["ist"]  # India, Israel or Ireland

_ISO: Final = re.compile(
    r"(?<!\d)(?:(\d{4})-(\d\d)-(\d\d)[t ] ?(\d\d):(\d\d)(?::(\d\d)(?:[.,]\d+)?)?"
    r"|(\d{4})(\d\d)(\d\d)(?:t?(\d\d)(\d\d)(\d\d)?(?:[.,]\d+)?)?)(?![\d:])",
    re.ASCII,
)
_YEAR_FIRST: Final = re.compile(
    r"(?<!\d)(\d{4})\s?[-/.年년]\s?(\d{1,2})\s?[-/.月월]\s?(\d{1,2})(?:\s?[日일])?(?!\d)", re.ASCII
)
_DOTTED: Final = re.compile(r"(?<!\d)(\d{1,2})\.\s?(\d{1,2})\.\s?(\d{4}|\d\d)(?![\d.:])", re.ASCII)
_SLASHED: Final = re.compile(r"(?<!\d)(\d{1,2})([/-])(\d{1,2})\2(\d{4})(?!\d)", re.ASCII)
_TIME: Final = re.compile(
    r"(?<![\d+-])(\d{1,2}) ?[:.h時时시点] ?(\d{1,2})"
    r"(?:(?: ?[:.] ?| ?[分분] ?)(\d{1,2})(?:[.,]\d+)?)?[分분秒초]?(?![\d:])",
    re.ASCII,
)
# Of twelve hours: right behind the time or right before it, for elsewhere `am` is a word (German: on the).
_HALF_BEHIND: Final = re.compile(r" ?(?:([ap])\.? ?m\b\.?)")
_HALF_BEFORE: Final = re.compile(r"(?:(上午|午前|오전)|(下午|午後|오후)) ?\Z")
_OFFSET: Final = re.compile(r"([+\-\u2010-\u2015\u2212]) ?(?:(\d{1,2}):(\d\d)(?::\d\d)?|(\d{1,4}))(?![\d:])", re.ASCII)
_OFFSET_BEFORE_DATE: Final = re.compile(r"(?:(?<= )|(?<=gmt)|(?<=utc))" + _OFFSET.pattern, re.ASCII)
_WORD: Final = re.compile(r"[^\W\d_]+")
_NUMBER: Final = re.compile(r"\d+", re.ASCII)
_SECONDS: Final = re.compile(r"\d{10}|\d{13}", re.ASCII)


def parse_date(value: str, defects: Defects) -> datetime | None:
    """When it was sent, in UTC; None when nobody can tell (defect `bad-date`). What leaves room for doubt, such as a
    time without a zone, which counts as UTC, has the defect `guessed-date`."""
    found = _USUAL.fullmatch(value)
    if found is not None:
        day, name, year, hour, minute, second, sign, hours, minutes = found.groups()
        month = _MONTHS.get(name.lower())
        if month is not None and int(year) <= _LAST_YEAR and (sign is None or (int(minutes) < 60 and int(hours) < 14)):
            ahead = timedelta(hours=int(hours), minutes=int(minutes)) if sign is not None else timedelta()
            moment = _moment(
                int(year), month, int(day), int(hour), int(minute), int(second), -ahead if sign == "-" else ahead
            )
            if moment is not None:
                return moment
    moment = _Reading(value).moment(defects)
    if moment is None:
        defects.add("bad-date")
    return moment


def _moment(year: int, month: int, day: int, hour: int, minute: int, second: int, ahead: timedelta) -> datetime | None:
    if year < _FIRST_YEAR:
        return None
    midnight = (hour, minute, second) == (24, 0, 0)  # the end of that day (ISO 8601)
    leap = second == 60  # a leap second (RFC 5322 §3.3)
    try:
        local = datetime(year, month, day, 0 if midnight else hour, minute, 59 if leap else second, tzinfo=UTC)
        return local - ahead + timedelta(days=midnight)
    except (ValueError, OverflowError):
        return None


class _Reading:
    """What is taken out of the text as it is understood: the date, the time, the zone; then nothing may be left that
    could mean another one."""

    def __init__(self, value: str) -> None:
        text, self._comment = _without_comments(value[:_MAX_LENGTH])
        self._text = text

    def moment(self, defects: Defects) -> datetime | None:
        if "=?" in self._text:
            self._text = decode_words(self._text, defects)
        self._text = _plain(self._text)
        self._doubt = False
        found = self._whole()
        if found is not None and (self._doubt or found.year > _LAST_YEAR):
            defects.add("guessed-date")
        return found

    def _whole(self) -> datetime | None:
        text = self._text.strip(" \"'")
        if _SECONDS.fullmatch(text):  # since 1970, as programs count them
            self._doubt = True
            return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=int(text[:10]))
        if (iso := _ISO.search(text)) is not None:
            digits = [part for part in iso.groups() if part is not None]
            year, month, day, hour, minute, second = [int(part) for part in digits] + [0] * (6 - len(digits))
            if len(digits) > 3:
                hour, rest = _of_day(hour, "", text[iso.end() :])
                return _moment(year, month, day, hour, minute, second, self._zone(rest))
        date = self._numbered(text)
        if date is not None:
            year, month, day, before, after = date
            time = _TIME.search(after) or _TIME.search(before)
            if time is None:
                self._doubt = True
                return _moment(year, month, day, 0, 0, 0, self._zone(after))
            before, after = time.string[: time.start()], time.string[time.end() :]
        else:
            time = _TIME.search(text)
            before, after = (text[: time.start()], text[time.end() :]) if time else (text, "")
            named = self._named(before, after)
            if named is None:
                return None
            year, month, day, after = named
            if time is None:
                self._doubt = True
                return _moment(year, month, day, 0, 0, 0, timedelta())
        hour, rest = _of_day(int(time[1]), before, after)
        return _moment(year, month, day, hour, int(time[2]), int(time[3] or 0), self._zone(rest))

    def _numbered(self, text: str) -> tuple[int, int, int, str, str] | None:
        """(year, month, day, what is before, what is behind) of a date in numbers alone."""
        if (found := _YEAR_FIRST.search(text)) is not None:
            year, month, day = (int(part) for part in found.groups())
        elif (found := _DOTTED.search(text)) is not None and (len(found[3]) == 4 or _month(text) is None):
            # Never month first; beside the name of a month it is the time.
            day, month, year = int(found[1]), int(found[2]), _full_year(found[3])
        elif (found := _SLASHED.search(text)) is not None:
            day, month, year = int(found[1]), int(found[3]), int(found[4])
            if day <= 12 and month != day and month <= 12:
                return None  # either may be the month
            if month > 12:
                day, month = month, day
        else:
            return None
        return year, month, day, text[: found.start()], text[found.end() :]

    def _named(self, head: str, rest: str) -> tuple[int, int, int, str] | None:
        """(year, month, day, what may name the zone) of a date whose month is a word. `head` is what stands before the
        time, `rest` what stands behind it; the year may be there (asctime)."""
        month = _month(head)
        if month is None:
            month = _month(rest)
            if month is None:
                return None
            head, rest = head + " " + rest, ""
            if (offset := _OFFSET_BEFORE_DATE.search(head)) is not None:
                head, rest = head[: offset.start()] + " " + head[offset.end() :], offset[0]
            else:
                rest = " ".join(word for word in _WORD.findall(head) if word in _ZONES)
        if _unknown_behind_month(head):
            self._doubt = True  # perhaps the month, and what was taken for one a weekday
        numbers = _NUMBER.findall(head)
        if len(numbers) == 1:  # asctime: the year comes last
            years = [year for year in _NUMBER.finditer(rest) if len(year[0]) == 4 and not _signed(rest, year.start())]
            if not years:
                return None
            numbers.append(years[-1][0])
            rest = rest[: years[-1].start()] + " " + rest[years[-1].end() :]
        if len(numbers) > 2:
            self._doubt = True
        if len(numbers) < 2:
            return None
        day, year = numbers[0], numbers[1]
        if len(day) > 2 and len(year) <= 2:
            day, year = year, day
        if len(day) > 2 or len(year) > 4:
            return None
        return _full_year(year), month, int(day), rest

    def _zone(self, rest: str) -> timedelta:
        """The distance from UTC that `rest`, or else a comment, names."""
        offsets = [_offset(found) for found in _OFFSET.finditer(rest)]
        names = _WORD.findall(rest)
        known = [_ZONES[name] for name in names if name in _ZONES]
        if offsets:
            ahead = offsets[0]
            if (
                ahead is None
                or any(other != ahead for other in offsets)
                or any(zone and zone != ahead for zone in known)
            ):
                self._doubt = True
            return ahead or timedelta()
        if not known and not names:
            known = [_ZONES[name] for name in _WORD.findall(_plain(self._comment)) if name in _ZONES]
            self._doubt = True
        if not known or len(names) != len(known) or known[0] != known[-1] or _NUMBER.search(rest):
            self._doubt = True
        return known[0] if known else timedelta()


def _of_day(hour: int, before: str, after: str) -> tuple[int, str]:
    """(the hour of 24, what is behind the time) where it is one of 12."""
    behind = _HALF_BEHIND.match(after)
    if behind is not None:
        late, after = behind[1] == "p", after[behind.end() :]
    elif (found := _HALF_BEFORE.search(before)) is not None:
        late = found[2] is not None
    else:
        return hour, after
    return (hour % 12 + 12 * late if hour <= 12 else hour), after


def _offset(found: re.Match[str]) -> timedelta | None:
    """`+0100`, `+01:00`, `+1`, `+530`; None for what is no distance on this earth."""
    if found[4] is None:
        hours, minutes = int(found[2]), int(found[3])
    elif len(found[4]) <= 2:
        hours, minutes = int(found[4]), 0
    else:
        hours, minutes = int(found[4][:-2]), int(found[4][-2:])
    ahead = timedelta(hours=hours, minutes=minutes)
    if minutes > 59 or ahead > _MAX_OFFSET:
        return None
    return ahead if found[1] == "+" else -ahead


def _signed(text: str, position: int) -> bool:
    return text[:position].rstrip().endswith(("+", "-"))


def _full_year(digits: str) -> int:
    """RFC 5322 §4.3."""
    year = int(digits)
    if len(digits) == 2:
        return year + (2000 if year < 50 else 1900)
    return year + 1900 if len(digits) == 3 else year


def _month(text: str) -> int | None:
    for word in reversed(_WORD.findall(text)):  # weekdays come first: `mar` is Tuesday, too
        if (month := _month_of(word)) is not None:
            return month
    return None


def _month_of(word: str) -> int | None:
    for length in range(min(len(word), _LONGEST_NAME), 2, -1):
        month = _MONTH_NAMES.get(word[:length])
        if month is not None:
            return month
    return None


def _unknown_behind_month(head: str) -> bool:
    words = _WORD.findall(head)
    while words and len(words[-1]) < 3:
        words.pop()
    return bool(words) and words[-1] not in _ZONES and _month_of(words[-1]) is None


def _without_comments(value: str) -> tuple[str, str]:
    """(the text, its comments): RFC 5322 §4.3 has them between any two tokens."""
    if "(" not in value:
        return value, ""
    text: list[str] = []
    comments: list[str] = []
    depth = 0
    for char in value:
        if char == "(":
            depth += 1
            text.append(" ")
        elif char == ")" and depth:
            depth -= 1
            comments.append(" ")
        else:
            (comments if depth else text).append(char)
    return "".join(text), "".join(comments)


def _plain(text: str) -> str:
    """In small letters without accents, with one blank between tokens."""
    if not text.isascii():
        text = "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))
        text = unicodedata.normalize("NFC", text)
    return " ".join(text.lower().split())
