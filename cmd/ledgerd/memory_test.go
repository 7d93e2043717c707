package main

import (
	"math"
	"os"
	"runtime/debug"
	"testing"
)

func TestMemory(t *testing.T) {
	for text, want := range map[string]int64{
		"128MiB": 128 << 20, "1GiB": 1 << 30, "1536MiB": 1536 << 20, "4294967295GiB": math.MaxUint32 << 30,
		"": 0, "1": 0, "GiB": 0, "1G": 0, "1GB": 0, "1 GiB": 0, "+1GiB": 0, "01GiB": 0, "1.5GiB": 0, "-1GiB": 0, "127MiB": 0, "0GiB": 0,
		"4294967296GiB": 0, "1gib": 0, "1GiBMiB": 0, "1073741824": 0,
	} {
		var m memory
		err := m.UnmarshalText([]byte(text))
		if want == 0 && err == nil || want != 0 && (err != nil || int64(m) != want) {
			t.Errorf("%q: %d, %v; want %d", text, m, err, want)
		}
	}
}

// The environment comes before the flag: whoever sets it knows better.
func TestMemoryLimit(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	t.Setenv("GOMEMLIMIT", "123MiB")
	memory(1 << 30).limit()
	if got := debug.SetMemoryLimit(-1); got != before {
		t.Errorf("the limit is %d although the environment says another one", got)
	}
	os.Unsetenv("GOMEMLIMIT")
	memory(1 << 30).limit()
	if got := debug.SetMemoryLimit(-1); got != 640<<20 {
		t.Errorf("the limit is %d, want 640 MiB", got)
	}
}
