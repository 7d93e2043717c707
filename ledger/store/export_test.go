package store

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"

	"github.com/consentledger/consentledger/ledger"
)

// Steps are the seams of a commit, in order.
var Steps = []string{"before log", "after log", "before head", "after head"}

// AtStep calls f at every seam of every commit.
func (s *Store) AtStep(f func(step string) error) { s.testOnlyFault = f }

// DB gives the database behind the log.
func (s *Store) DB() *badger.DB { return s.db }

// ReadHead gives the newest checkpoint of the head file in dir, also of a log that is
// open.
func ReadHead(dir string) ([]byte, error) {
	f, err := os.Open(filepath.Join(dir, HeadName))
	if err != nil {
		return nil, err
	}
	h := &headFile{file: f}
	checkpoint, err := h.read()
	return checkpoint, errors.Join(err, h.close())
}

// HeadSlotSize is the size of a slot in the head file.
const HeadSlotSize = slotSize

// Keys of rows, for tests that damage them.
var (
	EntryKey   = func(i ledger.Index) []byte { return indexKey(entryRow, int64(i)) }
	TileKey    = tileKey
	ConsentKey = func(id ledger.ConsentID) []byte { return indexKey(consentKey, int64(id)) }
	LockKey    = func(h ledger.Hash) []byte { return hashKey(lockKey, h) }
	TextKey    = func(h ledger.Hash) []byte { return hashKey(textRow, h) }
	PurposeKey = func(id string, version int64) []byte { return versionKey(purposeRow, id, version) }
	SourceKey  = func(name string) []byte { return append([]byte{sourceRow}, name...) }
	NoticeKey  = func(id string, version int64) []byte { return versionKey(noticeRow, id, version) }
	MentionKey = mentionKey
	ReferKey   = referKey
	HoldKey    = func(i ledger.Index) []byte { return indexKey(holdRow, int64(i)) }
	ErasureKey = func(i ledger.Index) []byte { return indexKey(erasureRow, int64(i)) }
	MetaKey    = []byte{metaRow}

	RightsKey       = func(i ledger.Index) []byte { return indexKey(rightsRow, int64(i)) }
	NotificationKey = func(i ledger.Index) []byte { return indexKey(noticedRow, int64(i)) }
	ProcessorKey    = func(id string) []byte { return append([]byte{processorRow}, id...) }
	ClaimKey        = func(name string) []byte { return append([]byte{claimRow}, name...) }
)

// SourceDeclaredKey and EngagementKey are where it stands which entry declared a source,
// and engaged or ended a processor.
var (
	SourceDeclaredKey = func(name string, i ledger.Index) []byte { return declaredKey(sourceRow, name, i) }
	EngagementKey     = func(id string, i ledger.Index) []byte { return declaredKey(processorRow, id, i) }
)

// AnchorKey and StampKey are those of a stamp and of what was stamped.
var (
	AnchorKey = anchorKey
	StampKey  = func(h ledger.Hash) []byte { return hashKey(stampRow, h) }
)
