package vault

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/consentledger/consentledger/internal/keyfile"
	"github.com/consentledger/consentledger/ledger"
)

// RestoreOptions says from what a vault is restored. Everything but Data is required.
type RestoreOptions struct {
	// Vault is as for [Open]. Dir holds the vault of a data backup; the vault
	// that takes its place and the old one, set aside, lie beside it for a
	// while, so there must be room for two. At RootKeyPath there must be no root
	// key: a new one is drawn. KeyBackup may be nil.
	Vault Options
	// Backup is the file of the newest key backup.
	Backup string
	// Identity is the file of the identity that opens it. If there is a
	// "<Identity>.next" that does so instead, it takes the place of the other.
	Identity string
	// LogSize is the size of the log of the same data backup, and Leaf gives the
	// leaf hash of one of its entries.
	LogSize ledger.Size
	Leaf    func(ledger.Index) (ledger.Hash, error)
	// Data, if set, is the data backup. Then there must be no vault in Dir, KeyBackup is
	// only looked at, and [FinishRestore] is to be called once the vault is in its place.
	Data *RestoreData
}

// RestoreReport says what a restore brought back and what is lost.
type RestoreReport struct {
	// Generation is that of the new ROOT.
	Generation uint32
	// BackupAt is when the vault was read for the key backup, in UTC.
	BackupAt time.Time
	// People and Consents are what opens again.
	People, Consents int
	// ConsentsWithoutClaims are those among them of which a claim is missing in
	// the data or does not open.
	ConsentsWithoutClaims int
	// PeopleAddedSince are in the key backup and not in the log: they came after
	// the data backup and are lost. So are the ConsentsAddedSince of people who
	// were known before.
	PeopleAddedSince, ConsentsAddedSince int
	// IdentifiersAddedSince are addresses of restored people that an entry made
	// known which is not in the log. They are kept, so that these people can be
	// found under them; what such an entry ended is in force again in the log.
	IdentifiersAddedSince int
	// PeopleErased are in the data and not in the key backup, which is of a
	// later generation: they were erased since, and stay so. Of a [RestoreData] it is
	// not known how many people it had: what the log says of them tells.
	PeopleErased int
	// PeopleNotBackedUp are in the data and not in the key backup, although both
	// are of one generation: they came after the backup, and their keys are lost.
	PeopleNotBackedUp int
	// PeopleDamaged are in the key backup with rows that do not open or are not
	// there. They are left out.
	PeopleDamaged int
	// SetAside is the directory of the old vault, "" for none. Nothing reads it any more.
	SetAside string
	// IdentityLeft is the file of the identity if it was not destroyed, because
	// the restored vault has no key backup of its own: until it is, with the
	// backup that it opens, no erasure destroys what the two bring back.
	IdentityLeft string
}

// Restore makes the vault of a data backup readable again, with the newest key
// backup and its identity, without the ROOT that is lost. It draws a new ROOT,
// new shard keys and a new key of the blind index; survivors open, whoever was
// erased before the key backup does not, and the report names what is lost.
// Suppressions are those of the key backup. Idempotency keys are forgotten.
//
// Nothing is changed until the whole key backup was read and found to belong to
// the data and the log. Everything is then written into "<Dir>.restored" and
// read from there; last, the old vault is renamed to "<Dir>.before-restore" and
// the new one to Dir, and opened: that puts ROOT in place and writes the next key
// backup. After a crash before these renames Restore is called again; after
// them [Open] does the rest.
//
// The old vault is left to the operator: delete it when the restored ledger was
// looked at. It holds the claims of people who were erased since as bytes to which
// no key exists, and so does the new one. The ledger must be stopped. Cost: half a
// millisecond of processor time per person.
func Restore(opt RestoreOptions) (RestoreReport, error) {
	r, err := newRestore(opt)
	if err == nil {
		err = r.run()
	}
	if err != nil {
		return RestoreReport{}, fmt.Errorf("restoring the vault: %w", err)
	}
	return r.report, nil
}

// restore is one restore.
type restore struct {
	opt      RestoreOptions
	keeper   *fileRoot
	identity *backupIdentity
	// identityNext tells that it is the file "<Identity>.next".
	identityNext bool
	head         *backupHead
	totals       backupTotals

	// size is the log's, or less: consents from it on are not those of the log.
	size ledger.Size
	// erasedSince tells that the backup is of a later generation than the data.
	erasedSince bool

	root   rootKey
	tree   *tree
	report RestoreReport
}

func (r *restore) restoredDir() string { return r.opt.Vault.Dir + ".restored" }
func (r *restore) asideDir() string    { return r.opt.Vault.Dir + ".before-restore" }

func (r *restore) step(name string) error {
	if r.opt.Vault.testOnlyStep == nil {
		return nil
	}
	return r.opt.Vault.testOnlyStep(name)
}

// newRestore checks the options and reads the whole key backup.
func newRestore(opt RestoreOptions) (r *restore, err error) {
	if opt.Vault, err = opt.Vault.checked(); err != nil {
		return nil, err
	}
	opt.Vault.Dir = filepath.Clean(opt.Vault.Dir)
	if opt.Backup == "" || opt.Identity == "" || opt.Leaf == nil {
		return nil, errors.New("a key backup, its identity and a log are all required")
	}
	if opt.Data != nil {
		if _, err := os.Lstat(opt.Vault.Dir); !errors.Is(err, fs.ErrNotExist) {
			return nil, errors.Join(fmt.Errorf("there is %s already", opt.Vault.Dir), err)
		}
	}
	r = &restore{opt: opt, keeper: newFileRoot(opt.Vault.RootKeyPath, opt.Vault.testOnlyStep)}
	if r.there(opt.Vault.RootKeyPath) {
		return nil, fmt.Errorf("there is a root key at %s already. If it opens the vault, start the ledger; otherwise move it away, "+
			"and destroy it when the restored ledger serves", opt.Vault.RootKeyPath)
	}
	if r.there(r.asideDir()) && r.there(opt.Vault.Dir) {
		return nil, fmt.Errorf("%s is of an earlier restore. If that one was interrupted, start the ledger: the restored vault is in "+
			"place; otherwise remove that directory", r.asideDir())
	}
	if err := r.openBackup(); err != nil {
		return nil, err
	}
	r.report.BackupAt, r.report.Generation = r.head.at, r.head.generation+1
	return r, r.checkTargets()
}

// openBackup finds the identity and reads the backup to its end.
func (r *restore) openBackup() error {
	id, err := readBackupIdentity(r.opt.Identity)
	if err == nil {
		_, err = readSealedHead(r.opt.Backup, id)
	}
	if err != nil {
		// The replacement of the identity may have been interrupted.
		next, nextErr := readBackupIdentity(r.opt.Identity + ".next")
		if nextErr != nil {
			return err
		}
		id, r.identityNext = next, true
	}
	if r.head, r.totals, err = readSealed(r.opt.Backup, id, nil); err != nil {
		return fmt.Errorf("%s: %w", r.opt.Backup, err)
	}
	if id.origin != r.head.origin || id.generation != r.head.generation {
		return fmt.Errorf("%w: the key backup is of %s, generation %d, its identity of %s, generation %d", ErrBackupMismatch,
			r.head.origin, r.head.generation, id.origin, id.generation)
	}
	r.identity = id
	return nil
}

// checkTargets refuses what would fail when the old vault is set aside already,
// and a key backup that is not the newest one.
func (r *restore) checkTargets() error {
	dirs := []string{filepath.Dir(r.opt.Backup)}
	if r.opt.Vault.KeyBackup != nil {
		b, err := newKeyBackup(r.opt.Vault)
		if err != nil {
			return err
		}
		b.origin = r.head.origin
		id, err := readBackupIdentity(b.identity.Path())
		switch {
		case err == nil && (id.origin != b.origin || id.generation > r.head.generation):
			return b.mismatch(id, r.head.generation)
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return err
		}
		dirs = append(dirs, b.target)
	}
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			var generation uint32
			if _, err := fmt.Sscanf(e.Name(), backupName, &generation); err == nil && generation > r.head.generation {
				return fmt.Errorf("%w: %s is newer than the key backup given, of generation %d", ErrBackupMismatch,
					filepath.Join(dir, e.Name()), r.head.generation)
			}
		}
	}
	return nil
}

func (r *restore) run() error {
	if err := r.undo(); err != nil {
		return err
	}
	if err := r.read(r.build); err != nil {
		return err
	}
	if err := r.check(); err != nil {
		return fmt.Errorf("reading what was restored: %w", err)
	}
	if err := r.step("restore checked"); err != nil {
		return err
	}
	if err := r.swap(); err != nil {
		return err
	}
	return r.finish()
}

// undo puts the old vault back where a restore that was interrupted between its
// renames had it.
func (r *restore) undo() error {
	if !r.there(r.asideDir()) {
		return nil
	}
	return r.rename(r.asideDir(), r.opt.Vault.Dir)
}

func (r *restore) there(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

func (r *restore) rename(from, to string) error {
	return errors.Join(os.Rename(from, to), keyfile.SyncDir(filepath.Dir(to)))
}

// swap puts the restored vault in the place of the old one.
func (r *restore) swap() error {
	if r.opt.Data == nil {
		if err := r.rename(r.opt.Vault.Dir, r.asideDir()); err != nil {
			return fmt.Errorf("setting the old vault aside: %w", err)
		}
		r.report.SetAside = r.asideDir()
	}
	if err := r.step("old vault set aside"); err != nil {
		return err
	}
	if err := r.rename(r.restoredDir(), r.opt.Vault.Dir); err != nil {
		return fmt.Errorf("putting the restored vault in place: %w", err)
	}
	return r.step("restored vault in place")
}

// finish opens the restored vault as after a crash behind a switch, which puts
// ROOT in place and replaces the key backup, and destroys the identity given
// when that has not.
func (r *restore) finish() error {
	before, err := os.Stat(r.opt.Identity)
	if err != nil {
		return err
	}
	opt := r.opt.Vault
	if r.opt.Data != nil {
		opt.KeyBackup = nil
	}
	v, err := Open(opt)
	if err != nil {
		return fmt.Errorf("opening the restored vault, which is in place: %w", err)
	}
	if err := v.Close(); err != nil {
		return err
	}
	if opt.KeyBackup == nil {
		r.report.IdentityLeft = r.opt.Identity
		return nil
	}
	return destroySpent(r.opt.Identity, before)
}
