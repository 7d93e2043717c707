package vault

import (
	"bytes"
	"math"
	"path/filepath"
	"testing"

	"github.com/dgraph-io/badger/v4"
)

// stale is one version of one row as it lies in a copy of Badger's files,
// superseded and deleted ones too.
type stale struct{ key, value string }

// rawRows parses all versions of all rows out of copies of a vault.
func rawRows(t *testing.T, dirs ...string) map[stale]bool {
	t.Helper()
	rows := make(map[stale]bool)
	for _, dir := range dirs {
		// No compaction and no version limit: what lies there is to be seen.
		db, err := badger.Open(badger.DefaultOptions(filepath.Join(dir, "vault")).
			WithNumVersionsToKeep(math.MaxInt32).WithNumCompactors(0).WithMemTableSize(8 << 20).
			WithValueLogFileSize(1 << 20).WithLogger(nil))
		check(t, err)
		txn := db.NewTransaction(false)
		it := txn.NewIterator(badger.IteratorOptions{AllVersions: true})
		for it.Rewind(); it.Valid(); it.Next() {
			value := must[[]byte](t)(it.Item().ValueCopy(nil))
			if len(value) > 0 {
				rows[stale{string(it.Item().Key()), string(value)}] = true
			}
		}
		it.Close()
		txn.Discard()
		check(t, db.Close())
	}
	return rows
}

// attacker tries every key that it comes to know against every row.
type attacker struct {
	sealed []sealedRow // all rows but 'R', 'G' and 'V', which are not one sealed value
	keys   map[secret]bool
	todo   []secret
	opened map[stale][][]byte // what each row gave
}

// attack gives everything that opens, starting from some root keys.
func attack(rows map[stale]bool, roots ...rootKey) *attacker {
	a := &attacker{keys: make(map[secret]bool), opened: make(map[stale][][]byte)}
	for r := range rows {
		if r.key[0] != rowRoot && r.key[0] != rowGroup && r.key[0] != rowVersion {
			a.sealed = append(a.sealed, sealedRow{r, []byte(r.key), []byte(r.value)})
		}
	}
	var others, shardKeys []secret
	for _, root := range roots {
		others = append(others, root.key)
		for r := range rows {
			// Whatever generation a root row claims, the key is tried on it.
			generation, err := rootGeneration([]byte(r.value))
			if r.key != string(keyRoot()) || err != nil {
				continue
			}
			t, err := decodeTree(rootKey{generation, root.key}, []byte(r.value))
			if err != nil {
				continue
			}
			for s := range t.shards {
				shardKeys = append(shardKeys, t.shards[s].key)
			}
			others = append(others, t.suppression, t.days[0].key, t.days[1].key)
			for _, k := range t.index {
				others = append(others, k.key)
			}
		}
	}
	for _, k := range others {
		a.learn(k)
	}
	for _, k := range shardKeys {
		if !a.keys[k] {
			a.keys[k] = true
			a.tryShard(k)
		}
	}
	for len(a.todo) > 0 {
		k := a.todo[0]
		a.todo = a.todo[1:]
		a.try(k)
		for _, label := range []string{"wrap", "identity", "claims", "erasure", "suppression"} {
			a.try(derive(k, label))
		}
		for _, day := range others {
			a.tryInner(derive(k, "idempotency", string(day[:])))
		}
	}
	return a
}

// sealedRow is a stale row, ready to be opened.
type sealedRow struct {
	stale
	aad, sealed []byte
}

func (a *attacker) learn(k secret) {
	if !a.keys[k] {
		a.keys[k] = true
		a.todo = append(a.todo, k)
	}
}

// gain notes what a row gave and learns every key in it.
func (a *attacker) gain(r stale, plain []byte) {
	for _, had := range a.opened[r] {
		if bytes.Equal(had, plain) {
			return
		}
	}
	a.opened[r] = append(a.opened[r], plain)
	switch r.key[0] {
	case rowShard:
		if s, err := parseSubject(0, plain); err == nil {
			a.learn(s.key)
			a.learn(s.identity.key)
			for _, c := range s.first {
				a.learn(secret(c.key))
			}
		}
	case rowWrapped: // a consent's behind its id
		a.learn(secret(plain[8:]))
	case rowClaim:
		if added, err := parseAdded(plain); err == nil {
			added.each(func(c Claim) {
				if c.Blob != nil {
					a.learn(c.Blob.Key)
				}
			})
		}
	}
}

// tryShard tries a shard key against all shard rows of whatever shard.
func (a *attacker) tryShard(k secret) {
	aead := newAEAD(k)
	for _, r := range a.sealed {
		if r.aad[0] != rowShard {
			continue
		}
		if plain, err := aead.Open(nil, nil, r.sealed, r.aad); err == nil {
			a.gain(r.stale, plain)
		}
	}
}

// try tries a key against all rows.
func (a *attacker) try(k secret) {
	aead := newAEAD(k)
	for _, r := range a.sealed {
		if plain, err := aead.Open(nil, nil, r.sealed, r.aad); err == nil {
			a.gain(r.stale, plain)
		}
	}
}

// tryInner tries a key against the inner parts of idempotency rows.
func (a *attacker) tryInner(k secret) {
	aead := newAEAD(k)
	for r, plains := range a.opened {
		if r.key[0] != rowShard || r.key[shardKeySize] != rowIdempotency {
			continue
		}
		inner, err := aead.Open(nil, nil, plains[0][8+markSize:], innerLabel([]byte(r.key[shardKeySize+1:])))
		if err == nil {
			a.gain(r, inner)
		}
	}
}

// finds gives in how many rows that were opened a text stands.
func (a *attacker) finds(text string) (n int) {
	for _, plains := range a.opened {
		for _, plain := range plains {
			if bytes.Contains(plain, []byte(text)) {
				n++
				break
			}
		}
	}
	return n
}
