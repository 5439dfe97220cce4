"""SVIDs of the Workload API, against gRPC's own server, and out of files."""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.clusters.authority import Authority
from probes import der
from probes.grpc import GrpcError, first_message
from probes.svid import METHOD, SvidError, obtain
from probes.tls import Keys, server_context
from tests.unit import fake_workload_api as fake

ID, OTHER = "spiffe://prod.example/ns/shop/sa/web", "spiffe://prod.example/ns/shop/sa/job"


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[fake.Served]:
    with fake.serving(tmp_path_factory.mktemp("api")) as served:
        yield served


def issue(authority: Authority, identity: str, **more: object) -> bytes:
    return fake.svid(identity, authority.svid(identity, **more), authority.bundle("prod.example"))  # type: ignore[arg-type]


def source(api: fake.Served, identity: str = ID) -> dict[str, str]:
    return {"socket": str(api.socket), "identity": identity}


def test_the_svid_of_an_id_comes_as_pem(api: fake.Served, authority: Authority) -> None:
    api.say(fake.answer(issue(authority, OTHER), issue(authority, ID)))
    found = obtain(source(api))
    assert found.identity == ID
    assert found.certificate == authority.svid(ID)[0]
    assert found.key == authority.svid(ID)[1]
    assert found.bundle == authority.bundle("prod.example")
    assert obtain(source(api, OTHER)).certificate == authority.svid(OTHER)[0]


def test_a_chain_and_a_bundle_of_several_are_kept_whole(api: fake.Served, authority: Authority) -> None:
    first, second = authority.bundle("prod.example"), authority.bundle("next.example")
    api.say(fake.answer(fake.svid(ID, authority.svid(ID), first, second, chain=(second,))))
    found = obtain(source(api))
    assert found.certificate == authority.svid(ID)[0] + second
    assert found.bundle == first + second
    server_context((found.certificate, found.key), found.bundle)


def test_an_answer_of_many_frames_is_read_whole(api: fake.Served, authority: Authority) -> None:
    """More than the window of 64 KiB that a connection begins with, so that it has to be widened."""
    many = [issue(authority, OTHER)] * 400
    api.say(fake.answer(*many, issue(authority, ID)))
    assert obtain(source(api)).identity == ID


def test_no_identity_is_said_in_the_servers_words(api: fake.Served) -> None:
    api.refuse("no identity issued: 100 % Überraschung")
    with pytest.raises(SvidError) as caught:
        obtain(source(api))
    assert str(caught.value) == (
        f"the Workload API at {api.socket}: PERMISSION_DENIED: no identity issued: 100 % Überraschung"
    )


def test_another_identity_than_the_expected_one_is_named(api: fake.Served, authority: Authority) -> None:
    api.say(fake.answer(issue(authority, OTHER)))
    with pytest.raises(SvidError, match=f"has an SVID for {OTHER}, and none for {ID}"):
        obtain(source(api))


def test_an_answer_without_svids_is_no_identity(api: fake.Served) -> None:
    api.say(fake.answer())
    with pytest.raises(SvidError, match="issued no identity"):
        obtain(source(api))


def test_an_svid_that_is_too_old_is_no_svid(api: fake.Served, authority: Authority) -> None:
    api.say(fake.answer(issue(authority, ID, expired=True)))
    with pytest.raises(
        SvidError, match=r"the SVID for spiffe://.* expired at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"
    ):
        obtain(source(api))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (fake.field(1, fake.field(1, ID.encode())), "a field is missing"),
        (
            fake.field(1, fake.field(2, b"\x30\x05x") + fake.field(3, b"") + fake.field(4, b"")),
            "ends too early",
        ),
        (
            fake.field(1, fake.field(2, b"\x02\x01x") + fake.field(3, b"") + fake.field(4, b"")),
            "no certificate",
        ),
        (fake.field(1, fake.field(2, b"\x30\x00") + fake.field(3, b"") + fake.field(4, b"")), "not those of"),
        (b"\x0a\xff", "protobuf is broken"),
        (b"\x0b", "protobuf is broken"),
    ],
)
def test_an_answer_that_cannot_be_read_is_said_to_be_so(api: fake.Served, text: bytes, why: str) -> None:
    api.say(text)
    with pytest.raises(SvidError, match=f"cannot be read: .*{why}"):
        obtain(source(api))


def test_a_call_of_a_method_that_is_not_there_has_its_status(api: fake.Served) -> None:
    with pytest.raises(GrpcError) as caught:
        first_message(str(api.socket), "/Nobody/Knows", [], b"")
    assert caught.value.status == "UNIMPLEMENTED"


def test_the_security_header_is_demanded_and_sent(api: fake.Served) -> None:
    with pytest.raises(GrpcError, match="security header missing"):
        first_message(str(api.socket), METHOD, [], b"")


def test_a_client_of_tls_takes_the_svid_or_says_why_it_has_none(
    api: fake.Served, authority: Authority
) -> None:
    keys = Keys()
    api.say(fake.answer(issue(authority, ID)))
    keys.learn({"certificates": {ID: source(api)}, "bundles": {}})
    assert keys.client(ID, None) is keys.client(ID, None)
    api.refuse("no identity issued")
    keys.learn({"certificates": {ID: source(api)}, "bundles": {}})
    with pytest.raises(SvidError, match="no identity issued"):
        keys.client(ID, None)


# -- files ---------------------------------------------------------------------------------------------


def written(folder: Path, authority: Authority, names: tuple[str, str, str]) -> dict[str, str]:
    certificate, key = authority.svid(ID)
    for name, text in zip(names, (certificate, key, authority.bundle("prod.example")), strict=True):
        (folder / name).write_text(text)
    return {"files": str(folder), "identity": ID}


@pytest.mark.parametrize(
    "names", [("svid.pem", "svid_key.pem", "svid_bundle.pem"), ("tls.crt", "tls.key", "ca.crt")]
)
def test_files_as_they_are_written(tmp_path: Path, authority: Authority, names: tuple[str, str, str]) -> None:
    found = obtain(written(tmp_path, authority, names))
    assert found == (ID, *authority.svid(ID), authority.bundle("prod.example"))


def test_what_files_lack_is_said(tmp_path: Path, authority: Authority) -> None:
    with pytest.raises(SvidError, match=r"has neither svid\.pem nor tls\.crt"):
        obtain({"files": str(tmp_path), "identity": ID})
    asked = written(tmp_path, authority, ("svid.pem", "svid_key.pem", "svid_bundle.pem"))
    with pytest.raises(SvidError, match=f"has an SVID for {ID}, and none for {OTHER}"):
        obtain({**asked, "identity": OTHER})
    (tmp_path / "svid_key.pem").write_text("")
    with pytest.raises(SvidError, match=r"svid_key\.pem has no private key"):
        obtain(asked)
    (tmp_path / "svid_bundle.pem").unlink()
    with pytest.raises(SvidError, match=r"svid_bundle\.pem: No such file"):
        obtain(asked)
    (tmp_path / "svid_bundle.pem").write_text("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----")
    with pytest.raises(SvidError, match="its PEM is broken"):
        obtain(asked)


# -- certificates --------------------------------------------------------------------------------------


def test_a_certificate_says_what_cryptography_reads_in_it(authority: Authority) -> None:
    from cryptography import x509

    for text in (
        authority.svid(ID)[0],
        authority.svid(ID, expired=True)[0],
        authority.bundle("prod.example"),
    ):
        leaf = der.Leaf(fake.der(text))
        known = x509.load_pem_x509_certificate(text.encode())
        names = known.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert leaf.uris == names.get_values_for_type(x509.UniformResourceIdentifier)
        assert leaf.first == known.not_valid_before_utc.timestamp()
        assert leaf.last == known.not_valid_after_utc.timestamp()


def test_years_beyond_2049_have_four_digits(authority: Authority) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding

    key = ec.generate_private_key(ec.SECP256R1())
    last = datetime.datetime(2061, 5, 6, 7, 8, 9, tzinfo=datetime.UTC)
    first = datetime.datetime(1987, 1, 2, tzinfo=datetime.UTC)
    made = x509.CertificateBuilder(x509.Name([]), x509.Name([]), key.public_key(), 1, first, last)
    leaf = der.Leaf(made.sign(key, hashes.SHA256()).public_bytes(Encoding.DER))
    assert (leaf.first, leaf.last, leaf.uris) == (first.timestamp(), last.timestamp(), [])
    assert leaf.first < time.time() < leaf.last
