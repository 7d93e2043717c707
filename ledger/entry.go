package ledger

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// MaxEntrySize is the largest entry in bytes. Longer lists are split over
// consecutive entries (Part, Parts).
const MaxEntrySize = 16 << 10

// entryMagic is the first line of every entry of this format version.
const (
	entryMagic  = "consent-ledger/entry/v1"
	entryPrefix = "consent-ledger/entry/v"
)

// FormatVersion is the version of the entry format that this package writes.
const FormatVersion = 1

// Entry is one line of history. Its bytes are printable ASCII lines in a fixed
// order, each ended by LF:
//
//	consent-ledger/entry/v1
//	index <decimal>
//	prev <base64 of the leaf hash of the entry before; zeros at index 0>
//	time <RFC 3339 UTC with exactly six decimals>
//	kind <kind>
//	source <identifier>
//	part <i> of <n>                      only when a list was split
//	consent <id> after <index>           0 or more, ids ascending
//	about <id>                           0 or more, ascending
//	occurred <RFC 3339 UTC, whole seconds>
//	…                                    the lines of the kind, kinds.go
//	commit <claim> <base64 digest>       0 or more, claims ascending
//
// There is one spelling per value: what [ParseEntry] accepts, [Entry.Encode]
// writes back byte for byte.
type Entry struct {
	Index  Index
	Prev   Hash
	Time   time.Time // the ledger's clock, UTC, whole microseconds
	Kind   Kind
	Source string // the name of the API key, or "ledger"

	Part, Parts int // 0, 0 when the entry stands alone

	Consents []Link      // consents that the entry changes
	About    []ConsentID // consents that it mentions
	Occurred time.Time   // the source's claim, UTC, whole seconds; zero when absent

	// The lines of the kinds; which kind has which is the table in kinds.go.
	Controller  string
	Origin      string
	Format      int64
	Add         []string // verifier keys (C2SP signed-note vkeys)
	Retire      []string // those that the added ones follow
	Sign        []KeySignature
	Name, Role  string
	Purpose     string
	Version     int64
	Marketing   string // "yes" or "no"
	DoubleOptIn string // "yes" or "no"
	DOIChannels []string
	Lifetime    int64 // seconds
	// The terms of a purpose's retention, in days; 0 and "" when the line is absent.
	LockDays      int64
	LapsedDays    int64
	UnusedDays    int64
	UnusedMeasure string
	EvidenceDays  int64
	// Further terms of a purpose; zero values where the line is absent.
	ValidityDays   int64
	UnusedWarnDays int64
	MinimumGrade   string // A to E
	MinimumAge     int64  // years
	Explicit       string // "yes" or "": an Art. 9 GDPR purpose, or the declaration that it demands
	Parent         string
	Bases          []string
	TrackingMode   string

	Notice        NoticeRef
	Language      string
	Covers        []string // purposes
	Use           string   // of a notice; "" is a wording
	Checkbox      string
	ConditionalOn string
	Facts         Hash // SHA-256 of the document that holds the notice's facts; zeros when absent
	Channel       string
	Method        string
	Lock          Hash
	Expires       time.Time // UTC, whole seconds
	IPPolicy      string
	Age           string
	Grade         string // of an import
	Basis         string
	Conditions    []string
	Mail          string
	Former        Hash // the lock that a new one succeeds; zeros when absent
	Failure       string
	Token         string
	Click         string
	Mode          string
	Ground        string
	Cause         string
	Reason        string
	Until         time.Time // UTC, whole seconds
	Refers        []Index
	Generation    int64
	Medium        string
	// An evidence.shredded has either the first two, from when on nobody can
	// read the contents and by when nobody shall find the existence, or the
	// third, from when on nobody can find it. UTC, whole seconds.
	Contents     time.Time
	ExistenceDue time.Time
	Existence    time.Time
	Change       string
	Rule         string
	Measure      string
	StateRoot    Hash

	EffectHours int64  // a term of a purpose; 0 when the line is absent
	Claim       string // the name of a claim that is declared
	Processor   string
	Country     string // ISO 3166-1 alpha-2
	Signal      string
	Says        string // "no" or "yes"
	System      string
	Means       string
	Article     string
	Refusal     string
	Occasion    string
	Shown       []string  // the names of the claims that were shown
	Due         time.Time // UTC, whole seconds
	Informed    time.Time // UTC, whole seconds

	// What a checkpoint.anchored says of a time-stamp token.
	Size       Size      // of the checkpoint that was stamped
	Checkpoint Hash      // SHA-256 of it as the log signed it
	Stamp      Hash      // SHA-256 of the token
	Stamped    time.Time // the token's genTime, UTC, cut to whole microseconds

	Commits []Commitment
}

// Link is a consent that an entry changes and the entry that changed it last.
type Link struct {
	Consent ConsentID
	After   Index
}

// NoticeRef names one version of a text that was shown and the SHA-256 of the
// text's bytes.
type NoticeRef struct {
	ID      string
	Version int64
	SHA256  Hash
}

// Name gives the reference without the hash: `newsletter-de@3`.
func (n NoticeRef) Name() string { return n.ID + "@" + strconv.FormatInt(n.Version, 10) }

// ParseNoticeName parses `newsletter-de@3`.
func ParseNoticeName(s string) (id string, version int64, err error) {
	id, v, ok := strings.Cut(s, "@")
	if !ok || !IsIdentifier(id) {
		return "", 0, fmt.Errorf("want an identifier, @ and a version")
	}
	version, err = parseNumber(v)
	if err != nil || version < 1 {
		return "", 0, fmt.Errorf("want a version from 1 after @")
	}
	return id, version, nil
}

// Commitment is the digest of a disclosure: it fixes a claim without showing it.
type Commitment struct {
	Claim  string
	Digest Hash
}

// KeySignature is a raw signature in a key entry, named by the key's id.
type KeySignature struct {
	KeyID     uint32
	Signature []byte
}

// Commit gives the commitment of a claim in the entry.
func (e *Entry) Commit(claim string) (Hash, bool) {
	for _, c := range e.Commits {
		if c.Claim == claim {
			return c.Digest, true
		}
	}
	return Hash{}, false
}

// commits reports whether the entry commits to a claim.
func (e *Entry) commits(claim string) bool {
	_, ok := e.Commit(claim)
	return ok
}

// ParseError says which line of an entry is wrong and why. It never quotes the
// entry.
type ParseError struct {
	Line   int // from 1
	Reason string
}

func (e *ParseError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Reason) }

// Encode gives the entry's bytes. It refuses what [ParseEntry] would refuse.
func (e *Entry) Encode() ([]byte, error) {
	row, ok := kindTable[e.Kind]
	if !ok {
		return nil, fmt.Errorf("encoding entry: unknown kind")
	}
	b := make([]byte, 0, 768)
	b = append(b, entryMagic...)
	b = appendLine(b, "\nindex ", strconv.FormatInt(int64(e.Index), 10))
	b = appendLine(b, "prev ", base64.StdEncoding.EncodeToString(e.Prev[:]))
	b = append(b, "time "...)
	b = append(e.Time.UTC().AppendFormat(b, microsLayout), '\n')
	b = appendLine(b, "kind ", string(e.Kind))
	b = appendLine(b, "source ", e.Source)
	if e.Parts != 0 {
		b = appendLine(b, "part ", strconv.Itoa(e.Part)+" of "+strconv.Itoa(e.Parts))
	}
	for _, l := range e.Consents {
		b = strconv.AppendInt(append(b, "consent "...), int64(l.Consent), 10)
		b = strconv.AppendInt(append(b, " after "...), int64(l.After), 10)
		b = append(b, '\n')
	}
	for _, id := range e.About {
		b = strconv.AppendInt(append(b, "about "...), int64(id), 10)
		b = append(b, '\n')
	}
	if !e.Occurred.IsZero() {
		b = append(b, "occurred "...)
		b = append(e.Occurred.UTC().AppendFormat(b, secondsLayout), '\n')
	}
	for _, s := range row.slots {
		f := &fields[s.field]
		for i := range f.count(e) {
			b = append(append(b, f.name...), ' ')
			b = append(f.put(b, e, i), '\n')
		}
	}
	for _, c := range e.Commits {
		b = append(append(b, "commit "...), c.Claim...)
		b = appendLine(b, " ", base64.StdEncoding.EncodeToString(c.Digest[:]))
	}
	// A pair assertion: what is written must be what every verifier accepts.
	again := spareEntries.Get().(*Entry)
	defer spareEntries.Put(again)
	if _, err := again.parse(b, string(b)); err != nil {
		return nil, fmt.Errorf("encoding entry: %w", err)
	}
	return b, nil
}

// spareEntries holds entries that [Entry.Encode] has parsed for nobody.
var spareEntries = sync.Pool{New: func() any { return new(Entry) }}

func appendLine(b []byte, name, value string) []byte {
	return append(append(append(b, name...), value...), '\n')
}

const (
	microsLayout  = "2006-01-02T15:04:05.000000Z"
	secondsLayout = "2006-01-02T15:04:05Z"
)

// ParseEntry parses one entry. Errors are *[ParseError]; an entry of a later
// format version or of a kind that this package does not know gives an error
// that wraps [ErrNewer] after the lines up to `source` have been checked, and
// an Entry that holds just these.
func ParseEntry(b []byte) (*Entry, error) {
	e := new(Entry)
	_, err := e.parse(b, string(b))
	return e, err
}

// parse is [ParseEntry] into an existing value, whose lists it uses again. The words
// of the entry are parts of text, which holds the same bytes as b. The kind is nil if
// it is unknown.
func (e *Entry) parse(b []byte, text string) (*knownKind, error) {
	consents, about, commits := e.Consents[:0], e.About[:0], e.Commits[:0]
	*e = Entry{}
	e.Consents, e.About, e.Commits = consents, about, commits
	if len(b) > MaxEntrySize {
		return nil, &ParseError{1, fmt.Sprintf("entry of %d bytes, at most %d", len(b), MaxEntrySize)}
	}
	if i := unprintable(b); i >= 0 {
		return nil, &ParseError{1 + bytes.Count(b[:i], []byte("\n")), "not printable ASCII"}
	}
	p := &parser{rest: text}
	if err := e.parseHeader(p); err != nil {
		return nil, err
	}
	known, ok := knownKinds[e.Kind]
	if !ok {
		return nil, fmt.Errorf("%w: unknown kind %s", ErrNewer, e.Kind)
	}
	e.Kind = known.kind
	e.parseLists(p, known.kindRow)
	e.parseFields(p, known.kindRow)
	e.parseCommits(p, known.kindRow)
	if p.err == nil && p.rest != "" {
		p.line++
		p.fail("unexpected line")
	}
	if p.err != nil {
		return nil, p.err
	}
	return known, nil
}

// parser walks the lines of an entry; the first failure stays.
type parser struct {
	rest string
	line int // number of the line last taken
	err  *ParseError
}

func (p *parser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = &ParseError{max(p.line, 1), fmt.Sprintf(format, args...)}
	}
}

// next takes the next line if it has this name, and gives its value.
func (p *parser) next(name string) (string, bool) {
	if p.err != nil || len(p.rest) <= len(name) || p.rest[:len(name)] != name || p.rest[len(name)] != ' ' {
		return "", false
	}
	end := strings.IndexByte(p.rest, '\n')
	if end < 0 {
		p.line++
		p.fail("not ended by a line feed")
		return "", false
	}
	value := p.rest[len(name)+1 : end]
	p.rest = p.rest[end+1:]
	p.line++
	return value, true
}

// must takes a line that has to be there.
func (p *parser) must(name string) string {
	v, ok := p.next(name)
	if !ok && p.err == nil {
		p.line++
		p.fail("want a line %q", name)
	}
	return v
}

func (e *Entry) parseHeader(p *parser) error {
	magic, rest, ok := strings.Cut(p.rest, "\n")
	if !strings.HasPrefix(magic, entryPrefix) {
		return &ParseError{1, "not a consent ledger entry"}
	}
	if v, err := parseNumber(magic[len(entryPrefix):]); !ok || err != nil || v < 1 {
		return &ParseError{1, "no format version"}
	} else if v > FormatVersion {
		return fmt.Errorf("%w: entry format version %d", ErrNewer, v)
	}
	p.rest, p.line = rest, 1
	index, err := parseNumber(p.must("index"))
	if err != nil {
		p.fail("index: %v", err)
	}
	e.Index = Index(index)
	if e.Prev, err = ParseHash(p.must("prev")); err != nil {
		p.fail("prev: %v", err)
	}
	if e.Time, err = parseTime(p.must("time"), true); err != nil {
		p.fail("time: %v", err)
	}
	kind := p.must("kind")
	if p.err == nil && !IsIdentifier(kind) {
		p.fail("kind: not an identifier")
	}
	e.Kind = Kind(kind)
	if e.Source = p.must("source"); p.err == nil && !IsIdentifier(e.Source) {
		p.fail("source: not an identifier")
	}
	if p.err != nil {
		return p.err
	}
	return nil
}

func (e *Entry) parseLists(p *parser, row *kindRow) {
	if v, ok := p.next("part"); ok {
		i, n, ok := strings.Cut(v, " of ")
		part, err1 := parseNumber(i)
		parts, err2 := parseNumber(n)
		if !ok || err1 != nil || err2 != nil || part < 1 || part > parts || parts < 2 || parts > maxParts {
			p.fail("part: want <i> of <n>, i from 1 to n, n from 2 to %d", maxParts)
		}
		if row.lists == listNone {
			p.fail("part: %s has no list that could be split", e.Kind)
		}
		e.Part, e.Parts = int(part), int(parts)
	}
	for v, ok := p.next("consent"); ok; v, ok = p.next("consent") {
		id, after, ok := strings.Cut(v, " after ")
		c, err1 := parseNumber(id)
		a, err2 := parseNumber(after)
		switch {
		case !ok || err1 != nil || err2 != nil:
			p.fail("consent: want <id> after <index>")
		case a < c:
			p.fail("consent: changed before it was opened")
		case len(e.Consents) > 0 && e.Consents[len(e.Consents)-1].Consent >= ConsentID(c):
			p.fail("consent: ids are not ascending")
		}
		e.Consents = append(e.Consents, Link{ConsentID(c), Index(a)})
	}
	for v, ok := p.next("about"); ok; v, ok = p.next("about") {
		id, err := parseNumber(v)
		if err != nil {
			p.fail("about: %v", err)
		} else if len(e.About) > 0 && e.About[len(e.About)-1] >= ConsentID(id) {
			p.fail("about: ids are not ascending")
		}
		e.About = append(e.About, ConsentID(id))
	}
	row.lists.check(p, len(e.Consents), len(e.About))
	if e.Parts != 0 && len(e.Consents)+len(e.About) == 0 {
		p.fail("part: there is no list that could be split")
	}
	if v, ok := p.next("occurred"); ok {
		var err error
		if e.Occurred, err = parseTime(v, false); err != nil {
			p.fail("occurred: %v", err)
		} else if !row.occurred {
			p.fail("occurred: %s has no such line", e.Kind)
		}
	}
}

func (e *Entry) parseFields(p *parser, row *kindRow) {
	for _, s := range row.slots {
		f, least := &fields[s.field], s.min
		if s.when != always && !s.stands(e) {
			continue
		}
		n := 0
		for ; n < s.max; n++ {
			v, ok := p.next(f.name)
			if !ok {
				break
			}
			if err := f.get(e, v); err != nil {
				p.fail("%s: %v", f.name, err)
				return
			}
		}
		if n < least && p.err == nil {
			p.line++
			p.fail("want a line %q", f.name)
			return
		}
	}
}

// minCommitLine is the least length of a commit line, from which follows how
// many there can be.
const minCommitLine = len("commit ip ") + 44 + len("\n")

func (e *Entry) parseCommits(p *parser, row *kindRow) {
	named := false
	for v, ok := p.next("commit"); ok; v, ok = p.next("commit") {
		claim, digest, _ := strings.Cut(v, " ")
		h, err := ParseHash(digest)
		switch {
		case !isClaim(claim):
			p.fail("commit: not a claim")
		case err != nil:
			p.fail("commit: %v", err)
		case len(e.Commits) > 0 && e.Commits[len(e.Commits)-1].Claim >= claim:
			p.fail("commit: claims are not ascending")
		case e.Part > 1:
			p.fail("commit: stands in part 1 only")
		case row.commits == commitNone:
			p.fail("commit: %s has no claims", e.Kind)
		}
		named = named || IsIdentifierClaim(claim)
		if cap(e.Commits) == 0 {
			e.Commits = make([]Commitment, 0, 1+len(p.rest)/minCommitLine)
		}
		e.Commits = append(e.Commits, Commitment{claim, h})
	}
	opens := row.effect == opens || row.effect == opensOrChanges && len(e.Consents) == 0
	if opens && !named && p.err == nil {
		p.line++
		p.fail("want a commit to email, phone or external_id")
	}
}
