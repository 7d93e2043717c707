package verdict

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/consentledger/consentledger/internal/bundle"
	"github.com/consentledger/consentledger/ledger"
)

// entry is an entry of the bundle that is proven to be in the log.
type entry struct {
	*ledger.Entry
	leaf      ledger.Hash
	owners    []*record // the records of the bundle that it belongs to
	disclosed []string  // claims
}

// readEntries parses every entry and checks that it is in the tree of the checkpoint,
// whose signatures were verified once. Every proof carries that checkpoint.
func (v *verifier) readEntries() error {
	v.entries = map[ledger.Index]*entry{}
	for _, f := range v.of(bundle.KindEntry) {
		text, err := v.c.File(f.Name)
		if err != nil {
			return err
		}
		e := &entry{leaf: ledger.LeafHash(text)}
		if e.Entry, err = ledger.ParseEntry(text); errors.Is(err, ledger.ErrNewer) {
			if v.newer == nil {
				v.newer = fmt.Errorf("entry %d: %w", f.Index(), err)
			}
		} else if err != nil {
			return fmt.Errorf("entry %d: %w", f.Index(), err)
		}
		if e.Kind != "" && e.Index != f.Index() {
			return fmt.Errorf("entry %d: stands as entry %d in the bundle", e.Index, f.Index())
		}
		if err := v.proven(f.Index(), e.leaf); err != nil {
			return fmt.Errorf("entry %d: %w", f.Index(), err)
		}
		v.order, v.entries[f.Index()] = append(v.order, e), e
	}
	for _, f := range v.of(bundle.KindProof) {
		if v.entries[f.Index()] == nil {
			return fmt.Errorf("file %q: its entry is not in the bundle", f.Name)
		}
	}
	v.rep.Entries = len(v.order)
	v.checked("that each of %d entries is in the log at its index", len(v.order))
	if v.newer != nil {
		v.notChecked("what the entries say: one needs a newer verifier")
	}
	return v.newer
}

// proven checks an entry's inclusion proof.
func (v *verifier) proven(i ledger.Index, leaf ledger.Hash) error {
	text, err := v.must(bundle.ProofPath(i))
	if err != nil {
		return err
	}
	r, err := ledger.ParseReceipt(text)
	switch {
	case err != nil:
		return err
	case r.Index != i:
		return fmt.Errorf("its proof is of entry %d", r.Index)
	case len(r.Extra) > 0:
		return errors.New("its proof carries extra bytes, which nothing authenticates")
	case !bytes.Equal(r.Checkpoint, v.head.Signed):
		return fmt.Errorf("its proof carries another checkpoint than %s", bundle.KindCheckpoint)
	case ledger.Size(i) >= v.head.Size,
		tlog.CheckRecord(r.Proof, int64(v.head.Size), v.head.Root, int64(i), leaf) != nil:
		return errors.New("its proof does not show that it is in the log")
	}
	return nil
}

// chain checks what entries owe to those before them, as far as these are here.
func (v *verifier) chain() error {
	for n, e := range v.order {
		if (e.Index == 0) != (e.Kind == ledger.LedgerCreated) {
			return fmt.Errorf("entry %d: %s stands at index 0 and only there", e.Index, ledger.LedgerCreated)
		}
		if err := v.part(e); err != nil {
			return fmt.Errorf("entry %d: %w", e.Index, err)
		}
		if n == 0 {
			continue
		}
		before := v.order[n-1]
		switch next := e.Index == before.Index+1; {
		case e.Time.Before(before.Time):
			return fmt.Errorf("entry %d: time is before that of entry %d", e.Index, before.Index)
		case next && e.Prev != before.leaf:
			return fmt.Errorf("entry %d: prev is %v, want %v", e.Index, e.Prev, before.leaf)
		case next && before.Part < before.Parts && e.Part != before.Part+1:
			return fmt.Errorf("entry %d: is not part %d of %d of entry %d", e.Index, before.Part+1, before.Parts, before.Index)
		}
	}
	v.checked("the hash chain where entries follow one another, and that times never decrease")
	return nil
}

// part checks a part of a list that was split: the first is here, says the same but for
// its list and what it commits to, and stands where it should; the lists ascend.
func (v *verifier) part(e *entry) error {
	if last := e.Index + ledger.Index(e.Parts-e.Part); ledger.Size(last) >= v.head.Size {
		return fmt.Errorf("its list would end with entry %d", last)
	}
	if e.Part < 2 {
		return nil
	}
	first := v.entries[e.Index-ledger.Index(e.Part-1)]
	if first == nil || first.Part != 1 {
		return fmt.Errorf("part %d of %d without the first", e.Part, e.Parts)
	}
	same := *first.Entry
	same.Index, same.Prev, same.Part, same.Consents, same.About, same.Commits = e.Index, e.Prev, e.Part, e.Consents, e.About, e.Commits
	want, err := same.Encode()
	if err != nil {
		return err
	}
	if text, err := e.Encode(); err != nil || !bytes.Equal(text, want) {
		return fmt.Errorf("is not part %d of %d of entry %d", e.Part, e.Parts, first.Index)
	}
	for i := e.Index - 1; i >= first.Index; i-- {
		before := v.entries[i]
		if before == nil {
			continue
		}
		if ledger.Index(before.Part) != i-first.Index+1 || slices.Max(concerns(before.Entry)) >= slices.Min(concerns(e.Entry)) {
			return fmt.Errorf("its list does not go on where that of entry %d ended", i)
		}
		break
	}
	return nil
}

// concerns gives the consents that an entry changes and mentions.
func concerns(e *ledger.Entry) []ledger.ConsentID {
	ids := slices.Clone(e.About)
	for _, l := range e.Consents {
		ids = append(ids, l.Consent)
	}
	return ids
}

// opens reports whether an entry opens a record.
func opens(e *ledger.Entry) bool {
	_, err := ledger.FollowConsent(ledger.ConsentID(e.Index), []*ledger.Entry{e})
	return err == nil
}

// keyEntries checks that the bundle's key entries are those in the log.
func (v *verifier) keyEntries() error {
	var texts []byte
	for _, e := range v.order {
		if e.Kind != ledger.LedgerCreated && e.Kind != ledger.KeyRotated {
			continue
		}
		text, err := e.Encode()
		if err != nil {
			return err
		}
		texts = append(texts, text...)
		if e.Kind == ledger.LedgerCreated {
			v.rep.Controller = e.Controller
		}
	}
	if !bytes.Equal(texts, v.keys) {
		return fmt.Errorf("%s: holds other key entries than evidence/entries", bundle.KindKeys)
	}
	v.checked("that the log names the keys by which the bundle was read as its own")
	return nil
}
