package main

import (
	"encoding"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/authn"
)

// FuzzFlags: a value on the command line is read within its limits or refused, and
// what is wrong with it is said in words.
func FuzzFlags(f *testing.F) {
	for _, s := range []string{"2027-01-31", "2027-02-30", "2027-01-31T12:00:00Z", "2027-01-31T12:00:00.5+02:00", "50/s", "0/s", "1000001/s", "+5/s", "30d", "65536d", "-1h", "72h", "1e3s",
		"Europe/Berlin", "UTC", "Local", "", "../../etc/passwd", "512MiB", "4GiB", "0512MiB", "99999999999GiB", "1d1h", "9223372036854775807ns", "10000-01-01"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var (
			d    date
			at   instant
			r    rate
			left span
			z    zone
			m    memory
		)
		for name, v := range map[string]encoding.TextUnmarshaler{"date": &d, "instant": &at, "rate": &r, "span": &left, "zone": &z, "memory": &m} {
			err := v.UnmarshalText([]byte(s))
			if err != nil {
				if err.Error() == "" {
					t.Errorf("%s: refused without a word", name)
				}
				continue
			}
			switch name {
			case "date":
				day := time.Time(d)
				var again date
				if err := again.UnmarshalText([]byte(day.Format(time.RFC3339Nano))); err != nil || !time.Time(again).Equal(day) || day.Location() != time.UTC {
					t.Errorf("%q is %v, and that %v, %v", s, day, time.Time(again), err)
				}
			case "instant":
				if want, err := time.Parse(time.RFC3339, s); err != nil || !want.Equal(at.Time) {
					t.Errorf("%q is %v", s, at.Time)
				}
			case "rate":
				if n, err := strconv.Atoi(strings.TrimSuffix(s, "/s")); err != nil || n != int(r) || n < 1 || n > authn.MaxRate {
					t.Errorf("%q is %d calls per second", s, r)
				}
			case "span":
				if left < 0 {
					t.Errorf("%q is %v", s, time.Duration(left))
				}
			case "zone":
				if z.Location == nil || z.String() != s || strings.Contains(s, "..") {
					t.Errorf("%q is %v", s, z.Location)
				}
			case "memory":
				if m <= 0 || fmt.Sprintf("%dMiB", m>>20) != s && fmt.Sprintf("%dGiB", m>>30) != s {
					t.Errorf("%q is %d bytes", s, m)
				}
			}
		}
	})
}

// FuzzHosts: what counts as this machine is this machine.
func FuzzHosts(f *testing.F) {
	for _, s := range []string{"127.0.0.1:80", "[::1]:80", "localhost", "localhost:80", "localhost.example", "127.0.0.1.example", "[::ffff:127.0.0.1]", "0.0.0.0", "127.1", "::1", "[::1", "user@127.0.0.1", "127.0.0.1%eth0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if isLoopbackHost(s) {
			name := strings.Trim(s, "[]")
			if u, err := url.Parse("http://" + s); err == nil && u.Hostname() != "" {
				name = u.Hostname()
			}
			name, _, _ = strings.Cut(name, "%")
			if a, err := netip.ParseAddr(name); name != "localhost" && (err != nil || !a.IsLoopback()) {
				t.Errorf("%q, which is %q, counts as this machine", s, name)
			}
		}
		if isLoopback(s) && !isLoopbackHost(s) {
			t.Errorf("%q is this machine in a URL and not in a header", s)
		}
		c := serverFlags{Server: s}
		t.Setenv("LEDGERD_KEY", "clk_key")
		if conn, err := c.connect("admin", new(strings.Builder)); err == nil {
			if u, err := url.Parse(conn.base + "/consent.admin.v1.AdminService/GetStatus"); err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
				t.Errorf("--server %q calls %v, %v", s, u, err)
			}
		}
	})
}

// FuzzNetworks: networks are read from lines that can be written again.
func FuzzNetworks(f *testing.F) {
	f.Add([]byte("192.0.2.0/24\n2001:db8::/32 # a comment\n\n"))
	f.Add([]byte("192.0.2.1/24\n"))
	f.Add([]byte("::ffff:192.0.2.0/120\n"))
	f.Add([]byte("192.0.2.0/024"))
	f.Add([]byte("0.0.0.0/0\r\n"))
	path := filepath.Join(f.TempDir(), "networks")
	f.Fuzz(func(t *testing.T, text []byte) {
		read := func(text []byte) ([]netip.Prefix, error) {
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
			return readNetworks(path)
		}
		list, err := read(text)
		if err != nil {
			if !strings.Contains(err.Error(), "line ") {
				t.Errorf("the error has no line: %v", err)
			}
			return
		}
		var again strings.Builder
		for _, p := range list {
			if p != p.Masked() || p.Addr().Is4In6() || p.Addr().Zone() != "" {
				t.Errorf("%v is no network", p)
			}
			again.WriteString(p.String() + "\n")
		}
		second, err := read([]byte(again.String()))
		if err != nil || len(second) != len(list) {
			t.Fatalf("%q is read as %v, %v", again.String(), second, err)
		}
		for i, p := range second {
			if p != list[i] {
				t.Errorf("%v became %v", list[i], p)
			}
		}
	})
}
