package main

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
)

// readNetworks reads a file of networks, one in CIDR notation per line (RFC 4632,
// RFC 4291 § 2.3). What follows a # is a comment; empty lines are skipped. Anything
// else is refused with the number of its line, and so is a network that is spelt in
// a way that may mean another one: with bits beyond its length, or IPv4 within IPv6.
func readNetworks(path string) ([]netip.Prefix, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the data-centre ranges: %w", err)
	}
	var list []netip.Prefix
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		p, err := netip.ParsePrefix(line)
		switch {
		case err != nil || p.Addr().Is4In6():
			return nil, fmt.Errorf("%s, line %d: not a network such as 192.0.2.0/24 or 2001:db8::/32", path, n)
		case p != p.Masked():
			return nil, fmt.Errorf("%s, line %d: has bits beyond its length; the network is %v", path, n, p.Masked())
		}
		list = append(list, p)
	}
	return list, nil
}
