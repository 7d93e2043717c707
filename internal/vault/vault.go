// Package vault is where personal data live: each person under keys of their
// own, all of them under one root key that every erasure replaces.
//
// Start with [Vault.Begin], by which the one writer adds people, consents and
// claims and plans changes of a person's keys ([Draft.Plan]), and with
// [Vault.CarryOut], which destroys for good what is to go by these plans. That
// somebody was ever there is forgotten by [Vault.Reindex]. What is stored where
// and under which key is the table in keys.go.
//
// Promises:
//
//   - Every key that ever wrapped a key that was to go is destroyed once CarryOut
//     has returned. Stale bytes in Badger's files, in copies of them or on the
//     disk's spare blocks open only for somebody who kept the old root key.
//   - "Unknown" is an answer, an unreadable row is an error: whatever does not
//     open gives [ErrDamaged] and never looks like a stranger.
//   - Nothing here logs or puts into an error a value, an identifier or a key.
//   - Rows are only ever inserted by a group, so that the newest group can be
//     taken back exactly ([Vault.DropNewestGroup]).
//
// Readers may call from any goroutine ([Vault.View]), and so may who carries out
// plans or re-keys, beside the writer. The writer is one at a time: [Vault.Begin]
// waits for the batch before it to be committed or discarded, and so do [Vault.CarryOut],
// [Vault.RotateDayKeys] and [Vault.Close]; a goroutine that calls them while it
// holds an open batch itself waits for ever. After a write whose outcome is
// unclear the vault accepts no further write until it is opened anew.
//
// Limits: how surely the old root key is gone depends on its medium; a file is
// overwritten in place, which a copy-on-write file system, a snapshot or the
// spare blocks of an SSD may survive. Badger's reads wait for a commit that is
// being synced. A reader may see a person whose group is not published yet; the
// caller knows which entries are.
package vault

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/consentledger/consentledger/internal/badgerdb"
)

var (
	// ErrDamaged is in the chain of every error about a row that is there and
	// does not open, or that must be there and is not.
	ErrDamaged = errors.New("the vault is damaged")
	// ErrGone is in the chain of the error about something whose keys are not
	// there any more, usually because its person was erased meanwhile.
	ErrGone = errors.New("its keys are gone")
	// ErrStopped is in the chain of every error of a writer after a write
	// whose outcome is unclear.
	ErrStopped = errors.New("the vault accepts no writes until it is opened anew")
	// ErrFormat is in the chain of the error about a vault of another format.
	ErrFormat = errors.New("the vault has another format")
)

// formatVersion is the version of everything in keys.go's table.
const formatVersion = 4

// Options says where the vault is. Dir and RootKeyPath are required.
type Options struct {
	// Dir is the vault's directory, for Badger alone.
	Dir string
	// RootKeyPath is the file of the root key, by custom DIR/root.key. It may
	// lie on another volume; "<RootKeyPath>.next" appears beside it during a
	// pass. Never back it up.
	RootKeyPath string
	// KeyBackup says where key backups go; nil for none.
	KeyBackup *KeyBackup
	// Logger receives what Badger warns about and what recovery did; nil
	// discards it.
	Logger *slog.Logger
	// MemTableBytes is that of badgerdb.Options.
	MemTableBytes int64
	// Seen is that of badgerdb.Options.
	Seen *badgerdb.Seen
	// Room, if set, is asked before each transaction of a pass, of a re-key and of a
	// blob; its error ends what is being written.
	Room func() error

	// testOnlyStep is called with a name after each durable step; its error
	// ends the operation there, as a crash would.
	testOnlyStep func(name string) error // see seams.go
	// testOnlyTxnRows makes the transactions of a pass smaller.
	testOnlyTxnRows int64
}

func (o Options) database() badgerdb.Options {
	return badgerdb.Options{Dir: o.Dir, Logger: o.Logger, MemTableBytes: o.MemTableBytes, Seen: o.Seen}
}

func (o Options) checked() (Options, error) {
	if o.Dir == "" || o.RootKeyPath == "" {
		return o, errors.New("opening the vault: Dir and RootKeyPath are both required")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, nil
}

// Vault is an open vault.
type Vault struct {
	opt    Options
	db     *badger.DB
	keeper rootKeeper
	backup *keyBackup // nil without a target
	origin string

	// ledger is the ledger's own slot; it never changes. requestKey is derived from
	// its key.
	ledger     Subject
	ledgerKey  ConsentKey
	requestKey secret

	// reindexing is held during a re-key of the blind index. It is taken before
	// passing.
	reindexing sync.Mutex
	// passing is held by whoever replaces the keys of shards or relies on them:
	// a pass, some steps of a re-key, a key backup, DropNewestGroup, Close. It is
	// taken before writing.
	passing sync.Mutex
	// anySuppressed is set before the first row of the suppression list is kept.
	anySuppressed atomic.Bool
	// anyLocked is set before the first row of the index of locked people is written.
	anyLocked atomic.Bool

	// writing is held by whoever writes: from Begin to Commit or Discard, and
	// by RotateDayKeys, DropNewestGroup, Close, and when a pass begins and
	// switches. It guards copying.
	writing sync.Mutex
	copying *pass // what batches leave the keys of inserted rows

	// mu guards what follows, which is changed only by who holds writing, too;
	// so who holds that may read it without mu. Readers hold mu for as long as
	// it takes to begin a transaction.
	mu         sync.RWMutex
	root       rootKey
	tree       *tree
	group      groupRow
	plans      map[Slot]uint64 // whose change is planned, and by the group of which number
	shreddedAt time.Time       // when the newest destroyed root was gone, at the latest
	fault      error           // the unclear write after which nothing is written
}

// Create makes a vault for the ledger named origin: the root key at
// opt.RootKeyPath and the database in opt.Dir. It refuses to touch either if it
// exists.
func Create(opt Options, origin string) (err error) {
	opt, err = opt.checked()
	if err != nil {
		return err
	}
	keeper := newFileRoot(opt.RootKeyPath, opt.testOnlyStep)
	if st := keeper.Read(); !errors.Is(st.currentErr, os.ErrNotExist) || !errors.Is(st.stagedErr, os.ErrNotExist) {
		return fmt.Errorf("creating the vault: there is a root key at %s already", opt.RootKeyPath)
	}
	if err := os.MkdirAll(filepath.Dir(opt.RootKeyPath), 0o700); err != nil {
		return fmt.Errorf("creating the vault: %w", err)
	}
	root := newRootKey(1)
	db, err := badgerdb.Create(opt.database())
	if err != nil {
		return fmt.Errorf("creating the vault: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	// The root lies staged until the rows under it are durable: a crash in
	// between is finished by Open or leaves nothing that Open would accept.
	if err := keeper.StageNext(root); err != nil {
		return fmt.Errorf("creating the vault: %w", err)
	}
	w := newRowWriter(db)
	defer w.discard()
	for _, r := range firstRows(root, origin) {
		if err := w.set(r.key, r.value); err != nil {
			return fmt.Errorf("creating the vault: %w", err)
		}
	}
	if err := w.flush(); err != nil {
		return fmt.Errorf("creating the vault: %w", err)
	}
	if err := keeper.Promote(); err != nil {
		return fmt.Errorf("creating the vault: %w", err)
	}
	return nil
}

// firstRows are the rows of an empty vault: format, root row, group record and
// the ledger's own slot.
func firstRows(root rootKey, origin string) []row {
	t := newTree(root.generation)
	version := binary.BigEndian.AppendUint32(nil, formatVersion)
	rows := []row{
		{keyVersion(), append(version, origin...)},
		{keyRoot(), t.encode(root)},
		{keyGroup(), groupRow{}.encode()},
	}
	s := Subject{Slot: 0, key: newSecret(), first: []ownedConsent{{0, NewConsentKey()}}}
	return append(rows, s.row(t))
}

// Open opens the vault. It checks the root key's file (permissions, then magic,
// version and content, with an error of its own each) and that it opens the
// root row, and finishes or takes back a pass that was interrupted. Every
// error says what to do.
func Open(opt Options) (v *Vault, err error) {
	opt, err = opt.checked()
	if err != nil {
		return nil, err
	}
	v = &Vault{opt: opt, keeper: newFileRoot(opt.RootKeyPath, opt.testOnlyStep)}
	// A missing or readable-by-all root key is reported before the database is
	// touched, which may take long, and so is what key backups lack.
	state := v.keeper.Read()
	if err := state.usable(opt.RootKeyPath); err != nil {
		return nil, fmt.Errorf("opening the vault: %w", err)
	}
	if v.backup, err = newKeyBackup(opt); err != nil {
		return nil, fmt.Errorf("opening the vault: %w", err)
	}
	v.db, err = badgerdb.Open(opt.database())
	if err != nil {
		return nil, fmt.Errorf("opening the vault: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("opening the vault: %w", err), v.db.Close())
			v = nil
		}
	}()
	staged, err := v.look(state)
	if err != nil {
		return v, err
	}
	if v.backup != nil {
		v.backup.origin = v.origin
	}
	if err := v.settleRoot(state, staged); err != nil {
		return v, err
	}
	if err := v.settleKeyBackup(); err != nil {
		return v, err
	}
	v.shreddedAt = time.Now().UTC()
	v.loadPlans()
	v.loadSuppressed()
	v.loadLocked()
	return v, v.loadLedger()
}

// look reads what stands above all people and refuses a vault that is not whole or
// that no root key opens. It changes nothing. staged says that it is the staged one.
func (v *Vault) look(state rootState) (staged bool, err error) {
	if v.origin, err = readVersion(v.db); err != nil {
		return false, err
	}
	if v.group, err = readGroup(v.db); err != nil {
		return false, err
	}
	return v.openRoot(state)
}

// loadLedger reads the ledger's own slot.
func (v *Vault) loadLedger() error {
	return v.View(func(w View) error {
		s, ok, err := w.subject(0)
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("%w: the ledger's own slot is missing", ErrDamaged)
		}
		v.ledger, v.requestKey = *s, derive(s.key, "request")
		v.ledgerKey, err = w.ConsentKey(s, 0)
		return err
	})
}

// readVersion checks the vault's format and gives the origin it was made for.
func readVersion(db *badger.DB) (origin string, err error) {
	value, ok, err := readOne(db, keyVersion())
	switch {
	case err != nil:
		return "", err
	case !ok:
		return "", fmt.Errorf("%w: the directory holds no vault, or its first rows are lost", ErrDamaged)
	case len(value) < 4:
		return "", fmt.Errorf("%w: the format row has %d bytes", ErrDamaged, len(value))
	}
	switch version := binary.BigEndian.Uint32(value); version {
	case formatVersion:
	case 1, 2, 3:
		return "", fmt.Errorf("%w: version %d: it was made before the first release; there is no way to carry it over", ErrFormat, version)
	default:
		return "", fmt.Errorf("%w: version %d, this program knows %d: use the program that wrote it, or a newer one",
			ErrFormat, version, formatVersion)
	}
	return string(value[4:]), nil
}

// Probed is what [Probe] found.
type Probed struct {
	Origin string // of the ledger that the vault was made for
	// Newest is the newest group record, Previous the one before it, zero when there
	// is none.
	Newest, Previous GroupRecord
	// Kept says why the newest group cannot be taken back, see [Vault.DropNewestGroup];
	// nil if it can.
	Kept error
}

// Probe refuses what [Open] would refuse, key backups aside, and tells what the vault
// would say if it were opened. It changes nothing in the vault's directory.
func Probe(opt Options) (p Probed, err error) {
	opt, err = opt.checked()
	if err != nil {
		return p, err
	}
	v := &Vault{opt: opt}
	state := newFileRoot(opt.RootKeyPath, nil).Read()
	if err := state.usable(opt.RootKeyPath); err != nil {
		return p, fmt.Errorf("looking at the vault: %w", err)
	}
	err = badgerdb.Probe(opt.database(), func(db *badger.DB) error {
		v.db = db
		if _, err := v.look(state); err != nil {
			return err
		}
		p = Probed{Origin: v.origin, Newest: v.group.record, Previous: v.group.previous, Kept: db.View(v.droppable)}
		return v.loadLedger()
	})
	if err != nil {
		return p, fmt.Errorf("looking at the vault: %w", err)
	}
	return p, nil
}

// Close closes the vault. It waits for an open batch and for a pass.
func (v *Vault) Close() error {
	v.passing.Lock()
	defer v.passing.Unlock()
	v.writing.Lock()
	defer v.writing.Unlock()
	v.stop(errors.New("it was closed")) // a re-key between two steps sees it
	if err := badgerdb.Close(v.db); err != nil {
		return fmt.Errorf("closing the vault: %w", err)
	}
	return nil
}

// Space watches over the room that the vault's database needs on its disk.
func (v *Vault) Space() *badgerdb.Space { return badgerdb.NewSpace(v.db) }

// Origin gives the name of the ledger that the vault was made for.
func (v *Vault) Origin() string { return v.origin }

// LedgerSubject gives the ledger's own slot: registry claims and idempotency
// keys that belong to nobody. It is never erased and must hold nothing personal.
func (v *Vault) LedgerSubject() *Subject {
	s := v.ledger
	return &s
}

// LedgerKey gives the key of the ledger's own claims.
func (v *Vault) LedgerKey() ConsentKey { return v.ledgerKey }

// stop records the unclear write err; from here every writer fails. It returns
// what the writer is to return.
func (v *Vault) stop(err error) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.fault == nil {
		v.fault = err
	}
	return fmt.Errorf("%w: %w", ErrStopped, err)
}

// stopped gives the error of a writer that comes after an unclear write.
func (v *Vault) stopped() error {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if v.fault != nil {
		return fmt.Errorf("%w after: %w", ErrStopped, v.fault)
	}
	return nil
}

// step is the seam of the crash tests.
func (v *Vault) step(name string) error {
	if v.opt.testOnlyStep == nil {
		return nil
	}
	return v.opt.testOnlyStep(name)
}
