package vault

import (
	"bytes"
	"crypto/cipher"
	"encoding/binary"
	"maps"
	"slices"

	"github.com/consentledger/consentledger/ledger"
)

// hoard is all versions of all rows out of any number of copies, in an order in
// which they can be found.
type hoard struct {
	rows   []*rawRow
	byKey  map[string][]*rawRow
	shards [shardCount][]*rawRow
	kinds  [256][]*rawRow // those of which any may fit a key: root rows, lists, suppressions
}

func newHoard(rows []*rawRow) *hoard {
	h := &hoard{rows: rows, byKey: make(map[string][]*rawRow, len(rows))}
	for n, row := range rows {
		row.n = n
		if len(row.value) == 0 {
			continue
		}
		switch kind := row.key[0]; kind {
		case rowShard:
			s := shardIn(row.key)
			h.shards[s] = append(h.shards[s], row)
		case rowRoot, rowErasure, rowSuppression:
			h.kinds[kind] = append(h.kinds[kind], row)
		default:
			h.byKey[string(row.key)] = append(h.byKey[string(row.key)], row)
		}
	}
	return h
}

// raider is an attacker who knows the formats and holds some root keys and a
// hoard. Other than [attack], which tries every key against every row, it tries
// a key only where a row's key says that it might fit, whatever else is known of
// the row; so it can be let loose on a vault of any size. [TestRaidIsExhaustive]
// shows that it finds the same.
type raider struct {
	*hoard
	hidden []bool // rows that it does not have, by number; nil for none

	keys   map[secret]bool
	opened [][][]byte      // by the number of the row, what it gave
	said   map[string]bool // identifiers, kind ‖ 0 ‖ value, and disclosures
	index  []indexKey
	// suppression holds the keys of the suppression list.
	suppression []secret

	days   []secret
	people map[Slot]*raided
	news   map[Slot]bool               // of whom something was learnt
	marks  map[[markSize]byte][]secret // subject keys by the mark in requests
	outers map[*rawRow][]byte          // requests of which the inner part is closed
}

// raided is what a raider knows of a slot.
type raided struct {
	keys     map[secret]bool
	consents map[ledger.ConsentID]bool
	named    int // rows that name the slot, but for those of requests
}

func newRaider(h *hoard) *raider {
	return &raider{
		hoard: h, keys: make(map[secret]bool), opened: make([][][]byte, len(h.rows)),
		said: make(map[string]bool), people: make(map[Slot]*raided), news: make(map[Slot]bool),
		marks: make(map[[markSize]byte][]secret), outers: make(map[*rawRow][]byte),
	}
}

// newRaiderOf gives a raider who has one copy only.
func newRaiderOf(h *hoard, c rawCopy) *raider {
	r := newRaider(h)
	r.hidden = make([]bool, len(h.rows))
	for n, row := range h.rows {
		r.hidden[n] = !row.in(c)
	}
	return r
}

// try opens a row, if the raider has it and the key fits, and notes what it
// gave.
func (r *raider) try(row *rawRow, aead cipher.AEAD) (plain []byte, ok bool) {
	if r.hidden != nil && r.hidden[row.n] {
		return nil, false
	}
	plain, err := aead.Open(nil, nil, row.value, row.key)
	if err != nil {
		return nil, false
	}
	r.gain(row, plain)
	return plain, true
}

func (r *raider) gain(row *rawRow, plain []byte) {
	for _, had := range r.opened[row.n] {
		if bytes.Equal(had, plain) {
			return
		}
	}
	r.opened[row.n] = append(slices.Clip(r.opened[row.n]), plain) // a clone may share it
}

// tryAll tries a key against rows.
func (r *raider) tryAll(rows []*rawRow, k secret) {
	aead := newAEAD(k)
	for _, row := range rows {
		r.try(row, aead)
	}
}

// open tries a key against all versions of a row and calls fn with what each
// gave. It tells whether there is any version.
func (r *raider) open(key []byte, aead cipher.AEAD, fn func(plain []byte)) bool {
	rows := r.byKey[string(key)]
	for _, row := range rows {
		if plain, ok := r.try(row, aead); ok {
			fn(plain)
		}
	}
	return len(rows) > 0
}

// openNumbered does so with rows that are numbered from 0, over gaps, too.
func (r *raider) openNumbered(key func(n uint32) []byte, aead cipher.AEAD, fn func(plain []byte)) {
	for n, missing := uint32(0), 0; missing < 5; n++ {
		if !r.open(key(n), aead, fn) {
			missing++
		}
	}
}

// learn takes root keys and opens whatever can be opened from there.
func (r *raider) learn(roots ...rootKey) {
	for _, root := range roots {
		r.learnRoot(root)
	}
	r.goOn()
}

// learnRoot opens what lies under a root key and the keys of shards.
func (r *raider) learnRoot(root rootKey) {
	r.keys[root.key] = true
	r.tryAll(r.kinds[rowErasure], derive(root.key, "erasure"))
	for _, row := range r.kinds[rowRoot] {
		// Whatever generation a root row claims, the key is tried on it.
		generation, err := rootGeneration(row.value)
		if err != nil || r.hidden != nil && r.hidden[row.n] {
			continue
		}
		if t, err := decodeTree(rootKey{generation, root.key}, row.value); err == nil {
			r.learnTree(t)
		}
	}
}

func (r *raider) learnTree(t *tree) {
	isNew := func(k secret) bool {
		known := r.keys[k]
		r.keys[k] = true
		return !known
	}
	for s := range t.shards {
		if isNew(t.shards[s].key) {
			r.learnShard(uint16(s), t.shards[s].aead)
		}
	}
	for _, d := range t.days {
		if isNew(d.key) {
			r.days = append(r.days, d.key)
		}
	}
	if isNew(t.suppression) {
		r.suppression = append(r.suppression, t.suppression)
		r.tryAll(r.kinds[rowSuppression], derive(t.suppression, "suppression"))
	}
	for _, k := range t.index {
		if isNew(k.key) {
			r.index = append(r.index, k)
		}
	}
}

// goOn opens what lies under the keys of people.
func (r *raider) goOn() {
	for len(r.news) > 0 {
		news := r.news
		r.news = make(map[Slot]bool)
		for slot := range news {
			p := r.people[slot]
			for k := range p.keys {
				r.learnSubject(k)
			}
		}
	}
	for row, outer := range r.outers {
		for _, k := range r.marks[[markSize]byte(outer[8:])] {
			for _, day := range r.days {
				inner, err := open(under(k, "idempotency", string(day[:])), outer[8+markSize:], innerLabel(row.key[shardKeySize+1:]))
				if err == nil {
					r.gain(row, inner)
					delete(r.outers, row)
				}
			}
		}
	}
}

func (r *raider) person(slot []byte) *raided {
	s := Slot(binary.BigEndian.Uint64(slot))
	if r.people[s] == nil {
		r.people[s] = &raided{make(map[secret]bool), make(map[ledger.ConsentID]bool), 0}
	}
	r.news[s] = true
	return r.people[s]
}

// learnShard tries a shard's key against the shard's rows of all generations.
func (r *raider) learnShard(s uint16, aead cipher.AEAD) {
	for _, row := range r.shards[s] {
		plain, ok := r.try(row, aead)
		if !ok {
			continue
		}
		id := row.key[shardKeySize+1:]
		switch row.key[shardKeySize] {
		case rowSubject:
			s, err := parseSubject(Slot(binary.BigEndian.Uint64(id)), plain)
			if err != nil {
				panic(err)
			}
			r.person(id).keys[s.key] = true
			for _, id := range s.identity.ids {
				r.said[string(id.encode())] = true
			}
			r.learnIdentity(s.identity.key)
			for _, c := range s.first {
				r.learnConsent(c.key)
			}
		case rowConsent:
			r.person(plain).consents[ledger.ConsentID(binary.BigEndian.Uint64(id))] = true
			r.person(plain).named++
		case rowIndex, rowLegal, rowManage:
			r.person(plain).named++
		case rowPlan:
			if c, err := parseChange(plain); err == nil {
				for _, id := range c.Identifiers {
					r.said[id.Kind+"\x00"+id.Value] = true
				}
			}
		case rowIdempotency:
			r.outers[row] = plain
		}
	}
}

func (r *raider) learnSubject(k secret) {
	if !r.keys[k] {
		r.keys[k] = true
		mark := [markSize]byte(requestMark(&Subject{key: k}))
		r.marks[mark] = append(slices.Clip(r.marks[mark]), k)
	}
	r.openNumbered(func(n uint32) []byte { return keyConsent(k, n) }, under(k, "wrap"), func(plain []byte) { r.learnConsent(ConsentKey(plain[8:])) })
}

func (r *raider) learnIdentity(k secret) {
	if r.keys[k] {
		return
	}
	r.keys[k] = true
	aead := newAEAD(derive(k, "identity"))
	r.openNumbered(func(n uint32) []byte { return keyIdentifier(k, n) }, aead, func(plain []byte) { r.said[string(plain)] = true })
	r.openNumbered(func(n uint32) []byte { return keyChannel(k, n) }, aead, func([]byte) {})
}

func (r *raider) learnConsent(k ConsentKey) {
	if r.keys[secret(k)] {
		return
	}
	r.keys[secret(k)] = true
	r.openNumbered(func(n uint32) []byte { return keyClaims(k, n) }, under(secret(k), "claims"), func(plain []byte) {
		added, err := parseAdded(plain)
		if err == nil {
			err = added.each(r.learnClaim)
		}
		if err != nil {
			panic(err)
		}
	})
}

func (r *raider) learnClaim(c Claim) {
	r.said[c.Disclosure.Text()] = true
	if blob := c.Blob; blob != nil {
		r.keys[blob.Key] = true
		r.openNumbered(func(n uint32) []byte { return keyBlob(blob.ID, n) }, newAEAD(blob.Key), func([]byte) {})
	}
}

// lists counts the lists of rows that passes wrote down and the raider can open:
// they show which rows belong together.
func (r *raider) lists() (n int) {
	for _, row := range r.kinds[rowErasure] {
		if len(r.opened[row.n]) > 0 {
			n++
		}
	}
	return n
}

// clone gives a raider who knows the same and can learn something else.
func (r *raider) clone() *raider {
	c := *r
	c.keys, c.said, c.news = maps.Clone(r.keys), maps.Clone(r.said), make(map[Slot]bool)
	c.marks, c.outers = maps.Clone(r.marks), maps.Clone(r.outers)
	c.opened, c.index = slices.Clone(r.opened), slices.Clone(r.index)
	c.days, c.suppression = slices.Clone(r.days), slices.Clone(r.suppression)
	c.people = make(map[Slot]*raided, len(r.people))
	for slot, p := range r.people {
		c.people[slot] = &raided{maps.Clone(p.keys), maps.Clone(p.consents), p.named}
	}
	return &c
}
