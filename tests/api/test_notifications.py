"""Notifications: who sees which."""

from __future__ import annotations

from rubackup.domain.permissions import Role
from support.api import Api
from support.fixtures import Stock


def seen(caller: Api) -> set[int]:
    """The ids in the list."""
    answer = caller.get("/notifications", params={"limit": 1000})
    assert answer.status_code == 200, answer.text
    return {item["id"] for item in answer.json()["data"]["items"]}


def test_each_role_sees_what_is_about_its_own(office: Api, rows: Stock) -> None:
    """Administrators those of their clients, maintainers of their servers, strategy administrators of their strategies."""
    group, media, strategy = rows.client_group(), rows.media_server(), rows.strategy()
    of_client = rows.notification(client=rows.client(group=group))
    of_media = rows.notification(media_server_id=media)
    of_strategy = rows.notification(strategy_id=strategy)

    assert seen(rows.administrator(group)) == {of_client}
    assert seen(rows.maintainer(media)) == {of_media}
    assert seen(rows.strategy_administrator(strategy)) == {of_strategy}
    assert seen(office) == seen(office.user("eye", Role.AUDITOR)) == {of_client, of_media, of_strategy}
    assert rows.administrator(group).get(f"/notifications/{of_media}").status_code == 404


def test_what_is_for_the_own_user_group_is_seen(rows: Stock) -> None:
    """Whatever it is about; the group Nobody is nobody's, though users are in it."""
    group, told = rows.client_group(), rows.user_group()
    nobody = rows.row("SELECT id FROM user_groups WHERE name = 'Nobody'")["id"]
    mine, others = rows.notification(user_group_id=told), rows.notification(user_group_id=nobody)
    caller = rows.administrator(group)
    user = rows.row("SELECT user_id FROM administrators WHERE client_group_id = $1", group)["user_id"]

    assert seen(caller) == set()
    rows.api.execute("UPDATE users SET group_id = $2 WHERE id = $1", user, told)
    assert seen(caller) == {mine}
    rows.api.execute("UPDATE users SET group_id = $2 WHERE id = $1", user, nobody)
    assert others not in seen(caller)


def test_they_go_with_a_client_that_changes_its_group(office: Api, rows: Stock) -> None:
    """They outlive the client; the group that was told may go, too."""
    old, new, told = rows.client_group(), rows.client_group(), rows.user_group()
    client = rows.client(group=old)
    notice = rows.notification(client=client, user_group_id=told)

    office.patch(f"/clients/{client}", {"data": {"group_id": new}})
    assert (seen(rows.administrator(old)), seen(rows.administrator(new))) == (set(), {notice})

    assert office.delete(f"/user_groups/{told}").status_code == 200
    row = office.get(f"/notifications/{notice}").json()["data"]
    assert (row["user_group"], row["client_ref"], row["status"]) == (None, client, "New")
    office.delete(f"/clients/{client}")
    assert office.get(f"/notifications/{notice}").json()["data"]["client_ref"] is None


def test_notifications_are_only_read(office: Api, rows: Stock) -> None:
    """Nobody writes or deletes one by the API."""
    notice = rows.notification()

    assert office.delete(f"/notifications/{notice}").status_code == 405
    assert office.patch(f"/notifications/{notice}", {"data": {"status": "Sent"}}).status_code == 405
