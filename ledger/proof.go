package ledger

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// Limits of a receipt.
const (
	// MaxReceiptSize is the largest receipt in bytes.
	MaxReceiptSize = 128 << 10
	// MaxProofHashes is the largest number of hashes of an inclusion proof: no
	// log has more than 2^63 entries.
	MaxProofHashes = 63
)

const receiptMagic = "c2sp.org/tlog-proof@v1"

// Receipt says that an entry is in a log, in the form of c2sp.org/tlog-proof:
//
//	c2sp.org/tlog-proof@v1
//	extra <base64>             only when there are extra bytes
//	index <decimal>
//	<base64 of 32 bytes>       one line per hash, 0 to 63 of them
//	                           a blank line
//	<signed checkpoint>        verbatim
//
// Parsing a receipt verifies nothing; see [VerifyReceipt].
type Receipt struct {
	// Index is the position of the entry.
	Index Index
	// Extra is what the sender added. Nothing authenticates it; it must hold no
	// personal data. The ledger's own receipts have none.
	Extra []byte
	// Proof is the inclusion proof of RFC 6962 § 2.1.1, from the leaf's sibling
	// up to the root's child.
	Proof []Hash
	// Checkpoint is the signed note that the proof leads to.
	Checkpoint []byte
}

// Text gives the receipt's one spelling.
func (r Receipt) Text() []byte {
	var b bytes.Buffer
	b.WriteString(receiptMagic + "\n")
	if len(r.Extra) > 0 {
		fmt.Fprintf(&b, "extra %s\n", base64.StdEncoding.EncodeToString(r.Extra))
	}
	fmt.Fprintf(&b, "index %d\n", r.Index)
	for _, h := range r.Proof {
		fmt.Fprintf(&b, "%s\n", h)
	}
	b.WriteByte('\n')
	b.Write(r.Checkpoint)
	return b.Bytes()
}

// ParseReceipt parses a receipt. It refuses more than [MaxReceiptSize] bytes or
// [MaxProofHashes] hashes, a checkpoint that [ParseSignedNote] refuses, a later
// version of the format (an error that wraps [ErrNewer]), and every spelling
// but the one that [Receipt.Text] gives.
func ParseReceipt(b []byte) (*Receipt, error) {
	if len(b) > MaxReceiptSize {
		return nil, fmt.Errorf("receipt: %d bytes are more than %d", len(b), MaxReceiptSize)
	}
	// No line before the checkpoint is empty, so the first blank line ends them.
	head, checkpoint, ok := strings.Cut(string(b), "\n\n")
	if !ok {
		return nil, errors.New("receipt: no blank line before the checkpoint")
	}
	lines := strings.Split(head, "\n")
	if err := checkReceiptMagic(lines[0]); err != nil {
		return nil, err
	}
	lines = lines[1:]
	r := &Receipt{Checkpoint: []byte(checkpoint)}
	if len(lines) > 0 && strings.HasPrefix(lines[0], "extra ") {
		extra, err := decodeCanonicalBase64(strings.TrimPrefix(lines[0], "extra "))
		if err != nil {
			return nil, fmt.Errorf("receipt: extra: %w", err)
		}
		r.Extra, lines = extra, lines[1:]
	}
	if len(lines) == 0 || !strings.HasPrefix(lines[0], "index ") {
		return nil, errors.New("receipt: no index line")
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[0], "index "), 10, 64)
	if err != nil || index < 0 {
		return nil, errors.New("receipt: index is not a decimal number below 2^63")
	}
	r.Index = Index(index)
	if r.Proof, err = parseProofLines(lines[1:]); err != nil {
		return nil, fmt.Errorf("receipt: %w", err)
	}
	if _, err := ParseSignedNote(r.Checkpoint); err != nil {
		return nil, fmt.Errorf("receipt: checkpoint: %w", err)
	}
	if !bytes.Equal(r.Text(), b) {
		return nil, errors.New("receipt: not in its one spelling")
	}
	return r, nil
}

// checkReceiptMagic tells another version of the format from something else.
func checkReceiptMagic(line string) error {
	if line == receiptMagic {
		return nil
	}
	text, ok := strings.CutPrefix(line, "c2sp.org/tlog-proof@v")
	version, err := parseNumber(text)
	if !ok || err != nil || version < 1 {
		return errors.New("receipt: not a tlog-proof")
	}
	return fmt.Errorf("receipt: %w: version %d of tlog-proof", ErrNewer, version)
}

// parseProofLines parses the hashes of an inclusion proof, one per line.
func parseProofLines(lines []string) ([]Hash, error) {
	if len(lines) > MaxProofHashes {
		return nil, fmt.Errorf("%d hashes are more than %d", len(lines), MaxProofHashes)
	}
	var proof []Hash
	for i, line := range lines {
		h, err := tlog.ParseHash(line)
		if err != nil {
			return nil, fmt.Errorf("hash %d is not the base64 of 32 bytes", i+1)
		}
		proof = append(proof, h)
	}
	return proof, nil
}
