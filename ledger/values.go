package ledger

import (
	"encoding/base64"
	"errors"
	"strings"
	"time"
)

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

// ParseHash parses 32 bytes in padded standard base64, one spelling only.
func ParseHash(s string) (Hash, error) {
	var h Hash
	if len(s) != 44 {
		return h, errors.New("want 44 characters of base64")
	}
	var buf [33]byte
	n, err := base64.StdEncoding.Strict().Decode(buf[:], []byte(s))
	if err != nil || n != len(h) {
		return h, errors.New("want 32 bytes in base64")
	}
	copy(h[:], buf[:])
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
	at := func(i, n int) (v int) {
		for _, c := range []byte(s[i : i+n]) { // digits, checked above
			v = 10*v + int(c-'0')
		}
		return v
	}
	nanos := 0
	if micros {
		nanos = at(20, 6) * 1000
	}
	year, month, day := at(0, 4), time.Month(at(5, 2)), at(8, 2)
	hour, minute, second := at(11, 2), at(14, 2), at(17, 2)
	t := time.Date(year, month, day, hour, minute, second, nanos, time.UTC)
	// time.Date normalises the 30th of February; one spelling per value.
	if year < 2000 || t.Month() != month || t.Day() != day || hour > 23 || minute > 59 || second > 59 {
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
		digit := layout[i] >= '0' && layout[i] <= '9'
		if digit != (s[i] >= '0' && s[i] <= '9') || !digit && s[i] != layout[i] {
			return false
		}
	}
	return true
}

// IsToken reports whether s is a token: 43 characters, the unpadded base64url of
// 32 bytes, in its one spelling.
func IsToken(s string) bool {
	// encoding/base64 skips line ends, which have no place in a token.
	if len(s) != 43 || strings.ContainsAny(s, "\r\n") {
		return false
	}
	_, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return err == nil
}
