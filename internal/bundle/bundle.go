// Package bundle writes and reads the container of a proof bundle: one file that
// convinces somebody who does not trust whoever hands it over. Start with
// [NewWriter] and [Open]; CONTAINER.md beside this file specifies every byte.
//
// A container is an ASiC-E zip (ETSI EN 319 162-1) of files whose names are fixed
// (see [Kind]). A manifest names the SHA-256 of each, and the log's two keys sign
// the manifest, so that no file can be changed, added or left out unnoticed.
//
// The package judges the container and nothing in it: whether an entry is in the
// log, and what that means, is for whoever reads the files. It opens no file and
// no network, and knows no clock.
//
// A [Container] is safe for concurrent use, a [Writer] is not. Containers of
// [Format] stay readable in every later version.
package bundle

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/consentledger/consentledger/ledger"
)

const (
	// Format is the version of the container: its names, its manifest and what is
	// signed. evidence/bundle.json names it in its first member, "format".
	Format = formatPrefix + "1"
	// MediaType is the content of the file mimetype, and the container's own type.
	MediaType = "application/vnd.etsi.asic-e+zip"

	formatPrefix = "consent-ledger/bundle/v"
)

// Limits, for the writer as for the reader. A reader keeps about 300 bytes of memory
// per file, and never holds more than one content: the manifest, while it opens.
const (
	MaxFiles    = 20_000    // files, mimetype and those of META-INF included
	MaxFileSize = 64 << 20  // bytes of one file, unpacked; of most kinds less
	MaxUnpacked = 256 << 20 // bytes of all files together, unpacked
	MaxPacked   = 288 << 20 // bytes of the container
	MaxPath     = 200       // bytes of a file's name
	MaxRatio    = 1000      // bytes unpacked per byte packed, of one file
)

// errNewer gives the error for something that a later version may have brought.
func errNewer(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ledger.ErrNewer, fmt.Sprintf(format, args...))
}

// formatHead is how many bytes of evidence/bundle.json are looked at to learn the
// container's version.
const formatHead = 256

// checkFormat checks that evidence/bundle.json, of which the first [formatHead]
// bytes are given, begins with the member "format", and that it says [Format].
// Another version is [ledger.ErrNewer].
func checkFormat(head string) error {
	d := json.NewDecoder(io.LimitReader(strings.NewReader(head), formatHead))
	var tokens [3]json.Token
	for i := range tokens {
		tokens[i], _ = d.Token() // nil at an error, which is none of what is wanted
	}
	format, ok := tokens[2].(string)
	if !ok || tokens[0] != json.Delim('{') || tokens[1] != "format" {
		return errors.New(`does not begin with the member "format"`)
	}
	version, ok := strings.CutPrefix(format, formatPrefix)
	switch {
	case format == Format:
		return nil
	case ok && isNumber(version):
		return errNewer("the bundle has the format %q, this version reads %q", format, Format)
	}
	return fmt.Errorf("has the format %q, want %q", format, Format)
}

// isNumber reports whether s is a decimal number from 1, without leading zeros.
func isNumber(s string) bool {
	return s != "" && len(s) <= 9 && s[0] != '0' && strings.Trim(s, "0123456789") == ""
}
