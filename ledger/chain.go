package ledger

import (
	"fmt"
	"time"
)

// Chain checks what every entry owes to the one before it: the index counts up,
// prev is its leaf hash, time never decreases and the parts of a split list
// stand together. The zero value is the chain of an empty log.
type Chain struct {
	size  Size
	head  Hash // leaf hash of the last entry
	last  time.Time
	split *Entry // the last entry, while parts of its list are still to come
}

// ResumeChain gives the chain of a log whose last entry has this leaf hash and
// time, and ends no split list.
func ResumeChain(size Size, head Hash, last time.Time) Chain {
	return Chain{size: size, head: head, last: last}
}

// Size is the number of entries in the chain.
func (c *Chain) Size() Size { return c.size }

// Head is the leaf hash of the last entry, zeros for an empty log.
func (c *Chain) Head() Hash { return c.head }

// Last is the time of the last entry.
func (c *Chain) Last() time.Time { return c.last }

// Complete reports whether no part of a split list is missing at the end.
func (c *Chain) Complete() bool { return c.split == nil }

// Link gives the entry its index and prev.
func (c *Chain) Link(e *Entry) { e.Index, e.Prev = Index(c.size), c.head }

// Add checks the next entry and adds it; leaf is its leaf hash.
func (c *Chain) Add(e *Entry, leaf Hash) error {
	switch {
	case e.Index != Index(c.size):
		return fmt.Errorf("entry %d: index is %d", c.size, e.Index)
	case e.Prev != c.head:
		return fmt.Errorf("entry %d: prev is %v, want %v", e.Index, e.Prev, c.head)
	case e.Time.Before(c.last):
		return fmt.Errorf("entry %d: time is before that of the entry before it", e.Index)
	case (e.Index == 0) != (e.Kind == LedgerCreated):
		return fmt.Errorf("entry %d: %s stands at index 0 and only there", e.Index, LedgerCreated)
	}
	if err := c.addPart(e); err != nil {
		return fmt.Errorf("entry %d: %w", e.Index, err)
	}
	c.size, c.head, c.last = c.size+1, leaf, e.Time
	return nil
}

// AddUnknown adds an entry of a kind that this package does not know: only its
// header can be checked.
func (c *Chain) AddUnknown(e *Entry, leaf Hash) error {
	part := Entry{Index: e.Index, Prev: e.Prev, Time: e.Time, Kind: e.Kind, Source: e.Source}
	return c.Add(&part, leaf)
}

// addPart checks that parts 1 to n follow each other and differ in nothing but
// index, prev, part and their lists.
func (c *Chain) addPart(e *Entry) error {
	before := c.split
	if before == nil {
		if e.Part > 1 {
			return fmt.Errorf("part %d of %d without the parts before it", e.Part, e.Parts)
		}
	} else if e.Part != before.Part+1 || e.Parts != before.Parts || e.Kind != before.Kind || e.Source != before.Source ||
		!e.Time.Equal(before.Time) || !e.Occurred.Equal(before.Occurred) || !sameFields(e, before) {
		return fmt.Errorf("is not part %d of %d of entry %d", before.Part+1, before.Parts, before.Index)
	} else if !ascends(e, before) {
		return fmt.Errorf("its list does not go on where part %d ended", before.Part)
	}
	if c.split = nil; e.Part < e.Parts {
		c.split = e
	}
	return nil
}

func sameFields(a, b *Entry) bool {
	for _, s := range kindTable[a.Kind].slots {
		f := &fields[s.field]
		n := f.count(a)
		if f.count(b) != n {
			return false
		}
		for i := range n {
			if string(f.put(nil, a, i)) != string(f.put(nil, b, i)) {
				return false
			}
		}
	}
	return true
}

func ascends(e, before *Entry) bool {
	if n, m := len(before.Consents), len(e.Consents); n > 0 && m > 0 {
		return before.Consents[n-1].Consent < e.Consents[0].Consent
	}
	if n, m := len(before.About), len(e.About); n > 0 && m > 0 {
		return before.About[n-1] < e.About[0]
	}
	return false
}
