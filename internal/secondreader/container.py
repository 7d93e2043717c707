"""Reads the container of a proof bundle: one zip file, in which nothing may be understood in two ways.

Written from internal/bundle/CONTAINER.md alone. Python's zipfile reads the directory; everything in which two zip readers could differ is
refused before a byte of the content is looked at. What the files mean is for bundle.py.
"""

import base64
import io
import json
import re
import struct
import zipfile
import zlib

from signatures import ed25519_verify, mldsa_verify
from verify import cannot_tell, invalid, is_claim, need, sha256, unbase64

MIMETYPE = b"application/vnd.etsi.asic-e+zip"
MAX_FILES, MAX_UNPACKED, MAX_PACKED = 20_000, 268_435_456, 301_989_888

# --- Names ------------------------------------------------------------------------------------------------------------------------

JSON, TEXT, BYTES, TOKEN = "application/json", "text/plain", "application/octet-stream", "application/vnd.etsi.timestamp-token"
INDEX_TYPE = "application/vnd.consent-ledger.bundle.v1+json"

# The table of CONTAINER.md: rows in the order of the files; two names in one row are ordered by their numbers.
ROWS = [
    [("mimetype", TEXT, 31)],
    [("checkpoint.note", TEXT, 65536)],
    [("custody.json", JSON, 1 << 20)],
    [("docs/VERIFY.txt", TEXT, 1 << 20)],
    [("docs/report.de.html", "text/html", 1 << 26)],
    [("docs/report.de.pdf", "application/pdf", 1 << 26)],
    [("docs/report.en.html", "text/html", 1 << 26)],
    [("docs/report.en.pdf", "application/pdf", 1 << 26)],
    [("evidence/bundle.json", INDEX_TYPE, 1 << 24)],
    [("evidence/entries/<number>.txt", TEXT, 16384)],
    [("evidence/proofs/<number>.tlog-proof", TEXT, 131072)],
    [("evidence/disclosures/<number>.<claim>.txt", TEXT, 1 << 20)],
    [("evidence/files/<sha256>", BYTES, 1 << 26)],
    [("evidence/notices/<sha256>", BYTES, 1 << 20)],
    [("evidence/state/<number>.txt", TEXT, 131072)],
    [("evidence/checkpoints/<number>.note", TEXT, 65536), ("evidence/checkpoints/<number>.<n>.tst", TOKEN, 262144)],
    [("evidence/consistency/<number>-<number>.txt", TEXT, 65536)],
    [("trust/trust.keys", TEXT, 1 << 22)],
    [("trust/tsa/<n>.pem", "application/x-pem-file", 1 << 20)],
    [("META-INF/ASiCManifest001.xml", "text/xml", 12582912)],
    [("META-INF/manifest.sig", TEXT, 16384)],
    [("META-INF/timestamp001.tst", TOKEN, 262144)],
]
MAY_BE_EMPTY = ("evidence/files/<sha256>", "evidence/consistency/<number>-<number>.txt")
REQUIRED = ("mimetype", "checkpoint.note", "evidence/bundle.json", "META-INF/ASiCManifest001.xml", "META-INF/manifest.sig")

PLACES = {"<number>": "(0|[1-9][0-9]{0,17})", "<n>": "([1-9][0-9]{0,3})", "<claim>": "([a-z0-9._-]+)", "<sha256>": "([0-9a-f]{64})"}

def pattern(template):
    return re.compile(re.sub("<[a-z0-9]+>", lambda place: PLACES[place[0]], template.replace(".", r"\.")) + r"\Z", re.ASCII)

KINDS = [(rank, template, media, limit, pattern(template)) for rank, row in enumerate(ROWS) for template, media, limit in row]

class Name:
    """A file's name, taken apart. kind is its template, None for what a later version may bring."""

    def __init__(self, name):
        need(len(name) <= 200 and re.match(r"[A-Za-z0-9._/-]+\Z", name, re.ASCII), f"container: a name of {len(name)} characters")
        need(all(s and s[0] != "." and s[-1] != "." for s in name.split("/")), f"container: the name {name}")
        self.name, self.kind, self.media, self.limit = name, None, None, 1 << 26
        for rank, template, media, limit, expression in KINDS:
            match = expression.match(name)
            if match and self.parts(match.groups(), template):
                self.kind, self.media, self.limit = template, media, limit
                self.place = rank, self.numbers, self.text
                return

    def parts(self, values, template):
        """Takes down the numbers and the word in the name, and says whether they may stand there."""
        found = list(zip(re.findall("<[a-z0-9]+>", template), values))
        self.numbers = tuple([int(v) for place, v in found if place in ("<number>", "<n>")] + [0, 0])[:2]
        self.text = "".join(v for place, v in found if place in ("<claim>", "<sha256>"))
        if "<claim>" in template:
            return is_claim(self.text)
        return "consistency" not in template or self.numbers[0] < self.numbers[1]

# --- Zip --------------------------------------------------------------------------------------------------------------------------

def directory(data):
    """The entries of the zip directory, each with its bytes. It says what the files' own headers say, and they lie without a gap."""
    need(len(data) <= MAX_PACKED, "container: too large")
    need(len(data) >= 22 and data[-22:-18] == b"PK\x05\x06" and data[-2:] == b"\0\0", "container: not a zip file without a comment")
    disk, start_disk, count, total, size, start = struct.unpack("<4H2L", data[-18:-2])
    need(disk == start_disk == 0 and count == total <= MAX_FILES and start + size == len(data) - 22, "container: its end record")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
    except Exception as error:
        raise invalid(f"container: zipfile says {error}") from None
    need(len(entries) == count, "container: number of files")
    position, unpacked, files = 0, 0, []
    for entry in entries:
        begin = position + check_header(data, entry, position)
        position = begin + entry.compress_size
        need(position <= start, f"container: {entry.orig_filename}: reaches into the directory")
        files.append((entry, data[begin:position]))
        unpacked += entry.file_size
    need(position == start and sum(46 + len(e.orig_filename) for e in entries) == size, "container: bytes that belong to no file")
    need(unpacked <= MAX_UNPACKED, "container: its files are too large together")
    return files

def check_header(data, e, position):
    """How many bytes the header of the file at this position takes."""
    name = e.orig_filename
    need(0 < len(name) <= 200 and name.isascii(), "container: a name")
    good = not e.flag_bits and e.compress_type in (0, 8) and e.extract_version <= 20 and not e.reserved
    need(good, f"container: {name}: flags, method or version needed")
    need(not e.extra and not e.comment and not e.volume, f"container: {name}: an extra field, a comment or another disk")
    need(e.external_attr >> 28 in (0, 8) and not e.external_attr & 0x58, f"container: {name}: a directory, a link or a device")
    need(e.header_offset == position, f"container: {name}: does not begin where the one before it ends")
    year, month, day, hour, minute, second = e.date_time
    local = struct.pack("<4s5H3L2H", b"PK\x03\x04", e.extract_version, 0, e.compress_type, hour << 11 | minute << 5 | second // 2,
                        (year - 1980) << 9 | month << 5 | day, e.CRC, e.compress_size, e.file_size, len(name), 0) + name.encode()
    need(data[position:position + len(local)] == local, f"container: {name}: its own header says something else")
    stored, packed, size = e.compress_type == 0, e.compress_size, e.file_size
    need(not stored or packed == size, f"container: {name}: two sizes")
    need(size <= 1000 * packed and packed <= size + size // 256 + 64, f"container: {name}: {packed} bytes for {size}")
    return len(local)

def unpack(e, content):
    if e.compress_type == 8:
        inflate = zlib.decompressobj(-15)
        try:
            content = inflate.decompress(content, e.file_size + 1)
            content += inflate.decompress(inflate.unconsumed_tail, 1) if not inflate.eof else b""
        except zlib.error:
            raise invalid(f"container: {e.orig_filename}: cannot be unpacked") from None
        need(inflate.eof and not inflate.unused_data, f"container: {e.orig_filename}: does not end where it should")
    need(len(content) == e.file_size and zlib.crc32(content) == e.CRC, f"container: {e.orig_filename}: size or CRC-32")
    return content

# --- The container ----------------------------------------------------------------------------------------------------------------

class Container:
    """The files of a container by their names, in order, and what signs them. later says why a later version must judge it, if so."""

    def __init__(self, data):
        files = directory(data)
        names = [Name(e.orig_filename) for e, _ in files]
        self.names = {n.name: n for n in names}
        lower = {n.name.lower() for n in names}
        need(len(lower) == len(names), "container: a name twice, if only in another case")
        need(not any("/".join(n.split("/")[:i]) in lower for n in lower for i in range(1, n.count("/") + 1)), "container: a file below a file")
        places = [n.place for n in names if n.kind]
        need(all(a < b for a, b in zip(places, places[1:])), "container: a file is not in its place")
        for (e, _), n in zip(files, names):
            need(e.file_size <= n.limit and (e.file_size or n.kind in (None, *MAY_BE_EMPTY)), f"container: {n.name}: its size")
        need(all(name in self.names for name in REQUIRED), "container: a required file is missing")
        need(names[0].kind == "mimetype" and files[0][0].compress_type == 0, "container: mimetype is not the first file, stored")
        end = list(self.names).index("META-INF/ASiCManifest001.xml")
        need(all(n.kind for n in names[end:]), "container: a file that no manifest lists")
        self.listed = names[1:end]
        self.files = {e.orig_filename: unpack(e, packed) for e, packed in files}
        need(self.files["mimetype"] == MIMETYPE, "container: mimetype")
        self.later = self.version()
        self.check_manifest()
        lines = self.files["META-INF/manifest.sig"].decode("latin-1").split("\n")
        matches = [re.match("([0-9a-f]{8}) ([A-Za-z0-9+/]+=*)\\Z", line, re.ASCII) for line in lines[:2]]
        need(len(lines) == 3 and lines[2] == "" and all(m and unbase64(m[2]) for m in matches), "manifest.sig: not two lines")
        self.signatures = [(bytes.fromhex(m[1]), unbase64(m[2])) for m in matches]
        if not self.later and not all(n.kind for n in self.listed):
            self.later = "files that this version does not know"

    def version(self):
        """The index's first member, "format", within its first 256 bytes, says which version made the container."""
        head = self.files["evidence/bundle.json"][:256].decode("utf-8", "replace")
        member = re.match(r'[ \t\r\n]*\{[ \t\r\n]*"format"[ \t\r\n]*:[ \t\r\n]*("(?:[^"\\]|\\.)*")', head)
        try:
            text = json.loads(member[1]) if member else ""
        except ValueError:
            text = ""
        number = re.match("consent-ledger/bundle/v([1-9][0-9]{0,8})\\Z", text, re.ASCII)
        need(number, "bundle.json: does not begin with its format")
        return None if number[1] == "1" else f"version {number[1]} of bundle"

    def check_manifest(self):
        """The manifest is the template of CONTAINER.md, filled in with what the container holds."""
        text = self.files["META-INF/ASiCManifest001.xml"]
        self.manifest = sha256(text)
        lines = text.decode("latin-1").split("\n")
        signed = (TOKEN, "META-INF/timestamp001.tst") if "META-INF/timestamp001.tst" in self.names else (TEXT, "META-INF/manifest.sig")
        want = ['<asic:ASiCManifest xmlns:asic="http://uri.etsi.org/02918/v1.2.1#" xmlns:ds="http://www.w3.org/2000/09/xmldsig#">',
                '<asic:SigReference MimeType="%s" URI="%s"/>' % signed]
        for name, line in zip(self.listed, lines[2:]):
            free = re.match('<asic:DataObjectReference MimeType="([a-z0-9.+-]+/[a-z0-9.+-]+)"', line, re.ASCII)
            media = name.media or (free[1] if free and len(free[1]) <= 100 else "")
            want.append(f'<asic:DataObjectReference MimeType="{media}" URI="{name.name}"><ds:DigestMethod'
                        ' Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/><ds:DigestValue>'
                        f"{base64.b64encode(sha256(self.files[name.name])).decode()}</ds:DigestValue></asic:DataObjectReference>")
        need(lines == want + ["</asic:ASiCManifest>", ""], "manifest: does not list the files of the container and their digests")

    def signed_by(self, pair):
        """Both keys of the log sign the manifest, and with it every file that it lists."""
        ids, ours = [key_id for key_id, _ in self.signatures], [key.id for key in pair]
        if not set(ids) & set(ours):
            raise cannot_tell("manifest.sig: signed by keys that nothing is known of")
        text = f"consent-ledger/bundle/v1\n{pair[0].name}\n{self.manifest.hex()}\n".encode()
        need(ids == ours, "manifest.sig: by other keys")
        (_, first), (_, second) = self.signatures
        good = ed25519_verify(pair[0].public, text, first) and mldsa_verify(pair[1].public, text, second)
        need(good, "manifest.sig: does not verify")

    def of(self, kind):
        """The names of a kind."""
        return [n for n in self.names.values() if n.kind == kind]

    def get(self, name):
        need(name in self.files, f"{name} is missing")
        return self.files[name]
