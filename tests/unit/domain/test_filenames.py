"""What is shown of a name leads back to it, whatever bytes it is made of."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from rubackup.domain.filenames import listed, meant, on_one_line, printable

PARTS = st.sampled_from(
    [b"\\", b"x", b"0a", b"5c", b"\\x0a", b"\\x5c", b"\\xFF", b"\n", b"\xff", b"\xc2\xa0", b"\x00", b"e"]
)
NAMES = st.one_of(st.binary(max_size=12), st.lists(PARTS, max_size=8).map(b"".join))


@given(NAMES)
@example(rb"back\x0aslash")
@example(b"\\\xff")
def test_what_is_shown_means_the_name(name: bytes) -> None:
    """In a list of the API as on one line, before any other name that it could be."""
    assert meant(listed(name).encode())[0] == name
    assert meant(printable(name).encode())[0] == name


@given(NAMES, NAMES)
@example(rb"back\x0aslash", b"back\nslash")
@example(b"bad\xff", rb"bad\xff")
def test_two_names_never_look_alike(one: bytes, other: bytes) -> None:
    """Neither in lists nor on one line."""
    assert (listed(one) == listed(other)) == (one == other)
    assert (printable(one) == printable(other)) == (one == other)


@given(NAMES)
def test_printable_is_one_line_that_can_be_stored(name: bytes) -> None:
    """The same, whether it is made of the bytes or of what the API listed."""
    text = printable(name)

    assert text.isprintable()
    assert text.encode().decode() == text == on_one_line(listed(name))


def test_a_name_without_escapes_is_shown_as_it_is() -> None:
    """Also with backslashes that begin no escape, and with capital letters, which none has."""
    for name in ("plain", "C:\\temp", "\\xFF", "\\x", "\\x0", "файл"):
        assert printable(name.encode()) == name
        assert meant(name.encode()) == [name.encode()]


def test_a_name_is_taken_as_it_stands_where_nothing_else_is_shown_so() -> None:
    """The second that may be meant is what was given."""
    assert meant(rb"back\x0aslash") == [b"back\nslash", rb"back\x0aslash"]
