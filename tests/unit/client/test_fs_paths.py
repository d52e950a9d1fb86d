"""Paths of the File system module."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rubackup.client.modules.filesystem import paths
from rubackup.domain.errors import Invalid

names = st.binary(min_size=1, max_size=6).filter(paths.is_safe_name)
folders = st.lists(names, max_size=5).map(lambda parts: b"/" + b"/".join(parts))


@pytest.mark.parametrize(
    ("text", "path"), [("/home/", b"/home"), ("/", b"/"), ("//a///b/./c//", b"/a/b/c"), ("/\udcff", b"/\xff")]
)
def test_absolute(text: str, path: bytes) -> None:
    """Trailing and doubled slashes and single dots do not matter; surrogate escapes are bytes."""
    assert paths.absolute(text, "resource") == path


@pytest.mark.parametrize("text", ["", "home", "./home", "/a/../b", "/..", "/a\0b"])
def test_not_absolute(text: str) -> None:
    """What is relative, leads upwards or holds a NUL is refused, and the field is named."""
    with pytest.raises(Invalid) as caught:
        paths.absolute(text, "data.resource")
    assert list(caught.value.fields) == ["data.resource"]


@given(folders)
def test_split_and_join(path: bytes) -> None:
    """Joining what was split gives the path back, and its ancestors lead to it one name at a time."""
    folder, name = paths.split(path)
    steps = [*paths.ancestors(path), path]

    assert paths.join(folder, name) == path or path == b"/"
    assert [paths.split(below)[0] for below in steps[1:]] == steps[:-1]


@given(st.lists(folders))
def test_order_is_that_of_a_walk(found: list[bytes]) -> None:
    """Folders sort component by component: `/a`, `/a/b`, `/a-b`."""
    assert sorted(found, key=paths.order) == sorted(found, key=paths.components)


@given(folders, folders)
def test_within(path: bytes, folder: bytes) -> None:
    """A path is within a folder when the folder's names are its first ones."""
    parts, above = paths.components(path), paths.components(folder)

    assert paths.is_within(path, folder) == (parts[: len(above)] == above)


@pytest.mark.parametrize("name", [b"", b".", b"..", b"a/b", b"/", b"a\0", b"x" * 256])
def test_unsafe_names(name: bytes) -> None:
    """A name that could mean something outside its folder is not safe."""
    assert not paths.is_safe_name(name)


@given(
    st.lists(st.one_of(st.binary(max_size=3), st.sampled_from([b"", b".", b"..", b"x" * 255, b"x" * 256])), max_size=4)
)
def test_many_names_are_judged_as_each(found: list[bytes]) -> None:
    """All at once is the same as one by one."""
    assert paths.are_safe_names(found) == all(map(paths.is_safe_name, found))


@pytest.mark.parametrize("path", [b"", b"a", b"/a/", b"//a", b"/a/..", b"/a/./b", b"/a\0", b"/" + b"x" * 256])
def test_unsafe_folders(path: bytes) -> None:
    """A folder's path that is not absolute, not in normal form, or made of unsafe names is not safe."""
    assert not paths.is_safe_folder(path)
