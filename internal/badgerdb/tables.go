package badgerdb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/fb"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/pb"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/badger/v4/y"
	"github.com/klauspost/compress/snappy"
	"google.golang.org/protobuf/proto"
)

// checkTables reads every table that the manifest of dir names and checks every
// byte of it against its checksums. Badger does not do that: a damaged footer makes
// its Open panic on a goroutine of its own, its VerifyChecksum follows a nil
// pointer when it finds something, and a read from a damaged block finds
// nothing instead of failing. Bits of a compressed block that the compression
// ignores may differ: what is read is what was written.
//
// It gives the newest version that a table holds, and the highest number of a table
// that the manifest names, or ever did.
func checkTables(dir string) (newest, highest uint64, findings []error) {
	path := filepath.Join(dir, badger.ManifestFilename)
	f, err := os.Open(path)
	if err != nil {
		return 0, math.MaxUint64, []error{damaged("reading the database's manifest: %w", err)}
	}
	defer f.Close()
	manifest, _, err := badger.ReplayManifestFile(f, 0, badger.DefaultOptions(dir).WithLogger(nil))
	if err == nil {
		highest, err = highestNamed(path)
	}
	if err != nil {
		return 0, math.MaxUint64, []error{damaged("manifest %s is damaged: %w", path, err)}
	}
	ids := slices.Sorted(maps.Keys(manifest.Tables))
	versions, wrong := make([]uint64, len(ids)), make([]error, len(ids))
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(ids)) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(ids)); i = next.Add(1) - 1 {
				versions[i], wrong[i] = checkTableFile(table.NewFilename(ids[i], dir), manifest.Tables[ids[i]].Compression)
			}
		})
	}
	wg.Wait()
	for i, err := range wrong {
		if newest = max(newest, versions[i]); err != nil {
			findings = append(findings, err)
		}
	}
	return newest, highest, findings
}

// checkTableFile is [checkTable] of a file. What cannot be read is not called damaged.
func checkTableFile(name string, c options.CompressionType) (version uint64, err error) {
	f, size, err := openTable(name)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, damaged("a table is missing: %w", err)
	} else if err != nil {
		return 0, fmt.Errorf("reading a table: %w", err)
	}
	defer f.Close()
	version, err = checkTable(f, size, c)
	if unread := new(fs.PathError); errors.As(err, &unread) {
		return 0, fmt.Errorf("reading a table: %w", err)
	} else if err != nil {
		return 0, damaged("table %s is damaged: %w", name, err)
	}
	return version, nil
}

func openTable(name string) (f *os.File, size int64, err error) {
	if f, err = os.Open(name); err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// highestNamed gives the highest number of a table in a manifest that can be read: a
// magic of 8 bytes, then records of length, checksum (4 bytes each, big-endian) and
// a pb.ManifestChangeSet. One that a crash has cut off does not count.
func highestNamed(path string) (highest uint64, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for b = b[8:]; len(b) >= 8; {
		size := uint64(binary.BigEndian.Uint32(b))
		if b = b[8:]; size > uint64(len(b)) {
			break
		}
		var set pb.ManifestChangeSet
		if err := proto.Unmarshal(b[:size], &set); err != nil {
			return 0, err
		}
		for _, c := range set.Changes {
			highest = max(highest, c.Id)
		}
		b = b[size:]
	}
	return highest, nil
}

// tableVersion gives the newest version that a table holds.
func tableVersion(name string) (uint64, error) {
	f, size, err := openTable(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	_, _, version, err := tableIndex(f, size)
	return version, err
}

// readAtOnce is about how many bytes of a table are read at once: few enough to be
// still near the processor when they are checked.
const readAtOnce = 256 << 10

// checkTable checks one table, as Badger v4 lays it out:
//
//	blocks | index | length of the index | checksum | length of the checksum
//
// Lengths are 4 bytes, big-endian. The checksum is over the index, which lists
// the blocks in order and without gaps, so that every byte is accounted for. It
// gives the newest version that the table holds.
func checkTable(r io.ReaderAt, size int64, c options.CompressionType) (version uint64, err error) {
	end, list, version, err := tableIndex(r, size)
	if err != nil {
		return 0, err
	}
	if len(list) == 0 {
		return 0, errors.New("index: it names no block")
	}
	var data, room []byte // of some blocks; of one, decompressed
	at := int64(0)
	for i := 0; i < len(list); {
		first, begin := i, at
		for ; i < len(list) && at-begin < readAtOnce; i++ {
			if b := list[i]; int64(b.offset) != at || int64(b.size) > end-at {
				return 0, fmt.Errorf("index: block %d is at %d and %d bytes long, want it at %d of %d", i, b.offset, b.size, at, end)
			}
			at += int64(list[i].size)
		}
		data = slices.Grow(data[:0], int(at-begin))[:at-begin]
		if _, err := r.ReadAt(data, begin); err != nil {
			return 0, err
		}
		for n, b := range list[first:i] {
			if room, err = checkBlock(data[int64(b.offset)-begin:][:b.size], c, room); err != nil {
				return 0, fmt.Errorf("block %d at %d: %w", first+n, b.offset, err)
			}
		}
	}
	if at != end {
		return 0, fmt.Errorf("index: the blocks end at %d, want %d", at, end)
	}
	return version, nil
}

// tableBlock is where a block lies in a table.
type tableBlock struct{ offset, size uint32 }

// tableIndex gives where the blocks of a table end, and what its index says of them.
func tableIndex(r io.ReaderAt, size int64) (end int64, list []tableBlock, version uint64, err error) {
	sum, end, err := readTail(r, size)
	if err != nil {
		return 0, nil, 0, fmt.Errorf("checksum of the index: %w", err)
	}
	raw, end, err := readTail(r, end)
	if err != nil {
		return 0, nil, 0, fmt.Errorf("index: %w", err)
	}
	if err := checkSum(raw, sum); err != nil {
		return 0, nil, 0, fmt.Errorf("index: %w", err)
	}
	// A checksum is no proof: a file of zeros has those of no bytes at all, and is
	// what a power cut may leave.
	defer func() {
		if r := recover(); r != nil { // FlatBuffers checks nothing
			err = fmt.Errorf("index: it does not parse: %v", r)
		}
	}()
	index := fb.GetRootAsTableIndex(raw, 0)
	for i := range index.OffsetsLength() {
		var b fb.BlockOffset
		index.Offsets(&b, i)
		list = append(list, tableBlock{b.Offset(), b.Len()})
	}
	return end, list, index.MaxVersion(), nil
}

// readTail is [cutTail] of the part of a file before end.
func readTail(r io.ReaderAt, end int64) (tail []byte, begin int64, err error) {
	last := make([]byte, min(4, end))
	if _, err := r.ReadAt(last, end-int64(len(last))); err != nil {
		return nil, 0, err
	}
	n, err := tailSize(last, end-int64(len(last)))
	if err != nil {
		return nil, 0, err
	}
	tail = make([]byte, n)
	begin = end - 4 - int64(n)
	_, err = r.ReadAt(tail, begin)
	return tail, begin, err
}

// checkBlock checks one block. Inside the compression it is
//
//	entries | offsets of the entries | number of entries | checksum | length of the checksum
//
// and the checksum is over everything before it. It decompresses into room and gives
// that back.
func checkBlock(block []byte, c options.CompressionType, room []byte) ([]byte, error) {
	switch c {
	case options.None:
	case options.Snappy:
		// What is damaged may name any size; three bytes become 64 at most.
		n, err := snappy.DecodedLen(block)
		if err == nil && n > 32*len(block) {
			err = snappy.ErrCorrupt
		}
		if err == nil {
			room, err = snappy.Decode(slices.Grow(room[:0], n)[:n], block)
		}
		if err != nil {
			return nil, fmt.Errorf("decompressing: %w", err)
		}
		block = room
	case options.ZSTD: // of older tables
		var err error
		if room, err = y.ZSTDDecompress(room[:0], block); err != nil {
			return nil, fmt.Errorf("decompressing: %w", err)
		}
		block = room
	default:
		return nil, fmt.Errorf("compression %d is not one of ours", c)
	}
	body, sum, err := cutTail(block)
	if err != nil {
		return nil, err
	}
	return room, checkSum(body, sum)
}

// cutTail splits off a tail that ends in its own length.
func cutTail(data []byte) (rest, tail []byte, err error) {
	last := data[max(0, len(data)-4):]
	rest = data[:len(data)-len(last)]
	n, err := tailSize(last, int64(len(rest)))
	if err != nil {
		return nil, nil, err
	}
	return rest[:len(rest)-int(n)], rest[len(rest)-int(n):], nil
}

// tailSize reads the length of a tail from the four bytes behind it, before which so
// many bytes lie.
func tailSize(last []byte, before int64) (uint32, error) {
	if len(last) < 4 {
		return 0, fmt.Errorf("%d bytes are too short for a length", len(last))
	}
	n := binary.BigEndian.Uint32(last)
	if int64(n) > before {
		return 0, fmt.Errorf("its length is %d, more than the %d bytes there are", n, before)
	}
	return n, nil
}

// checkSum compares data with the encoded checksum that Badger put beside it.
// Badger writes CRC-32C only.
func checkSum(data, encoded []byte) error {
	// Nearly always it is the field sum alone, a varint.
	var want pb.Checksum
	if sum, n := binary.Uvarint(encoded[min(1, len(encoded)):]); n > 0 && encoded[0] == 2<<3 && 1+n == len(encoded) {
		want.Sum = sum
	} else if err := proto.Unmarshal(encoded, &want); err != nil {
		return fmt.Errorf("reading its checksum: %w", err)
	}
	if want.Algo != pb.Checksum_CRC32C {
		return fmt.Errorf("its checksum is of kind %d, want %d", want.Algo, pb.Checksum_CRC32C)
	}
	got := uint64(crc32.Checksum(data, y.CastagnoliCrcTable))
	if got != want.Sum {
		return fmt.Errorf("its checksum is %08x, want %08x", got, want.Sum)
	}
	return nil
}
