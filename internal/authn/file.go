package authn

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// The file is text. Its first line is
//
//	consent-ledger/apikeys/v1 <pepper>
//
// and then one line stands for every key ever made, in the order made:
//
//	<name> <role> <hash> <created> [<revoked>]
//
// Lines end with LF, fields are separated by one blank. pepper is 32 random
// bytes, hash is HMAC-SHA256(pepper, the key as it is sent), both in unpadded
// base64url; the times are RFC 3339 in UTC and whole seconds. Lines are never
// taken out: a revoked key's line keeps its name from being given to another
// role. Anything else in the file is an error with the line's number. At most
// 1 MiB, mode 0600.
const fileMagic = "consent-ledger/apikeys/v1"

const maxFileSize = 1 << 20

type file struct {
	pepper [32]byte
	keys   []record
}

type record struct {
	Key
	hash [32]byte
}

var b64 = base64.RawURLEncoding.Strict()

func (f *file) hash(key string) (h [32]byte) {
	mac := hmac.New(sha256.New, f.pepper[:])
	mac.Write([]byte(key))
	mac.Sum(h[:0])
	return h
}

func (f *file) encode() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", fileMagic, b64.EncodeToString(f.pepper[:]))
	for _, k := range f.keys {
		fmt.Fprintf(&b, "%s %s %s %s", k.Name, k.Role, b64.EncodeToString(k.hash[:]), k.Created.Format(time.RFC3339))
		if !k.Revoked.IsZero() {
			b.WriteString(" " + k.Revoked.Format(time.RFC3339))
		}
		b.WriteByte('\n')
	}
	return []byte(b.String())
}

// parseFile accepts exactly what encode writes.
func parseFile(data []byte) (*file, error) {
	lines := strings.Split(string(data), "\n")
	if lines[len(lines)-1] != "" {
		return nil, errors.New("the last line has no end")
	}
	lines = lines[:len(lines)-1]
	if len(lines) == 0 {
		return nil, errors.New("the file is empty")
	}
	f := new(file)
	magic, pepper, _ := strings.Cut(lines[0], " ")
	if magic != fileMagic {
		return nil, fmt.Errorf("line 1: is not %s", fileMagic)
	}
	if err := decode32(&f.pepper, pepper); err != nil {
		return nil, fmt.Errorf("line 1: pepper %w", err)
	}
	roles := make(map[string]Role)
	for i, line := range lines[1:] {
		k, err := parseRecord(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+2, err)
		}
		if r, ok := roles[k.Name]; ok && r != k.Role {
			return nil, fmt.Errorf("line %d: the name stands above with another role", i+2)
		}
		roles[k.Name] = k.Role
		f.keys = append(f.keys, k)
	}
	return f, nil
}

func parseRecord(line string) (record, error) {
	var k record
	fields := strings.Split(line, " ")
	if len(fields) != 4 && len(fields) != 5 {
		return k, fmt.Errorf("has %d fields, want 4 or 5", len(fields))
	}
	k.Name = fields[0]
	if err := checkName(k.Name, true); err != nil {
		return k, err
	}
	var err error
	if k.Role, err = ParseRole(fields[1]); err != nil {
		return k, err
	}
	if err := decode32(&k.hash, fields[2]); err != nil {
		return k, fmt.Errorf("hash %w", err)
	}
	if k.Created, err = parseTime(fields[3]); err != nil {
		return k, fmt.Errorf("created: %w", err)
	}
	if len(fields) == 5 {
		if k.Revoked, err = parseTime(fields[4]); err != nil {
			return k, fmt.Errorf("revoked: %w", err)
		}
	}
	return k, nil
}

func parseTime(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil || t.UTC().Format(time.RFC3339) != s {
		return time.Time{}, errors.New("is not a time such as 2026-11-21T22:36:10Z")
	}
	return t.UTC(), nil
}

func decode32(to *[32]byte, s string) error {
	// Decoding ignores line breaks; the length does not.
	b, err := b64.DecodeString(s)
	if err != nil || len(b) != 32 || len(s) != 43 {
		return errors.New("is not 43 characters of base64url")
	}
	copy(to[:], b)
	return nil
}

// readFile reads the file and refuses one that others may read: who can read the
// hashes cannot use them, but who can write them can make keys.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readOpen(f)
}

func readOpen(f *os.File) ([]byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: is not a regular file", f.Name())
	}
	if perm := info.Mode().Perm(); perm&0o077 != 0 {
		return nil, fmt.Errorf("%s: others may access it (mode %04o); run: chmod 600 %s", f.Name(), perm, f.Name())
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFileSize {
		return nil, fmt.Errorf("%s: is larger than %d bytes", f.Name(), maxFileSize)
	}
	return data, nil
}
