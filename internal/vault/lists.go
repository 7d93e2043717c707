package vault

import (
	"bytes"
	"crypto/cipher"
	"fmt"

	"github.com/dgraph-io/badger/v4"
)

// A pass writes down, before it does either, which rows it writes beside others
// and which it deletes after its switch, so that a start can take the former
// back or finish the latter. Each row 'x' holds keys of rows, each after its
// length in one byte, under HKDF(the ROOT before the switch, "erasure"): only
// that ROOT opens the list, because it shows which rows belonged together.
const (
	listBeside = 'b' // to be deleted if the switch was not reached
	listDead   = 'd' // to be deleted after it
)

// listing writes one such list.
type listing struct {
	out        *rowWriter
	aead       cipher.AEAD
	generation uint32
	what       byte
	n          uint32
	list       []byte
}

func (p *pass) list(out *rowWriter, what byte) *listing {
	return &listing{out: out, aead: under(p.old.key, "erasure"), generation: p.next.generation, what: what}
}

func (l *listing) add(key []byte) error {
	l.list = append(append(l.list, byte(len(key))), key...)
	if len(l.list) < listLimit {
		return nil
	}
	return l.end()
}

// end writes what is waiting.
func (l *listing) end() error {
	if len(l.list) == 0 {
		return nil
	}
	r := sealRow(keyErasure(l.generation, l.what, l.n), l.aead, l.list)
	l.n, l.list = l.n+1, nil
	return l.out.set(r.key, r.value)
}

// listRows writes both lists of a pass.
func (v *Vault) listRows(w View, p *pass) error {
	out := v.passRows("erase listed")
	defer out.discard()
	dead, beside := p.list(out, listDead), p.list(out, listBeside)
	for _, m := range p.people {
		if err := m.deadRows(w, dead.add); err != nil {
			return err
		}
		if err := m.besideRows(w, func(r row) error { return beside.add(r.key) }); err != nil {
			return err
		}
	}
	if err := dead.end(); err != nil {
		return err
	}
	if err := beside.end(); err != nil {
		return err
	}
	return out.flush()
}

// deleteListed deletes the rows that the lists of one kind name; old is the ROOT
// under which they were written.
func (v *Vault) deleteListed(what byte, old rootKey, step string) error {
	aead := under(old.key, "erasure")
	unread := 0
	err := v.deleteFound(step, func(txn *badger.Txn, found func(key []byte)) error {
		return eachRow(txn, []byte{rowErasure}, func(key, value []byte) error {
			if key[5] != what {
				return nil
			}
			list, err := open(aead, value, key)
			if err != nil {
				unread++
				return nil
			}
			for len(list) > 0 {
				size := int(list[0])
				if len(list) < 1+size {
					return fmt.Errorf("%w: a list of rows to delete ends early", ErrDamaged)
				}
				found(list[1 : 1+size])
				list = list[1+size:]
			}
			return nil
		})
	})
	if unread > 0 {
		// The ROOT that opened them is destroyed, and with it all that the
		// rows could tell; they only take space.
		v.opt.Logger.Warn("rows of erased people stay in the vault as unreadable bytes", "lists", unread)
	}
	return err
}

// deleteLists deletes the lists themselves, once everything they name is gone.
func (v *Vault) deleteLists() error {
	return v.deleteFound("erase list deleted", func(txn *badger.Txn, found func(key []byte)) error {
		eachKey(txn, []byte{rowErasure}, []byte{rowErasure}, func(key []byte) bool {
			found(bytes.Clone(key))
			return true
		})
		return nil
	})
}
