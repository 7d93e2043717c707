package vault

import (
	"encoding/binary"

	"github.com/consentledger/consentledger/ledger"
)

// tracker is an attacker who knows everybody's identifiers and wants to know of
// whom the vault ever held something, and under which slot and consents: these
// stand in the keys of rows in clear, and the log says what a consent was. It
// computes what each key of the blind index and of the suppression list that a
// raider found makes of an identifier, and looks for it in the keys of rows,
// deleted ones too, and in the lists of keys in the records of groups. Rows of
// one transaction are held to belong together.
type tracker struct {
	index       []indexKey
	suppression []secret
	// named says by type ‖ id where a row of the blind index or of the
	// suppression list was written, deleted or listed.
	named map[string][]mention
	// telling holds the transactions with a row whose key names a slot or a
	// consent.
	telling map[uint64]bool
	opened  map[string]Slot // by type ‖ id: what a row gave
}

// mention is a transaction, and a place in its group's list of keys if it has
// one.
type mention struct {
	ts   uint64
	list [][]byte
	at   int
}

func newTracker(r *raider) *tracker {
	c := &tracker{r.index, r.suppression, make(map[string][]mention), make(map[uint64]bool), make(map[string]Slot)}
	for n, row := range r.rows {
		c.note(row.key, mention{ts: row.ts})
		if row.key[0] == rowGroup {
			if g, err := parseGroup(row.value); err == nil {
				for at, key := range g.keys {
					c.note(key, mention{row.ts, g.keys, at})
				}
			}
		}
		if plains := r.opened[n]; len(plains) > 0 && isNamed(row.key) {
			if row.key[0] == rowShard {
				c.opened[named(row.key)] = Slot(binary.BigEndian.Uint64(plains[0]))
			}
		}
	}
	return c
}

// typeOf gives what tells rows apart: the type of a shard row, the kind of others.
func typeOf(key []byte) (typ byte, ofShard bool) {
	if key[0] == rowShard {
		return key[shardKeySize], true
	}
	return key[0], false
}

// isNamed tells whether a row is named after an identifier.
func isNamed(key []byte) bool {
	typ, ofShard := typeOf(key)
	return ofShard && (typ == rowIndex || typ == rowLegal) || !ofShard && typ == rowSuppression
}

// named gives the part of such a row's key by which the identifier can be
// recognised.
func named(key []byte) string {
	if key[0] == rowShard {
		key = key[shardKeySize:]
		if key[0] == rowLegal {
			key = key[:1+indexIDSize]
		}
	}
	return string(key)
}

// tells tells whether a row's key names a slot or a consent.
func tells(key []byte) bool {
	typ, ofShard := typeOf(key)
	return ofShard && (typ == rowSubject || typ == rowPlan || typ == rowConsent)
}

func (c *tracker) note(key []byte, m mention) {
	if isNamed(key) {
		c.named[named(key)] = append(c.named[named(key)], m)
	}
	if tells(key) {
		c.telling[m.ts] = true
	}
}

// marks gives what each known key makes of an identifier.
func (c *tracker) marks(id Identifier) (marks [][]byte) {
	for _, k := range c.index {
		marks = append(marks, rowKey(rowIndex, k.live(id)), rowKey(rowLegal, k.legal(id)))
	}
	return marks
}

// trail is what a tracker finds out about an identifier.
type trail struct {
	known    bool // the vault knew it once
	told     bool // and something leads on to a slot or a consent
	slots    map[Slot]bool
	consents map[ledger.ConsentID]bool
}

func (c *tracker) follow(id Identifier) trail {
	f := trail{slots: make(map[Slot]bool), consents: make(map[ledger.ConsentID]bool)}
	for _, mark := range c.marks(id) {
		if slot, ok := c.opened[string(mark)]; ok {
			f.known, f.told, f.slots[slot] = true, true, true
		}
		for _, m := range c.named[string(mark)] {
			f.known = true
			f.told = f.told || c.telling[m.ts]
			f.beside(m)
		}
	}
	return f
}

// beside guesses by a group's list to whom a mention belongs: after an
// identifier come the person's first consent and the person.
func (f trail) beside(m mention) {
	if m.list == nil {
		return
	}
	for _, key := range m.list[m.at:] {
		if typ, ofShard := typeOf(key); ofShard && (typ == rowSubject || typ == rowPlan) {
			f.slots[slotOf(key)] = true
			break
		}
	}
	for _, key := range m.list[m.at:] {
		if typ, ofShard := typeOf(key); ofShard && typ == rowConsent {
			f.consents[ledger.ConsentID(binary.BigEndian.Uint64(key[shardKeySize+1:]))] = true
			break
		}
	}
}

// suppressed tells whether an identifier is found on the suppression list, and
// whether something leads on from there.
func (c *tracker) suppressed(id Identifier, purpose string) (known, told bool) {
	for _, k := range c.suppression {
		for n := range uint32(3) {
			hash := View{tree: &tree{suppression: k}}.suppressionHash(id, purpose, n)
			for _, m := range c.named[string(keySuppression(hash))] {
				known = true
				told = told || c.telling[m.ts]
			}
		}
	}
	return known, told
}
