"""The timer that renews certificates: it fires, and services go on with what is new."""

from __future__ import annotations

from pathlib import Path

from packages.walk import NAME, Walk

PYTHON = "/opt/rubackup/lib/venv/bin/python -I"
STAMP = "/var/lib/systemd/timers/stamp-rubackup_renew.timer"
SERVED = {"api": f"{NAME}:5656", "server": "127.0.0.1:9991"}


def renewal(site: Walk) -> None:
    """Certificates ten months old are served; the timer comes; connections get new ones, and a backup works."""
    host = site.host
    site.step("certificates of server and API are made ten months old, services take them")
    host.bring(Path(__file__).parent / "inside/due.py", "/root/due.py")
    host.run(f"{PYTHON} /root/due.py server api")
    # a start would renew them: the processes get them as they run
    host.run("systemctl kill -s HUP rubackup_api")
    old = {role: serial(site, where) for role, where in SERVED.items()}
    taken = "openssl x509 -in /opt/rubackup/keys/api/apiCert.crt -noout -serial"
    host.until(f"{taken} | grep -qx serial={serial(site, SERVED['api'])}", 10)
    old["api"] = serial(site, SERVED["api"])
    pid = host.run("systemctl show -P MainPID rubackup_api").strip()
    site.step("the timer has missed three days (its random delay is left out): it fires")
    host.write("/etc/systemd/system/rubackup_renew.timer.d/now.conf", "[Timer]\nRandomizedDelaySec=0\n")
    host.run(f"systemctl stop rubackup_renew.timer && touch -d '3 days ago' {STAMP}")
    host.run("systemctl daemon-reload && systemctl start rubackup_renew.timer")
    host.until(
        "journalctl -u rubackup_renew --no-pager -o cat | grep -q 'A new certificate: /opt/rubackup/keys/api/apiCert.crt'"
    )
    host.until("systemctl show -P ActiveState rubackup_renew.service | grep -qx inactive")
    assert "Result=success" in host.run("systemctl show -p Result rubackup_renew.service")
    for role, where in SERVED.items():
        file = f"/opt/rubackup/keys/{role}/{role}Cert.crt"
        host.until(f"openssl x509 -in {file} -noout -checkend {300 * 86400}")
        host.until(f"openssl x509 -in {file} -noout -serial | grep -qx serial={serial(site, where)}")
        assert serial(site, where) != old[role], f"{role} goes on with the old certificate"
    assert host.run("systemctl show -P MainPID rubackup_api").strip() == pid, "the API was restarted, not reloaded"
    office = site.office()
    office.until_online(host.name)
    office.done(office.backup("/etc", office.client()["client"]))
    site.step("renewed; the API took it without a restart, a backup works")


def catalogue(site: Walk) -> None:
    """The other timer's service writes the service database into a file that only root may read."""
    site.step("the service of the other timer backs the service database up")
    site.host.run("systemctl enable --now /opt/rubackup/etc/systemd/system/rubackup_catalogue.timer")
    site.host.run("systemctl start rubackup_catalogue || (journalctl -u rubackup_catalogue --no-pager; exit 1)")
    found = site.host.run("find /var/lib/rubackup-catalogue -type f -size +10k -printf '%m %u\\n'")
    assert found == "600 root\n", found


def serial(site: Walk, where: str) -> str:
    """The serial number of the certificate that is served."""
    said = site.host.run(f"openssl s_client -connect {where} </dev/null 2>/dev/null | openssl x509 -noout -serial")
    return said.strip().removeprefix("serial=")
