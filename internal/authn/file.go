package authn

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The file is text. Its first line is
//
//	consent-ledger/apikeys/v2 <pepper>
//
// then one line stands for every key ever made, in the order made, and the last
// line is a checksum:
//
//	<name> <role> <hash> <created> <expires> <rate> <revoked>
//	end <sum>
//
// Lines end with LF, fields are separated by one blank, and one that does not
// apply is "-". pepper is 32 random bytes, hash is HMAC-SHA256(pepper, the key as
// it is sent), sum is the SHA-256 of all lines above it; the three are in unpadded
// base64url. The times are RFC 3339 in UTC and whole seconds, rate is a decimal
// number of calls per second. Lines are never taken out: a revoked key's line
// keeps its name from being given to another role. Anything else in the file is an
// error with the line's number. At most 1 MiB, mode 0600.
//
// Version 1 had lines of <name> <role> <hash> <created> [<revoked>] and no
// checksum. It is read, and the next edit makes version 2 of it.
const (
	fileMagic   = "consent-ledger/apikeys/"
	fileVersion = "v2"
	oldVersion  = "v1"
)

const maxFileSize = 1 << 20

type file struct {
	pepper [32]byte
	keys   []record
}

type record struct {
	Key
	hash [32]byte
}

// errChecksum is about a file that is not as it was written.
var errChecksum = errors.New("the checksum in the last line does not fit: the file is damaged or was edited by hand")

var b64 = base64.RawURLEncoding.Strict()

func (f *file) hash(key string) (h [32]byte) {
	mac := hmac.New(sha256.New, f.pepper[:])
	mac.Write([]byte(key))
	mac.Sum(h[:0])
	return h
}

func (f *file) encode() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "%s%s %s\n", fileMagic, fileVersion, b64.EncodeToString(f.pepper[:]))
	for _, k := range f.keys {
		rate := "-"
		if k.Rate != 0 {
			rate = strconv.Itoa(k.Rate)
		}
		fmt.Fprintf(&b, "%s %s %s %s %s %s %s\n", k.Name, k.Role, b64.EncodeToString(k.hash[:]),
			formatTime(k.Created), formatTime(k.Expires), rate, formatTime(k.Revoked))
	}
	return seal(b.String())
}

// seal adds the line with the checksum.
func seal(lines string) []byte {
	sum := sha256.Sum256([]byte(lines))
	return []byte(lines + "end " + b64.EncodeToString(sum[:]) + "\n")
}

// unseal checks the last of some lines, which is a checksum, and gives those
// above it.
func unseal(lines []string) ([]string, error) {
	above := lines[:len(lines)-1]
	sum, ok := strings.CutPrefix(lines[len(lines)-1], "end ")
	if !ok {
		return nil, fmt.Errorf("line %d: is not the end of the file, which is missing", len(lines))
	}
	var want [32]byte
	if err := decode32(&want, sum); err != nil {
		return nil, fmt.Errorf("line %d: checksum %w", len(lines), err)
	}
	if sha256.Sum256([]byte(strings.Join(above, "\n")+"\n")) != want {
		return nil, errChecksum
	}
	return above, nil
}

// splitLines gives the lines of a file that has at least one.
func splitLines(data []byte) ([]string, error) {
	lines := strings.Split(string(data), "\n")
	if lines[len(lines)-1] != "" {
		return nil, errors.New("the last line has no end")
	}
	if len(lines) == 1 {
		return nil, errors.New("the file is empty")
	}
	return lines[:len(lines)-1], nil
}

// checkVersion says whether a file's version is one of those known: by a later
// one, somebody has to be told that it is not damaged.
func checkVersion(version string, known ...string) error {
	if slices.Contains(known, version) {
		return nil
	}
	if !versionShape.MatchString(version) {
		return errors.New("line 1: names no version")
	}
	return fmt.Errorf("line 1: is version %s, which this ledgerd does not know: it was written by a newer one; use that", version)
}

var versionShape = regexp.MustCompile(`^v[1-9][0-9]{0,3}$`)

// parseFile accepts exactly what encode writes, and what version 1 wrote.
func parseFile(data []byte) (*file, error) {
	lines, err := splitLines(data)
	if err != nil {
		return nil, err
	}
	head, ok := strings.CutPrefix(lines[0], fileMagic)
	if !ok {
		return nil, errors.New("line 1: this is no file of API keys")
	}
	version, pepper, _ := strings.Cut(head, " ")
	if err := checkVersion(version, fileVersion, oldVersion); err != nil {
		return nil, err
	}
	parse := parseOldRecord
	if version == fileVersion {
		parse = parseRecord
		if lines, err = unseal(lines); err != nil {
			return nil, err
		}
	}
	f := new(file)
	if err := decode32(&f.pepper, pepper); err != nil {
		return nil, fmt.Errorf("line 1: pepper %w", err)
	}
	roles := make(map[string]Role)
	for i, line := range lines[1:] {
		k, err := parse(strings.Split(line, " "))
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

func parseRecord(fields []string) (record, error) {
	if len(fields) != 7 {
		return record{}, fmt.Errorf("has %d fields, want 7", len(fields))
	}
	k, err := parseMade(fields)
	if err != nil {
		return k, err
	}
	if k.Expires, err = parseTimeOrNone(fields[4]); err != nil {
		return k, fmt.Errorf("expires: %w", err)
	}
	if fields[5] != "-" {
		k.Rate, err = strconv.Atoi(fields[5])
		if err != nil || strconv.Itoa(k.Rate) != fields[5] || k.Rate == 0 || checkRate(k.Rate) != nil {
			return k, fmt.Errorf("rate: is neither - nor a number from 1 to %d", MaxRate)
		}
	}
	if k.Revoked, err = parseTimeOrNone(fields[6]); err != nil {
		return k, fmt.Errorf("revoked: %w", err)
	}
	return k, nil
}

// parseOldRecord reads a line of version 1.
func parseOldRecord(fields []string) (record, error) {
	if len(fields) != 4 && len(fields) != 5 {
		return record{}, fmt.Errorf("has %d fields, want 4 or 5", len(fields))
	}
	k, err := parseMade(fields)
	if err == nil && len(fields) == 5 {
		if k.Revoked, err = parseTime(fields[4]); err != nil {
			err = fmt.Errorf("revoked: %w", err)
		}
	}
	return k, err
}

// parseMade reads what is said of a key when it is made, in every version: the
// first four fields.
func parseMade(fields []string) (k record, err error) {
	k.Name = fields[0]
	if err := checkName(k.Name, true); err != nil {
		return k, err
	}
	if k.Role, err = ParseRole(fields[1]); err != nil {
		return k, err
	}
	if err := decode32(&k.hash, fields[2]); err != nil {
		return k, fmt.Errorf("hash %w", err)
	}
	if k.Created, err = parseTime(fields[3]); err != nil {
		return k, fmt.Errorf("created: %w", err)
	}
	return k, nil
}

func formatTime(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Format(time.RFC3339)
}

func parseTimeOrNone(s string) (time.Time, error) {
	if s == "-" {
		return time.Time{}, nil
	}
	return parseTime(s)
}

func parseTime(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil || t.IsZero() || t.UTC().Format(time.RFC3339) != s {
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
