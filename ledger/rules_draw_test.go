package ledger

import (
	"maps"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"
)

// drawing draws entries that a model judges, mostly such that it allows.
type drawing struct {
	rt *rapid.T
	l  *logForTest
	m  *model
}

// randomTokens is how many tokens there are: few, so that they meet.
const randomTokens = 5

// randomKinds are drawn equally often, those that the others need more often.
var randomKinds = []Kind{ConsentRequested, ConsentRequested, ConsentRequested, ConsentRequested, ConsentRequested, ConsentConfirmed, ConsentConfirmed,
	ConsentConfirmed, ConfirmationRejected, RequestExpired, RequestExpired, ConsentExpired, ConsentWithdrawn, ConsentRevoked, ObjectionRecorded,
	RestrictionSet, RestrictionLifted, SubjectLocked, SubjectLocked, SubjectErased, EvidenceShredded, EvidenceShredded, EvidenceShredded,
	ConfirmationSent, ConfirmationSent, ConsentUsed, SubjectRectified, RetentionApplied, HoldSet, HoldLifted, HoldLifted, SuppressionAdded,
	SuppressionRemoved, ConsentGiven, ConsentGiven, ConsentRefused, ConsentImported, ConsentImported, BasisAsserted, BasisAsserted, ConsentRenewed,
	ConsentRenewed, ConsentRenewed, ConsentInvalidated, ConfirmationResent, ConfirmationResent, ConfirmationResent, ConfirmationFailed,
	ConfirmationOpened, ConfirmationAttached, TrackingChanged, TrackingChanged, EvidenceDisclosed, BundleExported, PurposeDefined, PurposeDefined, NoticePublished,
	ClaimDeclared, ProcessorEngaged, ProcessorEnded, GuardianAuthorised, SignalReceived, SignalReceived, WithdrawalEffected, IdentityVerified,
	RequestReceived, RequestReceived, RequestReceived, RequestExtended, RequestExtended, RequestAnswered, RequestRefused, RecipientNotified,
	RecipientAcknowledged, RecipientAcknowledged, EntryCorrected, KeyRotated, CheckpointAnchored}

// below draws a number below n, each as often as the others: rapid's own draws
// prefer the ends. It still shrinks to 0.
func (d *drawing) below(n int, label string) int {
	return int(rapid.Uint64().Draw(d.rt, label) * 0x9e3779b97f4a7c15 >> 33 % uint64(n))
}

// seldom is true in one case of sixteen.
func (d *drawing) seldom(label string) bool { return d.below(16, label) == 9 }

// coin is true in every other case.
func (d *drawing) coin(label string) bool { return d.below(2, label) == 1 }

// pick draws one of a list; what is to come more often stands in it more often.
func pick[T any](d *drawing, label string, list []T) T { return list[d.below(len(list), label)] }

func (d *drawing) one(label string, list ...string) string { return pick(d, label, list) }

// fault draws which of n things about an entry is to be wrong; in half of the
// cases none.
func (d *drawing) fault(n int) int { return d.below(2*n, "fault") - n }

// draw draws an entry, and the model's word on it.
func (d *drawing) draw() (e *Entry, rule string, irregular []string) {
	kind := d.kind()
	token := d.token(kind)
	index := len(d.l.texts)
	var judge func() (string, []string)
	switch kind {
	case ConsentRequested, ConsentGiven, ConsentRefused, ConsentImported, BasisAsserted:
		e = d.opening(kind, token)
		judge = func() (string, []string) { return d.m.opens(index, token, e), nil }
	case PurposeDefined:
		e = d.definition()
		judge = func() (string, []string) { return d.m.define(e), nil }
	case NoticePublished:
		e = d.publication()
		judge = func() (string, []string) { return d.m.publish(e) }
	case ClaimDeclared, ProcessorEngaged, ProcessorEnded, RecipientNotified, RecipientAcknowledged, RequestReceived, RequestExtended,
		RequestAnswered, RequestRefused, EntryCorrected:
		e, judge = d.rightsEntry(kind)
	case KeyRotated:
		e, judge = d.rotated()
	case CheckpointAnchored:
		e, judge = d.anchored()
	case EvidenceShredded:
		e = d.shredded()
		judge = func() (string, []string) { return d.m.shred(e), nil }
	case SuppressionAdded, SuppressionRemoved:
		e = &Entry{Kind: kind, Source: "shop-frontend", Purpose: d.one("purpose", AllMarketing, "survey", "catalogue")}
		judge = func() (string, []string) {
			return map[bool]string{true: "purpose"}[d.m.purposes[e.Purpose] == nil && e.Purpose != AllMarketing], nil
		}
	case ObjectionRecorded:
		if d.coin("opens") {
			e = &Entry{Kind: kind, Source: "shop-frontend", Purpose: d.one("purpose", AllMarketing, "survey", "catalogue", "orders"),
				Channel: d.one("channel", AnyChannel, "email"), Commits: d.claims("phone")}
			judge = func() (string, []string) { return d.m.opens(index, token, e), nil }
			break
		}
		e, judge = d.concerning(kind, token)
	default:
		e, judge = d.concerning(kind, token)
	}
	e.Time = d.l.now
	return d.judged(e, judge)
}

// judged has some entries come from a stranger or from the future, before the
// model judges the rest.
func (d *drawing) judged(e *Entry, judge func() (string, []string)) (*Entry, string, []string) {
	ahead := false
	switch e.Kind {
	case ConsentUsed, ConsentGiven, ConsentRenewed, TrackingChanged, ConsentWithdrawn, ObjectionRecorded, RestrictionSet:
		if ahead = d.seldom("ahead"); ahead {
			e.Occurred = d.l.now.Add(time.Hour).Truncate(time.Second)
		}
	}
	if d.seldom("stranger") {
		e.Source = "admin"
		if !slices.Contains([]Kind{ConsentRevoked, ConsentInvalidated, SuppressionAdded, SuppressionRemoved, PurposeDefined, NoticePublished,
			ClaimDeclared, ProcessorEngaged, ProcessorEnded, EntryCorrected, KeyRotated}, e.Kind) {
			return e, "role", nil
		}
	}
	tolerated := e.Kind == ConsentWithdrawn || e.Kind == ObjectionRecorded || e.Kind == RestrictionSet
	if ahead && !tolerated {
		return e, "occurred", nil
	}
	if !d.m.declared(e) {
		return e, "claim", nil
	}
	if rule := d.m.shown(e); rule != "" && e.Kind != NoticePublished {
		return e, rule, nil
	}
	rule, irregular := judge()
	if ahead && rule == "" {
		irregular = append([]string{"occurred_ahead"}, irregular...)
	}
	return e, rule, irregular
}

// kind draws a kind, mostly one to which there is something to do.
func (d *drawing) kind() Kind {
	kind := pick(d, "kind", randomKinds)
	row, idle := kindTable[kind], false
	switch {
	case kind == HoldLifted:
		idle = len(d.m.holds) == 0
	case kind == EvidenceShredded:
		idle = len(d.m.erasures) == 0
	case row.lists != listNone:
		idle = len(d.m.consents) < 3
	}
	if idle && !d.seldom("idle") {
		return pick(d, "kind to begin with", []Kind{ConsentRequested, ConsentGiven, ConsentImported, BasisAsserted})
	}
	return kind
}

// notice gives the reference to a notice that the model knows.
func (d *drawing) notice(name string) NoticeRef {
	id, version, err := ParseNoticeName(name)
	if err != nil {
		d.rt.Fatal(err)
	}
	return NoticeRef{id, version, d.m.notices[name].sum}
}

// claims draws what an entry commits to besides the identifiers.
func (d *drawing) claims(first ...string) (list []Commitment) {
	for _, c := range []string{"document", "form_snapshot", "recording", "scanner", "user_agent"} {
		if d.below(3, c) == 1 {
			first = append(first, c)
		}
	}
	if d.below(100, "further claim") == 1 {
		first = append(first, d.one("claim", "x.case", "x.ticket"))
	}
	slices.Sort(first)
	return d.l.commits(slices.Compact(first)...)
}

// opening draws an entry that opens a record as the purpose demands, but for one
// fault.
func (d *drawing) opening(kind Kind, token int) *Entry {
	purposes := []string{"newsletter", "email.open_tracking", "health", "newsletter", "offers", "health"}
	if kind == BasisAsserted {
		purposes = []string{"orders", "offers", "orders"}
	}
	id := d.one("purpose", purposes...)
	name := map[string]string{"newsletter": "newsletter-de@1", "email.open_tracking": "newsletter-de@1"}[id]
	if name == "" {
		name = "shop-de@1"
	}
	p := d.m.purposes[id]
	e := &Entry{Kind: kind, Source: "shop-frontend", Purpose: id, Channel: "email", Notice: d.notice(name), IPPolicy: p.ip}
	switch kind {
	case ConsentRequested:
		e.Method = "web_form"
		d.request(e, token)
	case ConsentGiven, ConsentRefused:
		e.Method = "paper"
	case ConsentImported:
		e.Method, e.Grade = "import", d.one("grade", importGrades...)
	case BasisAsserted:
		d.assert(e, p)
	}
	if kind == ConsentRequested || kind == ConsentGiven || kind == ConsentImported {
		if p.explicit || d.seldom("explicit all the same") {
			e.Explicit = "yes"
		}
		if p.age || d.seldom("age all the same") {
			e.Age = d.one("age", ages...)
		}
	}
	identifiers := []string{"email"}
	if slices.Contains(phoneLike, e.Channel) {
		identifiers = []string{d.one("identifier", "phone", "external_id")}
	}
	if e.IPPolicy != "none" && d.coin("ip") {
		identifiers = append(identifiers, "ip")
	}
	e.Commits = d.claims(identifiers...)
	d.spoil(e)
	return e
}

// assert draws a basis that a purpose allows.
func (d *drawing) assert(e *Entry, p *modelPurpose) {
	list := slices.DeleteFunc(slices.Clone(p.bases), func(b string) bool { return b == "consent" })
	if len(list) == 0 {
		list = []string{"contract"}
	}
	e.Basis = d.one("basis", list...)
	switch e.Basis {
	case "existing_customer":
		e.Conditions = Conditions()
	case "legitimate_interest":
		e.Channel = d.one("channel", "post", "post", "app", "email")
	}
}

// spoil makes one thing about an opening entry wrong, if anything.
func (d *drawing) spoil(e *Entry) {
	switch d.fault(12) {
	case 0:
		if e.Purpose = d.one("purpose", "catalogue", "orders", "survey", "orders", AllMarketing, "orders", "newsletter"); e.Purpose == "orders" {
			e.Notice = d.notice("shop-de@1")
		}
	case 1:
		e.Channel = d.one("channel", AnyChannel, AnyChannel, "phone", "fax", "sms", "post")
	case 2:
		if e.Kind == ConsentRefused || e.Kind == ConsentImported || e.Kind == BasisAsserted {
			e.Notice = NoticeRef{}
		}
	case 3:
		e.Notice = d.notice(d.one("notice", "newsletter-de@1", "privacy-de@1", "mail-de@1", "shop-de@1"))
	case 4:
		e.Notice.SHA256[7] ^= 1
	case 5:
		e.Notice.Version += 9
	case 6:
		e.IPPolicy = d.one("ip_policy", ipPolicies...)
	case 7:
		e.Explicit = ""
	case 8:
		e.Age = ""
	case 9:
		e.Commits = d.claims(d.one("identifier", identifiers...), "ip")
	case 10:
		e.Conditions = nil
	case 11:
		if e.Kind == BasisAsserted {
			e.Basis, e.Conditions = d.one("basis", bases[1:]...), conditions[:d.below(5, "conditions")]
		}
	}
	if e.Kind != BasisAsserted {
		e.Conditions = nil
	}
}

func (d *drawing) request(e *Entry, token int) {
	e.Lock = Lock(tokenForTest(token))
	e.Channel = d.one("channel", "email", "email", "email", "sms", "email")
	e.Expires = d.l.now.Add(time.Duration(pick(d, "lifetime", []int{9, 40, 2, 20, -1, 1, 30, 12})) * time.Hour).Truncate(time.Second)
	if lock := d.m.open(token); lock != nil && !d.l.now.After(lock.expires) && !d.seldom("not joined") {
		e.Expires, e.Channel = lock.expires, d.m.consents[lock.request].channel
	}
}

// definition draws the next version of a purpose, or a new one, mostly with the
// terms that it had.
func (d *drawing) definition() *Entry {
	id := d.one("purpose", "offers", "orders", "health", "shop", "newsletter", "email.open_tracking", "offers.shoes", "offers.hats", "terms")
	e := &Entry{Kind: PurposeDefined, Source: "admin", Purpose: id, Version: 1, Marketing: "yes", DoubleOptIn: "no", Lifetime: 60, IPPolicy: "truncated"}
	if p := d.m.purposes[id]; p != nil {
		e.Version, e.Parent, e.IPPolicy, e.Bases = p.version+1, p.parent, p.ip, p.bases
		if !p.marketing {
			e.Marketing = "no"
		}
		if p.explicit {
			e.Explicit = "yes"
		}
		if p.age {
			e.MinimumAge = 16
		}
		if p.balanced != d.seldom("balanced anew") {
			e.Commits = d.l.commits("document")
		}
	} else if strings.HasPrefix(id, "offers.") {
		e.Parent = "offers"
	}
	switch d.fault(8) {
	case 0:
		e.Purpose, e.Version = AllMarketing, 1
	case 1:
		e.Version += 2
	case 2:
		e.Parent = d.one("parent", "newsletter", "orders", "nowhere", e.Purpose, "offers", "")
	case 3:
		e.TrackingMode = d.one("mode", modes[:]...)
	case 4:
		e.Explicit = map[string]string{"": "yes"}[e.Explicit]
	case 5:
		e.Bases = pick(d, "bases", [][]string{nil, {"consent"}, {"existing_customer"}, {"consent", "contract"}})
	case 6:
		e.IPPolicy = d.one("ip_policy", ipPolicies...)
	case 7:
		e.MinimumAge = 16 - e.MinimumAge
	}
	return e
}

// publication draws a notice that nobody uses; the others use those that stand.
func (d *drawing) publication() *Entry {
	id := d.one("notice", "other-de", "third-de")
	e := &Entry{Kind: NoticePublished, Source: "admin", Notice: NoticeRef{id, 1, TextHash([]byte(id))}, Language: "de", Covers: []string{"newsletter"},
		Use: d.one("use", "", "privacy", "mail", "wording"), ConditionalOn: d.one("conditional_on", "none", "", "service")}
	for d.m.notices[e.Notice.Name()] != nil {
		e.Notice.Version++
	}
	switch d.fault(2) {
	case 0:
		e.Notice.Version++
	case 1:
		e.Covers = []string{"catalogue", "newsletter"}
	}
	return e
}

// shredded draws either phase, mostly of an erasure that there is.
func (d *drawing) shredded() *Entry {
	e := &Entry{Kind: EvidenceShredded, Source: SourceLedger, Generation: 2, Medium: "file"}
	existence := d.coin("existence")
	if second := d.l.now.Truncate(time.Second); existence {
		e.Existence = second
	} else {
		e.Contents, e.ExistenceDue = second, second.Add(time.Duration(d.below(12, "due")-2)*time.Hour)
	}
	refers := map[Index]bool{}
	for _, i := range slices.Sorted(maps.Keys(d.m.erasures)) {
		fits := d.m.erasures[i].contents == existence && !d.m.erasures[i].existence
		if fits || d.seldom("out of turn") {
			refers[Index(i)] = true
		}
	}
	if len(refers) == 0 {
		refers[Index(d.below(len(d.l.texts), "refers"))] = true
	}
	e.Refers = slices.Sorted(maps.Keys(refers))
	return e
}
