"""Single files of copies over HTTP: ranges, rights, links, damage on the way, and what is written down."""

from __future__ import annotations

import asyncio
import base64
import re
from pathlib import Path
from typing import Any

import pytest

from rubackup.api.files import MAX_DOWNLOADS_OF_USER
from rubackup.chunkstore.manifest import ManifestWriter, Summary
from rubackup.domain.permissions import Role
from rubackup.services import downloads
from rubackup.services.ports import FilePart
from support import chunkstore
from support.api import HOST, Api
from support.chunkstore import Client, Place, entry, noise, record_id
from support.fixtures import Stock
from support.hosts import FILE

SIZE = len(FILE)


@pytest.fixture
def url(rows: Stock) -> str:
    """A file of a copy."""
    return f"/repository/{rows.live_record()}/file?path=/home/report"


def _audit(office: Api) -> list[tuple[str, str, str]]:
    found = office.fetch("SELECT method, path, outcome FROM audit WHERE path LIKE '%file%' ORDER BY id")
    return [(row["method"], row["path"].rpartition("/")[2], row["outcome"]) for row in found]


# --- content ---


def test_a_file_comes_whole(office: Api, url: str) -> None:
    """Over several parts, with all that a caller needs to save and resume it."""
    answer = office.get(url)

    assert answer.status_code == 200
    assert answer.content == FILE
    told = {name: answer.headers[name] for name in ("content-length", "accept-ranges", "content-type", "cache-control")}
    assert told == {
        "content-length": str(SIZE), "accept-ranges": "bytes", "content-type": "application/octet-stream",
        "cache-control": "no-store",
    }  # fmt: skip
    assert re.fullmatch(r'"\w+"', answer.headers["etag"])
    assert "content-range" not in answer.headers


RANGES = (
    ("bytes=0-0", 0, 1),
    ("bytes=10-19", 10, 20),
    ("bytes=1048000-1049000", 1_048_000, 1_049_001),
    ("bytes=2000000-", 2_000_000, SIZE),
    ("bytes=-7", SIZE - 7, SIZE),
    ("bytes=-99999999", 0, SIZE),
    ("Bytes= 5-99999999999", 5, SIZE),
)


def test_a_range_is_206(office: Api, url: str) -> None:
    """One range, from the front, from the middle, or from the end; cut at the end of the file."""
    for wanted, begin, end in RANGES:
        answer = office.get(url, headers={"Range": wanted})

        assert (answer.status_code, answer.content) == (206, FILE[begin:end]), wanted
        assert answer.headers["content-range"] == f"bytes {begin}-{end - 1}/{SIZE}"


def test_a_range_that_is_none_is_left_out(office: Api, url: str) -> None:
    """Several ranges, other units and what is malformed are answered by the whole file (RFC 9110, 14.2)."""
    for wanted in ("bytes=5-2", "bytes=0-1,4-5", "lines=1-2", "bytes=", "bytes=-", "bytes=a-b", "7-9"):
        answer = office.get(url, headers={"Range": wanted})

        assert (answer.status_code, len(answer.content)) == (200, SIZE), wanted


def test_a_range_behind_the_end_is_416(office: Api, url: str) -> None:
    """In the envelope, with the size."""
    for wanted in (f"bytes={SIZE}-", f"bytes={10**18}-{10**18 + 5}", "bytes=-0"):
        answer = office.get(url, headers={"Range": wanted})

        assert answer.status_code == 416, wanted
        assert answer.headers["content-range"] == f"bytes */{SIZE}"
    assert len(office.app.kernel.seats) == 0


def test_a_range_of_another_version_is_the_whole_file(office: Api, url: str) -> None:
    """`If-Range` with the ETag resumes; with any other it begins anew, also from the middle."""
    tag = office.request("HEAD", url).headers["etag"]
    same = office.get(url, headers={"Range": "bytes=2000000-", "If-Range": tag})
    other = office.get(url, headers={"Range": "bytes=2000000-", "If-Range": '"other"'})
    weak = office.get(url, headers={"Range": "bytes=5-6", "If-Range": f"W/{tag}"})

    assert (same.status_code, same.content) == (206, FILE[2_000_000:])
    assert (other.status_code, other.content) == (200, FILE)
    assert (weak.status_code, weak.content) == (200, FILE)


def test_ranges_around_holes_are_exact(
    office: Api, rows: Stock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a file with small, large and touching holes in a real pool: each range that begins or ends beside an edge."""
    place, client, content = Place(tmp_path), Client(), b""
    pool = place.open()
    session = chunkstore.begin(pool, 1)
    table: list[tuple[bytes, int]] = []
    for piece in (70_001, -3_000_000, 9, -9, 1_200_000, -1_048_576, -1, 5, -2_000_000):
        if piece < 0:
            table.append((bytes(32), -piece))
            content += bytes(-piece)
        else:
            chunks = client.chunks(noise(piece))
            client.send(session, chunks)
            table += [(name, len(data)) for name, data in chunks]
            content += noise(piece)
    writer = ManifestWriter(session.put_manifest, client.header(session.record))
    writer.add_folder(b"/", [entry("sparse", size=len(content), first_row=writer.add_rows(table), rows=len(table))])
    writer.finish(Summary(files=1, size_bytes=len(content)))
    session.seal(1, 0, len(content))
    file = pool.file(record_id(1), b"/sparse")
    given: list[int] = []

    async def part(hosts: Any, record: Any, path: str, offset: int, length: int) -> FilePart:
        data, hole = file.read_to_hole(offset, length)
        given.append(len(data))
        return FilePart(size_bytes=file.size_bytes, tag=file.tag, mtime_ns=0, data=data, hole=hole)

    monkeypatch.setattr(downloads, "part", part)
    url = f"/repository/{rows.live_record()}/file?path=/sparse"
    assert office.get(url).content == content
    assert sum(given) < 2_500_000  # of more than seven million
    edges = [70_001, 3_070_001, 3_070_010, 3_070_019, 4_270_019, 5_318_595, 5_318_596, 5_318_601, len(content)]
    near = sorted({edge + by for edge in (0, *edges) for by in (-1, 0, 1) if 0 <= edge + by < len(content)})
    for number, first in enumerate(near):
        last = near[min(number + 4, len(near) - 1)]
        answer = office.get(url, headers={"Range": f"bytes={first}-{last}"})
        assert (answer.status_code, answer.content == content[first : last + 1]) == (206, True), (first, last)
    for last in (1, 2_000_000, 2_000_001, 2_000_006, 9_999_999):
        assert office.get(url, headers={"Range": f"bytes=-{last}"}).content == content[-last:], last
    assert len(office.app.kernel.seats) == 0
    place.close()


def test_head_tells_and_sends_nothing(office: Api, url: str) -> None:
    """The same head as GET, no content, and no audit row, as nobody got anything."""
    whole, part = office.request("HEAD", url), office.request("HEAD", url, headers={"Range": "bytes=-5"})

    assert (whole.status_code, whole.headers["content-length"], whole.content) == (200, str(SIZE), b"")
    assert (part.status_code, part.headers["content-length"]) == (206, "5")
    assert _audit(office) == []


def test_the_name_is_plain_and_whole(office: Api, rows: Stock) -> None:
    """Quotes and letters of other scripts do not break the header (RFC 8187)."""
    answer = office.get(f"/repository/{rows.live_record()}/file", params={"path": '/home/отчёт "1".txt'})

    assert answer.headers["content-disposition"] == (
        "attachment; filename=\"_____ _1_.txt\"; filename*=UTF-8''%D0%BE%D1%82%D1%87%D1%91%D1%82%20%221%22.txt"
    )


# --- refusals ---


def test_what_is_no_file_is_told(office: Api, rows: Stock) -> None:
    """404 with the reason, 400 for a path that can be none's, 503 for a silent media server or a locked copy."""
    record = rows.live_record()

    def status(path: str, record: int = record) -> tuple[int, str]:
        answer = office.get(f"/repository/{record}/file", params={"path": path})
        return answer.status_code, answer.json()["message"]

    assert status("/folder") == (404, "/folder is a folder, not a file.")
    assert status("/offline")[0] == 503
    assert {status(path)[0] for path in ("home", "/a/../b", "/a/", "/./a")} == {400}
    assert status("/home", 999_999)[0] == 404
    assert office.get(f"/repository/{record}/file").status_code == 400
    office.execute("UPDATE repository SET crypto = 'aes-256-gcm', key_id = $2 WHERE id = $1", record, "ab" * 16)
    assert status("/home")[0] == 503
    assert status("/home")[1].startswith("key holder offline")
    assert len(office.app.kernel.seats) == 0


def test_rights_are_those_of_a_restore(office: Api, rows: Stock) -> None:
    """Roles that only read copies get none; other people's copies do not exist; refusals are audited."""
    media = rows.media_server()
    record = rows.record(pool=rows.pool_with_storage(media=media))
    own = office.user("olga", Role.ADMINISTRATOR)
    url = f"/repository/{record}/file?path=/home"
    anna = office.user("anna", Role.AUDITOR)

    assert anna.get(url).status_code == 403
    assert anna.post(f"/repository/{record}/file_link", {"data": {"path": "/home"}}).status_code == 403
    assert own.get(url).status_code == 404
    assert office.another().get(url).status_code == 401
    outcomes = [outcome for _, _, outcome in _audit(office)]
    assert len(outcomes) == 3
    assert all(outcome.startswith("refused: ") for outcome in outcomes)


def test_a_copy_that_may_only_be_seen_is_403(office: Api, rows: Stock) -> None:
    """An auditor who is an administrator of other clients sees it, and does not get its files."""
    both = office.user("berta", Role.AUDITOR, Role.ADMINISTRATOR)

    assert both.get(f"/repository/{rows.live_record()}/file?path=/home").status_code == 403


def test_who_had_what_is_written_down(office: Api, url: str) -> None:
    """The audit and the copy's log name the file and the bytes."""
    office.get(url, headers={"Range": "bytes=5-9"})

    assert _audit(office) == [("GET", "file", "done")]
    (line,) = office.get("/repository_log").json()["data"]["items"]
    assert (line["action"], line["text"]) == ("downloaded", f"/home/report: bytes 5 to 10 of {SIZE}")


# --- on the way ---


class _Caller:
    """Takes an answer message by message; `takes` of them, then it stops to read."""

    def __init__(self, api: Api, path: str, takes: int = 1_000_000) -> None:
        self.api, self.path, self.takes = api, path, takes
        self.status, self.body, self.ended, self.aborted = 0, bytearray(), False, False
        self.gone, self.full = asyncio.Event(), asyncio.Event()

    async def _send(self, message: Any) -> None:
        self.takes -= 1
        if self.takes < 0:
            self.full.set()
            await asyncio.Event().wait()
        self.status = message.get("status", self.status)
        self.body += message.get("body", b"")
        self.ended = message.get("more_body") is False

    async def _receive(self) -> Any:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def run(self) -> None:
        """The whole call."""
        url, _, query = self.path.partition("?")
        scope = {
            "type": "http", "method": "GET", "path": f"/api/v1{url}", "query_string": query.encode(), "scheme": "https",
            "client": ("192.0.2.7", 1), "server": (HOST, 5656), "http_version": "1.1",
            "headers": [(k.lower().encode(), v.encode()) for k, v in {**self.api.headers, "host": HOST}.items()],
            "rubackup.abort": lambda: setattr(self, "aborted", True),
        }  # fmt: skip
        await self.api.app(scope, self._receive, self._send)  # type: ignore[arg-type]


def test_damage_on_the_way_cuts_the_connection(office: Api, rows: Stock) -> None:
    """Half a file is never taken for a whole one: the answer does not end, and the audit says why."""
    caller = _Caller(office, f"/repository/{rows.live_record()}/file?path=/damaged")
    office.run(caller.run())

    assert (caller.status, bytes(caller.body)) == (200, FILE[: 1 << 20])
    assert caller.aborted
    assert not caller.ended
    done, cut = office.fetch("SELECT after FROM audit WHERE path LIKE '%/file' ORDER BY id")
    assert done["after"]["sent"] == f"bytes 0 to {SIZE} of {SIZE}"
    assert cut["after"]["sent"] == "cut off after 1048576 bytes: Pack packs/ab/ab.pack is damaged at offset 144."
    assert len(office.app.kernel.seats) == 0


def test_damage_at_the_beginning_is_an_answer(office: Api, rows: Stock) -> None:
    """As long as nothing was sent the envelope can tell."""
    url = f"/repository/{rows.live_record()}/file?path=/damaged"
    answer = office.get(url, headers={"Range": "bytes=1048576-"})

    assert answer.status_code == 500
    assert "damaged at offset 144" in answer.json()["message"]


def test_a_caller_that_leaves_costs_nothing_more(office: Api, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No further part is asked for than the one that was on its way; the seat is free again."""
    asked: list[int] = []
    ask = downloads.part

    async def counted(hosts: Any, record: Any, path: str, offset: int, length: int) -> Any:
        asked.append(offset)
        return await ask(hosts, record, path, offset, length)

    monkeypatch.setattr(downloads, "part", counted)
    caller = _Caller(office, url, takes=3)

    async def scenario() -> None:
        async with asyncio.timeout(300):
            running = asyncio.create_task(caller.run())
            await caller.full.wait()
            caller.gone.set()
            await running

    office.run(scenario())

    assert asked == [0, 1 << 20]
    assert len(office.app.kernel.seats) == 0


def test_a_caller_that_does_not_read_is_cut_off(office: Api, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds two parts in memory, so it may not do so for ever."""
    monkeypatch.setattr("rubackup.api.files.SEND_SECONDS", 0.05)
    caller = _Caller(office, url, takes=2)
    office.run(asyncio.wait_for(caller.run(), 300))

    assert caller.aborted
    assert len(office.app.kernel.seats) == 0


def test_downloads_at_once_are_bounded(office: Api, url: str) -> None:
    """One user has so many, then 429 with Retry-After; a seat that is left can be taken again."""
    callers = [_Caller(office, url, takes=2) for _ in range(MAX_DOWNLOADS_OF_USER)]

    async def scenario() -> tuple[int, int]:
        async with asyncio.timeout(300):
            running = [asyncio.create_task(one.run()) for one in callers]
            for one in callers:
                await one.full.wait()
            refused = await office.send("GET", url)
            for one in callers:
                one.gone.set()
            await asyncio.gather(*running)
            return refused.status_code, (await office.send("GET", url)).status_code

    assert office.run(scenario()) == (429, 200)


# --- links ---


def _link(office: Api, rows: Stock, path: str = "/home/report") -> str:
    answer = office.post(f"/repository/{rows.live_record()}/file_link", {"data": {"path": path}})
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"]["size_bytes"] == SIZE
    found: str = answer.json()["data"]["url"]
    return found


def test_a_link_needs_no_login(office: Api, rows: Stock) -> None:
    """Whoever has it gets that file, and ranges of it; the audit names who made it."""
    link = _link(office, rows)
    stranger = office.another()
    answer = stranger.get(f"/{link}", headers={"Range": "bytes=-4"})

    assert (answer.status_code, answer.content) == (206, FILE[-4:])
    assert stranger.request("HEAD", f"/{link}").headers["content-length"] == str(SIZE)
    assert 'filename="report"' in stranger.get(f"/{link}").headers["content-disposition"]
    made, used = office.fetch("SELECT user_name, path, after FROM audit WHERE path LIKE '%file%' ORDER BY id")[:2]
    assert made["user_name"] == used["user_name"] != ""
    assert used["path"] == "/api/v1/repository/linked_file"
    assert "link=" not in str(dict(made)) + str(dict(used))


def test_a_link_is_good_for_what_it_was_made_for(office: Api, rows: Stock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Changed in any byte, or too old, it opens nothing: 401 without a reason."""
    link = _link(office, rows)
    head, _, text = link.partition("=")
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    for at in (0, 31, 32, 40, len(data) - 1):
        changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        answer = office.get(f"/{head}={base64.urlsafe_b64encode(changed).decode().rstrip('=')}")
        assert (answer.status_code, answer.json()["message"]) == (401, "Verification failed")
    padded = text + "=" * (-len(text) % 4 or 4)
    for wrong in ("x", "ä", "A" * 100, text + "AAAA", padded, text + "==", text[:9] + "." + text[9:], text + "%0A"):
        assert office.get(f"/{head}={wrong}").status_code == 401
    assert office.get(f"/{head}=").status_code == 400

    links = office.app.kernel.links
    monkeypatch.setattr(links, "_now", lambda now=links._now: now() + downloads.LINK_SECONDS + 1)
    assert office.get(f"/{link}").status_code == 401


def test_a_link_has_its_makers_rights_of_the_moment(office: Api, rows: Stock) -> None:
    """It dies with the rights, with the user, and with the API token that it was made with."""
    who = office.user("sina", Role.SUPERVISOR)
    link = _link(who, rows)
    token = who.post("/tokens", {"data": {"name": "job"}}).json()["data"]
    scripted = office.another()
    scripted.headers = {"Authorization": f"Bearer {token['token']}"}
    by_token = _link(scripted, rows)
    nobody = office.another()

    assert nobody.get(f"/{by_token}").status_code == nobody.get(f"/{link}").status_code == 200
    assert who.delete(f"/tokens/{token['id']}").status_code == 200
    assert nobody.get(f"/{by_token}").status_code == 401
    office.execute("DELETE FROM supervisors")
    assert nobody.get(f"/{link}").status_code == 403
    office.execute("DELETE FROM users WHERE username = 'sina'")
    assert nobody.get(f"/{link}").status_code == 401


def test_a_link_ends_with_the_session_that_made_it(office: Api, rows: Stock) -> None:
    """A logout takes it back at once; the same user's next session, and links of it, are another matter."""
    who = office.user("lena", Role.SUPERVISOR)
    link = _link(who, rows)
    nobody = office.another()
    before = nobody.get(f"/{link}").status_code
    other = office.another()
    other.login("lena")
    assert who.delete("/auth/logout").status_code == 200

    assert (before, nobody.get(f"/{link}").status_code) == (200, 401)
    assert nobody.get(f"/{_link(other, rows)}").status_code == 200


def test_a_link_is_only_made_to_a_file(office: Api, rows: Stock) -> None:
    """What could not be downloaded gets none."""
    record = rows.live_record()

    def status(path: str) -> int:
        return office.post(f"/repository/{record}/file_link", {"data": {"path": path}}).status_code

    assert (status("/folder"), status("/offline"), status("home")) == (404, 503, 400)
