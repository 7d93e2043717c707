package secondreader

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/consentledger/consentledger/internal/bundle"
	"github.com/consentledger/consentledger/ledger"
)

// book is a log as anybody who has its keys can write it: no rule is checked.
type book struct {
	*testing.T
	now      time.Time
	desk     string // whose key exports
	texts    [][]byte
	entries  []*ledger.Entry
	hashes   []ledger.Hash // as tlog.StoredHashes orders them
	signers  []*pair       // the last one signs
	rotated  []ledger.Index
	consents map[ledger.ConsentID]ledger.Consent
	opened   map[ledger.Index][]ledger.Disclosure
	kept     map[string][]byte // notices, and what claims name, by the hex of its SHA-256
	anchors  map[ledger.Index][2][]byte
	states   map[ledger.Index]func(ledger.ConsentID) []byte
	bend     func(*ledger.Entry) // if set, changes the next entry
}

const (
	noticeText  = "Ja, ich möchte den Newsletter erhalten.\n"
	noticeFacts = `{"controller":"Shop GmbH"}`
	mailText    = "Bitte bestätigen Sie.\n"
)

func newBook(t *testing.T) *book {
	t.Helper()
	b := &book{T: t, now: time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC), desk: "counsel", signers: pairs[:1], consents: map[ledger.ConsentID]ledger.Consent{},
		opened: map[ledger.Index][]ledger.Disclosure{}, kept: map[string][]byte{}, anchors: map[ledger.Index][2][]byte{}, states: map[ledger.Index]func(ledger.ConsentID) []byte{}}
	created, err := ledger.NewLedger(pairs[0].signer, "shop.example", b.now)
	if err != nil {
		t.Fatal(err)
	}
	b.add(created)
	for _, s := range [][2]string{{"admin", "admin"}, {"shop", "app"}, {"counsel", "legal"}} {
		b.add(&ledger.Entry{Kind: ledger.SourceDeclared, Source: ledger.SourceLedger, Name: s[0], Role: s[1]})
	}
	b.add(&ledger.Entry{Kind: ledger.PurposeDefined, Source: "admin", Purpose: "other", Version: 1, Marketing: "no", DoubleOptIn: "no", Lifetime: 86400})
	b.add(&ledger.Entry{Kind: ledger.PurposeDefined, Source: "admin", Purpose: "newsletter", Version: 1, Marketing: "yes", DoubleOptIn: "yes", Lifetime: 86400})
	b.add(&ledger.Entry{Kind: ledger.PurposeDefined, Source: "admin", Purpose: "email.open_tracking", Version: 1, Marketing: "no", DoubleOptIn: "yes", Lifetime: 86400})
	b.keep("an earlier noticeText")
	b.add(&ledger.Entry{Kind: ledger.NoticePublished, Source: "admin", Notice: ledger.NoticeRef{ID: "newsletter-de", Version: 1, SHA256: b.keep("Ja?\n")}, Language: "de",
		Covers: []string{"newsletter"}})
	b.add(&ledger.Entry{Kind: ledger.NoticePublished, Source: "admin", Notice: b.notice(), Language: "de",
		Covers: []string{"email.open_tracking", "newsletter", "other"}, Facts: b.keep(noticeFacts)})
	return b
}

func (b *book) keep(text string) ledger.Hash {
	sum := ledger.TextHash([]byte(text))
	b.kept[hex.EncodeToString(sum[:])] = []byte(text)
	return sum
}

func (b *book) notice() ledger.NoticeRef {
	return ledger.NoticeRef{ID: "newsletter-de", Version: 2, SHA256: b.keep(noticeText)}
}

// next is where the next entry will stand.
func (b *book) next() ledger.Index { return ledger.Index(len(b.texts)) }

func concerned(e *ledger.Entry) []ledger.ConsentID {
	ids := slices.Clone(e.About)
	for _, l := range e.Consents {
		ids = append(ids, l.Consent)
	}
	return ids
}

// add records an entry that commits to these claims and values, a second later.
func (b *book) add(e *ledger.Entry, claims ...string) ledger.Index {
	b.Helper()
	b.now = b.now.Add(time.Second)
	if e.Index = b.next(); e.Index > 0 {
		e.Prev, e.Time = ledger.LeafHash(b.texts[e.Index-1]), b.now
	}
	if b.bend != nil {
		b.bend(e)
		b.bend = nil
	}
	for i := 0; i < len(claims); i += 2 {
		d := ledger.Disclosure{Salt: sha256.Sum256(fmt.Append(nil, e.Index, claims[i])), Claim: claims[i], Value: claims[i+1]}
		b.opened[e.Index] = append(b.opened[e.Index], d)
		e.Commits = append(e.Commits, ledger.Commitment{Claim: d.Claim, Digest: d.Digest()})
	}
	text, err := e.Encode()
	if err != nil {
		b.Fatalf("entry %d: %v", e.Index, err)
	}
	if e.Purpose != "" && e.Channel != "" && len(e.Consents) == 0 {
		id := ledger.ConsentID(e.Index)
		b.consents[id] = ledger.Apply(ledger.Consent{ID: id, Purpose: e.Purpose, Channel: e.Channel, Request: id}, e)
	}
	for _, id := range concerned(e) {
		b.consents[id] = ledger.Apply(b.consents[id], e)
	}
	hashes, err := tlog.StoredHashesForRecordHash(int64(e.Index), ledger.LeafHash(text), b)
	if err != nil {
		b.Fatal(err)
	}
	b.texts, b.entries, b.hashes = append(b.texts, text), append(b.entries, e), append(b.hashes, hashes...)
	return e.Index
}

// ReadHashes implements tlog.HashReader.
func (b *book) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, n := range indexes {
		hashes[i] = b.hashes[n]
	}
	return hashes, nil
}

func tokenAt(i ledger.Index) string {
	sum := sha256.Sum256(fmt.Append(nil, "token", i))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// ask opens one request, one consent for each purpose.
func (b *book) ask(purposes ...string) (ids []ledger.ConsentID) {
	b.Helper()
	lock, expires := b.next(), b.now.Add(24*time.Hour).Truncate(time.Second)
	for _, p := range purposes {
		ids = append(ids, ledger.ConsentID(b.add(&ledger.Entry{Kind: ledger.ConsentRequested, Source: "shop", Purpose: p, Channel: "email", Notice: b.notice(),
			Method: "web_form", Lock: ledger.Lock(tokenAt(lock)), Expires: expires, IPPolicy: "truncated"},
			"email", "erika@example.com", "form_snapshot", "<form>", "ip", "203.0.113.0")))
	}
	return ids
}

// change records an entry that changes consents.
func (b *book) change(e *ledger.Entry, ids []ledger.ConsentID, claims ...string) ledger.Index {
	b.Helper()
	e.Source = cmp.Or(e.Source, "shop")
	for _, id := range ids {
		e.Consents = append(e.Consents, ledger.Link{Consent: id, After: b.consents[id].Last})
	}
	return b.add(e, claims...)
}

// commitState commits the state of all consents.
func (b *book) commitState() ledger.Index {
	b.Helper()
	consents := maps.Clone(b.consents)
	each := func(from, to ledger.ConsentID, yield func(ledger.Consent)) error {
		for _, id := range slices.Sorted(maps.Keys(consents)) {
			if from <= id && id < to {
				yield(consents[id])
			}
		}
		return nil
	}
	tree, err := new(ledger.StateTree).Commit(ledger.Size(b.next()), each)
	if err != nil {
		b.Fatal(err)
	}
	i := b.add(&ledger.Entry{Kind: ledger.StateCommitted, Source: ledger.SourceLedger, StateRoot: tree.Root()})
	b.states[i] = func(id ledger.ConsentID) []byte {
		p, err := tree.Prove(id, each)
		if err != nil {
			b.Fatal(err)
		}
		return p.Text()
	}
	return i
}

// anchor says that the log as it stands was stamped; its token is none that counts.
func (b *book) anchor() ledger.Index {
	b.Helper()
	size := ledger.Size(b.next())
	note, token := b.checkpoint(size), fmt.Append(nil, "a token over ", size)
	i := b.add(&ledger.Entry{Kind: ledger.CheckpointAnchored, Source: ledger.SourceLedger, Size: size, Checkpoint: ledger.TextHash(note), Stamp: ledger.TextHash(token), Stamped: b.now})
	b.anchors[i] = [2][]byte{note, token}
	return i
}

// rotate lets the second pair of keys sign from here on.
func (b *book) rotate() {
	b.Helper()
	b.now = b.now.Add(time.Second)
	e, err := ledger.Rotate(pairs[0].signer, pairs[1].signer, 0, b.next(), ledger.LeafHash(b.texts[b.next()-1]))
	if err != nil {
		b.Fatal(err)
	}
	e.Source = "admin"
	b.rotated = append(b.rotated, b.add(e))
	b.signers = pairs[:2]
}

func (b *book) checkpoint(size ledger.Size) []byte {
	texts := make([]string, size)
	for i := range texts {
		texts[i] = string(b.texts[i])
	}
	return b.signers[len(b.signers)-1].checkpoint(texts)
}

// made is what goes into a bundle. A test changes what it likes; then all is signed.
type made struct {
	*book
	size    ledger.Size
	index   bundle.Index
	custody bundle.Custody
	files   map[string][]byte // all others by name
	signer  bundle.Signer
	token   []byte
}

// export records that a bundle about records is made that discloses these claims, and
// gives it, as an honest operator makes it, with one question about each purpose.
func (b *book) export(ids []ledger.ConsentID, disclose []string, answers ...bundle.IndexedQuestion) *made {
	b.Helper()
	exported := b.add(&ledger.Entry{Kind: ledger.BundleExported, Source: b.desk, About: ids}, "reason", "Klage", "recipient", "Landgericht München I")
	m := &made{book: b, files: map[string][]byte{}}
	if len(disclose) > 0 {
		m.custody.Disclosed = []ledger.Index{b.add(&ledger.Entry{Kind: ledger.EvidenceDisclosed, Source: b.desk, Occasion: "bundle", Shown: disclose, About: ids})}
	}
	state := b.commitState()
	m.begin(b.desk)
	m.index.About, m.index.Exported, m.index.Committed, m.custody.Exported = bundle.AboutConsents, &exported, &state, &exported
	m.custody.Reason, m.custody.Recipient = "Klage", "Landgericht München I"
	m.index.Questions = answers
	m.put(state)
	for _, id := range ids {
		c := b.consents[id]
		of := bundle.IndexedConsent{ID: id, Purpose: c.Purpose, Channel: c.Channel, Entries: b.belonging(id)}
		m.index.Consents = append(m.index.Consents, of)
		m.files[bundle.StatePath(id)] = b.states[state](id)
		for _, i := range of.Entries {
			m.put(i)
			for _, d := range b.opened[i] {
				if slices.Contains(disclose, d.Claim) || i == exported {
					m.files[bundle.DisclosurePath(i, d.Claim)] = []byte(d.Text())
					for name, content := range b.kept {
						if strings.Contains(d.Value, name) {
							m.files["evidence/files/"+name] = content
						}
					}
				}
			}
			m.show(b.entries[i].Notice)
		}
	}
	return m
}

// exportRange gives an auditor's bundle.
func (b *book) exportRange(start, end ledger.Index) *made {
	b.Helper()
	m := &made{book: b, files: map[string][]byte{}}
	m.begin("auditor")
	m.index.About, m.index.Range = bundle.AboutRange, &bundle.IndexedRange{Start: start, End: end}
	for i := start; i < end; i++ {
		if m.put(i); b.entries[i].Kind == ledger.NoticePublished {
			m.show(b.entries[i].Notice)
		}
	}
	return m
}

// begin puts into a bundle what all have.
func (m *made) begin(exporter string) {
	m.size, m.signer = ledger.Size(m.next()), m.signers[len(m.signers)-1].signer
	m.index.Format, m.index.Origin, m.index.Size = bundle.Format, origin, m.size
	m.custody.Format, m.custody.Origin, m.custody.Size = bundle.CustodyFormat, origin, m.size
	m.custody.Made, m.custody.Exporter, m.custody.Tool = m.now.Add(time.Second), exporter, "a test"
	m.files["checkpoint.note"] = m.checkpoint(m.size)
	m.files["docs/VERIFY.txt"] = []byte("by hand\n")
	var sizes []ledger.Size
	for _, e := range m.entries {
		switch e.Kind {
		case ledger.LedgerCreated, ledger.KeyRotated:
			m.files["trust/trust.keys"] = append(m.files["trust/trust.keys"], m.texts[e.Index]...)
			m.put(e.Index)
		case ledger.SourceDeclared, ledger.NoticePublished, ledger.ClaimDeclared, ledger.ProcessorEngaged, ledger.ProcessorEnded:
			m.put(e.Index)
		case ledger.PurposeDefined:
			if e.Purpose != "other" { // of which no bundle is made
				m.put(e.Index)
			}
		case ledger.CheckpointAnchored:
			m.put(e.Index)
			n := 1
			for m.files[bundle.BoundTokenPath(e.Size, n)] != nil {
				n++
			}
			m.files[bundle.BoundPath(e.Size)], m.files[bundle.BoundTokenPath(e.Size, n)] = m.anchors[e.Index][0], m.anchors[e.Index][1]
			sizes = append(sizes, e.Size)
		}
	}
	slices.Sort(sizes)
	sizes = slices.Compact(append(sizes, m.size))
	for i, to := range sizes[1:] {
		m.continues(sizes[i], to)
	}
}

// continues puts in that the log of one size is a beginning of that of another.
func (m *made) continues(from, to ledger.Size) {
	proof, err := tlog.ProveTree(int64(to), int64(from), m)
	if err != nil {
		m.Fatal(err)
	}
	var b bytes.Buffer
	for _, h := range proof {
		fmt.Fprintln(&b, h)
	}
	m.files[bundle.ConsistencyPath(from, to)] = b.Bytes()
}

// put puts an entry into a bundle with its proof.
func (m *made) put(i ledger.Index) {
	proof, err := tlog.ProveRecord(int64(m.size), int64(i), m)
	if err != nil {
		m.Fatal(err)
	}
	m.files[bundle.EntryPath(i)] = m.texts[i]
	m.files[bundle.ProofPath(i)] = (&ledger.Receipt{Index: i, Proof: proof, Checkpoint: m.files["checkpoint.note"]}).Text()
}

// show puts the documents of a notice into a bundle.
func (m *made) show(ref ledger.NoticeRef) {
	for _, e := range m.entries {
		if e.Kind != ledger.NoticePublished || e.Notice != ref {
			continue
		}
		for _, sum := range []ledger.Hash{e.Notice.SHA256, e.Facts} {
			if sum != (ledger.Hash{}) {
				m.files[bundle.NoticePath(sum)] = m.kept[hex.EncodeToString(sum[:])]
			}
		}
	}
}

// belonging gives the entries that belong to a record, by looking at all of them until
// no more are found.
func (b *book) belonging(id ledger.ConsentID) []ledger.Index {
	found := map[ledger.Index]bool{ledger.Index(id): true}
	for before := 0; before < len(found); {
		before = len(found)
		for i, e := range b.entries {
			refers := slices.ContainsFunc(e.Refers, func(to ledger.Index) bool { return found[to] })
			if ids := concerned(e); slices.Contains(ids, id) || len(ids) == 0 && refers {
				found[ledger.Index(i)], found[ledger.Index(i-max(e.Part-1, 0))] = true, true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// omit leaves an entry out, wherever the bundle has it.
func (m *made) omit(i ledger.Index) {
	for name := range m.files {
		if p, err := bundle.ParsePath(name); err == nil && p.Index() == i && (p.Kind == bundle.KindEntry || p.Kind == bundle.KindProof || p.Kind == bundle.KindDisclosure) {
			delete(m.files, name)
		}
	}
	for n := range m.index.Consents {
		c := &m.index.Consents[n]
		c.Entries = slices.DeleteFunc(c.Entries, func(at ledger.Index) bool { return at == i })
	}
}

// order is that of a container, see CONTAINER.md.
var order = []bundle.Kind{bundle.KindCheckpoint, bundle.KindCustody, bundle.KindVerify, bundle.KindHTMLDe, bundle.KindIndex, bundle.KindEntry, bundle.KindProof,
	bundle.KindDisclosure, bundle.KindFile, bundle.KindNotice, bundle.KindState, bundle.KindBound, bundle.KindConsistency, bundle.KindKeys, bundle.KindAuthority}

// written signs what there is.
func (m *made) written() []byte {
	m.Helper()
	for name, text := range map[string][]byte{"evidence/bundle.json": m.index.Text(), "custody.json": m.custody.Text()} {
		if m.files[name] == nil {
			m.files[name] = text
		}
	}
	type place struct {
		bundle.Path
		rank int
	}
	where := func(name string) place {
		p, err := bundle.ParsePath(name)
		if err != nil {
			m.Fatal(err)
		}
		kind := p.Kind
		if kind == bundle.KindBoundToken {
			kind = bundle.KindBound
		}
		return place{p, slices.Index(order, kind)}
	}
	names := slices.SortedFunc(maps.Keys(m.files), func(a, b string) int {
		x, y := where(a), where(b)
		return cmp.Or(cmp.Compare(x.rank, y.rank), cmp.Compare(x.Numbers[0], y.Numbers[0]), cmp.Compare(x.Numbers[1], y.Numbers[1]), strings.Compare(x.Text, y.Text))
	})
	var b bytes.Buffer
	w, err := bundle.NewWriter(&b)
	if err != nil {
		m.Fatal(err)
	}
	for _, name := range names {
		if m.files[name] == nil {
			continue // left out on purpose
		}
		if err := w.WriteFile(name, m.files[name]); err != nil {
			m.Fatal(err)
		}
	}
	stamp := func(ledger.Hash) ([]byte, error) { return m.token, nil }
	if err := w.Close(m.signer, stamp); err != nil {
		m.Fatal(err)
	}
	return b.Bytes()
}
