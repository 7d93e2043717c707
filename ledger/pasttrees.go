package ledger

import "slices"

// pastBundles is how many bundles [pastTrees] remembers, of about 9 KiB each: a
// checkpoint is stamped soon after it was signed, and the root of an older one can be
// computed from the tiles.
const pastBundles = 128

// pastTrees gives the roots that a growing tree had a while ago.
type pastTrees struct{ bundles []pastBundle } // ascending

type pastBundle struct {
	before *Tree
	leaves []Hash
}

// add notes what comes next in a tree, neither of which changes any more.
func (p *pastTrees) add(before *Tree, leaves []Hash) {
	if len(p.bundles) == pastBundles {
		p.bundles = slices.Delete(p.bundles, 0, 1)
	}
	p.bundles = append(p.bundles, pastBundle{before, leaves})
}

// root gives the root at a size, if that is remembered.
func (p *pastTrees) root(size Size) (root Hash, ok bool) {
	for _, b := range slices.Backward(p.bundles) {
		if size <= b.before.Size() {
			continue
		}
		n := int(size - b.before.Size())
		if n > len(b.leaves) {
			break
		}
		tree := b.before.Clone()
		for _, leaf := range b.leaves[:n] {
			tree.Append(leaf, nil)
		}
		return tree.Root(), true
	}
	return Hash{}, false
}
