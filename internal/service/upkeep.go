package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/consentledger/consentledger/internal/badgerdb"
	"github.com/consentledger/consentledger/internal/decision"
	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// How long what shows that a person ever existed here may outlive the erasure.
// The keys of the day take up to two days to die by themselves.
const (
	defaultIndexLag = 72 * time.Hour
	maxIndexLag     = 30 * 24 * time.Hour
	dayKeysDie      = 48 * time.Hour
	indexLagMargin  = 24 * time.Hour
)

// upkeep does by itself what time makes due: once a day it applies the periods
// of retention, and it replaces the key of the blind index before erasures are
// older than the index lag. It looks every hour, and then also at what others have
// to do in time.
type upkeep struct {
	s         *Service
	ctx       context.Context // until the ledger is closed
	end       context.CancelFunc
	wg        sync.WaitGroup
	retention time.Time // when tick, which alone uses it, applied the periods last

	mu       sync.Mutex
	rekeying *rekey // the one that runs, or nil
}

// rekey is one replacement of the index key.
type rekey struct {
	done, total int
}

func newUpkeep(s *Service) *upkeep {
	u := &upkeep{s: s}
	u.ctx, u.end = context.WithCancel(context.Background())
	return u
}

// StartUpkeep lets the ledger do by itself what time makes due, until it is
// closed. A command that only looks does not call it.
func (s *Service) StartUpkeep() {
	s.upkeep.wg.Add(3)
	go s.upkeep.watchRoom()
	go s.upkeep.watchMemory()
	go func() {
		defer s.upkeep.wg.Done()
		hour := time.NewTicker(time.Hour)
		defer hour.Stop()
		for {
			if err := s.upkeep.tick(); err != nil {
				s.logger.Error("upkeep failed; it is tried again within the hour", "error", err.Error())
			}
			select {
			case <-hour.C:
			case <-s.upkeep.ctx.Done():
				return
			}
		}
	}()
}

// watchRoom makes the ballast, and has what waited for room on the disk done, whenever
// there is some.
func (u *upkeep) watchRoom() {
	defer u.wg.Done()
	minute := time.NewTicker(time.Minute)
	defer minute.Stop()
	for {
		if err := u.s.keepBallast(); err != nil {
			u.s.logger.Warn("the ballast could not be made", "error", err.Error())
		}
		if u.s.vault.Planned() > 0 {
			u.s.eraser.wake()
		}
		select {
		case <-minute.C:
		case <-u.ctx.Done():
			return
		}
	}
}

// watchMemory keeps what is mapped of tables below a quarter of the ledger's memory.
func (u *upkeep) watchMemory() {
	defer u.wg.Done()
	resident := badgerdb.Resident{Dirs: u.s.space.directories(), Limit: u.s.memory / 4}
	often := time.NewTicker(250 * time.Millisecond)
	defer often.Stop()
	for {
		select {
		case <-often.C:
		case <-u.ctx.Done():
			return
		}
		if err := resident.Trim(); err != nil {
			u.s.logger.Warn("the memory of tables is not given back to the kernel, which takes it when it needs it", "error", err.Error())
			return
		}
	}
}

// close waits for what runs.
func (u *upkeep) close() {
	u.end()
	u.wg.Wait()
}

// tick does what is due now.
func (u *upkeep) tick() error {
	if u.s.Fault() != nil {
		return nil // the operator knows
	}
	var errs []error
	now := u.s.now().UTC()
	if now.Sub(u.retention) >= 24*time.Hour {
		report, err := u.s.retention.run(u.ctx) // which takes a minute among ten million entries
		if u.ctx.Err() != nil {
			return nil
		}
		errs = append(errs, err)
		if err == nil {
			u.retention = now
			u.s.logger.Info("retention was applied", "items", len(report.Items), "kept", report.Kept)
		}
	}
	due, err := u.s.rekeyDue(now)
	if err == nil && due {
		err = u.s.rekeyIndex(u.start())
	}
	errs = append(errs, err)
	if _, err = u.s.Watch(u.ctx); u.ctx.Err() == nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// rekeyDue reports whether an erasure waits for the key of the index to be
// replaced and is old enough for that to end it, or whether the ledger was
// stopped while the key was being replaced.
func (s *Service) rekeyDue(now time.Time) (bool, error) {
	if s.vault.Status().Reindexing {
		return true, nil
	}
	snap := s.log.Snapshot()
	defer snap.Release()
	due := false
	err := eachWaiting(snap, func(_ ledger.Index, shredded *ledger.Entry) {
		// What was promised then counts, whatever the index lag is now.
		due = due || !now.Before(decision.Later(shredded.Contents.Add(dayKeysDie), shredded.ExistenceDue.Add(-indexLagMargin)))
	})
	return due, err
}

// eachWaiting calls yield for every erasure of which only the existence is left,
// with the entry that says that its contents are destroyed.
func eachWaiting(snap *store.Snapshot, yield func(erased ledger.Index, shredded *ledger.Entry)) error {
	_, waiting, err := snap.PendingErasures()
	for _, w := range waiting {
		_, e, err := readEntry(snap, w.Shredded)
		if err != nil {
			return err
		}
		yield(w.Erased, e)
	}
	return err
}

// start begins a re-key, or finds the one that runs: then it gives nil.
func (u *upkeep) start() *rekey {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.rekeying != nil {
		return nil
	}
	u.rekeying = new(rekey)
	return u.rekeying
}

// RekeyIndex begins to replace the key of the blind index, or finds that it is
// being replaced. [Service.ErasureStatus] shows how far it is. Everybody is
// found meanwhile.
func (s *Service) RekeyIndex(context.Context) error {
	if err := s.Fault(); err != nil {
		return err
	}
	k := s.upkeep.start()
	if k == nil {
		return nil
	}
	s.upkeep.wg.Add(1)
	go func() {
		defer s.upkeep.wg.Done()
		if err := s.rekeyIndex(k); err != nil {
			s.logger.Error("replacing the key of the index failed", "error", err.Error())
		}
	}()
	return nil
}

// rekeyIndex replaces the key and records of which erasures that was the end.
func (s *Service) rekeyIndex(k *rekey) error {
	if k == nil {
		return nil
	}
	u := s.upkeep
	defer func() {
		u.mu.Lock()
		u.rekeying = nil
		u.mu.Unlock()
	}()
	// A group turns the keys of the day over, if a day has ended.
	if err := s.do(context.Background(), Source{Name: ledger.SourceLedger}, func(*turn) error { return nil }); err != nil {
		return err
	}
	replaced, err := s.vault.Reindex(u.ctx, func(done, total int) {
		u.mu.Lock()
		k.done, k.total = done, total
		u.mu.Unlock()
	})
	s.recorder.wake()
	if errors.Is(err, context.Canceled) {
		return nil // the next start goes on
	}
	if err != nil {
		return s.recorder.stop(fmt.Errorf("replacing the key of the index: %w", err))
	}
	return s.recordExistence(replaced)
}

// recordExistence records the erasures of which nothing shows any more that the
// person was ever known: the key of the index was replaced since, and so were
// all keys of the day that there were.
func (s *Service) recordExistence(replaced vault.Reindexed) error {
	snap := s.log.Snapshot()
	refers, err := endedBy(snap, replaced)
	snap.Release()
	if err != nil || len(refers) == 0 {
		return err
	}
	root := s.vault.Status()
	return s.eraser.write(refers, func(now time.Time) ledger.Entry {
		return ledger.Entry{Kind: ledger.EvidenceShredded, Generation: int64(root.Generation), Medium: root.Medium, Existence: now}
	})
}

// endedBy lists the erasures that a re-key covers: the people were gone when it
// began, and so are the keys of the days until then.
func endedBy(snap *store.Snapshot, replaced vault.Reindexed) (refers []ledger.Index, err error) {
	err = eachWaiting(snap, func(erased ledger.Index, shredded *ledger.Entry) {
		if shredded.Generation <= int64(replaced.Covers) && shredded.Contents.Before(replaced.OldestDay) {
			refers = append(refers, erased)
		}
	})
	slices.Sort(refers)
	return refers, err
}
