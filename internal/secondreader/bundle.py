"""Reads what a proof bundle says, and checks it against the evidence in it: ledger/FORMAT.md, Proof bundles.

The container and its signatures are for container.py, whether there was consent for decision.py. Time-stamp tokens are not read: that
their hashes are those that the log names is checked, what they say is not.
"""

import base64
import copy
import json
import re
from datetime import datetime

from container import MAX_PACKED, Container
from decision import as_of, instant, recorded
from verify import (Checkpoint, Entry, Finding, Ledger, Policy, Receipt, StateProof, cannot_tell, disclosure, follow_log, inclusion_root, invalid,
                    is_hash, key_ring, keys_at, leaf_hash, need, node_hash, read, sha256, unbase64)

# --- The index and custody: JSON in one spelling ----------------------------------------------------------------------------------

def is_moment(value):
    """RFC 3339 in UTC, with as many decimals as it needs."""
    match = re.match(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]{0,8}[1-9])?Z\Z", value, re.ASCII)
    try:
        return bool(match and datetime.strptime(match[1], "%Y-%m-%dT%H:%M:%S")) and value[17:19] < "60"
    except ValueError:
        return False

def is_integer(value):
    return type(value) is int and -(1 << 63) <= value < 1 << 63

def text(value):
    return type(value) is str

def some_text(value):
    return type(value) is str and value != ""

def time(value):
    return type(value) is str and is_moment(value)

def yes_no(value):
    return type(value) is bool

def members(fields):
    """An object with these members in this order; one whose name ends with ? may be absent."""
    names = [name.rstrip("?") for name, _ in fields]

    def check(value):
        return (type(value) is dict and [n for n in names if n in value] == list(value)
                and all(good(value[n]) if n in value else name.endswith("?") for n, (name, good) in zip(names, fields)))
    return check

def some(good):
    return lambda value: type(value) is list and value != [] and all(map(good, value))

INDEX = members([
    ("format", text), ("about", text), ("origin", text), ("size", is_integer), ("exported?", is_integer), ("committed?", is_integer),
    ("consents?", some(members([("consent", is_integer), ("purpose", text), ("channel", text), ("entries", some(is_integer))]))),
    ("questions?", some(members([("purpose", text), ("channel", text), ("at", time), ("allowed", yes_no), ("reason", text),
                                 ("consent?", is_integer), ("hindsight", yes_no)]))),
    ("range?", members([("start", is_integer), ("end", is_integer)]))])
CUSTODY = members([
    ("format", "consent-ledger/custody/v1".__eq__), ("origin", text), ("made", time), ("exporter", text), ("recipient?", some_text),
    ("reason?", some_text), ("tool", text), ("exported?", is_integer), ("disclosed?", some(is_integer)), ("size", is_integer)])

def document(data, good, name):
    try:
        value = json.loads(data.decode())
        spelled = json.dumps(value, indent=2, ensure_ascii=False).replace("\u2028", "\\u2028").replace("\u2029", "\\u2029") + "\n"
        known = spelled.encode() == data and good(value)
    except (ValueError, RecursionError):
        known = False
    need(known, f"{name}: not in its one spelling")
    return value

# --- The rules, over a part of the log --------------------------------------------------------------------------------------------

class PartialLedger(Ledger):
    """The rules of § 5 over the entries of a bundle: whole about its records, and about what their entries name. What the rules ask
    about others is taken for granted."""

    def __init__(self, bundle):
        super().__init__()
        self.bundle = bundle

    def judge(self, e):
        x = copy.copy(e)
        x.consents = [c for c in e.consents if c[0] in self.bundle.records]
        x.abouts = [i for i in e.abouts if i in self.bundle.records]
        if (e.consents or e.abouts) and not (x.consents or x.abouts):
            return  # the first part of a list, about others alone
        known = {"refers": lambda v: int(v) in self.bundle.entries}
        if e.kind in ("notice.published", "processor.engaged"):
            known["covers"] = self.purposes.__contains__
        x.own = [(name, v) for name, v in e.own if name not in known or known[name](v)]
        if e.kind == "notice.published":
            name, version = e.get("notice").split(" ")[0].split("@")
            self.versions[name] = max(self.versions[name], int(version) - 1)
        before = e.index - 1
        joins = e.kind == "consent.requested" and before not in self.bundle.entries and self.locks.get(e.get("lock"))
        if joins:  # the consent before it, of the same request, is of a purpose that the bundle is not about
            self.consents[before] = joins
        self.at = e
        super().judge(x)
        if joins:
            del self.consents[before]

    def judge_refers(self, e, rule):
        if self.at.get("refers") and not e.get("refers"):
            if e.kind == "recipient.notified":
                self.notified.add(e.index)
            return
        e.abouts = self.at.abouts  # a hold is lifted from exactly those on whom it was set
        super().judge_refers(e, rule)

    def state_root(self, size):
        return unbase64(self.at.get("state_root"))  # only a copy of the log leads to it

# --- The bundle -------------------------------------------------------------------------------------------------------------------

# Kinds that stand in a bundle because another entry names them or rests on them.
STANDING = ("ledger.created key.rotated source.declared purpose.defined notice.published claim.declared processor.engaged processor.ended"
            " state.committed checkpoint.anchored").split()

class Bundle:
    def __init__(self, container):
        self.container, self.read = container, container.get
        self.note = container.get("checkpoint.note")
        self.checkpoint, self.keys = Checkpoint(self.note), container.get("trust/trust.keys")

    def open(self, policy, given):
        """Who signed: the manifest and the checkpoint, by the keys in force, which the bundle's key entries name as well."""
        ring, size = key_ring(self.keys), self.checkpoint.size
        policy.follow(given)
        follow_log(policy, given, self.keys)
        self.container.signed_by(policy.keys_at(size))
        self.policy, self.unchecked = policy, policy.check(self.checkpoint)
        need(self.keys.startswith(given or b"") or (given or b"").startswith(self.keys), "trust.keys: other key entries than those given")
        if given and len(given) > len(self.keys):
            need(key_ring(given)[len(ring)].index >= size, "trust.keys: lacks a key entry")
        need([k.vkey for k in policy.keys_at(size)] == [k.vkey for k in keys_at(ring, size)], "trust.keys: other keys are in force")
        if self.container.later:
            raise cannot_tell(f"needs a newer verifier: {self.container.later}")

    def read_index(self):
        x = self.index = document(self.read("evidence/bundle.json"), INDEX, "bundle.json")
        u = self.custody = document(self.read("custody.json"), CUSTODY, "custody.json")
        for d in (x, u):
            need((d["origin"], d["size"]) == (self.checkpoint.origin, self.checkpoint.size), "origin or size is not the checkpoint's")
        about = [name for name in ("consents", "exported", "committed", "range") if name in x]
        sort = {"consents": ["consents", "exported", "committed"], "range": ["range"]}.get(x["about"])
        need(about == sort and ("questions" not in x or x["about"] == "consents"), "bundle.json: what it is about")
        self.of_consents, self.range = x["about"] == "consents", x.get("range")

    def read_entries(self):
        """Every entry, and that each is in the tree of the checkpoint."""
        self.entries, self.later = {}, None
        for name in self.container.of("evidence/entries/<number>.txt"):
            i, e = name.numbers[0], Entry(self.read(name.name))
            self.later = self.later or e.later
            e.leaf = leaf_hash(e.data)
            need(e.format > 1 or e.index == i, f"entry {i}: has another index")
            proof = Receipt(self.read(f"evidence/proofs/{i}.tlog-proof"))
            need(proof.index == i and not proof.extra and proof.note == self.note and i < self.checkpoint.size, f"entry {i}: its proof")
            root = inclusion_root(i, self.checkpoint.size, e.leaf, proof.hashes)
            need(root == self.checkpoint.root, f"entry {i}: the proof does not prove that it is in the log")
            self.entries[i] = e
        for name in self.container.of("evidence/proofs/<number>.tlog-proof"):
            need(name.numbers[0] in self.entries, f"{name.name}: without its entry")
        if self.later:
            raise cannot_tell(f"needs a newer verifier: {self.later}")

    def check_chain(self):
        """What entries owe to those before them, as far as these are here (§ 6, § 7)."""
        before = None
        for e in self.entries.values():
            need((e.index == 0) == (e.kind == "ledger.created"), f"entry {e.index}: ledger.created stands at index 0 and only there")
            need(not e.part or e.index + e.part[1] - e.part[0] < self.checkpoint.size, f"entry {e.index}: its list is cut off")
            if e.part and e.part[0] > 1:
                self.check_part(e)
            if before:
                need(before.time <= e.time, f"entry {e.index}: time is before that of an earlier entry")
            if before and before.index + 1 == e.index:
                need(unbase64(e.prev) == before.leaf, f"entry {e.index}: prev")
                need(not before.part or before.part[0] == before.part[1] or e.part == (before.part[0] + 1, before.part[1]),
                     f"entry {e.index}: stands within a list that was split")
            before = e

    def check_part(self, e):
        """Its first part is here and says the same, and the lists ascend from one part to the next that is here."""
        first = self.entries.get(self.first(e))
        same = lambda x: (x.kind, x.source, x.time, x.occurred, x.own, x.part[1])
        need(first and first.part and first.part[0] == 1 and same(first) == same(e), f"entry {e.index}: is no part of the list before it")
        before = max(i for i in self.entries if i < e.index)
        x = self.entries[before]
        need(x.part and x.part[0] == before - first.index + 1 and max(concerned(x)) < min(concerned(e)), f"entry {e.index}: its list")

    def first(self, e):
        """The index of the first part of its list, else its own."""
        return e.index - (e.part[0] - 1 if e.part else 0)

    def check_keys(self):
        own = [e for e in self.entries.values() if e.kind in ("ledger.created", "key.rotated")]
        need(b"".join(e.data for e in own) == self.keys, "trust.keys: other key entries than those in the log")
        need(own[0].get("origin") == self.checkpoint.origin, "entry 0: origin")

    # Records

    def read_records(self):
        """The index lists every entry of the bundle under the records that it belongs to, and none that is not here."""
        ids = [c["consent"] for c in self.index["consents"]]
        need(all(a < b for a, b in zip(ids, ids[1:])), "bundle.json: consents not ascending")
        self.records = {c["consent"]: c for c in self.index["consents"]}
        owned = set()
        for i, record in self.records.items():
            need(record["entries"] == self.belonging(i), f"bundle.json: consent {i}: its entries are not those that belong to it")
            owned |= set(record["entries"])
        for e in self.entries.values():
            need(e.index in self.records or not e.opens(), f"entry {e.index}: opened a record that the bundle is not about")
            need(e.index in owned or e.kind in STANDING, f"entry {e.index}: belongs to no record of the bundle")
        self.owned = owned

    def belonging(self, i):
        """The entries here that opened the record, changed or mention it, those that refer to one of these and name nobody, and the
        first parts of lists of which a later part is among them; ascending."""
        found, waiting = set(), [e for e in self.entries.values() if e.index == i or i in concerned(e)]
        while waiting:
            e = waiting.pop()
            new = {e.index, self.first(e)} - found
            found |= new
            waiting += [r for r in self.entries.values() if not concerned(r) and new & set(map(int, r.all("refers")))]
        return sorted(found)

    def check_range(self):
        """All of the range is there, and besides only what it names or rests on. The rules need the history from entry 0 on."""
        start, end = self.range["start"], self.range["end"]
        need(0 <= start < end <= self.checkpoint.size, "bundle.json: range")
        need(all(i in self.entries for i in range(start, end)), "an entry of the range is missing")
        ledger = Ledger()
        for e in self.entries.values():
            if not start <= e.index < end:
                need(e.kind in STANDING, f"entry {e.index}: is not of the range")
            elif start == 0:
                ledger.judge(e)
        self.owned, self.records = set(), {}

    def check_rules(self):
        self.ledger = PartialLedger(self)
        for e in self.entries.values():
            self.ledger.judge(e)

    def check_states(self):
        """That nothing which changed a record was left out: what its entries lead to is what the log committed."""
        for name in self.container.of("evidence/state/<number>.txt"):
            need(name.numbers[0] in self.records, f"{name.name}: the bundle is not about this consent")
        need(self.range or self.index["committed"] > self.index["exported"], "bundle.json: the state was committed before the export")
        for i, record in self.records.items():
            committed, opened, c = self.entries.get(self.index["committed"]), self.entries.get(i), self.ledger.consents.get(i)
            need(committed and opened and c, f"consent {i}: its first entry or the state.committed is missing")
            need((record["purpose"], record["channel"]) == (opened.get("purpose"), opened.get("channel")), f"consent {i}: purpose or channel")
            proof = StateProof(self.read(f"evidence/state/{i}.txt"))
            proof.check(committed)
            need(proof.leaf == f"consent {i} last {c.last} state {c.condition()}", f"consent {i}: the committed state is another: {proof.leaf}")

    # What is shown

    def read_disclosures(self):
        """Every disclosed value is what its entry committed to, and nothing is disclosed of what was erased."""
        self.shown, self.told, self.named, self.disclosed = set(), {}, set(), 0
        for name in self.container.of("evidence/disclosures/<number>.<claim>.txt"):
            data, e = self.read(name.name), self.entries.get(name.numbers[0])
            claim, value = disclosure(data)
            need(e and e.index in self.owned and claim == name.text, f"{name.name}: of another entry or claim")
            need(e.commits.get(claim) == base64.b64encode(sha256(data)).decode(), f"{name.name}: the entry did not commit to it")
            if self.is_export(e):
                self.told[claim] = value
            else:
                owners = [self.ledger.consents[i] for i, record in self.records.items() if e.index in record["entries"]]
                need(not all("erased" in c.overlays for c in owners), f"{name.name}: of what was erased")
                self.shown.add(claim)
            self.disclosed += 1
            try:
                file = json.loads(value)
                self.named.add(file.get("sha256") if type(file) is dict else None)
            except (ValueError, RecursionError):
                pass  # a value that is no file

    def check_files(self):
        published, by_notice = set(), {}
        for e in self.entries.values():
            if e.kind == "notice.published":
                by_notice[e.get("notice")] = [unbase64(h).hex() for h in (e.get("notice").split(" ")[1], *e.all("facts"))]
                published |= set(by_notice[e.get("notice")])
        for kind, known in (("evidence/files/<sha256>", self.named), ("evidence/notices/<sha256>", published)):
            for name in self.container.of(kind):
                need(sha256(self.read(name.name)).hex() == name.text and name.text in known, f"{name.name}: its content, or nothing names it")
        for e in self.entries.values():
            in_range = self.range and self.range["start"] <= e.index < self.range["end"] and e.kind == "notice.published"
            if e.get("notice") and (e.index in self.owned or in_range):
                need(e.get("notice") in by_notice, f"entry {e.index}: nothing publishes its notice")
                for digest in by_notice[e.get("notice")]:
                    self.read(f"evidence/notices/{digest}")

    def is_export(self, e):
        return self.of_consents and e.kind == "bundle.exported" and self.first(e) == self.index["exported"]

    def check_export(self):
        """The log records that the bundle was made, for whom and why, and what it shows, as custody.json says."""
        u = self.custody
        if self.range:
            need(not {"exported", "disclosed", "reason", "recipient"} & set(u), "custody.json: an auditor's bundle leaves no entry")
            return
        need(u.get("exported") == self.index["exported"], "custody.json: exported")
        parts = self.all_parts(self.index["exported"], "bundle.exported")
        first = parts[0]
        need(u["exporter"] == first.source, "custody.json: exporter")
        need(set(self.told) == set(first.commits), f"entry {first.index}: its reason and recipient are not disclosed")
        need(all(u.get(claim, "") == self.told.get(claim, "") for claim in ("reason", "recipient")), "custody.json: reason or recipient")
        need(u["made"][:19] >= first.time[:19], "custody.json: made before the entry that records it")
        listed = []
        if self.shown:
            disclosed = self.all_parts(first.index + len(parts), "evidence.disclosed")
            need(disclosed[0].get("occasion") == "bundle" and set(disclosed[0].all("shown")) == self.shown, "shown is not what the bundle discloses")
            listed = [e.index for e in disclosed]
        need(u.get("disclosed", []) == listed, "custody.json: disclosed")

    def all_parts(self, i, kind):
        """The entry with all parts of its list, which is about exactly the bundle's records."""
        parts = []
        while not parts or parts[-1].part and parts[-1].part[0] < parts[-1].part[1]:
            e = self.entries.get(i + len(parts))
            need(e and e.kind == kind and (not e.part or e.part[0] == len(parts) + 1), f"entry {i}: no {kind}, or not all of it is here")
            parts.append(e)
        need([c for e in parts for c in e.abouts] == list(self.records), f"entry {i}: is not about the records of the bundle")
        return parts

    # When

    def check_anchors(self):
        """What was stamped are checkpoints of this history that the log alone signed; of the tokens only their hashes are checked."""
        notes, taken = [self.checkpoint], set()
        for e in self.entries.values():
            if e.kind != "checkpoint.anchored":
                continue
            size = e.get("size")
            note = f"evidence/checkpoints/{size}.note"
            if self.range and note not in self.container.files:
                continue  # an auditor's bundle may do without
            data = self.read(note)
            need(sha256(data) == unbase64(e.get("checkpoint")), f"{note}: its content has another hash")
            tokens = [n.name for n in self.container.of("evidence/checkpoints/<number>.<n>.tst") if n.numbers[0] == int(size)]
            token = [n for n in tokens if sha256(self.read(n)) == unbase64(e.get("stamp")) and n not in taken][:1]
            need(token, f"entry {e.index}: its token is missing")
            taken |= {note, *token}
            try:
                stamped = Checkpoint(data)
                self.policy.check_log(stamped)
            except Finding as finding:
                raise invalid(f"entry {e.index}: {finding}") from None
            need(stamped.size == int(size) and len(stamped.signatures) == 2, f"{note}: another size, or more than the log's two signatures")
            notes.append(stamped)
        for kind in ("evidence/checkpoints/<number>.note", "evidence/checkpoints/<number>.<n>.tst"):
            need(all(n.name in taken for n in self.container.of(kind)), "a checkpoint or a token that no entry is about")
        notes.sort(key=lambda n: n.size)
        used = 0
        for before, after in zip(notes, notes[1:]):
            lines = []
            if before.size < after.size:
                *lines, tail = self.read(f"evidence/consistency/{before.size}-{after.size}.txt").decode("latin-1").split("\n")
                need(tail == "" and all(map(is_hash, lines)), f"consistency {before.size}-{after.size}: its lines")
                used += 1
            consistent = is_consistent(before.size, before.root, after.size, after.root, list(map(unbase64, lines)))
            need(consistent, f"the log of {after.size} entries does not continue that of {before.size}")
        need(used == len(self.container.of("evidence/consistency/<number>-<number>.txt")), "a proof of consistency that nothing needs")

    # Was there consent?

    def check_questions(self):
        """Each answer is made anew from the entries of the bundle (The send decision)."""
        owned = {i: [e for e in self.entries.values() if e.index == i or i in concerned(e)] for i in self.records}
        open_pairs, exported = {(r["purpose"], r["channel"]) for r in self.records.values()}, self.entries.get(self.index.get("exported"))
        for q in self.index.get("questions", []):
            pair, at = (q["purpose"], q["channel"]), instant(q["at"])
            need(pair in open_pairs and at <= recorded(exported), "a question about another record, asked twice, or about a later moment")
            open_pairs.remove(pair)
            size = min([e.index for e in self.entries.values() if recorded(e) > at], default=self.checkpoint.size)
            answer = as_of(list(self.entries.values()), size, owned, *pair, at)
            said = q["allowed"], q["reason"], q.get("consent"), q["hindsight"]
            need(said == answer, f"{pair[0]} on {pair[1]}: the bundle says {said}, the entries say {answer}")

def concerned(e):
    return [i for i, _ in e.consents] + e.abouts

def is_consistent(size1, root1, size2, root2, proof):
    """RFC 9162, 2.1.4.2."""
    if size1 == size2:
        return root1 == root2 and not proof
    if size1 & (size1 - 1) == 0:
        proof = [root1, *proof]
    if not proof:
        return False
    first, second = size1 - 1, size2 - 1
    while first & 1:
        first, second = first >> 1, second >> 1
    old = new = proof[0]
    for node in proof[1:]:
        if second == 0:
            return False
        if first & 1 or first == second:
            old, new = node_hash(node, old), node_hash(node, new)
            while first and not first & 1:
                first, second = first >> 1, second >> 1
        else:
            new = node_hash(new, node)
        first, second = first >> 1, second >> 1
    return (old, new, second) == (root1, root2, 0)

def verify_bundle(path, policy_file, keys_file=None):
    policy, given = Policy(read(policy_file, 262144)), read(keys_file, 4194304) if keys_file else None
    try:
        with open(path, "rb") as file:
            bundle = Bundle(Container(file.read(MAX_PACKED + 1)))
    except OSError as error:
        raise cannot_tell(f"reading {path}: {error.strerror}") from None
    bundle.open(policy, given)
    bundle.read_index()
    bundle.read_entries()
    bundle.check_chain()
    bundle.check_keys()
    if bundle.range:
        bundle.check_range()
    else:
        bundle.read_records()
        bundle.check_rules()
    bundle.check_states()
    bundle.read_disclosures()
    bundle.check_files()
    bundle.check_export()
    bundle.check_anchors()
    bundle.check_questions()
    told = {"about": bundle.index["about"], "size": bundle.checkpoint.size, "entries": len(bundle.entries), "disclosed": bundle.disclosed,
            "consents": {i: bundle.ledger.consents[i].condition() for i in bundle.records}, "not_checked": bundle.unchecked}
    return json.dumps(told, sort_keys=True, separators=(",", ":"))
