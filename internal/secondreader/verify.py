#!/usr/bin/env python3
"""A second verifier for consent ledgers, written from ledger/FORMAT.md alone.

It shares no code with the Go verifier, and its author had not read any: it exists to show that the format page says enough to
write a verifier from, and to disagree aloud where it does not. Python 3.9 or newer, the standard library only; signatures.py beside it
verifies Ed25519 and ML-DSA-44.

    verify.py log EXPORT_DIR --policy trust.policy [--since CHECKPOINT] [--keys trust.keys]
    verify.py receipt FILE --policy trust.policy --entry FILE [--keys trust.keys]
    verify.py entry FILE   (whether the entry parses, whatever the log)
    verify.py disclosure FILE   (that it is one, what it says, and what its entry must commit to)
    verify.py state FILE --entry FILE   (a state proof against the state.committed that it belongs to)
    verify.py bundle FILE --policy trust.policy [--keys trust.keys]
    verify.py batch        (the arguments of one call per line, as a JSON array, on standard input; a JSON answer per line)

Exit codes: 0 verified, 1 invalid, 2 cannot tell (also: wrong usage), 3 diverged from the checkpoint given as --since.
The section numbers in the comments are those of FORMAT.md.
"""

import argparse
import base64
import calendar
import functools
import hashlib
import json
import os
import re
import sys
from collections import Counter
from datetime import datetime, timedelta

sys.dont_write_bytecode = True
sys.modules.setdefault("verify", sys.modules[__name__])  # as bundle.py knows it
from signatures import ed25519_verify, mldsa_verify  # noqa: E402 - beside this file, where no cache shall be left

VERDICTS = ("VERIFIED", "INVALID", "CANNOT TELL", "DIVERGED")

class Finding(Exception):
    """The first thing found that decides the verdict; code is the exit code."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code

def invalid(text):
    return Finding(1, text)

def cannot_tell(text):
    return Finding(2, text)

def need(condition, text):
    if not condition:
        raise invalid(text)

def sha256(data):
    return hashlib.sha256(data).digest()

# --- Values (§ 1) -----------------------------------------------------------------------------------------------------------------

def unbase64(text, url=False):
    """The bytes, or None: decoding and encoding again shows every other spelling."""
    try:
        if url:
            data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            return data if base64.urlsafe_b64encode(data).rstrip(b"=").decode() == text else None
        data = base64.b64decode(text)
        return data if base64.b64encode(data).decode() == text else None
    except ValueError:
        return None

def matches(pattern):
    # \Z and re.ASCII: "$" would allow a line feed, "\d" other digits.
    compiled = re.compile(f"(?:{pattern})\\Z", re.ASCII)
    return lambda text: compiled.match(text) is not None

is_number = matches("0|[1-9][0-9]{0,17}")
is_from_1 = matches("[1-9][0-9]{0,17}")
is_identifier = matches("[a-z0-9][a-z0-9._-]{0,63}")
is_language = matches("[a-z]{2,3}(-[A-Z]{2})?")
is_origin_shape = matches(r"[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)*")
is_time_shape = matches(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")
is_second_shape = matches("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")

def is_size(text):
    """A number of C2SP: longer than those of entries."""
    return matches("0|[1-9][0-9]{0,18}")(text) and int(text) < 2**63

def is_hash(text):
    return len(text) == 44 and len(unbase64(text) or b"") == 32

def is_some_hash(text):
    """A hash that names something: 32 zero bytes are none."""
    return is_hash(text) and unbase64(text) != bytes(32)

def is_token(text):
    return len(text) == 43 and len(unbase64(text, url=True) or b"") == 32

def is_origin(text):
    return (len(text) <= 128 and is_origin_shape(text) and not text.startswith((".", "consent-ledger/")) and not text.endswith(".")
            and not {".", ".."} & set(text.split("/")[1:]))

def moment(text):
    """A time or a second as a datetime; None if there is no such moment (strptime knows a second 60)."""
    decimals = is_time_shape(text)
    if not (decimals or is_second_shape(text)) or text < "2000" or text[17:19] > "59":
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ" if decimals else "%Y-%m-%dT%H:%M:%SZ")
    except ValueError:
        return None

def is_time(text):
    return is_time_shape(text) and moment(text) is not None

def is_second(text):
    return is_second_shape(text) and moment(text) is not None

# --- Vocabularies (§ 4) and kinds (§ 3) -------------------------------------------------------------------------------------------

CHANNELS = "email phone sms messenger fax post push app web".split()
METHODS = "web_form app preference_centre link one_click email_reply paper oral phone in_person api import".split()
ROLES = "app auditor legal admin".split()
GROUNDS = "art18_1_a art18_1_b art18_1_c art18_1_d".split()
CAUSES = "rectified scanner wording authority error other".split()
CHANGES = "added replaced removed".split()
UNUSED_MEASURES = "warn block expire".split()
RETENTION_RULES = "withdrawn lapsed unused validity evidence".split()
RETENTION_MEASURES = "lock shred expire".split()
REASONS = "art17 consent_withdrawn retention unlawful objection child other".split()
CLAIMS = ("email phone external_id name ip user_agent page_url referrer form_snapshot checkbox_state language session captcha origin"
          " operator reference recipient reason message mta_response title typed address form document recording scanner guardian signal").split()
ARTICLES = "art15 art16 art17 art18 art19 art20 art21 art22".split()
REFUSALS = "excessive legal_claims legal_obligation not_applicable other overriding_grounds unfounded unidentified".split()
MEANS = "document eid login mailbox other phone_call question".split()
OCCASIONS = "access_report bundle claims".split()
BASES = "consent contract legal_obligation legitimate_interest existing_customer".split()
CONDITIONS = "address_from_sale no_objection notice_each_use own_similar_goods".split()
MODES = "none anonymous pseudonymous personal".split()
TRACKING = "email.open_tracking email.click_tracking web.tracking".split()
IP_POLICIES = "none truncated full".split()  # from the strictest
CALLED = "phone sms messenger fax".split()
ALLOWS_USE = "confirmed given renewed imported asserted".split()
STATES = ["requested", *ALLOWS_USE, *"lapsed refused expired withdrawn objected revoked invalidated".split()]

def is_claim(text):
    return text in CLAIMS or is_declared_claim(text)

def is_declared_claim(text):
    return len(text) <= 64 and text.startswith("x.") and is_identifier(text[2:])

def is_notice(text):
    name, _, rest = text.partition("@")
    version, _, digest = rest.partition(" ")
    return is_identifier(name) and is_from_1(version) and is_hash(digest)

def is_sign(text):
    return matches("[0-9a-f]{8}")(text[:8]) and text[8:9] == " " and bool(unbase64(text[9:]))

def is_yes_no(text):
    return text in ("yes", "no")

OWN = {  # the kinds' own lines: what their values must be
    "controller": is_identifier, "origin": is_origin, "format": lambda t: t == "1", "add": lambda t: parse_vkey(t) is not None,
    "sign": is_sign, "name": lambda t: is_identifier(t) and t != "ledger", "role": ROLES.__contains__, "purpose": is_identifier,
    "version": is_from_1, "marketing": is_yes_no, "double_opt_in": is_yes_no, "double_opt_in_channel": CHANNELS.__contains__,
    "token_lifetime": is_from_1, "lock_days": is_from_1, "lapsed_days": is_from_1, "unused_days": is_from_1,
    "unused_measure": UNUSED_MEASURES.__contains__, "evidence_days": is_from_1, "notice": is_notice, "language": is_language, "covers": is_identifier,
    "channel": lambda t: t in CHANNELS or t == "any", "method": METHODS.__contains__, "lock": is_some_hash, "expires": is_second,
    "ip_policy": IP_POLICIES.__contains__, "token": is_token, "ground": GROUNDS.__contains__,
    "cause": CAUSES.__contains__, "reason": REASONS.__contains__, "until": is_second, "refers": is_number, "generation": is_from_1,
    "medium": ("file",).__contains__, "contents_destroyed": is_second, "existence_due": is_second, "existence_destroyed": is_second,
    "change": CHANGES.__contains__, "rule": RETENTION_RULES.__contains__, "measure": RETENTION_MEASURES.__contains__,
    "state_root": is_hash, "validity_days": is_from_1, "unused_warn_days": is_from_1, "minimum_grade": tuple("ABCDE").__contains__,
    "minimum_age": is_from_1, "explicit": "yes".__eq__, "parent": is_identifier, "basis": BASES.__contains__, "tracking_mode": MODES.__contains__,
    "use": ("wording", "privacy", "mail").__contains__, "checkbox": ("unticked", "none").__contains__,
    "conditional_on": ("none", "service").__contains__, "facts": is_some_hash, "former": is_some_hash,
    "age": ("old_enough", "child").__contains__, "grade": tuple("CDE").__contains__, "condition": CONDITIONS.__contains__,
    "mail": "kept".__eq__, "failure": ("permanent", "temporary").__contains__, "click": ("button", "link", "script", "event").__contains__,
    "mode": MODES.__contains__, "effect_hours": is_from_1, "claim": is_declared_claim, "processor": is_identifier,
    "country": matches("[A-Z]{2}"), "signal": ("gpc", "tcf").__contains__, "says": is_yes_no, "system": is_identifier, "means": MEANS.__contains__,
    "article": ARTICLES.__contains__, "refusal": REFUSALS.__contains__, "occasion": OCCASIONS.__contains__, "shown": is_claim,
    "due": is_second, "informed": is_second, "retire": lambda t: parse_vkey(t) is not None, "size": is_from_1, "checkpoint": is_some_hash,
    "stamp": is_some_hash, "stamped": is_time,
}

class Kind:
    """One row of the table of kinds: written by, effect, list, occurred, own lines, commit."""

    def __init__(self, row):
        roles, self.effect, self.list, self.occurred, own, self.commit = [cell.strip() for cell in row.split("|")]
        self.roles, self.own = roles.split(), []
        for word in own.split():
            # name:low-high, then when the line stands: ! in the opening form, +other with another line, -other without it
            name, low, high, when = re.match(r"([a-z_]+)(?::(\d+)-(\d+))?(!|[+-][a-z_]+)?\Z", word).groups()
            self.own.append((name, int(low or 1), int(high or 1), when or ""))

KINDS = {row.split("|", 1)[0].strip(): Kind(row.split("|", 1)[1]) for row in """
ledger.created        | ledger      | -       | -        | -   | controller origin format add:2-2 sign:2-2                  | -
source.declared       | ledger      | -       | -        | -   | name role                                                  | -
purpose.defined       | admin       | -       | -        | -   | purpose version marketing double_opt_in double_opt_in_channel:0-9 \
    token_lifetime lock_days:0-1 lapsed_days:0-1 unused_days:0-1 unused_measure:0-1 evidence_days:0-1 validity_days:0-1 \
    unused_warn_days:0-1 minimum_grade:0-1 minimum_age:0-1 explicit:0-1 ip_policy:0-1 parent:0-1 basis:0-5 tracking_mode:0-1 \
    effect_hours:0-1                                                                                                             | may
notice.published      | admin       | -       | -        | -   | notice language covers:1-32 use:0-1 checkbox:0-1 \
    conditional_on:0-1 facts:0-1                                                                                                 | -
consent.requested     | app         | opens   | -        | may | purpose channel notice method lock expires ip_policy \
    explicit:0-1 age:0-1                                                                                                         | may
consent.given         | app         | opens   | -        | may | purpose channel notice method ip_policy explicit:0-1 age:0-1 | may
consent.refused       | app         | opens   | -        | may | purpose channel notice:0-1 method ip_policy                | may
consent.imported      | app         | opens   | -        | may | purpose channel notice:0-1 method ip_policy grade \
    explicit:0-1 age:0-1                                                                                                         | may
basis.asserted        | app         | opens   | -        | may | purpose channel notice:0-1 basis condition:0-4 ip_policy   | may
confirmation.sent     | app         | mention | about    | may | notice:0-1 mail:0-1                                        | may
confirmation.resent   | app         | mention | about    | may | lock:0-1 expires+lock former+lock                          | may
confirmation.failed   | app         | mention | about    | may | failure                                                    | may
confirmation.opened   | app         | mention | about    | may |                                                            | may
confirmation.attached | app         | mention | about    | -   |                                                            | may
consent.confirmed     | app         | changes | consent  | may | token click:0-1                                            | may
confirmation.rejected | app         | changes | consent  | may | token                                                      | may
request.expired       | ledger      | changes | consent  | -   | lock                                                       | -
consent.renewed       | app         | changes | consent  | may | notice:0-1 method ip_policy                                | may
consent.expired       | ledger      | changes | consent  | -   |                                                            | -
consent.withdrawn     | app         | changes | consent  | may | method:0-1                                                 | may
consent.revoked       | admin legal | changes | consent  | may | cause                                                      | may
consent.invalidated   | admin legal | changes | consent  | may | cause                                                      | may
objection.recorded    | app         | either  | optional | may | purpose! channel! method:0-1 article:0-1                   | may
restriction.set       | app legal   | changes | consent  | may | ground                                                     | may
restriction.lifted    | app legal   | changes | consent  | may | informed                                                   | may
consent.used          | app         | mention | about    | may | processor:0-1                                              | may
tracking.changed      | app         | mention | about    | may | purpose mode method:0-1                                    | may
subject.locked        | app ledger  | changes | consent  | -   | reason until                                               | -
subject.erased        | app ledger  | changes | consent  | -   | reason                                                     | -
evidence.shredded     | ledger      | -       | -        | -   | refers:1-256 generation medium contents_destroyed:0-1 \
    existence_due+contents_destroyed existence_destroyed-contents_destroyed                                                      | -
subject.rectified     | app legal   | mention | about    | may | change                                                     | may
hold.set              | legal       | mention | about    | -   |                                                            | may
hold.lifted           | legal       | mention | about    | -   | refers                                                     | may
retention.applied     | ledger      | mention | about    | -   | rule measure                                               | -
evidence.disclosed    | legal       | mention | about    | -   | occasion shown:0-64                                        | may
bundle.exported       | legal       | mention | about    | -   |                                                            | may
claim.declared        | admin       | -       | -        | -   | claim                                                      | may
processor.engaged     | admin       | -       | -        | may | processor country:0-1 covers:0-32                          | may
processor.ended       | admin       | -       | -        | may | processor                                                  | may
guardian.authorised   | app         | mention | about    | may | method                                                     | may
signal.received       | app         | mention | about    | may | signal says                                                | may
withdrawal.effected   | app         | mention | about    | may | system                                                     | may
identity.verified     | legal       | mention | about    | may | means                                                      | may
request.received      | app legal   | mention | perhaps  | may | article due                                                | may
request.extended      | legal       | mention | perhaps  | may | refers due                                                 | may
request.answered      | legal       | mention | perhaps  | may | refers                                                     | may
request.refused       | legal       | mention | perhaps  | may | refers refusal                                             | may
recipient.notified    | legal       | -       | -        | may | refers processor:0-1                                       | may
recipient.acknowledged | legal      | -       | -        | may | refers                                                     | may
entry.corrected       | admin legal | mention | perhaps  | -   | refers:1-256                                               | may
suppression.added     | app admin   | -       | -        | -   | purpose                                                    | -
suppression.removed   | app admin   | -       | -        | -   | purpose                                                    | -
key.rotated           | admin       | -       | -        | -   | refers add:2-2 retire:2-2 sign:4-4                         | -
checkpoint.anchored   | ledger      | -       | -        | -   | size checkpoint stamp stamped                              | -
state.committed       | ledger      | -       | -        | -   | state_root                                                 | -
""".strip().replace("\\\n", "").splitlines()}

class Arrow:
    """One row of what leads where (§ 5): from which states, to which, overlays that are set and lifted, overlays that it is not under."""

    def __init__(self, row):
        states, self.to, self.sets, self.lifts, under = [cell.strip() for cell in row.split("|")]
        self.but, self.states, self.under = states.startswith("any"), states.split(), under.split()

    def starts_at(self, state):
        return (state not in self.states) if self.but else state in self.states

ARROWS = {row.split("|", 1)[0].strip(): Arrow(row.split("|", 1)[1]) for row in f"""
confirmation.sent     | requested                        |           |            |            | locked
confirmation.resent   | requested                        |           |            |            | locked
confirmation.failed   | requested                        |           |            |            | locked
confirmation.opened   | requested                        |           |            |            | locked
confirmation.attached | any                              |           |            |            |
confirmation.rejected | requested                        | lapsed    |            |            |
request.expired       | requested                        | lapsed    |            |            |
consent.confirmed     | requested                        | confirmed |            |            | locked
objection.recorded    | any                              | objected  |            |            |
consent.used          | {" ".join(ALLOWS_USE)}           |           |            |            | locked restricted
subject.rectified     | any                              |           |            |            |
hold.set              | any                              |           |            |            |
hold.lifted           | any                              |           |            |            |
retention.applied     | any                              |           |            |            |
tracking.changed      | any                              |           |            |            |
evidence.disclosed    | any                              |           |            |            |
bundle.exported       | any                              |           |            |            |
guardian.authorised   | requested {" ".join(ALLOWS_USE)} |           |            |            | locked
signal.received       | any                              |           |            |            |
withdrawal.effected   | any                              |           |            |            |
identity.verified     | any                              |           |            |            |
request.received      | any                              |           |            |            |
request.extended      | any                              |           |            |            |
request.answered      | any                              |           |            |            |
request.refused       | any                              |           |            |            |
entry.corrected       | any                              |           |            |            |
consent.renewed       | confirmed given renewed imported | renewed   |            |            | locked
consent.expired       | confirmed given renewed imported | expired   |            |            |
consent.withdrawn     | any but withdrawn                | withdrawn |            |            |
consent.revoked       | any but withdrawn objected       | revoked   |            |            |
consent.invalidated   | any but withdrawn objected       | invalidated |          |            |
restriction.set       | any                              |           | restricted |            |
restriction.lifted    | any                              |           |            | restricted |
subject.locked        | any                              |           | locked     |            |
subject.erased        | any                              |           | erased     |            |
""".strip().splitlines()}
OVERLAYS = ("restricted", "locked", "erased")

# --- Entries (§ 2) ----------------------------------------------------------------------------------------------------------------

class Entry:
    """A parsed entry. later says why it cannot be judged (an unknown kind, a later format), if so."""

    def __init__(self, data):
        self.data, self.later, self.format, self.part, self.occurred = data, None, 1, None, None
        self.consents, self.abouts, self.own, self.commits = [], [], [], {}
        need(len(data) <= 16384, "entry: too long")
        need(all(0x20 <= c <= 0x7E or c == 0x0A for c in data), "entry: not printable ASCII")
        *self.lines, tail = data.decode("ascii").split("\n")
        magic = "consent-ledger/entry/v"
        first = self.lines.pop(0) if self.lines else ""
        need(first.startswith(magic) and is_from_1(first[len(magic):]), "entry: line 1: not a consent ledger entry")
        self.format = int(first[len(magic):])
        if self.format > 1:
            self.later = f"entry format version {self.format}"
            return
        self.index = int(self.take("index", is_number))
        self.prev = self.take("prev", is_hash)
        self.time = self.take("time", is_time)
        self.kind = self.take("kind", is_identifier)
        self.source = self.take("source", is_identifier)
        if self.kind not in KINDS:
            self.later = f"unknown kind {self.kind}"
            return
        self.parse_rest(KINDS[self.kind])
        need(not self.lines and not tail, "entry: unexpected line, or one that is not ended")

    def take(self, name, good):
        """The value of the next line, which must have this name."""
        need(self.lines and self.lines[0].startswith(name + " "), f"entry: line {name} expected")
        value = self.lines.pop(0)[len(name) + 1:]
        need(good(value), f"entry: value of {name}")
        return value

    def take_all(self, name, good):
        values = []
        while self.lines and self.lines[0].startswith(name + " "):
            values.append(self.take(name, good))
        return values

    def ascending(self, values, what):
        need(all(a < b for a, b in zip(values, values[1:])), f"entry: {what} not strictly ascending")

    def parse_rest(self, kind):
        numbers = lambda joint: lambda text: all(map(is_number, text.split(joint))) and text.count(joint) == 1
        part = self.take_all("part", numbers(" of "))
        if part:
            need(len(part) == 1, "entry: part twice")
            self.part = tuple(int(x) for x in part[0].split(" of "))
            need(1 <= self.part[0] <= self.part[1] and 2 <= self.part[1] <= 9999, "entry: part out of range")
        if kind.list in ("consent", "optional"):
            self.consents = [tuple(int(x) for x in v.split(" after ")) for v in self.take_all("consent", numbers(" after "))]
            self.ascending([c[0] for c in self.consents], "consent")
            need(all(i <= after for i, after in self.consents), "entry: changed before it was opened")
            need(self.consents or kind.list == "optional", "entry: no consent line")
        if kind.list in ("about", "perhaps"):
            self.abouts = [int(v) for v in self.take_all("about", is_number)]
            self.ascending(self.abouts, "about")
            need(self.abouts or kind.list == "perhaps", "entry: no about line")
        need(not self.part or self.consents or self.abouts, "entry: part without a list")
        if kind.occurred == "may":
            occurred = self.take_all("occurred", is_second)
            need(len(occurred) <= 1, "entry: occurred twice")
            self.occurred = occurred[0] if occurred else None
        for name, low, high, when in kind.own:
            stands = {"": True, "!": not self.consents, "+": self.get(when[1:]), "-": not self.get(when[1:])}[when[:1]]
            if not stands:
                continue
            values = self.take_all(name, OWN[name])
            need(low <= len(values) <= high, f"entry: {len(values)} lines {name}")
            if name in ("covers", "double_opt_in_channel", "basis", "condition", "shown"):
                self.ascending(values, name)
            if name == "refers":
                self.ascending([int(v) for v in values], name)
                need(all(int(v) < self.index for v in values), "entry: refers to itself or later")
            if self.kind == "basis.asserted" and name == "basis":
                need("consent" not in values, "entry: consent is not asserted")
            if self.kind == "objection.recorded" and name == "article":
                need(set(values) <= {"art22"}, "entry: an objection names another article")
            self.own += [(name, v) for v in values]
        if kind.commit == "may":
            good = lambda text: is_claim(text.partition(" ")[0]) and is_hash(text.partition(" ")[2])
            commits = [tuple(v.split(" ")) for v in self.take_all("commit", good)]
            self.ascending([claim for claim, _ in commits], "commit")
            self.commits = dict(commits)
            need(not self.commits or not self.part or self.part[0] == 1, "entry: commit lines in a part other than 1")
        need(not self.opens() or {"email", "phone", "external_id"} & set(self.commits), "entry: commits to no identifier")

    def opens(self):
        return KINDS[self.kind].effect == "opens" or KINDS[self.kind].effect == "either" and not self.consents

    def all(self, name):
        return [v for n, v in self.own if n == name]

    def get(self, name):
        return (self.all(name) or [None])[0]

# --- Disclosures (§ 8) ------------------------------------------------------------------------------------------------------------

def disclosure(data):
    """The claim and the value of a disclosure in its one spelling."""
    try:
        decoded = unbase64(data.decode("ascii"), url=True)
        salt, claim, value = array = json.loads(decoded.decode())
        good = all(type(x) is str for x in array) and is_token(salt) and is_claim(claim) and len(value.encode()) <= 65536
        good = good and json.dumps(array, separators=(",", ":"), ensure_ascii=False).encode() == decoded
    except (ValueError, AttributeError, TypeError, RecursionError):
        good = False
    need(good, "not a disclosure in its one spelling")
    return claim, value

def verify_disclosure(path):
    data = read(path, 1 << 20)
    claim, value = disclosure(data)
    return json.dumps({"claim": claim, "value": value, "commit": base64.b64encode(sha256(data)).decode()}, ensure_ascii=False)

# --- Keys, notes, checkpoints and policies (§ 10, § 11) ---------------------------------------------------------------------------

KEY_SIZES = {1: 32, 4: 32, 6: 1312}

def is_key_name(name):
    return name != "" and not any(c.isspace() or c < " " or c == "+" or "\ud800" <= c <= "\udfff" for c in name)

class Key:
    def __init__(self, vkey, name, key_id, data):
        self.vkey, self.name, self.id, self.type, self.public = vkey, name, key_id, data[0], data[1:]
        self.who = name, key_id

    def verifies(self, checkpoint, signature):
        if self.type == 1:
            return ed25519_verify(self.public, checkpoint.text, signature)
        time, signature = signature[:8], signature[8:]
        if len(time) < 8 or time[0] > 0x7F:
            return False
        if self.type == 4:
            text = b"cosignature/v1\ntime %d\n" % int.from_bytes(time, "big") + checkpoint.text
            return ed25519_verify(self.public, text, signature)
        name, origin = self.name.encode(), checkpoint.origin.encode()
        signed = (b"subtree/v1\n\x00" + bytes([len(name)]) + name + time + bytes([len(origin)]) + origin
                  + bytes(8) + checkpoint.size.to_bytes(8, "big") + checkpoint.root)
        return mldsa_verify(self.public, signed, signature)

def parse_vkey(text):
    """The key, or None if it is not a verifier key in its one spelling."""
    parts = text.split("+", 2)
    data = unbase64(parts[2]) if len(parts) == 3 else None
    if not data or not is_key_name(parts[0]) or len(parts[0].encode()) > 255 or KEY_SIZES.get(data[0]) != len(data) - 1:
        return None
    key_id = sha256(parts[0].encode() + b"\n" + data)[:4]
    return Key(text, parts[0], key_id, data) if parts[1] == key_id.hex() else None

class Checkpoint:
    """A signed note whose text is a checkpoint's, not yet judged by a policy."""

    def __init__(self, data):
        need(len(data) <= 65536, "checkpoint: too long")
        try:
            note = data.decode("utf-8")
        except UnicodeDecodeError:
            raise invalid("checkpoint: not UTF-8") from None
        need(not any(c < " " and c != "\n" for c in note), "checkpoint: control character")
        cut = note.rfind("\n\n")
        need(cut > 0 and note.endswith("\n") and cut + 2 < len(note), "checkpoint: not a signed note")
        self.text = note[:cut + 1].encode()
        lines = note[cut + 2:-1].split("\n")
        need(1 <= len(lines) <= 64, "checkpoint: number of signature lines")
        self.signatures = {}
        for line in lines:
            match = re.match("\u2014 ([^ ]+) ([^ ]+)\\Z", line)
            blob = unbase64(match.group(2)) if match else None
            need(blob and len(blob) >= 5 and is_key_name(match.group(1)), "checkpoint: malformed signature line")
            who = match.group(1), blob[:4]
            need(who not in self.signatures, "checkpoint: two signatures by one key")
            self.signatures[who] = blob[4:]
        fields = note[:cut].split("\n")
        need(len(fields) == 3, "checkpoint: not three lines")
        self.origin = fields[0]
        need(is_origin(fields[0]), "checkpoint: origin")
        need(is_size(fields[1]), "checkpoint: size")
        need(is_hash(fields[2]), "checkpoint: root")
        self.size, self.root = int(fields[1]), unbase64(fields[2])
        need(self.size > 0 or self.root == sha256(b""), "checkpoint: root of no entries")

    def signed_by(self, pair):
        for key in pair:
            need(key.who in self.signatures, "checkpoint: no signature by the log's key")
            need(key.verifies(self, self.signatures[key.who]), "checkpoint: signature by the log does not verify")

class Policy:
    def __init__(self, data):
        try:
            self.parse(data)
        except Finding as finding:
            raise cannot_tell(f"policy: {finding}") from None

    def parse(self, data):
        # Comments and names may hold any bytes from 0x80 on; only in the name of a key they must be UTF-8.
        text = data.decode("utf-8", "surrogateescape")
        need(text == "" or text.endswith("\n"), "the last line is not ended")
        need(not any(c < " " and c not in "\n\t" or c == "\x7f" for c in text), "control character")
        self.log, self.quorum, self.witnesses, self.groups, taken = None, None, {}, {}, set()
        for line in text.split("\n"):
            words = re.findall("[^ \t]+", line)
            if not words or words[0].startswith("#"):
                continue
            known = lambda name: name in self.witnesses or name in self.groups
            if words[0] == "log" and len(words) in (2, 3) and not self.log:
                self.log = parse_vkey(words[1])
                need(self.log and self.log.type == 1 and is_origin(self.log.name), "log key")
            elif words[0] == "witness" and len(words) in (3, 4):
                key = parse_vkey(words[2])
                need(key and key.type in (4, 6), "witness key")
                need(words[1] != "none" and not known(words[1]), "witness name")
                self.witnesses[words[1]] = key
            elif words[0] == "group" and len(words) >= 4:
                members = words[3:]
                need(words[1] != "none" and not known(words[1]), "group name")
                need(all(map(known, members)) and len(set(members)) == len(members) and not taken & set(members), "group members")
                taken |= set(members)
                k = {"all": str(len(members)), "any": "1"}.get(words[2], words[2])
                need(is_from_1(k) and int(k) <= len(members), "group threshold")
                self.groups[words[1]] = int(k), members
            elif words[0] == "quorum" and len(words) == 2 and self.quorum is None:
                need(words[1] == "none" or known(words[1]), "quorum is not defined")
                self.quorum = words[1]
            else:
                raise invalid("line " + repr(line[:40]))
        need(self.log and self.quorum, "no log or no quorum line")
        keys = [self.log, *self.witnesses.values()]
        need(len({k.public for k in keys}) == len(keys) and len({(k.name, k.id) for k in keys}) == len(keys), "a key stands twice")
        own = [k for k in self.witnesses.values() if k.type == 6 and k.name == self.log.name]
        need(len(own) == 1, "not exactly one ML-DSA-44 key of the log")
        self.pq, self.keys, self.ring = own[0], {k.who: k for k in keys if k not in (self.log, own[0])}, None

    def follow(self, data):
        """Reads the policy under a trust.keys file from now on (§ 11); an empty one says nothing."""
        if not data:
            return
        try:
            ring = key_ring(data)
            need(any(entry.pair == self.pair() for entry in ring), "without the policy's keys")
        except Finding as finding:
            raise cannot_tell(f"keys file: {finding}") from None
        self.ring = ring

    def retired(self, size):
        """Whether a pair was in force at this size that the policy's replaced."""
        return self.ring is not None and size <= max(e.index for e in self.ring if e.pair == self.pair()) and self.ring[0].pair != self.pair()

    def pair(self):
        return [self.log.vkey, self.pq.vkey]

    def keys_at(self, size):
        return keys_at(self.ring, size) if self.ring else (self.log, self.pq)

    def check_origin(self, checkpoint):
        need(checkpoint.origin == self.log.name, "checkpoint: another origin")

    def check_log(self, checkpoint):
        """The lines of the log's own two keys."""
        self.check_origin(checkpoint)
        pair = self.keys_at(checkpoint.size)
        known = {key.who for entry in self.ring for key in entry.keys} if self.ring else {key.who for key in pair}
        own = {who for who in checkpoint.signatures if who[0] == self.log.name}
        if not own & known and len(own) >= 2:
            raise cannot_tell("checkpoint: signed by keys of the log's name that nothing is known of")
        checkpoint.signed_by(pair)
        return pair

    def check(self, checkpoint):
        """Returns the keys whose lines nobody checked; raises what else there is to find."""
        pair, unchecked = self.check_log(checkpoint), []
        if self.retired(checkpoint.size):
            raise cannot_tell("checkpoint: signed by keys that the policy's replaced")
        for (name, key_id), signature in checkpoint.signatures.items():
            key = self.keys.get((name, key_id))
            if (name, key_id) in [k.who for k in pair]:
                continue
            elif key is None:
                unchecked.append(f"{name}+{key_id.hex()}")
            else:
                need(key.verifies(checkpoint, signature), f"checkpoint: signature by {name} does not verify")
        counts = {name: key is self.pq or key.who in checkpoint.signatures for name, key in self.witnesses.items()}
        for name, (k, members) in self.groups.items():
            counts[name] = sum(counts[m] for m in members) >= k
        if self.quorum != "none" and not counts[self.quorum]:
            raise cannot_tell(f"checkpoint: quorum {self.quorum} is not reached")
        return unchecked

class KeyEntry:
    """A key entry that § 10 holds for: in a log or a keys file the one before it is given, for entry 0 None."""

    def __init__(self, e, before):
        self.index, self.data, self.pair = e.index, e.data, e.all("add")
        self.keys = [parse_vkey(v) for v in self.pair]
        origin, signers = e.get("origin"), list(self.keys)
        if before:
            origin, signers = before.keys[0].name, before.keys + signers
            need(int(e.get("refers")) == before.index, "keys: follows another key entry")
            need(e.all("retire") == before.pair, "keys: retires others than those in force")
            need(not set(self.pair) & set(before.pair), "keys: a key stays")
        need([k.type for k in self.keys] == [1, 6] and all(k.name == origin for k in self.keys), "keys: of another type or origin")
        signs = [v.split(" ") for v in e.all("sign")]
        need([s[0] for s in signs] == [k.id.hex() for k in signers], "keys: signatures by others")
        text = "\n".join(["consent-ledger/rotation/v1", origin, str(e.index), e.prev] + ["add " + v for v in self.pair]
                         + ["retire " + v for v in e.all("retire")] + [""]).encode()
        for key, (_, signature) in zip(signers, signs):
            verify = ed25519_verify if key.type == 1 else mldsa_verify
            need(verify(key.public, text, unbase64(signature)), f"keys: signature by {key.id.hex()}")

def add_key_entry(ring, e):
    """Adds a key entry to those before it: no key comes back, and there are at most 256."""
    entry = KeyEntry(e, ring[-1] if ring else None)
    need(not any(set(entry.pair) & set(before.pair) for before in ring), "keys: a key that was retired comes back")
    need(len(ring) < 256, "keys: too many key entries")
    ring.append(entry)

def key_ring(data):
    """The key entries of a trust.keys file (§ 10). Each begins with the first line of an entry, which no other line looks like."""
    need(len(data) <= 4194304, "keys: too long")
    ring = []
    for text in re.split(b"(?<=\n)(?=consent-ledger/entry/v)", data):
        e = Entry(text)
        if e.later:
            raise cannot_tell(f"needs a newer verifier: {e.later}")
        need(e.kind == ("key.rotated" if ring else "ledger.created"), "keys: no key entry")
        add_key_entry(ring, e)
    return ring

def keys_at(ring, size):
    """The pair that is in force for a checkpoint of this size."""
    return [entry for entry in ring if entry.index < size or entry is ring[0]][-1].keys

# --- Trees (§ 6) ------------------------------------------------------------------------------------------------------------------

def leaf_hash(data):
    return sha256(b"\x00" + data)

def node_hash(left, right):
    return sha256(b"\x01" + left + right)

class Tree:
    """The tree of RFC 6962 as the roots of its perfect subtrees, largest first, and what tiles above level 0 must hold."""

    def __init__(self):
        self.size, self.roots, self.tiles, self.whole = 0, [], {}, Counter()

    def add(self, leaf):
        """Adds a leaf and yields (level, number, hashes) of each tile of level 1 or above that it completes."""
        self.size += 1
        height, node = 0, leaf
        while self.size >> height & 1 == 0:
            node, height = node_hash(self.roots.pop(), node), height + 1
            if height % 8 == 0:
                level = height // 8
                hashes = self.tiles.setdefault(level, [])
                hashes.append(node)
                if len(hashes) == 256:
                    yield level, self.whole[level], hashes
                    self.tiles[level], self.whole[level] = [], self.whole[level] + 1
        self.roots.append(node)

    def root(self):
        if not self.roots:
            return sha256(b"")
        return functools.reduce(lambda right, left: node_hash(left, right), reversed(self.roots))

def tree_root(leaves):
    tree = Tree()
    for leaf in leaves:
        list(tree.add(leaf))
    return tree.root()

def inclusion_root(index, size, leaf, proof):
    """The root that an inclusion proof leads to, None if it has the wrong length; the loop is that of RFC 9162, 2.1.3.2."""
    node, last = leaf, size - 1
    for sibling in proof:
        if last == 0:
            return None
        if index & 1 or index == last:
            node = node_hash(sibling, node)
            while index and not index & 1:
                index, last = index >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        index, last = index >> 1, last >> 1
    return node if last == 0 else None

# --- Rules (§ 5) ------------------------------------------------------------------------------------------------------------------

class Consent:
    def __init__(self, index, state, request, purpose):
        self.last, self.state, self.overlays, self.request, self.purpose = index, state, set(), request, purpose
        self.kept, self.holds, self.evidence = False, 0, set()

    def condition(self):
        return " ".join([self.state] + [o for o in OVERLAYS if o in self.overlays])

    def learn(self, e):
        """Adds to the evidence what the table of grades says of an entry about this consent, in the state before it."""
        has = lambda *claims: any(c in e.commits for c in claims)
        trace = has("ip", "user_agent")
        facts = {
            "consent.requested": {"form": has("form_snapshot"), "trace": trace},
            "confirmation.sent": {"sent": self.state == "requested", "mail": self.state == "requested" and e.get("mail")},
            "confirmation.attached": {"mail": True},
            "consent.confirmed": {"confirmed": True, "button": e.get("click") == "button", "click trace": trace, "scanner": has("scanner")},
            "consent.imported": {"imported " + (e.get("grade") or ""): True},
        }.get(e.kind, {})
        if e.kind in ("consent.given", "consent.renewed"):
            facts = {"given": True, "given document": has("document", "recording"), "given form": has("form_snapshot"), "given trace": trace}
        self.evidence |= {word for word, holds in facts.items() if holds}

    def grade(self):
        """The best of the grades of every way in which the consent came about, or None."""
        have, grades = self.evidence, []
        if "confirmed" in have:
            proven = have >= {"button", "form", "sent"} and "scanner" not in have
            full = proven and have >= {"mail", "trace", "click trace"}
            grades.append("A" if full else "B" if proven else "D" if "scanner" in have and "button" not in have else "C")
        if "given" in have:
            grades.append("B" if "given document" in have else "EDC"[len(have & {"given form", "given trace"})])
        grades += [grade for grade in "CDE" if "imported " + grade in have]
        return min(grades, default=None)

class Request:
    """What the locks of one request share."""

    def __init__(self, lowest, channel):
        self.lowest, self.channel = lowest, channel

class Lock:
    def __init__(self, request, expires):
        self.request, self.expires, self.succeeded = request, expires, False

class Purpose:
    def __init__(self, e):
        self.version, self.marketing, self.parent = int(e.get("version")), e.get("marketing"), e.get("parent")
        self.explicit, self.age = bool(e.get("explicit")), bool(e.get("minimum_age"))
        self.ip, self.bases = e.get("ip_policy") or "truncated", e.all("basis") or ["consent"]
        self.balanced = "document" in e.commits

    def keeps_no_more(self, e):
        line = e.get("ip_policy")
        return IP_POLICIES.index(line) <= IP_POLICIES.index(self.ip) and not (line == "none" and "ip" in e.commits)

class RightsRequest:
    def __init__(self, received, due):
        self.received, self.due, self.extended = received, due, False

def months_on(moment, months):
    """The end of the same day so many months on, or of that month's last day."""
    years, month = divmod(moment.month - 1 + months, 12)
    year = moment.year + years
    if year > 9999:
        return datetime.max  # after every moment that has a spelling
    return datetime(year, month + 1, min(moment.day, calendar.monthrange(year, month + 1)[1]), 23, 59, 59)

class Ledger:
    """What the entries so far have made, and the rules that the next one is judged by."""

    def __init__(self):
        self.consents, self.locks, self.purposes, self.notices, self.versions = {}, {}, {}, {}, Counter()
        self.sources, self.irregular, self.kinds, self.now = {}, Counter(), Counter(), None
        self.holds = {}  # open holds and their consents
        self.contents, self.existence = set(), {}  # erasures whose contents wait; whose existence waits, and until when it may
        self.claims, self.processors = set(), {}  # declared claims; processors ever engaged, and whether they still are
        self.ring = []  # key entries
        self.requests, self.notified = {}, set()  # open requests under Art. 15 to 22; notifications that nobody has acknowledged

    def judge(self, e):
        def rule(name, holds):
            need(holds, f"entry {e.index}: rule {name}")
        rule("source", e.source == "ledger" or e.source in self.sources)
        rule("role", self.sources.get(e.source, "ledger") in KINDS[e.kind].roles)
        self.kinds[e.kind] += 1
        self.now = now = moment(e.time)
        if e.occurred and moment(e.occurred) - now > timedelta(minutes=5):
            rule("occurred", e.kind in ("consent.withdrawn", "objection.recorded", "restriction.set"))
            self.irregular["occurred_ahead"] += 1
        if e.kind in ("ledger.created", "key.rotated"):
            try:
                add_key_entry(self.ring, e)
            except Finding as finding:
                raise invalid(f"entry {e.index}: rule keys: {finding}") from None
        rule("size", e.kind != "checkpoint.anchored" or int(e.get("size")) <= e.index)
        rule("claim", all(c in CLAIMS or c in self.claims for c in e.commits))
        if e.kind == "claim.declared":
            rule("claim", e.get("claim") not in self.claims)
            self.claims.add(e.get("claim"))
        self.judge_registry(e, rule)
        self.judge_processor(e, rule)
        self.judge_notice(e, rule)
        if e.opens():
            self.judge_opening(e, rule, now)
        lock = None
        if e.get("token") or e.kind == "request.expired":
            name = base64.b64encode(sha256(e.get("token").encode())).decode() if e.get("token") else e.get("lock")
            lock = self.locks.get(name)
            rule("token", lock is not None)
            rule("token_expired", e.kind == "request.expired" or now <= lock.expires)
            rule("not_expired", e.kind != "request.expired" or not lock.succeeded and now > lock.expires)
        rule("informed", not e.get("informed") or moment(e.get("informed")) <= now)
        for i, after in e.consents:
            self.change(e, self.consents.get(i), after, lock, rule)
        if lock is not None:
            del self.locks[name]
        for i in e.abouts:
            rule("consent", i in self.consents)
            self.mention(e, self.consents[i], rule)
        if e.kind == "confirmation.resent" and e.get("lock"):
            self.judge_resend(e, rule, now)
        if e.kind == "state.committed":
            rule("state_root", unbase64(e.get("state_root")) == self.state_root(e.index))
        self.judge_refers(e, rule)

    def judge_notice(self, e, rule):
        if not e.get("notice") or e.kind == "notice.published":
            return
        rule("notice", e.get("notice") in self.notices)
        use = self.notices[e.get("notice")][0]
        rule("notice_use", e.kind == "basis.asserted" or use == ("mail" if e.kind == "confirmation.sent" else "wording"))

    def covers(self, e, purpose):
        return not e.get("notice") or purpose in self.notices[e.get("notice")][1]

    def judge_resend(self, e, rule, now):
        former, new, expires = self.locks.get(e.get("former")), self.locks.get(e.get("lock")), moment(e.get("expires"))
        rule("former", former is not None and not former.succeeded)
        rule("token_expired", now <= former.expires)
        rule("expires", expires > now and expires >= former.expires)
        rule("lock_used", new is None or now > new.expires)
        for i in e.abouts:
            rule("former", self.consents[i].request is former.request and self.consents[i].state == "requested")
        former.succeeded = True
        self.locks[e.get("lock")] = Lock(former.request, expires)

    def change(self, e, consent, after, lock, rule):
        arrow = ARROWS[e.kind]
        rule("consent", consent is not None)
        rule("after", after == consent.last)
        rule("token", lock is None or consent.request is lock.request)
        rule("erased", "erased" not in consent.overlays)
        rule("locked", "locked" not in consent.overlays or "locked" not in arrow.under)
        rule("transition", arrow.starts_at(consent.state))
        rule("overlay", arrow.sets not in consent.overlays - {"restricted"} and (not arrow.lifts or arrow.lifts in consent.overlays))
        rule("held", e.kind != "subject.erased" or not consent.kept and not consent.holds)
        if e.kind == "consent.renewed":
            rule("method", e.get("method") not in ("api", "import"))
            rule("ip_policy", self.purposes[consent.purpose].keeps_no_more(e))
            rule("notice_coverage", self.covers(e, consent.purpose))
        consent.learn(e)
        consent.last, consent.state = e.index, arrow.to or consent.state
        consent.overlays = (consent.overlays | {arrow.sets}) - {"", arrow.lifts}
        if e.kind == "restriction.set" and e.get("ground") in ("art18_1_b", "art18_1_c"):
            consent.kept = True
        elif e.kind == "restriction.lifted":
            consent.kept = False

    def judge_refers(self, e, rule):
        if e.kind == "evidence.shredded":
            for i in map(int, e.all("refers")):
                if e.get("contents_destroyed"):
                    rule("refers", i in self.contents)
                    self.contents.remove(i)
                    self.existence[i] = moment(e.get("existence_due"))
                else:
                    rule("refers", i in self.existence)
                    del self.existence[i]
        elif e.kind == "hold.lifted":
            rule("refers", self.holds.pop(int(e.get("refers")), None) == e.abouts)
        elif e.kind == "hold.set":
            self.holds[e.index] = e.abouts
        elif e.kind == "subject.erased":
            self.contents.add(e.index)
        elif e.kind == "recipient.notified":
            self.notified.add(e.index)
        elif e.kind == "recipient.acknowledged":
            rule("refers", int(e.get("refers")) in self.notified)
            self.notified.remove(int(e.get("refers")))
        elif e.kind.startswith("request.") and e.kind != "request.expired" and (not e.part or e.part[0] == 1):
            self.judge_request(e, rule)

    def judge_request(self, e, rule):
        """The clock of Art. 12(3) GDPR, § 5; of several parts the first speaks for all."""
        at = moment(e.occurred) if e.occurred else moment(e.time).replace(microsecond=0)
        if e.kind == "request.received":
            rule("due", moment(e.get("due")) == months_on(at, 1))
            self.requests[e.index] = RightsRequest(at, moment(e.get("due")))
            return
        request = self.requests.get(int(e.get("refers")))
        rule("refers", request is not None)
        if at > request.due:
            self.irregular[e.kind + ".late"] += 1
        if e.kind == "request.extended":
            due = moment(e.get("due"))
            rule("due", not request.extended and request.due < due <= months_on(request.received, 3))
            request.due, request.extended = due, True
        else:
            del self.requests[int(e.get("refers"))]

    def judge_processor(self, e, rule):
        name = e.get("processor")
        if e.kind == "withdrawal.effected":
            rule("system", e.get("system") in self.sources or e.get("system") in self.processors)
        elif e.kind == "processor.engaged":
            rule("purpose", all(c in self.purposes for c in e.all("covers")))
            self.processors[name] = True
        elif e.kind == "processor.ended":
            rule("processor", self.processors.get(name))
            self.processors[name] = False
        elif name:
            rule("processor", name in self.processors)

    def judge_registry(self, e, rule):
        if e.kind == "source.declared":
            rule("source", e.get("name") not in self.sources)
            self.sources[e.get("name")] = e.get("role")
        elif e.kind == "purpose.defined":
            self.judge_purpose(e, rule)
        elif e.kind == "notice.published":
            name, version = e.get("notice").split(" ")[0].split("@")
            rule("version", int(version) == self.versions[name] + 1)
            rule("purpose", all(c in self.purposes for c in e.all("covers")))
            if e.get("conditional_on") == "service":
                self.irregular["notice.published.tied"] += 1
            self.versions[name] += 1
            self.notices[e.get("notice")] = e.get("use") or "wording", e.all("covers")
        elif e.kind in ("suppression.added", "suppression.removed"):
            rule("purpose", e.get("purpose") in self.purposes or e.get("purpose") == "all-marketing")

    def judge_purpose(self, e, rule):
        name, new = e.get("purpose"), Purpose(e)
        before, parent = self.purposes.get(name), self.purposes.get(new.parent)
        rule("purpose", name != "all-marketing")
        rule("version", new.version == (before.version if before else 0) + 1)
        rule("parent", not before or before.parent == new.parent)
        rule("tracking", not e.get("tracking_mode") or name in TRACKING)
        rule("basis", not new.explicit or set(e.all("basis")) <= {"consent"})
        rule("basis", "existing_customer" not in new.bases or new.marketing == "yes")
        rule("parent", not new.parent or parent and parent.marketing == new.marketing)
        self.purposes[name] = new

    def judge_opening(self, e, rule, now):
        name, channel, objection = e.get("purpose"), e.get("channel"), e.kind == "objection.recorded"
        purpose = self.purposes.get(name)
        rule("purpose", purpose or objection and name == "all-marketing")
        rule("channel", objection or channel != "any")
        rule("notice_coverage", self.covers(e, name))
        if not objection:
            self.judge_terms(e, rule, purpose, channel)
        request = Request(e.index, channel)
        if e.kind == "consent.requested":
            expires, lock = moment(e.get("expires")), self.locks.get(e.get("lock"))
            rule("expires", expires > now)
            if lock and now <= lock.expires:
                request, before = lock.request, self.consents.get(e.index - 1)
                rule("lock_used", before and before.request is request and request.channel == channel and lock.expires == expires
                     and not lock.succeeded)
                rule("request_size", e.index - request.lowest < 32)
            else:
                self.locks[e.get("lock")] = Lock(request, expires)
        state = {"basis.asserted": "asserted", "objection.recorded": "objected"}.get(e.kind, e.kind.rpartition(".")[2])
        self.consents[e.index] = Consent(e.index, state, request, name)
        self.consents[e.index].learn(e)

    def judge_terms(self, e, rule, purpose, channel):
        """What a purpose demands of whatever opens a record of it."""
        basis = e.get("basis") or "consent"
        asks = e.kind in ("consent.requested", "consent.given", "consent.imported")
        rule("basis", basis in purpose.bases)
        rule("basis_channel", basis != "existing_customer" or channel not in ("phone", "fax"))
        rule("basis_channel", basis != "legitimate_interest" or purpose.marketing == "no" or channel not in CALLED + ["email"])
        rule("conditions", len(e.all("condition")) == (4 if basis == "existing_customer" else 0))
        rule("balancing", basis != "legitimate_interest" or purpose.balanced or "document" in e.commits)
        rule("explicit", not asks or not purpose.explicit or e.get("explicit"))
        rule("age", not asks or not purpose.age or e.get("age"))
        if e.kind == "consent.requested":
            proof = "email" if channel == "email" else "phone" if channel in CALLED else None
            rule("channel_proof", not proof or {proof, "external_id"} & set(e.commits))
        rule("ip_policy", purpose.keeps_no_more(e))

    def mention(self, e, consent, rule):
        kind = e.kind
        under = [o for o in ("locked", "restricted") if o in ARROWS[kind].under and o in consent.overlays]
        if "erased" in consent.overlays and kind != "bundle.exported":
            self.irregular[f"{kind}.erased"] += 1
        elif not ARROWS[kind].starts_at(consent.state):
            self.irregular[f"{kind}.{consent.state}"] += 1
        elif under:
            self.irregular[f"{kind}.{under[0]}"] += 1
        if kind == "hold.set":
            rule("holds", consent.holds < 127)
            consent.holds += 1
        elif kind == "hold.lifted":
            rule("refers", consent.holds > 0)
            consent.holds -= 1
        elif kind == "tracking.changed":
            rule("tracking", consent.purpose == e.get("purpose") and consent.purpose in TRACKING)
        elif kind == "signal.received":
            rule("tracking", consent.purpose in TRACKING)
        elif kind == "confirmation.sent":
            rule("notice_coverage", self.covers(e, consent.purpose))
        consent.learn(e)

    def state_root(self, size):
        leaves, empty = [], leaf_hash(b"")
        for i in range(size):
            c = self.consents.get(i)
            leaves.append(leaf_hash(f"consent {i} last {c.last} state {c.condition()}\n".encode()) if c else empty)
        return tree_root(leaves)

# --- The log (§ 13) ---------------------------------------------------------------------------------------------------------------

def read(path, limit):
    """A longer file is one that cannot be read: nobody has to take a terabyte to hear that it is wrong."""
    try:
        with open(path, "rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise cannot_tell(f"reading {path}: {error.strerror}") from None
    if len(data) > limit:
        raise cannot_tell(f"reading {path}: more than {limit} bytes")
    return data

def tile_path(level, number, width):
    groups = [f"{number % 1000:03d}"]
    while number >= 1000:
        number //= 1000
        groups.insert(0, f"x{number % 1000:03d}")
    return f"tile/{level}/{'/'.join(groups)}" + (f".p/{width}" if width < 256 else "")

def split_bundle(data, count, path):
    entries = []
    while data:
        size = int.from_bytes(data[:2], "big")
        need(len(data) >= 2 + size, f"{path}: cut within an entry")
        entries.append(data[2:2 + size])
        data = data[2 + size:]
    need(len(entries) == count, f"{path}: {len(entries)} entries, want {count}")
    return entries

class Export:
    """The files of an export directory, none of which may lie elsewhere."""

    def __init__(self, directory):
        self.root = os.path.realpath(directory)

    def read(self, path, limit):
        real = os.path.realpath(os.path.join(self.root, path))
        if os.path.commonpath([self.root, real]) != self.root or not os.path.isfile(real):
            raise cannot_tell(f"reading {path}: no regular file of the export")
        return read(real, limit)

    def read_if_there(self, path, limit):
        return self.read(path, limit) if os.path.lexists(os.path.join(self.root, path)) else None

    def hashed(self, directory, digest):
        """A file that is named by its SHA-256."""
        path = f"{directory}/{unbase64(digest).hex()}"
        data = self.read(path, 1 << 20)
        need(sha256(data) == unbase64(digest), f"{path}: its content has another hash")
        return data

    def tile(self, level, number, hashes):
        path = tile_path(level, number, len(hashes))
        need(b"".join(hashes) == self.read(path, 256 * 32), f"{path}: its hashes are not those of the entries")

def follow_log(policy, given, shipped):
    """The log's own trust.keys may go on from the keys file, and says nothing if it is none (§ 13)."""
    if shipped and shipped.startswith(given or b""):
        try:
            policy.follow(shipped)
        except Finding:
            pass  # it is judged when the log's own key entries are known

def check_keys(policy, ledger, size, files):
    """At the end: the log's key entries against the policy, and against the files about them."""
    need(any(entry.pair == policy.pair() for entry in ledger.ring), "the log does not name the policy's keys as its own")
    need([k.vkey for k in policy.keys_at(size)] == [k.vkey for k in keys_at(ledger.ring, size)], "the keys that signed are not those in force")
    for data in filter(None, files):
        try:
            ring = key_ring(data)
        except Finding as finding:
            raise invalid(f"keys of the log: {finding}") from None
        told = [entry.data for entry in ring if entry.index < size]
        need(told == [entry.data for entry in ledger.ring[:len(told)]], "a keys file holds other key entries than the log")

class Kept:
    """A checkpoint that somebody kept: a signed note, or one line of it as it stands in a mail's header (§ 11)."""

    def __init__(self, data):
        self.key_id = None
        if b"\n\n" in data:
            self.checkpoint = Checkpoint(data)
            self.size, self.root = self.checkpoint.size, self.checkpoint.root
            return
        need(len(data) <= 4096, "line: too long")
        line, name = data.decode("latin-1"), "consent-ledger-checkpoint:"
        words = re.findall("[^ \t\r\n]+", line[len(name):] if line[:len(name)].lower() == name else line)
        need(len(words) >= 4, "line: not four words")
        blob = unbase64("".join(words[3:]))  # mailers cut long words
        need(is_origin(words[0]) and is_size(words[1]) and is_hash(words[2]) and blob and len(blob) == 68, "line: a word")
        self.origin, self.size, self.root = words[0], int(words[1]), unbase64(words[2])
        need(self.size > 0 or self.root == sha256(b""), "line: root of no entries")
        self.text, self.key_id, self.signature = "\n".join(words[:3] + [""]).encode(), blob[:4], blob[4:]

    def check(self, policy):
        """Both of the log's signatures, of a line the Ed25519 one; no quorum."""
        if self.key_id is None:
            policy.check_log(self.checkpoint)
            return
        key = policy.keys_at(self.size)[0]
        need(self.origin == key.name and self.key_id == key.id, "line: another log's, or by another key")
        need(ed25519_verify(key.public, self.text, self.signature), "line: its signature")

def verify_log(directory, policy_file, since_file=None, keys_file=None):
    # What the caller gives is read and judged first: without it nothing can be told.
    policy_data, export = read(policy_file, 262144), Export(directory)
    since_data = read(since_file, 65536) if since_file else None
    keys_data = read(keys_file, 4194304) if keys_file else None
    policy = Policy(policy_data)
    policy.follow(keys_data)
    shipped = export.read_if_there("trust.keys", 4194304)
    follow_log(policy, keys_data, shipped)
    checkpoint = Checkpoint(export.read("checkpoint", 65536))
    unchecked = policy.check(checkpoint)
    need(checkpoint.size >= 1, "checkpoint: a log has at least one entry")
    since = None
    if since_data is not None:
        try:
            since = Kept(since_data)
            since.check(policy)
        except Finding as finding:
            raise cannot_tell(f"the checkpoint you hold: {finding}") from None
        if since.size > checkpoint.size:
            raise Finding(3, f"the log has {checkpoint.size} entries, the checkpoint you hold {since.size}")

    tree, ledger, later, before, parts, all_leaves = Tree(), Ledger(), None, None, None, []
    chained = True  # until an entry of a later format, whose leaf hash is all that can be told of it
    for start in range(0, checkpoint.size, 256):
        count = min(256, checkpoint.size - start)
        path = tile_path("entries", start // 256, count)
        raw = split_bundle(export.read(path, 256 * (2 + 16384)), count, path)
        entries, leaves = [Entry(data) for data in raw], [leaf_hash(data) for data in raw]
        export.tile(0, start // 256, leaves)
        all_leaves += leaves
        for position, (e, leaf) in enumerate(zip(entries, leaves), start):
            for level, number, hashes in tree.add(leaf):
                export.tile(level, number, hashes)
            if since and tree.size == since.size and tree.root() != since.root:
                raise Finding(3, f"at {since.size} entries the root differs from the checkpoint you hold")
            if parts and not later and e.format == 1:
                need(not e.later and continues(parts, e), f"entry {position}: not the next part of a split list")
            later, chained = later or e.later, chained and e.format == 1
            if chained:
                check_chain(e, position, before)
            if not later:
                need(parts or not e.part or e.part[0] == 1, f"entry {position}: a part without the parts before it")
                parts = e if e.part and e.part[0] < e.part[1] else None
                ledger.judge(e)
                if e.kind == "notice.published":
                    for digest in [e.get("notice").split(" ")[1], *e.all("facts")]:
                        export.hashed("notices", digest)
                if e.kind == "checkpoint.anchored":
                    check_anchor(e, export, policy, ledger.ring, all_leaves)
            before = e, leaf
    for level, hashes in sorted(tree.tiles.items()):
        if hashes:
            export.tile(level, tree.whole[level], hashes)
    need(tree.root() == checkpoint.root, "the entries' root is not the checkpoint's")
    need(not parts or later, "the log ends within a list that was split")
    if later:
        raise cannot_tell(f"needs a newer verifier: {later}")
    check_keys(policy, ledger, checkpoint.size, [keys_data, shipped])
    overdue = sum(due < ledger.now for due in ledger.existence.values())
    ledger.irregular += Counter({"existence_overdue": overdue} if overdue else {})
    told = {"size": checkpoint.size, "consents_by_state": Counter(c.condition() for c in ledger.consents.values()),
            "consents_by_grade": Counter(c.grade() for c in ledger.consents.values() if c.grade()),
            "entries_by_kind": ledger.kinds, "irregular": ledger.irregular, "erasures_not_yet_shredded": len(ledger.contents),
            "rights_requests_open": len(ledger.requests), "rights_requests_overdue": sum(r.due < ledger.now for r in ledger.requests.values()),
            "not_checked": unchecked}
    return json.dumps(told, sort_keys=True, separators=(",", ":"))

def check_anchor(e, export, policy, ring, leaves):
    """What was stamped is a checkpoint of this log that its keys alone signed (§ 13). What the token says is not read here."""
    stamped = Checkpoint(export.hashed("anchors", e.get("checkpoint")))
    policy.check_origin(stamped)
    stamped.signed_by(keys_at(ring, stamped.size))
    need(len(stamped.signatures) == 2, f"entry {e.index}: more than the log's two signatures")
    need(stamped.size == int(e.get("size")), f"entry {e.index}: the checkpoint has another size")
    need(stamped.root == tree_root(leaves[:stamped.size]), f"entry {e.index}: the checkpoint has another root")
    export.hashed("anchors", e.get("stamp"))

def check_chain(e, position, before):
    need(e.index == position, f"entry {position}: index is {e.index}")
    need(unbase64(e.prev) == (before[1] if before else bytes(32)), f"entry {position}: prev")
    need(not before or before[0].time <= e.time, f"entry {position}: time is before that of the entry before it")
    need((e.kind == "ledger.created") == (position == 0), f"entry {position}: ledger.created stands at index 0 and only there")

def continues(before, e):
    """Whether e is the next part after before (§ 7)."""
    same = lambda x: (x.kind, x.source, x.time, x.occurred, x.own)
    ids = lambda x: [c[0] for c in x.consents] + x.abouts
    return e.part == (before.part[0] + 1, before.part[1]) and same(e) == same(before) and ids(before)[-1] < ids(e)[0]

# --- Receipts (§ 12) --------------------------------------------------------------------------------------------------------------

class Receipt:
    """A tlog-proof: what it says, and the signed note of its checkpoint."""

    def __init__(self, data):
        head, blank, self.note = data.partition(b"\n\n")
        need(blank, "receipt: no blank line")
        first, *lines = head.decode("latin-1").split("\n")
        magic = "c2sp.org/tlog-proof@v"
        need(first.startswith(magic) and is_from_1(first[len(magic):]), "receipt: not a tlog-proof")
        if first != magic + "1":
            raise cannot_tell(f"needs a newer verifier: version {first[len(magic):]} of tlog-proof")
        self.extra = lines.pop(0) if lines and lines[0].startswith("extra ") else None
        need(not self.extra or unbase64(self.extra[6:]), "receipt: extra")
        index = lines.pop(0) if lines else ""
        need(index.startswith("index ") and is_size(index[6:]), "receipt: index")
        need(len(lines) <= 63 and all(map(is_hash, lines)), "receipt: hashes of the proof")
        self.index, self.hashes = int(index[6:]), [unbase64(line) for line in lines]

def verify_receipt(receipt_file, policy_file, entry_file, keys_file=None):
    policy_data, receipt, entry_bytes = read(policy_file, 262144), read(receipt_file, 131072), read(entry_file, 32768)
    policy = Policy(policy_data)
    policy.follow(read(keys_file, 4194304) if keys_file else None)
    receipt = Receipt(receipt)
    index, checkpoint = receipt.index, Checkpoint(receipt.note)
    entry = Entry(entry_bytes)
    unchecked = policy.check(checkpoint)
    need(entry.format > 1 or entry.index == index, "the receipt is for another index")
    need(index < checkpoint.size, f"index {index} in a log of {checkpoint.size} entries")
    root = inclusion_root(index, checkpoint.size, leaf_hash(entry_bytes), receipt.hashes)
    need(root == checkpoint.root, "the proof does not prove that this entry is in the log")
    if entry.later:
        raise cannot_tell(f"needs a newer verifier: {entry.later}")
    return f"entry {index} of {checkpoint.size}, not checked: {' '.join(unchecked) or 'nothing'}"

def verify_entry(path):
    entry = Entry(read(path, 32768))
    if entry.later:
        raise cannot_tell(f"needs a newer verifier: {entry.later}")
    return "the entry parses"

def number(text, what):
    need(is_number(text), what)
    return int(text)

class StateProof:
    """A state proof in its one spelling; leaf is the fourth line, condition the state and the overlays in it."""

    def __init__(self, data):
        need(len(data) <= 4096, "state proof: too long")
        first, *lines = data.decode("latin-1").split("\n")
        magic = "consent-ledger/state-proof/v"
        need(first.startswith(magic) and is_from_1(first[len(magic):]), "state proof: not a state proof")
        if first != magic + "1":
            raise cannot_tell(f"needs a newer verifier: version {first[len(magic):]} of state-proof")
        need(len(lines) >= 4 and lines[-1] == "", "state proof: lines are missing")
        consent, size, self.leaf, *hashes = lines[:-1]
        need(consent.startswith("consent ") and size.startswith("size "), "state proof: its lines")
        self.consent, self.size = number(consent[8:], "state proof: consent"), number(size[5:], "state proof: size")
        words = re.match("consent ([0-9]+) last ([0-9]+) state ([a-z]+(?: [a-z]+)*)\\Z", self.leaf)
        need(words, "state proof: leaf")
        self.last, self.condition = number(words[2], "state proof: last"), words[3]
        state, *overlays = self.condition.split(" ")
        need(words[1] == consent[8:] and state in STATES and overlays == [o for o in OVERLAYS if o in overlays], "state proof: leaf")
        need(self.consent <= self.last < self.size, "state proof: its last entry")
        need(len(hashes) <= 63 and all(map(is_hash, hashes)), "state proof: hashes")
        self.hashes = hashes

    def check(self, committed):
        """Against the state.committed that it belongs to."""
        need(committed.kind == "state.committed" and committed.index == self.size, "the state proof belongs to another entry")
        root = inclusion_root(self.consent, self.size, leaf_hash(self.leaf.encode() + b"\n"), map(unbase64, self.hashes))
        need(root == unbase64(committed.get("state_root")), "the state proof does not lead to the root that was committed")

def verify_state(path, entry_file):
    proof, entry = read(path, 32768), Entry(read(entry_file, 32768))
    if entry.later:
        raise cannot_tell(f"needs a newer verifier: {entry.later}")
    proof = StateProof(proof)
    proof.check(entry)
    return f"{proof.leaf}, as of entry {entry.index}"

# --- The program ------------------------------------------------------------------------------------------------------------------

def run(arguments):
    """The exit code and what to say."""
    parser = argparse.ArgumentParser(prog="verify.py")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, options in (("log", ("policy!", "since", "keys")), ("receipt", ("policy!", "entry!", "keys")), ("entry", ()), ("disclosure", ()), ("state", ("entry!",)),
                          ("bundle", ("policy!", "keys"))):
        command = commands.add_parser(name)
        command.add_argument("path")
        for option in options:
            command.add_argument("--" + option.rstrip("!"), required=option.endswith("!"))
    commands.add_parser("batch")
    args = parser.parse_args(arguments)
    try:
        if args.command == "log":
            text = verify_log(args.path, args.policy, args.since, args.keys)
        elif args.command == "receipt":
            text = verify_receipt(args.path, args.policy, args.entry, args.keys)
        elif args.command == "entry":
            text = verify_entry(args.path)
        elif args.command == "disclosure":
            text = verify_disclosure(args.path)
        elif args.command == "state":
            text = verify_state(args.path, args.entry)
        elif args.command == "bundle":
            from bundle import verify_bundle
            text = verify_bundle(args.path, args.policy, args.keys)
        else:
            for line in sys.stdin:
                code, text = run(json.loads(line))
                print(json.dumps({"code": code, "text": text}), flush=True)
            return 0, "the batch is done"
        return 0, text
    except Finding as finding:
        return finding.code, str(finding)
    except Exception as error:
        # Python would exit with 1, which says that the log is invalid; a failure of this program says nothing about it.
        return 2, f"this verifier failed: {error!r}"

if __name__ == "__main__":
    exit_code, said = run(sys.argv[1:])
    print(f"{VERDICTS[exit_code]}: {said}")
    sys.exit(exit_code)
