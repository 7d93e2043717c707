package logfiles

import (
	"os"
	"runtime/debug"
	"runtime/metrics"
)

// gcHeadroom is how many bytes the program may allocate between two garbage
// collections. By default Go lets the heap double instead, which for a small
// log means a collection every few MiB (about a fifth of the processor time for
// one million entries), and for a log of many consents twice the memory that
// they need. What stays are rows without pointers, so that a collection
// costs little however large it has grown.
const gcHeadroom = 16 << 20

// memory keeps the garbage collector's headroom constant. One goroutine uses it
// at a time.
type memory struct {
	off     bool // the user has set GOGC or GOMEMLIMIT
	calls   int
	percent int
	live    []metrics.Sample
}

func newMemory() *memory {
	m := &memory{live: []metrics.Sample{{Name: "/gc/heap/live:bytes"}}}
	m.off = os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != ""
	return m
}

// adjust follows the growth of the heap; it is called now and then.
func (m *memory) adjust() {
	if m.calls++; m.off || m.calls%16 != 1 {
		return
	}
	metrics.Read(m.live)
	live := max(m.live[0].Value.Uint64(), 4<<20) // Go counts no heap as smaller
	percent := int(max(gcHeadroom*100/live, 1))
	if percent != m.percent {
		debug.SetGCPercent(percent)
		m.percent = percent
	}
}
