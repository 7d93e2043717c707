package vault

import (
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"github.com/consentledger/consentledger/internal/badgerdb"
)

// check opens the restored vault's database afresh and reads everything of
// everybody, with the staged ROOT as it lies in its file.
func (r *restore) check() error {
	opt := r.opt.Vault.database()
	opt.Dir = r.restoredDir()
	return badgerdb.Probe(opt, func(db *badger.DB) error {
		row, _, err := readOne(db, keyRoot())
		if err != nil {
			return err
		}
		state := r.keeper.Read()
		if state.stagedErr != nil {
			return state.stagedErr
		}
		t, err := decodeTree(state.staged, row)
		if err != nil {
			return err
		}
		w := View{tree: t, txn: db.NewTransaction(false)}
		defer w.txn.Discard()
		eachShardKey(w.txn, t, rowSubject, func(key []byte) bool {
			if slotOf(key) != 0 {
				err = r.checkPerson(w, slotOf(key))
			}
			return err == nil
		})
		return err
	})
}

// checkPerson makes sure that a person is found by everything they are known
// by, and counts them.
func (r *restore) checkPerson(w View, slot Slot) error {
	s, _, err := w.subject(slot)
	if err != nil {
		return err
	}
	identity := w.identity(s)
	ids, err := w.identifiers(identity)
	if err != nil {
		return err
	}
	for _, id := range ids {
		found, _, ok, err := w.named(rowIndex, w.tree.index[0].live(id), 8)
		if err == nil && (!ok || found != slot) {
			ok, err = w.isLocked(identity.key, id)
		}
		if err != nil || !ok {
			return errors.Join(fmt.Errorf("%w: an identifier does not lead to its person", ErrDamaged), err)
		}
	}
	channels, err := w.channels(identity)
	if err != nil {
		return err
	}
	for _, c := range channels {
		if found, _, ok, err := w.named(rowManage, c.hash[:], 4); err != nil || !ok || found != slot {
			return errors.Join(fmt.Errorf("%w: a manage token does not lead to its person", ErrDamaged), err)
		}
	}
	consents, err := w.consents(s)
	if err != nil {
		return err
	}
	for _, c := range consents {
		if found, _, ok, err := w.named(rowConsent, idConsent(c.id), 0); err != nil || !ok || found != slot {
			return errors.Join(fmt.Errorf("%w: consent %d does not lead to its person", ErrDamaged, c.id), err)
		}
		if rows, err := w.claims(c.key, func(Claim) {}); rows == 0 || err != nil {
			r.report.ConsentsWithoutClaims++
		}
	}
	r.report.People++
	r.report.Consents += len(consents)
	return nil
}
