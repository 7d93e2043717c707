package service

import (
	"context"
	"io"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// BundleRequest asks for what proves consents of one person to somebody who does not
// trust the ledger.
type BundleRequest struct {
	// Subject or ConsentIDs says whose: one person's records, or just these records.
	Subject    Subject
	ConsentIDs []ledger.ConsentID
	// Purposes chooses among the records of Subject; none for all.
	Purposes []string
	// Disclose names the claims whose values are shown, at most 32, each once. All
	// others stay commitments.
	Disclose []string
	// Recipient and Reason say for whom and why, at most [ledger.MaxClaimValue] bytes
	// each. The bundle discloses both.
	Recipient, Reason string
	// At is the moment asked about; the zero time is that of the export.
	At             time.Time
	IdempotencyKey string `json:"-"`
}

// Bundle is what goes into a proof bundle, as of one published log. Close it.
type Bundle struct {
	Origin, Controller, Exporter, Recipient, Reason string

	Made      time.Time
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
	Keys      []byte        // the content of trust.keys

	// Titles by id; of a purpose the newest version's.
	PurposeTitles, ProcessorTitles map[string]string
	Company                        string // name and address of the controller as its notices give them
}

// BundleConsent is a record that a bundle is about.
type BundleConsent struct {
	ledger.Consent
	Entries []ledger.Index // as bundle.IndexedConsent has them
	State   []byte         // the text of its state proof; hides Consent.State
}

// BundleQuestion is a question and its answer of the records of the bundle alone.
type BundleQuestion struct {
	Purpose, Channel string
	At               time.Time
	Allowed          bool
	Reason           string
	Consent          ledger.ConsentID
	Hindsight        bool
}

// BundleEntry is an entry with what is disclosed of it.
type BundleEntry struct {
	Index     ledger.Index
	Text      []byte
	Disclosed []HeldClaim // in the order of the commit lines
	Irregular []string    // its irregularities, as in consent.used.withdrawn
	Interval  ledger.Interval
}

// BundleNotice is a notice with its text.
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

// ExportBundle gathers what proves consents to somebody who does not trust the
// ledger. It is for the legal role.
func (s *Service) ExportBundle(ctx context.Context, src Source, r BundleRequest) (*Bundle, error) {
	return nil, refusal.Unavailable("not made yet")
}

// Close says that the bundle is no longer used.
func (b *Bundle) Close() {}

// Receipt proves that an entry is in the tree of Checkpoint.
func (b *Bundle) Receipt(i ledger.Index) (*ledger.Receipt, error) {
	return nil, refusal.Unavailable("not made yet")
}

// Consistency proves that the log of size from is a beginning of that of size to.
func (b *Bundle) Consistency(from, to ledger.Size) ([]ledger.Hash, error) {
	return nil, refusal.Unavailable("not made yet")
}

// WriteFile writes the bytes of a file that a disclosed value names and that is kept.
func (b *Bundle) WriteFile(f *HeldFile, w io.Writer) error {
	return refusal.Unavailable("not made yet")
}

// Signer holds the pair of keys in force at Size, which signs the manifest.
func (b *Bundle) Signer() *ledger.Signer { return nil }

// UseCosigned says where the newest checkpoint is found that satisfies the policy for
// witnesses, nil and 0 for none. It is called before anybody else uses the ledger, and
// only if there is such a policy.
func (s *Service) UseCosigned(newest func() ([]byte, ledger.Size)) {}
