package bundle

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/consentledger/consentledger/ledger"
)

// FileInfo is a file of a container whose content was checked.
type FileInfo struct {
	Path
	Name   string
	Size   int64       // bytes
	SHA256 ledger.Hash // of its content
}

// Container is an opened container. Its files are what its manifest says; that the
// log signed the manifest is for [Container.VerifySignature] to say.
type Container struct {
	r          io.ReaderAt
	entries    []zipEntry     // in the container's order
	files      []FileInfo     // of the same place as in entries
	place      map[string]int // of a name in both
	listed     []FileInfo     // part of files: what the manifest must list
	manifest   ledger.Hash
	signatures signatures
	stamped    bool
	unpackers  sync.Pool // of *unpacker
}

// Open reads a container of size bytes, once from its first byte to its last. It
// refuses every zip file that two readers could understand differently or that
// costs more than the limits allow, then checks that the manifest lists every file
// with its SHA-256 and no other, but for mimetype, whose content is fixed, and what
// META-INF holds.
//
// An error means that the container is invalid, unless it wraps
// [ledger.ErrMissing], when r failed, or [ledger.ErrNewer]: all this holds, but a
// later version made the container, or it has files that this version does not
// know. Then the container is given, too, because its signature may yet show that
// it is a forgery.
func Open(r io.ReaderAt, size int64) (*Container, error) {
	c := &Container{r: source{r}, place: map[string]int{}, unpackers: sync.Pool{New: func() any { return new(unpacker) }}}
	newer, err := c.open(size)
	switch {
	case err != nil:
		return nil, fmt.Errorf("container: %w", err)
	case newer != nil:
		return c, fmt.Errorf("container: %w", newer)
	}
	return c, nil
}

// open gives as newer what only a later version can judge.
func (c *Container) open(size int64) (newer, err error) {
	if c.entries, err = readDirectory(c.r, size); err != nil {
		return nil, err
	}
	if err := c.names(); err != nil {
		return nil, err
	}
	if newer, err = c.contents(); err != nil {
		return nil, err
	}
	if err := c.meta(); err != nil {
		return nil, err
	}
	for _, f := range c.listed {
		if f.Kind == KindUnknown {
			return cmp.Or(newer, errNewer("the container has files such as %q, which this version does not know", f.Name)), nil
		}
	}
	return newer, nil
}

// names checks the names of all files: one spelling, none twice, in their order,
// those there that must be.
func (c *Container) names() error {
	lower := make(map[string]bool, len(c.entries))
	var last Path
	for i, e := range c.entries {
		path, err := ParsePath(e.name)
		if err != nil {
			return err
		}
		if folded := strings.ToLower(e.name); lower[folded] {
			return fmt.Errorf("file %q stands twice, if only in another case", e.name)
		} else {
			lower[folded] = true
		}
		if path.Kind != KindUnknown {
			if last.info != nil && last.compare(path) >= 0 {
				return fmt.Errorf("file %q is not in its place", e.name)
			}
			last = path
		}
		if err := path.checkSize(e.unpacked); err != nil {
			return fmt.Errorf("file %q: %w", e.name, err)
		}
		c.place[e.name] = i
		c.files = append(c.files, FileInfo{Path: path, Name: e.name, Size: e.unpacked})
	}
	for _, e := range c.entries {
		name := strings.ToLower(e.name)
		for i := range len(name) {
			if name[i] == '/' && lower[name[:i]] {
				return fmt.Errorf("file %q lies below another file", e.name)
			}
		}
	}
	return c.required()
}

// required checks that the files stand where every container has them, and finds
// those that the manifest must list.
func (c *Container) required() error {
	for _, kind := range []Kind{KindMimetype, KindCheckpoint, KindIndex, KindManifest, KindSignature} {
		if _, ok := c.place[string(kind)]; !ok {
			return fmt.Errorf("file %q is missing", kind)
		}
	}
	end := c.place[string(KindManifest)]
	for _, f := range c.files[end+1:] {
		if f.Kind == KindUnknown {
			return fmt.Errorf("file %q: no manifest lists it", f.Name)
		}
	}
	_, c.stamped = c.place[string(KindToken)]
	if e := c.entries[0]; e.name != string(KindMimetype) || e.method != methodStored {
		return errors.New("mimetype is not the first file, or not stored as it is")
	}
	c.listed = c.files[1:end]
	return nil
}

// contents unpacks every file and takes its digest.
func (c *Container) contents() (newer, err error) {
	var u unpacker
	for i, e := range c.entries {
		f := &c.files[i]
		sum, head := sha256.New(), headWriter{}
		if err := u.unpack(io.MultiWriter(sum, &head), c.r, e); err != nil {
			return nil, fmt.Errorf("file %q: %w", f.Name, err)
		}
		sum.Sum(f.SHA256[:0])
		switch f.Kind {
		case KindMimetype:
			if head.String() != MediaType {
				return nil, fmt.Errorf("mimetype is %q, want %q", head.String(), MediaType)
			}
		case KindIndex:
			if newer = checkFormat(head.String()); newer != nil && !errors.Is(newer, ledger.ErrNewer) {
				return nil, fmt.Errorf("file %q %w", f.Name, newer)
			}
		}
	}
	return newer, nil
}

// headWriter keeps the first [formatHead] bytes.
type headWriter struct{ bytes.Buffer }

func (h *headWriter) Write(p []byte) (int, error) {
	h.Buffer.Write(p[:min(len(p), formatHead-h.Len())])
	return len(p), nil
}

// meta checks the manifest against the digests, and the form of the signatures.
func (c *Container) meta() error {
	text, err := c.File(string(KindManifest))
	if err != nil {
		return err
	}
	if err := checkManifest(string(text), c.listed, c.stamped); err != nil {
		return fmt.Errorf("%s: %w", KindManifest, err)
	}
	c.manifest = sha256.Sum256(text)
	if text, err = c.File(string(KindSignature)); err != nil {
		return err
	}
	if c.signatures, err = parseSignatures(string(text)); err != nil {
		return fmt.Errorf("%s: %w", KindSignature, err)
	}
	return nil
}

// Files gives all files in the container's order.
func (c *Container) Files() []FileInfo { return slices.Clone(c.files) }

// Lookup finds a file by its name.
func (c *Container) Lookup(name string) (FileInfo, bool) {
	i, ok := c.place[name]
	if !ok {
		return FileInfo{}, false
	}
	return c.files[i], true
}

// File gives the content of a file, again checked against its digest: at most as
// many bytes as [FileInfo.Size] says. What only its digest is needed of should not
// be read. A file that is not there is [ledger.ErrMissing].
func (c *Container) File(name string) ([]byte, error) {
	i, ok := c.place[name]
	if !ok {
		return nil, fmt.Errorf("container: file %q: %w", name, ledger.ErrMissing)
	}
	u := c.unpackers.Get().(*unpacker)
	defer c.unpackers.Put(u)
	content := bytes.NewBuffer(make([]byte, 0, c.entries[i].unpacked))
	if err := u.unpack(content, c.r, c.entries[i]); err != nil {
		return nil, fmt.Errorf("container: file %q: %w", name, err)
	}
	if sha256.Sum256(content.Bytes()) != c.files[i].SHA256 {
		return nil, fmt.Errorf("container: file %q: %w: it changed since it was checked", name, ledger.ErrMissing)
	}
	return content.Bytes(), nil
}

// Manifest gives the SHA-256 of the manifest: what the log signed, and what a time
// stamp of the container is over.
func (c *Container) Manifest() ledger.Hash { return c.manifest }

// Stamped reports whether the container holds a time-stamp token over its manifest
// ([KindToken]). Nothing here covers the token's own content: verify it.
func (c *Container) Stamped() bool { return c.stamped }
