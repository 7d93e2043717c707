package ledger

import (
	"fmt"
	"slices"
	"strings"
)

// PolicyWitness is a witness of a policy.
type PolicyWitness struct {
	// Name is the policy's name for it.
	Name string
	// Key is of type [KeyTypeCosignatureEd25519] or [KeyTypeMLDSA44].
	Key VerifierKey
	// URL is where it takes checkpoints, as it stands in the policy; "" if that is
	// not said. It has been checked in no way.
	URL string
}

// Witnesses gives the witnesses of the policy in the order of the file, without
// the one that is the log's own ML-DSA-44 key. A witness that signs with two keys
// stands there twice.
func (p *Policy) Witnesses() []PolicyWitness {
	var list []PolicyWitness
	for _, w := range p.witnesses {
		if w.name != p.logWitness {
			list = append(list, PolicyWitness{w.name, w.key, w.url})
		}
	}
	return list
}

// Missing gives the witnesses that the quorum would lack if the log and those
// named had signed: none if that is enough. Of a group that counts, none are
// missing.
func (p *Policy) Missing(cosigned []string) []string {
	return p.missing(append([]string{p.logWitness}, cosigned...))
}

// independent leaves out the log's own ML-DSA-44 key, which is no witness of
// anything but itself.
func (p *Policy) independent(witnesses []string) []string {
	return slices.DeleteFunc(slices.Clone(witnesses), func(name string) bool { return name == p.logWitness })
}

// Anchors says whose word a history rests on besides the operator's, given the names of
// the witnesses that signed and the stamps that count: UNANCHORED, or the best of the
// stamps' words and WITNESSED with the number of witnesses. Keys of one name are one
// witness, who may have signed with each of them.
func (p *Policy) Anchors(witnesses []string, stamps []Anchored) string {
	var words []string
	if i := slices.IndexFunc(stamps, func(s Anchored) bool { return s.Qualified }); i >= 0 {
		words = append(words, stamps[i].Word())
	} else if len(stamps) > 0 {
		words = append(words, stamps[0].Word())
	}
	names := make(map[string]bool)
	for _, w := range p.witnesses {
		if slices.Contains(witnesses, w.name) {
			names[w.key.Name] = true
		}
	}
	if len(names) > 0 {
		words = append(words, fmt.Sprintf("WITNESSED %d", len(names)))
	}
	if len(words) == 0 {
		return "UNANCHORED: time and history rest on the operator's word alone"
	}
	return strings.Join(words, ", ")
}
