package vault

import (
	"encoding/binary"
	"fmt"
	"time"
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
	return macOf(w.tree.suppression, append([]byte(id.Kind+"\x00"+id.Value+"\x00"+purpose+"\x00"), u32(n)...))
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
	plain, _, err := w.sealedRow(keySuppression(w.suppressionHash(id, purpose, n-1)), derive(w.tree.suppression, "suppression"))
	if err != nil {
		return 0, err
	}
	if len(plain) < suppressionSize || binary.BigEndian.Uint32(plain) != n-1 {
		return 0, fmt.Errorf("%w: a row of the suppression list is another's", ErrDamaged)
	}
	return n, nil
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
	return d.put(sealRow(keySuppression(d.suppressionHash(id, purpose, n)), derive(d.tree.suppression, "suppression"), plain))
}
