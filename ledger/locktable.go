package ledger

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"slices"
	"time"
)

// lockTable holds open requests by their locks. A map would take 56 to 112 bytes for
// each, most right after it has grown: these are rows of 43 bytes in many short lists,
// each of which grows by a sixteenth.
type lockTable struct {
	seed  maphash.Seed // who writes a log chooses its locks, but not their lists
	lists [][]lockRow
}

// lockLists leaves 30 rows to a list when a million requests are open.
const lockLists = 1 << 15

// lockRow is an OpenRequest: the lock, 48 bits of the request's id, and 40 bits of its
// expiry in Unix seconds, doubled, and one more once it is superseded.
type lockRow [43]byte

func newLockTable() lockTable { return lockTable{maphash.MakeSeed(), make([][]lockRow, lockLists)} }

func newLockRow(o *OpenRequest) (row lockRow, err error) {
	seconds := o.Expires.Unix()
	if o.Request>>48 != 0 || seconds>>39 != 0 {
		return row, fmt.Errorf("request %d: more entries than fit, or a token that is good for too long", o.Request)
	}
	// Eight bytes each, of which the upper ones are zeros and written over.
	expires := binary.LittleEndian.AppendUint64(nil, uint64(seconds)<<1|uint64(present(o.Superseded)))
	request := binary.LittleEndian.AppendUint64(nil, uint64(o.Request))
	copy(row[:], o.Lock[:])
	copy(row[32:], request[:6])
	copy(row[38:], expires[:5])
	return row, nil
}

func (r *lockRow) lock() Hash { return Hash(r[:32]) }

func (r *lockRow) open() OpenRequest {
	var request, expires [8]byte
	copy(request[:], r[32:38])
	copy(expires[:], r[38:])
	e := binary.LittleEndian.Uint64(expires[:])
	return OpenRequest{r.lock(), ConsentID(binary.LittleEndian.Uint64(request[:])), time.Unix(int64(e>>1), 0).UTC(), e&1 == 1}
}

// list gives the list that a lock belongs to, and where it is in that, -1 for nowhere.
func (t *lockTable) list(lock Hash) (list *[]lockRow, at int) {
	list = &t.lists[maphash.Bytes(t.seed, lock[:])%lockLists]
	first := binary.LittleEndian.Uint64(lock[:8])
	for i := range *list {
		row := &(*list)[i]
		if binary.LittleEndian.Uint64(row[:8]) == first && row.lock() == lock {
			return list, i
		}
	}
	return list, -1
}

func (t *lockTable) get(lock Hash) (OpenRequest, bool) {
	list, at := t.list(lock)
	if at < 0 {
		return OpenRequest{}, false
	}
	return (*list)[at].open(), true
}

// set adds an open request, or changes the one with its lock.
func (t *lockTable) set(o *OpenRequest) error {
	row, err := newLockRow(o)
	if err != nil {
		return err
	}
	list, at := t.list(o.Lock)
	if at >= 0 {
		(*list)[at] = row
		return nil
	}
	if len(*list) == cap(*list) {
		resize(list)
	}
	*list = append(*list, row)
	return nil
}

func (t *lockTable) delete(lock Hash) {
	if list, at := t.list(lock); at >= 0 {
		last := len(*list) - 1
		(*list)[at] = (*list)[last]
		*list = (*list)[:last]
		if last < cap(*list)/4*3 {
			resize(list)
		}
	}
}

// resize leaves a list a sixteenth more room than its rows take.
func resize(list *[]lockRow) {
	n := len(*list)
	*list = append(slices.Grow([]lockRow(nil), n+n/16+1), *list...)
}
