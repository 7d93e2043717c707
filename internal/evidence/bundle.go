package evidence

import (
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/consentledger/consentledger/internal/bundle"
	"github.com/consentledger/consentledger/internal/bundle/pack"
	reports "github.com/consentledger/consentledger/internal/bundle/report"
	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/ledger"
)

// BundleOptions say how a proof bundle is made.
type BundleOptions struct {
	// Zone is the controller's time zone, in which the reports give every time beside
	// UTC; nil is UTC.
	Zone *time.Location
	Tool string // name and version of what makes it
	// Stamp, if set, is asked for a time-stamp token over the bundle's manifest, given
	// its SHA-256; without one the bundle has none.
	Stamp func(manifest ledger.Hash) (token []byte, err error)
}

// WriteBundle writes a proof bundle: the container that package bundle specifies, with
// reports in all languages. Equal bundles give equal bytes but for the signatures and
// the time stamp over the manifest. It makes reports in memory, one after the other,
// and holds no file. What it wrote before an error is no bundle: a record was erased
// meanwhile, or the vault is damaged.
func WriteBundle(w io.Writer, b *service.Bundle, opt BundleOptions) error {
	signer, err := b.Signer()
	if err != nil {
		return err
	}
	c := &pack.Contents{
		Checkpoint: b.Checkpoint,
		Index: bundle.Index{About: bundle.AboutConsents, Origin: b.Origin, Size: b.Size,
			Exported: &b.Exported, Committed: &b.Committed},
		Custody: bundle.Custody{Origin: b.Origin, Made: b.Made, Exporter: b.Exporter, Recipient: b.Recipient, Reason: b.Reason,
			Tool: opt.Tool, Exported: &b.Exported, Disclosed: b.Disclosed, Size: b.Size},
		Case: reports.Case{Origin: b.Origin, Controller: b.Controller, Company: b.Company, Size: b.Size, Root: b.Root, Zone: opt.Zone,
			Custody:  reports.Custody{Made: b.Made, Exporter: b.Exporter, Recipient: b.Recipient, Reason: b.Reason, Tool: opt.Tool, Export: b.Exported},
			Purposes: b.PurposeTitles, Processors: b.ProcessorTitles},
		Keys: b.Keys, Proof: b.Receipt, Consistency: b.Consistency, Signer: signer,
		Stamp: func(manifest ledger.Hash) (token []byte, err error) {
			if opt.Stamp != nil {
				if token, err = opt.Stamp(manifest); err != nil {
					return nil, err
				}
			}
			_, err = b.Signer() // everything was written: nobody was erased until now
			return token, err
		},
	}
	for _, r := range b.Consents {
		c.Index.Consents = append(c.Index.Consents, bundle.IndexedConsent{ID: r.ID, Purpose: r.Purpose, Channel: r.Channel, Entries: r.Entries})
		c.Case.Consents = append(c.Case.Consents, reports.Consent{ID: r.ID, Proven: b.Committed})
		c.States = append(c.States, pack.State{ID: r.ID, Proof: r.State})
	}
	for _, q := range b.Questions {
		asked := bundle.IndexedQuestion{Purpose: q.Purpose, Channel: q.Channel, At: q.At, Allowed: q.Allowed, Reason: q.Reason, Hindsight: q.Hindsight}
		if q.Consent != 0 {
			asked.Consent = &q.Consent
		}
		c.Index.Questions = append(c.Index.Questions, asked)
		c.Case.Questions = append(c.Case.Questions, reports.Question{Purpose: q.Purpose, Channel: q.Channel, At: q.At, Reason: q.Reason,
			Consent: q.Consent, Hindsight: &q.Hindsight})
	}
	for _, s := range b.Stamped {
		c.Stamped = append(c.Stamped, pack.Stamped{Entry: s.Entry, Size: s.Size, Note: s.Note, Token: s.Token})
	}
	for _, n := range b.Notices {
		c.Case.Notices = append(c.Case.Notices, reports.Notice{NoticeRef: n.NoticeRef, Language: n.Language, Text: n.Text, Facts: n.Facts})
	}
	if err := addEntries(c, b); err != nil {
		return err
	}
	return pack.Write(w, c)
}

// addEntries adds the entries with what is disclosed of them, and the files that
// disclosed values name and that are kept, each once.
func addEntries(c *pack.Contents, b *service.Bundle) error {
	for _, e := range b.Entries {
		entry := reports.Entry{Text: e.Text, Interval: e.Interval, Irregular: e.Irregular}
		for _, claim := range e.Disclosed {
			entry.Disclosed = append(entry.Disclosed, claim.Disclosure)
			f := claim.File
			if f == nil || !f.Kept {
				continue
			}
			digest, err := hex.DecodeString(f.SHA256)
			if err != nil || len(digest) != len(ledger.Hash{}) {
				return fmt.Errorf("the hash of a file of entry %d is none", e.Index)
			}
			sum := ledger.Hash(digest)
			if !slices.ContainsFunc(c.Files, func(g pack.File) bool { return g.SHA256 == sum }) {
				c.Files = append(c.Files, pack.File{SHA256: sum, Write: func(w io.Writer) error { return b.WriteFile(f, w) }})
			}
		}
		c.Case.Entries = append(c.Case.Entries, entry)
	}
	return nil
}
