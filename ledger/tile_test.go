package ledger

import (
	"bytes"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

func TestTilePath(t *testing.T) {
	tests := []struct {
		path  string
		level int
		n     int64
		width int
	}{
		{"tile/0/000", 0, 0, 256},
		{"tile/0/000.p/1", 0, 0, 1},
		{"tile/0/999.p/255", 0, 999, 255},
		{"tile/0/x001/000", 0, 1000, 256},
		{"tile/0/x001/x234/067", 0, 1234067, 256}, // c2sp.org/tlog-tiles
		{"tile/5/x001/x234/067.p/17", 5, 1234067, 17},
		{"tile/63/000", 63, 0, 256},
		{"tile/7/x009/x223/x372/x036/x854/x775/807", 7, 1<<63 - 1, 256},
		{"tile/entries/000", -1, 0, 256},
		{"tile/entries/x001/x234/067.p/17", -1, 1234067, 17},
	}
	for _, test := range tests {
		level, n, width, err := ParseTilePath(test.path)
		if err != nil || level != test.level || n != test.n || width != test.width {
			t.Errorf("%s: %d, %d, %d, %v", test.path, level, n, width, err)
		}
		got := EntriesPath(test.n, test.width)
		if test.level >= 0 {
			got = TilePath(test.level, test.n, test.width)
		}
		if got != test.path {
			t.Errorf("path is %s, want %s", got, test.path)
		}
	}
}

func TestParseTilePathRefuses(t *testing.T) {
	bad := []string{"", "tile", "tile/", "tile/0", "tile/0/", "tile//000", "/tile/0/000", "tile/0/000/", "tile/0/0", "tile/0/00", "tile/0/0000",
		"tile/00/000", "tile/01/000", "tile/-1/000", "tile/-0/000", "tile/+1/000", "tile/64/000", "tile/a/000", "tile/0/-01", "tile/0/+01",
		"tile/0/x000/000", "tile/0/x000/001", "tile/0/001/000", "tile/0/x001", "tile/0/x1/000", "tile/0/x001x000", "tile/0/x001//000", "tile/0/0x0",
		"tile/0/000.p", "tile/0/000.p/", "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/257", "tile/0/000.p/-1", "tile/0/000.p/+1",
		"tile/0/000.p/01", "tile/0/000.p/1/", "tile/0/000.p/1.p/1", "tile/0/000.q/1", "tile/8/0/000", "tile/entries", "tile/entries/", "tile/Entries/000",
		"tile/data/000", "tile/0/x009/x223/x372/x036/x854/x775/808", "tile/0/../000", "tile/0/000?", "tile/0/000\n", "tile/0/٠٠٠"}
	for _, path := range bad {
		if level, n, width, err := ParseTilePath(path); err == nil {
			t.Errorf("%q is accepted as %d, %d, %d", path, level, n, width)
		}
	}
}

// x/mod names the same tiles with the height before the level, entries "data".
func TestTilePathAgainstXMod(t *testing.T) {
	for _, n := range []int64{0, 1, 999, 1000, 1001, 999999, 1000000, 1234067} {
		for _, width := range []int{1, 17, 255, 256} {
			for level := -1; level < 8; level++ {
				want := tlog.Tile{H: TileHeight, L: level, N: n, W: width}.Path()
				want = strings.Replace(strings.Replace(want, "tile/8/data/", "tile/entries/", 1), "tile/8/", "tile/", 1)
				got := EntriesPath(n, width)
				if level >= 0 {
					got = TilePath(level, n, width)
				}
				if got != want {
					t.Errorf("path is %s, want %s", got, want)
				}
			}
		}
	}
}

func TestTileRange(t *testing.T) {
	tests := []struct {
		size    Size
		level   int
		full    int64
		partial int
	}{
		{0, 0, 0, 0}, {1, 0, 0, 1}, {255, 0, 0, 255}, {256, 0, 1, 0}, {257, 0, 1, 1}, {256, 1, 0, 1}, {257, 1, 0, 1}, {255, 1, 0, 0},
		{65535, 1, 0, 255}, {65536, 1, 1, 0}, {65536, 2, 0, 1}, {70000, 0, 273, 112}, {70000, 1, 1, 17}, {70000, 2, 0, 1}, {70000, 3, 0, 0},
		{70000, -1, 273, 112}, {1<<63 - 1, 7, 0, 127}, {1<<63 - 1, 0, 1<<55 - 1, 255}, {1<<63 - 1, 8, 0, 0}, {1<<63 - 1, 63, 0, 0}, {-1, 0, 0, 0},
	}
	for _, test := range tests {
		full, partial := TileRange(test.size, test.level)
		if full != test.full || partial != test.partial {
			t.Errorf("size %d level %d: %d, %d, want %d, %d", test.size, test.level, full, partial, test.full, test.partial)
		}
	}
}

// The tiles of x/mod for a whole log must be exactly those of the range.
func TestTileRangeAgainstXMod(t *testing.T) {
	for _, size := range []int64{1, 2, 255, 256, 257, 511, 512, 65535, 65536, 65537, 70000} {
		want := make(map[string]bool)
		for _, tile := range tlog.NewTiles(TileHeight, 0, size) {
			want[TilePath(tile.L, tile.N, tile.W)] = true
		}
		got := make(map[string]bool)
		for level := range 8 {
			full, partial := TileRange(Size(size), level)
			for n := range full {
				got[TilePath(level, n, TileWidth)] = true
			}
			if partial > 0 {
				got[TilePath(level, full, partial)] = true
			}
		}
		if len(got) != len(want) {
			t.Errorf("size %d: %d tiles, want %d", size, len(got), len(want))
		}
		for path := range want {
			if !got[path] {
				t.Errorf("size %d: %s is missing", size, path)
			}
		}
	}
}

func TestBundle(t *testing.T) {
	entries := [][]byte{[]byte("a"), {}, bytes.Repeat([]byte("x"), 65535), []byte("entry\n")}
	var bundle []byte
	var err error
	for _, e := range entries {
		if bundle, err = AppendBundle(bundle, e); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.HasPrefix(bundle, []byte("\x00\x01a\x00\x00\xff\xffxx")) {
		t.Errorf("bundle begins with %q", bundle[:8])
	}
	got, err := ParseBundle(bundle)
	if err != nil || len(got) != len(entries) {
		t.Fatalf("%d entries, %v", len(got), err)
	}
	for i := range entries {
		if !bytes.Equal(got[i], entries[i]) || cap(got[i]) != len(got[i]) {
			t.Errorf("entry %d differs or can be appended to", i)
		}
	}
	if _, err := AppendBundle(nil, make([]byte, 65536)); err == nil {
		t.Error("65,536 bytes are accepted")
	}
}

func TestParseBundleRefuses(t *testing.T) {
	full := bytes.Repeat([]byte("\x00\x01a"), TileWidth)
	if got, err := ParseBundle(full); err != nil || len(got) != TileWidth {
		t.Fatalf("%d entries, %v", len(got), err)
	}
	tests := []struct {
		name   string
		bundle []byte
		want   string
	}{
		{"257 entries", append(bytes.Clone(full), 0, 0), "after 256 entries"},
		{"trailing byte", append(bytes.Clone(full), 0), "after 256 entries"},
		{"half a length", []byte("\x00\x01a\x00"), "entry 1: half a length"},
		{"entry cut off", []byte("\x00\x01a\x00\x02b"), "entry 1: 1 bytes, want 2"},
		{"entry without bytes", []byte("\xff\xff"), "entry 0: 0 bytes, want 65535"},
	}
	for _, test := range tests {
		if _, err := ParseBundle(test.bundle); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error is %v, want one with %q", test.name, err, test.want)
		}
	}
}

func FuzzParseTilePath(f *testing.F) {
	for _, path := range []string{"tile/0/000", "tile/5/x001/x234/067.p/17", "tile/entries/x001/000.p/1", "tile/63/x999/999"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		level, n, width, err := ParseTilePath(path)
		if err != nil {
			return
		}
		got := EntriesPath(n, width)
		if level >= 0 {
			got = TilePath(level, n, width)
		}
		if got != path || n < 0 || width < 1 || width > TileWidth || level > maxTileLevel {
			t.Fatalf("%q re-encodes to %q (%d, %d, %d)", path, got, level, n, width)
		}
	})
}

func FuzzParseBundle(f *testing.F) {
	f.Add([]byte("\x00\x01a\x00\x00\x00\x02bc"))
	f.Add(bytes.Repeat([]byte{0}, 2*TileWidth))
	f.Fuzz(func(t *testing.T, b []byte) {
		entries, err := ParseBundle(b)
		if err != nil {
			return
		}
		var again []byte
		for _, e := range entries {
			if again, err = AppendBundle(again, e); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(again, b) || len(entries) > TileWidth {
			t.Fatalf("%q re-encodes to %q", b, again)
		}
	})
}
