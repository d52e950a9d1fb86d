"""The guide's dedicated host: API, PostgreSQL, primary server and a client on hosts of their own, each with its certificate."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from packages.container import Container, booted
from packages.network import INTERFACE, network
from packages.office import Office
from packages.walk import ORDER, PASSWORD, Walk

NAMES = ("rb-db", "rb-primary", "rb-api", "rb-client")
API = "rb-api"
URL = f"https://{API}:5656"
ENVIRONMENT = f"APP_HOST={API}\nAPP_PORT=5656\nDB_HOST=rb-db\nDB_PORT=5432\nRB_SERVER_HOST=rb-primary\nDEBUG=False\n"
UNITS = "/opt/rubackup/etc/systemd/system"


def walk(packages: Path, lower: Path, work: Path) -> None:
    """Four containers in four network namespaces, set up step by step."""
    with network(NAMES) as addresses, contextlib.ExitStack() as stack:
        hosts = {name: Walk(stack.enter_context(booted(name, lower, work, name))) for name in NAMES}
        lines = "".join(f"{address} {name}\n" for name, address in addresses.items())
        for one in hosts.values():
            one.host.write("/etc/hosts", f"127.0.0.1 localhost\n{lines}")
        _database(hosts["rb-db"])
        fingerprint = _primary(hosts["rb-primary"], packages)
        _api(hosts[API], hosts["rb-primary"].host, packages)
        _client(hosts["rb-client"], hosts[API].host, packages, fingerprint)
        _renamed(hosts[API], hosts["rb-primary"].host)


def _database(site: Walk) -> None:
    site.step("rb-db: PostgreSQL listens for the other hosts")
    host = site.host
    conf = "/etc/postgresql/15/main"
    host.run(
        f"printf \"listen_addresses = '*'\\nsuperuser_reserved_connections = 50\\nmax_connections = 200\\n\" >>{conf}/postgresql.conf"
    )
    host.run(f"echo 'host all all 10.77.0.0/24 scram-sha-256' >>{conf}/pg_hba.conf")
    host.run("systemctl restart postgresql@15-main")
    host.run("psql -c \"ALTER USER postgres PASSWORD 'the-databases-own'\"", user="postgres")


def _primary(site: Walk, packages: Path) -> str:
    site.step("rb-primary: packages, rb_init with the database elsewhere, services")
    host = site.host
    site.install(packages, ORDER[:3], "/root/packages")
    host.write("/root/postgres", "the-databases-own\n")
    host.write("/root/superuser", PASSWORD)
    said = host.run(
        f"rb_init -y -n primary-server -H rb-db -X /root/postgres -Y /root/superuser -i {INTERFACE} --hostname rb-primary"
    )
    for unit in ("server", "media", "client"):
        host.run(f"systemctl enable {UNITS}/rubackup_{unit}.service")
        host.run(f"systemctl start rubackup_{unit} || (journalctl -u rubackup_{unit} --no-pager; exit 1)")
    found = re.search(r"fingerprint ([0-9a-f]{64})", said)
    assert found is not None, said
    return found[1]


def _api(site: Walk, primary: Container, packages: Path) -> None:
    site.step("rb-api: packages, no rb_init; the start says what is missing")
    host = site.host
    site.install(packages, ORDER, "/root/packages")
    host.write("/opt/rubackup/etc/rubackup_api.env", ENVIRONMENT)
    said = host.run("rubackup_api --start", status=78)
    assert f"run rb_init --enroll-api {API} on the primary server" in said, said
    site.step("rb-primary writes the file, rb-api takes it over")
    _enroll(host, primary)
    host.run(f"systemctl enable {UNITS}/rubackup_api.service && systemctl daemon-reload")
    host.run("systemctl start rubackup_api.service || (journalctl -u rubackup_api --no-pager; exit 1)")
    assert "active (running)" in host.run("systemctl status rubackup_api.service")
    assert "Nothing is wrong." in host.run("rubackup config check")


def _enroll(host: Container, primary: Container, name: str = API) -> None:
    primary.run(f"rm -f /root/api.bundle && rb_init --enroll-api {name} --to /root/api.bundle")
    host.bring(primary.root / "root/api.bundle", "/root/api.bundle")
    host.run("rubackup_api --enroll /root/api.bundle && rm /root/api.bundle")


def _client(site: Walk, api: Container, packages: Path, fingerprint: str) -> None:
    site.step("rb-client: packages, rb_init by fingerprint, service; an administrator authorises it")
    host = site.host
    site.install(packages, ORDER[:2], "/root/packages")
    said = host.run(f"rb_init -y -n client -c rb-primary --fingerprint {fingerprint}")
    key = re.search(r"its key: ([0-9a-f]{64})", said)
    assert key is not None, said
    host.run(f"systemctl enable --now {UNITS}/rubackup_client.service")
    office = Office(api, URL, PASSWORD)
    (waiting,) = office.items("/unauthorised_clients")
    assert waiting["fingerprint"] == key[1], waiting
    office.call("POST", "/clients/authorize", {"data": {"clients_ids": [waiting["id"]]}})
    host.until("journalctl -u rubackup_client --no-pager -o cat | grep -q 'connected to server rb-primary'")
    site.step("a backup of rb-client to rb-primary, and a restore")
    client = office.client("rb-client")["client"]
    office.done(office.backup("/usr/share/perl5", client))
    record = office.items("/repository?sort_by=id&sort_order=desc")[0]["id"]
    office.done(office.restore(record, client, "/srv/restored"))
    host.run("diff -r --no-dereference /usr/share/perl5 /srv/restored/usr/share/perl5")
    site.step("folders of rb-client are listed through rb-primary")
    asked = {"data": [{"client_hwid": office.client("rb-client")["hwid"], "path": "/srv"}]}
    found = office.call("POST", "/list_client_filesystem", asked)
    assert "restored" in str(found["data"]), found


def _renamed(site: Walk, primary: Container) -> None:
    site.step("rb-api gets another APP_HOST: refused until the primary server has issued for it")
    host = site.host
    host.run("sed -i 's/^APP_HOST=.*/APP_HOST=backup.example/' /opt/rubackup/etc/rubackup_api.env")
    host.run("echo 10.77.0.3 backup.example >>/etc/hosts")
    host.run("systemctl restart rubackup_api", status=1)
    assert "is not for APP_HOST backup.example" in host.run("journalctl -u rubackup_api --no-pager -o cat -n 20")
    _enroll(host, primary, "backup.example")
    host.run("systemctl restart rubackup_api")
    host.run("curl -sf --cacert /opt/rubackup/keys/rootCA/serverRootCACert.crt https://backup.example:5656/healthz")
