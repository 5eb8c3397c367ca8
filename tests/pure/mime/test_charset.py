"""Any bytes in any charset become text that can be stored."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from webencodings.labels import LABELS

from mailcore.mime.charset import decode, guess, html_charset, storable
from mailcore.mime.defects import MAX_DETECTED, Defects
from mailcore.mime.parse import parse


def decoded(data: bytes, charset: str) -> tuple[str, list[str]]:
    defects = Defects()
    return decode(data, charset, defects), list(defects)


@pytest.mark.parametrize(
    ("data", "charset", "expected"),
    [
        ("Grüße".encode(), "utf-8", "Grüße"),
        ("Grüße".encode("latin-1"), "ISO-8859-1", "Grüße"),
        (b"\x93quoted\x94 \x80\x81", "iso-8859-1", "“quoted” €\x81"),
        ("Привет".encode("koi8-r"), "KOI8-R", "Привет"),
        ("Привіт".encode("koi8-u"), "koi8-u", "Привіт"),
        ("镕基".encode("gb18030"), "gb2312", "镕基"),
        ("사진 똠방".encode("cp949"), "ks_c_5601-1987", "사진 똠방"),
        ("こんにちは".encode("iso2022_jp"), "ISO-2022-JP", "こんにちは"),
        (b"\x1b$B\x2d\x62\x2d\x21\x1b(B 5", "iso-2022-jp", "№① 5"),
        (b"\x1b(I\x31\x1b(B.", "iso-2022-jp", "ｱ."),
        ("①髙".encode("cp932"), "shift_jis", "①髙"),
        ("漢字".encode("euc_jp"), "x-euc-jp", "漢字"),
        ("中文".encode("big5"), "Big5", "中文"),
        (b"Hi +AGE-", "unicode-1-1-utf-7", "Hi a"),
        ("שלום".encode("iso8859_8"), "ISO-8859-8-I", "שלום"),
        ("ไทย".encode("cp874"), "windows-874", "ไทย"),
        ("Ünïcode".encode("mac_roman"), "macintosh", "Ünïcode"),
        ("x".encode("utf-16"), "utf-16", "x"),
    ],
)
def test_charsets_mean_what_mailers_mean_by_them(data: bytes, charset: str, expected: str) -> None:
    assert decoded(data, charset) == (expected, [])


@pytest.mark.parametrize(
    ("data", "charset", "expected", "defects"),
    [
        ("é".encode(), "", "é", []),
        (b"\xe9", "", "é", ["undeclared-8bit"]),
        (b"\xe9", "us-ascii", "é", ["undeclared-8bit"]),
        ("é".encode(), "x-unknown-8bit", "é", ["unknown-charset"]),
        (b"\xe9", "unknown-8bit", "é", ["unknown-charset", "undeclared-8bit"]),
        (b"caf\xe9", "utf-8", "café", ["bad-charset"]),
        (b"caf\xc3\xa9 \xff", "utf-8", "café \ufffd", ["bad-charset"]),
        ("é漢".encode(), "euc-kr", "é漢", ["bad-charset"]),
        (b"a\0b", "utf-8", "ab", ["nul"]),
        (b"+2AA-", "utf-7", "\ufffd", ["bad-charset"]),
        (b"\\ud800", "unicode_escape", "\\ud800", ["unknown-charset"]),
    ],
)
def test_what_is_wrong_is_mended_and_named(data: bytes, charset: str, expected: str, defects: list[str]) -> None:
    assert decoded(data, charset) == (expected, defects)


@pytest.mark.parametrize("charset", ["idna", "punycode", "base64", "zlib", "hex", "rot13", "undefined", "uu", "quopri"])
def test_a_codec_that_is_no_charset_is_not_used(charset: str) -> None:
    assert decoded(b"xn--abc", charset)[0] == "xn--abc"


CHARSETS = st.sampled_from(
    "utf-8 utf-7 utf-16 utf-16-be utf-32 latin1 gb18030 big5 euc-kr shift_jis iso-2022-jp iso-2022-kr hz cp037 "
    "unicode_escape raw_unicode_escape idna punycode nonsense koi8-r us-ascii".split()
)


@given(st.binary(max_size=200), CHARSETS | st.text(max_size=20), st.lists(CHARSETS, max_size=2))
def test_any_bytes_in_any_charset_become_storable_text(data: bytes, charset: str, hints: list[str]) -> None:
    text = decode(data, charset, Defects(), hints)
    assert "\0" not in text
    text.encode()


@given(st.text(st.characters(codec=None), max_size=50))
def test_storable_text_holds_no_nul_and_no_lone_surrogate(text: str) -> None:
    stored = storable(text, Defects())
    assert "\0" not in stored
    stored.encode()


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=50))
def test_storable_text_is_left_alone(text: str) -> None:
    assert storable(text, Defects()) == text


def test_html_names_its_charset() -> None:
    assert html_charset(b'<html><meta charset="koi8-r">') == "koi8-r"
    assert html_charset(b'<META http-equiv="Content-Type" content="text/html; charset=windows-1251">') == "windows-1251"
    assert html_charset(b"<p>charset=x") == ""


# A word in the language of each encoding of the Encoding Standard, and Python's codec for it.
WORDS = {
    "utf-8": ("Größe 尺寸", "utf-8"),
    "ibm866": ("Размер", "cp866"),
    "iso-8859-2": ("wielkość", "iso8859-2"),
    "iso-8859-3": ("grandeco ŝ", "iso8859-3"),
    "iso-8859-4": ("suurus ķ", "iso8859-4"),
    "iso-8859-5": ("Размер", "iso8859-5"),
    "iso-8859-6": ("حجم", "iso8859-6"),
    "iso-8859-7": ("μέγεθος", "iso8859-7"),
    "iso-8859-8": ("גודל", "iso8859-8"),
    "iso-8859-8-i": ("גודל", "iso8859-8"),
    "iso-8859-10": ("stærð þ", "iso8859-10"),
    "iso-8859-13": ("izmērs", "iso8859-13"),
    "iso-8859-14": ("maint ŵ", "iso8859-14"),
    "iso-8859-15": ("œuvre €", "iso8859-15"),
    "iso-8859-16": ("mărime ș", "iso8859-16"),
    "koi8-r": ("Размер", "koi8-r"),
    "koi8-u": ("Розмір ї", "koi8-u"),
    "macintosh": ("Größe", "mac-roman"),
    "windows-874": ("ขนาด", "cp874"),
    "windows-1250": ("velikost ž", "cp1250"),
    "windows-1251": ("Размер", "cp1251"),
    "windows-1252": ("Größe „€“", "cp1252"),
    "windows-1253": ("μέγεθος", "cp1253"),
    "windows-1254": ("büyüklüğü", "cp1254"),
    "windows-1255": ("גודל", "cp1255"),
    "windows-1256": ("حجم", "cp1256"),
    "windows-1257": ("izmērs", "cp1257"),
    "windows-1258": ("kích thước", "cp1258"),
    "x-mac-cyrillic": ("Размер ґ", "mac-cyrillic"),
    "gbk": ("尺寸 镕", "gb18030"),
    "gb18030": ("尺寸 镕", "gb18030"),
    "big5": ("尺寸", "big5"),
    "euc-jp": ("大きさ", "euc-jp"),
    "iso-2022-jp": ("大きさ", "iso2022-jp"),
    "shift_jis": ("大きさ ①", "cp932"),
    "euc-kr": ("크기", "cp949"),
    "utf-16be": ("Größe 尺寸", "utf-16-be"),
    "utf-16le": ("Größe 尺寸", "utf-16-le"),
}
LABELLED = {label: WORDS[encoding] for label, encoding in LABELS.items() if encoding in WORDS}
ASCII = {label for label, encoding in LABELS.items() if encoding == "windows-1252" and "ascii" in label} | {
    "ansi_x3.4-1968",
}


@pytest.mark.parametrize("label", LABELLED)
def test_every_label_of_the_encoding_standard_is_known(label: str) -> None:
    word, codec = LABELLED[label]
    data = word.encode(codec, "ignore")  # cp1258 has its accents apart
    for written in (label, label.upper(), f" {label} "):
        text, defects = decoded(data, written)
        assert text == data.decode(codec)
        assert defects == (["undeclared-8bit"] if label in ASCII else [])


def test_the_other_labels_are_no_unknown_charset() -> None:
    rest = set(LABELS) - set(LABELLED)
    assert {LABELS[label] for label in rest} == {"replacement", "x-user-defined"}
    assert decoded("크기".encode("iso2022-kr"), "csiso2022kr") == ("크기", [])
    assert decoded("尺寸".encode("hz"), "hz-gb-2312") == ("尺寸", [])
    assert decoded("Größe".encode(), "x-user-defined") == ("Größe", [])


@pytest.mark.parametrize(
    ("written", "codec"),
    [
        *[(name, "cp1251") for name in "win1251 WIN-1251 windows_1251 cp-1251 x-cp1251 ms1251 ansi-1251".split()],
        *[(name, "cp1250") for name in ("windows-1250;", "'windows-1250'", "Windows 1250", "windows-01250")],
        *[(name, "iso8859-2") for name in "8859-2 iso88592 ISO_8859_2 iso-ir-8859-2 iso8859-2:1999 28592".split()],
        *[(name, "utf-8") for name in "utf-8; UTF_8 utf08 utf-8-sig UTF-8_bin 65001 cp65001 unicode-utf-8".split()],
        *[(name, "gb18030") for name in "gb-2312 GB_18030 gb2312_charset cp936 ms936 euc-gb2312 x-gbk".split()],
        *[(name, "cp932") for name in "shift-jis sjis shiftjis-ms cp-932 windows-932 x-ms-cp932".split()],
        *[(name, "koi8-r") for name in "koi8r KOI-8-R koi-8 20866".split()],
        *[(name, "iso8859-15") for name in "iso-885915 latin-9 ISO8859_15".split()],
        *[(name, "euc-jp") for name in "eucjp-win euc_jp x-eucjp-unix".split()],
        *[(name, "cp949") for name in "ks_c_5601 ksc5601-1992 euckr ms949 cp-949".split()],
        *[(name, "big5") for name in "chinesebig5 big-5 x-x-big5 Big5_HKSCS cp-950".split()],
        *[(name, "iso2022-jp") for name in "iso2022jp ISO_2022_JP iso-2022-jp-ms 50220 cp50221".split()],
        *[(name, "cp850") for name in "cp-850 ibm-850 dos850 850".split()],
    ],
)
def test_misspelt_labels_are_understood(written: str, codec: str) -> None:
    word = next(word for word, known in WORDS.values() if known == codec) if codec != "cp850" else "Größe"
    assert decoded(word.encode(codec), written) == (word, [])


@pytest.mark.parametrize("name", ["", "unknown", "x-nothing", "8bit", "binary", "cp9", "iso-8859-99", "gb", "ü"])
def test_what_means_nothing_is_unknown(name: str) -> None:
    assert decoded(b"plain", name) == ("plain", ["unknown-charset"] if name else [])


JAPANESE = "明日の会議の資料です。"


@pytest.mark.parametrize("charset", ["", "us-ascii", "utf-8", "iso-8859-1", "windows-1252", "nonsense"])
def test_iso_2022_tells_itself(charset: str) -> None:
    for text, codec in ((JAPANESE, "iso2022-jp"), ("회의 자료", "iso2022-kr")):
        read, defects = decoded(text.encode(codec), charset)
        assert read == text
        assert "undeclared-iso-2022" in defects
    assert decoded(JAPANESE.encode("iso2022-jp")[:-4], charset)[0][:9] == JAPANESE[:9]  # cut
    assert decoded(b"\x1b[31mred\x1b[0m \x1b$", charset)[0] == "\x1b[31mred\x1b[0m \x1b$"


def test_raw_iso_2022_in_headers_is_read() -> None:
    name = JAPANESE.encode("iso2022-jp")
    parsed = parse(
        b"Subject: " + name + b"\nFrom: " + name + b' <a@x.org>\nTo: "' + name + b'" <b@x.org>\n'
        b'Content-Type: application/pdf; name="' + name + b'.pdf"\n\nx'
    )
    assert (parsed.subject, parsed.from_name, parsed.from_email) == (JAPANESE, JAPANESE, "a@x.org")
    assert parsed.to_emails == ("b@x.org",)
    assert parsed.attachments[0].filename == JAPANESE + ".pdf"
    assert "undeclared-iso-2022" in parsed.defects


@pytest.mark.parametrize(
    ("charset", "codec", "text"),
    [
        ("iso-2022-jp", "euc-jp", JAPANESE),
        ("iso-2022-jp", "shift_jis", JAPANESE),
        ("iso-2022-kr", "euc-kr", "회의 자료입니다"),
        ("hz-gb-2312", "gb2312", "会议资料"),
        ("utf-7", "koi8-r", "Материалы для встречи"),
        ("utf-8", "gb2312", "明天会议的资料请查收"),
        ("utf-8", "cp1251", "Материалы для встречи"),
        ("utf-16", "utf-8", "Grüße aus München"),
        ("utf-16le", "cp1252", "Grüße aus München"),
        ("utf-16", "ascii", "plain text"),
        ("utf-32", "ascii", "plain text, and more"),
    ],
)
def test_a_charset_that_cannot_be_is_not_believed(charset: str, codec: str, text: str) -> None:
    read, defects = decoded(text.encode(codec), charset)
    assert read == text
    assert defects == ([] if codec == "ascii" else ["bad-charset"])


def test_damage_does_not_change_the_charset() -> None:
    text = JAPANESE * 20
    for codec in ("utf-8", "euc-jp", "cp932", "gb18030"):
        data = text.encode(codec)
        for charset in ("", codec) if codec == "utf-8" else (codec,):
            assert decoded(data[:-1], charset)[0].startswith(text[:-1])
            assert decoded(b"\xff" + data, charset)[0].endswith(text)


@pytest.mark.parametrize(
    ("codec", "text"),
    [
        ("cp1251", "Добрый день, высылаю счёт"),
        ("koi8-r", "Добрый день, высылаю отчёт"),
        ("gb2312", "附件是本月的报告"),
        ("big5", "附件是本月的報告"),
        ("shift_jis", JAPANESE),
        ("euc-jp", JAPANESE),
        ("euc-kr", "이번 달 보고서입니다"),
        ("cp1250", "Dobrý den, v příloze zasílám fakturu"),
        ("cp1253", "Σας στέλνω την αναφορά"),
        ("cp1255", "מצורף הדוח החודשי"),
        ("cp1252", "Größe und Maße für später"),
    ],
)
def test_undeclared_text_is_guessed_with_a_defect(codec: str, text: str) -> None:
    assert decoded(text.encode(codec), "") == (text, ["undeclared-8bit"])
    assert decoded(text.encode(codec), "unknown-8bit") == (text, ["unknown-charset", "undeclared-8bit"])
    parsed = parse(b"Subject: " + text.encode(codec) + b"\n\n")
    assert parsed.subject == text
    assert parsed.defects == ("8bit-header",)


@pytest.mark.parametrize("word", ["così lunedì", "¡Hola", "œuvre", "þTo", "café"])
def test_a_byte_or_two_are_western(word: str) -> None:
    assert decoded(word.encode("cp1252"), "") == (word, ["undeclared-8bit"])


def test_the_detector_looks_at_so_much_and_no_more() -> None:
    defects = Defects()
    for _ in range(20):
        assert guess(b"a" * 100_000 + "Größe".encode("cp1252") * 100_000, defects).endswith("Größe")
    assert 0 <= defects.detected < MAX_DETECTED


def test_utf_16_is_told_by_its_mark_or_its_zeros() -> None:
    text = "Size: 尺寸\n"
    for charset in ("utf-16", "ucs-2", "unicode", "utf-16le"):
        assert decoded(b"\xfe\xff" + text.encode("utf-16-be"), charset) == (text, [])
        assert decoded(b"\xff\xfe" + text.encode("utf-16-le"), charset) == (text, [])
    assert decoded(text.encode("utf-16-be"), "utf-16") == (text, [])
    assert decoded(text.encode("utf-16-le"), "utf-16") == (text, [])
    assert decoded(b"\xff\xfe" + text.encode("utf-16-le"), "") == (text, [])
    assert decoded(b"\xef\xbb\xbf" + text.encode(), "iso-8859-1") == ("\ufeff" + text, [])


@pytest.mark.parametrize("text", ["汉字", "尺寸", "漢字漢字漢字", "Привет", "会议通知请查收", "名前の読み方", "조선말"])
@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
def test_short_utf_16_is_not_taken_for_letters(text: str, codec: str) -> None:
    assert decoded(text.encode(codec), codec) == (text, [])


HTML = '<html><head><meta charset="{}"></head><p>{}</p></html>'


@pytest.mark.parametrize(
    ("charset", "defects"), [("", ()), ("us-ascii", ("bad-charset",)), ("unknown-8bit", ("unknown-charset",))]
)
@pytest.mark.parametrize(
    ("label", "codec", "text"),
    [("windows-1251", "cp1251", "Размер"), ("GB2312", "gb2312", "尺寸"), ("koi8r", "koi8-r", "Да")],
)
def test_html_is_in_the_charset_that_it_names(
    charset: str, defects: tuple[str, ...], label: str, codec: str, text: str
) -> None:
    html = HTML.format(label, text)
    head = f"Content-Type: text/html{'; charset=' + charset if charset else ''}\n\n".encode()
    parsed = parse(head + html.encode(codec))
    assert parsed.body_html == html
    assert parsed.defects == defects


def test_html_that_was_read_as_ascii_is_no_utf_16() -> None:
    for label in ("utf-16", "UTF-16LE", "unicode", "utf-7", "nonsense"):
        html = HTML.format(label, "Größe")
        parsed = parse(b"Content-Type: text/html\n\n" + html.encode())
        assert (parsed.body_html, parsed.defects) == (html, ())
    assert html_charset(b'<?xml version="1.0" encoding="koi8-r"?><html>') == "koi8-r"
    assert html_charset(b'<meta charset="utf-16">') == "utf-8"


def test_utf_8_under_us_ascii_is_not_what_the_html_says() -> None:
    html = HTML.format("iso-8859-1", "Größe")
    assert parse(b"Content-Type: text/html; charset=us-ascii\n\n" + html.encode()).body_html == html


def test_a_declared_charset_counts_before_the_one_in_the_text() -> None:
    html = HTML.format("koi8-r", "Размер")
    parsed = parse(b"Content-Type: text/html; charset=windows-1251\n\n" + html.encode("cp1251"))
    assert (parsed.body_html, parsed.defects) == (html, ())


@pytest.mark.parametrize(
    ("label", "codec", "text"),
    [
        ("GBK", "gbk", "报价"),
        ("Shift_JIS", "shift_jis", "見積"),
        ("windows-1251", "cp1251", "Счёт"),
        ("koi8-r", "koi8-r", "Да"),
    ],
)
def test_raw_headers_are_in_the_charset_that_a_part_declares(label: str, codec: str, text: str) -> None:
    raw = text.encode(codec)
    name = b'"' + raw + b'.xls"'
    parsed = parse(
        b"Subject: " + raw + b"\nFrom: " + raw + b" <a@x.org>\nContent-Type: multipart/mixed; boundary=B\n\n"
        b"--B\nContent-Type: application/octet-stream; name=" + name + b"\n\nx\n"
        b"--B\nContent-Type: multipart/alternative; boundary=C\n\n"
        b"--C\nContent-Type: text/plain\n\n" + raw + b"\n"
        b"--C\nContent-Type: text/html; charset=" + label.encode() + b"\n\n<p>\n--C--\n"
        b"--B\nContent-Type: image/png\nContent-Disposition: attachment; filename=" + name + b"\n\ny\n--B--\n"
    )
    assert (parsed.subject, parsed.from_name, parsed.from_email) == (text, text, "a@x.org")
    assert [attachment.filename for attachment in parsed.attachments] == [text + ".xls"] * 2
    assert parsed.body_text == text
    assert ("Subject", text) in parsed.headers
    assert set(parsed.defects) == {"8bit-header", "undeclared-8bit"}


def test_raw_headers_are_in_the_charset_of_encoded_words_beside_them() -> None:
    raw = "报价".encode("gbk")
    assert parse(b"From: =?gb2312?b?1twg?= <a@x.org>\nSubject: " + raw + b"\n\n").subject == "报价"


@given(st.sampled_from(sorted(LABELLED)), st.text(st.characters(exclude_categories=["C", "Z"]), max_size=30))
def test_what_an_encoding_can_write_comes_back(label: str, text: str) -> None:
    codec = LABELLED[label][1]
    text = text.encode(codec, "ignore").decode(codec)
    read = decode(text.encode(codec), label, Defects())
    assert read == text or label in ASCII or codec.startswith(("utf-16", "iso2022"))
