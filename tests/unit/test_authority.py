"""Certificates of a run are X.509-SVIDs as the SPIFFE standard has them."""

from __future__ import annotations

import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from harness.clusters.authority import Authority

ID = "spiffe://cluster.local/ns/production/sa/api"


def read(authority: Authority, *, expired: bool = False) -> x509.Certificate:
    return x509.load_pem_x509_certificate(authority.svid(ID, expired=expired)[0].encode())


def test_an_svid_names_one_identity() -> None:
    certificate = read(Authority())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.critical
    assert [str(item.value) for item in names.value] == [ID]
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature
    assert not usage.key_cert_sign
    assert not usage.crl_sign


@pytest.mark.parametrize("expired", [False, True])
def test_it_is_good_for_as_long_as_it_says(expired: bool) -> None:
    certificate = read(Authority(), expired=expired)
    now = datetime.datetime.now(datetime.UTC)
    assert certificate.not_valid_before_utc < now
    assert (certificate.not_valid_after_utc < now) is expired


def test_each_trust_domain_has_an_authority_of_its_own() -> None:
    authority = Authority()
    home = x509.load_pem_x509_certificate(authority.bundle("cluster.local").encode())
    other = x509.load_pem_x509_certificate(authority.bundle("elsewhere.example").encode())
    read(authority).verify_directly_issued_by(home)
    with pytest.raises(Exception, match=r"^$"):
        read(authority).verify_directly_issued_by(other)
    names = home.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(item.value) for item in names] == ["spiffe://cluster.local"]


def test_no_two_runs_share_anything() -> None:
    assert Authority().bundle("cluster.local") != Authority().bundle("cluster.local")


def test_the_key_belongs_to_the_certificate() -> None:
    authority = Authority()
    key = load_pem_private_key(authority.svid(ID)[1].encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert key.public_key() == read(authority).public_key()


def test_servers_without_identity_have_one_certificate() -> None:
    authority = Authority()
    assert authority.anonymous() is authority.anonymous()
