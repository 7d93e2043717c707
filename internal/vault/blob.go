package vault

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
)

// blobChunk is the most that one row of a blob holds; a sealed chunk stays
// below Badger's limit for values that are stored inline.
const blobChunk = 512 << 10

// BlobRef names the bytes of an attachment or mail and holds their key. It is
// kept in a claim only, see [Claim].
type BlobRef struct {
	ID   [16]byte
	Key  [32]byte
	Size int64 // in bytes
}

func (BlobRef) String() string   { return "blob" }
func (BlobRef) GoString() string { return "blob" }

// PutBlob stores bytes under a key of their own, durably, before the group
// whose claim is to name them. After a crash in between they stay as ciphertext
// to which no key exists; nothing removes them in this version. It may be
// called beside the writer.
func (v *Vault) PutBlob(data []byte) (BlobRef, error) {
	if err := v.stopped(); err != nil {
		return BlobRef{}, err
	}
	ref := BlobRef{Key: newSecret(), Size: int64(len(data))}
	rand.Read(ref.ID[:]) // never fails, crypto/rand
	aead := newAEAD(ref.Key)
	w := v.writeRows("blob written")
	defer w.discard()
	for n := uint32(0); len(data) > 0; n++ {
		size := min(len(data), blobChunk)
		key := keyBlob(ref.ID, n)
		if err := w.set(key, aead.Seal(nil, nil, data[:size], key)); err != nil {
			return BlobRef{}, v.blobFailed(err)
		}
		data = data[size:]
	}
	if err := w.flush(); err != nil {
		return BlobRef{}, v.blobFailed(err)
	}
	return ref, nil
}

// blobFailed ends the writing of a blob. What has no room was not written.
func (v *Vault) blobFailed(err error) error {
	if errors.Is(err, errNoRoom) {
		return err
	}
	return v.stop(err)
}

// ReadBlob writes the blob's bytes to w. An error may come after some of them
// were written.
func (v *Vault) ReadBlob(ref BlobRef, w io.Writer) error {
	aead := newAEAD(ref.Key)
	rest := ref.Size
	for n := uint32(0); rest > 0; n++ {
		key := keyBlob(ref.ID, n)
		// A transaction per chunk: w may be slow.
		sealed, ok, err := readOne(v.db, key)
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("chunk %d of a blob: %w", n, ErrGone)
		}
		plain, err := aead.Open(nil, nil, sealed, key)
		if err != nil || int64(len(plain)) != min(rest, blobChunk) {
			return fmt.Errorf("%w: chunk %d of a blob does not open or has another size", ErrDamaged, n)
		}
		if _, err := w.Write(plain); err != nil {
			return fmt.Errorf("writing out a blob: %w", err)
		}
		rest -= int64(len(plain))
	}
	return nil
}

// DropBlob deletes a blob that no claim names, such as one whose request was
// refused. It may be called beside the writer.
func (v *Vault) DropBlob(ref BlobRef) error {
	if err := v.stopped(); err != nil {
		return err
	}
	w := v.writeRows("blob dropped")
	w.space = nil
	defer w.discard()
	for _, key := range blobKeys(ref) {
		if err := w.delete(key); err != nil {
			return v.stop(err)
		}
	}
	if err := w.flush(); err != nil {
		return v.stop(err)
	}
	return nil
}

// blobKeys gives the keys of a blob's rows.
func blobKeys(ref BlobRef) [][]byte {
	var keys [][]byte
	for n := int64(0); n*blobChunk < ref.Size; n++ {
		keys = append(keys, keyBlob(ref.ID, uint32(n)))
	}
	return keys
}
