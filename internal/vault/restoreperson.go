package vault

import (
	"errors"
	"fmt"
	"slices"

	"github.com/consentledger/consentledger/ledger"
)

// people writes the rows of everybody in the backup under the restored vault's
// tree; w sees them under the backup's.
func (r *restore) people(w View, out *rowWriter) (err error) {
	eachShardKey(w.txn, w.tree, rowSubject, func(key []byte) bool {
		switch err = r.person(w, slotOf(key), out); {
		case errors.Is(err, ErrDamaged), errors.Is(err, ErrGone):
			r.report.PeopleDamaged++
			err = nil
		case err != nil:
			return false
		}
		return true
	})
	if err != nil {
		return err
	}
	return out.flush()
}

// person writes the rows of one person, or nothing of somebody of whom the log
// knows nothing.
func (r *restore) person(w View, slot Slot, out *rowWriter) error {
	s, ok, err := w.subject(slot)
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("%w: a person's row is missing", ErrDamaged)
	}
	var rows []row
	if slot != 0 {
		consents, err := w.Consents(s)
		if err != nil {
			return err
		}
		kept := slices.DeleteFunc(slices.Clone(consents), func(id ledger.ConsentID) bool { return ledger.Size(id) >= r.size })
		if len(kept) == 0 {
			r.report.PeopleAddedSince++
			return nil
		}
		if rows, err = r.personRows(w, s, kept); err != nil {
			return err
		}
		if err := r.shorten(s, consents, kept, out); err != nil {
			return err
		}
	}
	rows = append(rows, s.row(r.tree))
	for _, row := range rows {
		if err := out.set(row.key, row.value); err != nil {
			return err
		}
	}
	return nil
}

// shorten takes the consents that the log does not have off a person's list, the last
// ones. Their keys must go, because other consents will have the same ids.
func (r *restore) shorten(s *Subject, consents, kept []ledger.ConsentID, out *rowWriter) error {
	r.report.ConsentsAddedSince += len(consents) - len(kept)
	for n := max(len(kept), len(s.first)); n < len(consents); n++ {
		if err := out.delete(keyConsent(s.key, uint32(n))); err != nil {
			return err
		}
	}
	s.first = s.first[:min(len(kept), len(s.first))]
	return nil
}

// personRows gives the rows by which a person is found, and what is planned.
func (r *restore) personRows(w View, s *Subject, kept []ledger.ConsentID) (rows []row, err error) {
	slot := u64(uint64(s.Slot))
	for _, id := range kept {
		rows = append(rows, r.tree.sealShardRow(rowConsent, idConsent(id), slot))
	}
	identity := w.identity(s)
	ids, err := w.identifiers(identity)
	if err != nil {
		return nil, err
	}
	since := 0
	for _, id := range ids {
		row, late, err := r.indexRow(w, s, identity.key, id)
		if err != nil {
			return nil, err
		}
		if late {
			since++
		}
		rows = append(rows, row)
	}
	channels, err := w.channels(identity)
	if err != nil {
		return nil, err
	}
	for _, c := range channels {
		rows = append(rows, r.tree.sealShardRow(rowManage, c.hash[:], append(append(slices.Clone(slot), u32(c.epoch)...), c.name...)))
	}
	plan, err := r.planRow(w, s, kept)
	if err != nil {
		return nil, err
	}
	r.report.IdentifiersAddedSince += since
	return append(rows, plan...), nil
}

// indexRow makes the row of an identifier in the index in which the backup has
// it: that of locked people, or the other. late tells that the log does not have
// the entry that made it known.
func (r *restore) indexRow(w View, s *Subject, identity secret, id Identifier) (index row, late bool, err error) {
	slot, rest, ok, err := w.named(rowIndex, w.tree.index[0].live(id), 8)
	if err != nil {
		return row{}, false, err
	}
	if ok && slot == s.Slot {
		since := sinceOf(rest)
		if late = ledger.Size(since) >= r.size; late {
			since = 0
		}
		return r.tree.sealShardRow(rowIndex, r.tree.index[0].live(id), slotSince(slot, since)), late, nil
	}
	locked, err := w.isLocked(identity, id)
	if err == nil && !locked {
		err = fmt.Errorf("%w: an identifier is in no index", ErrDamaged)
	}
	mark := append(r.tree.index[0].legal(id), legalMark(identity, id)...)
	return r.tree.sealShardRow(rowLegal, mark, u64(uint64(s.Slot))), false, err
}

// planRow makes the row of what is planned for a person, without the consents
// that were taken off their list.
func (r *restore) planRow(w View, s *Subject, kept []ledger.ConsentID) ([]row, error) {
	if planned, err := w.has(w.tree.shardRowKey(rowPlan, idSlot(s.Slot))); !planned || err != nil {
		return nil, err
	}
	c, err := w.planned(s.Slot)
	if err != nil {
		return nil, err
	}
	c.Consents = slices.DeleteFunc(c.Consents, func(id ledger.ConsentID) bool { return ledger.Size(id) >= r.size })
	switch {
	case len(c.Consents) == len(kept):
		c = Change{Erase: true}
	case !c.Erase && !c.Lock && len(c.Consents)+len(c.Identifiers)+len(c.Channels) == 0:
		return nil, nil
	}
	return []row{r.tree.sealShardRow(rowPlan, idSlot(s.Slot), c.encode())}, nil
}
