package ledger

import (
	"bytes"
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
	first   *Signer   // the pair that the policy names
	now     time.Time // time of the next entry
	texts   [][]byte
	prev    Hash
	tree    Tree
	tiles   [][]byte // hashes of each tile level, all tiles in a row
	last    map[ConsentID]Index
	keys    [][]byte          // the key entries
	notices map[string][]byte // and what was stamped, by path
	replay  *Replay           // nil once an entry was refused
}

func seedForTest(label string) (seed [32]byte) {
	return sha256.Sum256([]byte("consent-ledger test vectors: " + label))
}

func newLogForTest(t testing.TB) *logForTest {
	s := pairForTest(t, "")
	return &logForTest{TB: t, signer: s, first: s, now: time.Date(2026, 11, 21, 22, 36, 0, 123456000, time.UTC),
		last: map[ConsentID]Index{}, notices: map[string][]byte{}, replay: NewReplay()}
}

// pairForTest is one of the pairs that sign for the log, by a word before the names
// of its seeds.
func pairForTest(t testing.TB, which string) *Signer {
	s, err := NewSigner(originForLog, seedForTest(which+"ed25519"), seedForTest(which+"ml-dsa-44"))
	if err != nil {
		t.Fatal(err)
	}
	return s.Deterministic()
}

// policy trusts the log's first two keys.
func (l *logForTest) policy() *Policy {
	p, err := ParsePolicy(NewPolicy(l.first.Keys()))
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
	if e.Kind == LedgerCreated || e.Kind == KeyRotated {
		l.keys = append(l.keys, text)
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
	f := filesForTest{"checkpoint": l.sign(), "trust.keys": bytes.Join(l.keys, nil)}
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
	case HoldSet, HoldLifted, BundleExported:
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
