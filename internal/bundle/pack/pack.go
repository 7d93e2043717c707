// Package pack writes a whole proof bundle: from what somebody took out of a ledger to
// the container with its reports, instructions, manifest and signatures. Start with
// [Contents] and [Write]. A bundle about records and an auditor's bundle are written
// alike; where everything stands, and under which name, is said here alone.
//
// Equal contents give equal bytes, but for the signatures and the time stamp over the
// manifest. Files are streamed; reports are made in memory, one after the other.
package pack

import (
	"fmt"
	"io"

	"github.com/consentledger/consentledger/internal/bundle"
	"github.com/consentledger/consentledger/internal/bundle/report"
	"github.com/consentledger/consentledger/ledger"
)

// Contents is what goes into a bundle.
type Contents struct {
	Checkpoint []byte // checkpoint.note
	Index      bundle.Index
	Custody    bundle.Custody
	// Case has the entries with what is disclosed of them and the notices: the same
	// bytes become files and reports. Its Files and its Trust are filled in here.
	Case    report.Case
	Files   []File
	States  []State
	Stamped []Stamped // by Entry
	Keys    []byte    // trust.keys
	// Proof gives the proof of an entry in the tree of Checkpoint.
	Proof func(ledger.Index) (*ledger.Receipt, error)
	// Consistency proves that the log of one size is the beginning of that of another.
	Consistency func(from, to ledger.Size) ([]ledger.Hash, error)
	Signer      bundle.Signer // of the keys in force at the size of Checkpoint
	// Stamp, if set, is asked for a time-stamp token over the manifest, given its
	// SHA-256. Without one the bundle has none.
	Stamp func(manifest ledger.Hash) (token []byte, err error)
}

// File is the bytes that a disclosed value names. Write is called three times.
type File struct {
	SHA256 ledger.Hash
	Write  func(io.Writer) error
}

// State is the state proof of a record.
type State struct {
	ID    ledger.ConsentID
	Proof []byte
}

// Stamped is a time stamp over a checkpoint of the log.
type Stamped struct {
	Entry       ledger.Index // its checkpoint.anchored
	Size        ledger.Size
	Note, Token []byte
}

// Write writes the container. What it wrote before an error is none.
func Write(w io.Writer, c *Contents) error {
	p := &packing{Contents: c, of: c.Case}
	if err := p.prepare(); err != nil {
		return fmt.Errorf("making a bundle: %w", err)
	}
	var err error
	if p.w, err = bundle.NewWriter(w); err != nil {
		return err
	}
	for _, step := range []func() error{p.head, p.documents, p.entries, p.disclosed, p.states, p.bounds, p.trust} {
		if err := step(); err != nil {
			return fmt.Errorf("making a bundle: %w", err)
		}
	}
	return p.w.Close(c.Signer, c.Stamp)
}
