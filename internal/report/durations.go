package report

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Durations says how long something took, in seconds.
type Durations struct{ seconds []int64 }

// durationsJSON is what JSON shows of Durations. The percentiles are values that
// were measured (nearest rank).
type durationsJSON struct {
	Count int   `json:"count"`
	P50   int64 `json:"p50_seconds"`
	P95   int64 `json:"p95_seconds"`
	Max   int64 `json:"max_seconds"`
}

func (d *Durations) add(took time.Duration) { d.seconds = append(d.seconds, int64(took/time.Second)) }

func (d *Durations) summary() (s durationsJSON) {
	slices.Sort(d.seconds)
	if s.Count = len(d.seconds); s.Count == 0 {
		return s
	}
	rank := func(percent int) int64 { return d.seconds[(percent*s.Count+99)/100-1] }
	s.P50, s.P95, s.Max = rank(50), rank(95), rank(100)
	return s
}

// MarshalJSON implements [json.Marshaler].
func (d *Durations) MarshalJSON() ([]byte, error) { return json.Marshal(d.summary()) }

func (d *Durations) String() string {
	s := d.summary()
	if s.Count == 0 {
		return "none"
	}
	return fmt.Sprintf("%d: p50 %s, p95 %s, longest %s", s.Count, span(s.P50), span(s.P95), span(s.Max))
}

// span writes seconds in the two largest units.
func span(seconds int64) string {
	if seconds < 0 {
		return "-" + span(-seconds)
	}
	var parts []string
	for _, unit := range []struct {
		name string
		of   int64
	}{{"d", 86400}, {"h", 3600}, {"min", 60}, {"s", 1}} {
		if n := seconds / unit.of; n > 0 && len(parts) < 2 {
			parts = append(parts, fmt.Sprintf("%d %s", n, unit.name))
		} else if len(parts) > 0 {
			break
		}
		seconds %= unit.of
	}
	if len(parts) == 0 {
		return "0 s"
	}
	return strings.Join(parts, " ")
}
