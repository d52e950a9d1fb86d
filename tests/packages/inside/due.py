"""Run by the installation's own Python inside a container: certificates that are to be renewed, in place of new ones.

As the installation would have them after ten months: same keys and names, signed by its own authority, 300 of 365 days old.
"""

import datetime as dt
import sys

from rubackup.roles import authority
from rubackup.roles.installed.bundle import put
from rubackup.roles.installed.config_file import read_hwid
from rubackup.roles.installed.layout import Layout
from rubackup.wire import pki

layout = Layout.here()
issuing = pki.Authority(key_pem=layout.issuing_key.read_bytes(), cert_pem=layout.issuing_certificate.read_bytes())
for role in sys.argv[1:]:
    names = authority.names_of(layout.certificate(role)) if role == "api" else []
    addresses = [name for name in names if name.replace(".", "").isdigit() or ":" in name]
    issued = pki.issue(
        issuing, pki.make_csr(layout.key(role).read_bytes(), role), role=role, hwid=read_hwid(role, layout),
        now=dt.datetime.now(dt.UTC) - dt.timedelta(days=300),
        dns_names=[name for name in names if name not in addresses], addresses=addresses,
    )  # fmt: skip
    put(layout.certificate(role), issued.chain_pem)
