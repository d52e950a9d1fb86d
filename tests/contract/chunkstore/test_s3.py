"""What the backend of object storages does beside the contract of all backends."""

from __future__ import annotations

import logging
import shutil
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from rubackup.chunkstore.backends.base import Item
from rubackup.chunkstore.backends.s3.backend import UNLIMITED_BYTES, S3Backend
from rubackup.chunkstore.backends.s3.cache import Cache
from rubackup.chunkstore.backends.s3.location import Bucket
from rubackup.chunkstore.backends.s3.probe import BucketFacts, probe
from rubackup.chunkstore.backends.s3.retry import Patience
from rubackup.domain.errors import Conflict, Corrupt, Invalid, NotFound, StorageFault, StorageFull
from support import buckets
from support.chunkstore import noise
from support.s3server import ACCESS, SECRET, S3Server

PACK, OPEN = "packs/ab/one.pack", "packs/ab/one.open"
MANIFEST, RECEIVED = "manifests/one.manifest", "manifests/one.open"


@pytest.fixture
def made(s3: S3Server, tmp_path: Path) -> S3Backend:
    """Over an empty bucket."""
    return buckets.backend(s3, tmp_path)


def write(backend: S3Backend, name: str, data: bytes) -> None:
    """A growing file that is synced and closed."""
    file = backend.append(name)
    file.write(data)
    file.sync()
    file.close()


# --- where files are ---


def test_open_files_are_on_the_local_disk_until_they_are_published(
    made: S3Backend, s3: S3Server, tmp_path: Path
) -> None:
    """Another backend of the same place, as after a crash, sees them, and the bucket does not."""
    write(made, OPEN, b"open")
    assert s3.names() == []
    after = buckets.backend(s3, tmp_path)
    assert list(after.list("packs")) == [Item(OPEN, 4)]
    assert after.read(OPEN, 1, 2) == b"pe"
    after.publish(OPEN, PACK)

    assert s3.names() == ["pool/one/packs/ab/one.pack"]
    assert list(tmp_path.rglob("*.open")) == []
    assert list(after.list("packs")) == [Item(PACK, 4)]


def test_a_spooled_file_that_is_in_the_bucket_is_told_once_and_swept(made: S3Backend, tmp_path: Path) -> None:
    """A crash came between the upload and the removal from the spool."""
    write(made, OPEN, b"x")
    made.put(PACK, b"x")
    assert list(made.list("packs")) == [Item(PACK, 1)]
    made.sweep("packs")

    assert list(tmp_path.rglob("*.open")) == []
    assert made.read(PACK, 0, 1) == b"x"


def test_publishing_the_same_again_is_success_and_other_content_a_conflict(made: S3Backend) -> None:
    """A crash, or a lost answer, may have hidden that it is there already."""
    made.put(PACK, b"same")
    write(made, OPEN, b"same")
    made.publish(OPEN, PACK)
    write(made, OPEN, b"else")
    with pytest.raises(Conflict):
        made.publish(OPEN, PACK)

    assert made.read(PACK, 0, 4) == b"same"
    assert made.read(OPEN, 0, 4) == b"else"


def test_an_open_file_in_the_bucket_is_used_as_one_in_the_spool(made: S3Backend, s3: S3Server) -> None:
    """Somebody copied a folder with an unfinished pack into the bucket."""
    made._client.put(OPEN, b"whole, torn", create=True)
    assert list(made.list("packs")) == [Item(OPEN, 11)]
    assert made.read(OPEN, 0, 5) == b"whole"
    file = made.append(OPEN, 5)
    file.write(b"!")
    file.sync()
    file.close()
    made.publish(OPEN, PACK)

    assert made.read(PACK, 0, 6) == b"whole!"
    assert s3.names() == ["pool/one/packs/ab/one.pack"]


def test_a_list_has_pages(made: S3Backend, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """More files than one answer holds."""
    monkeypatch.setattr("rubackup.chunkstore.backends.s3.client._PAGE", 3)
    names = [f"packs/aa/{number}.pack" for number in range(8)]
    for name in names:
        made.put(name, b"x")

    assert sorted(item.name for item in made.list("packs")) == names


def test_many_lengths_are_asked_for_at_once(made: S3Backend, s3: S3Server) -> None:
    """Packs of one folder cost two requests and a list; one that came or went since is told as it is."""
    names = [f"packs/aa/{number}.pack" for number in range(50)]
    for number, name in enumerate(names):
        made.put(name, bytes(number))
    first = len(s3.log)
    assert [made.size(name) for name in names] == list(range(50))
    assert len(s3.log) - first <= 4
    made.delete(names[7])
    with pytest.raises(NotFound):
        made.size(names[7])
    made.put(names[7], b"12345")

    assert made.size(names[7]) == 5


def test_room_is_that_of_the_bucket_until_the_spool_is_full(made: S3Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """An object storage tells no room; what is sent has to be written to the spool first."""
    assert made.space() == (UNLIMITED_BYTES, UNLIMITED_BYTES, made.label)
    real = made._spool.space
    monkeypatch.setattr(made._spool, "space", lambda: real()._replace(free_bytes=1000))

    assert made.space().free_bytes == 1000


def test_a_full_bucket_is_told_as_full(made: S3Backend, s3: S3Server) -> None:
    """A quota that is used up is no fault."""
    s3.script = lambda *_: "507 before"
    with pytest.raises(StorageFull):
        made.put(PACK, b"x")


# --- in parts ---


def test_a_large_manifest_is_sent_before_it_is_published(made: S3Backend, s3: S3Server) -> None:
    """Publication, which happens under the pool's lock, is a few short requests."""
    data = noise(200_000)
    write(made, RECEIVED, data)
    first = len(s3.log)
    made.publish(RECEIVED, MANIFEST)
    asked = s3.log[first:]

    assert [method for method, _ in asked] == ["HEAD", "POST"]
    assert b"".join(made.read(MANIFEST, at, 50_000) for at in range(0, 200_000, 50_000)) == data
    assert not s3.bucket().uploads


def test_a_manifest_that_goes_on_after_it_was_synced_is_sent_anew(made: S3Backend, s3: S3Server) -> None:
    """What was sent ahead is not what it is any more."""
    file = made.append(RECEIVED)
    file.write(noise(200_000))
    file.sync()
    file.write(b"more")
    file.sync()
    file.close()
    made.publish(RECEIVED, MANIFEST)

    assert made.size(MANIFEST) == 200_004
    assert not s3.bucket().uploads


@pytest.mark.parametrize("conditional", [False, True])
def test_a_large_file_is_created_once(s3: S3Server, tmp_path: Path, conditional: bool) -> None:
    """Where the server cannot refuse the end of an upload, it is asked before."""
    s3.multipart_conditions = conditional
    made = buckets.backend(s3, tmp_path, conditional_multipart=conditional)
    made.put(MANIFEST, b"first")
    write(made, RECEIVED, noise(200_000))
    with pytest.raises(Conflict):
        made.publish(RECEIVED, MANIFEST)
    made.replace(RECEIVED, MANIFEST)

    assert made.read(MANIFEST, 0, 4) == noise(200_000)[:4]
    assert not s3.bucket().uploads


def test_parts_that_a_crash_left_are_swept(made: S3Backend, s3: S3Server, tmp_path: Path) -> None:
    """Those of this process stay."""
    write(made, RECEIVED, noise(200_000))
    made._client.begin_parts("manifests/other.manifest")
    made.sweep("manifests")
    assert len(s3.bucket().uploads) == 1
    buckets.backend(s3, tmp_path).sweep("manifests")
    assert not s3.bucket().uploads
    made.publish(RECEIVED, MANIFEST)  # the parts are gone: it is not lost for that

    assert made.size(MANIFEST) == 200_000


# --- what the server does ---


@pytest.mark.parametrize("what", ["before", "after", "500 before", "500 after", "429 before"])
@pytest.mark.parametrize("size", [10, 200_000])
def test_a_lost_request_is_repeated(made: S3Backend, s3: S3Server, what: str, size: int) -> None:
    """At every call of an upload, a replacement and a deletion."""
    number = -1
    while True:
        number += 1
        first, lost = len(s3.log), []
        s3.script = lambda at, *_, first=first, number=number, lost=lost: (
            lost.append(at) or what if at - first == number else None
        )
        write(made, RECEIVED, noise(size, 1))
        made.publish(RECEIVED, MANIFEST)
        write(made, RECEIVED, noise(size, 2))
        made.replace(RECEIVED, MANIFEST)
        assert made.read(MANIFEST, 0, size) == noise(size, 2)
        made.delete(MANIFEST)
        made.put("pool", b"marker")
        made.delete("pool")
        s3.script = None
        assert s3.names() == []
        if not lost:
            break
    assert number > 6


def test_tags_that_are_no_sums_are_replaced_by_reading(made: S3Backend, s3: S3Server) -> None:
    """As of servers that encrypt: what arrived is read back."""
    s3.other_tags = True
    write(made, OPEN, noise(10_000))
    made.publish(OPEN, PACK)
    write(made, OPEN, noise(10_000))
    made.publish(OPEN, PACK)
    write(made, OPEN, noise(10_000, 2))

    with pytest.raises(Conflict):
        made.publish(OPEN, PACK)


def test_what_arrives_otherwise_is_not_taken_for_stored(
    made: S3Backend, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server confirms, and has something else: the spooled file stays."""
    write(made, OPEN, b"right")
    put = made._client.put
    monkeypatch.setattr(made._client, "put", lambda name, data, *, create: put(name, b"wrong", create=create))
    with pytest.raises(StorageFault, match="not there as it was sent"):
        made.publish(OPEN, PACK)

    assert made.read(OPEN, 0, 5) == b"right"


@pytest.mark.parametrize(
    ("break_it", "more", "told"),
    [
        (lambda s3: None, {"secret_key": "wrong-secret-key"}, "SignatureDoesNotMatch.*secret key"),
        (lambda s3: None, {"access_key": "AKNOBODY"}, "InvalidAccessKeyId.*access key"),
        (lambda s3: s3.expired.add(ACCESS), {}, "ExpiredToken.*new ones"),
        (lambda s3: setattr(s3, "clock_ahead", timedelta(hours=1)), {}, "RequestTimeTooSkewed.*clock"),
        (lambda s3: None, {"bucket": "nowhere"}, "NoSuchBucket.*create it"),
        (lambda s3: None, {"region": "mars-1"}, "AuthorizationHeaderMalformed.*region"),
    ],
)
def test_a_refusal_is_one_sentence_without_the_keys(
    s3: S3Server, tmp_path: Path, caplog: pytest.LogCaptureFixture, break_it, more: dict, told: str
) -> None:
    """Endpoint, bucket, what to do; at once, as trying again does not help; also where the answer has no body."""
    caplog.set_level(logging.DEBUG)
    break_it(s3)
    made = buckets.backend(s3, tmp_path, **more)
    bucket = more.get("bucket", "bucket")
    errors = []
    acts = [lambda: made.put(PACK, b"x"), lambda: list(made.list("packs")), lambda: probe(made._where, buckets.QUICK)]
    if bucket == "bucket":  # a HEAD of a bucket that is not there says no more than that the file is not
        acts.append(lambda: made.size(PACK))
    for act in acts:
        with pytest.raises(StorageFault, match=told) as caught:
            act()
        errors.append(caught.value)

    for error in errors:
        shown = f"{error.message} {error!r} {error.__cause__!r}"
        assert s3.endpoint in shown
        assert bucket in shown
        assert made._where.secret_key not in shown
        assert made._where.access_key not in shown
    everything = caplog.text + repr(made._where) + repr(made) + made.label
    assert made._where.secret_key not in everything
    assert made._where.access_key not in everything


def test_trying_again_takes_a_bounded_time(s3: S3Server, tmp_path: Path) -> None:
    """Waits double up to the longest, and the last attempt begins before the time is over."""
    waits: list[float] = []
    patience = Patience(30, 1, 4, sleep=waits.append, steady=lambda: sum(waits))
    made = buckets.backend(s3, tmp_path, patience=patience)
    s3.script = lambda *_: "503 before"
    with pytest.raises(StorageFault, match="503 SlowDown"):
        made.put(PACK, b"x")

    assert 8 <= len(waits) <= 16
    assert sum(waits) <= 30
    spent = sum(waits)
    with pytest.raises(StorageFault):
        made.put(PACK, b"x")  # it did not answer a moment ago
    assert sum(waits) - spent <= 5
    assert all(limit / 2 <= wait <= limit for wait, limit in zip(waits, [1, 2, 4, 4, 4, 4, 4, 4], strict=False))


def test_an_answer_that_does_not_come_is_a_lost_one(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of both libraries; what is merely slow is waited for."""
    again = threading.Event()
    for patience, waits in ((60, lambda: time.sleep(0.3)), (1, lambda: again.wait(60))):
        monkeypatch.setattr("rubackup.chunkstore.backends.s3.client.ANSWER_SECONDS", patience)
        made = buckets.backend(s3, tmp_path, patience=replace(buckets.QUICK, total_seconds=60))
        for act in (lambda: made._client.head("pool"), lambda: made._client.delete("pool")):  # noqa: B023 - called here
            again.clear()
            first = len(s3.log)

            def script(at: int, *_: str, first: int = first, waits: Callable[[], object] = waits) -> None:
                again.set() if at > first else waits()

            s3.script = script
            with suppress(NotFound):
                act()
            assert again.is_set() == (len(s3.log) - first > 1) == (patience == 1)


def test_what_is_served_late_has_no_effect(s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the server of the tests: a request that still waits when it is set back changes nothing."""
    monkeypatch.setattr("rubackup.chunkstore.backends.s3.client.ANSWER_SECONDS", 1)
    go_on, served = threading.Event(), threading.Event()
    made = buckets.backend(s3, tmp_path)

    def script(at: int, *_: str) -> None:
        if at == 0:
            assert go_on.wait(60)

    s3.script = script
    made._client.delete("pool")
    s3.reset()
    s3.bucket(versioned=True)
    s3.late = served.set
    go_on.set()

    assert served.wait(60)
    assert not s3.bucket().keys


def test_the_environment_changes_nothing(s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both libraries would take keys, endpoint and more from it."""
    told = {
        "AWS_ENDPOINT": "http://127.0.0.1:1", "AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_SESSION_TOKEN": "token",
        "AWS_PROFILE": "nobody", "AWS_SKIP_SIGNATURE": "true", "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "true",
        "AWS_REGION": "mars-1", "AWS_ACCESS_KEY_ID": "other", "AWS_SECRET_ACCESS_KEY": "other",
    }  # fmt: skip
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    made = buckets.backend(s3, tmp_path)
    made.put(PACK, b"x")
    made.delete(PACK)

    assert s3.names() == []


def test_a_certificate_of_ones_own_authority_is_trusted_when_it_is_given(tmp_path: Path) -> None:
    """And only then."""
    authority, context = own_authority(tmp_path)
    server = S3Server(context).start()
    server.bucket()
    try:
        made = buckets.backend(server, tmp_path, ca_file=authority)
        made.put(PACK, b"x")
        made.delete(PACK)
        strict = buckets.backend(server, tmp_path, patience=Patience(total_seconds=0))
        for act in (lambda: strict.put(PACK, b"x"), lambda: strict.delete(PACK)):
            with pytest.raises(StorageFault, match=r"UntrustedCertificate.*ca_file"):
                act()
    finally:
        server.stop()


def own_authority(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """The certificate of an authority, and a server's context with one that it signed."""
    now = datetime.now(UTC)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]) for name in ("authority", "server")]
    found = []
    for name, key, ours in zip(names, keys, (True, False), strict=True):
        made = x509.CertificateBuilder(names[0], name, key.public_key(), x509.random_serial_number())
        made = made.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        made = made.add_extension(x509.BasicConstraints(ca=ours, path_length=None), critical=True)
        if ours:
            use = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
            made = made.add_extension(use, critical=True)
        else:
            address = x509.IPAddress(ip_address("127.0.0.1"))
            made = made.add_extension(x509.SubjectAlternativeName([address]), critical=False)
        subject = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(keys[0].public_key())
        made = made.add_extension(subject, critical=False).add_extension(issuer, critical=False)
        found.append(made.sign(keys[0], hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    (folder / "ca.pem").write_bytes(found[0])
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "server.pem").write_bytes(found[1] + keys[1].private_bytes(*form))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return folder / "ca.pem", context


def test_a_server_that_overwrites_is_asked_before(s3: S3Server, tmp_path: Path) -> None:
    """Without conditional writes a name is created once all the same."""
    s3.ignore_conditions = True
    facts = probe(buckets.location(s3, tmp_path), buckets.QUICK)
    made = S3Backend(facts.applied(buckets.location(s3, tmp_path)), buckets.QUICK)
    made.put(PACK, b"first")
    with pytest.raises(Conflict):
        made.put(PACK, b"second")

    assert not facts.conditional_put
    assert made.read(PACK, 0, 5) == b"first"
    assert "overwrites" in facts.notes(made._where)[0]


# --- the probe ---


def test_the_probe_tells_what_a_bucket_can_do_and_leaves_nothing(s3: S3Server, tmp_path: Path) -> None:
    """Of a plain bucket, and of one with versions and Object Lock."""
    where = buckets.location(s3, tmp_path)
    plain = probe(where, buckets.QUICK)
    locking = s3.bucket("locking", locking=True)
    other = probe(replace(where, bucket="locking"), buckets.QUICK)
    s3.multipart_conditions = False

    assert (plain.conditional_put, plain.conditional_multipart, plain.multipart) == (True, True, True)
    assert (plain.versioning, plain.object_lock, plain.default_retention) == (False, False, "")
    assert abs(plain.clock_ahead_seconds) < 60
    assert plain.problems(where) == []
    assert "created without Object Lock" in plain.problems(replace(where, object_lock="governance"))[0]
    assert (other.versioning, other.object_lock) == (True, True)
    assert other.notes(replace(where, bucket="locking"))[0].startswith("The bucket locking keeps old versions")
    assert not probe(where, buckets.QUICK).conditional_multipart
    assert not s3.bucket().keys
    assert not s3.bucket().uploads
    assert not locking.keys


def test_the_probe_writes_nothing_that_could_not_be_removed(s3: S3Server, tmp_path: Path) -> None:
    """A default retention is told, and is a problem; so is a clock that is far off."""
    s3.bucket(locking=True).locking = True
    s3.bucket().versioned = True
    s3.bucket().default = ("COMPLIANCE", 30)
    s3.clock_ahead = timedelta(seconds=600)
    where = buckets.location(s3, tmp_path)
    facts = probe(where, buckets.QUICK)
    told = " ".join(facts.problems(where))

    assert facts.default_retention == "30 days COMPLIANCE"
    assert "30 days COMPLIANCE" in told
    assert "differs by 6" in told
    assert not s3.bucket().keys


@pytest.mark.parametrize("what", ["before", "after"])
def test_a_probe_leaves_nothing_when_requests_are_lost(s3: S3Server, tmp_path: Path, what: str) -> None:
    """Each of them in turn; the facts are the same."""
    where = buckets.location(s3, tmp_path)
    right = probe(where, buckets.QUICK)
    for number in range(10):
        first = len(s3.log)
        s3.script = lambda at, *_, first=first, number=number: what if at - first == number else None
        facts = probe(where, buckets.QUICK)
        s3.script = None
        assert isinstance(facts, BucketFacts)
        assert (facts.conditional_put, facts.conditional_multipart) == (
            right.conditional_put,
            right.conditional_multipart,
        )
        assert not s3.bucket().keys


# --- the place ---


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("endpoint", "ftp://host"),
        ("endpoint", "https://me:secret@host"),
        ("endpoint", "https://host/path"),
        ("bucket", "Upper"),
        ("prefix", "../other"),
        ("prefix", "a//b"),
    ],
)
def test_a_place_that_cannot_be_is_refused_by_field(field: str, value: str) -> None:
    """The field is named, the keys are not."""
    right = {
        "endpoint": "https://host",
        "bucket": "bucket",
        "access_key": "a",
        "secret_key": SECRET,
        "spool": Path("/x"),
    }
    with pytest.raises(Invalid) as caught:
        Bucket(**{**right, field: value})

    assert list(caught.value.fields) == [field]
    assert "secret" not in str(caught.value)


# --- the cache ---


def test_a_manifest_is_read_from_the_cache_and_anew_when_asked(made: S3Backend, s3: S3Server, tmp_path: Path) -> None:
    """Small reads of it cost no request; a damaged block is fetched again; `forget` goes to the bucket."""
    data = noise(1_500_000)
    made.put(MANIFEST, data)
    assert made.read(MANIFEST, 1000, 10) == data[1000:1010]
    assert made.read(MANIFEST, 520_000, 600_000) == data[520_000:1_120_000]
    first = len(s3.log)
    assert made.read(MANIFEST, 900_000, 1000) == data[900_000:901_000]
    assert len(s3.log) == first
    for path in tmp_path.rglob("cache/*"):
        path.write_bytes(bytes(path.stat().st_size))
    assert made.read(MANIFEST, 900_000, 1000) == data[900_000:901_000]
    assert len(s3.log) == first + 1
    rotten = s3.bucket().keys["pool/one/" + MANIFEST][0]
    rotten.data = bytes(len(data))
    made.capabilities.forget(MANIFEST)

    assert made.read(MANIFEST, 900_000, 1000) == bytes(1000)


def test_a_replaced_manifest_is_not_read_from_the_cache(made: S3Backend) -> None:
    """The old content is gone at once."""
    made.put(MANIFEST, b"old content")
    made.read(MANIFEST, 0, 3)
    write(made, RECEIVED, b"new")
    made.replace(RECEIVED, MANIFEST)
    assert made.read(MANIFEST, 0, 3) == b"new"

    with pytest.raises(Corrupt):
        made.read(MANIFEST, 0, 4)


def test_the_cache_has_a_limit_and_may_be_deleted(tmp_path: Path) -> None:
    """What was used longest ago goes; a folder that is gone costs nothing; another process finds what is there."""
    cache = Cache(tmp_path / "cache", 350)
    for block in range(3):
        cache.put("one", "tag", block, bytes(68))
    assert cache.get("one", "tag", 0) == bytes(68)
    cache.put("one", "tag", 3, bytes(68))
    assert [cache.get("one", "tag", block) is not None for block in range(4)] == [True, False, True, True]
    assert cache.get("one", "other tag", 2) is None
    assert sum(path.stat().st_size for path in (tmp_path / "cache").iterdir()) <= 350
    assert Cache(tmp_path / "cache", 350).get("one", "tag", 3) == bytes(68)
    shutil.rmtree(tmp_path / "cache")
    cache.put("one", "tag", 5, bytes(68))

    assert cache.get("one", "tag", 3) is None
