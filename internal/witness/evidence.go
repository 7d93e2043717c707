package witness

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strings"

	"github.com/consentledger/consentledger/ledger"
)

// evidenceName is the directory in which fork proofs are kept.
const evidenceName = "forks"

// maxEvidence is how many files of each sort are kept of a log: one proves it, and
// a log could make any number.
const maxEvidence = 16

// What a file of evidence shows.
const (
	// forkProven: two roots of one size, both signed by the log.
	forkProven = "fork"
	// forkSuspected: a larger checkpoint that came with a proof that fails. The log
	// signed it, but the proof may have come from anybody; a copy of the log tells.
	forkSuspected = "suspect"
)

// originHash is the SHA-256 of an origin, by which monitors ask.
func originHash(origin string) ledger.Hash { return sha256.Sum256([]byte(origin)) }

// evidencePrefix begins the names of the files of a sort about a log.
func evidencePrefix(sort, origin string) string {
	h := originHash(origin)
	return sort + "-" + hex.EncodeToString(h[:8]) + "-"
}

// keep keeps a checkpoint that the log signed beside the one that it contradicts,
// as a file that `verify fork` judges, and tells the operator. The caller holds
// mu. That it cannot be kept changes no answer: it is refused either way.
func (w *Witness) keep(sort string, before *record, c ledger.Checkpoint, bare ledger.SignedNote) {
	prefix := evidencePrefix(sort, c.Origin)
	name := path(evidenceName, fmt.Sprintf("%s%d-%s.txt", prefix, c.Size, hex.EncodeToString(c.Root[:4])))
	text := "the log has signed two histories"
	if sort == forkSuspected {
		text = "a checkpoint came whose proof fails; with a copy of the log, verify fork --log tells whether the log has two histories"
	}
	attrs := []any{"origin", c.Origin, "size", int64(c.Size), "cosigned_size", int64(before.checkpoint.Size), "file", name}
	if _, err := os.Stat(path(w.dir, name)); err == nil {
		w.logger.Error(text, attrs...)
		return
	}
	if w.kept[prefix] >= maxEvidence {
		w.logger.Error(text+"; not kept, because there are enough such files", attrs...)
		return
	}
	proof := ledger.ForkProof{First: before.note, Second: bare.Bytes()}
	err := writeNew(path(w.dir, name), 0o600, proof.Text())
	if err == nil {
		err = syncDir(path(w.dir, evidenceName))
	}
	if err != nil {
		attrs = append(attrs, "error", err.Error())
		text += "; it could not be kept"
	}
	w.kept[prefix]++
	w.logger.Error(text, attrs...)
}

// countEvidence counts the files that are kept, by the beginnings of their names.
func countEvidence(dir string) (map[string]int, error) {
	files, err := os.ReadDir(path(dir, evidenceName))
	if err != nil {
		return nil, fmt.Errorf("listing the fork proofs: %w", err)
	}
	kept := make(map[string]int)
	for _, f := range files {
		if parts := strings.SplitN(f.Name(), "-", 3); len(parts) == 3 {
			kept[parts[0]+"-"+parts[1]+"-"]++
		}
	}
	return kept, nil
}
