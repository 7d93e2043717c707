package ledger

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// Tiles as c2sp.org/tlog-tiles cuts them.
const (
	// TileHeight is the number of levels of the tree in a tile.
	TileHeight = 8
	// TileWidth is the number of hashes in a full tile, and of entries in a
	// full bundle.
	TileWidth = 1 << TileHeight
	// maxTileLevel is the highest level that the page allows in a path.
	maxTileLevel = 63
	// maxBundleEntry is the longest entry in bytes that a bundle can hold: its
	// length stands in two bytes.
	maxBundleEntry = 1<<16 - 1
)

const entriesPrefix = "entries"

// TilePath gives the path of a hash tile below the log's prefix: level 0 to 63,
// number n from 0, width 1 to [TileWidth], where TileWidth is a full tile:
//
//	tile/0/x001/x234/067
//	tile/1/000.p/17
//
// Item i of tile n of a level is the root of the perfect subtree of 256^level
// leaves with the number 256 × n + i. For other arguments the path is not one
// that [ParseTilePath] accepts.
func TilePath(level int, n int64, width int) string {
	return tilePath(strconv.Itoa(level), n, width)
}

// EntriesPath gives the path of an entry bundle, of the same width and number
// as the tile of level 0 that holds the hashes of its entries:
//
//	tile/entries/x001/x234/067
//	tile/entries/000.p/17
func EntriesPath(n int64, width int) string {
	return tilePath(entriesPrefix, n, width)
}

func tilePath(level string, n int64, width int) string {
	number := fmt.Sprintf("%03d", n%1000)
	for n /= 1000; n > 0; n /= 1000 {
		number = fmt.Sprintf("x%03d/%s", n%1000, number)
	}
	path := "tile/" + level + "/" + number
	if width != TileWidth {
		path += ".p/" + strconv.Itoa(width)
	}
	return path
}

// ParseTilePath parses a path that [TilePath] or [EntriesPath] gives, and no
// other spelling of it. The level is -1 for an entry bundle.
func ParseTilePath(path string) (level int, n int64, width int, err error) {
	refuse := func() (int, int64, int, error) {
		return 0, 0, 0, fmt.Errorf("tile path %q: not tile/LEVEL/NUMBER[.p/WIDTH] in its one spelling", path)
	}
	rest, ok := strings.CutPrefix(path, "tile/")
	if !ok {
		return refuse()
	}
	levelText, rest, ok := strings.Cut(rest, "/")
	if !ok {
		return refuse()
	}
	if levelText == entriesPrefix {
		level = -1
	} else if level, err = strconv.Atoi(levelText); err != nil || level < 0 || level > maxTileLevel {
		return refuse()
	}
	width = TileWidth
	number, widthText, partial := strings.Cut(rest, ".p/")
	if partial {
		if width, err = strconv.Atoi(widthText); err != nil || width < 1 || width >= TileWidth {
			return refuse()
		}
	}
	// Digits without their separators; writing the path again finds out
	// whether the separators were in their places.
	digits := strings.NewReplacer("x", "", "/", "").Replace(number)
	if n, err = strconv.ParseInt(digits, 10, 64); err != nil || n < 0 {
		return refuse()
	}
	if tilePath(levelText, n, width) != path || level >= 0 && TilePath(level, n, width) != path {
		return refuse()
	}
	return level, n, width, nil
}

// TileRange gives the number of full tiles of a level in a log of this size,
// and the width of the partial tile after them, 0 for none. For entry bundles
// the level is 0 or, as [ParseTilePath] gives it, -1.
func TileRange(size Size, level int) (full int64, partialWidth int) {
	if size <= 0 {
		return 0, 0
	}
	items := uint64(size) >> (TileHeight * uint(max(level, 0)))
	return int64(items / TileWidth), int(items % TileWidth)
}

// AppendBundle appends an entry to an entry bundle: its length in two bytes,
// big-endian, then its bytes. It refuses an entry of more than 65,535 bytes. A
// bundle holds at most [TileWidth] entries; counting them is the caller's.
func AppendBundle(b []byte, entry []byte) ([]byte, error) {
	if len(entry) > maxBundleEntry {
		return nil, fmt.Errorf("entry bundle: entry has %d bytes, more than %d", len(entry), maxBundleEntry)
	}
	b = binary.BigEndian.AppendUint16(b, uint16(len(entry)))
	return append(b, entry...), nil
}

// ParseBundle takes an entry bundle apart into its entries, which are parts of
// b. It refuses more than [TileWidth] entries and bytes that are no whole
// entry. Whether they are as many as the path says is the caller's to check: no
// bytes at all are a bundle of no entries.
func ParseBundle(b []byte) ([][]byte, error) {
	var entries [][]byte
	for len(b) > 0 {
		if len(entries) == TileWidth {
			return nil, fmt.Errorf("entry bundle: %d bytes after %d entries", len(b), TileWidth)
		}
		if len(b) < 2 {
			return nil, fmt.Errorf("entry bundle: entry %d: half a length", len(entries))
		}
		size := int(binary.BigEndian.Uint16(b))
		if b = b[2:]; len(b) < size {
			return nil, fmt.Errorf("entry bundle: entry %d: %d bytes, want %d", len(entries), len(b), size)
		}
		entries = append(entries, b[:size:size])
		b = b[size:]
	}
	return entries, nil
}
