package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/consentledger/consentledger/internal/badgerdb"
)

// The head file says what was acknowledged, independently of the database,
// which loses the tail of a damaged write-ahead log without a word. It has two
// slots of 8 KiB that are written in turn, so that a torn write leaves the one
// before:
//
//	0   8 bytes   magic "CLHEAD\x00\x01", the last byte is the version
//	8   8 bytes   sequence number, big-endian; slot = sequence mod 2
//	16  4 bytes   length of the checkpoint, big-endian
//	20  n bytes   the signed checkpoint
//	20+n 4 bytes  CRC-32C of everything before
const (
	slotSize   = 8 << 10
	headMagic  = "CLHEAD\x00"
	headFormat = 1
)

// HeadName is the name of the head file in a log's directory.
const HeadName = "head"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type headFile struct {
	file   *os.File
	seq    uint64
	unlock func() // the directory; nil if the file was just made
	wrong  error  // why a slot could not be read, when the other one could
}

// createHead makes an empty head file; it must not exist.
func createHead(dir string) (*headFile, error) {
	f, err := os.OpenFile(filepath.Join(dir, HeadName), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("creating the head file: %w", err)
	}
	if err := errors.Join(f.Truncate(2*slotSize), f.Sync(), syncDir(dir)); err != nil {
		return nil, errors.Join(fmt.Errorf("creating the head file: %w", err), f.Close())
	}
	return &headFile{file: f}, nil
}

// openHead reads the newest checkpoint that was acknowledged. No other process can open
// the head file until it is closed: what it says is compared with the database, which
// must not move meanwhile.
func openHead(dir string) (*headFile, []byte, error) {
	f, err := os.OpenFile(filepath.Join(dir, HeadName), os.O_RDWR, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("opening the head file: %w", err)
	}
	unlock, err := badgerdb.Lock(dir)
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	h := &headFile{file: f, unlock: unlock}
	checkpoint, err := h.read()
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("reading the head file: %w", err), h.close())
	}
	return h, checkpoint, nil
}

// read takes the slot with the higher sequence number. One damaged slot is what
// a torn write leaves: then the other one counts, and the database, which is
// one group ahead, is adopted.
func (h *headFile) read() (newest []byte, err error) {
	var wrong [2]error
	for slot := range 2 {
		buf := make([]byte, slotSize)
		if _, err := h.file.ReadAt(buf, int64(slot*slotSize)); err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		seq, checkpoint, err := parseSlot(buf)
		if err == nil && seq%2 != uint64(slot) {
			err = errors.New("stands in the wrong slot")
		}
		if err != nil {
			wrong[slot] = fmt.Errorf("slot %d: %w", slot, err)
		} else if newest == nil || seq > h.seq {
			newest, h.seq = checkpoint, seq
		}
	}
	if newest == nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, errors.Join(wrong[:]...))
	}
	if h.seq > 1 { // before, only one was ever written
		h.wrong = errors.Join(wrong[:]...)
	}
	return newest, nil
}

// CheckHead reads the head file and verifies what it says with the keys of opt: both
// slots, of which a start needs one.
func CheckHead(opt Options) error {
	if err := opt.validate(); err != nil {
		return fmt.Errorf("checking the head file: %w", err)
	}
	h, signed, err := openHead(opt.Dir)
	if err != nil {
		return err
	}
	defer h.close()
	found := new(Findings)
	if h.wrong != nil {
		found.Add(fmt.Errorf("%w: the head file, %w. The other slot counts; the next two groups write both anew", ErrDamaged, h.wrong))
	}
	s := &Store{opt: opt}
	if _, _, err := s.openOwn(signed); err != nil {
		found.Add(fmt.Errorf("%w: %w", ErrKeys, err))
	}
	return found.Err()
}

func parseSlot(buf []byte) (seq uint64, checkpoint []byte, err error) {
	if !bytes.HasPrefix(buf, []byte(headMagic)) {
		return 0, nil, errors.New("no head")
	}
	if buf[7] != headFormat {
		return 0, nil, fmt.Errorf("head format %d is newer than this program", buf[7])
	}
	n := binary.BigEndian.Uint32(buf[16:])
	if n > slotSize-24 {
		return 0, nil, errors.New("length is out of range")
	}
	end := 20 + int(n)
	if crc32.Checksum(buf[:end], castagnoli) != binary.BigEndian.Uint32(buf[end:]) {
		return 0, nil, errors.New("checksum does not match")
	}
	return binary.BigEndian.Uint64(buf[8:]), buf[20:end], nil
}

// write makes a checkpoint the newest one, durably.
func (h *headFile) write(checkpoint []byte) error {
	if len(checkpoint) > slotSize-24 {
		return fmt.Errorf("checkpoint of %d bytes does not fit the head file", len(checkpoint))
	}
	seq := h.seq + 1
	buf := make([]byte, 0, slotSize)
	buf = append(append(buf, headMagic...), headFormat)
	buf = binary.BigEndian.AppendUint64(buf, seq)
	buf = binary.BigEndian.AppendUint32(buf, uint32(len(checkpoint)))
	buf = append(buf, checkpoint...)
	buf = binary.BigEndian.AppendUint32(buf, crc32.Checksum(buf, castagnoli))
	if _, err := h.file.WriteAt(buf, int64(seq%2)*slotSize); err != nil {
		return fmt.Errorf("writing the head file: %w", err)
	}
	if err := unix.Fdatasync(int(h.file.Fd())); err != nil {
		return fmt.Errorf("syncing the head file: %w", err)
	}
	h.seq = seq
	return nil
}

func (h *headFile) close() error {
	if h.unlock != nil {
		defer h.unlock()
	}
	return h.file.Close()
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
