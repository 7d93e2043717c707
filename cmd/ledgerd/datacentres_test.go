package main

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func networksFile(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ranges")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadNetworks(t *testing.T) {
	text := "# Clouds, of 2026-11.\n\n192.0.2.0/24\n  198.51.100.0/25 # half of it\r\n2001:db8::/32\n0.0.0.0/0\n203.0.113.7/32"
	got, err := readNetworks(networksFile(t, text))
	want := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.51.100.0/25"),
		netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("203.0.113.7/32")}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
	if got, err := readNetworks(networksFile(t, "")); err != nil || len(got) != 0 {
		t.Errorf("an empty file: %v, %v", got, err)
	}
	if _, err := readNetworks(filepath.Join(t.TempDir(), "nothing")); err == nil {
		t.Error("a file that is not there was read")
	}
}

// A line that is wrong is named by its number, and nothing after it is guessed.
func TestReadWrongNetworks(t *testing.T) {
	for line, says := range map[string]string{
		"192.0.2.1":               "not a network",
		"192.0.2.0/33":            "not a network",
		"192.0.2.0/024":           "not a network",
		"192.0.2.0 /24":           "not a network",
		"192.0.2.0/24,":           "not a network",
		"192.0.2.0/24 10.0.0.0/8": "not a network",
		"192.0.2/24":              "not a network",
		"192.0.2.1/24":            "the network is 192.0.2.0/24",
		"2001:db8::1/32":          "the network is 2001:db8::/32",
		"::ffff:192.0.2.0/120":    "not a network",
		"fe80::%eth0/64":          "not a network",
		"\ufeff192.0.2.0/24":      "not a network",
		"example.com":             "not a network",
		"; a comment of others":   "not a network",
	} {
		for before, number := range map[string]string{"": "line 1:", "# first\n\n198.51.100.0/24\n": "line 4:"} {
			got, err := readNetworks(networksFile(t, before+line+"\n10.0.0.0/8\n"))
			if err == nil || !strings.Contains(err.Error(), number) || !strings.Contains(err.Error(), says) {
				t.Errorf("%q on %s gives %v, %v, want an error with %q", line, number, got, err, says)
			}
		}
	}
}
