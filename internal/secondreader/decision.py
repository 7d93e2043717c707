"""Answers, from the entries of a proof bundle alone, whether somebody could be written to at a moment: the table of ledger/FORMAT.md,
The send decision, which is cited by its lines."""

import calendar
import re

from verify import ALLOWS_USE, ARROWS, CALLED, MODES, TRACKING, Consent

GRANTS = ("consent.confirmed", "consent.given", "consent.renewed", "consent.imported")
DAY = 24 * 3600 * 10**9

def instant(text):
    """A moment in nanoseconds."""
    numbers = re.findall("[0-9]+", text)
    return calendar.timegm(tuple(map(int, numbers[:6]))) * 10**9 + int((numbers[6:] or ["0"])[0].ljust(9, "0"))

def recorded(e):
    return instant(e.time)

def earliest(e):
    """As the source dates it, but never later than the ledger recorded it."""
    return min(recorded(e), instant(e.occurred)) if e.occurred else recorded(e)

class Terms:
    """What a definition of a purpose says that a decision looks at."""

    def __init__(self, e):
        number = lambda name: int(e.get(name) or 0)
        self.name, self.parent, self.marketing, self.bases = e.get("purpose"), e.get("parent"), e.get("marketing") == "yes", e.all("basis") or ["consent"]
        days = lambda name: min(number(name), 106751)
        self.valid, self.unused, self.measure = days("validity_days"), days("unused_days"), e.get("unused_measure")
        self.warned, self.grade, self.age, self.mode = days("unused_warn_days"), e.get("minimum_grade"), number("minimum_age"), e.get("tracking_mode")
        self.double_opt_in = lambda channel: e.get("double_opt_in") == "yes" and channel in (e.all("double_opt_in_channel") or [channel])

class Record(Consent):
    """A record as some of its entries lead to it: those that opened and changed it, and those that mention it."""

    def __init__(self, consent, opened, entries):
        super().__init__(-1, None, None, opened.get("purpose"))
        self.id, self.channel, self.basis, self.mode, self.ground = consent, opened.get("channel"), None, None, None
        self.grant = self.used = None
        for e in entries:
            self.apply(e)

    def apply(self, e):
        self.learn(e)
        if e.index == self.id:
            self.last, self.state = e.index, {"basis.asserted": "asserted", "objection.recorded": "objected"}.get(e.kind, e.kind.rpartition(".")[2])
            self.basis = None if e.kind == "objection.recorded" else e.get("basis") or "consent"
        elif e.consents:
            arrow = ARROWS[e.kind]
            self.last, self.state = e.index, arrow.to or self.state
            self.overlays = (self.overlays | {arrow.sets}) - {"", arrow.lifts}
        if e.kind == "restriction.set":
            self.kept, self.ground = self.kept or e.get("ground") in ("art18_1_b", "art18_1_c"), e.get("ground")
        elif e.kind == "restriction.lifted":
            self.kept, self.ground = False, None
        elif e.kind == "tracking.changed":
            self.mode = e.get("mode")
        elif e.kind == "signal.received":
            self.evidence -= {"signal no"}
            self.evidence |= {"signal no"} if e.get("says") == "no" else set()
        elif e.kind == "consent.used":
            self.used = e
        if e.get("age") == "child":
            self.evidence.add("child")
        if e.kind == "guardian.authorised":
            self.evidence.add("guardian")
        if e.kind in GRANTS:
            self.grant = e

    def live(self):
        return self.state == "requested" or self.state in ALLOWS_USE

    def stops(self):
        """What the restriction that lies on it stops: nothing, this record, or the whole person."""
        if "restricted" not in self.overlays:
            return None
        return "person" if self.kept or self.ground != "art18_1_d" else "record"

class Verdict:
    def __init__(self, reason, record=None, allowed=False, asserted=False, dormant=False, expires=None):
        self.allowed, self.reason, self.record, self.asserted = allowed, reason, record, asserted
        self.rank = (not asserted, not dormant, expires is None, expires or 0, record.id if record else 0)  # the greatest is told

class Decision:
    """What a decision rests on: a purpose, those above it, a channel, a moment, and the records of a person."""

    def __init__(self, purposes, purpose, channel, at, records):
        self.purpose, self.channel, self.at, self.records = purposes[purpose], channel, at, records
        self.stopping, name = ["all-marketing"] if self.purpose.marketing else [], purpose
        while name:
            self.stopping.append(name)
            name = purposes[name].parent if name in purposes else None
        here = [r for r in records if r.state == "objected" and r.purpose in self.stopping and r.channel in (channel, "any")]
        self.objection = max(here, key=lambda r: r.id, default=None)

    def concerns(self, r):
        return r.purpose == self.purpose.name and r.channel in (self.channel, "any")

    def admits(self, r):
        """Line 7."""
        forbidden = (r.basis == "existing_customer" and self.channel in ("phone", "fax")
                     or r.basis == "legitimate_interest" and self.purpose.marketing and self.channel in ["email", *CALLED])
        return r.basis in self.purpose.bases and not forbidden

    def stopped(self, r):
        """Line 5."""
        untouched = not self.purpose.marketing and r.basis in ("contract", "legal_obligation")
        return self.objection and not untouched and (r.id < self.objection.id or r.state in ("asserted", "imported"))

    def judge_record(self, r):
        """Lines 4 to 9; None where its state says it all."""
        if r.state not in ALLOWS_USE or self.stopped(r):
            return None
        if r.stops():
            return Verdict("restricted", r)
        if r.state == "asserted":
            return Verdict(r.basis, r, allowed=True, asserted=True)
        p, day = self.purpose, lambda start, days: start + days * DAY
        lively = max(recorded(r.grant), earliest(r.used) if r.used else 0)
        valid = day(earliest(r.grant), p.valid) if p.valid else None
        resting = day(lively, p.unused) if p.unused and p.measure in ("block", "expire") else None
        warned = min([day(lively, d) for d in (p.warned, p.measure == "warn" and p.unused) if d], default=None)
        over = lambda until: until is not None and self.at > until
        if p.double_opt_in(self.channel) and not r.evidence & {"confirmed", "imported C", "imported D"}:
            return Verdict("double_opt_in_missing", r)
        if p.grade and (r.grade() or "F") > p.grade:
            return Verdict("grade_too_low", r)
        if over(valid) or over(resting) and p.measure == "expire":
            return Verdict("expired", r)
        if over(resting):
            return Verdict("dormant", r)
        if p.age and "child" in r.evidence and "guardian" not in r.evidence:
            return Verdict("guardian_missing", r)
        expires = min([t for t in (valid, resting) if t is not None], default=None)
        return Verdict(r.state, r, allowed=True, dormant=over(warned), expires=expires)

    def judge(self):
        if not self.records:
            return Verdict("unknown_subject")
        for r in self.records:
            if r.stops() == "person":
                return Verdict("restricted", r)
        about = [r for r in self.records if r is self.objection or self.concerns(r) and (r.state not in ALLOWS_USE or self.admits(r))]
        verdicts = [v for v in map(self.judge_record, about) if v]
        allowing, failing = [v for v in verdicts if v.allowed], [v for v in verdicts if not v.allowed]
        if allowing:
            return max(allowing, key=lambda v: v.rank)
        if failing:
            return max(failing, key=lambda v: v.record.id)
        if not about:
            return Verdict("no_consent")
        latest = max(about, key=lambda r: r.last)
        if latest.state in ALLOWS_USE:
            return Verdict("objected", self.objection)
        return Verdict("pending" if latest.state == "requested" else latest.state, latest)

    def judge_tracking(self):
        """Of a purpose of tracking: what the person chose, or the purpose's default, may allow less than consent does."""
        v, chosen = self.judge(), None
        if not v.allowed:
            return v
        for r in self.records:
            own = self.concerns(r) and self.admits(r) and self.judge_record(r)
            if r.purpose == self.purpose.name and (r.mode or own and own.allowed):
                chosen = r
        chosen = chosen if chosen and chosen.mode else None
        mode = chosen.mode if chosen else self.purpose.mode or "personal"
        if MODES.index(mode) > MODES.index("anonymous"):
            return v
        return Verdict("refused", chosen) if chosen else Verdict("no_consent")

def decide(entries, size, purpose, channel, at, records):
    purposes = {}
    for e in entries:
        if e.kind == "purpose.defined" and e.index < size:
            purposes[e.get("purpose")] = Terms(e)
    if purpose not in purposes:
        return Verdict("unknown_purpose")
    d = Decision(purposes, purpose, channel, at, records)
    return d.judge_tracking() if purpose in TRACKING else d.judge()

def as_of(entries, size, owned, purpose, channel, at):
    """The answer by what a log of this size knew, and in hindsight: (allowed, reason, consent or None, hindsight). owned has the entries
    of each record, ascending, the one that opened it first."""
    then, known = [], []
    for consent, own in owned.items():
        was = Record(consent, own[0], [e for e in own if e.index < size])
        if was.overlays & {"locked", "erased"}:
            continue
        # What happened by then and was recorded later, and what was invalid all the time.
        late = [e for e in own if e.index >= size and (e.kind == "consent.invalidated" or e.occurred and instant(e.occurred) <= at)]
        new = [e for e in late if e.kind != "consent.used"] if consent < size or own[0] in late else []
        is_ = Record(consent, own[0], [e for e in own if e.index < size])
        for e in new:
            is_.apply(e)
            is_.last, is_.grant = was.last, was.grant
            if e.kind in ("restriction.set", "restriction.lifted"):
                is_.kept = False  # its ground alone says what it stops
        if consent < size:
            then.append(was)
        if consent < size or is_.state and not is_.live():
            known.append(is_)
    v = decide(entries, size, purpose, channel, at, then)
    reason = v.reason
    if reason == "pending":
        mails = [e for e in owned[v.record.id] if e.index < size and e.get("expires")]
        reason = "lapsed" if at > instant(mails[-1].get("expires")) else reason
    hindsight = v.allowed and decide(entries, size, purpose, channel, at, known).allowed
    return v.allowed, reason, v.record and v.record.id, hindsight
