package vault

import "github.com/consentledger/consentledger/ledger"

// census is everything that can be reached in an open vault from the tree in
// force: every row is opened, and every key found with the key that wraps it.
type census struct {
	// wrapped gives the key by which each key is wrapped.
	wrapped map[secret]secret
	// ofPeople are subject keys, identity keys, keys of consents and of blobs.
	ofPeople map[secret]bool
	people   map[Slot]*counted
	requests int
}

// counted is a person in a census.
type counted struct {
	ids      []Identifier
	consents []ledger.ConsentID
	live     []bool // of each identifier, whether it is in the blind index
	locked   []bool // or among the locked people
}

// takeCensus opens every row, and makes sure that nothing is half there: every
// row belongs to something that can be reached, and whatever names something
// names what is there. Blobs are written before anything names them, so loose
// ones may be as many as the test knows.
func takeCensus(t tb, v *Vault, looseBlobs int) *census {
	t.Helper()
	c := &census{make(map[secret]secret), make(map[secret]bool), make(map[Slot]*counted), 0}
	rows := dump(t, v)
	w := v.view()
	defer w.release()
	for i := range w.tree.shards {
		c.wrapped[w.tree.shards[i].key] = v.root.key
	}
	for _, d := range w.tree.days {
		c.wrapped[d.key] = v.root.key
	}
	for _, k := range w.tree.index {
		c.wrapped[k.key] = v.root.key
	}
	c.wrapped[w.tree.suppression] = v.root.key
	for key := range rows {
		if key[0] == rowShard && key[shardKeySize] == rowSubject {
			c.person(t, w, rows, slotOf([]byte(key)))
		}
	}
	for key, value := range rows {
		c.row(t, w, rows, []byte(key), []byte(value), &looseBlobs)
	}
	for slot, p := range c.people {
		for i := range p.ids {
			if slot != 0 && p.live[i] == p.locked[i] {
				t.Fatalf("an identifier is in the index: %v, among the locked: %v", p.live[i], p.locked[i])
			}
		}
	}
	if len(rows) > 0 {
		for key := range rows {
			t.Fatalf("%d rows belong to nothing, one of kind %q", len(rows), key[0])
		}
	}
	return c
}

// takeRow takes a row that must be there out of rows.
func takeRow(t tb, rows map[string]string, key []byte) {
	t.Helper()
	if _, ok := rows[string(key)]; !ok {
		t.Fatalf("a row of kind %q is missing", key[0])
	}
	delete(rows, string(key))
}

// person opens everything of a person and takes their rows out of rows.
func (c *census) person(t tb, w View, rows map[string]string, slot Slot) {
	t.Helper()
	s, ok, err := w.subject(slot)
	if err != nil || !ok {
		t.Fatalf("a subject key: %v, %v", ok, err)
	}
	shard := w.tree.shards[uint16(slot)&shardMask].key
	c.wrap(shard, s.key)
	takeRow(t, rows, w.tree.shardRowKey(rowSubject, idSlot(slot)))
	p := &counted{}
	c.people[slot] = p
	if slot == 0 {
		c.wrap(shard, secret(must[ConsentKey](t)(w.ConsentKey(s, 0))))
		return
	}
	identity := w.identity(s)
	c.wrap(shard, identity.key)
	p.ids = must[[]Identifier](t)(w.identifiers(identity))
	for n, id := range p.ids {
		if n >= len(identity.ids) {
			takeRow(t, rows, keyIdentifier(identity.key, uint32(n)))
		}
		p.count(t, w, rows, slot, identity.key, id)
	}
	for n, channel := range must[[]channel](t)(w.channels(identity)) {
		if n >= len(identity.channels) {
			takeRow(t, rows, keyChannel(identity.key, uint32(n)))
		}
		key := w.tree.shardRowKey(rowManage, channel.hash[:])
		if by, _, ok, err := w.named(rowManage, channel.hash[:], 4); err != nil || !ok || by != slot {
			t.Fatalf("a manage token: %v, %v", ok, err)
		}
		takeRow(t, rows, key)
	}
	p.consents = must[[]ledger.ConsentID](t)(w.Consents(s))
	if len(p.consents) == 0 {
		t.Fatal("a person without consents")
	}
	for n, id := range p.consents {
		by := shard
		if n >= len(s.first) {
			takeRow(t, rows, keyConsent(s.key, uint32(n)))
			by = s.key
		}
		takeRow(t, rows, w.tree.shardRowKey(rowConsent, idConsent(id)))
		if found, ok, err := w.SubjectOf(id); err != nil || !ok || found.Slot != slot {
			t.Fatalf("a consent's person: %v, %v", ok, err)
		}
		k := must[ConsentKey](t)(w.ConsentKey(s, id))
		c.wrap(by, secret(k))
		c.consent(t, w, rows, k)
	}
}

func (c *census) wrap(by, k secret) {
	c.wrapped[k] = by
	c.ofPeople[k] = true
}

// count finds an identifier in the indexes, and takes its rows out of rows.
func (p *counted) count(t tb, w View, rows map[string]string, slot Slot, identity secret, id Identifier) {
	t.Helper()
	live, locked := 0, 0
	for _, k := range w.tree.index {
		by, _, ok, err := w.named(rowIndex, k.live(id), 8)
		check(t, err)
		if ok && by == slot {
			live++
			takeRow(t, rows, w.tree.shardRowKey(rowIndex, k.live(id)))
		}
		legal := append(k.legal(id), legalMark(identity, id)...)
		by, _, ok, err = w.named(rowLegal, legal, 0)
		check(t, err)
		if ok && by == slot {
			locked++
			takeRow(t, rows, w.tree.shardRowKey(rowLegal, legal))
		}
	}
	// Under the key that a re-key puts in place next it may be missing still.
	p.live, p.locked = append(p.live, live > 0), append(p.locked, locked > 0)
}

// consent opens all claims and blobs of a consent.
func (c *census) consent(t tb, w View, rows map[string]string, k ConsentKey) {
	t.Helper()
	var blobs []*BlobRef
	n, err := w.claims(k, func(c Claim) { blobs = append(blobs, c.Blob) })
	check(t, err)
	for n := range n {
		takeRow(t, rows, keyClaims(k, n))
	}
	for _, blob := range blobs {
		if blob == nil || c.ofPeople[blob.Key] {
			continue // a blob may be named by several consents of a person
		}
		c.wrap(secret(k), blob.Key)
		for _, key := range blobKeys(*blob) {
			sealed, ok, err := w.get(key)
			if err != nil || !ok {
				t.Fatalf("a blob: %v, %v", ok, err)
			}
			if _, err := open(newAEAD(blob.Key), sealed, key); err != nil {
				t.Fatal(err)
			}
			takeRow(t, rows, key)
		}
	}
}

// row looks at a row that no person has.
func (c *census) row(t tb, w View, rows map[string]string, key, value []byte, looseBlobs *int) {
	t.Helper()
	switch key[0] {
	case rowVersion, rowRoot, rowGroup:
	case rowSuppression:
		if _, err := w.tree.openSuppression(key, value); err != nil {
			t.Fatal(err)
		}
	case rowBlob:
		if *looseBlobs--; *looseBlobs < 0 {
			t.Fatal("a blob that nobody names")
		}
	case rowShard:
		plain, err := w.tree.openShardRow(nil, shardIn(key), key, value)
		check(t, err)
		switch key[shardKeySize] {
		case rowIdempotency: // outlives its person
			c.requests++
		case rowPlan:
			if _, err := parseChange(plain); err != nil || c.people[slotOf(key)] == nil {
				t.Fatalf("a plan for nobody: %v", err)
			}
		default:
			return
		}
	default:
		return
	}
	delete(rows, string(key))
}
