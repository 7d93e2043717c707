package audit

import (
	"context"
	"errors"

	apierrors "github.com/consentledger/consentledger/internal/api/errors"
	"github.com/consentledger/consentledger/internal/auditbundle"
	"github.com/consentledger/consentledger/internal/history"
	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
	auditv1 "github.com/consentledger/consentledger/proto/consent/audit/v1"
)

// Whole is the log itself, also what is newer than its witnesses have cosigned;
// *[store.Store] has it.
type Whole interface {
	history.Log
	auditbundle.Log
	// ConsentState proves a consent's state as of the newest state.committed. An error
	// that wraps [store.ErrNotCommitted] says that the consent is newer.
	ConsentState(id ledger.ConsentID) (*store.ConsentState, error)
}

// CheckCheckpoint answers whether a checkpoint that somebody kept is in the log's
// history.
func (s *Service) CheckCheckpoint(_ context.Context, req *auditv1.CheckCheckpointRequest) (*auditv1.CheckCheckpointResponse, error) {
	rsp, err := s.check([]byte(req.GetCheckpoint()))
	if err != nil {
		return nil, apierrors.Connect(err, s.logger)
	}
	return rsp, nil
}

func (s *Service) check(text []byte) (*auditv1.CheckCheckpointResponse, error) {
	if _, err := ledger.ParseKept(text); err != nil {
		return nil, refusal.Invalid("checkpoint", "is neither a signed note nor the one-line form")
	}
	kept, err := history.Open(s.whole, text)
	switch {
	case errors.Is(err, history.ErrKeys):
		return nil, refusal.Precondition("unknown_keys", "keys signed it in this log's name that the log does not know: they were rotated "+
			"after this copy of the log was made, or it is another log of its name")
	case errors.Is(err, history.ErrLog):
		return nil, err
	case err != nil:
		return nil, refusal.Invalid("checkpoint", "was not signed by this log")
	}
	found, err := history.Find(s.whole, kept.Checkpoint)
	if err != nil {
		return nil, err
	}
	if err := found.Err(); err != nil {
		s.logger.Error("an auditor holds a checkpoint that this log has signed and does not contain", "error", err.Error())
	}
	// What has been cosigned is worth more, if it reaches far enough.
	signed, newest := s.log.Checkpoint()
	if newest < kept.Size || newest == 0 {
		signed, newest = s.whole.Checkpoint()
	}
	rsp := &auditv1.CheckCheckpointResponse{Verdict: string(found.Place), Size: int64(kept.Size), Checkpoint: string(signed)}
	if rsp.Line, err = ledger.CheckpointLine(signed); err != nil || found.Place == history.Ahead {
		return rsp, err
	}
	rsp.Root = found.Root[:]
	if kept.Size > 0 {
		proof, err := s.whole.ConsistencyProof(kept.Size, newest)
		rsp.Hashes = bytesOf(proof)
		return rsp, err
	}
	return rsp, nil
}

// bytesOf gives hashes as messages carry them.
func bytesOf(hashes []ledger.Hash) [][]byte {
	list := make([][]byte, len(hashes))
	for i := range hashes {
		list[i] = hashes[i][:]
	}
	return list
}
