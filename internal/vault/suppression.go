package vault

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// The suppression list says that nothing may be sent to somebody, also when
// nothing else is held about them any more. It has a key of its own, which
// erasures and re-keys wrap anew and never replace, and names nobody.
//
//	key    's' HMAC(suppression key, kind ‖ 0 ‖ value ‖ 0 ‖ purpose ‖ 0 ‖ n u32)
//	value  under HKDF(suppression key, "suppression"):
//	       n u32, the HMAC of n-1 (zeros for n = 0), the HMAC of n+1, month
//
// A row is added for each suppression (n even, with its month) and for each
// lifting (n odd, month empty), counting from 0 without gaps: who has an odd
// number of rows is suppressed. The neighbours let a sweep find, without
// knowing anybody, the rows of those whose suppression was lifted.
const suppressionSize = 4 + 32 + 32

func (w View) suppressionHash(id Identifier, purpose string, n uint32) []byte {
	sum := macOf(w.tree.suppression, append([]byte(id.Kind+"\x00"+id.Value+"\x00"+purpose+"\x00"), u32(n)...))
	return sum[:]
}

// suppressions counts the rows of an identifier and a purpose, and makes sure
// that the last one opens.
func (w View) suppressions(id Identifier, purpose string) (uint32, error) {
	n, err := firstFree(func(n uint32) (bool, error) {
		return w.has(keySuppression(w.suppressionHash(id, purpose, n)))
	})
	if err != nil || n == 0 {
		return n, err
	}
	key := keySuppression(w.suppressionHash(id, purpose, n-1))
	sealed, _, err := w.get(key)
	if err != nil {
		return 0, err
	}
	last, err := w.tree.openSuppression(key, sealed)
	if err == nil && last.n != n-1 {
		err = fmt.Errorf("%w: a row of the suppression list is another's", ErrDamaged)
	}
	return n, err
}

// Suppressed tells whether an identifier is on the suppression list for a
// purpose.
func (w View) Suppressed(id Identifier, purpose string) (bool, error) {
	n, err := w.suppressions(id, purpose)
	return n%2 == 1, err
}

// Suppress puts an identifier on the suppression list for a purpose, with the
// month, as in "2026-11". Who is on it already stays as they are.
func (d *Draft) Suppress(id Identifier, purpose, month string) error {
	if _, err := time.Parse("2006-01", month); err != nil {
		return d.fail("suppressing", fmt.Errorf("the month %q is not like 2026-11", month))
	}
	return d.fail("suppressing", d.addSuppression(id, purpose, month, 0))
}

// Unsuppress takes an identifier off the suppression list for a purpose. Who is
// not on it stays as they are. The rows go with the next re-key of the blind
// index.
func (d *Draft) Unsuppress(id Identifier, purpose string) error {
	return d.fail("lifting a suppression", d.addSuppression(id, purpose, "", 1))
}

// addSuppression adds the next row if its number is even or odd as wanted.
func (d *Draft) addSuppression(id Identifier, purpose, month string, parity uint32) error {
	d.batch.v.anySuppressed.Store(true)
	n, err := d.suppressions(id, purpose)
	if err != nil || n%2 != parity {
		return err
	}
	plain := u32(n)
	if n == 0 {
		plain = append(plain, make([]byte, 32)...)
	} else {
		plain = append(plain, d.suppressionHash(id, purpose, n-1)...)
	}
	plain = append(plain, d.suppressionHash(id, purpose, n+1)...)
	plain = append(plain, month...)
	return d.put(sealRow(keySuppression(d.suppressionHash(id, purpose, n)), under(d.tree.suppression, "suppression"), plain))
}

// suppression is a row of the list, opened.
type suppression struct {
	n             uint32
	before, after []byte // keys of the rows next to it
}

func (t *tree) openSuppression(key, sealed []byte) (s suppression, err error) {
	plain, err := open(under(t.suppression, "suppression"), sealed, key)
	if err == nil && len(plain) < suppressionSize {
		err = fmt.Errorf("%w: a row of the suppression list has %d bytes", ErrDamaged, len(plain))
	}
	if err != nil {
		return s, err
	}
	return suppression{binary.BigEndian.Uint32(plain), keySuppression(plain[4:36]), keySuppression(plain[36:68])}, nil
}

// sweepSuppressions deletes the rows of those whose suppression was lifted,
// unless the newest group, which may be dropped, has added one of them.
func (v *Vault) sweepSuppressions() error {
	var lifted [][]byte // keys of rows that may be the last ones
	err := v.View(func(w View) error {
		return eachRow(w.txn, []byte{rowSuppression}, func(key, sealed []byte) error {
			s, err := w.tree.openSuppression(key, sealed)
			if err == nil && s.n%2 == 1 {
				lifted = append(lifted, bytes.Clone(key))
			}
			return err
		})
	})
	if err != nil || len(lifted) == 0 {
		return err
	}
	v.writing.Lock()
	defer v.writing.Unlock()
	w := v.view()
	defer w.release()
	newest := make(map[string]bool)
	for _, key := range v.group.keys {
		newest[string(key)] = true
	}
	var rows [][]byte
	for i, last := range lifted {
		more, err := w.liftedRows(last, newest)
		if err != nil {
			return err
		}
		rows = append(rows, more...)
		if len(rows) < 1000 && i < len(lifted)-1 {
			continue
		}
		// All rows about one person and purpose in one transaction: a part of
		// them would say something else.
		err = v.db.Update(func(txn *badger.Txn) error {
			for _, key := range rows {
				if err := txn.Delete(key); err != nil {
					return err
				}
			}
			return nil
		})
		if err == nil {
			err = v.step("suppressions swept")
		}
		if err != nil {
			return v.stop(err)
		}
		rows = nil
	}
	return nil
}

// liftedRows gives the keys of all rows up to one that lifts a suppression, none
// if it is not the last one, or if one of them is among newest.
func (w View) liftedRows(last []byte, newest map[string]bool) (keys [][]byte, err error) {
	for key := last; ; {
		sealed, ok, err := w.get(key)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, fmt.Errorf("%w: a row of the suppression list is missing", ErrDamaged)
		}
		s, err := w.tree.openSuppression(key, sealed)
		if err != nil {
			return nil, err
		}
		if len(keys) == 0 {
			if more, err := w.has(s.after); more || err != nil {
				return nil, err
			}
		}
		if newest[string(key)] {
			return nil, nil
		}
		keys = append(keys, key)
		if s.n == 0 {
			return keys, nil
		}
		key = s.before
	}
}
