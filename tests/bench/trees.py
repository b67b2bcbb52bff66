"""Builds what tests/bench/run measures on: trees of lineages, as certbot lays them out, each with two generations to go to and fro
between. Runs with the Python of the environment that Alnitak was installed in, for its certificate library.

  trees.py FOLDER LINEAGES [NAMES]    a lineage has so many names, and is called as the first of them"""

import datetime
import os
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

MEMBERS = ("cert", "chain", "fullchain", "privkey")


def certificate(name, names, key, issuer_name, issuer_key, authority, serial):
    now = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer_name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=89))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if not authority:
        names = [x509.DNSName(name) for name in names]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM)


def main(base, count, names):
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority_name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Bench CA")])
    authority = pem(certificate("Bench CA", [], authority_key, authority_name, authority_key, True, 1))
    for number in range(count):
        own = [f"h{n:05}.bench.example" for n in range(number * names, (number + 1) * names)]
        name = own[0]
        archive, live = (os.path.join(base, "letsencrypt", part, name) for part in ("archive", "live"))
        os.makedirs(archive)
        os.makedirs(live)
        for generation in (1, 2):
            key = ec.generate_private_key(ec.SECP256R1())
            leaf = pem(certificate(name, own, key, authority_name, authority_key, False, number * 2 + generation + 1))
            key = key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            for member, data in zip(MEMBERS, (leaf, authority, leaf + authority, key)):
                with open(os.path.join(archive, f"{member}{generation}.pem"), "wb") as file:
                    file.write(data)
        for member in MEMBERS:
            os.symlink(f"../../archive/{name}/{member}1.pem", os.path.join(live, f"{member}.pem"))


main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 1)
