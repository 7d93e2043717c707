package badgerdb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/fb"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/pb"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/badger/v4/y"
	"google.golang.org/protobuf/proto"
)

// checkTables reads every table that the manifest of dir names and checks every
// byte of it against its checksums. Badger does not do that: a damaged footer makes
// its Open panic on a goroutine of its own, its VerifyChecksum follows a nil
// pointer when it finds something, and a read from a damaged block finds
// nothing instead of failing. Bits of a compressed block that the compression
// ignores may differ: what is read is what was written.
func checkTables(dir string) error {
	f, err := os.Open(filepath.Join(dir, badger.ManifestFilename))
	if err != nil {
		return fmt.Errorf("reading the database's manifest: %w", err)
	}
	defer f.Close()
	manifest, _, err := badger.ReplayManifestFile(f, 0, badger.DefaultOptions(dir).WithLogger(nil))
	if err != nil {
		return fmt.Errorf("reading the manifest of %s: %w", dir, err)
	}
	for id, m := range manifest.Tables {
		name := table.NewFilename(id, dir)
		data, err := os.ReadFile(name)
		if err != nil {
			return fmt.Errorf("reading a table: %w", err)
		}
		if err := checkTable(data, m.Compression); err != nil {
			return fmt.Errorf("table %s is damaged: %w", name, err)
		}
	}
	return nil
}

// checkTable checks one table, as Badger v4 lays it out:
//
//	blocks | index | length of the index | checksum | length of the checksum
//
// Lengths are 4 bytes, big-endian. The checksum is over the index, which lists
// the blocks in order and without gaps, so that every byte is accounted for.
func checkTable(data []byte, c options.CompressionType) error {
	rest, sum, err := cutTail(data)
	if err != nil {
		return fmt.Errorf("checksum of the index: %w", err)
	}
	blocks, index, err := cutTail(rest)
	if err != nil {
		return fmt.Errorf("index: %w", err)
	}
	if err := checkSum(index, sum); err != nil {
		return fmt.Errorf("index: %w", err)
	}
	list := fb.GetRootAsTableIndex(index, 0)
	if list.OffsetsLength() == 0 {
		return errors.New("index: it names no block")
	}
	end := 0
	for i := range list.OffsetsLength() {
		var b fb.BlockOffset
		list.Offsets(&b, i)
		if int64(b.Offset()) != int64(end) || int64(b.Len()) > int64(len(blocks)-end) {
			return fmt.Errorf("index: block %d is at %d and %d bytes long, want it at %d of %d",
				i, b.Offset(), b.Len(), end, len(blocks))
		}
		block := blocks[end : end+int(b.Len())]
		if err := checkBlock(block, c); err != nil {
			return fmt.Errorf("block %d at %d: %w", i, end, err)
		}
		end += len(block)
	}
	if end != len(blocks) {
		return fmt.Errorf("index: the blocks end at %d, want %d", end, len(blocks))
	}
	return nil
}

// checkBlock checks one block. Inside the compression it is
//
//	entries | offsets of the entries | number of entries | checksum | length of the checksum
//
// and the checksum is over everything before it.
func checkBlock(block []byte, c options.CompressionType) (err error) {
	switch c {
	case options.None:
	case options.ZSTD:
		if block, err = y.ZSTDDecompress(nil, block); err != nil {
			return fmt.Errorf("decompressing: %w", err)
		}
	default:
		return fmt.Errorf("compression %d is not one of ours", c)
	}
	body, sum, err := cutTail(block)
	if err != nil {
		return err
	}
	return checkSum(body, sum)
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
	var want pb.Checksum
	if err := proto.Unmarshal(encoded, &want); err != nil {
		return fmt.Errorf("reading its checksum: %w", err)
	}
	if want.Algo != pb.Checksum_CRC32C {
		return fmt.Errorf("its checksum is of kind %d, want %d", want.Algo, pb.Checksum_CRC32C)
	}
	got := uint64(crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)))
	if got != want.Sum {
		return fmt.Errorf("its checksum is %08x, want %08x", got, want.Sum)
	}
	return nil
}
