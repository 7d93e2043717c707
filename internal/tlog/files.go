package tlog

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// errNoCheckpoint: none has satisfied the policy of a log that demands witnesses.
var errNoCheckpoint = errors.New("no checkpoint has been cosigned by the quorum of witnesses yet")

const (
	mediaText  = "text/plain; charset=utf-8"
	mediaBytes = "application/octet-stream"
)

// file is one resource of the log.
type file struct {
	content      []byte
	mediaType    string
	immutable    bool // its content never changes, so caches may keep it
	compressible bool
}

// file finds a resource by its path below [Prefix]:
//
//	checkpoint                  the newest signed checkpoint
//	tile/<L>/<N>[.p/<W>]        a hash tile (C2SP tlog-tiles)
//	tile/entries/<N>[.p/<W>]    an entry bundle, compressed where accepted
//	notices/<hex sha256>        the text of a notice, as it was shown
//	anchors/<hex sha256>        a checkpoint that was stamped, or a token over one (DER)
//	trust.keys                  the log's key entries
//
// The last three are ours. A partial tile or bundle is served for every width up
// to the newest, also when the full one exists: it is a beginning of it. So a
// client that verified a checkpoint always finds what that implies, and never
// needs to fall back on the full tile.
func (h *handler) file(path string) (*file, error) {
	switch path {
	case "checkpoint":
		signed, _ := h.log.Checkpoint()
		if signed == nil {
			return nil, errNoCheckpoint
		}
		return &file{content: signed, mediaType: mediaText}, nil
	case "trust.keys":
		keys, err := h.log.Keys()
		return &file{content: keys, mediaType: mediaText}, err
	}
	if name, ok := strings.CutPrefix(path, "notices/"); ok {
		text, err := named(name, h.log.NoticeText)
		return &file{text, mediaText, true, false}, err
	}
	if name, ok := strings.CutPrefix(path, "anchors/"); ok {
		content, err := named(name, h.log.Anchor)
		return &file{content, mediaBytes, true, false}, err
	}
	level, n, width, err := ledger.ParseTilePath(path)
	if err != nil {
		return nil, fmt.Errorf("path: %w", store.ErrNotFound)
	}
	if level < 0 {
		bundle, err := h.log.EntryBundle(n, width)
		return &file{bundle, mediaBytes, true, true}, err
	}
	// Hashes do not compress.
	tile, err := h.log.Tile(level, n, width)
	return &file{tile, mediaBytes, true, false}, err
}

// named gives the document whose SHA-256 in hex, in its one spelling, is its name.
func named(name string, read func(ledger.Hash) ([]byte, error)) ([]byte, error) {
	var sum ledger.Hash
	raw, err := hex.DecodeString(name)
	if err != nil || len(raw) != len(sum) || hex.EncodeToString(raw) != name {
		return nil, fmt.Errorf("path: %w", store.ErrNotFound)
	}
	copy(sum[:], raw)
	return read(sum)
}
