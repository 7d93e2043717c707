package authn

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

// FuzzCaller: who calls is read from one header and one address, and of what a caller
// may choose nothing else counts.
func FuzzCaller(f *testing.F) {
	for _, s := range []string{"Bearer clk_x", "bearer clk_x", "Bearer  clk_x", "Basic eDp5", "Bearer", "", "192.0.2.7:80", "[2001:db8:1:2:3::4]:443", "[::ffff:192.0.2.7]:1",
		"[fe80::1%eth0]:80", "192.0.2.7", "@", "shop-frontend", "anna.muster", "ledger", "app", "Admin"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		key := bearer(&http.Request{Header: http.Header{"Authorization": {s}}})
		if key != "" && (len(s) < 7 || !strings.EqualFold(s[:7], "Bearer ") || s[7:] != key) {
			t.Errorf("%q is the key %q", s, key)
		}
		if two := bearer(&http.Request{Header: http.Header{"Authorization": {s, "Bearer clk_x"}}}); two != "" {
			t.Errorf("of two headers %q counts", two)
		}
		if a := network(s); a.IsValid() {
			ap, err := netip.ParseAddrPort(s)
			if err != nil || a.Is4In6() || a.Zone() != "" {
				t.Fatalf("%q is counted as %v", s, a)
			}
			// Every address of the network counts as the same.
			if a.Is6() {
				b := ap.Addr().WithZone("").As16()
				b[15] ^= 0xff
				b[8] ^= 0xff
				if other := network(netip.AddrPortFrom(netip.AddrFrom16(b), 1).String()); other != a {
					t.Errorf("%q is counted as %v, its neighbour as %v", s, a, other)
				}
			} else if a != ap.Addr().Unmap() {
				t.Errorf("%q is counted as %v", s, a)
			}
		}
		if r, err := ParseRole(s); err == nil && (string(r) != s || r == Nobody) {
			t.Errorf("%q is the role %q", s, r)
		}
		if checkName(s, true) == nil && (s == Reserved || strings.ContainsAny(s, " \n@/") || len(s) > 64) {
			t.Errorf("%q may be a key's name", s)
		}
		if checkName(s, false) == nil && checkName(s, true) != nil {
			t.Errorf("%q may be a name unless somebody insists", s)
		}
	})
}
