package service

import (
	"fmt"
	"io"
	"time"

	"github.com/consentledger/consentledger/internal/bundle"
	"github.com/consentledger/consentledger/internal/decision"
	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// Bundle is what goes into a proof bundle, as of one published log: everything that it
// has is proven in the tree of Checkpoint.
//
// It holds no bytes of attachments and mails: [Bundle.WriteFile] reads them from the
// vault one after the other.
type Bundle struct {
	Origin, Controller, Exporter, Recipient, Reason string

	Made      time.Time      // UTC, whole seconds
	Exported  ledger.Index   // the first part of the bundle.exported
	Disclosed []ledger.Index // the evidence.disclosed, all parts; none if no claim is shown
	Committed ledger.Index   // the state.committed of the state proofs

	Checkpoint []byte // of Size; with the witnesses' cosignatures if Cosigned
	Size       ledger.Size
	Root       ledger.Hash
	Cosigned   bool // the policy for witnesses is satisfied

	Consents  []BundleConsent // ascending
	Questions []BundleQuestion
	Entries   []BundleEntry // each once, ascending
	Notices   []BundleNotice
	Stamped   []BundleStamp // by Entry
	Keys      []byte        // trust.keys, as of Size

	// Titles by id; of a purpose the newest version's.
	PurposeTitles, ProcessorTitles map[string]string
	// Company is the controller's name and address as the newest notice of the bundle
	// gives them that does.
	Company string

	s      *Service
	signer *store.BundleSigner
	held   []ledger.ConsentID // the records that were not erased
}

// BundleConsent is a record that a bundle is about.
type BundleConsent struct {
	ledger.Consent
	// Entries are those that opened the record, changed or mention it, those that refer
	// to one of these and name nobody, and the first parts of lists; ascending.
	Entries []ledger.Index
	State   []byte // the text of its state proof; hides Consent.State
}

// BundleQuestion is a question and what the records of the bundle alone answer.
type BundleQuestion struct {
	decision.Question // At is in UTC
	decision.Answer
}

// BundleEntry is an entry with what is disclosed of it.
type BundleEntry struct {
	Index     ledger.Index
	Text      []byte
	Disclosed []HeldClaim // in the order of the commit lines
	Irregular []string    // its irregularities, as in consent.used.withdrawn
	Interval  ledger.Interval
}

// BundleNotice is a notice that was shown.
type BundleNotice struct {
	ledger.NoticeRef
	Language    string
	Text, Facts []byte // Facts is nil where there are none
}

// BundleStamp is a time stamp over a checkpoint of the log.
type BundleStamp struct {
	Entry       ledger.Index // its checkpoint.anchored
	Size        ledger.Size
	Note, Token []byte
}

// Receipt proves that an entry is in the tree of Checkpoint.
func (b *Bundle) Receipt(i ledger.Index) (*ledger.Receipt, error) {
	r, _, err := b.s.log.ReceiptWith(i, b.Size, b.Checkpoint)
	return r, err
}

// Consistency proves that the log of size from is a beginning of that of size to.
func (b *Bundle) Consistency(from, to ledger.Size) ([]ledger.Hash, error) {
	return b.s.log.ConsistencyProof(from, to)
}

// WriteFile writes the bytes of a file that a disclosed value names and that is kept,
// as [Dossier.WriteFile] does.
func (b *Bundle) WriteFile(f *HeldFile, w io.Writer) error { return b.s.writeFile(f, w, b.held) }

// Signer gives what signs the bundle's manifest: the pair of keys in force at Size. It
// is refused once one of the records is erased.
func (b *Bundle) Signer() (*store.BundleSigner, error) {
	if err := b.s.stillHeld(b.held); err != nil {
		return nil, err
	}
	return b.signer, nil
}

// fits refuses a bundle that no container holds. What it will have besides is
// estimated: its own entries, and reports.
func (b *Bundle) fits() error {
	const others = 96 // files that every bundle has, and what its own entries add
	checkpoint := b.Checkpoint
	if b.s.cosigned != nil {
		if signed, _ := b.s.cosigned(); len(signed) > len(checkpoint) {
			checkpoint = signed
		}
	}
	proof, read := len(checkpoint)+4<<10, 0 // read counts the bytes that there are to read
	files := others + 2*len(b.Entries) + len(b.Consents)
	bytes := (others+len(b.Entries))*proof + len(b.Consents)*ledger.MaxStateProofSize
	kept := map[string]bool{}
	for _, e := range b.Entries {
		read += len(e.Text)
		for _, c := range e.Disclosed {
			files++
			read += len(c.Text())
			if f := c.File; f != nil && f.Kept && !kept[f.SHA256] {
				kept[f.SHA256] = true
				files++
				bytes += int(f.Size)
			}
		}
	}
	for _, n := range b.Notices {
		files += 2
		read += len(n.Text) + len(n.Facts)
	}
	for _, s := range b.Stamped { // with its own note and consistency proof each
		files += 3
		bytes += len(s.Note) + len(s.Token) + 4<<10
	}
	const reports, times, fonts = 4, 6, 1 << 20 // each has six times as many
	bytes += read + reports*(times*read+fonts)
	for _, l := range []struct {
		what       string
		have, most int
	}{{"files", files, bundle.MaxFiles}, {"bytes", bytes, bundle.MaxUnpacked}} {
		if l.have > l.most {
			return tooLarge(l.what, l.most)
		}
	}
	return nil
}

// tooLarge refuses what no container holds.
func tooLarge(what string, most int) error {
	return &refusal.Error{Code: refusal.ResourceExhausted,
		Reason: fmt.Sprintf("the bundle would have more than %d %s; ask for fewer records by purposes or consent_ids, or disclose fewer claims", most, what)}
}
