package main

import (
	"fmt"
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/consentledger/consentledger/internal/service"
)

// memory is a number of bytes on the command line, with the unit that it must have.
type memory int64

// UnmarshalText reads a whole number and MiB or GiB.
func (m *memory) UnmarshalText(text []byte) error {
	s := string(text)
	for unit, bytes := range map[string]int64{"MiB": 1 << 20, "GiB": 1 << 30} {
		number, ok := strings.CutSuffix(s, unit)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(number, 10, 32)
		if err != nil || strconv.FormatUint(n, 10) != number || int64(n) > math.MaxInt64/bytes {
			break
		}
		if *m = memory(int64(n) * bytes); *m < service.MinMemory {
			return fmt.Errorf("%s is too little memory for a ledger; it needs at least %d MiB", s, service.MinMemory>>20)
		}
		return nil
	}
	return fmt.Errorf("%q is no size; write a whole number and MiB or GiB, such as 512MiB", s)
}

// limit has Go's garbage collector work harder before the program takes more than its
// share; the rest is for files that are mapped into memory. Who sets GOMEMLIMIT knows
// better.
func (m memory) limit() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(int64(m) / 8 * 5)
	}
}
