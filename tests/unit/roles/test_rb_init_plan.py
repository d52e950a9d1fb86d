"""What `rb_init` refuses before it changes anything; bundles that are damaged or for another host."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rubackup.domain.errors import Conflict
from rubackup.roles import authority
from rubackup.roles.init.plan import Plan, read_password
from rubackup.roles.installed.bundle import Bundle, install_bundle, read_bundle, write_bundle
from rubackup.roles.installed.layout import Layout
from rubackup.roles.settings import ConfigurationFault
from rubackup.wire import pki


@pytest.mark.parametrize(
    ("plan", "told"),
    [
        (
            Plan("laptop"),
            "-n must be one of primary-server, secondary-server, media-server, client, autonomous-client, not 'laptop'",
        ),
        (Plan("client", primary="a b"), "-c must be a list of addresses"),
        (Plan("client", fingerprint="12"), "--fingerprint must be the SHA-256 of the root certificate"),
        (Plan("primary-server", db_port=0), "--db-port must be a port from 1 to 65535"),
        (Plan("primary-server", superuser_password="short"), "must have 8 to 1024 characters"),
        (Plan("primary-server", storage=Path("pool")), "-f must be an absolute folder"),
        (Plan("client", storage=Path("/srv")), "-f means nothing to the node client; it is for primary-server"),
        (Plan("autonomous-client", alone=Path("/srv/../etc")), "-a must be an absolute folder"),
        (Plan("client", local=Path("/etc/hosts")), "-l must be a folder, and /etc/hosts is something else"),
        (Plan("client", hostname="a b"), "--hostname must be a host name"),
    ],
)
def test_a_wrong_answer_is_named(plan: Plan, told: str) -> None:
    """With the flag and what is allowed."""
    with pytest.raises(ConfigurationFault, match=told):
        plan.check()


def test_a_password_is_never_an_argument(tmp_path: Path) -> None:
    """A password in place of the file's name is refused without being said again, and so is an empty file."""
    with pytest.raises(ConfigurationFault, match="-X names a file with the password, as every user of a host sees"):
        read_password(tmp_path / "secret", "-X")
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(ConfigurationFault, match="is empty"):
        read_password(tmp_path / "empty", "-X")


def bundle(host: str) -> Bundle:
    """What a primary server would write."""
    root = pki.make_root(datetime.now(UTC))
    issuing = pki.make_issuing(root, datetime.now(UTC))
    key, hwid = pki.new_key_pem(), "a" * 64
    chain = authority.leaf(issuing, "api", hwid, key, [host])
    return Bundle(
        role="api", host=host, hwid=hwid, key=key.decode(), certificate=chain.decode(), root=root.cert_pem.decode(),
        database="rubackup", database_user="rubackup", database_password="secret",
    )  # fmt: skip


def test_a_bundle_is_private_and_not_overwritten(tmp_path: Path) -> None:
    """Mode 0600; what it is printed as has no secret."""
    path = tmp_path / "api.bundle"
    write_bundle(path, bundle("api.example"))

    assert path.stat().st_mode & 0o777 == 0o600
    assert "secret" not in repr(read_bundle(path, "api"))
    with pytest.raises(Conflict, match="delete it, or name another with --to"):
        write_bundle(path, bundle("api.example"))


def test_a_bundle_for_another_name_is_refused(tmp_path: Path) -> None:
    """APP_HOST comes first: the certificate has to be for it."""
    write_bundle(tmp_path / "b", bundle("api.example"))

    with pytest.raises(ConfigurationFault, match=r"is for api.example, but APP_HOST is other: set APP_HOST in"):
        install_bundle(Layout(tmp_path), tmp_path / "b", "other")


def test_a_damaged_bundle_is_refused(tmp_path: Path) -> None:
    """One that lacks a part, has a part more, or whose certificate does not lead to its root."""
    path = tmp_path / "b"
    write_bundle(path, bundle("api.example"))
    good = json.loads(path.read_text())

    for wrong, told in (
        ({**good, "root": bundle("x").root}, "does not lead to the root"),
        ({key: value for key, value in good.items() if key != "key"}, "is not a file of rb_init"),
        ({**good, "more": 1}, "is not a file of rb_init"),
        ({**good, "role": "server"}, "is for a server"),
    ):
        path.write_text(json.dumps(wrong))
        with pytest.raises(ConfigurationFault, match=told):
            read_bundle(path, "api")


def test_a_leaf_is_renewed_when_it_lacks_a_name_or_is_old(tmp_path: Path) -> None:
    """And not otherwise, nor when the key is another than the certificate's."""
    made = bundle("api.example")
    key, chain = tmp_path / "key", tmp_path / "chain"
    key.write_text(made.key)
    chain.write_text(made.certificate)
    in_nine_months = datetime.fromtimestamp(datetime.now(UTC).timestamp() + 270 * 86_400, UTC)

    assert authority.covers(chain, key, ["API.example"])
    assert not authority.covers(chain, key, ["other.example"])
    assert not authority.covers(chain, key, ["api.example"], in_nine_months)
    key.write_bytes(pki.new_key_pem())
    assert not authority.covers(chain, key, ["api.example"])
