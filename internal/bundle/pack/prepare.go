package pack

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/consentledger/consentledger/internal/bundle"
	"github.com/consentledger/consentledger/internal/bundle/report"
	"github.com/consentledger/consentledger/internal/timestamp"
	"github.com/consentledger/consentledger/ledger"
)

// packing is a bundle as it is written.
type packing struct {
	*Contents
	of report.Case // with what is filled in
	w  *bundle.Writer

	stamped map[ledger.Size][]Stamped // by size, in the order of their entries
	sizes   []ledger.Size             // of the stamped checkpoints, ascending
	roots   []*x509.Certificate       // trust/tsa/1.pem …
	tokens  []report.Token            // that can be checked by hand
}

// prepare finds everything that the reports speak of and that is written later.
func (p *packing) prepare() error {
	p.Index.Format, p.Custody.Format = bundle.Format, bundle.CustodyFormat
	p.Files = slices.SortedFunc(slices.Values(p.Files), func(a, b File) int { return bytes.Compare(a.SHA256[:], b.SHA256[:]) })
	p.of.Files = nil
	for _, f := range p.Files {
		var start head
		if err := f.write(&start); err != nil {
			return err
		}
		p.of.Files = append(p.of.Files, report.File{SHA256: f.SHA256, Size: start.size, Head: start.bytes})
	}
	if err := p.anchors(); err != nil {
		return err
	}
	return p.trusted()
}

// write writes the file and demands that it has its hash, each time.
func (f File) write(w io.Writer) error {
	sum := sha256.New()
	if err := f.Write(io.MultiWriter(sum, w)); err != nil {
		return err
	}
	if ledger.Hash(sum.Sum(nil)) != f.SHA256 {
		return fmt.Errorf("the bytes of a file are not those of the SHA-256 %x", f.SHA256)
	}
	return nil
}

// head keeps the beginning of what is written to it.
type head struct {
	bytes []byte
	size  int64
}

func (h *head) Write(b []byte) (int, error) {
	h.size += int64(len(b))
	h.bytes = append(h.bytes, b[:min(len(b), report.FileHead-len(h.bytes))]...)
	return len(b), nil
}

// anchors orders the stamped checkpoints and finds the certificates of their tokens.
func (p *packing) anchors() error {
	p.stamped = map[ledger.Size][]Stamped{}
	for _, s := range p.Stamped {
		list := append(p.stamped[s.Size], s)
		if !bytes.Equal(list[0].Note, s.Note) {
			return fmt.Errorf("two checkpoints of %d entries were stamped that differ", s.Size)
		}
		p.stamped[s.Size] = list
	}
	p.sizes = slices.Sorted(maps.Keys(p.stamped))
	for _, size := range p.sizes {
		for i, s := range p.stamped[size] {
			token, err := timestamp.ParseToken(s.Token)
			if err != nil {
				continue // nobody can check it by hand; whoever verifies the bundle says why
			}
			root := token.Root()
			if root == nil {
				continue
			}
			n := slices.IndexFunc(p.roots, root.Equal)
			if n < 0 {
				n, p.roots = len(p.roots), append(p.roots, root)
			}
			p.tokens = append(p.tokens, report.Token{Checkpoint: bundle.BoundPath(size), Token: bundle.BoundTokenPath(size, i+1),
				Authority: bundle.AuthorityPath(n + 1), At: token.Time()})
		}
	}
	return nil
}

// trusted says on whose word times and history rest.
func (p *packing) trusted() error {
	note, err := ledger.ParseSignedNote(p.Checkpoint)
	if err != nil {
		return err
	}
	words := map[string]bool{}
	for _, e := range p.of.Entries {
		for _, a := range []*ledger.Anchored{e.Interval.NotInLogAt, e.Interval.InLogAt} {
			if a != nil {
				words[a.Word()] = true
			}
		}
	}
	if n := len(note.Lines) - 2; n > 0 { // beside the log's own two
		words[fmt.Sprintf("WITNESSED %d", n)] = true
	}
	if len(words) == 0 {
		words["UNANCHORED"] = true
	}
	p.of.Trust = slices.Sorted(maps.Keys(words))
	return nil
}

// certificate gives a certificate in PEM.
func certificate(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}
