// Package audit answers consent.audit.v1.AuditService: the log for those who
// check it.
//
// Start with [New], whose result the generated NewAuditServiceHandler serves.
// The package cannot reach personal data: it is handed a [Log], which has none.
// Its methods are safe for concurrent use.
package audit

import (
	"context"
	"errors"
	"log/slog"

	apierrors "github.com/consentledger/consentledger/internal/api/errors"
	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
	auditv1 "github.com/consentledger/consentledger/proto/consent/audit/v1"
)

// Log is all that this package needs of a log; *[store.Store] has it. Entries
// and notices are the log's, never a person's. An error that wraps
// [store.ErrNotFound] says that the log does not have that.
type Log interface {
	// Checkpoint gives the newest signed checkpoint and its size; nil and 0 when
	// the log demands witnesses and there has been none yet.
	Checkpoint() ([]byte, ledger.Size)
	// EntryPage gives up to limit entries from start on: fewer when the log or
	// the page ends, none when start is the log's size or more.
	EntryPage(start ledger.Index, limit int) ([][]byte, error)
	// Receipt proves that an entry is in the log of a size, and gives its leaf
	// hash. An error that wraps [store.ErrRetired] says that nobody can sign a
	// checkpoint of this size any more.
	Receipt(i ledger.Index, size ledger.Size) (*ledger.Receipt, ledger.Hash, error)
	// ConsistencyProof proves that the log of size old begins that of size.
	ConsistencyProof(old, size ledger.Size) ([]ledger.Hash, error)
	// NoticeByHash gives the first version of a notice with this text, and the
	// text.
	NoticeByHash(sum ledger.Hash) (ledger.Notice, []byte, error)
}

// Service implements the generated AuditServiceHandler.
type Service struct {
	log     Log
	whole   Whole
	bundles Bundles
	logger  *slog.Logger
}

// New gives the service over a log as auditors are to see it, and the whole of it,
// which is the same where no witnesses are asked. Faults are written to logger.
func New(log Log, whole Whole, bundles Bundles, logger *slog.Logger) *Service {
	return &Service{log, whole, bundles, logger}
}

// errNoCheckpoint: a log that demands witnesses and has just begun.
var errNoCheckpoint = refusal.Unavailable("no checkpoint has been cosigned by the quorum of witnesses yet; ask again")

// GetCheckpoint answers the newest checkpoint.
func (s *Service) GetCheckpoint(context.Context, *auditv1.GetCheckpointRequest) (*auditv1.GetCheckpointResponse, error) {
	signed, _ := s.log.Checkpoint()
	if signed == nil {
		return nil, apierrors.Connect(errNoCheckpoint, s.logger)
	}
	line, err := ledger.CheckpointLine(signed)
	if err != nil {
		return nil, apierrors.Connect(err, s.logger)
	}
	return &auditv1.GetCheckpointResponse{Checkpoint: string(signed), Line: line}, nil
}

// GetInclusionProof proves that an entry is in the log of the size asked for.
func (s *Service) GetInclusionProof(_ context.Context, req *auditv1.GetInclusionProofRequest) (*auditv1.GetInclusionProofResponse, error) {
	_, newest := s.log.Checkpoint()
	size := newest
	if req.Size != nil {
		size = ledger.Size(req.GetSize())
	}
	receipt, leaf, err := s.receipt(ledger.Index(req.GetIndex()), size, newest)
	if err != nil {
		return nil, apierrors.Connect(err, s.logger)
	}
	return &auditv1.GetInclusionProofResponse{Receipt: string(receipt.Text()), LeafHash: leaf[:]}, nil
}

func (s *Service) receipt(i ledger.Index, size, newest ledger.Size) (*ledger.Receipt, ledger.Hash, error) {
	switch {
	case i < 0:
		return nil, ledger.Hash{}, refusal.Invalid("index", "is below 0")
	case newest == 0:
		return nil, ledger.Hash{}, errNoCheckpoint
	case ledger.Size(i) >= newest:
		return nil, ledger.Hash{}, refusal.NotFound("index", "the newest checkpoint has %d entries", newest)
	case size <= ledger.Size(i):
		return nil, ledger.Hash{}, refusal.Invalid("size", "is not more than index")
	case size > newest:
		return nil, ledger.Hash{}, refusal.NotFound("size", "the newest checkpoint has %d entries", newest)
	}
	receipt, leaf, err := s.log.Receipt(i, size)
	if errors.Is(err, store.ErrRetired) {
		err = refusal.Precondition("size", "the keys that signed checkpoints of this size were rotated and are destroyed; leave size out, or ask for a larger one")
	}
	return receipt, leaf, err
}

// GetConsistencyProof proves that nothing was rewritten between two sizes.
func (s *Service) GetConsistencyProof(_ context.Context, req *auditv1.GetConsistencyProofRequest) (*auditv1.GetConsistencyProofResponse, error) {
	proof, err := s.consistency(ledger.Size(req.GetOldSize()), ledger.Size(req.GetNewSize()))
	if err != nil {
		return nil, apierrors.Connect(err, s.logger)
	}
	return &auditv1.GetConsistencyProofResponse{Hashes: bytesOf(proof)}, nil
}

func (s *Service) consistency(old, size ledger.Size) ([]ledger.Hash, error) {
	_, newest := s.log.Checkpoint()
	switch {
	case old < 1:
		return nil, refusal.Invalid("old_size", "is below 1")
	case size < old:
		return nil, refusal.Invalid("new_size", "is less than old_size")
	case size > newest:
		return nil, refusal.NotFound("new_size", "the newest checkpoint has %d entries", newest)
	}
	return s.log.ConsistencyProof(old, size)
}

// GetNotice answers the text of a notice and what it was published as.
func (s *Service) GetNotice(_ context.Context, req *auditv1.GetNoticeRequest) (*auditv1.GetNoticeResponse, error) {
	notice, text, err := s.notice(req.GetSha256())
	if err != nil {
		return nil, apierrors.Connect(err, s.logger)
	}
	return &auditv1.GetNoticeResponse{Notice: notice.Name(), Language: notice.Language, Text: string(text)}, nil
}

func (s *Service) notice(raw []byte) (ledger.Notice, []byte, error) {
	var sum ledger.Hash
	if len(raw) != len(sum) {
		return ledger.Notice{}, nil, refusal.Invalid("sha256", "has %d bytes, want %d", len(raw), len(sum))
	}
	copy(sum[:], raw)
	notice, text, err := s.log.NoticeByHash(sum)
	if errors.Is(err, store.ErrNotFound) {
		err = refusal.NotFound("sha256", "no notice has a text with this hash")
	}
	return notice, text, err
}
