package ledger

import (
	"encoding/binary"
	"errors"
	"time"
)

// unprintable gives the position of the first byte that is neither printable ASCII
// nor LF, -1 if there is none. It looks at 16 bytes at a time, because every byte of
// a log comes by here.
func unprintable(b []byte) int {
	rest, bad := b, uint64(0)
	for ; len(rest) >= 16; rest = rest[16:] {
		bad |= unprintables(binary.LittleEndian.Uint64(rest)) | unprintables(binary.LittleEndian.Uint64(rest[8:]))
	}
	if bad != 0 {
		rest = b
	}
	for i, c := range rest {
		if (c < 0x20 || c > 0x7e) && c != '\n' {
			return len(b) - len(rest) + i
		}
	}
	return -1
}

// unprintables sets the high bit of each of eight bytes that is neither printable
// ASCII nor LF. No sum carries over into the next byte.
func unprintables(eight uint64) uint64 {
	const each, high = 0x0101010101010101, 0x8080808080808080
	low := eight &^ high
	above, atLeast, notLF := low+1*each, low+0x60*each, (low^'\n'*each)+0x7f*each // high where low > 0x7e, ≥ 0x20, ≠ LF
	return (eight | (above|^atLeast)&notLF) & high
}

// parseNumber parses a decimal without sign, leading zeros or spaces, of at
// most 18 digits, so that it fits an int64.
func parseNumber(s string) (int64, error) {
	if len(s) == 0 || len(s) > 18 || (s[0] == '0' && len(s) > 1) {
		return 0, errors.New("want a decimal number without leading zeros")
	}
	var n int64
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, errors.New("want a decimal number without leading zeros")
		}
		n = n*10 + int64(s[i]-'0')
	}
	return n, nil
}

// sextets gives the six bits that each character of a base64 alphabet stands for, and
// 0xff for every other byte. Entries are full of hashes: this reads them in less time
// than encoding/base64, which also skips line ends.
func sextets(last string) (t [256]byte) {
	for i := range t {
		t[i] = 0xff
	}
	for i, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789" + last) {
		t[c] = byte(i)
	}
	return t
}

var base64Std, base64URL = sextets("+/"), sextets("-_") // RFC 4648 § 4 and § 5

// ParseHash parses 32 bytes in padded standard base64, one spelling only.
func ParseHash(s string) (h Hash, err error) {
	if len(s) != 44 {
		return h, errors.New("want 44 characters of base64")
	}
	var all byte // 0xff as soon as one character is none of the alphabet
	for i := range 10 {
		in, out := s[4*i:4*i+4], h[3*i:3*i+3]
		a, b, c, d := base64Std[in[0]], base64Std[in[1]], base64Std[in[2]], base64Std[in[3]]
		all |= a | b | c | d
		out[0], out[1], out[2] = a<<2|b>>4, b<<4|c>>2, c<<6|d
	}
	a, b, c := base64Std[s[40]], base64Std[s[41]], base64Std[s[42]]
	h[30], h[31] = a<<2|b>>4, b<<4|c>>2
	if all |= a | b | c; all > 0x3f || c&3 != 0 || s[43] != '=' {
		return Hash{}, errors.New("want 32 bytes in base64")
	}
	return h, nil
}

// parseTime parses a time in UTC with exactly six decimals (micros) or none,
// from the year 2000 to 9999.
func parseTime(s string, micros bool) (time.Time, error) {
	layout := secondsLayout
	if micros {
		layout = microsLayout
	}
	if !shapedLike(s, layout) {
		return time.Time{}, errors.New("want a time like " + layout)
	}
	two := func(i int) int { return int(s[i]-'0')*10 + int(s[i+1]-'0') } // digits, checked above
	nanos := 0
	if micros {
		nanos = (two(20)*10_000 + two(22)*100 + two(24)) * 1000
	}
	year, month, day := two(0)*100+two(2), two(5), two(8)
	hour, minute, second := two(11), two(14), two(17)
	t := time.Date(year, time.Month(month), day, hour, minute, second, nanos, time.UTC)
	// time.Date normalises the 30th of February; one spelling per value.
	if year < 2000 || month < 1 || month > 12 || day < 1 || day > 28 && t.Day() != day || hour > 23 || minute > 59 || second > 59 {
		return time.Time{}, errors.New("no such time")
	}
	return t, nil
}

// shapedLike reports whether s has digits where the layout has, and what else
// the layout has.
func shapedLike(s, layout string) bool {
	if len(s) != len(layout) {
		return false
	}
	for i := range len(layout) {
		if want := layout[i]; want-'0' > 9 && s[i] != want || want-'0' <= 9 && s[i]-'0' > 9 {
			return false
		}
	}
	return true
}

// IsToken reports whether s is a token: 43 characters, the unpadded base64url of
// 32 bytes, in its one spelling.
func IsToken(s string) bool {
	if len(s) != 43 {
		return false
	}
	var all byte
	for i := range len(s) {
		all |= base64URL[s[i]]
	}
	return all <= 0x3f && base64URL[s[42]]&3 == 0
}
