"""The DNS part of tests/bench/run: so many owners verified at two name servers on the loopback, beside the rate that dnsperf reaches
with the same questions. The servers are knotd, on addresses and a port of their own; the zone is signed, and its keys are the trust
anchor: so nobody else is asked."""

import contextlib
import re
import subprocess
import time

PORT = 5399
SERVERS = ("127.53.97.1", "127.53.97.2")
ZONE = "bench.example"


def zone(sections, hashes):
    yield f"$ORIGIN {ZONE}.\n$TTL 3600\n@ SOA ns1 admin 1 3600 600 86400 300\n@ NS ns1\n@ NS ns2\n"
    yield "".join(f"ns{n} A {address}\n" for n, address in enumerate(SERVERS, 1))
    for names, found in zip(sections, hashes):
        for owner in owners(names):
            yield f"{owner}. TLSA 3 1 1 {found}\n"


def owners(names):
    return [f"_{port}._tcp.{name}" for name in names for port in (25, 443)]


def configuration(folder, address):
    return f"""server:
    rundir: {folder}
    listen: {address}@{PORT}
    udp-workers: 1
    tcp-workers: 1
database:
    storage: {folder}
log:
  - target: stderr
    any: error
zone:
  - domain: {ZONE}
    storage: {folder}
    file: zone
    zonefile-sync: -1
    journal-content: none
"""


@contextlib.contextmanager
def servers(place, text):
    """Both, with the same signed zone; the second signs nothing, so that both give the same."""
    signed = place / "signed"
    signed.mkdir()
    (signed / "zone").write_text(text)
    keys = subprocess.run(
        ["dnssec-keygen", "-q", "-a", "ECDSAP256SHA256", "-f", "KSK", "-K", signed, ZONE], capture_output=True, text=True, check=True
    )
    subprocess.run(
        ["dnssec-signzone", "-q", "-z", "-S", "-P", "-K", signed, "-o", ZONE, "-f", signed / "out", signed / "zone"],
        check=True, cwd=signed, stdout=subprocess.DEVNULL,
    )
    anchor = place / "anchor"
    anchor.write_text((signed / f"{keys.stdout.strip()}.key").read_text())
    running = []
    try:
        for address in SERVERS:
            folder = place / address
            folder.mkdir()
            (folder / "zone").write_text((signed / "out").read_text())
            (folder / "conf").write_text(configuration(folder, address))
            running.append(subprocess.Popen(["knotd", "-c", folder / "conf"], stderr=subprocess.DEVNULL))
        wait_for_all()
        yield anchor
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait()


def wait_for_all():
    for address in SERVERS:
        for _ in range(200):
            asked = ["dig", "+short", "+time=1", "+tries=1", f"@{address}", "-p", str(PORT), ZONE, "SOA"]
            if subprocess.run(asked, capture_output=True, text=True).stdout.startswith("ns1"):
                break
            time.sleep(0.1)
        else:
            raise RuntimeError("knotd does not answer")


def hashes(base, lineages):
    """The TLSA data of each lineage's first generation."""
    from concurrent.futures import ThreadPoolExecutor

    def one(lineage):
        path = f"{base}/letsencrypt/archive/{lineage}/cert1.pem"
        key = subprocess.run(["openssl", "x509", "-in", path, "-noout", "-pubkey"], capture_output=True, check=True).stdout
        der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=key, capture_output=True, check=True).stdout
        return __import__("hashlib").sha256(der).hexdigest()

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(one, lineages))


def measure(bench, tree):
    """What a run costs that asks for all owners of the tree, and its share of the rate that dnsperf reaches: the questions that are
    needed, by the time that the whole run took, from its start to its end."""
    place = bench.place / f"dns-{tree.size}-{tree.names}"
    place.mkdir()
    questions = place / "questions"
    sections = list(tree.sections())
    asked = [owner for names in sections for owner in owners(names)]
    questions.write_text("".join(f"{owner} TLSA\n" for owner in asked))
    found = hashes(tree.base, [names[0] for names in sections])
    with servers(place, "".join(zone(sections, found))) as anchor:
        text = (tree.base / "ours.conf").read_text()
        text = text.replace("verify = provider\n", f"trust_anchor = {anchor}\nrecheck = 1\n")
        servers_line = " ".join(f"{address}:{PORT}" for address in SERVERS)
        (tree.base / "ours.conf").write_text(text.replace("ttl = 0\n", f"ttl = 0\nnameservers = {servers_line}\n", 1))
        subprocess.run(tree.ours("--reset"), check=True)
        for _ in range(2):
            subprocess.run(tree.ours(), check=True)
        shares, costs = [], []
        for _ in range(min(bench.pairs, 5)):
            time.sleep(2)
            costs.append(bench.measure(*tree.ours()))
            shares.append(len(SERVERS) * len(asked) / costs[-1].wall / rate_of_dnsperf(questions))
    return costs, shares


def rate_of_dnsperf(questions):
    """Questions a second, of both servers together: one after the other, for they share the processors."""
    found = []
    for address in SERVERS:
        command = ["dnsperf", "-s", address, "-p", str(PORT), "-d", questions, "-l", "3", "-D", "-c", "4", "-q", "100"]
        out = subprocess.run(command, capture_output=True, text=True).stdout
        found.append(float(re.search(r"Queries per second:\s+([0-9.]+)", out)[1]))
    return sum(found) / len(found)
