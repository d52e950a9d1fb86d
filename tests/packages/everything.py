"""What a client must be able to do under its hardened unit: files of every kind copied and restored, scripts run as root."""

from __future__ import annotations

from pathlib import Path

from packages.walk import Walk

PLACES = ("/srv/kinds", "/usr/lib/modules/0-test", "/home/user", "/tmp/kinds", "/root/kinds")
"""Where a unit's protections might hide or lock something."""
HERE = Path(__file__).parent / "inside"
WITHIN = """set -e
mkdir -p /mnt/within
mount -t tmpfs -o ro,nosuid,nodev,noexec none /mnt/within
mountpoint -q /mnt/within && echo mounted
runuser -u postgres -- true && echo open: another user
unshare --net true && echo open: namespaces
test -n "$(pgrep -u postgres)" && echo open: processes
echo 1 2>/dev/null >/proc/sys/kernel/sysrq && echo open: kernel settings
head -c1 /dev/kmsg && echo open: kernel log
mkdir /sys/fs/cgroup/within && echo open: control groups
umount /mnt/within
"""
"""What bash does in such a unit; `&&` after a failure does not end it."""


class Everything:
    """One host whose client is tried."""

    def __init__(self, site: Walk) -> None:
        self._site = site
        self._host = site.host
        self._office = site.office()
        self._host.bring(HERE / "kinds.py", "/root/kinds.py")

    def copy_and_back(self) -> None:
        """Devices, owners, set-uid, capabilities, ACLs, attributes, holes, names that are no text: restored as they were."""
        host, client = self._host, self._office.client()["client"]
        self._site.step("files of every kind, in places that a unit could hide: copied, deleted, restored in place")
        host.run("useradd --create-home --shell /bin/bash user")
        for place in PLACES:
            host.run(f"python3.11 /root/kinds.py make {place}")
            before = host.run(f"python3.11 /root/kinds.py list {place}")
            assert "blockdevice 7:200" in before, before
            self._office.done(self._office.backup(place, client))
            record = self._office.newest_record()
            host.run(f"python3.11 /root/kinds.py look {place} && rm -rf {place}")
            self._office.done(self._office.restore(record, client, "/"))
            after = host.run(f"python3.11 /root/kinds.py list {place}")
            assert before == after, f"{place}\n{before}\n{after}"

    def scripts(self) -> None:
        """A rule's script has all that root has: it becomes another user, sees processes, mounts for the whole host."""
        host, client = self._host, self._office.client()["client"]
        self._site.step("a script of a rule: runuser, pgrep, mount; its exit status; ended with the client")
        host.run("mkdir -p /srv/scripts /mnt/here")
        host.write(
            "/srv/scripts/all",
            "#!/bin/bash\nset -e\nrunuser -u postgres -- psql -Atc 'select 6*7'\nsudo -n -u postgres id -un\n"
            "pgrep -u postgres postgres >/dev/null && echo seen\nmount -t tmpfs none /mnt/here\nmountpoint -q /mnt/here && echo $RUBACKUP_STATUS\nexit 5\n",
        )
        host.write("/srv/scripts/signal", "#!/bin/bash\nkill -9 $$\n")
        host.write("/srv/scripts/long", "#!/bin/bash\necho $$ >/srv/scripts/pid\nsleep 300 & wait\n")
        host.run("chmod 755 /srv/scripts/*")
        log = self._run("/srv/scripts/all", client, "ended with exit code 5")
        for line in ("42", "postgres", "seen", "Done"):
            assert f"/srv/scripts/all: {line}" in log, log
        host.run("mountpoint /mnt/here && umount /mnt/here")
        assert "by signal 9" in self._run("/srv/scripts/signal", client, "was ended by signal")
        self._run("/srv/scripts/long", client, "begins")
        pid = host.until("cat /srv/scripts/pid").strip()
        host.run("systemctl restart rubackup_client")
        host.run(f"test ! -e /proc/{pid}")
        left = host.run("systemctl list-units --all --no-legend 'rubackup-script-*'")
        assert left.strip() == "", left

    def limits(self) -> None:
        """In a unit with the client's own limits: a snapshot could be mounted, and what is said to be closed is closed."""
        self._site.step(
            "within the limits of the client's unit: mount works; runuser, unshare and /proc of others do not"
        )
        host = self._host
        unit = host.read("/opt/rubackup/etc/systemd/system/rubackup_client.service")
        kept = [line for line in unit.splitlines() if not line.startswith(("ExecStart=", "Type=", "Restart"))]
        kept.insert(kept.index("[Service]") + 1, "Type=oneshot\nExecStart=/bin/bash /root/within")
        host.write("/etc/systemd/system/within.service", "\n".join(kept) + "\n")
        host.write("/root/within", WITHIN)
        host.run(
            "systemctl daemon-reload && systemctl start within || (journalctl -u within --no-pager -o cat; exit 1)"
        )
        told = host.run("journalctl -u within --no-pager -o cat")
        assert "mounted" in told, told
        assert "open: " not in told, told
        assert host.run("mountpoint /mnt/within", status=32), "a snapshot was mounted for the whole host"
        host.run("rm /etc/systemd/system/within.service && systemctl daemon-reload")

    def _run(self, script: str, client: str, wanted: str) -> str:
        """Copy something small by a rule with this script; the task's log once it has the wanted words."""
        return self._office.log_with(self._office.run_rule("/srv/scripts", client, notify_normal_script=script), wanted)
