package store

import (
	"fmt"
	"strings"

	"github.com/consentledger/consentledger/ledger"
)

// BundleSigner signs bundles in the log's name, and nothing else: whoever makes bundles
// for those who ask over the network holds it, and no [ledger.Signer].
type BundleSigner struct{ signer *ledger.Signer }

// bundlePrefix begins every text that says what is in a bundle.
const bundlePrefix = "consent-ledger/bundle/"

// Keys is the pair that signs.
func (b *BundleSigner) Keys() ledger.KeyPair { return b.signer.Keys() }

// SignKeyText is [ledger.Signer.SignKeyText] of texts that begin with
// "consent-ledger/bundle/". It panics at another one.
func (b *BundleSigner) SignKeyText(text []byte) (ed25519Sig, mldsa44Sig []byte) {
	if !strings.HasPrefix(string(text), bundlePrefix) {
		panic("store: BundleSigner: text does not begin with " + bundlePrefix)
	}
	return b.signer.SignKeyText(text)
}

// BundleSigner gives what signs a bundle whose newest checkpoint is of this size, from 1
// to the snapshot's, with the pair in force there. It is [ErrRetired] where that pair was
// rotated away.
func (p *Snapshot) BundleSigner(size ledger.Size) (*BundleSigner, error) {
	switch since := p.registry.keyEntry().Index; {
	case size < 1 || size > p.meta.Size:
		return nil, fmt.Errorf("size %d of a log of %d: %w", size, p.meta.Size, ErrNotFound)
	case size <= ledger.Size(since):
		return nil, fmt.Errorf("a bundle of %d entries: %w, with entry %d", size, ErrRetired, since)
	}
	return &BundleSigner{p.signer}, nil
}
