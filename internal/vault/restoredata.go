package vault

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/dgraph-io/badger/v4"

	"github.com/consentledger/consentledger/internal/badgerdb"
	"github.com/consentledger/consentledger/internal/keyfile"
)

// RestoreData is a data backup to restore from that is no copy of a vault.
type RestoreData struct {
	// Origin, Generation and Group are those of the vault when it was read.
	Origin     string
	Generation uint32
	Group      GroupRecord
	// Rows calls each with the rows that [DataBackup.Rows] gave, each of which may
	// come several times, the newest last.
	Rows func(each func(key, value []byte) error) error
}

// data is what a restore reads besides the key backup.
type data struct {
	origin string
	root   []byte // the root row; nil if it is not known
	// generation is that of ROOT.
	generation uint32
	group      groupRow
	rows       func(each func(key, value []byte) error) error
	db         *badger.DB // of a copy of a vault; nil for none
}

// given checks what the options give.
func (r *RestoreData) given() (data, error) {
	if r.Origin == "" || r.Generation == 0 || r.Rows == nil {
		return data{}, errors.New("a data backup has an origin, a generation and rows")
	}
	return data{origin: r.Origin, generation: r.Generation, group: groupRow{record: r.Group}, rows: func(each func(key, value []byte) error) error {
		return r.Rows(func(key, value []byte) error {
			if len(key) < 2 || !bytes.Contains(dataKinds, key[:1]) {
				return fmt.Errorf("%w: a data backup holds a row of kind %q", ErrDamaged, key[:min(len(key), 1)])
			}
			return each(key, value)
		})
	}}, nil
}

// dataOf reads what a copy of a vault says of itself.
func dataOf(db *badger.DB) (d data, err error) {
	if d.origin, err = readVersion(db); err != nil {
		return d, err
	}
	var ok bool
	if d.root, ok, err = readOne(db, keyRoot()); err != nil || !ok {
		return d, errors.Join(fmt.Errorf("%w: the root row is missing", ErrDamaged), err)
	}
	if d.generation, err = rootGeneration(d.root); err != nil {
		return d, err
	}
	if d.group, err = readGroup(db); err != nil {
		return d, err
	}
	d.db = db
	d.rows = func(each func(key, value []byte) error) error {
		txn := db.NewTransaction(false)
		defer txn.Discard()
		for _, kind := range dataKinds {
			if err := eachRow(txn, []byte{kind}, each); err != nil {
				return err
			}
		}
		return nil
	}
	return d, nil
}

// read hands what there is to build.
func (r *restore) read(build func(data) error) error {
	if r.opt.Data != nil {
		d, err := r.opt.Data.given()
		if err != nil {
			return err
		}
		return build(d)
	}
	return badgerdb.Probe(r.opt.Vault.database(), func(db *badger.DB) error {
		d, err := dataOf(db)
		if err != nil {
			return err
		}
		return build(d)
	})
}

// FinishRestore gives a vault that [Restore] made from a [RestoreData] its key backups:
// it writes the first and destroys the identity that opened the one from which the vault
// was restored, unless none are configured. It may be called again after it was
// interrupted, as long as that identity is there.
func FinishRestore(opt Options, identity string) (err error) {
	if opt.KeyBackup == nil {
		return nil
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("replacing the backup identity: %w", err)
		}
	}()
	before, err := os.Stat(identity)
	if err != nil {
		return err
	}
	b, err := newKeyBackup(opt)
	if err != nil {
		return err
	}
	opt.KeyBackup = nil
	v, err := Open(opt)
	if err != nil {
		return err
	}
	b.origin = v.origin
	err = v.View(func(w View) error { _, err := b.stage(w); return err })
	if err == nil {
		err = b.promote()
	}
	if err = errors.Join(err, v.Close()); err != nil {
		return err
	}
	return destroySpent(identity, before)
}

// destroySpent destroys the identity of the key backup from which a vault was restored,
// unless its replacement has done that.
func destroySpent(identity string, before fs.FileInfo) error {
	after, err := os.Stat(identity)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(before, after) {
		return nil
	}
	if err := keyfile.Destroy(identity); err != nil {
		return fmt.Errorf("the vault is restored, but its old backup identity is not destroyed: %w", err)
	}
	return nil
}
