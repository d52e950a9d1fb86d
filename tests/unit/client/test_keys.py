"""The client's keys and their recovery sheet: made once, kept for ever, never shown, checked line by line."""

from __future__ import annotations

import datetime as dt
import os
import re
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rubackup.chunkstore.keys import MasterKey
from rubackup.cli.client import app
from rubackup.client import recovery_sheet
from rubackup.client.keys import KeyStore
from rubackup.domain.errors import Conflict, Invalid, StorageFault

SECRET, SECOND = bytes(range(32)), bytes(range(32, 64))


@pytest.fixture
def store(tmp_path: Path) -> KeyStore:
    """Keys in a folder that is not there yet."""
    return KeyStore(tmp_path / "keys" / "master-key")


def _sheet(*secrets: bytes) -> str:
    keys = [(MasterKey(secret), secret, "current: new copies") for secret in secrets]
    return recovery_sheet.sheet(keys, "host.example", dt.date(2026, 11, 27))


def test_a_key_is_made_when_it_is_first_needed(store: KeyStore) -> None:
    """A line that only the owner can read; the next process finds the same key."""
    assert store.key_ids() == []

    made = store.current()
    mode = stat.S_IMODE(store.path.stat().st_mode)

    assert re.fullmatch(rf"rubackup master-key 1 [0-9a-f]{{64}} {made.id.hex()}\n", store.path.read_text())
    assert mode == 0o600
    assert KeyStore(store.path).current().id == made.id
    assert store.key_ids() == [made.id.hex()]


def test_two_that_need_a_key_at_once_get_the_same(store: KeyStore) -> None:
    """Nothing is ever encrypted with a key that another one overwrote."""
    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(lambda _: KeyStore(store.path).current().id, range(16)))

    assert len(ids) == 1


def test_a_rotation_keeps_the_older_keys(store: KeyStore) -> None:
    """Both stay readable by their ids; new copies get the new one."""
    first, second = store.current(), store.rotate()
    third = store.rotate()
    again = KeyStore(store.path)

    assert again.current().id == third.id
    assert [again.get(key.id).id for key in (first, second, third)] == [first.id, second.id, third.id]
    assert again.key_ids() == [third.id.hex(), *sorted([first.id.hex(), second.id.hex()])]


def test_a_missing_key_is_named(store: KeyStore) -> None:
    """Who wants to restore learns which key to look for."""
    store.current()

    with pytest.raises(Conflict, match=MasterKey(SECRET).id.hex()):
        store.get(MasterKey(SECRET).id)


def _flip(path: Path, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


def test_every_flipped_bit_of_the_current_key_is_found(store: KeyStore) -> None:
    """None makes another key of it, with which copies would be made that its sheet does not open."""
    store.current()
    whole = store.path.read_bytes()
    for bit in range(8 * len(whole)):
        _flip(store.path, bit)
        with pytest.raises(StorageFault, match=r"is damaged"):
            KeyStore(store.path).current()
        store.path.write_bytes(whole)


@pytest.mark.parametrize("damage", [b"", b"short", bytes(32), b"rubackup master-key 1 \n"])
def test_a_damaged_key_is_not_replaced_unasked(store: KeyStore, damage: bytes) -> None:
    """It is an error that names the file and the way out, never a reason for a new key."""
    store.current()
    store.path.write_bytes(damage)

    for use in (store.current, store.rotate, store.uses):
        with pytest.raises(StorageFault, match=rf"{store.path} is damaged.*key import --current.*key rotate"):
            use()
    assert store.path.read_bytes() == damage


def test_a_damaged_current_key_does_not_keep_older_copies_closed(store: KeyStore) -> None:
    """Older keys are read without it; what it alone opens is refused with the name of its file."""
    first, second = store.current(), store.rotate()
    _flip(store.path, 8 * 30)
    again = KeyStore(store.path)

    assert again.get(first.id).id == first.id
    assert again.key_ids() == [first.id.hex()]
    with pytest.raises(StorageFault, match=rf"{store.path} is damaged"):
        again.get(second.id)


@pytest.mark.parametrize(("left", "current"), [("id", False), ("key", False), ("", True)])
def test_the_sheet_brings_a_damaged_key_back(store: KeyStore, left: str, current: bool) -> None:
    """Of itself where the file still shows which key it was, else with `--current`; the damaged file is kept."""
    store.add(SECRET)
    remains = {"id": MasterKey(SECRET).id.hex().encode(), "key": SECRET.hex().encode(), "": b""}[left] + b"\xff"
    store.path.write_bytes(remains)
    store.add(SECRET, current=current)

    assert KeyStore(store.path).current().id == MasterKey(SECRET).id
    assert (store.path.parent / "damaged" / "1").read_bytes() == remains
    assert stat.S_IMODE((store.path.parent / "damaged" / "1").stat().st_mode) == 0o600


def test_another_key_is_imported_beside_a_damaged_one(store: KeyStore) -> None:
    """For reading; the damaged one stays where it is until somebody decides."""
    store.add(SECRET)
    store.path.write_bytes(b"")
    store.add(SECOND)

    assert KeyStore(store.path).get(MasterKey(SECOND).id).id == MasterKey(SECOND).id
    assert store.path.read_bytes() == b""


def test_a_lost_current_key_is_not_made_anew_beside_older_ones(store: KeyStore) -> None:
    """Somebody deleted it, or a restore of the folder was partial: that is for a person to decide."""
    store.current()
    store.rotate()
    store.path.unlink()

    with pytest.raises(StorageFault, match=r"recovery sheet"):
        store.current()


def test_an_old_key_under_a_false_name_is_found(store: KeyStore) -> None:
    """A flipped bit in an old key shows when it is read, not as damaged copies."""
    first = store.current()
    store.rotate()
    KeyStore(store.path.parent / "old" / first.id.hex()).add(SECRET, current=True)

    with pytest.raises(StorageFault, match=r"is damaged: it holds another key"):
        KeyStore(store.path).get(first.id)
    assert store.get(first.id).id == first.id  # this process has read it before


def test_an_imported_key_is_for_reading_unless_there_is_none(store: KeyStore) -> None:
    """On a new host it becomes the current one; beside another key it does not, unless that is wanted."""
    store.add(SECRET)
    store.add(SECOND)
    read_only = store.current().id
    store.add(SECOND, current=True)

    assert read_only == MasterKey(SECRET).id
    assert store.current().id == MasterKey(SECOND).id
    assert store.get(MasterKey(SECRET).id).id == MasterKey(SECRET).id


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act for another user")
def test_what_root_makes_belongs_to_the_clients_user(store: KeyStore) -> None:
    """Root rotates; the client's process, which is not root, can still read every key."""
    store.path.parent.mkdir(mode=0o700)
    os.chown(store.path.parent, 65534, 65534)
    store.current()
    store.rotate()

    assert {file.stat().st_uid for file in store.path.parent.rglob("*")} == {65534}
    assert {stat.S_IMODE(file.stat().st_mode) for file in store.path.parent.rglob("*") if file.is_file()} == {0o600}


# --- the sheet ---


def test_a_sheet_gives_its_keys_back() -> None:
    """Also when it was typed in capitals, with other spaces, and without the text around."""
    text = _sheet(SECRET, SECOND)
    typed = "\n".join(
        line.upper().replace(" ", "   ") for line in text.splitlines() if ":" not in line or "Key id" in line
    )

    assert recovery_sheet.read(text) == recovery_sheet.read(typed) == [SECRET, SECOND]
    assert "host.example" in text
    assert "2026-11-27" in text


def _key_lines(text: str) -> list[int]:
    return [at for at, line in enumerate(text.splitlines()) if line[:3].strip().isdigit()]


@pytest.mark.parametrize("number", range(4))
def test_a_typing_error_is_found_in_its_line(number: int) -> None:
    """The line is named; what stands in it is not repeated, as it is secret."""
    lines = _sheet(SECRET).splitlines()
    at = _key_lines("\n".join(lines))[number]
    place = 8 + number
    wrong = "1" if lines[at][place] != "1" else "2"
    lines[at] = lines[at][:place] + (wrong if lines[at][place] != " " else "x") + lines[at][place + 1 :]

    with pytest.raises(Invalid, match=rf"Line {at + 1} of the sheet") as caught:
        recovery_sheet.read("\n".join(lines))
    assert lines[at].split()[2] not in caught.value.message


def test_lines_cannot_be_left_out_swapped_or_doubled() -> None:
    """Each line knows its number, and the whole has to fit its id."""
    lines = _sheet(SECRET).splitlines()
    first, second, *_ = _key_lines("\n".join(lines))
    swapped, missing, doubled = list(lines), list(lines), list(lines)
    swapped[first], swapped[second] = swapped[second], swapped[first]
    del missing[_key_lines("\n".join(lines))[-1]]
    doubled.insert(first, doubled[first])

    for wrong in (swapped, missing, doubled):
        with pytest.raises(Invalid, match=r"Line|lines"):
            recovery_sheet.read("\n".join(wrong))


def test_lines_of_another_key_are_refused() -> None:
    """Right lines under the id of another key are no key."""
    text = _sheet(SECRET).replace(MasterKey(SECRET).id.hex(), MasterKey(SECOND).id.hex())

    with pytest.raises(Invalid, match=r"another key"):
        recovery_sheet.read(text)


@pytest.mark.parametrize("text", ["", "hello", "x" * (recovery_sheet.MAX_SHEET_CHARACTERS + 1)])
def test_what_is_no_sheet_is_refused(text: str) -> None:
    """Neither an empty file nor a huge one is taken."""
    with pytest.raises(Invalid, match=r"sheet"):
        recovery_sheet.read(text)


# --- the command ---


def _run(store: KeyStore, *arguments: str, text: str = "") -> tuple[int, str]:
    result = CliRunner().invoke(app, ["key", "--master-key", str(store.path), *arguments], input=text)
    return result.exit_code, result.output


def test_a_key_goes_to_another_host_by_its_sheet(store: KeyStore, tmp_path: Path) -> None:
    """Sheet to a file that only its owner reads, import there: both hosts can read the same copies, ids are shown."""
    other, file = KeyStore(tmp_path / "other" / "master-key"), tmp_path / "sheet.txt"
    first = store.current()
    current = store.rotate()

    assert _run(store, "sheet", "--to", str(file)) == (0, "")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert _run(other, "import", str(file))[0] == 0
    assert other.current().id == current.id
    assert other.get(first.id).id == first.id
    assert all(key.id.hex() in _run(other, "show")[1] for key in (first, current))
    assert store.path.read_text().split()[3] not in _run(other, "show")[1]


def test_a_sheet_is_read_from_stdin(store: KeyStore) -> None:
    """Never from an argument, which other users of the host could see."""
    assert _run(store, "import", text=_sheet(SECRET))[0] == 0
    assert store.current().id == MasterKey(SECRET).id


def test_what_goes_wrong_is_one_sentence(store: KeyStore, tmp_path: Path) -> None:
    """No key yet, a sheet that is there already, a file that is not, a wrong sheet: exit status 1."""
    there = tmp_path / "there"
    there.write_text("mine")

    assert _run(store, "sheet")[0] == 1
    store.current()
    assert _run(store, "sheet", "--to", str(there))[0] == 1
    assert there.read_text() == "mine"
    assert _run(store, "import", str(tmp_path / "nothing"))[0] == 1
    assert _run(store, "import", text="nonsense")[0] == 1


def test_a_damaged_key_is_shown_beside_the_others(store: KeyStore) -> None:
    """`show` lists what can be read and names the file that cannot, with status 1; a sheet without it is not printed."""
    first = store.current()
    store.rotate()
    store.path.write_bytes(b"")
    status, text = _run(store, "show")

    assert status == 1
    assert first.id.hex() in text
    assert f"{store.path} is damaged" in text
    assert _run(store, "sheet")[0] == 1


def test_rotate_tells_the_new_id(store: KeyStore) -> None:
    """The sheet of before does not have this key."""
    before = store.current()
    status, text = _run(store, "rotate")

    assert status == 0
    assert store.current().id.hex() in text
    assert store.current().id != before.id
    assert [file.name for file in (store.path.parent / "old").iterdir()] == [before.id.hex()]
