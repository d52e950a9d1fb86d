"""What `rb_init` does on an installation that is there: passwords, blocks, certificates, files for further hosts."""

from __future__ import annotations

import asyncio
import subprocess

from rubackup.catalog.migrate import finish
from rubackup.domain.errors import NotFound, StorageFault
from rubackup.roles import token_secret
from rubackup.roles.init import api_renewal
from rubackup.roles.init.audited import change_of
from rubackup.roles.init.folders import Tell
from rubackup.roles.init.nodes import api_name, catalogue_address
from rubackup.roles.init.plan import PASSWORD_LENGTHS
from rubackup.roles.installed import alone
from rubackup.roles.installed.certificate import renew
from rubackup.roles.installed.layout import Layout
from rubackup.roles.settings import ConfigurationFault
from rubackup.roles.up.catalogue import SUPERUSER_PASSWORD
from rubackup.roles.up.state import write_text
from rubackup.services import users

SUPERUSER = "rubackup"


def change_password(layout: Layout, user: str, password: str) -> None:
    """Give a user another password; all of the user's sessions end. NotFound when there is no such user."""
    if len(password) not in PASSWORD_LENGTHS:
        raise ConfigurationFault("The password must have 8 to 1024 characters.")

    async def work() -> None:
        async with change_of(catalogue_address(layout), "rb_init --passwd", "users") as change:
            found = await change.db.fetchval("SELECT id FROM users WHERE username = $1", user)
            if found is None:
                raise NotFound(f"There is no user {user}.")
            change.row_ids.append(found)
            await users.update(change, found, users.UserChange(new_password=password))

    asyncio.run(work())
    if user == SUPERUSER and (state := alone.state_of(layout)) is not None:
        write_text(state.secret(SUPERUSER_PASSWORD), password + "\n")  # with which this host's root logs in


def unlock(layout: Layout, user: str) -> int:
    """Forget a name's failed logins, from whatever network; how many networks there were."""

    async def work() -> int:
        async with change_of(catalogue_address(layout), "rb_init --unlock", "users") as change:
            rows = await change.db.fetch("DELETE FROM login_failures WHERE name = $1 RETURNING network", user)
            change.before = {"username": user, "blocked_from": sorted(row["network"] for row in rows)}
            return len(rows)

    return asyncio.run(work())


def renew_all(layout: Layout, tell: Tell) -> list[str]:
    """New leaves for the server and API of this host where they are due; the roles that have got one.

    On a host without the issuing CA a server gives the API's; agents renew theirs themselves.
    """
    if not layout.issuing_key.exists():
        return ["api"] if api_renewal.renew(layout, tell) else []
    renewed = []
    for role, names in (("server", ()), ("api", (api_name(layout),))):
        if layout.hwid(role).exists() and renew(layout, role, names):
            tell(f"A new certificate: {layout.certificate(role)}.")
            renewed.append(role)
    return renewed


def keep_token_secret(layout: Layout, tell: Tell) -> None:
    """Make the secret of this host's API where there is none: its service may not write there, and this runs before each start."""
    if not layout.hwid("api").exists():
        return
    try:
        token_secret.keep(layout.token_secret)
    except (StorageFault, ConfigurationFault) as error:  # the API starts all the same, or says it too
        tell(error.message)


def finish_upgrade(layout: Layout) -> None:
    """Both halves of this version's migrations: no process of an older version may run any more."""
    asyncio.run(finish(catalogue_address(layout)))


def use_new(renewed: list[str]) -> None:
    """Let the services of this host, those that run, take their new certificates."""
    for role in renewed:
        verb = "try-reload-or-restart" if role == "api" else "try-restart"  # a server reads its own when it starts
        subprocess.run(["systemctl", verb, f"rubackup_{role}.service"], check=False)
