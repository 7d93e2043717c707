package service

import (
	"bytes"
	"encoding/hex"
	"io"
	"slices"
	"testing"

	"github.com/consentledger/consentledger/internal/bundle"
	"github.com/consentledger/consentledger/internal/bundle/pack"
	"github.com/consentledger/consentledger/internal/bundle/report"
	"github.com/consentledger/consentledger/internal/bundle/verdict"
	"github.com/consentledger/consentledger/ledger"
)

// exported asks for a bundle, and has it verified.
func (f *fixture) exported(r BundleRequest) *Bundle {
	f.t.Helper()
	if r.Reason == "" {
		r.Reason = "12 O 34/26"
	}
	if r.Recipient == "" {
		r.Recipient = "Landgericht Bonn"
	}
	b, err := f.s.ExportBundle(ctx, legal, r)
	if err != nil {
		f.t.Fatal(err)
	}
	f.proves(b)
	return b
}

// proves has a bundle verified as whoever gets it does.
func (f *fixture) proves(b *Bundle) *verdict.Report {
	f.t.Helper()
	c, err := packed(b)
	var file bytes.Buffer
	if err == nil {
		err = pack.Write(&file, c)
	}
	if err != nil {
		f.t.Fatal(err)
	}
	keys, err := ledger.ParseKeyRing(b.Keys)
	if err != nil {
		f.t.Fatal(err)
	}
	policy, err := ledger.ParsePolicy(ledger.NewPolicy(keys.Entries()[0].Keys))
	if err != nil {
		f.t.Fatal(err)
	}
	rep, err := verdict.Verify(ctx, bytes.NewReader(file.Bytes()), int64(file.Len()), verdict.Options{Policy: policy})
	if err != nil {
		f.t.Errorf("the bundle is %s: %v", rep.Verdict, err)
	}
	return rep
}

// packed gives what a bundle is written from.
func packed(b *Bundle) (*pack.Contents, error) {
	signer, err := b.Signer()
	if err != nil {
		return nil, err
	}
	c := &pack.Contents{Checkpoint: b.Checkpoint, Keys: b.Keys, Proof: b.Receipt, Consistency: b.Consistency, Signer: signer,
		Index:   bundle.Index{About: bundle.AboutConsents, Origin: b.Origin, Size: b.Size, Exported: &b.Exported, Committed: &b.Committed},
		Custody: bundle.Custody{Origin: b.Origin, Made: b.Made, Exporter: b.Exporter, Recipient: b.Recipient, Reason: b.Reason, Tool: "test", Exported: &b.Exported, Disclosed: b.Disclosed, Size: b.Size},
		Case:    report.Case{Origin: b.Origin, Controller: b.Controller, Size: b.Size, Root: b.Root, Custody: report.Custody{Made: b.Made, Export: b.Exported}}}
	for _, r := range b.Consents {
		c.Index.Consents = append(c.Index.Consents, bundle.IndexedConsent{ID: r.ID, Purpose: r.Purpose, Channel: r.Channel, Entries: r.Entries})
		c.Case.Consents = append(c.Case.Consents, report.Consent{ID: r.ID, Proven: b.Committed})
		c.States = append(c.States, pack.State{ID: r.ID, Proof: r.State})
	}
	for _, q := range b.Questions {
		asked := bundle.IndexedQuestion{Purpose: q.Purpose, Channel: q.Channel, At: q.At, Allowed: q.Allowed, Reason: q.Reason, Hindsight: q.Hindsight}
		if q.Consent != 0 {
			asked.Consent = &q.Consent
		}
		c.Index.Questions = append(c.Index.Questions, asked)
		c.Case.Questions = append(c.Case.Questions, report.Question{Purpose: q.Purpose, Channel: q.Channel, At: q.At, Reason: q.Reason, Consent: q.Consent})
	}
	for _, s := range b.Stamped {
		c.Stamped = append(c.Stamped, pack.Stamped{Entry: s.Entry, Size: s.Size, Note: s.Note, Token: s.Token})
	}
	for _, n := range b.Notices {
		c.Case.Notices = append(c.Case.Notices, report.Notice{NoticeRef: n.NoticeRef, Language: n.Language, Text: n.Text, Facts: n.Facts})
	}
	for _, e := range b.Entries {
		entry := report.Entry{Text: e.Text, Interval: e.Interval, Irregular: e.Irregular}
		for _, d := range e.Disclosed {
			entry.Disclosed = append(entry.Disclosed, d.Disclosure)
			if d.File == nil || !d.File.Kept {
				continue
			}
			sum, err := hex.DecodeString(d.File.SHA256)
			if err != nil {
				return nil, err
			}
			if !slices.ContainsFunc(c.Files, func(f pack.File) bool { return bytes.Equal(f.SHA256[:], sum) }) {
				c.Files = append(c.Files, pack.File{SHA256: ledger.Hash(sum), Write: func(w io.Writer) error { return b.WriteFile(d.File, w) }})
			}
		}
		c.Case.Entries = append(c.Case.Entries, entry)
	}
	return c, nil
}

// has lists the records of a bundle.
func (b *Bundle) has() (ids []ledger.ConsentID) {
	for _, c := range b.Consents {
		ids = append(ids, c.ID)
	}
	return ids
}

func TestBundle(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const a = "a@example.com"
	all := ids(f.confirmed(a, newsletter, offers).Consents)
	before := f.size()
	b := f.exported(BundleRequest{Subject: email(a)})
	f.wrote(before, "source.declared bundle.exported state.committed")
	if !slices.Equal(b.has(), all) {
		t.Errorf("it is about %v", b.has())
	}
}
