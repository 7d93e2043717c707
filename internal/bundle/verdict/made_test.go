package verdict

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/bundle"
	"github.com/consentledger/consentledger/ledger"
)

// made is what goes into a bundle. A test changes what it likes; then all is signed.
type made struct {
	*testLog
	size    ledger.Size
	index   bundle.Index
	custody bundle.Custody
	files   map[string][]byte // all others by name
	token   func(manifest ledger.Hash) ([]byte, error)
}

// export records that a bundle about records is made that discloses these claims, and
// gives it, as an honest operator makes it. The answer to each question is by purpose.
func (l *testLog) export(ids []ledger.ConsentID, disclose []string, answers map[string]bundle.IndexedQuestion) *made {
	l.Helper()
	exported := l.add(&ledger.Entry{Kind: ledger.BundleExported, Source: "counsel", About: ids}, "reason", "lawsuit", "recipient", "District Court")
	m := &made{testLog: l, files: map[string][]byte{}}
	if len(disclose) > 0 {
		slices.Sort(disclose)
		m.custody.Disclosed = []ledger.Index{l.add(&ledger.Entry{Kind: ledger.EvidenceDisclosed, Source: "counsel", Occasion: "bundle", Shown: disclose, About: ids})}
	}
	state := l.commitState()
	if l.later != nil {
		l.later()
	}
	m.begin()
	m.index.About, m.index.Exported, m.index.Committed, m.custody.Exported = bundle.AboutConsents, &exported, &state, &exported
	m.custody.Reason, m.custody.Recipient = "lawsuit", "District Court"
	at := l.entries[exported].Time.Truncate(time.Second)
	for _, id := range ids {
		c := l.consents[id]
		m.index.Consents = append(m.index.Consents, bundle.IndexedConsent{ID: id, Purpose: c.Purpose, Channel: c.Channel, Entries: l.belonging(id)})
		m.files[bundle.StatePath(id)] = l.states[state].proof(l, id)
		if q, ok := answers[c.Purpose]; ok {
			q.Purpose, q.Channel = c.Purpose, c.Channel
			if q.At.IsZero() {
				q.At = at
			}
			m.index.Questions = append(m.index.Questions, q)
			delete(answers, c.Purpose)
		}
	}
	m.put(state)
	for _, c := range m.index.Consents {
		for _, i := range c.Entries {
			m.put(i)
			for _, d := range l.opened[i] {
				if slices.Contains(disclose, d.Claim) || i == exported {
					m.files[bundle.DisclosurePath(i, d.Claim)] = []byte(d.Text())
					for name, content := range l.kept {
						if strings.Contains(d.Value, name) {
							m.files["evidence/files/"+name] = content
						}
					}
				}
			}
			m.shown(l.entries[i].Notice)
		}
	}
	return m
}

// exportRange gives an auditor's bundle.
func (l *testLog) exportRange(start, end ledger.Index) *made {
	l.Helper()
	m := &made{testLog: l, files: map[string][]byte{}}
	m.begin()
	m.index.About, m.index.Range = bundle.AboutRange, &bundle.IndexedRange{Start: start, End: end}
	m.custody.Exporter = "auditor"
	for i := start; i < end; i++ {
		m.put(i)
		if l.entries[i].Kind == ledger.NoticePublished {
			m.shown(l.entries[i].Notice)
		}
	}
	return m
}

// begin puts into a bundle what all have.
func (m *made) begin() {
	m.size = ledger.Size(m.next())
	m.index.Format, m.index.Origin, m.index.Size = bundle.Format, testOrigin, m.size
	m.custody.Format, m.custody.Origin, m.custody.Size = bundle.CustodyFormat, testOrigin, m.size
	m.custody.Made, m.custody.Exporter, m.custody.Tool = m.now.Add(time.Second).Truncate(time.Second), "counsel", "a test"
	m.files[string(bundle.KindCheckpoint)] = m.checkpoint(m.size)
	m.files[string(bundle.KindKeys)] = m.keys(m.size)
	m.files[string(bundle.KindVerify)] = []byte("by hand\n")
	before, n := ledger.Size(0), map[ledger.Size]int{}
	for _, e := range m.entries {
		switch e.Kind {
		case ledger.LedgerCreated, ledger.KeyRotated, ledger.SourceDeclared, ledger.PurposeDefined, ledger.NoticePublished, ledger.ClaimDeclared,
			ledger.ProcessorEngaged, ledger.ProcessorEnded:
			m.put(e.Index)
		case ledger.CheckpointAnchored:
			m.put(e.Index)
			n[e.Size]++
			m.files[bundle.BoundPath(e.Size)] = m.testLog.files[ledger.AnchorPath(e.Checkpoint)]
			m.files[bundle.BoundTokenPath(e.Size, n[e.Size])] = m.testLog.files[ledger.AnchorPath(e.Stamp)]
			if before > 0 && before < e.Size {
				m.files[bundle.ConsistencyPath(before, e.Size)] = m.consistency(before, e.Size)
			}
			before = e.Size
		}
	}
	if before > 0 && before < m.size {
		m.files[bundle.ConsistencyPath(before, m.size)] = m.consistency(before, m.size)
	}
}

// put puts an entry into a bundle with its proof.
func (m *made) put(i ledger.Index) {
	m.files[bundle.EntryPath(i)] = m.texts[i]
	m.files[bundle.ProofPath(i)] = m.receipt(i, m.size, m.files[string(bundle.KindCheckpoint)]).Text()
}

// shown puts the documents of a notice into a bundle.
func (m *made) shown(ref ledger.NoticeRef) {
	for _, e := range m.entries {
		if e.Kind != ledger.NoticePublished || e.Notice != ref {
			continue
		}
		for _, sum := range []ledger.Hash{e.Notice.SHA256, e.Facts} {
			if sum != (ledger.Hash{}) {
				m.files[bundle.NoticePath(sum)] = m.testLog.files[strings.TrimPrefix(bundle.NoticePath(sum), "evidence/")]
			}
		}
	}
}

// belonging gives the entries that belong to a record, by looking at all of them until
// no more are found.
func (l *testLog) belonging(id ledger.ConsentID) []ledger.Index {
	found := map[ledger.Index]bool{ledger.Index(id): true}
	for before := 0; before < len(found); {
		before = len(found)
		for i, e := range l.entries {
			refers := slices.ContainsFunc(e.Refers, func(to ledger.Index) bool { return found[to] })
			if ids := concerns(e); slices.Contains(ids, id) || len(ids) == 0 && refers && e.Kind != ledger.KeyRotated {
				found[ledger.Index(i)] = true
				if e.Part > 1 {
					found[ledger.Index(i-e.Part+1)] = true
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// omit leaves an entry out, wherever the bundle has it.
func (m *made) omit(i ledger.Index) {
	for name := range m.files {
		if p, err := bundle.ParsePath(name); err == nil && p.Index() == i &&
			slices.Contains([]bundle.Kind{bundle.KindEntry, bundle.KindProof, bundle.KindDisclosure}, p.Kind) {
			delete(m.files, name)
		}
	}
	for n := range m.index.Consents {
		c := &m.index.Consents[n]
		c.Entries = slices.DeleteFunc(c.Entries, func(at ledger.Index) bool { return at == i })
	}
}

// order is that of a container, see CONTAINER.md.
var order = []bundle.Kind{bundle.KindCheckpoint, bundle.KindCustody, bundle.KindVerify, bundle.KindIndex, bundle.KindEntry, bundle.KindProof,
	bundle.KindDisclosure, bundle.KindFile, bundle.KindNotice, bundle.KindState, bundle.KindBound, bundle.KindConsistency, bundle.KindKeys, bundle.KindAuthority}

// written signs what there is.
func (m *made) written() []byte {
	m.Helper()
	var b bytes.Buffer
	if err := m.write(&b); err != nil {
		m.Fatal(err)
	}
	return b.Bytes()
}

func (m *made) write(to io.Writer) error {
	m.Helper()
	files := map[string][]byte{string(bundle.KindIndex): m.index.Text(), string(bundle.KindCustody): m.custody.Text()}
	maps.Copy(files, m.files) // which may say otherwise
	rank := func(p bundle.Path) int {
		if p.Kind == bundle.KindBoundToken {
			p.Kind = bundle.KindBound
		}
		return slices.Index(order, p.Kind)
	}
	names := slices.SortedFunc(maps.Keys(files), func(a, b string) int {
		x, err := bundle.ParsePath(a)
		if err != nil {
			m.Fatal(err)
		}
		y, err := bundle.ParsePath(b)
		if err != nil {
			m.Fatal(err)
		}
		return cmp.Or(cmp.Compare(rank(x), rank(y)), cmp.Compare(x.Numbers[0], y.Numbers[0]), cmp.Compare(x.Numbers[1], y.Numbers[1]), strings.Compare(x.Text, y.Text))
	})
	w, err := bundle.NewWriter(to)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := w.WriteFile(name, files[name]); err != nil {
			return err
		}
	}
	return w.Close(m.signer(m.size), m.token)
}

// verified verifies the bundle under the keys of its log, believing the authority of
// these tests; the options say what else.
func (m *made) verified(options ...func(*Options)) (*Report, error) {
	m.Helper()
	opt := Options{Policy: m.policy(), Stamps: stamps}
	for _, o := range options {
		o(&opt)
	}
	b := m.written()
	rep, err := Verify(context.Background(), bytes.NewReader(b), int64(len(b)), opt)
	if rep.Verdict != ledger.VerdictOf(err).String() || (err != nil) != (rep.Reason != "") {
		m.Errorf("the report says %q, %q, the error is %v", rep.Verdict, rep.Reason, err)
	}
	if err != nil && (len(rep.Questions)+len(rep.Consents)+len(rep.Stamps)+len(rep.Irregular) > 0 || rep.Range != nil) {
		m.Errorf("a report of what is not verified answers: %+v", rep)
	}
	return rep, err
}

// against holds the bundle against a copy of a log.
func against(c copyOf) func(*Options) { return func(o *Options) { o.Verify = c.verify } }

// wants demands a verdict and words of its reason.
func wants(t testing.TB, err error, verdict ledger.Verdict, words string) {
	t.Helper()
	if got := ledger.VerdictOf(err); got != verdict || (err == nil) != (words == "") || err != nil && !strings.Contains(err.Error(), words) {
		t.Errorf("%v: %v\nwant %v: %s", got, err, verdict, words)
	}
}
