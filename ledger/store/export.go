package store

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/consentledger/consentledger/ledger"
)

// Export writes a static copy of the log for auditors into dir, which must not
// exist or be empty: checkpoint, tile/…, tile/entries/…, notices/<sha256>,
// anchors/<sha256> and trust.keys. Any static web server can serve it (C2SP tlog-tiles). The copy
// holds no personal data. The checkpoint is written last, so that a copy that
// was interrupted does not verify.
func (p *Snapshot) Export(dir string) error {
	if list, err := os.ReadDir(dir); err == nil && len(list) > 0 {
		return fmt.Errorf("exporting: %s is not empty", dir)
	} else if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("exporting: %w", err)
	}
	write := func(path string, b []byte, err error) error {
		if err != nil {
			return fmt.Errorf("exporting %s: %w", path, err)
		}
		return writeFile(filepath.Join(dir, filepath.FromSlash(path)), b)
	}
	if err := p.exportTiles(write); err != nil {
		return err
	}
	var err error
	p.Notices(func(n ledger.Notice) {
		for _, sum := range []ledger.Hash{n.SHA256, n.Facts} {
			if err == nil && sum != (ledger.Hash{}) {
				text, textErr := p.NoticeText(sum)
				err = write("notices/"+hex.EncodeToString(sum[:]), text, textErr)
			}
		}
	})
	if err != nil {
		return err
	}
	if err := p.exportAnchors(write); err != nil {
		return err
	}
	keys, err := p.Keys()
	if err := write("trust.keys", keys, err); err != nil {
		return err
	}
	return write("checkpoint", p.checkpoint, nil)
}

func (p *Snapshot) exportTiles(write func(path string, b []byte, err error) error) error {
	for level := 0; int64(p.meta.Size)>>(ledger.TileHeight*level) > 0; level++ {
		full, partial := ledger.TileRange(p.meta.Size, level)
		for n := int64(0); n <= full; n++ {
			width := ledger.TileWidth
			if n == full {
				width = partial
			}
			if width == 0 {
				continue
			}
			b, err := p.Tile(level, n, width)
			if err := write(ledger.TilePath(level, n, width), b, err); err != nil {
				return err
			}
			if level == 0 {
				b, err := p.EntryBundle(n, width)
				if err := write(ledger.EntriesPath(n, width), b, err); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func writeFile(path string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o644)
}
