//go:build !linux

package badgerdb

// Resident does nothing here.
type Resident struct {
	Dirs  []string
	Limit int64
}

// Trim does nothing here.
func (*Resident) Trim() error { return nil }
