package bundle

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"

	"github.com/consentledger/consentledger/ledger"
)

// Writer writes a container, file after file, without ever going back. It holds
// one file's packed bytes and about 350 bytes of manifest per file. After an error
// it writes nothing more: what was written so far is no container.
type Writer struct {
	zip      *zip.Writer
	flate    *flate.Writer
	packed   bytes.Buffer
	manifest strings.Builder // its lines
	last     Path
	files    int
	unpacked int64
	required map[Kind]bool // false until it was written
	err      error
}

// ErrTooLarge: what is to be written is more than any container may hold.
var ErrTooLarge = errors.New("too large for a container")

// NewWriter begins a container in w.
func NewWriter(w io.Writer) (*Writer, error) {
	b := &Writer{zip: zip.NewWriter(w), required: map[Kind]bool{KindCheckpoint: false, KindIndex: false}}
	if b.flate, b.err = flate.NewWriter(&b.packed, flate.BestCompression); b.err != nil {
		return nil, b.err
	}
	return b, b.do(func() error { return b.write(string(KindMimetype), []byte(MediaType)) })
}

// WriteFile adds a file. Files must come in the order of their kinds, and within a
// kind in that of the numbers, claims or digests in their names, so that the same
// files give the same bytes.
func (b *Writer) WriteFile(name string, content []byte) error {
	return b.do(func() error {
		if err := b.list(name, sha256.Sum256(content)); err != nil {
			return err
		}
		if b.last.Kind == KindIndex {
			if err := checkFormat(string(content[:min(len(content), formatHead)])); err != nil {
				return err
			}
		}
		return b.write(name, content)
	})
}

// CopyFile adds a file without holding it in memory, of a kind that is never
// compressed: bytes that a claim names, notices, PDF. It reads content twice from
// its beginning, because a zip entry begins with the checksum of what follows.
func (b *Writer) CopyFile(name string, content io.ReadSeeker) error {
	return b.do(func() error {
		sum, crc := sha256.New(), crc32.NewIEEE()
		size, err := copyAll(io.MultiWriter(sum, crc), content)
		if err != nil {
			return err
		}
		if err := b.list(name, ledger.Hash(sum.Sum(nil))); err != nil {
			return err
		}
		if b.last.info.deflate {
			return errors.New("a file of this kind must be given as a whole")
		}
		w, err := b.entry(name, methodStored, crc.Sum32(), size, size)
		if err != nil {
			return err
		}
		again := sha256.New()
		switch n, err := copyAll(io.MultiWriter(w, again), content); {
		case err != nil:
			return err
		case n != size || !bytes.Equal(again.Sum(nil), sum.Sum(nil)):
			return errors.New("its content changed while it was copied")
		}
		return nil
	})
}

// Close adds the manifest, the log's signatures and a time stamp, and ends the
// container. signer has the pair of keys in force at the size of checkpoint.note.
// stamp is asked for a token over the manifest, given its SHA-256; where it gives
// none, or is nil, the container has none.
func (b *Writer) Close(signer Signer, stamp func(manifest ledger.Hash) (token []byte, err error)) error {
	return b.do(func() error {
		for kind, written := range b.required {
			if !written {
				return fmt.Errorf("file %q is missing", kind)
			}
		}
		manifest, token := b.manifestText(true), []byte(nil)
		if stamp != nil {
			var err error
			if token, err = stamp(sha256.Sum256(manifest)); err != nil {
				return err
			}
		}
		if len(token) == 0 {
			manifest = b.manifestText(false)
		}
		if err := b.write(string(KindManifest), manifest); err != nil {
			return err
		}
		if err := b.write(string(KindSignature), []byte(sign(signer, sha256.Sum256(manifest)).String())); err != nil {
			return err
		}
		if len(token) > 0 {
			if err := b.write(string(KindToken), token); err != nil {
				return err
			}
		}
		if err := b.zip.Close(); err != nil {
			return err
		}
		b.err = errClosed
		return nil
	})
}

var errClosed = errors.New("it was closed")

// do runs one step; after an error there is no other.
func (b *Writer) do(step func() error) error {
	err := b.err
	if err == nil {
		if err = step(); err != nil {
			b.err = err
		}
	}
	if err != nil {
		return fmt.Errorf("writing the container: %w", err)
	}
	return nil
}

// list checks that a file may come next and notes it for the manifest.
func (b *Writer) list(name string, sum ledger.Hash) error {
	path, err := ParsePath(name)
	switch {
	case err != nil:
		return err
	case path.Kind == KindUnknown:
		return fmt.Errorf("file %q: no container has such a file", name)
	case path.Kind == KindMimetype, path.info.rank >= rankManifest:
		return fmt.Errorf("file %q is the writer's own", name)
	case b.last.info != nil && b.last.compare(path) >= 0:
		return fmt.Errorf("file %q stands twice or is not in its place", name)
	case b.files+4 > MaxFiles: // this one, and at most three of META-INF
		return fmt.Errorf("%w: more than %d files", ErrTooLarge, MaxFiles)
	}
	if _, ok := b.required[path.Kind]; ok {
		b.required[path.Kind] = true
	}
	b.last = path
	b.manifest.WriteString(manifestLine{name, path.info.media, sum}.String())
	return nil
}

func (b *Writer) manifestText(stamped bool) []byte {
	return []byte(manifestHead(stamped) + b.manifest.String() + manifestTail)
}

// write adds a file as it is: deflated if its kind may be and that makes it
// smaller, but not so small that a reader takes it for a bomb.
func (b *Writer) write(name string, content []byte) error {
	path, err := ParsePath(name)
	if err != nil {
		return err
	}
	method, packed, size := uint16(methodStored), content, int64(len(content))
	if path.info.deflate {
		b.packed.Reset()
		b.flate.Reset(&b.packed)
		if _, err := b.flate.Write(content); err != nil {
			return err
		}
		if err := b.flate.Close(); err != nil {
			return err
		}
		if n := int64(b.packed.Len()); n < size && size <= MaxRatio*n {
			method, packed = methodDeflate, b.packed.Bytes()
		}
	}
	w, err := b.entry(name, method, crc32.ChecksumIEEE(content), int64(len(packed)), size)
	if err != nil {
		return err
	}
	_, err = w.Write(packed)
	return err
}

// entry begins an entry: no flags, no extra field, no descriptor behind it, no
// attributes, made at the first moment that a zip file can name.
func (b *Writer) entry(name string, method uint16, crc uint32, packed, size int64) (io.Writer, error) {
	path, err := ParsePath(name)
	if err != nil {
		return nil, err
	}
	if err := path.checkSize(size); err != nil {
		return nil, fmt.Errorf("file %q: %w", name, err)
	}
	b.files++
	if b.unpacked += size; b.unpacked > MaxUnpacked {
		return nil, fmt.Errorf("%w: the files have more than %d bytes together", ErrTooLarge, MaxUnpacked)
	}
	h := &zip.FileHeader{Name: name, CreatorVersion: zipVersion, ReaderVersion: zipVersion, Method: method,
		CRC32: crc, CompressedSize64: uint64(packed), UncompressedSize64: uint64(size)}
	//lint:ignore SA1019 CreateRaw does not look at Modified, and CreateHeader would add an extra field for it
	h.ModifiedDate = firstDate
	return b.zip.CreateRaw(h)
}

// copyAll copies what r has from its first byte.
func copyAll(w io.Writer, r io.ReadSeeker) (int64, error) {
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	return io.Copy(w, r)
}
