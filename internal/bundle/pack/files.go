package pack

import (
	"bytes"
	"cmp"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/consentledger/consentledger/internal/bundle"
	"github.com/consentledger/consentledger/internal/bundle/report"
	"github.com/consentledger/consentledger/ledger"
)

// The files of a container, in its order.

func (p *packing) head() error {
	if err := p.w.WriteFile(string(bundle.KindCheckpoint), p.Checkpoint); err != nil {
		return err
	}
	return p.w.WriteFile(string(bundle.KindCustody), p.Custody.Text())
}

func (p *packing) documents() error {
	for _, d := range []struct {
		kind bundle.Kind
		make func(io.Writer) error
	}{
		{bundle.KindVerify, func(w io.Writer) error { return report.Instructions(w, &p.of, p.tokens) }},
		{bundle.KindHTMLDe, func(w io.Writer) error { return report.HTML(w, &p.of, report.German) }},
		{bundle.KindPDFDe, func(w io.Writer) error { return report.PDF(w, &p.of, report.German) }},
		{bundle.KindHTMLEn, func(w io.Writer) error { return report.HTML(w, &p.of, report.English) }},
		{bundle.KindPDFEn, func(w io.Writer) error { return report.PDF(w, &p.of, report.English) }},
	} {
		var b bytes.Buffer
		if err := d.make(&b); err != nil {
			return err
		}
		if err := p.w.WriteFile(string(d.kind), b.Bytes()); err != nil {
			return err
		}
	}
	return p.w.WriteFile(string(bundle.KindIndex), p.Index.Text())
}

func (p *packing) entries() error {
	indexes := make([]ledger.Index, len(p.of.Entries))
	for n, e := range p.of.Entries {
		parsed, err := ledger.ParseEntry(e.Text)
		if err != nil {
			return err
		}
		indexes[n] = parsed.Index
		if err := p.w.WriteFile(bundle.EntryPath(parsed.Index), e.Text); err != nil {
			return err
		}
	}
	for _, i := range indexes {
		r, err := p.Proof(i)
		if err != nil {
			return err
		}
		if err := p.w.WriteFile(bundle.ProofPath(i), r.Text()); err != nil {
			return err
		}
	}
	for n, i := range indexes {
		list := slices.SortedFunc(slices.Values(p.of.Entries[n].Disclosed), func(a, b ledger.Disclosure) int { return strings.Compare(a.Claim, b.Claim) })
		for _, d := range list {
			if err := p.w.WriteFile(bundle.DisclosurePath(i, d.Claim), []byte(d.Text())); err != nil {
				return err
			}
		}
	}
	return nil
}

// disclosed writes the bytes that values and entries name.
func (p *packing) disclosed() error {
	for _, f := range p.Files {
		r := &rewound{write: f.write}
		err := p.w.CopyFile(bundle.FilePath(f.SHA256), r)
		r.stop()
		if err != nil {
			return err
		}
	}
	notices := map[ledger.Hash][]byte{}
	for _, n := range p.of.Notices {
		notices[n.SHA256] = n.Text
		if n.Facts != nil {
			notices[ledger.TextHash(n.Facts)] = n.Facts
		}
	}
	for _, sum := range slices.SortedFunc(maps.Keys(notices), func(a, b ledger.Hash) int { return bytes.Compare(a[:], b[:]) }) {
		if err := p.w.WriteFile(bundle.NoticePath(sum), notices[sum]); err != nil {
			return err
		}
	}
	return nil
}

func (p *packing) states() error {
	for _, s := range slices.SortedFunc(slices.Values(p.States), func(a, b State) int { return cmp.Compare(a.ID, b.ID) }) {
		if err := p.w.WriteFile(bundle.StatePath(s.ID), s.Proof); err != nil {
			return err
		}
	}
	return nil
}

// bounds writes the checkpoints that bound times, and that each is a beginning of the
// next and the last one of checkpoint.note.
func (p *packing) bounds() error {
	for _, size := range p.sizes {
		for i, s := range p.stamped[size] {
			if i == 0 {
				if err := p.w.WriteFile(bundle.BoundPath(size), s.Note); err != nil {
					return err
				}
			}
			if err := p.w.WriteFile(bundle.BoundTokenPath(size, i+1), s.Token); err != nil {
				return err
			}
		}
	}
	for i, from := range p.sizes {
		to := p.of.Size
		if i+1 < len(p.sizes) {
			to = p.sizes[i+1]
		}
		if from == to {
			continue // checkpoint.note itself was stamped
		}
		proof, err := p.Consistency(from, to)
		if err != nil {
			return err
		}
		var b strings.Builder
		for _, h := range proof {
			b.WriteString(h.String() + "\n")
		}
		if err := p.w.WriteFile(bundle.ConsistencyPath(from, to), []byte(b.String())); err != nil {
			return err
		}
	}
	return nil
}

func (p *packing) trust() error {
	if err := p.w.WriteFile(string(bundle.KindKeys), p.Keys); err != nil {
		return err
	}
	for i, c := range p.roots {
		if err := p.w.WriteFile(bundle.AuthorityPath(i+1), certificate(c)); err != nil {
			return err
		}
	}
	return nil
}

// rewound reads what write writes, from the beginning whenever Seek is called, and
// holds none of it.
type rewound struct {
	write func(io.Writer) error
	r     *io.PipeReader
	ended chan struct{} // closed when write has returned
}

func (r *rewound) Read(b []byte) (int, error) { return r.r.Read(b) }

// Seek begins again; it knows no other place.
func (r *rewound) Seek(int64, int) (int64, error) {
	r.stop()
	pr, pw := io.Pipe()
	ended := make(chan struct{})
	r.r, r.ended = pr, ended
	go func() {
		defer close(ended)
		pw.CloseWithError(r.write(pw))
	}()
	return 0, nil
}

// stop ends a write that nobody reads to its end, and waits for it.
func (r *rewound) stop() {
	if r.r != nil {
		r.r.Close()
		<-r.ended
	}
}
