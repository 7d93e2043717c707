package vault

import "testing"

// An attachment of an entry that concerns several consents is named by a claim of
// each of them (service.storeAttachments seals the same BlobRef under every
// consent's key). Dropping one consent must leave it to the others.
func TestSharedBlobOutlivesADroppedConsent(t *testing.T) {
	v := newVault(t, testOptions(t))
	blob := must[BlobRef](t)(v.PutBlob([]byte("an attachment")))
	p := newPerson(1)
	p.blob, p.bytes = &blob, []byte("an attachment")
	inGroup(t, v, func(d *Draft) {
		p.insert(t, v, d, 1)
		p.insert(t, v, d, 2)
	})
	p.verify(t, v)
	change(t, v, Change{Consents: p.consents[:1]}, p)
	p.verify(t, v)
}
