// Package backup is the form of data backups: files "data-<number>.backup" in one
// directory, each of which goes on where the one before it ends.
//
// Start with [OpenChain], which reads what is there, and with [Create], which writes the
// next file. What the records of a file mean, its writer and its reader know.
//
// Promises: a file that has its name is whole, was read back, and never changes. What is
// cut, changed, missing, doubled or of another chain is an error that names the file.
//
// Limits: the sums notice damage. They are no signatures: whoever may write to the
// directory can make a chain of their own, or take away its newest files. What is read
// back may come from memory. One process writes to a directory at a time.
package backup

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

// A file, version 1. Numbers are big-endian:
//
//	magic "CLdata\r\n"           8
//	version                      u32
//	number                       u64, from 1
//	sum of the file before       32, zeros in the first
//	time, µs since 1970 in UTC   u64
//	origin                       its length u16, then its bytes
//	entries from, to             u64 each: those from … to-1 are in the file
//	instance of the vault        16
//	rows since, until            u64 each: versions of the vault's database
//	generation of ROOT           u32
//	records                      each: kind u8, not 0; length u32; content
//	end of the records           0 u8
//	SHA-256 of all before        32: the file's sum
const (
	magic   = "CLdata\r\n"
	version = 1
	fixed   = len(magic) + 4 + 8 + 32 + 8 + 2 // up to the origin
	rest    = 8 + 8 + 16 + 8 + 8 + 4          // behind it

	// MaxRecord is the most that a record holds, in bytes: what Badger stores inline,
	// with its key.
	MaxRecord = 1<<20 + 1<<10
)

// Sum is a file's SHA-256, by which the next file names it.
type Sum [sha256.Size]byte

// Head is what stands before the records.
type Head struct {
	Number   uint64 // of the file, from 1
	Previous Sum    // of the file before; zero for number 1
	At       time.Time
	Origin   string
	// From and To bound the entries in the file: those before From are in earlier ones.
	From, To ledger.Size
	// Instance is the number of the vault whose versions Since and Until are: the file
	// has at least the rows that are newer than Since and not newer than Until.
	Instance     [16]byte
	Since, Until uint64
	// Generation is that of the vault's root key.
	Generation uint32
}

// Errors about a file, each with a remedy of its own.
var (
	ErrMagic   = errors.New("is no data backup")
	ErrVersion = errors.New("is a data backup of another version")
	ErrDamaged = errors.New("is damaged")
	// ErrChain: files are well-formed and do not follow each other.
	ErrChain = errors.New("the data backups do not belong together")
)

func (h *Head) encode() []byte {
	b := make([]byte, 0, fixed+len(h.Origin)+rest)
	b = append(b, magic...)
	b = binary.BigEndian.AppendUint32(b, version)
	b = binary.BigEndian.AppendUint64(b, h.Number)
	b = append(b, h.Previous[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(h.At.UnixMicro()))
	b = binary.BigEndian.AppendUint16(b, uint16(len(h.Origin)))
	b = append(b, h.Origin...)
	b = binary.BigEndian.AppendUint64(b, uint64(h.From))
	b = binary.BigEndian.AppendUint64(b, uint64(h.To))
	b = append(b, h.Instance[:]...)
	b = binary.BigEndian.AppendUint64(b, h.Since)
	b = binary.BigEndian.AppendUint64(b, h.Until)
	return binary.BigEndian.AppendUint32(b, h.Generation)
}

// parseFixed reads what stands before the origin, and gives the origin's length.
func parseFixed(b []byte) (h Head, origin int, err error) {
	if !bytes.HasPrefix(b, []byte(magic)) {
		return h, 0, ErrMagic
	}
	if len(b) < len(magic)+4 {
		return h, 0, fmt.Errorf("%w: it ends early", ErrDamaged)
	}
	b = b[len(magic):]
	if v := binary.BigEndian.Uint32(b); v != version {
		return h, 0, fmt.Errorf("%w: version %d, this program knows %d", ErrVersion, v, version)
	}
	if b = b[4:]; len(b) < fixed-len(magic)-4 {
		return h, 0, fmt.Errorf("%w: it ends early", ErrDamaged)
	}
	h.Number, h.Previous = binary.BigEndian.Uint64(b), Sum(b[8:40])
	h.At = time.UnixMicro(int64(binary.BigEndian.Uint64(b[40:]))).UTC()
	return h, int(binary.BigEndian.Uint16(b[48:])), nil
}

// parseRest reads the origin and what stands behind it.
func (h *Head) parseRest(b []byte, origin int) error {
	h.Origin, b = string(b[:origin]), b[origin:]
	from, to := binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])
	h.From, h.To = ledger.Size(from), ledger.Size(to)
	h.Instance = [16]byte(b[16:])
	h.Since, h.Until = binary.BigEndian.Uint64(b[32:]), binary.BigEndian.Uint64(b[40:])
	h.Generation = binary.BigEndian.Uint32(b[48:])
	if h.Number < 1 || h.From < 0 || h.To < 1 || h.From > h.To || h.Since > h.Until {
		return fmt.Errorf("%w: its head says what cannot be", ErrDamaged)
	}
	return nil
}
