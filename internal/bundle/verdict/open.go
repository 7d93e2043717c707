package verdict

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/consentledger/consentledger/internal/bundle"
	"github.com/consentledger/consentledger/ledger"
)

// open checks what says whose bundle it is: the container, both signatures over its
// manifest, the checkpoint, and that the index is about them.
func (v *verifier) open(f io.ReaderAt, size int64) error {
	var newer error
	if v.c, newer = bundle.Open(f, size); v.c == nil {
		return newer
	}
	v.rep.Files = len(v.c.Files())
	if err := v.signed(); err != nil {
		return err
	}
	if newer != nil {
		return newer
	}
	v.checked("the container: every file is the one that the manifest lists, and there is no other")
	v.checked("both signatures of the log over the manifest, Ed25519 and ML-DSA-44")
	v.checked("both signatures of the checkpoint, Ed25519 and ML-DSA-44")
	for _, line := range v.head.Unchecked {
		v.notChecked("signature line by a key outside the policy by which the bundle was read: %q", line)
	}
	if len(v.opt.Keys) == 0 {
		v.notChecked("that no rotation of keys was left out (no keys file was given)")
	}
	return v.readIndex()
}

// signed finds the key entries under which the bundle is read, and checks by them who
// signed its manifest and its checkpoint.
func (v *verifier) signed() error {
	note, err := v.must(string(bundle.KindCheckpoint))
	if err != nil {
		return err
	}
	if v.keys, err = v.must(string(bundle.KindKeys)); err != nil {
		return err
	}
	kept, err := ledger.ParseKept(note)
	if err != nil {
		return fmt.Errorf("%s: %w", bundle.KindCheckpoint, err)
	}
	ring, err := ledger.ParseKeyRing(v.keys)
	if err != nil {
		return fmt.Errorf("%s: %w", bundle.KindKeys, err)
	}
	if v.policy, err = v.opt.Policy.WithKeys(v.opt.Keys); err != nil {
		return err
	}
	if bytes.HasPrefix(v.keys, v.opt.Keys) {
		if followed, err := v.opt.Policy.WithKeys(v.keys); err == nil {
			v.policy = followed
		}
	}
	err = v.openCheckpoint(note, kept.Size)
	if errors.Is(err, ledger.ErrPolicy) && v.opt.Verify != nil {
		v.unsatisfied = err
		own, err := ledger.ParsePolicy(ledger.NewPolicy(ring.At(kept.Size)))
		if err != nil {
			return err
		}
		if v.policy, err = own.WithKeys(v.keys); err != nil {
			return err
		}
		if err := v.openCheckpoint(note, kept.Size); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	rep := v.rep
	rep.Origin, rep.Size, rep.Root, rep.Cosigned = v.head.Origin, v.head.Size, v.head.Root.String(), v.head.Cosigned
	for _, w := range v.head.Witnesses {
		if w != v.policy.LogWitness() {
			rep.Witnesses = append(rep.Witnesses, w)
		}
	}
	return v.sameKeys(ring)
}

func (v *verifier) openCheckpoint(note []byte, size ledger.Size) (err error) {
	if err := v.c.VerifySignature(v.policy.KeysAt(size)); err != nil {
		return err
	}
	if v.head, err = ledger.OpenCheckpoint(note, v.policy); err != nil {
		return fmt.Errorf("%s: %w", bundle.KindCheckpoint, err)
	}
	return nil
}

// sameKeys checks that the bundle's key entries are those that were given, as far as
// both go, and name the pair by which the bundle was read.
func (v *verifier) sameKeys(ring *ledger.KeyRing) error {
	size := v.head.Size
	both := min(len(v.opt.Keys), len(v.keys))
	if !bytes.Equal(v.opt.Keys[:both], v.keys[:both]) {
		return errors.New("the keys file given holds other key entries than the bundle")
	}
	if len(v.opt.Keys) > len(v.keys) {
		given, err := ledger.ParseKeyRing(v.opt.Keys)
		if err != nil {
			return err
		}
		if missing := given.Entries()[len(ring.Entries())]; ledger.Size(missing.Index) < size {
			return fmt.Errorf("%s: lacks key entry %d of the keys file given", bundle.KindKeys, missing.Index)
		}
	}
	read, named := v.policy.KeysAt(size), ring.At(size)
	if read.Ed25519.String() != named.Ed25519.String() || read.MLDSA44.String() != named.MLDSA44.String() {
		return fmt.Errorf("%s: the keys that signed the bundle are not those in force at its size", bundle.KindKeys)
	}
	return nil
}

// readIndex reads what the bundle says that it is about.
func (v *verifier) readIndex() error {
	text, err := v.must(string(bundle.KindIndex))
	if err != nil {
		return err
	}
	if v.index, err = bundle.ParseIndex(text); err != nil {
		return err
	}
	if text, err = v.must(string(bundle.KindCustody)); err != nil {
		return err
	}
	if v.custody, err = bundle.ParseCustody(text); err != nil {
		return err
	}
	x, u := v.index, v.custody
	wrong := func(kind bundle.Kind, format string, args ...any) error {
		return fmt.Errorf("%s: "+format, append([]any{kind}, args...)...)
	}
	switch {
	case x.Origin != v.head.Origin:
		return wrong(bundle.KindIndex, "origin is %q, the checkpoint's is %q", x.Origin, v.head.Origin)
	case x.Size != v.head.Size:
		return wrong(bundle.KindIndex, "size is %d, the checkpoint's is %d", x.Size, v.head.Size)
	case u.Origin != v.head.Origin:
		return wrong(bundle.KindCustody, "origin is %q, the checkpoint's is %q", u.Origin, v.head.Origin)
	case u.Size != v.head.Size:
		return wrong(bundle.KindCustody, "size is %d, the checkpoint's is %d", u.Size, v.head.Size)
	}
	switch x.About {
	case bundle.AboutConsents:
		if len(x.Consents) == 0 || x.Exported == nil || x.Committed == nil || x.Range != nil {
			return wrong(bundle.KindIndex, "a bundle about consents has consents, exported and committed, and no range")
		}
	case bundle.AboutRange:
		if len(x.Consents) > 0 || len(x.Questions) > 0 || x.Exported != nil || x.Committed != nil || x.Range == nil {
			return wrong(bundle.KindIndex, "a bundle about a range has a range, and no consents, questions, exported or committed")
		}
	default:
		return wrong(bundle.KindIndex, "about is %q", x.About)
	}
	v.rep.About, v.rep.Exported, v.rep.Made = x.About, x.Exported, u.Made
	return nil
}
