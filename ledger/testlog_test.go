package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"testing"
	"time"
)

// originForLog names every log that the tests here build.
const originForLog = "ledger.example.com/shop"

// filesForTest is a log as a map from path to content.
type filesForTest map[string][]byte

func (f filesForTest) ReadPath(_ context.Context, path string) ([]byte, error) {
	b, ok := f[path]
	if !ok {
		return nil, ErrMissing
	}
	return b, nil
}

// logForTest builds a log as a server would, or as a modified one would: it
// signs whatever it is given. Everything in it follows from fixed seeds, so that
// the same calls give the same bytes.
type logForTest struct {
	testing.TB
	signer  *Signer
	now     time.Time // time of the next entry
	texts   [][]byte
	prev    Hash
	tree    Tree
	tiles   [][]byte // hashes of each tile level, all tiles in a row
	last    map[ConsentID]Index
	notices map[string][]byte
	replay  *Replay // nil once an entry was refused
}

func seedForTest(label string) (seed [32]byte) {
	return sha256.Sum256([]byte("consent-ledger test vectors: " + label))
}

func newLogForTest(t testing.TB) *logForTest {
	s, err := NewSigner(originForLog, seedForTest("ed25519"), seedForTest("ml-dsa-44"))
	if err != nil {
		t.Fatal(err)
	}
	return &logForTest{TB: t, signer: s.Deterministic(), now: time.Date(2026, 11, 21, 22, 36, 0, 123456000, time.UTC),
		last: map[ConsentID]Index{}, notices: map[string][]byte{}, replay: NewReplay()}
}

// policy trusts the log's own two keys.
func (l *logForTest) policy() *Policy {
	p, err := ParsePolicy(NewPolicy(l.signer.Keys()))
	if err != nil {
		l.Fatal(err)
	}
	return p
}

// unchanged as After stands for the entry that changed the consent last.
const unchanged Index = -1

// add appends an entry: it fills in index, prev, a time if there is none, and
// the after links that are unchanged.
func (l *logForTest) add(e *Entry) Index {
	l.Helper()
	e.Index, e.Prev = Index(len(l.texts)), l.prev
	if e.Time.IsZero() {
		e.Time = l.now
	}
	for i, c := range e.Consents {
		if c.After == unchanged {
			e.Consents[i].After = l.last[c.Consent]
		}
	}
	text, err := e.Encode()
	if err != nil {
		l.Fatalf("entry %d, %s: %v", e.Index, e.Kind, err)
	}
	return l.addText(text, e)
}

// addText appends bytes that need not be an entry; e is what they say, or nil.
func (l *logForTest) addText(text []byte, e *Entry) Index {
	index := Index(len(l.texts))
	l.texts = append(l.texts, text)
	l.prev = LeafHash(text)
	l.tree.Append(l.prev, func(level int, _ int64, h Hash) {
		if level%TileHeight != 0 {
			return
		}
		for len(l.tiles) <= level/TileHeight {
			l.tiles = append(l.tiles, nil)
		}
		l.tiles[level/TileHeight] = append(l.tiles[level/TileHeight], h[:]...)
	})
	l.now = l.now.Add(time.Second + time.Microsecond)
	if e == nil {
		l.replay = nil
		return index
	}
	l.last[ConsentID(index)] = index
	for _, c := range e.Consents {
		l.last[c.Consent] = index
	}
	if l.replay != nil {
		if _, err := l.replay.Add(e, l.prev); err != nil {
			l.replay = nil
		}
	}
	return index
}

func (l *logForTest) checkpoint() Checkpoint {
	return Checkpoint{originForLog, l.tree.Size(), l.tree.Root()}
}

// sign gives the signed checkpoint of the log as it stands.
func (l *logForTest) sign() []byte {
	signed, err := l.signer.SignCheckpoint(l.checkpoint(), l.now.Unix())
	if err != nil {
		l.Fatal(err)
	}
	return signed
}

// files gives the export directory of the log as it stands.
func (l *logForTest) files() filesForTest {
	f := filesForTest{"checkpoint": l.sign(), "trust.keys": l.texts[0]}
	for level, hashes := range l.tiles {
		full, width := TileRange(l.tree.Size(), level)
		for n := range full {
			f[TilePath(level, n, TileWidth)] = hashes[n*TileWidth*32 : (n+1)*TileWidth*32]
		}
		if width > 0 {
			f[TilePath(level, full, width)] = hashes[full*TileWidth*32:]
		}
	}
	for n := 0; n*TileWidth < len(l.texts); n++ {
		texts := l.texts[n*TileWidth : min((n+1)*TileWidth, len(l.texts))]
		var b []byte
		for _, text := range texts {
			var err error
			if b, err = AppendBundle(b, text); err != nil {
				l.Fatal(err)
			}
		}
		f[EntriesPath(int64(n), len(texts))] = b
	}
	for path, text := range l.notices {
		f[path] = text
	}
	return f
}

func (l *logForTest) create() {
	e, err := NewLedger(l.signer, "shop.example.com", l.now)
	if err != nil {
		l.Fatal(err)
	}
	l.add(e)
}

func (l *logForTest) source(name, role string) Index {
	return l.add(&Entry{Kind: SourceDeclared, Source: SourceLedger, Name: name, Role: role})
}

func (l *logForTest) purpose(id string, version int64) Index {
	return l.add(&Entry{Kind: PurposeDefined, Source: "admin", Purpose: id, Version: version, Marketing: "yes",
		DoubleOptIn: "yes", DOIChannels: []string{"email", "sms"}, Lifetime: 604800, Commits: l.commits("title")})
}

func (l *logForTest) notice(id string, version int64, covers ...string) NoticeRef {
	return l.publish(l.noticed(id, version, covers...))
}

// noticed gives the entry that publishes a notice; the caller may change it.
func (l *logForTest) noticed(id string, version int64, covers ...string) *Entry {
	text := fmt.Sprintf("Ja, ich möchte %v erhalten (%s, Fassung %d).\n", covers, id, version)
	return &Entry{Kind: NoticePublished, Source: "admin", Notice: NoticeRef{id, version, l.document(text)}, Language: "de", Covers: covers}
}

func (l *logForTest) publish(e *Entry) NoticeRef {
	l.add(e)
	return e.Notice
}

// document keeps a public document of a notice.
func (l *logForTest) document(text string) Hash {
	sum := TextHash([]byte(text))
	l.notices["notices/"+hex.EncodeToString(sum[:])] = []byte(text)
	return sum
}

// prelude is what every log here begins with, up to index 6.
func (l *logForTest) prelude() NoticeRef {
	l.create()
	l.source("admin", "admin")
	l.purpose("newsletter", 1)
	l.purpose("email.open_tracking", 1)
	l.purpose("survey", 1)
	ref := l.notice("newsletter-de", 1, "email.open_tracking", "newsletter")
	l.source("shop-frontend", "app")
	return ref
}

// tokenForTest is the token of a numbered request.
func tokenForTest(request int) string {
	seed := seedForTest(fmt.Sprintf("token %d", request))
	return base64.RawURLEncoding.EncodeToString(seed[:])
}

// disclosureForTest is a disclosure whose salt follows from its place in the log.
func disclosureForTest(index Index, claim string) Disclosure {
	return Disclosure{seedForTest(fmt.Sprintf("salt %d %s", index, claim)), claim, "value of " + claim}
}

// commits commits the next entry to the claims.
func (l *logForTest) commits(claims ...string) (list []Commitment) {
	for _, c := range claims {
		list = append(list, Commitment{c, disclosureForTest(Index(len(l.texts)), c).Digest()})
	}
	return list
}

// requested gives the opening entry of a consent; the caller may change it
// before adding it.
func (l *logForTest) requested(request int, purpose string, ref NoticeRef) *Entry {
	return &Entry{Kind: ConsentRequested, Source: "shop-frontend", Occurred: l.now.Truncate(time.Second),
		Purpose: purpose, Channel: "email", Notice: ref, Method: "web_form", Lock: Lock(tokenForTest(request)),
		Expires: l.now.Add(7 * 24 * time.Hour).Truncate(time.Second), IPPolicy: "truncated", Commits: l.commits("email", "ip", "page_url")}
}

// request opens one consent to the newsletter.
func (l *logForTest) request(request int, ref NoticeRef) ConsentID {
	return ConsentID(l.add(l.requested(request, "newsletter", ref)))
}

// changed gives an entry of the app that changes or mentions consents.
func (l *logForTest) changed(kind Kind, ids ...ConsentID) *Entry {
	e := &Entry{Kind: kind, Source: "shop-frontend"}
	switch kind {
	case RestrictionSet:
		e.Ground = "art18_1_a"
	case RestrictionLifted:
		e.Informed = l.now.Truncate(time.Second)
	case SubjectErased:
		e.Reason = "art17"
	case SubjectLocked:
		e.Reason, e.Until = "consent_withdrawn", l.now.AddDate(3, 0, 0).Truncate(time.Second)
	case ConsentRevoked:
		e.Source, e.Cause = "admin", "rectified"
	case ConsentInvalidated:
		e.Source, e.Cause = "legal-desk", "scanner"
	case ConsentRenewed:
		e.Method, e.IPPolicy = "preference_centre", "truncated"
	case ConfirmationFailed:
		e.Failure = "permanent"
	case TrackingChanged:
		e.Purpose, e.Mode = "email.open_tracking", "none"
	case SubjectRectified:
		e.Change = "replaced"
	case RetentionApplied:
		e.Source, e.Rule, e.Measure = SourceLedger, "unused", "expire"
	case ConsentExpired, RequestExpired:
		e.Source = SourceLedger
	case HoldSet, HoldLifted:
		e.Source = "legal-desk"
	case EvidenceDisclosed:
		e.Source, e.Occasion, e.Shown = "legal-desk", "claims", []string{"email"}
	default:
		l.rightsKind(e)
	}
	if lists := kindTable[kind].lists; lists == listAbout || lists == listAboutOptional {
		e.About = ids
		return e
	}
	for _, id := range ids {
		e.Consents = append(e.Consents, Link{id, unchanged})
	}
	return e
}

// resent gives the entry by which a request, whose newest lock is of the token
// former, gets one of another token.
func (l *logForTest) resent(token, former int, ids ...ConsentID) *Entry {
	e := l.changed(ConfirmationResent, ids...)
	e.Lock, e.Former = Lock(tokenForTest(token)), Lock(tokenForTest(former))
	e.Expires = l.now.Add(8 * 24 * time.Hour).Truncate(time.Second)
	return e
}

// expire records that nobody confirmed a request.
func (l *logForTest) expire(request int, ids ...ConsentID) Index {
	e := l.changed(RequestExpired, ids...)
	e.Lock = Lock(tokenForTest(request))
	return l.add(e)
}

// shredded records that the contents of erasures are destroyed.
func (l *logForTest) shredded(erasures ...Index) Index {
	return l.add(&Entry{Kind: EvidenceShredded, Source: SourceLedger, Refers: erasures, Generation: 2, Medium: "file",
		Contents: l.now.Truncate(time.Second), ExistenceDue: l.now.Add(72 * time.Hour).Truncate(time.Second)})
}

// rekeyed records that the existence of erasures is destroyed.
func (l *logForTest) rekeyed(erasures ...Index) Index {
	return l.add(&Entry{Kind: EvidenceShredded, Source: SourceLedger, Refers: erasures, Generation: 3, Medium: "file",
		Existence: l.now.Truncate(time.Second)})
}

// lift lifts a hold from its consents.
func (l *logForTest) lift(hold Index, ids ...ConsentID) Index {
	e := l.changed(HoldLifted, ids...)
	e.Refers = []Index{hold}
	return l.add(e)
}

// suppress adds an address to the suppression list of a purpose, or takes it off.
func (l *logForTest) suppress(kind Kind, purpose string) Index {
	return l.add(&Entry{Kind: kind, Source: "shop-frontend", Purpose: purpose})
}

func (l *logForTest) change(kind Kind, ids ...ConsentID) Index { return l.add(l.changed(kind, ids...)) }

// reveal confirms or rejects consents with the token of a request.
func (l *logForTest) reveal(kind Kind, request int, ids ...ConsentID) Index {
	e := l.changed(kind, ids...)
	e.Token, e.Commits = tokenForTest(request), l.commits("ip", "user_agent")
	return l.add(e)
}

func (l *logForTest) commitState() Index {
	if l.replay == nil {
		l.Fatal("no state: an entry was refused")
	}
	root, err := l.replay.StateRoot()
	if err != nil {
		l.Fatal(err)
	}
	return l.add(&Entry{Kind: StateCommitted, Source: SourceLedger, StateRoot: root})
}

// story is a small log that holds every kind and leads consents into every
// state and overlay that this version's kinds reach.
func (l *logForTest) story() {
	ref := l.prelude()
	// One request for two purposes, confirmed with one click.
	e := l.requested(1, "newsletter", ref)
	a := ConsentID(l.add(e))
	second := l.requested(1, "email.open_tracking", ref)
	second.Expires = e.Expires
	b := ConsentID(l.add(second))
	sent := l.changed(ConfirmationSent, a, b)
	sent.Occurred, sent.Commits = l.now.Truncate(time.Second), l.commits("message")
	l.add(sent)
	l.reveal(ConsentConfirmed, 1, a, b)
	l.change(ConsentUsed, a, b)
	// One of the two is withdrawn, then used all the same.
	withdrawn := l.changed(ConsentWithdrawn, b)
	withdrawn.Method, withdrawn.Occurred = "one_click", l.now.Add(time.Hour).Truncate(time.Second)
	l.add(withdrawn)
	used := l.changed(ConsentUsed, a, b)
	used.Commits = l.commits("reference")
	l.add(used)
	// A request that stays open, one that is rejected, one that is objected to.
	c := l.request(2, ref)
	d := l.request(3, ref)
	l.reveal(ConfirmationRejected, 3, d)
	f := l.request(4, ref)
	l.reveal(ConsentConfirmed, 4, f)
	l.change(ObjectionRecorded, f)
	// A stranger objects to everything.
	g := ConsentID(l.add(&Entry{Kind: ObjectionRecorded, Source: "shop-frontend", Purpose: AllMarketing, Channel: AnyChannel,
		Method: "email_reply", Commits: l.commits("email", "reference")}))
	l.change(RestrictionSet, a)
	l.change(ConsentUsed, a)
	l.change(RestrictionLifted, a)
	kept := l.changed(RestrictionSet, c)
	kept.Ground = "art18_1_c"
	l.add(kept)
	l.commitState()
	// Two people are erased in one list of two parts.
	part := l.changed(SubjectErased, a, b)
	part.Part, part.Parts, part.Time = 1, 2, l.now
	first := l.add(part)
	next := l.changed(SubjectErased, d, g)
	next.Part, next.Parts, next.Time = 2, 2, part.Time
	l.add(next)
	l.shredded(first, first+1)
	l.add(&Entry{Kind: PurposeDefined, Source: "admin", Purpose: "newsletter", Version: 2, Marketing: "yes", DoubleOptIn: "yes", Lifetime: 604800,
		LockDays: 30, LapsedDays: 7, UnusedDays: 730, UnusedMeasure: "expire", EvidenceDays: 1096})
	l.notice("newsletter-de", 2, "newsletter")
	l.source("legal-desk", "legal")
	l.laterStory(ref, c, first)
	l.otherStory(ref)
	l.rightsStory(ref)
	l.commitState()
}

// laterStory is what time brings: consents end by themselves, addresses change,
// people are locked, held and erased for good. erased is an erasure in two parts
// whose contents are destroyed, open a request that nobody has confirmed.
func (l *logForTest) laterStory(ref NoticeRef, open ConsentID, erased Index) {
	confirmed := func(request int) ConsentID {
		id := l.request(request, ref)
		l.reveal(ConsentConfirmed, request, id)
		return id
	}
	unused, moved, left := confirmed(5), confirmed(6), confirmed(7)
	l.now = l.now.AddDate(2, 0, 0)
	l.rekeyed(erased, erased+1)
	l.expire(2, open)
	l.change(RetentionApplied, unused)
	l.change(ConsentExpired, unused)
	rectified := l.changed(SubjectRectified, moved)
	rectified.Occurred, rectified.Commits = l.now.Truncate(time.Second), l.commits("email", "reason")
	l.add(rectified)
	l.change(ConsentRevoked, moved)
	// One is locked, used all the same, held, released and erased.
	l.change(SubjectLocked, left)
	l.change(ConsentUsed, left)
	held := l.changed(HoldSet, moved, left)
	held.Commits = l.commits("reason")
	hold := l.add(held)
	l.lift(hold, moved, left)
	gone := l.changed(SubjectErased, left)
	gone.Source, gone.Reason = SourceLedger, "retention"
	l.shredded(l.add(gone))
	l.suppress(SuppressionAdded, AllMarketing)
	l.suppress(SuppressionAdded, "newsletter")
	l.suppress(SuppressionRemoved, "newsletter")
}

// otherStory is about consent that no click gave, other grounds, and what else
// happens to a double opt-in on its way.
func (l *logForTest) otherStory(ref NoticeRef) {
	wording, privacy, mail := l.otherPurposes()
	// One mail bounces, the next is opened by a machine and clicked by a person.
	e := l.requested(8, "newsletter", ref)
	e.Explicit, e.Age, e.Commits = "yes", "old_enough", l.commits("email", "form_snapshot", "ip")
	clicked := ConsentID(l.add(e))
	sent := l.changed(ConfirmationSent, clicked)
	sent.Notice, sent.Commits = mail, l.commits("message", "mta_response")
	l.add(sent)
	l.change(ConfirmationFailed, clicked)
	l.add(l.resent(9, 8, clicked))
	again := l.changed(ConfirmationSent, clicked)
	again.Mail, again.Commits = "kept", l.commits("message")
	l.add(again)
	opened := l.changed(ConfirmationOpened, clicked)
	opened.Commits = l.commits("scanner", "user_agent")
	l.add(opened)
	confirmed := l.changed(ConsentConfirmed, clicked)
	confirmed.Token, confirmed.Click, confirmed.Commits = tokenForTest(9), "button", l.commits("user_agent")
	l.add(confirmed)
	l.change(ConfirmationAttached, clicked)
	l.change(ConsentInvalidated, clicked)
	// On paper, renewed, from old stock, refused.
	paper := l.opened(ConsentGiven, "health", wording)
	paper.Explicit, paper.Age, paper.Commits = "yes", "child", l.commits("document", "name", "phone")
	given := ConsentID(l.add(paper))
	renewed := l.changed(ConsentRenewed, ConsentID(l.add(l.opened(ConsentImported, "newsletter", NoticeRef{}))))
	renewed.Notice, renewed.Commits = wording, l.commits("form_snapshot", "ip")
	l.add(renewed)
	l.add(l.opened(ConsentImported, "newsletter", ref))
	l.add(l.opened(ConsentRefused, "email.open_tracking", NoticeRef{}))
	tracked := ConsentID(l.add(l.opened(ConsentGiven, "email.open_tracking", ref)))
	l.change(TrackingChanged, tracked)
	// Two other grounds.
	customer := l.opened(BasisAsserted, "offers", privacy)
	customer.Basis, customer.Conditions = "existing_customer", Conditions()
	l.add(customer)
	l.add(l.opened(BasisAsserted, "orders", NoticeRef{}))
	disclosed := l.changed(EvidenceDisclosed, given)
	disclosed.Commits = l.commits("reason", "recipient")
	l.add(disclosed)
}

// otherPurposes defines purposes with terms of every sort, and notices of every
// use: a wording, a privacy notice and a mail.
func (l *logForTest) otherPurposes() (wording, privacy, mail NoticeRef) {
	add := func(e *Entry) {
		e.Kind, e.Source, e.Lifetime = PurposeDefined, "admin", 86400
		if e.Version == 0 {
			e.Version = 1
		}
		l.add(e)
	}
	add(&Entry{Purpose: "offers", Marketing: "yes", DoubleOptIn: "no", IPPolicy: "full",
		Bases: []string{"consent", "existing_customer", "legitimate_interest"}})
	add(&Entry{Purpose: "orders", Marketing: "no", DoubleOptIn: "no", IPPolicy: "none", Bases: []string{"contract", "legal_obligation", "legitimate_interest"},
		Commits: l.commits("document")}) // the balancing of interests
	add(&Entry{Purpose: "health", Marketing: "yes", DoubleOptIn: "yes", Parent: "offers", Explicit: "yes", MinimumAge: 16, MinimumGrade: "B",
		ValidityDays: 730, UnusedDays: 365, UnusedMeasure: "block", UnusedWarnDays: 300, Bases: []string{"consent"}})
	add(&Entry{Purpose: "email.open_tracking", Version: 2, Marketing: "yes", DoubleOptIn: "no", TrackingMode: "anonymous"})
	all := []string{"health", "newsletter", "offers", "orders"}
	tied := l.noticed("shop-de", 1, all...)
	tied.Use, tied.Checkbox, tied.ConditionalOn, tied.Facts = "wording", "unticked", "service", l.document(`{"controller":"Shop GmbH"}`)
	p := l.noticed("privacy-de", 1, all...)
	p.Use, p.Facts = "privacy", tied.Facts
	m := l.noticed("mail-de", 1, all...)
	m.Use, m.ConditionalOn = "mail", "none"
	return l.publish(tied), l.publish(p), l.publish(m)
}

// opened gives an opening entry of the app other than a request; the caller may
// change it before adding it.
func (l *logForTest) opened(kind Kind, purpose string, ref NoticeRef) *Entry {
	e := &Entry{Kind: kind, Source: "shop-frontend", Purpose: purpose, Channel: "email", Notice: ref, IPPolicy: "none", Commits: l.commits("email")}
	switch kind {
	case ConsentGiven, ConsentRefused:
		e.Method = "paper"
	case ConsentImported:
		e.Method, e.Grade = "import", "D"
	case BasisAsserted:
		e.Basis = "contract"
	}
	return e
}

// storyForTest is the story's log.
func storyForTest(t testing.TB) *logForTest {
	l := newLogForTest(t)
	l.story()
	if l.replay == nil {
		t.Fatal("the story breaks a rule")
	}
	return l
}
