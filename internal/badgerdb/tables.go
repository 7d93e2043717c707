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
			var data []byte
			for i := next.Add(1) - 1; i < int64(len(ids)); i = next.Add(1) - 1 {
				name := table.NewFilename(ids[i], dir)
				var err error
				if data, err = readFile(name, data); errors.Is(err, fs.ErrNotExist) {
					wrong[i] = damaged("a table is missing: %w", err)
				} else if err != nil {
					wrong[i] = fmt.Errorf("reading a table: %w", err)
				} else if versions[i], err = checkTable(data, manifest.Tables[ids[i]].Compression); err != nil {
					wrong[i] = damaged("table %s is damaged: %w", name, err)
				}
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

// readFile reads a file into the room of buf, or into more.
func readFile(name string, buf []byte) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return buf, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return buf, err
	}
	buf = slices.Grow(buf[:0], int(info.Size()))[:info.Size()]
	_, err = io.ReadFull(f, buf)
	return buf, err
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
	data, err := os.ReadFile(name)
	if err != nil {
		return 0, err
	}
	_, _, version, err := tableIndex(data)
	return version, err
}

// checkTable checks one table, as Badger v4 lays it out:
//
//	blocks | index | length of the index | checksum | length of the checksum
//
// Lengths are 4 bytes, big-endian. The checksum is over the index, which lists
// the blocks in order and without gaps, so that every byte is accounted for. It
// gives the newest version that the table holds.
func checkTable(data []byte, c options.CompressionType) (version uint64, err error) {
	blocks, list, version, err := tableIndex(data)
	if err != nil {
		return 0, err
	}
	if len(list) == 0 {
		return 0, errors.New("index: it names no block")
	}
	end := 0
	var room []byte // of one block, decompressed
	for i, b := range list {
		if int64(b.offset) != int64(end) || int64(b.size) > int64(len(blocks)-end) {
			return 0, fmt.Errorf("index: block %d is at %d and %d bytes long, want it at %d of %d",
				i, b.offset, b.size, end, len(blocks))
		}
		block := blocks[end : end+int(b.size)]
		if room, err = checkBlock(block, c, room); err != nil {
			return 0, fmt.Errorf("block %d at %d: %w", i, end, err)
		}
		end += len(block)
	}
	if end != len(blocks) {
		return 0, fmt.Errorf("index: the blocks end at %d, want %d", end, len(blocks))
	}
	return version, nil
}

// tableBlock is where a block lies in a table.
type tableBlock struct{ offset, size uint32 }

// tableIndex splits a table into its blocks and what its index says of them.
func tableIndex(data []byte) (blocks []byte, list []tableBlock, version uint64, err error) {
	rest, sum, err := cutTail(data)
	if err != nil {
		return nil, nil, 0, fmt.Errorf("checksum of the index: %w", err)
	}
	blocks, raw, err := cutTail(rest)
	if err != nil {
		return nil, nil, 0, fmt.Errorf("index: %w", err)
	}
	if err := checkSum(raw, sum); err != nil {
		return nil, nil, 0, fmt.Errorf("index: %w", err)
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
	return blocks, list, index.MaxVersion(), nil
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
	if len(data) < 4 {
		return nil, nil, fmt.Errorf("%d bytes are too short for a length", len(data))
	}
	rest, last := data[:len(data)-4], data[len(data)-4:]
	n := binary.BigEndian.Uint32(last)
	if uint64(n) > uint64(len(rest)) {
		return nil, nil, fmt.Errorf("its length is %d, more than the %d bytes there are", n, len(rest))
	}
	return rest[:len(rest)-int(n)], rest[len(rest)-int(n):], nil
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
