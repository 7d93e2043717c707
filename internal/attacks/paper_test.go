package attacks

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/ledger"
)

// paper is a log in the hands of somebody who holds keys: it may hold anything.
type paper struct {
	*trial
	signer *ledger.Signer
	texts  [][]byte
	files  map[string][]byte // beside checkpoint and tiles
}

// soundSize is how many entries the log has from which every paper begins: a full tile,
// and some.
const soundSize = 300

// sound is that log, as the store wrote it.
var sound paper

// makeSound makes it, before anything is tried: while a program is started, the lock
// of a store that was just closed may still be held.
func makeSound(t *testing.T) {
	s := testledger.New(t)
	testledger.Fill(t, s, soundSize-1)
	snapshot := s.Snapshot()
	defer snapshot.Release()
	sound = paper{signer: testledger.Signer(t), files: map[string][]byte{}}
	dir := t.TempDir()
	if err := snapshot.Export(dir); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err == nil && !strings.HasPrefix(name, "tile") && name != "checkpoint" {
			sound.files[filepath.ToSlash(name)], err = os.ReadFile(path)
		}
		return err
	})
	for i := range ledger.Index(soundSize) {
		var text []byte
		if err == nil {
			text, err = snapshot.Entry(i)
		}
		sound.texts = append(sound.texts, bytes.Clone(text))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// paper gives the first n entries of the sound log.
func (t *trial) paper(n int) *paper {
	return &paper{t, sound.signer, slices.Clone(sound.texts[:n]), maps.Clone(sound.files)}
}

func (t *trial) newDir(name string) string {
	t.Helper()
	t.files++
	return filepath.Join(t.dir, fmt.Sprint(name, ".", t.files))
}

// copy gives another log with the same history so far.
func (p *paper) copy() *paper {
	return &paper{p.trial, p.signer, slices.Clone(p.texts), maps.Clone(p.files)}
}

func (p *paper) size() int { return len(p.texts) }

func (p *paper) entry(i int) *ledger.Entry {
	p.Helper()
	e, err := ledger.ParseEntry(p.texts[i])
	if err != nil {
		p.Fatal(err)
	}
	return e
}

// add appends an entry without asking whether it may stand there.
func (p *paper) add(e *ledger.Entry) {
	p.Helper()
	last := p.entry(p.size() - 1)
	e.Index, e.Prev = ledger.Index(p.size()), ledger.LeafHash(p.texts[p.size()-1])
	if e.Time.IsZero() {
		e.Time = last.Time.Add(time.Second)
	}
	if e.Source == "" {
		e.Source = ledger.SourceLedger
	}
	text, err := e.Encode()
	if err != nil {
		p.Fatal(err)
	}
	p.texts = append(p.texts, text)
}

// rewrite changes entry i, and chains what follows to it anew.
func (p *paper) rewrite(i int, change func(*ledger.Entry)) {
	p.Helper()
	rest := slices.Clone(p.texts[i:])
	p.texts = p.texts[:i]
	for n, text := range rest {
		e, err := ledger.ParseEntry(text)
		if err != nil {
			p.Fatal(err)
		}
		if n == 0 {
			change(e)
		}
		p.add(e)
	}
}

// stored are the hashes of a log's tree as tlog.StoredHashes orders them.
type stored []ledger.Hash

// ReadHashes implements [tlog.HashReader].
func (s *stored) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, n := range indexes {
		hashes[i] = (*s)[n]
	}
	return hashes, nil
}

func (p *paper) tree() *stored {
	p.Helper()
	s := new(stored)
	for i, text := range p.texts {
		hashes, err := tlog.StoredHashesForRecordHash(int64(i), ledger.LeafHash(text), s)
		if err != nil {
			p.Fatal(err)
		}
		*s = append(*s, hashes...)
	}
	return s
}

// head gives what a checkpoint of the first size entries says.
func (p *paper) head(size int) ledger.Checkpoint {
	p.Helper()
	root, err := tlog.TreeHash(int64(size), p.tree())
	if err != nil {
		p.Fatal(err)
	}
	return ledger.Checkpoint{Origin: p.signer.Origin(), Size: ledger.Size(size), Root: root}
}

// checkpoint signs the first size entries.
func (p *paper) checkpoint(size int) []byte {
	p.Helper()
	signed, err := p.signer.SignCheckpoint(p.head(size), testledger.Began.Unix()+int64(size))
	if err != nil {
		p.Fatal(err)
	}
	return signed
}

// receipt proves entry i in the log of a size.
func (p *paper) receipt(i, size int, checkpoint []byte) []byte {
	p.Helper()
	proof, err := tlog.ProveRecord(int64(size), int64(i), p.tree())
	if err != nil {
		p.Fatal(err)
	}
	return ledger.Receipt{Index: ledger.Index(i), Proof: proof, Checkpoint: checkpoint}.Text()
}

// export writes the log as a directory, signed, and gives its path.
func (p *paper) export() string {
	p.Helper()
	dir := p.newDir("copy")
	name, err := filepath.Rel(p.dir, dir)
	if err != nil {
		p.Fatal(err)
	}
	write := func(path string, b []byte) { p.Helper(); p.file(filepath.Join(name, filepath.FromSlash(path)), b) }
	write("checkpoint", p.checkpoint(p.size()))
	for path, content := range p.files {
		write(path, content)
	}
	tree := p.tree()
	for level := 0; ; level++ {
		full, partial := ledger.TileRange(ledger.Size(p.size()), level)
		if full == 0 && partial == 0 {
			return dir
		}
		for n := range full + 1 {
			width := ledger.TileWidth
			if n == full {
				width = partial
			}
			if width > 0 {
				p.tile(write, *tree, level, n, width)
			}
		}
	}
}

func (p *paper) tile(write func(string, []byte), tree stored, level int, n int64, width int) {
	p.Helper()
	var tile, bundle []byte
	var err error
	for i := n * ledger.TileWidth; i < n*ledger.TileWidth+int64(width); i++ {
		h := tree[tlog.StoredHashIndex(level*ledger.TileHeight, i)]
		tile = append(tile, h[:]...)
		if level > 0 {
			continue
		}
		if bundle, err = ledger.AppendBundle(bundle, p.texts[i]); err != nil {
			p.Fatal(err)
		}
	}
	write(ledger.TilePath(level, n, width), tile)
	if level == 0 {
		write(ledger.EntriesPath(n, width), bundle)
	}
}

// change changes a file of a copy.
func (t *trial) change(dir, name string, change func([]byte) []byte) {
	t.Helper()
	path := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.WriteFile(path, change(t.read(path)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// signerOf gives a pair of keys that follows from a name.
func (t *trial) signerOf(origin, name string) *ledger.Signer {
	t.Helper()
	s, err := ledger.NewSigner(origin, sha256.Sum256([]byte(name+" ed25519")), sha256.Sum256([]byte(name+" ml-dsa-44")))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// line gives the one-line form of a checkpoint as a mail carries it, folded.
func (t *trial) line(signed []byte) []byte {
	t.Helper()
	line, err := ledger.CheckpointLine(signed)
	if err != nil {
		t.Fatal(err)
	}
	return []byte(ledger.CheckpointHeader + ": " + strings.ReplaceAll(line, " ", "\r\n ") + "\r\n")
}
