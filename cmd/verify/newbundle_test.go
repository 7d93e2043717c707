package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/consentledger/consentledger/internal/bundle"
	"github.com/consentledger/consentledger/internal/bundle/pack"
	"github.com/consentledger/consentledger/internal/bundle/report"
	"github.com/consentledger/consentledger/ledger"
)

// bundleLog is a log of which bundles are exported.
type bundleLog struct {
	*testLog
	disclosures map[ledger.Index][]ledger.Disclosure // what could be disclosed
	state       pack.State                           // of a record, as of the newest state.committed
	committed   ledger.Index
}

// newBundleLog begins a log at a time, with somebody who may export.
func newBundleLog(t testing.TB, at time.Time) *bundleLog {
	l := &bundleLog{testLog: newTestLogAt(t, at), disclosures: map[ledger.Index][]ledger.Disclosure{}}
	l.step = time.Millisecond // an entry must not be later than the stamps over it
	l.add(&ledger.Entry{Kind: ledger.SourceDeclared, Name: "legal", Role: "legal"})
	return l
}

// commit adds an entry that commits to these claims and values.
func (l *bundleLog) commit(e *ledger.Entry, claims ...string) ledger.Index {
	var list []ledger.Disclosure
	for i := 0; i < len(claims); i += 2 {
		d := ledger.Disclosure{Salt: sha256.Sum256([]byte{byte(len(l.texts)), byte(i)}), Claim: claims[i], Value: claims[i+1]}
		list, e.Commits = append(list, d), append(e.Commits, ledger.Commitment{Claim: d.Claim, Digest: d.Digest()})
	}
	at := l.add(e)
	l.disclosures[at] = list
	return at
}

// subscribe opens a consent and confirms it.
func (l *bundleLog) subscribe() ledger.ConsentID {
	id, token := l.ask()
	l.change(&ledger.Entry{Kind: ledger.ConsentConfirmed, Token: token}, id)
	return id
}

// ask opens a consent of somebody known by address and name.
func (l *bundleLog) ask() (ledger.ConsentID, string) {
	l.people++
	raw := sha256.Sum256([]byte{'t', byte(l.people)})
	token := base64.RawURLEncoding.EncodeToString(raw[:])
	id := ledger.ConsentID(l.commit(&ledger.Entry{Kind: ledger.ConsentRequested, Source: "shop", Purpose: "newsletter", Channel: "email",
		Notice: l.notice(), Method: "web_form", Lock: ledger.Lock(token), Expires: l.now.Add(24 * time.Hour), IPPolicy: "none"},
		"email", "erika.mustermann@example.com", "name", "Erika Mustermann"))
	l.add(&ledger.Entry{Kind: ledger.ConfirmationSent, Source: "shop", About: []ledger.ConsentID{id}})
	return id, token
}

// commitState commits the state of all consents, and proves that of one.
func (l *bundleLog) commitState(id ledger.ConsentID) {
	l.t.Helper()
	tree, err := new(ledger.StateTree).Commit(ledger.Size(len(l.texts)), l.replay.Consents)
	if err != nil {
		l.t.Fatal(err)
	}
	proof, err := tree.Prove(id, l.replay.Consents)
	if err != nil {
		l.t.Fatal(err)
	}
	l.state = pack.State{ID: id, Proof: proof.Text()}
	l.committed = l.add(&ledger.Entry{Kind: ledger.StateCommitted, StateRoot: tree.Root()})
}

// bundleOf records that a bundle about a record is made which discloses the claims,
// commits the state, and gives the bundle. The one question is answered with why.
func (l *bundleLog) bundleOf(id ledger.ConsentID, why string, disclose ...string) *pack.Contents {
	l.t.Helper()
	ids := []ledger.ConsentID{id}
	l.now = l.now.Add(2 * time.Second) // whole seconds are asked about
	exported := l.commit(&ledger.Entry{Kind: ledger.BundleExported, Source: "legal", About: ids}, "reason", "a complaint", "recipient", "District Court")
	c := l.contents()
	if len(disclose) > 0 {
		c.Custody.Disclosed = []ledger.Index{l.add(&ledger.Entry{Kind: ledger.EvidenceDisclosed, Source: "legal", Occasion: "bundle", Shown: disclose, About: ids})}
	}
	l.commitState(id)
	made := l.now.Truncate(time.Second).Add(time.Second)
	c.Custody.Made, c.Custody.Exporter, c.Custody.Exported = made, "legal", &exported
	c.Custody.Reason, c.Custody.Recipient = "a complaint", "District Court"
	c.Index.About, c.Index.Exported, c.Index.Committed = bundle.AboutConsents, &exported, &l.committed
	at := l.entry(exported).Time.Truncate(time.Second)
	c.Index.Questions = []bundle.IndexedQuestion{{Purpose: "newsletter", Channel: "email", At: at, Allowed: why == "confirmed", Reason: why, Hindsight: why == "confirmed"}}
	c.Case.Questions = []report.Question{{Purpose: "newsletter", Channel: "email", At: at, Reason: why}}
	if why != "unknown_subject" {
		c.Index.Questions[0].Consent, c.Case.Questions[0].Consent = &id, id
	}
	c.Case.Custody = report.Custody{Made: made, Exporter: "legal", Recipient: "District Court", Reason: "a complaint", Export: exported}
	c.States = []pack.State{l.state}
	of := bundle.IndexedConsent{ID: id, Purpose: "newsletter", Channel: "email"}
	for i := range ledger.Index(len(l.texts)) {
		if l.belongs(i, id) {
			of.Entries = append(of.Entries, i)
		}
	}
	c.Index.Consents, c.Case.Consents = []bundle.IndexedConsent{of}, []report.Consent{{ID: id, Proven: l.committed}}
	l.choose(c, func(e *ledger.Entry) bool { return l.belongs(e.Index, id) || e.Index == l.committed }, disclose)
	return c
}

// bundleOfRange gives an auditor's bundle of the entries start ≤ index < end.
func (l *bundleLog) bundleOfRange(start, end ledger.Index) *pack.Contents {
	c := l.contents()
	c.Custody.Made, c.Custody.Exporter = l.now.Truncate(time.Second).Add(time.Second), "auditor"
	c.Index.About, c.Index.Range = bundle.AboutRange, &bundle.IndexedRange{Start: start, End: end}
	c.Case.Range, c.Case.Custody = &report.Range{Start: start, End: end}, report.Custody{Made: c.Custody.Made, Exporter: "auditor"}
	l.choose(c, func(e *ledger.Entry) bool { return start <= e.Index && e.Index < end }, nil)
	return c
}

func (l *bundleLog) entry(i ledger.Index) *ledger.Entry {
	e, err := ledger.ParseEntry(l.texts[i])
	if err != nil {
		l.t.Fatal(err)
	}
	return e
}

// belongs reports whether an entry opened, changed or mentions a record, or says that
// its evidence was destroyed.
func (l *bundleLog) belongs(i ledger.Index, id ledger.ConsentID) bool {
	e := l.entry(i)
	_, changes := e.Follows(id)
	return ledger.Index(id) == i || changes || slices.Contains(e.About, id) ||
		e.Kind == ledger.EvidenceShredded && slices.ContainsFunc(e.Refers, func(to ledger.Index) bool { return l.belongs(to, id) })
}

// contents begins a bundle.
func (l *bundleLog) contents() *pack.Contents {
	c := &pack.Contents{Index: bundle.Index{Origin: testOrigin}, Custody: bundle.Custody{Origin: testOrigin, Tool: "a test"}, Signer: l.signer}
	c.Case.Origin, c.Case.Controller = testOrigin, "shop.example"
	return c
}

// choose puts the entries into the bundle that are wanted, and those that the others
// need, as of the log as it stands.
func (l *bundleLog) choose(c *pack.Contents, wanted func(*ledger.Entry) bool, disclose []string) {
	size := len(l.texts)
	c.Index.Size, c.Custody.Size, c.Checkpoint, c.Keys = ledger.Size(size), ledger.Size(size), l.checkpoint(size), l.keys(size)
	c.Case.Size = ledger.Size(size)
	c.Case.Root, _ = tlog.TreeHash(int64(size), l)
	c.Proof = func(i ledger.Index) (*ledger.Receipt, error) {
		proof, err := tlog.ProveRecord(int64(size), int64(i), l)
		return &ledger.Receipt{Index: i, Proof: proof, Checkpoint: c.Checkpoint}, err
	}
	c.Consistency = func(from, to ledger.Size) ([]ledger.Hash, error) {
		return tlog.ProveTree(int64(to), int64(from), l)
	}
	for i := range ledger.Index(size) {
		e := l.entry(i)
		switch e.Kind {
		case ledger.LedgerCreated, ledger.KeyRotated, ledger.SourceDeclared, ledger.PurposeDefined, ledger.NoticePublished, ledger.CheckpointAnchored:
		default:
			if !wanted(e) {
				continue
			}
		}
		in := report.Entry{Text: l.texts[i]}
		for _, d := range l.disclosures[i] {
			if slices.Contains(disclose, d.Claim) || c.Index.Exported != nil && i == *c.Index.Exported {
				in.Disclosed = append(in.Disclosed, d)
			}
		}
		c.Case.Entries = append(c.Case.Entries, in)
		if e.Kind == ledger.CheckpointAnchored {
			c.Stamped = append(c.Stamped, pack.Stamped{Entry: i, Size: e.Size, Note: l.anchors[ledger.AnchorPath(e.Checkpoint)], Token: l.anchors[ledger.AnchorPath(e.Stamp)]})
		}
	}
	c.Case.Notices = []report.Notice{{NoticeRef: l.notice(), Language: "en", Text: []byte("May we send you our newsletter?\n")}}
}

// packed gives the container.
func (l *bundleLog) packed(c *pack.Contents) []byte {
	l.t.Helper()
	var b bytes.Buffer
	if err := pack.Write(&b, c); err != nil {
		l.t.Fatal(err)
	}
	return b.Bytes()
}
