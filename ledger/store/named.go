package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/dgraph-io/badger/v4"

	"github.com/consentledger/consentledger/ledger"
)

func declaredPrefix(of byte, name string) []byte {
	return append(append([]byte{declaredRow, of}, name...), 0)
}

func declaredKey(of byte, name string, i ledger.Index) []byte {
	return binary.BigEndian.AppendUint64(declaredPrefix(of, name), uint64(i))
}

// declaredRows gives the rows of what entry i declared.
func declaredRows(i ledger.Index, eff *ledger.Effects) (rows []row) {
	if s := eff.Source; s != nil {
		rows = append(rows, row{declaredKey(sourceRow, s.Name, i), []byte{}})
	}
	if p := eff.Processor; p != nil {
		rows = append(rows, row{declaredKey(processorRow, p.ID, i), []byte{}})
	}
	return rows
}

// Named gives the entries on which others rest, as a log of this size has them,
// ascending: entry 0 and every key.rotated, and those that declare what the others
// name: of sources the source.declared, of purposes every version and those of the
// purposes above it, of notices the version named, of claims the claim.declared, and
// of processors every processor.engaged and processor.ended. What these name is there
// as well; only what a notice or a processor covers is not.
func (p *Snapshot) Named(size ledger.Size, entries []ledger.Index) ([]ledger.Index, error) {
	found, seen := map[ledger.Index]bool{}, map[ledger.Index]bool{}
	for _, k := range p.registry.keys {
		found[k.Index] = true
	}
	for rest := slices.AppendSeq(slices.Clone(entries), maps.Keys(found)); len(rest) > 0; {
		i := rest[0]
		if rest = rest[1:]; seen[i] || ledger.Size(i) >= size {
			continue
		}
		seen[i] = true
		e, err := p.parsed(i)
		if err != nil {
			return nil, err
		}
		named, err := p.namedBy(e)
		if err != nil {
			return nil, err
		}
		for _, i := range named {
			found[i] = true
		}
		rest = append(rest, named...)
	}
	maps.DeleteFunc(found, func(i ledger.Index, _ bool) bool { return ledger.Size(i) >= size })
	return slices.Sorted(maps.Keys(found)), nil
}

// namedBy gives the entries that declare what an entry names.
func (p *Snapshot) namedBy(e *ledger.Entry) (list []ledger.Index, err error) {
	r := p.registry
	for id := e.Purpose; id != ""; {
		versions := r.purposes[id]
		for _, v := range versions {
			list = append(list, v.Index)
		}
		if id = ""; len(versions) > 0 { // all-marketing has none
			id = versions[0].Parent
		}
	}
	if n, ok := r.notice(e.Notice.ID, e.Notice.Version); ok {
		list = append(list, n.Index)
	}
	for _, c := range e.Commits {
		if i, ok := r.claims[c.Claim]; ok {
			list = append(list, i)
		}
	}
	for _, named := range []struct {
		of   byte
		name string
		is   bool
	}{
		{sourceRow, e.Source, e.Source != ledger.SourceLedger},
		{processorRow, e.Processor, e.Processor != ""},
		// A system is a source, a processor, or by chance the name of both.
		{sourceRow, e.System, r.sources[e.System].Name != ""},
		{processorRow, e.System, r.processors[e.System].ID != ""},
	} {
		if !named.is {
			continue
		}
		declared, err := p.declared(named.of, named.name)
		if err != nil {
			return nil, err
		}
		list = append(list, declared...)
	}
	return list, nil
}

// declared gives the entries that declared a source, or engaged or ended a processor.
func (p *Snapshot) declared(of byte, name string) (list []ledger.Index, err error) {
	prefix := declaredPrefix(of, name)
	it := p.txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		key := it.Item().Key()
		if len(key) != len(prefix)+8 {
			return nil, fmt.Errorf("%w: a row of what declared %s", ErrDamaged, name)
		}
		list = append(list, ledger.Index(binary.BigEndian.Uint64(key[len(prefix):])))
	}
	if len(list) == 0 {
		err = fmt.Errorf("%w: that %s was declared is not stored", ErrDamaged, name)
	}
	return list, err
}

// declaredBy compares the rows of what an entry declared.
func (c *checker) declaredBy(i ledger.Index, eff *ledger.Effects) error {
	for _, r := range declaredRows(i, eff) {
		c.declared++
		if value, err := get(c.p.txn, r.key); err != nil || value == nil {
			return errors.Join(err, fmt.Errorf("%w: what entry %d declares is not stored as the entries give it", ErrDamaged, i))
		}
	}
	return nil
}

// declaredRows counts what was declared; each was compared with its entry.
func (c *checker) declaredRows() error {
	have, err := countRows(c.p.txn, declaredRow)
	if err == nil && have != c.declared {
		err = fmt.Errorf("%w: %d declarations are stored, the entries give %d", ErrDamaged, have, c.declared)
	}
	return err
}
