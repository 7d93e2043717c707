package service

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/consentledger/consentledger/internal/badgerdb"
	loghistory "github.com/consentledger/consentledger/internal/history"
	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// Inspection is what [Inspect] found.
type Inspection struct {
	// Report counts what is in order; nil if the ledger does not open, or if its
	// entries do not follow one another.
	Report *CheckReport
	// Start says why the ledger does not open; nil if it does.
	Start error
	// Found is a *[store.Found] of all that is wrong, or nil.
	Found error
}

// Inspect looks at everything in the directory of a ledger that no process has open,
// goes on behind what it finds wrong, and names all of it: first each file by itself
// ([InspectFiles]), then what [Service.Check] compares. A ledger that does not open it
// changes in nothing; of one that does it changes what every start does.
func Inspect(opt Options, progress func(done, total ledger.Size)) (*Inspection, error) {
	if err := isThere(opt.Dir); err != nil && !errors.Is(err, store.ErrDamaged) {
		return nil, fmt.Errorf("opening the ledger in %s: %w", opt.Dir, err)
	}
	found := new(store.Findings)
	trusted, err := os.ReadFile(filepath.Join(opt.Dir, trustKeys)) // a start writes it anew
	if errors.Is(err, fs.ErrNotExist) {
		trusted = nil
	} else if err != nil {
		return nil, fmt.Errorf("reading %s: %w", trustKeys, err)
	}
	if err := InspectFiles(opt.Dir); errors.Is(err, badgerdb.ErrInUse) {
		return nil, err
	} else {
		found.Add(err)
	}
	s, err := Open(opt)
	if err != nil {
		found.Add(opt.inspectClosed())
		return &Inspection{Start: err, Found: found.Err()}, nil
	}
	report, err := s.Check(progress)
	found.Add(err)
	snap := s.log.Snapshot()
	keys, err := snap.Keys()
	snap.Release()
	// After a crash in a rotation the newest key entry is not in the file yet.
	if found.Add(err); err == nil && trusted != nil && !bytes.HasPrefix(keys, trusted) {
		found.Add(fmt.Errorf("%s did not hold the log's key entries; the start has written it anew. Compare the copies that were handed out",
			filepath.Join(opt.Dir, trustKeys)))
	}
	return &Inspection{Report: report, Found: found.Err()}, s.Close()
}

// InspectFiles reads the files of a ledger's directory as far as each can be judged by
// itself: both databases, the head file, the signing keys, what is handed out to
// auditors, the checkpoints that were kept. It changes nothing. Its error is a
// *[store.Found], or [badgerdb.ErrInUse].
func InspectFiles(dir string) error {
	found := new(store.Findings)
	for _, name := range []string{"log", "vault"} {
		findings, err := badgerdb.Examine(badgerdb.Options{Dir: filepath.Join(dir, name)})
		if errors.Is(err, badgerdb.ErrInUse) {
			return err
		}
		found.Add(err)
		for _, f := range findings {
			found.Add(f)
		}
	}
	signer, next, err := newSigningKeys(dir, nil).read()
	if found.Add(err); err == nil {
		found.Add(store.CheckHead(store.Options{Dir: dir, Signer: signer, Next: next}))
	}
	path := filepath.Join(dir, trustKeys)
	keys, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return found.Err() // a start makes it
	}
	var ring *ledger.KeyRing
	if err == nil {
		ring, err = ledger.ParseKeyRing(keys)
	}
	if err != nil {
		found.Add(fmt.Errorf("%s is damaged; a start writes it anew: %w", path, err))
		return found.Err()
	}
	found.Add(checkPolicy(filepath.Join(dir, trustPolicy), ring.At(0)))
	for _, name := range []string{loghistory.CosignedName, loghistory.AnchoredName} {
		found.Add(loghistory.Unreadable(filepath.Join(dir, name), keys))
	}
	return found.Err()
}

// inspectClosed looks at what can be read of a ledger that does not open: at the log
// alone, and at what stands above all people in the vault.
func (o *Options) inspectClosed() error {
	found := new(store.Findings)
	if signer, next, err := newSigningKeys(o.Dir, nil).read(); err == nil {
		of := o.store(signer)
		of.Next = next
		err := store.Look(of, func(p *store.Snapshot) error {
			_, err := p.Check(nil)
			return err
		})
		if !errors.Is(err, badgerdb.ErrDamaged) { // named already
			found.Add(err)
		}
	}
	if _, err := vault.Probe(o.vault()); !errors.Is(err, badgerdb.ErrDamaged) {
		found.Add(err)
	}
	return found.Err()
}

// checkPolicy checks that auditors who are handed trust.policy trust this log. The
// operator may have added witnesses.
func checkPolicy(path string, keys ledger.KeyPair) error {
	b, err := os.ReadFile(path)
	var policy *ledger.Policy
	if err == nil {
		policy, err = ledger.ParsePolicy(b)
	}
	if err == nil && (policy.Keys().Ed25519.String() != keys.Ed25519.String() || policy.Keys().MLDSA44.String() != keys.MLDSA44.String()) {
		err = errors.New("it does not name the keys of the log's first entry")
	}
	if err != nil {
		return fmt.Errorf("%s cannot be handed to auditors: %w. Put back a copy that was handed out", path, err)
	}
	return nil
}
