package interop

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"filippo.io/torchwood"
	formatslog "github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/api/layout"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/ledger"
)

// TestPaths: every path of ours is what torchwood and Tessera write, up to sizes
// that no test can fill.
func TestPaths(t *testing.T) {
	for range 20_000 {
		level, width := rand.IntN(65)-1, 1+rand.IntN(256)
		n := rand.Int64N(1 << (1 + rand.IntN(62)))
		tile := tlog.Tile{H: ledger.TileHeight, L: level, N: n, W: width}
		ours, tesseras := ledger.EntriesPath(n, width), layout.EntriesPath(uint64(n), uint8(width))
		if level >= 0 {
			ours, tesseras = ledger.TilePath(level, n, width), layout.TilePath(uint64(level), uint64(n), uint8(width))
		}
		if theirs := torchwood.TilePath(tile); ours != theirs || ours != tesseras {
			t.Fatalf("level %d, tile %d, width %d: ours is %s, torchwood's %s, Tessera's %s", level, n, width, ours, theirs, tesseras)
		}
		if l, number, w, err := ledger.ParseTilePath(torchwood.TilePath(tile)); err != nil || l != level || number != n || w != width {
			t.Fatalf("we read %s as %d, %d, %d, %v", ours, l, number, w, err)
		}
		damaged := string(mutate([]byte(ours), "0123456789x/.p"))
		if l, number, w, err := ledger.ParseTilePath(damaged); err == nil {
			theirs, err := torchwood.ParseTilePath(damaged)
			if want := (tlog.Tile{H: ledger.TileHeight, L: l, N: number, W: w}); err != nil || theirs != want {
				t.Fatalf("we read %s as %+v, torchwood as %+v, %v", damaged, want, theirs, err)
			}
		}
	}
}

// TestBundles: entry bundles of each side are read alike by the other, damaged
// ones too; those of more than 256 entries we refuse, and Tessera does not.
func TestBundles(t *testing.T) {
	for range 2_000 {
		var ours, theirs []byte
		var entries [][]byte
		for range rand.IntN(6) {
			entry := make([]byte, rand.IntN(300))
			entries = append(entries, entry)
			var err, err2 error
			ours, err = ledger.AppendBundle(ours, entry)
			theirs, err2 = torchwood.AppendTileEntry(theirs, entry)
			if err != nil || err2 != nil || !bytes.Equal(ours, theirs) {
				t.Fatalf("entries of %d bytes: %v, %v", len(entry), err, err2)
			}
		}
		if read, err := ledger.ParseBundle(theirs); err != nil || !slices.EqualFunc(read, entries, bytes.Equal) {
			t.Fatalf("of torchwood's bundle of %d entries we read %d, %v", len(entries), len(read), err)
		}
		for _, b := range [][]byte{ours, mutate(ours, "\x00\x01\xff")} {
			var bundle api.EntryBundle
			other := bundle.UnmarshalText(b)
			read, err := ledger.ParseBundle(b)
			if (err == nil) != (other == nil && len(bundle.Entries) <= ledger.TileWidth) || err == nil && !slices.EqualFunc(read, bundle.Entries, bytes.Equal) {
				t.Fatalf("of %x we read %d entries, %v; Tessera %d, %v", b, len(read), err, len(bundle.Entries), other)
			}
		}
	}
}

// TestCheckpointTexts: what we read as the text of a checkpoint, torchwood and
// formats read as the same. We are the stricter ones.
func TestCheckpointTexts(t *testing.T) {
	read := 0
	for range 50_000 {
		c := ledger.Checkpoint{Origin: testledger.Origin, Size: ledger.Size(rand.Int64N(1 << (1 + rand.IntN(62))))}
		for i := range c.Root {
			c.Root[i] = byte(rand.Int())
		}
		text := mutate([]byte(c.Text()), "0123456789+/=aZ\n -.")
		ours, err := ledger.ParseCheckpoint(string(text))
		if err != nil {
			continue
		}
		read++
		theirs, err := torchwood.ParseCheckpoint(string(text))
		if err != nil || theirs.Origin != ours.Origin || theirs.N != int64(ours.Size) || theirs.Hash != ours.Root || theirs.Extension != "" || theirs.String() != ours.Text() {
			t.Fatalf("we read %q, torchwood reads %+v, %v", text, theirs, err)
		}
		var formats formatslog.Checkpoint
		rest, err := formats.Unmarshal(text)
		if err != nil || len(rest) > 0 || !bytes.Equal(formats.Marshal(), text) {
			t.Fatalf("we read %q, formats reads %+v, %v", text, formats, err)
		}
	}
	if read < 10_000 {
		t.Errorf("only %d texts were still checkpoints", read)
	}
}

// mutate gives b with up to two bytes replaced, removed or put in, drawn from the
// alphabet.
func mutate(b []byte, alphabet string) []byte {
	b = bytes.Clone(b)
	for range rand.IntN(3) {
		i, c := rand.IntN(len(b)+1), alphabet[rand.IntN(len(alphabet))]
		switch kind := rand.IntN(3); {
		case kind == 0 || i == len(b):
			b = slices.Insert(b, i, c)
		case kind == 1:
			b[i] = c
		default:
			b = slices.Delete(b, i, i+1)
		}
	}
	return b
}
