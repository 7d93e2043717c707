package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"
)

// lockForTest gives locks of which half begin alike, as whoever writes a log can choose.
func lockForTest(n int) Hash {
	lock := Hash(sha256.Sum256(binary.LittleEndian.AppendUint64(nil, uint64(n))))
	if n%2 == 0 {
		clear(lock[:8])
	}
	return lock
}

// size gives how many requests are open, and for how many there is room.
func (t *lockTable) size() (rows, room int) {
	for _, list := range t.lists {
		rows, room = rows+len(list), room+cap(list)
	}
	return rows, room
}

// TestLockTable compares a table with a map while requests are opened, superseded and
// closed, and holds its size to what [VerifyLog] promises.
func TestLockTable(t *testing.T) {
	table, model := newLockTable(), map[Hash]OpenRequest{}
	const people = 300_000
	random := rand.New(rand.NewPCG(1, 2))
	for range 2 * people {
		n := random.IntN(people)
		lock := lockForTest(n)
		got, ok := table.get(lock)
		if want, there := model[lock]; got != want || ok != there {
			t.Fatalf("request %d: %v, %v; want %v, %v", n, got, ok, want, there)
		}
		if ok && got.Superseded {
			table.delete(lock)
			delete(model, lock)
			continue
		}
		open := OpenRequest{lock, ConsentID(n), time.Unix(int64(n)*1000, 0).UTC(), ok}
		if err := table.set(&open); err != nil {
			t.Fatal(err)
		}
		model[lock] = open
	}
	if rows, room := table.size(); rows != len(model) || room > rows*5/4 {
		t.Errorf("%d rows and room for %d, want %d", rows, room, len(model))
	}
	for lock, want := range model {
		if got, ok := table.get(lock); got != want || !ok {
			t.Errorf("%v, %v; want %v", got, ok, want)
		}
	}
	table.delete(lockForTest(people)) // never there
	for lock := range model {
		table.delete(lock)
		if _, ok := table.get(lock); ok {
			t.Fatal("a request is open that was closed")
		}
	}
	if rows, room := table.size(); rows != 0 || room > 4*lockLists {
		t.Errorf("the empty table has %d rows and room for %d", rows, room)
	}
}

// TestLockRowKeepsAll has rows hold the ends of every value, and refuse what is beyond.
func TestLockRowKeepsAll(t *testing.T) {
	last := time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC) // that an entry can name
	for _, want := range []OpenRequest{
		{Request: 1, Expires: time.Unix(0, 0).UTC()},
		{lockForTest(1), 1<<48 - 1, last, true},
		{lockForTest(2), 1<<48 - 1, time.Unix(0, 0).UTC(), false},
		{lockForTest(3), 0, last, false},
		{lockForTest(4), 0, time.Unix(0, 0).UTC(), true},
	} {
		row, err := newLockRow(&want)
		if got := row.open(); got != want || err != nil {
			t.Errorf("%v, want %v; %v", got, want, err)
		}
	}
	for _, bad := range []OpenRequest{{Request: 1 << 48, Expires: last}, {Request: -1, Expires: last}, {Request: 1, Expires: time.Unix(-1, 0)}, {Request: 1, Expires: time.Unix(1<<39, 0)}} {
		if row, err := newLockRow(&bad); err == nil {
			t.Errorf("%v became %v", bad, row.open())
		}
	}
}
