package store

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/dgraph-io/badger/v4"

	"github.com/consentledger/consentledger/ledger"
)

// registry is what administrators declared. A published registry never
// changes; a group that declares something works on a copy.
type registry struct {
	purposes map[string][]ledger.Purpose // by id, version 1 first
	notices  map[string][]ledger.Notice  // by id, version 1 first
	sources  map[string]ledger.Source

	processors map[string]ledger.Processor
	claims     map[string]ledger.Index // those that are declared, each with the entry that says so
	keys       []ledger.KeyEntry       // ascending
}

func newRegistry() *registry {
	return &registry{map[string][]ledger.Purpose{}, map[string][]ledger.Notice{}, map[string]ledger.Source{},
		map[string]ledger.Processor{}, map[string]ledger.Index{}, nil}
}

func (r *registry) clone() *registry {
	return &registry{maps.Clone(r.purposes), maps.Clone(r.notices), maps.Clone(r.sources), maps.Clone(r.processors), maps.Clone(r.claims),
		slices.Clone(r.keys)}
}

// purpose gives the newest version that a log of this size has.
func (r *registry) purpose(id string, size ledger.Size) (ledger.Purpose, bool) {
	versions := r.purposes[id]
	for i := len(versions) - 1; i >= 0; i-- {
		if ledger.Size(versions[i].Index) < size {
			return versions[i], true
		}
	}
	return ledger.Purpose{}, false
}

// eachPurpose calls yield for the newest version of every purpose, in no order.
func (r *registry) eachPurpose(yield func(ledger.Purpose)) {
	for _, versions := range r.purposes {
		yield(versions[len(versions)-1])
	}
}

func (r *registry) notice(id string, version int64) (ledger.Notice, bool) {
	list := r.notices[id]
	if version == 0 {
		version = int64(len(list))
	}
	if version < 1 || version > int64(len(list)) {
		return ledger.Notice{}, false
	}
	return list[version-1], true
}

// keyEntry gives the newest key entry, which every log that is not empty has.
func (r *registry) keyEntry() ledger.KeyEntry { return r.keys[len(r.keys)-1] }

// apply takes over what entry i declared.
func (r *registry) apply(i ledger.Index, eff *ledger.Effects) {
	if p := eff.Purpose; p != nil {
		// Clip, because the published registry may share the array.
		r.purposes[p.ID] = append(slices.Clip(r.purposes[p.ID]), *p)
	}
	if n := eff.Notice; n != nil {
		r.notices[n.ID] = append(slices.Clip(r.notices[n.ID]), *n)
	}
	if s := eff.Source; s != nil {
		r.sources[s.Name] = *s
	}
	if p := eff.Processor; p != nil {
		r.processors[p.ID] = *p
	}
	if eff.Claim != "" {
		r.claims[eff.Claim] = i
	}
	if eff.KeyEntry != nil {
		r.keys = append(r.keys, *eff.KeyEntry)
	}
}

// declares reports whether an entry declared something.
func declares(eff *ledger.Effects) bool {
	return eff.Purpose != nil || eff.Notice != nil || eff.Source != nil || eff.Processor != nil || eff.Claim != "" || eff.KeyEntry != nil
}

// registryRows gives the rows that hold what entry i declared.
func registryRows(i ledger.Index, eff *ledger.Effects) (rows []row, err error) {
	add := func(key []byte, v any) {
		value, jsonErr := json.Marshal(v)
		if jsonErr != nil {
			err = jsonErr
		}
		rows = append(rows, row{key, value})
	}
	if p := eff.Purpose; p != nil {
		add(versionKey(purposeRow, p.ID, p.Version), p)
	}
	if n := eff.Notice; n != nil {
		add(versionKey(noticeRow, n.ID, n.Version), n)
	}
	if s := eff.Source; s != nil {
		add(append([]byte{sourceRow}, s.Name...), s)
	}
	if p := eff.Processor; p != nil {
		add(append([]byte{processorRow}, p.ID...), p)
	}
	if eff.Claim != "" {
		add(append([]byte{claimRow}, eff.Claim...), i)
	}
	if eff.KeyEntry != nil && i > 0 { // that entry 0 is one needs no row
		rows = append(rows, row{indexKey(keyRow, int64(i)), []byte{}})
	}
	return append(rows, declaredRows(i, eff)...), err
}

// readRegistry loads the registry from the database.
func readRegistry(txn *badger.Txn) (*registry, error) {
	r := newRegistry()
	err := eachRow(txn, purposeRow, func(_, value []byte) error {
		var p ledger.Purpose
		err := json.Unmarshal(value, &p)
		if err == nil && p.Version != int64(len(r.purposes[p.ID]))+1 {
			err = fmt.Errorf("%w: a version of purpose %s is missing", ErrDamaged, p.ID)
		}
		r.purposes[p.ID] = append(r.purposes[p.ID], p)
		return err
	})
	if err == nil {
		err = eachRow(txn, noticeRow, func(_, value []byte) error {
			var n ledger.Notice
			err := json.Unmarshal(value, &n)
			if err == nil && n.Version != int64(len(r.notices[n.ID]))+1 {
				err = fmt.Errorf("%w: a version of notice %s is missing", ErrDamaged, n.ID)
			}
			r.notices[n.ID] = append(r.notices[n.ID], n)
			return err
		})
	}
	if err == nil {
		err = readNamed(txn, sourceRow, r.sources, func(s ledger.Source) string { return s.Name })
	}
	if err == nil {
		err = readNamed(txn, processorRow, r.processors, func(p ledger.Processor) string { return p.ID })
	}
	if err == nil {
		err = eachRow(txn, claimRow, func(key, value []byte) error {
			var i ledger.Index
			err := json.Unmarshal(value, &i)
			r.claims[string(key[1:])] = i
			return err
		})
	}
	if err == nil {
		r.keys, err = readKeyEntries(txn)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the registry: %w", err)
	}
	return r, nil
}

// readKeyEntries reads the log's key entries: entry 0 and those that have a row.
func readKeyEntries(txn *badger.Txn) ([]ledger.KeyEntry, error) {
	var file []byte
	add := func(i int64) error {
		text, err := get(txn, indexKey(entryRow, i))
		if err == nil && text == nil {
			err = fmt.Errorf("%w: key entry %d is missing", ErrDamaged, i)
		}
		file = append(file, text...)
		return err
	}
	err := add(0)
	if err == nil {
		err = eachRow(txn, keyRow, func(key, _ []byte) error { return add(indexOf(key)) })
	}
	if err != nil {
		return nil, err
	}
	ring, err := ledger.ParseKeyRing(file)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return ring.Entries(), nil
}

// readNamed reads the rows with a prefix, each of which lies under its value's name: a
// second one under another name could hide what is newer.
func readNamed[T any](txn *badger.Txn, prefix byte, into map[string]T, name func(T) string) error {
	return eachRow(txn, prefix, func(key, value []byte) error {
		var v T
		if err := json.Unmarshal(value, &v); err != nil {
			return err
		}
		if string(key[1:]) != name(v) {
			return fmt.Errorf("%w: %s lies under another name", ErrDamaged, name(v))
		}
		into[name(v)] = v
		return nil
	})
}

// eachRow calls yield for the rows with a prefix, in the order of their keys.
func eachRow(txn *badger.Txn, prefix byte, yield func(key, value []byte) error) error {
	it := txn.NewIterator(badger.IteratorOptions{PrefetchValues: true, PrefetchSize: 64, Prefix: []byte{prefix}})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		item := it.Item()
		if err := item.Value(func(v []byte) error { return yield(item.Key(), v) }); err != nil {
			return err
		}
	}
	return nil
}
