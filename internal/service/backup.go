package service

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/consentledger/consentledger/internal/backup"
	loghistory "github.com/consentledger/consentledger/internal/history"
	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// The kinds of records in a data backup, in the order in which they stand. Nothing
// in them is a key, and what is personal is sealed as it is in the vault.
const (
	backupDocument   = 'd' // what the next entry names by its SHA-256
	backupEntry      = 'e' // an entry's bytes
	backupCheckpoint = 'c' // the newest checkpoint, as it was signed
	backupCompanion  = 'g' // the vault's newest group, as the log repeats it
	backupFile       = 'f' // a file of the ledger's directory: name, 0, content
	backupRow        = 'v' // a row of the vault: length of the key u8, key, value
)

// backedUp are the files of the directory that are in a data backup, as far as they are
// there: what neither the log nor the operator's own keys give back.
var backedUp = []string{trustPolicy, "apikeys", loghistory.CosignedName, loghistory.AnchoredName}

// BackupReport says what a backup wrote.
type BackupReport struct {
	File     string // its name in the target
	Bytes    int64
	From, To ledger.Size // the entries in it
	Rows     int64       // of the vault
	// Generation and People are those of the key backup that was written after it.
	Generation, People int
}

// Backup writes a data backup to the target: what is new since the newest one there, and
// then the key backup. full begins a new chain of files, for which there must be none; it
// is never done by itself, because a target without the files that should be there is one
// whose disk is not mounted. Recording goes on meanwhile.
func (s *Service) Backup(ctx context.Context, full bool) (*BackupReport, error) {
	target := s.vault.BackupTarget()
	if target == "" {
		return nil, refusal.Precondition("backup_target", "no target for backups is configured; start ledgerd serve with --backup-target and --backup-key")
	}
	if err := s.recorder.fault(); err != nil {
		return nil, err
	}
	b := &dataBackup{s: s, target: target}
	if err := b.goOn(full); err != nil {
		return nil, err
	}
	if err := b.read(); err != nil {
		return nil, err
	}
	defer b.release()
	if err := b.belongs(); err != nil {
		return nil, err
	}
	report, err := b.write()
	if err != nil {
		return nil, err
	}
	if report.Generation, report.People, err = s.BackupKeys(ctx); err != nil {
		s.logger.Error("the data are backed up, the keys are not", "file", report.File, "error", err.Error())
		return nil, err
	}
	return report, nil
}

// findBackup reads at a start which data backup is the newest in the target.
func (s *Service) findBackup() {
	target := s.vault.BackupTarget()
	if target == "" {
		return
	}
	newest, err := backup.Newest(target)
	if err != nil {
		s.logger.Warn("the newest data backup cannot be read", "error", err.Error())
	} else if newest != nil {
		s.backedUp.Store(&newest.Head)
	}
}

// dataBackup is one data backup in the making.
type dataBackup struct {
	s      *Service
	target string
	newest *backup.File // nil when a chain begins
	signed []byte       // the checkpoint in it
	files  []backedFile
	snap   *store.Snapshot
	data   *vault.DataBackup
	rows   int64
}

type backedFile struct {
	name    string
	content []byte
}

// goOn finds the file from which this one goes on, and reads it to its end.
func (b *dataBackup) goOn(full bool) error {
	chain, err := backup.OpenChain(b.target)
	switch {
	case err != nil:
		return refusal.Precondition("backup_chain", "%v", err)
	case full && len(chain) > 0:
		return refusal.Precondition("backup_chain", "there are %d data backups in %s: move them elsewhere, and keep them until a new chain has begun", len(chain), b.target)
	case full:
		return nil
	case len(chain) == 0:
		return refusal.Precondition("backup_chain", "there is no data backup in %s to go on from: is its disk mounted? To begin with everything: ledgerd backup --full", b.target)
	}
	b.newest = &chain[len(chain)-1]
	_, err = b.newest.Read(func(kind byte, content []byte) error {
		if kind == backupCheckpoint {
			b.signed = content
		}
		return nil
	})
	if err != nil {
		return refusal.Precondition("backup_chain", "%v. It cannot be gone on from: move the data backups elsewhere and begin a new chain "+
			"with ledgerd backup --full; those before it can still be restored", err)
	}
	return nil
}

// read begins to read the ledger, log and vault as of one moment. The directory's files
// come first, so that the log has all that they show.
func (b *dataBackup) read() (err error) {
	for _, name := range backedUp {
		content, err := os.ReadFile(filepath.Join(b.s.signing.dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return fmt.Errorf("reading what is backed up: %w", err)
		}
		b.files = append(b.files, backedFile{name, content})
	}
	b.data, err = b.s.vault.ReadData(func(record vault.GroupRecord) bool {
		b.snap = b.s.log.Snapshot()
		if has, err := decodeRecord(b.snap.Companion()); err == nil && has == record {
			return true
		}
		b.snap.Release()
		return false
	})
	if errors.Is(err, vault.ErrBusy) {
		return refusal.Precondition("backup_chain", "%v", err)
	}
	return err
}

func (b *dataBackup) release() {
	b.data.Release()
	b.snap.Release()
}

// belongs refuses to go on from a file of another ledger, of another history, or of the
// vault before it was restored.
func (b *dataBackup) belongs() error {
	if b.newest == nil {
		return nil
	}
	const begin = "Move the data backups elsewhere and begin a new chain with ledgerd backup --full"
	kept, err := loghistory.Open(b.s.log, b.signed)
	if errors.Is(err, loghistory.ErrLog) {
		return err
	} else if err != nil || b.newest.Origin != b.s.log.Origin() {
		return refusal.Precondition("backup_chain", "%s is of the ledger %s, and not of this one. Give each ledger a target of its own", b.newest.Path, b.newest.Origin)
	}
	found, err := loghistory.Find(b.s.log, kept.Checkpoint)
	if err != nil {
		return err
	}
	if err := found.Err(); err != nil {
		b.s.StopRecording(fmt.Sprintf("the checkpoint in %s proves it: %v", filepath.Base(b.newest.Path), err))
		return b.s.explained()
	}
	if b.newest.Instance != b.data.Instance || b.newest.Until > b.data.Until || b.newest.Generation > b.data.Generation || b.newest.To != kept.Size {
		return refusal.Precondition("backup_chain", "%s is of another vault of this ledger: it was restored since, or put back from a copy. %s", b.newest.Path, begin)
	}
	return nil
}

// write writes the file.
func (b *dataBackup) write() (*BackupReport, error) {
	h := backup.Head{Number: 1, At: time.Now().UTC(), Origin: b.s.log.Origin(), To: b.snap.Size(),
		Instance: b.data.Instance, Until: b.data.Until, Generation: b.data.Generation}
	if b.newest != nil {
		h.Number, h.Previous, h.From, h.Since = b.newest.Number+1, b.newest.Sum, b.newest.To, b.newest.Until
	}
	w, err := backup.Create(b.target, h)
	if err != nil {
		return nil, refuseTarget(err)
	}
	w.Step = b.s.recorder.step
	if err := b.records(w, h); err != nil {
		w.Discard()
		return nil, err
	}
	f, err := w.Finish()
	if err != nil {
		return nil, refuseTarget(err)
	}
	b.s.backedUp.Store(&f.Head)
	return &BackupReport{File: filepath.Base(f.Path), Bytes: f.Size, From: f.From, To: f.To, Rows: b.rows}, nil
}

func (b *dataBackup) records(w *backup.Writer, h backup.Head) error {
	record := func(kind byte, parts ...[]byte) error {
		if err := w.Record(kind, parts...); err != nil {
			return refuseTarget(err)
		}
		return nil
	}
	err := b.snap.Entries(ledger.Index(h.From), int(h.To-h.From), func(i ledger.Index, text []byte) error {
		e, err := ledger.ParseEntry(text)
		if err != nil {
			return fmt.Errorf("entry %d: %w", i, err)
		}
		documents, err := b.snap.Documents(e)
		if err != nil {
			return err
		}
		for _, d := range documents {
			if err := record(backupDocument, d); err != nil {
				return err
			}
		}
		return record(backupEntry, text)
	})
	if err == nil {
		err = record(backupCheckpoint, b.snap.Checkpoint())
	}
	if err == nil {
		err = record(backupCompanion, b.snap.Companion())
	}
	for _, f := range b.files {
		if err == nil {
			err = record(backupFile, []byte(f.name), []byte{0}, f.content)
		}
	}
	if err != nil {
		return err
	}
	return b.data.Rows(h.Since, func(key, value []byte) error {
		b.rows++
		return record(backupRow, []byte{byte(len(key))}, key, value)
	})
}

// refuseTarget tells administrators what is wrong with the target.
func refuseTarget(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return &refusal.Error{Code: refusal.ResourceExhausted, Reason: fmt.Sprintf("the backup target is full (%v). Nothing that is there was changed; make room and try again", err)}
	}
	return refusal.Precondition("backup_target", "%v", err)
}
