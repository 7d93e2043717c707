package verdict

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/consentledger/consentledger/internal/bundle"
	"github.com/consentledger/consentledger/ledger"
)

// anchors checks every checkpoint.anchored as the verification of a whole log does: what
// was stamped is a checkpoint that the log alone signed, of this history (which
// consistency shows), and what the token says, if anybody can tell.
func (v *verifier) anchors() error {
	v.stamps = &ledger.LogReport{}
	taken := map[string]bool{}
	tokens, notBefore := 0, time.Time{}
	for _, e := range v.order {
		if e.Time.Add(ledger.MaxClockAhead).Before(notBefore) {
			v.irregular(ledger.Irregularity{Name: "dated_before_stamp", Index: e.Index, Consent: -1})
		}
		if e.Kind != ledger.CheckpointAnchored {
			continue
		}
		note, token, err := v.anchorFiles(e, taken)
		if err != nil {
			return fmt.Errorf("entry %d: %w", e.Index, err)
		}
		if token == nil {
			v.notChecked("the time stamp of entry %d, which is not in the bundle", e.Index)
			continue
		}
		earliest, err := v.anchored(e, note, token)
		if err != nil {
			return fmt.Errorf("entry %d: %w", e.Index, err)
		}
		if tokens++; earliest.After(notBefore) {
			notBefore = earliest
		}
	}
	for _, kind := range []bundle.Kind{bundle.KindBound, bundle.KindBoundToken} {
		for _, f := range v.of(kind) {
			if !taken[f.Name] {
				return fmt.Errorf("file %q: no entry of the bundle is about it", f.Name)
			}
		}
	}
	if n := len(v.stamps.Stamps); n > 0 {
		v.checked("%d time stamps, each over a checkpoint of this log", n)
	}
	if v.opt.Stamps == nil && tokens > 0 {
		v.notChecked("%d time-stamp tokens: no authority is trusted", tokens)
	}
	if len(v.of(bundle.KindAuthority)) > 0 {
		v.notChecked("the certificates in trust/tsa: they count for nothing, what is trusted must come from elsewhere")
	}
	return nil
}

// anchorFiles finds the checkpoint that an entry says was stamped, and the token. A
// bundle about consents has both, an auditor's may lack both.
func (v *verifier) anchorFiles(e *entry, taken map[string]bool) (note, token []byte, err error) {
	name := bundle.BoundPath(e.Size)
	f, ok := v.c.Lookup(name)
	switch {
	case !ok && v.index.Range != nil:
		return nil, nil, nil
	case !ok:
		return nil, nil, fmt.Errorf("file %q is missing", name)
	case f.SHA256 != e.Checkpoint:
		return nil, nil, fmt.Errorf("file %q: its content has another hash", name)
	}
	for n := 1; ; n++ {
		tst := bundle.BoundTokenPath(e.Size, n)
		f, ok := v.c.Lookup(tst)
		if !ok {
			return nil, nil, fmt.Errorf("no token over file %q has the hash that the entry names", name)
		}
		if f.SHA256 != e.Stamp || taken[tst] {
			continue
		}
		taken[name], taken[tst] = true, true
		if note, err = v.c.File(name); err == nil {
			token, err = v.c.File(tst)
		}
		return note, token, err
	}
}

// anchored checks what one entry says was stamped. If the stamp counts, it gives the
// earliest time that it vouches for.
func (v *verifier) anchored(e *entry, text, token []byte) (earliest time.Time, err error) {
	note, err := ledger.ParseSignedNote(text)
	if err == nil {
		err = v.stamped(e, text, note)
	}
	if err != nil {
		return earliest, fmt.Errorf("the checkpoint that was stamped: %v", err) // whoever signed: it should be the log
	}
	if v.opt.Stamps == nil {
		return earliest, nil
	}
	stamp, err := v.opt.Stamps(token, e.Checkpoint)
	switch {
	case errors.Is(err, ledger.ErrNotCounted):
		v.rep.StampsNotCounted = append(v.rep.StampsNotCounted, ledger.NotCounted{Index: e.Index, Reason: err.Error()})
		return earliest, nil
	case err != nil:
		return earliest, err
	case !stamp.Time.Truncate(time.Microsecond).Equal(e.Stamped):
		return earliest, fmt.Errorf("stamped is %s, the token says %s", e.Stamped.Format(time.RFC3339Nano), stamp.Time.UTC().Format(time.RFC3339Nano))
	}
	v.stamps.Stamps = append(v.stamps.Stamps, ledger.Anchored{Index: e.Index, Size: e.Size, Time: stamp.Time.UTC(),
		Accuracy: stamp.Accuracy.Seconds(), Authority: stamp.Authority, Qualified: stamp.Qualified})
	if signedAt(note, v.policy.KeysAt(e.Size)).After(stamp.Time.Add(stamp.Accuracy + ledger.MaxClockAhead)) {
		v.irregular(ledger.Irregularity{Name: "dated_after_stamp", Index: e.Index, Consent: -1})
	}
	return stamp.Time.Add(-stamp.Accuracy), nil
}

// stamped checks a checkpoint that was stamped, and takes it down for consistency.
func (v *verifier) stamped(e *entry, text []byte, note *ledger.SignedNote) error {
	kept, err := ledger.ParseKept(text)
	switch {
	case err != nil:
		return err
	case kept.Size != e.Size:
		return fmt.Errorf("it is of %d entries, the entry says %d", kept.Size, e.Size)
	case len(note.Lines) != 2:
		return errors.New("it carries other signatures than the log's two")
	}
	if err := kept.Verify(v.policy); err != nil {
		return err
	}
	v.sizes = append(v.sizes, kept.Checkpoint)
	return nil
}

// signedAt gives when the log says that it signed a checkpoint, by its ML-DSA-44
// signature (c2sp.org/tlog-cosignature), which was verified.
func signedAt(note *ledger.SignedNote, keys ledger.KeyPair) time.Time {
	for _, l := range note.Lines {
		if l.Name == keys.MLDSA44.Name && l.KeyID == keys.MLDSA44.ID() {
			return time.Unix(int64(min(binary.BigEndian.Uint64(l.Signature), 1<<40)), 0)
		}
	}
	return time.Time{}
}

// consistency checks that the checkpoints that were stamped and that of the bundle are of
// one history: from each to the next larger one leads a proof.
func (v *verifier) consistency() error {
	used := 0
	sizes := append(v.sizes, v.head.Checkpoint)
	slices.SortStableFunc(sizes, func(a, b ledger.Checkpoint) int { return cmp.Compare(a.Size, b.Size) })
	for n, later := range sizes[1:] {
		before := sizes[n]
		var proof []ledger.Hash
		if before.Size < later.Size {
			name := bundle.ConsistencyPath(before.Size, later.Size)
			text, err := v.must(name)
			if err != nil {
				return err
			}
			if proof, err = parseHashes(string(text)); err != nil {
				return fmt.Errorf("file %q: %w", name, err)
			}
			used++
		}
		if err := ledger.VerifyConsistency(before.Size, before.Root, later, proof); err != nil {
			return err
		}
	}
	if files := v.of(bundle.KindConsistency); len(files) > used {
		return fmt.Errorf("%d files of proofs of consistency, want %d", len(files), used)
	}
	if used > 0 {
		v.checked("that %d checkpoints that bound times are of the bundle's history", len(v.sizes))
	}
	return nil
}

// parseHashes parses hashes in base64, each in a line of its own.
func parseHashes(text string) (list []ledger.Hash, err error) {
	for line := range strings.Lines(text) {
		h, err := ledger.ParseHash(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", len(list)+1, err)
		}
		list = append(list, h)
	}
	if text != "" && !strings.HasSuffix(text, "\n") {
		return nil, errors.New("does not end with a newline")
	}
	return list, nil
}

// manifestStamp checks the time stamp over the bundle, if it has one.
func (v *verifier) manifestStamp() error {
	if !v.c.Stamped() {
		return nil
	}
	token, err := v.c.File(string(bundle.KindToken))
	if err != nil {
		return err
	}
	if v.opt.Stamps == nil {
		v.notChecked("the time stamp over the bundle: no authority is trusted")
		return nil
	}
	stamp, err := v.opt.Stamps(token, v.c.Manifest())
	switch {
	case errors.Is(err, ledger.ErrNotCounted):
		v.rep.ManifestStamp = &ManifestStamp{NotCounted: err.Error()}
		return nil
	case err != nil:
		return fmt.Errorf("%s: %w", bundle.KindToken, err)
	}
	v.rep.ManifestStamp = &ManifestStamp{Time: stamp.Time.UTC(), Accuracy: stamp.Accuracy.Seconds(), Authority: stamp.Authority, Qualified: stamp.Qualified}
	v.checked("the time stamp over the whole bundle")
	return nil
}
