package ledger

import (
	"bytes"
	"strings"
)

// policyParser is a policy being read, one line after the other.
type policyParser struct {
	line       int // the line being read, from 1
	log        *VerifierKey
	logLine    int
	witnesses  []*policyNode
	nodes      map[string]*policyNode // witnesses and groups by name
	quorum     *policyNode
	quorumLine int // 0 for no quorum line yet
}

// errorf gives an error that names the line being read.
func (pp *policyParser) errorf(format string, args ...any) error {
	return policyErrorf("policy line %d: "+format, append([]any{pp.line}, args...)...)
}

// parseLine reads one line, given without its newline. Only space and tab
// separate, and only a line that begins with # is a comment: the page defines
// both by octets, not by Unicode.
func (pp *policyParser) parseLine(line string) error {
	for _, c := range []byte(line) {
		if c < 0x20 && c != '\t' || c == 0x7f {
			return pp.errorf("control character 0x%02x", c)
		}
	}
	items := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' })
	if len(items) == 0 || strings.HasPrefix(items[0], "#") {
		return nil
	}
	switch items[0] {
	case "log":
		return pp.parseLog(items[1:])
	case "witness":
		return pp.parseWitness(items[1:])
	case "group":
		return pp.parseGroup(items[1:])
	case "quorum":
		return pp.parseQuorum(items[1:])
	}
	return pp.errorf("%q is not log, witness, group or quorum", items[0])
}

// parseLog reads: log <vkey> [<url>]
func (pp *policyParser) parseLog(items []string) error {
	if len(items) < 1 || len(items) > 2 {
		return pp.errorf("want log <vkey> [<url>]")
	}
	key, err := ParseVerifierKey(items[0])
	if err != nil {
		return pp.errorf("%v", err)
	}
	if key.Type != KeyTypeEd25519 {
		return pp.errorf("the log's key is of type 0x%02x, want Ed25519 (0x01); its ML-DSA-44 key belongs in a witness line", key.Type)
	}
	if err := ValidOrigin(key.Name); err != nil {
		return pp.errorf("%v", err)
	}
	if pp.log != nil {
		return pp.errorf("second log, after line %d: a policy for a consent ledger names exactly one log and one Ed25519 key", pp.logLine)
	}
	pp.log, pp.logLine = &key, pp.line
	return nil
}

// parseWitness reads: witness <name> <vkey> [<url>]
func (pp *policyParser) parseWitness(items []string) error {
	if len(items) < 2 || len(items) > 3 {
		return pp.errorf("want witness <name> <vkey> [<url>]")
	}
	key, err := ParseVerifierKey(items[1])
	if err != nil {
		return pp.errorf("%v", err)
	}
	if key.Type != KeyTypeCosignatureEd25519 && key.Type != KeyTypeMLDSA44 {
		return pp.errorf("the witness's key is of type 0x%02x, want a cosignature's (0x04 or 0x06)", key.Type)
	}
	for _, w := range pp.witnesses {
		if bytes.Equal(w.key.Key, key.Key) {
			return pp.errorf("same public key as the witness of line %d", w.line)
		}
		// Ids are short, so two keys of one name can be made to share theirs;
		// a signature line would not say which of them signed.
		if w.key.Name == key.Name && w.key.ID() == key.ID() {
			return pp.errorf("same key name and key id as the witness of line %d", w.line)
		}
	}
	w := &policyNode{name: items[0], line: pp.line, key: key}
	if len(items) == 3 {
		w.url = items[2]
	}
	if err := pp.define(w); err != nil {
		return err
	}
	pp.witnesses = append(pp.witnesses, w)
	return nil
}

// parseGroup reads: group <name> all|any|<k> <name>...
func (pp *policyParser) parseGroup(items []string) error {
	if len(items) < 3 {
		return pp.errorf("want group <name> all|any|<k> <name>...")
	}
	names := items[2:]
	need, err := groupSize(items[1], len(names))
	if err != nil {
		return pp.errorf("group %q: %v", items[0], err)
	}
	g := &policyNode{name: items[0], line: pp.line, need: need}
	for _, name := range names {
		m := pp.nodes[name]
		if m == nil {
			return pp.errorf("group %q: member %q is not defined before", items[0], name)
		}
		if m.grouped != 0 {
			return pp.errorf("group %q: %q is a member of the group of line %d already", items[0], name, m.grouped)
		}
		m.grouped = pp.line
		g.members = append(g.members, m)
	}
	return pp.define(g)
}

// parseQuorum reads: quorum <name>|none
func (pp *policyParser) parseQuorum(items []string) error {
	if len(items) != 1 {
		return pp.errorf("want quorum <name>")
	}
	if pp.quorumLine != 0 {
		return pp.errorf("second quorum, after line %d", pp.quorumLine)
	}
	pp.quorumLine = pp.line
	if items[0] == "none" {
		return nil
	}
	if pp.quorum = pp.nodes[items[0]]; pp.quorum == nil {
		return pp.errorf("quorum %q is not defined before", items[0])
	}
	return nil
}

// define gives a witness or a group its name; they share one namespace.
func (pp *policyParser) define(n *policyNode) error {
	if n.name == "none" {
		return pp.errorf("the name none is reserved")
	}
	if before := pp.nodes[n.name]; before != nil {
		return pp.errorf("name %q is defined in line %d already", n.name, before.line)
	}
	pp.nodes[n.name] = n
	return nil
}

// finish checks what only the whole file shows and pairs the log's two keys.
func (pp *policyParser) finish() (*Policy, error) {
	if pp.quorumLine == 0 {
		return nil, policyErrorf("policy ends after line %d without a quorum line", pp.line)
	}
	if pp.log == nil {
		return nil, policyErrorf("policy names no log")
	}
	p := &Policy{witnesses: pp.witnesses, quorum: pp.quorum}
	for _, w := range pp.witnesses {
		if bytes.Equal(w.key.Key, pp.log.Key) {
			return nil, policyErrorf("policy line %d: same public key as the log of line %d, so no witness", w.line, pp.logLine)
		}
		if w.key.Name != pp.log.Name {
			continue
		}
		if w.key.ID() == pp.log.ID() {
			return nil, policyErrorf("policy line %d: same key name and key id as the log of line %d", w.line, pp.logLine)
		}
		if w.key.Type != KeyTypeMLDSA44 {
			continue
		}
		if p.logWitness != "" {
			return nil, policyErrorf("policy line %d: second ML-DSA-44 key for the log %q, after line %d",
				w.line, pp.log.Name, pp.nodes[p.logWitness].line)
		}
		p.logWitness = w.name
		p.keys = KeyPair{Ed25519: *pp.log, MLDSA44: w.key}
	}
	if p.logWitness == "" {
		return nil, policyErrorf("policy has no ML-DSA-44 key for the log %q", pp.log.Name)
	}
	return p, nil
}
