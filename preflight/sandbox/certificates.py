"""Certificates for https on this machine: an authority, and a server that it signs.

Needs the extra `tls`.
"""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

_DAY = timedelta(days=1)
_LIFE = timedelta(days=365)


@dataclass(frozen=True)
class Certificates:
    """Files of the authority and of the server, the latter with its key."""

    authority: Path
    server: Path

    def context(self) -> ssl.SSLContext:
        """What a server needs to show its certificate."""
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(self.server)
        return made


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def kept_certificates(folder: Path, *hosts: str) -> Certificates:
    """Those that the folder keeps from last time, or new ones for `hosts`.

    New ones are made a day before the old ones end.
    """
    kept = Certificates(folder / "ca.pem", folder / "server.pem")
    if kept.authority.exists() and kept.server.exists():
        made = x509.load_pem_x509_certificate(kept.server.read_bytes())
        if made.not_valid_after_utc > datetime.now(timezone.utc) + _DAY:
            return kept
    return make_certificates(folder, *hosts)


def make_certificates(folder: Path, *hosts: str, expired: bool = False) -> Certificates:
    """An authority of our own, and a server's certificate for `hosts` signed by it."""
    now = datetime.now(timezone.utc)
    end = now - timedelta(hours=1) if expired else now + _LIFE
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root_id = x509.SubjectKeyIdentifier.from_public_key(root_key.public_key())
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    root = (
        x509.CertificateBuilder(_name("Sandbox Root"), _name("Sandbox Root"))
        .public_key(root_key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + _LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(root_id, critical=False)
        .sign(root_key, hashes.SHA256())
    )
    named = x509.SubjectAlternativeName([_alternative(host) for host in hosts])
    signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key())
    leaf = (
        x509.CertificateBuilder(_name("Sandbox Root"), _name(hosts[0]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(end)
        .add_extension(named, critical=False)
        .add_extension(signer, critical=False)
        .sign(root_key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    folder.mkdir(parents=True, exist_ok=True)
    authority, server = folder / "ca.pem", folder / "server.pem"
    authority.write_bytes(_pem(root))
    server.touch(mode=0o600)  # it holds the key
    server.write_bytes(secret + _pem(leaf))
    return Certificates(authority, server)
