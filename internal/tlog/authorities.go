package tlog

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/consentledger/consentledger/internal/timestamp"
	"github.com/consentledger/consentledger/ledger"
)

// Authority is a time-stamping authority that is asked.
type Authority struct {
	// Name is what the operator calls it.
	Name string
	// URL is where it answers, perhaps with a user name and a password.
	URL string
	timestamp.Authority
}

// shown is where it answers, without what only the authority may read.
func (a *Authority) shown() string {
	u, err := url.Parse(a.URL)
	if err != nil {
		return ""
	}
	u.User = nil
	return u.String()
}

// HasPassword reports whether the URL holds what others must not read.
func (a *Authority) HasPassword() bool {
	u, err := url.Parse(a.URL)
	return err == nil && u.User != nil
}

// Limits of a configuration.
const (
	MaxAuthorities     = 8
	maxAuthoritiesSize = 64 << 10 // bytes of the file
)

// ParseAuthorities reads who is to be asked for time stamps, one per line:
//
//	authority <name> <url> <PEM file> [qualified]
//
// The name is an identifier, and no two are the same. The PEM file holds the
// certificate that must stand at the end of the chain, of the CA or of the authority
// itself; read is given its name as it stands. A URL with a user name must be https,
// and each URL stands there once. What follows a # is a comment; empty lines are
// skipped. Anything else is refused with the number of its line.
func ParseAuthorities(text []byte, read func(file string) ([]byte, error)) ([]Authority, error) {
	if len(text) > maxAuthoritiesSize {
		return nil, fmt.Errorf("more than %d bytes", maxAuthoritiesSize)
	}
	var list []Authority
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		a, err := parseAuthority(words, read)
		if err == nil {
			err = a.unlike(list)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		list = append(list, *a)
	}
	switch {
	case len(list) == 0:
		return nil, errors.New("no authority; want lines of the form: " + authorityForm)
	case len(list) > MaxAuthorities:
		return nil, fmt.Errorf("%d authorities, at most %d are asked", len(list), MaxAuthorities)
	}
	return list, nil
}

const authorityForm = "authority NAME URL PEM-FILE [qualified]"

func parseAuthority(words []string, read func(file string) ([]byte, error)) (*Authority, error) {
	qualified := len(words) == 5 && words[4] == "qualified"
	if words[0] != "authority" || len(words) != 4 && !qualified {
		return nil, errors.New("want " + authorityForm)
	}
	a := &Authority{Name: words[1], URL: words[2], Authority: timestamp.Authority{Qualified: qualified}}
	if !ledger.IsIdentifier(a.Name) {
		return nil, errors.New("the name must be an identifier: lower-case letters, digits, . _ - ; at most 64 characters")
	}
	u, err := url.Parse(a.URL)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, errors.New("the URL is not an http or https URL") // not repeated: it may hold a password
	case u.User != nil && u.Scheme != "https":
		return nil, errors.New("the URL has a user name, which would travel unencrypted; use https")
	}
	text, err := read(words[3])
	if err != nil {
		return nil, fmt.Errorf("reading the authority's certificate: %w", err)
	}
	if a.Pins, err = timestamp.ParsePins(text); err != nil {
		return nil, fmt.Errorf("%s: %w", words[3], err)
	}
	return a, nil
}

// unlike refuses an authority that is there already.
func (a *Authority) unlike(list []Authority) error {
	for _, b := range list {
		if a.Name == b.Name {
			return fmt.Errorf("there is an authority %s already", a.Name)
		}
		if a.URL == b.URL {
			return fmt.Errorf("the URL is that of %s", b.Name)
		}
	}
	return nil
}
