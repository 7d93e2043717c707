package ledger

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// MaxPolicySize is the largest policy in bytes, enough for more than a hundred
// witnesses with ML-DSA-44 keys.
const MaxPolicySize = 256 << 10

// Policy says whose signatures a checkpoint must carry: both keys of one log,
// and a quorum of witnesses (c2sp.org/tlog-policy). Make one with
// [ParsePolicy]; it never changes and is safe for concurrent use.
type Policy struct {
	keys       KeyPair
	ring       *KeyRing      // nil for the policy's keys alone
	since      Index         // of the ring's entry that names the policy's keys
	logWitness string        // the witness that is the log's own ML-DSA-44 key
	witnesses  []*policyNode // in the order of the file
	quorum     *policyNode   // nil for none
}

// policyNode is a witness or a group of a policy.
type policyNode struct {
	name    string
	line    int           // where it is defined
	grouped int           // line of the group that it is a member of, 0 for none
	key     VerifierKey   // of a witness
	url     string        // of a witness: where it takes checkpoints, "" if that is not said
	need    int           // of a group: how many members make it count
	members []*policyNode // of a group; none of a witness
}

// policyError is an error about a policy rather than about the log. It wraps
// [ErrPolicy], without its words.
type policyError string

// otherKeysError is a policyError about a checkpoint that keys signed of which the
// policy knows nothing.
type otherKeysError struct{ error }

func (e otherKeysError) Unwrap() error { return ErrPolicy }

func policyErrorf(format string, args ...any) error {
	return policyError(fmt.Sprintf(format, args...))
}

func (e policyError) Error() string { return string(e) }
func (e policyError) Unwrap() error { return ErrPolicy }

// Origin gives the name of the log.
func (p *Policy) Origin() string { return p.keys.Ed25519.Name }

// Keys gives the two keys of the log that the policy names.
func (p *Policy) Keys() KeyPair { return p.keys }

// LogWitness gives the policy's name for the witness that is the log's own
// ML-DSA-44 key. Every other name in [OpenedCheckpoint.Witnesses] stands for a
// key that is not one of the log's two.
func (p *Policy) LogWitness() string { return p.logWitness }

// NewPolicy gives the text of the policy that trusts a log on its own two
// signatures, for a reader who may want to add witnesses. Foreign tools that
// know c2sp.org/tlog-policy demand both signatures with it, too. The keys must
// be a pair that [ParseKeyPair] or [Signer.Keys] gave.
func NewPolicy(keys KeyPair) (text []byte) {
	var b bytes.Buffer
	fmt.Fprintf(&b, `# Trust policy for checkpoints of the consent ledger %s
# Format: https://c2sp.org/tlog-policy
#
# A checkpoint counts only if the log signed it with both of its keys:
# the Ed25519 key of the "log" line, and the ML-DSA-44 key (FIPS 204) of the
# witness "self-pq", which is the log itself and no independent witness.
# To demand independent witnesses, add their "witness" lines before the group
# and their names to it.
#
# Whoever can change this file decides what is trusted: compare the keys with
# those that you were given on another way.

log %s
witness self-pq %s
group hybrid all self-pq
quorum hybrid
`, keys.Ed25519.Name, keys.Ed25519, keys.MLDSA44)
	return b.Bytes()
}

// ParsePolicy parses a policy (c2sp.org/tlog-policy). Beyond that page it
// demands exactly one log, with an Ed25519 key (type 01), and its ML-DSA-44
// key: the witness of type 06 whose key has the log's name. Witnesses have keys
// of type 04 or 06, none of them the log's Ed25519 key. URLs say nothing about
// trust and are taken as they stand; see [Policy.Witnesses].
//
// Every error wraps [ErrPolicy], because a policy that cannot be used says
// nothing against a log, and names the line where there is one.
func ParsePolicy(text []byte) (*Policy, error) {
	if len(text) > MaxPolicySize {
		return nil, policyErrorf("policy: %d bytes are more than %d", len(text), MaxPolicySize)
	}
	pp := policyParser{nodes: make(map[string]*policyNode)}
	for rest := string(text); rest != ""; {
		var line string
		var ended bool
		pp.line++
		if line, rest, ended = strings.Cut(rest, "\n"); !ended {
			return nil, pp.errorf("does not end with a newline")
		}
		if err := pp.parseLine(line); err != nil {
			return nil, err
		}
	}
	return pp.finish()
}

// witness gives the witness with this key name and key id, nil for none.
func (p *Policy) witness(name string, id uint32) *policyNode {
	i := slices.IndexFunc(p.witnesses, func(w *policyNode) bool {
		return w.key.Name == name && w.key.ID() == id
	})
	if i < 0 {
		return nil
	}
	return p.witnesses[i]
}

// missing gives the witnesses that the quorum lacks when those in verified have
// cosigned: none when it is reached. Of a group that counts, none are missing.
func (p *Policy) missing(verified []string) []string {
	if p.quorum == nil {
		return nil
	}
	return p.quorum.missing(verified)
}

func (n *policyNode) missing(verified []string) []string {
	if len(n.members) == 0 {
		if slices.Contains(verified, n.name) {
			return nil
		}
		return []string{n.name}
	}
	var missing []string
	counting := 0
	for _, m := range n.members {
		lacking := m.missing(verified)
		if len(lacking) == 0 {
			counting++
		}
		missing = append(missing, lacking...)
	}
	if counting >= n.need {
		return nil
	}
	return missing
}

// groupSize parses how many of n members make a group count.
func groupSize(text string, n int) (int, error) {
	switch text {
	case "all":
		return n, nil
	case "any":
		return 1, nil
	}
	k, err := strconv.Atoi(text)
	if err != nil || strconv.Itoa(k) != text {
		return 0, fmt.Errorf("%q is not all, any or a decimal number", text)
	}
	if k < 1 || k > n {
		return 0, fmt.Errorf("%d of %d members cannot be demanded", k, n)
	}
	return k, nil
}
