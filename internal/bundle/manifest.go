package bundle

import (
	"errors"
	"fmt"
	"strings"

	"github.com/consentledger/consentledger/ledger"
)

// The manifest is an ASiCManifest of ETSI EN 319 162-1, by a template, so that
// nobody needs an XML library and there is one spelling: the head, a line for
// each file of the container in the container's order, but mimetype and what
// META-INF holds, and the tail; each ended by LF.
const (
	manifestOpen = `<asic:ASiCManifest xmlns:asic="http://uri.etsi.org/02918/v1.2.1#" xmlns:ds="http://www.w3.org/2000/09/xmldsig#">` + "\n"
	manifestTail = "</asic:ASiCManifest>\n"

	referenceFormat = `<asic:SigReference MimeType="%s" URI="%s"/>` + "\n"

	lineMedia  = `<asic:DataObjectReference MimeType="`
	lineURI    = `" URI="`
	lineDigest = `"><ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/><ds:DigestValue>`
	lineEnd    = "</ds:DigestValue></asic:DataObjectReference>\n"
)

// manifestHead gives what stands before the lines: what covers the manifest is
// the token if there is one, because that is what ETSI's validators look for, and
// the log's signatures if there is none.
func manifestHead(stamped bool) string {
	if stamped {
		return manifestOpen + fmt.Sprintf(referenceFormat, tokenMedia, KindToken)
	}
	return manifestOpen + fmt.Sprintf(referenceFormat, textMedia, KindSignature)
}

// manifestLine is what the manifest says of a file.
type manifestLine struct {
	name  string
	media string
	sum   ledger.Hash
}

func (l manifestLine) String() string {
	return lineMedia + l.media + lineURI + l.name + lineDigest + l.sum.String() + lineEnd
}

// parseManifestLine parses a line, LF included, in its one spelling.
func parseManifestLine(text string) (manifestLine, error) {
	var l manifestLine
	bad := errors.New("not a line of the manifest's template")
	rest, ok := strings.CutPrefix(text, lineMedia)
	if !ok {
		return l, bad
	}
	if l.media, rest, ok = strings.Cut(rest, lineURI); !ok {
		return l, bad
	}
	if l.name, rest, ok = strings.Cut(rest, lineDigest); !ok {
		return l, bad
	}
	sum, ok := strings.CutSuffix(rest, lineEnd)
	if !ok {
		return l, bad
	}
	var err error
	if l.sum, err = ledger.ParseHash(sum); err != nil {
		return l, fmt.Errorf("digest: %w", err)
	}
	path, err := ParsePath(l.name)
	switch {
	case err != nil:
		return l, err
	case path.Kind != KindUnknown && l.media != path.info.media, !isMedia(l.media):
		return l, fmt.Errorf("file %q: media type is %q, want %q", l.name, l.media, path.info.media)
	}
	return l, nil
}

// isMedia reports whether s is a media type without parameters.
func isMedia(s string) bool {
	first, second, ok := strings.Cut(s, "/")
	return ok && first != "" && second != "" && len(s) <= 100 &&
		strings.Trim(first+second, "abcdefghijklmnopqrstuvwxyz0123456789.+-") == ""
}

// checkManifest checks that a manifest lists exactly these files, in their order,
// with their digests. stamped says which head it must have.
func checkManifest(text string, files []FileInfo, stamped bool) error {
	rest, ok := strings.CutPrefix(text, manifestHead(stamped))
	if !ok {
		return errors.New("it does not begin as the template for what META-INF holds")
	}
	place := 0
	for rest != manifestTail {
		line, after, ok := strings.Cut(rest, "\n")
		if !ok {
			return errors.New("it does not end as the template")
		}
		l, err := parseManifestLine(line + "\n")
		if err != nil {
			return fmt.Errorf("line %d: %w", place+3, err)
		}
		if err := l.check(files, place); err != nil {
			return err
		}
		place, rest = place+1, after
	}
	if place < len(files) {
		return fmt.Errorf("it does not list %q", files[place].Name)
	}
	return nil
}

// check compares a line with the file at its place.
func (l manifestLine) check(files []FileInfo, place int) error {
	switch {
	case place < len(files) && files[place].Name == l.name && files[place].SHA256 == l.sum:
		return nil
	case place < len(files) && files[place].Name == l.name:
		return fmt.Errorf("file %q was changed: its SHA-256 is %v, the manifest says %v", l.name, files[place].SHA256, l.sum)
	}
	for _, f := range files {
		if f.Name == l.name {
			return fmt.Errorf("it lists %q out of place, or does not list the files before it", l.name)
		}
	}
	return fmt.Errorf("it lists %q, which the container lacks", l.name)
}
