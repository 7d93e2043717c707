package bundle

import (
	"bufio"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/consentledger/consentledger/ledger"
)

// A container is a small part of what the zip format allows (APPNOTE 6.3.10), so
// that every zip reader sees the same files in it: the entries in the order of the
// directory, one behind the other from the first byte on, then the directory, then
// its end record, and nothing else.
const (
	localSignature   = 0x04034b50
	centralSignature = 0x02014b50
	endSignature     = 0x06054b50

	localSize   = 30 // bytes, without the name
	centralSize = 46 // bytes, without the name
	endSize     = 22 // bytes, without a comment

	methodStored  = 0
	methodDeflate = 8
	zipVersion    = 20 // 2.0: deflate and directories; later versions need what is refused here

	firstDate = 1<<5 | 1 // 1 January 1980: zero is no date, and some readers say so

	// What lies in the external attributes: Unix mode above, MS-DOS attributes below.
	unixType, unixRegular = 0xf000 << 16, 0x8000 << 16
	dosNoFile             = 0x08 | 0x10 | 0x40 // volume label, directory, device
)

// zipEntry is a file as the zip directory describes it.
type zipEntry struct {
	name     string
	method   uint16
	crc      uint32
	packed   int64  // bytes in the container
	unpacked int64  // bytes
	data     int64  // where its bytes begin
	local    string // the local header that it must have
}

// readDirectory reads and checks the directory of a zip file of size bytes, and
// every local header against it.
func readDirectory(r io.ReaderAt, size int64) ([]zipEntry, error) {
	if size > MaxPacked {
		return nil, fmt.Errorf("it has %d bytes, more than %d", size, MaxPacked)
	}
	var end [endSize]byte
	if size < endSize {
		return nil, errors.New("it is no zip file: it is too short")
	}
	if _, err := r.ReadAt(end[:], size-endSize); err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	count, directory := int(le.Uint16(end[10:])), int64(le.Uint32(end[16:]))
	switch {
	case le.Uint32(end[0:]) != endSignature || le.Uint16(end[20:]) != 0:
		return nil, errors.New("it does not end as a zip file without a comment: it is none, or was cut off or added to")
	case count > MaxFiles:
		return nil, fmt.Errorf("it has %d files, more than %d", count, MaxFiles)
	case le.Uint32(end[4:]) != 0, int(le.Uint16(end[8:])) != count, directory+int64(le.Uint32(end[12:])) != size-endSize:
		return nil, errors.New("the end record does not fit the zip directory")
	}
	b := bufio.NewReaderSize(io.NewSectionReader(r, directory, size-endSize-directory), 64<<10)
	entries := make([]zipEntry, 0, count)
	var unpacked, next int64
	for i := range count {
		e, err := readCentral(b, next)
		if err != nil {
			return nil, fmt.Errorf("zip directory: entry %d: %w", i, err)
		}
		next = e.data + e.packed
		if unpacked += e.unpacked; unpacked > MaxUnpacked {
			return nil, fmt.Errorf("its files have more than %d bytes together", MaxUnpacked)
		}
		if err := checkLocal(r, e, directory); err != nil {
			return nil, fmt.Errorf("file %q: %w", e.name, err)
		}
		e.local = ""
		entries = append(entries, e)
	}
	if _, err := b.ReadByte(); err != io.EOF || next != directory {
		return nil, cause(err, "bytes that belong to no file stand around the zip directory")
	}
	return entries, nil
}

// readCentral reads an entry of the zip directory whose file must begin at offset.
func readCentral(r io.Reader, offset int64) (zipEntry, error) {
	var h [centralSize]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return zipEntry{}, cause(err, "it is cut off")
	}
	le := binary.LittleEndian
	nameSize, attributes := int(le.Uint16(h[28:])), le.Uint32(h[38:])
	e := zipEntry{method: le.Uint16(h[10:]), crc: le.Uint32(h[16:]), packed: int64(le.Uint32(h[20:])), unpacked: int64(le.Uint32(h[24:])),
		data: offset + localSize + int64(nameSize)}
	switch flags := le.Uint16(h[8:]); {
	case le.Uint32(h[0:]) != centralSignature:
		return e, errors.New("it does not begin as one")
	case nameSize == 0 || nameSize > MaxPath:
		return e, fmt.Errorf("its name has %d bytes, want 1 to %d", nameSize, MaxPath)
	case flags != 0:
		return e, fmt.Errorf("its flags are 0x%04x, want none: encryption, data descriptors and other spellings are refused", flags)
	case e.method != methodStored && e.method != methodDeflate:
		return e, fmt.Errorf("its method is %d, want 0 (stored) or 8 (deflate)", e.method)
	case le.Uint16(h[6:]) > zipVersion:
		return e, fmt.Errorf("it needs version %d of the zip format, more than %d", le.Uint16(h[6:]), zipVersion)
	case le.Uint16(h[30:]) != 0, le.Uint16(h[32:]) != 0, le.Uint16(h[34:]) != 0:
		return e, errors.New("it has an extra field or a comment, or lies on another disk")
	case attributes&unixType != 0 && attributes&unixType != unixRegular, attributes&dosNoFile != 0:
		return e, errors.New("it is a directory, a link or a device")
	case int64(le.Uint32(h[42:])) != offset:
		return e, fmt.Errorf("its file begins at byte %d, the one before ends at %d", le.Uint32(h[42:]), offset)
	}
	name := make([]byte, nameSize)
	if _, err := io.ReadFull(r, name); err != nil {
		return e, cause(err, "its name is cut off")
	}
	e.name = string(name)
	// A local header repeats the central one from the version needed to the name's
	// size, except for its last field, the size of the extra field, which is none.
	e.local = string(le.AppendUint32(nil, localSignature)) + string(h[6:30]) + "\x00\x00" + e.name
	return e, e.checkSizes()
}

// checkSizes refuses files that are too large, that unpack to far more than they
// take in the container, or that take far more than they unpack to.
func (e zipEntry) checkSizes() error {
	switch {
	case e.unpacked > MaxFileSize:
		return fmt.Errorf("it has %d bytes, more than %d", e.unpacked, MaxFileSize)
	case e.method == methodStored && e.packed != e.unpacked:
		return errors.New("it is stored with two sizes")
	case e.unpacked > MaxRatio*e.packed:
		return fmt.Errorf("%d bytes unpack to %d, more than %d to one", e.packed, e.unpacked, MaxRatio)
	case e.packed > e.unpacked+e.unpacked/256+64: // deflate at its worst adds less
		return fmt.Errorf("it takes %d bytes for %d", e.packed, e.unpacked)
	}
	return nil
}

// checkLocal checks the local header of a file, and that its bytes end before the
// directory begins.
func checkLocal(r io.ReaderAt, e zipEntry, directory int64) error {
	if e.data+e.packed > directory {
		return errors.New("it reaches into the zip directory")
	}
	h := make([]byte, len(e.local))
	if _, err := r.ReadAt(h, e.data-int64(len(h))); err != nil {
		return err
	}
	if string(h) != e.local {
		return errors.New("its local header does not say what the zip directory says")
	}
	return nil
}

// unpacker unpacks one file after the other.
type unpacker struct {
	packed *bufio.Reader
	flate  io.ReadCloser // nil before the first deflated file
	buffer []byte
}

// unpack writes the file's content to w and checks its size and CRC-32. What it
// wrote counts only if there is no error.
func (u *unpacker) unpack(w io.Writer, r io.ReaderAt, e zipEntry) error {
	section := io.NewSectionReader(r, e.data, e.packed)
	if u.packed == nil {
		u.packed, u.buffer = bufio.NewReaderSize(nil, 64<<10), make([]byte, 32<<10)
	}
	u.packed.Reset(section)
	var content io.Reader = u.packed
	if e.method == methodDeflate {
		if u.flate == nil {
			u.flate = flate.NewReader(u.packed)
		} else if err := u.flate.(flate.Resetter).Reset(u.packed, nil); err != nil {
			return err
		}
		content = u.flate
	}
	sum := crc32.NewIEEE()
	n, err := io.CopyBuffer(io.MultiWriter(w, sum), io.LimitReader(content, e.unpacked+1), u.buffer)
	switch {
	case errors.Is(err, ledger.ErrMissing):
		return err
	case err != nil:
		return fmt.Errorf("it cannot be unpacked: %w", err)
	case n != e.unpacked:
		return errors.New("it does not have the size that its header says")
	case sum.Sum32() != e.crc:
		return errors.New("its CRC-32 is not the one in its header")
	}
	if _, err := u.packed.ReadByte(); err != io.EOF { // flate reads no byte that it does not need
		return errors.New("bytes stand behind its end")
	}
	return nil
}

// cause gives an error of form, or err if the file itself could not be read.
func cause(err error, text string) error {
	if errors.Is(err, ledger.ErrMissing) {
		return err
	}
	return errors.New(text)
}

// source reads the file that a container lies in. An error of the system means
// that nothing can be told, not that the container is bad.
type source struct{ r io.ReaderAt }

func (s source) ReadAt(p []byte, offset int64) (int, error) {
	n, err := s.r.ReadAt(p, offset)
	if n == len(p) {
		return n, nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF // it became shorter: nobody reads beyond its size
	}
	return n, fmt.Errorf("%w: reading the container: %w", ledger.ErrMissing, err)
}
