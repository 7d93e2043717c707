package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// MaxAddCheckpointSize is the largest request to a witness in bytes: the line of
// the old size, [MaxProofHashes] hashes, a blank line and a signed note.
const MaxAddCheckpointSize = MaxNoteSize + 4<<10

// AddCheckpoint is the body of a request for a witness's cosignature, the
// add-checkpoint call of c2sp.org/tlog-witness v1.0.0:
//
//	old <decimal>
//	<base64 of 32 bytes>       one line per hash, 0 to 63 of them
//	                           a blank line
//	<signed checkpoint>        verbatim
//
// Parsing it verifies nothing.
type AddCheckpoint struct {
	// Old is the size of the checkpoint that the witness cosigned last, 0 for
	// none.
	Old Size
	// Proof shows that the log has only grown since; see [VerifyConsistency].
	Proof []Hash
	// Checkpoint is the signed note to be cosigned.
	Checkpoint []byte
}

// Text gives the request's one spelling.
func (r AddCheckpoint) Text() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "old %d\n", r.Old)
	for _, h := range r.Proof {
		fmt.Fprintf(&b, "%s\n", h)
	}
	b.WriteByte('\n')
	b.Write(r.Checkpoint)
	return b.Bytes()
}

// ParseAddCheckpoint parses a request, and the signed note in it. It refuses
// more than [MaxAddCheckpointSize] bytes or [MaxProofHashes] hashes, what
// [ParseSignedNote] refuses, and every spelling but the one that
// [AddCheckpoint.Text] gives. The text of the note may be anything.
func ParseAddCheckpoint(b []byte) (*AddCheckpoint, *SignedNote, error) {
	if len(b) > MaxAddCheckpointSize {
		return nil, nil, fmt.Errorf("add-checkpoint: %d bytes are more than %d", len(b), MaxAddCheckpointSize)
	}
	// No line before the checkpoint is empty, so the first blank line ends them.
	head, checkpoint, ok := strings.Cut(string(b), "\n\n")
	if !ok {
		return nil, nil, errors.New("add-checkpoint: no blank line before the checkpoint")
	}
	lines := strings.Split(head, "\n")
	text, ok := strings.CutPrefix(lines[0], "old ")
	if !ok {
		return nil, nil, errors.New("add-checkpoint: does not begin with the old size")
	}
	old, err := strconv.ParseInt(text, 10, 64)
	if err != nil || old < 0 {
		return nil, nil, errors.New("add-checkpoint: the old size is not a decimal number below 2^63")
	}
	r := &AddCheckpoint{Old: Size(old), Checkpoint: []byte(checkpoint)}
	if r.Proof, err = parseProofLines(lines[1:]); err != nil {
		return nil, nil, fmt.Errorf("add-checkpoint: proof: %w", err)
	}
	n, err := ParseSignedNote(r.Checkpoint)
	if err != nil {
		return nil, nil, fmt.Errorf("add-checkpoint: checkpoint: %w", err)
	}
	if !bytes.Equal(r.Text(), b) {
		return nil, nil, errors.New("add-checkpoint: not in its one spelling")
	}
	return r, n, nil
}

// LogKeys are the keys by which a witness knows a log. Make them with
// [ParseLogs].
type LogKeys struct {
	// Ed25519 is the log's key of type [KeyTypeEd25519]; its name is the origin.
	Ed25519 VerifierKey
	// MLDSA44 is the log's key of type [KeyTypeMLDSA44], which a consent ledger
	// has. Its Name is empty for a foreign log that signs with Ed25519 alone.
	MLDSA44 VerifierKey

	ring  *KeyRing // nil for these keys alone
	since Index    // of the ring's entry that names these keys
}

// WithKeys gives the keys as they are under the key entries of the log, the content
// of its trust.keys file: a checkpoint then counts if the pair in force at its size
// signed it, and if that is this pair or one that followed it: whoever stole one that
// went before could still sign for its time. The pair must be one of the file's.
// Every error wraps [ErrPolicy].
func (k LogKeys) WithKeys(file []byte) (LogKeys, error) {
	ring, err := ParseKeyRing(file)
	if err != nil {
		return LogKeys{}, fmt.Errorf("%w: the keys file: %w", ErrPolicy, err)
	}
	own := ring.find(KeyPair{k.Ed25519, k.MLDSA44})
	if own < 0 {
		return LogKeys{}, policyErrorf("the keys file does not hold the keys of the log %q", k.Origin())
	}
	k.ring, k.since = ring, ring.entries[own].Index
	return k, nil
}

// Origin gives the name of the log.
func (k LogKeys) Origin() string { return k.Ed25519.Name }

// Verify checks the log's signatures over a checkpoint, of which n is the note,
// and gives their lines. All of the log's keys in force must have signed.
func (k LogKeys) Verify(c Checkpoint, n *SignedNote) ([]SignatureLine, error) {
	if k.since > 0 && c.Size <= Size(k.since) {
		return nil, fmt.Errorf("of a time before the keys that are known, which took effect with entry %d", k.since)
	}
	if k.ring != nil {
		pair := k.ring.At(c.Size)
		k.Ed25519, k.MLDSA44 = pair.Ed25519, pair.MLDSA44
	}
	keys := []VerifierKey{k.Ed25519}
	if k.MLDSA44.Name != "" {
		keys = append(keys, k.MLDSA44)
	}
	return verifyLines(c, n, keys)
}

// verifyLines demands a signature over a checkpoint by each of the keys.
func verifyLines(c Checkpoint, n *SignedNote, keys []VerifierKey) ([]SignatureLine, error) {
	var lines []SignatureLine
	for _, key := range keys {
		signature, ok := n.signature(key)
		if !ok {
			return nil, fmt.Errorf("no signature by the key %q+%08x of type 0x%02x", key.Name, key.ID(), key.Type)
		}
		if err := key.verifyCheckpoint(c, signature); err != nil {
			return nil, err
		}
		lines = append(lines, SignatureLine{key.Name, key.ID(), signature})
	}
	return lines, nil
}

// ParseLogs reads which logs to witness from the lines of a c2sp.org/tlog-policy
// file: every "log" line is one, with the key of type 06 that has its name in a
// "witness" line, if there is one. So the trust.policy of a consent ledger can be
// given as it is. Groups and the quorum must be well-formed and say nothing here;
// the quorum may be left out.
//
// Limits: a log has one Ed25519 key, and an origin that [ValidOrigin] accepts.
// Every error wraps [ErrPolicy] and names the line.
func ParseLogs(text []byte) ([]LogKeys, error) {
	if len(text) > MaxPolicySize {
		return nil, policyErrorf("logs: %d bytes are more than %d", len(text), MaxPolicySize)
	}
	pp := policyParser{nodes: make(map[string]*policyNode)}
	var logs []LogKeys
	for rest := string(text); rest != ""; {
		var line string
		pp.line++
		line, rest, _ = strings.Cut(rest, "\n")
		if err := pp.parseLine(line); err != nil {
			return nil, err
		}
		if pp.log == nil {
			continue
		}
		for _, l := range logs {
			if l.Origin() == pp.log.Name || bytes.Equal(l.Ed25519.Key, pp.log.Key) {
				return nil, pp.errorf("the log %q or its key stands in a line before", pp.log.Name)
			}
		}
		logs = append(logs, LogKeys{Ed25519: *pp.log})
		pp.log = nil
	}
	for i := range logs {
		for _, w := range pp.witnesses {
			if w.key.Name != logs[i].Origin() || w.key.Type != KeyTypeMLDSA44 {
				continue
			}
			if logs[i].MLDSA44.Name != "" {
				return nil, policyErrorf("policy line %d: second ML-DSA-44 key for the log %q", w.line, w.key.Name)
			}
			logs[i].MLDSA44 = w.key
		}
	}
	if len(logs) == 0 {
		return nil, policyErrorf("policy names no log")
	}
	return logs, nil
}
