"""Certificates: what the authority signs, what it refuses, and what can be read of them."""

from __future__ import annotations

import hashlib
import stat
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from rubackup.domain import errors
from rubackup.wire import certificates, pki
from support.wire import CLIENT, MEDIA

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ROOT = pki.make_root(NOW)
ISSUING = pki.make_issuing(ROOT, NOW)
KEY = pki.new_key_pem()
CSR = pki.make_csr(KEY, "client.example")


def issue(**changes):
    return pki.issue(ISSUING, CSR, **{"role": "client", "hwid": CLIENT, "now": NOW} | changes)


def leaf_of(issued):
    return x509.load_pem_x509_certificates(issued.chain_pem)[0]


def der(certificate):
    return certificate.public_bytes(serialization.Encoding.DER)


def self_signed(names):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, NOW, NOW + timedelta(days=1))
    if names is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
    return der(builder.sign(key, hashes.SHA256()))


@pytest.mark.parametrize(("role", "hwid"), [("client", CLIENT), ("media", MEDIA), ("server", MEDIA), ("api", MEDIA)])
def test_a_leaf_names_its_role_and_hwid(role, hwid):
    """Who holds a certificate is read from its URI, beside the serial number that can be revoked."""
    issued = issue(role=role, hwid=hwid)

    assert pki.identity_of(der(leaf_of(issued))) == pki.Identity(role, hwid, issued.serial, issued.fingerprint)


@pytest.mark.parametrize(
    ("role", "hwid"),
    [("root", CLIENT), ("client", "B" * 16), ("client", "b" * 15), ("client", "b" * 16 + "/x"), ("client", "")],
)
def test_no_leaf_for_a_name_that_could_not_be_read_back(role, hwid):
    """Roles and hwids are checked before anything is signed."""
    with pytest.raises(errors.Invalid):
        issue(role=role, hwid=hwid)


def test_a_leaf_takes_nothing_but_the_key_from_the_request():
    """A host cannot ask for names, rights or a longer life."""
    leaf = leaf_of(issue())

    assert leaf.subject.rfc4514_string() == f"CN={CLIENT}"
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert leaf.not_valid_after_utc == NOW + timedelta(days=365)


def test_the_chain_leads_from_leaf_to_root():
    """Each certificate is signed by the next, and the path lengths allow no further CA."""
    leaf, issuing = x509.load_pem_x509_certificates(issue().chain_pem)
    root = x509.load_pem_x509_certificate(ROOT.cert_pem)

    leaf.verify_directly_issued_by(issuing)
    issuing.verify_directly_issued_by(root)
    depths = [c.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length for c in (issuing, root)]
    assert depths == [0, 1]


def test_a_leaf_never_outlives_its_issuer():
    """A certificate that could not be verified any more would only mislead."""
    issuing = pki.make_issuing(ROOT, NOW, years=1)

    issued = pki.issue(issuing, CSR, role="client", hwid=CLIENT, now=NOW, days=3650)

    assert issued.not_after == x509.load_pem_x509_certificate(issuing.cert_pem).not_valid_after_utc


def test_an_expired_authority_signs_nothing():
    """The reason is told, instead of a certificate that nobody accepts."""
    with pytest.raises(errors.SystemFault, match="expired"):
        issue(now=NOW + timedelta(days=366 * 10))


@pytest.mark.parametrize("hostname", ["", "x" * 300, "ж" * 40, "\udcff"])
def test_any_hostname_makes_a_request(hostname):
    """The name in a request is only a hint and is cut to what fits."""
    assert pki.csr_fingerprint(pki.make_csr(KEY, hostname)) == pki.csr_fingerprint(CSR)


def test_names_and_addresses_of_an_api_stand_in_its_leaf():
    """Browsers and curl find the host they asked for."""
    leaf = leaf_of(issue(role="api", hwid=MEDIA, dns_names=["localhost"], addresses=["127.0.0.1", "::1"]))

    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert [str(a) for a in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]


@pytest.mark.parametrize("names", [{"dns_names": ["schön"]}, {"addresses": ["300.1.1.1"]}])
def test_names_that_no_certificate_can_hold_are_refused(names):
    """A bad setting is the caller's mistake, told as one."""
    with pytest.raises(errors.Invalid, match="cannot stand"):
        issue(role="api", hwid=MEDIA, **names)


@pytest.mark.parametrize(("role", "hwid"), [("client", CLIENT), ("media", MEDIA), ("server", MEDIA)])
def test_no_other_leaf_has_a_name_or_address(role, hwid):
    """Who believes host names under our root would take any host for the API or the database."""
    issued = issue(role=role, hwid=hwid)
    names = leaf_of(issued).extensions.get_extension_for_class(x509.SubjectAlternativeName).value

    assert list(names) == [x509.UniformResourceIdentifier(f"rubackup://{role}/{hwid}")]
    assert not certificates.has_names(issued.chain_pem)
    for more in ({"dns_names": ["localhost"]}, {"addresses": ["127.0.0.1"]}):
        assert certificates.has_names(issue(role="api", hwid=MEDIA, **more).chain_pem)
        with pytest.raises(errors.Invalid, match="no host names"):
            issue(role=role, hwid=hwid, **more)


@pytest.mark.parametrize(
    ("role", "hwid", "listens"),
    [("client", CLIENT, False), ("media", MEDIA, True), ("server", MEDIA, True), ("api", MEDIA, True)],
)
def test_a_client_cannot_listen(role, hwid, listens):
    """Its leaf is for dialling only; the others are for both."""
    usages = leaf_of(issue(role=role, hwid=hwid)).extensions.get_extension_for_class(x509.ExtendedKeyUsage).value

    wanted = {ExtendedKeyUsageOID.CLIENT_AUTH} | ({ExtendedKeyUsageOID.SERVER_AUTH} if listens else set())
    assert set(usages) == wanted


def test_the_fingerprint_is_that_of_the_key():
    """What an administrator compares is SHA-256 of the public key, before and after signing."""
    public = pki.load_key(KEY).public_key()
    spki = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)

    assert pki.csr_fingerprint(CSR) == hashlib.sha256(spki).hexdigest() == issue().fingerprint


def test_a_request_that_its_key_did_not_sign_is_refused():
    """Nobody gets a certificate for a key of somebody else."""
    other = x509.load_pem_x509_csr(pki.make_csr(pki.new_key_pem(), "client.example"))
    body = x509.load_pem_x509_csr(CSR).public_bytes(serialization.Encoding.DER)
    forged = body.replace(x509.load_pem_x509_csr(CSR).signature, other.signature)
    pem = b"-----BEGIN CERTIFICATE REQUEST-----\n" + _base64(forged) + b"-----END CERTIFICATE REQUEST-----\n"

    with pytest.raises(errors.Invalid):
        pki.csr_fingerprint(pem)


def _base64(data):
    import base64

    return base64.encodebytes(data)


@pytest.mark.parametrize("key", [ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)])
def test_only_keys_of_one_kind_are_signed(key):
    """There is one algorithm to trust: ECDSA P-256."""
    csr = x509.CertificateSigningRequestBuilder(x509.Name([])).sign(key, hashes.SHA256())

    with pytest.raises(errors.Invalid, match="P-256"):
        pki.csr_fingerprint(csr.public_bytes(serialization.Encoding.PEM))


@pytest.mark.parametrize("pem", [b"", b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n", ROOT.cert_pem])
def test_what_is_no_request_is_refused(pem):
    """Anything else than a request is the caller's mistake."""
    with pytest.raises(errors.Invalid):
        pki.csr_fingerprint(pem)


@pytest.mark.parametrize(
    "names",
    [
        None,
        [x509.DNSName("client")],
        [x509.UniformResourceIdentifier("https://client/" + CLIENT)],
        [x509.UniformResourceIdentifier(f"rubackup://client/{CLIENT}/more")],
        [x509.UniformResourceIdentifier(f"rubackup://{role}/{MEDIA}") for role in ("client", "server")],
    ],
)
def test_a_certificate_that_names_nobody_or_two_is_refused(names):
    """There is never a doubt who the other side is."""
    with pytest.raises(errors.WireFault):
        pki.identity_of(self_signed(names))


def test_what_is_no_certificate_names_nobody():
    """Noise is refused like a certificate of somebody else."""
    with pytest.raises(errors.WireFault):
        pki.identity_of(b"noise")


def test_the_root_has_a_fingerprint_of_its_own():
    """A new host is told SHA-256 of the whole root certificate."""
    root = x509.load_pem_x509_certificate(ROOT.cert_pem)

    assert pki.root_fingerprint(ROOT.cert_pem) == hashlib.sha256(der(root)).hexdigest()


def test_the_root_is_given_by_file_or_fingerprint(tmp_path):
    """Colons and capitals of a fingerprint do not matter; a root in hand needs none."""
    file = tmp_path / "root.pem"
    file.write_bytes(ROOT.cert_pem)
    digits = pki.root_fingerprint(ROOT.cert_pem)
    pairs = ":".join(digits[i : i + 2] for i in range(0, 64, 2)).upper()

    assert pki.enrolment_context(file, None).root_pem == ROOT.cert_pem
    assert pki.enrolment_context(None, pairs) == pki.Trust(None, digits)


def test_without_file_and_fingerprint_nobody_is_trusted(tmp_path):
    """There is no trust on first use."""
    for root, fingerprint in ((None, None), (None, ""), (None, "abc"), (tmp_path / "missing", None)):
        with pytest.raises(errors.Invalid):
            pki.enrolment_context(root, fingerprint)


def test_a_root_that_has_another_fingerprint_is_refused(tmp_path):
    """File and fingerprint must agree."""
    file = tmp_path / "root.pem"
    file.write_bytes(ROOT.cert_pem)

    with pytest.raises(errors.Refused):
        pki.enrolment_context(file, "0" * 64)


def test_of_several_roots_the_one_of_the_fingerprint_is_taken():
    """A server that trusts an old and a new root sends both."""
    other = pki.make_root(NOW)
    trust = pki.enrolment_context(None, pki.root_fingerprint(ROOT.cert_pem))

    trust.accept(other.cert_pem + ROOT.cert_pem)

    assert trust.root_pem == ROOT.cert_pem


def test_a_grant_is_for_the_own_key_and_name():
    """A host takes over only a certificate that it can use, under the root it trusts."""
    good = (issue().chain_pem, ROOT.cert_pem, CSR, "client", CLIENT)
    other_csr = pki.make_csr(pki.new_key_pem(), "x")
    other_root = pki.make_root(NOW).cert_pem

    certificates.require_grant(*good)
    for bad in (
        (b"noise", *good[1:]),
        (good[0], other_root, *good[2:]),
        (*good[:2], other_csr, *good[3:]),
        (*good[:3], "media", CLIENT),
        (*good[:4], "c" * 16),
        (good[0].split(b"-----END CERTIFICATE-----")[0] + b"-----END CERTIFICATE-----\n", *good[1:]),
    ):
        with pytest.raises(errors.Refused):
            certificates.require_grant(*bad)


def test_a_private_file_is_the_owners_alone_and_replaced_whole(tmp_path):
    """Keys are written 0600 whatever the umask, over the old one, leaving nothing else behind."""
    path = tmp_path / "key.pem"
    path.write_bytes(b"old")
    path.chmod(0o644)

    pki.write_private(path, b"new")

    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_private_file_that_cannot_be_written_is_a_storage_fault(tmp_path):
    """The error names the path and the reason; no half file stays."""
    (tmp_path / "folder").mkdir()

    with pytest.raises(errors.StorageFault, match="Is a directory"):
        pki.write_private(tmp_path / "folder", b"x")
    with pytest.raises(errors.StorageFault, match="No such file"):
        pki.write_private(tmp_path / "missing" / "key", b"x")
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


def test_keys_are_not_printed():
    """An authority in a log shows no key."""
    assert "PRIVATE" not in repr(ROOT)
