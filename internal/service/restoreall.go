package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/consentledger/consentledger/internal/backup"
	loghistory "github.com/consentledger/consentledger/internal/history"
	"github.com/consentledger/consentledger/internal/keyfile"
	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// RestoreOptions says how a ledger is made anew from a data backup. From is required, and
// of Options the Dir, where there must be nothing yet.
type RestoreOptions struct {
	Options
	// From is the directory of the data backups.
	From string
	// SigningKeys is the file of the keys that sign the log, which no backup holds.
	SigningKeys string
	// KeyFile is the newest key backup and Identity the file that opens it; "" for the
	// log alone.
	KeyFile, Identity string
	// Held, if set, refuses a log of which somebody holds more, or other entries.
	Held func(loghistory.Log) error
	// DespiteCheck puts the ledger in its place although [Service.Check] found something.
	DespiteCheck bool
	// Progress, if set, is called now and then; a total of 0 is not known.
	Progress func(doing string, done, total int64)
}

// RestoredLedger says what a restore made.
type RestoredLedger struct {
	Origin string
	At     time.Time // of the newest data backup
	Files  int
	Size   ledger.Size // of the log as it was backed up
	// Vault is nil when the log alone was restored.
	Vault *vault.RestoreReport
	// Gone are consents whose keys the key backup does not have: of people who were
	// erased since, when Erased is true, or who came after the key backup.
	Gone   int
	Erased bool
	// Kept says which of them the log cannot record as erased; nil for none.
	Kept error
	// Check is what was checked, nil when CheckErr was accepted.
	Check    *CheckReport
	CheckErr error
}

// restoring is the directory in which a ledger is made anew, inside the one where it
// shall be: that may be a mount point.
const restoring = ".restoring"

// RestoreAll makes a ledger anew from its data backups, the newest key backup and the
// operator's signing keys. It reads all files of the backup to their end; makes the log
// from its entries, under the rules that recorded them, verifies it as auditors do, and
// holds it to every checkpoint that is shown; makes the vault; records whose keys are
// gone; checks everything; and only then puts it in its place, the head file last. Last
// of all the identity that opened the key backup is destroyed and the next key backup is
// written, if the options name a target. Until then an error leaves what there was, and
// after kill -9 it is begun again.
//
// API keys are those of the backup: one that was revoked since works again.
func RestoreAll(ctx context.Context, opt RestoreOptions) (*RestoredLedger, error) {
	if err := opt.checked(); err != nil {
		return nil, err
	}
	if opt.Progress == nil {
		opt.Progress = func(string, int64, int64) {}
	}
	if opt.testOnlyStep == nil {
		opt.testOnlyStep = func(string) error { return nil }
	}
	r := &restorer{opt: opt, dir: filepath.Join(opt.Dir, restoring)}
	r.root = opt.RootKeyPath
	if r.root == "" {
		r.root = filepath.Join(r.dir, "root.key")
	}
	err := r.restore(ctx)
	if err != nil {
		return nil, fmt.Errorf("restoring a ledger: %w", err)
	}
	return &r.report, nil
}

// restorer is one restore.
type restorer struct {
	opt    RestoreOptions
	dir    string // where it is made
	root   string // the file of the root key meanwhile
	drawn  bool   // there was no root key, and may be one now
	chain  []backup.File
	total  int64 // bytes of the backup
	report RestoredLedger

	companion []byte
	signed    []byte
	files     []backedFile
}

func (r *restorer) restore(ctx context.Context) (err error) {
	if err := r.readChain(); err != nil {
		return err
	}
	existed, err := r.begin()
	if err != nil {
		return err
	}
	defer func() {
		if err != nil && r.dir != "" {
			err = errors.Join(err, r.giveUp(existed))
		}
	}()
	if err := r.makeLog(ctx); err != nil {
		return err
	}
	if err := r.opt.testOnlyStep("restore log made"); err != nil {
		return err
	}
	if r.opt.KeyFile != "" {
		if err := r.makeVault(ctx); err != nil {
			return err
		}
	}
	if err := r.opt.testOnlyStep("restore checked"); err != nil {
		return err
	}
	if err := errors.Join(syncDir(r.dir), moveUp(r.dir, r.opt.Dir)); err != nil {
		return err
	}
	r.dir = ""
	if err := r.opt.testOnlyStep("restore in place"); err != nil {
		return err
	}
	if r.report.Vault == nil || r.opt.KeyBackup == nil {
		return nil
	}
	if err := vault.FinishRestore(r.opt.Options.vault(), r.opt.Identity); err != nil {
		return fmt.Errorf("the ledger in %s is restored; %w. Destroy %s and %s by hand, and run `ledgerd backup keys`", r.opt.Dir, err, r.opt.Identity, r.opt.KeyFile)
	}
	r.report.Vault.IdentityLeft = ""
	return nil
}

// readChain reads the whole backup and keeps what the newest file says of the ledger.
func (r *restorer) readChain() (err error) {
	if r.chain, err = backup.OpenChain(r.opt.From); err != nil {
		return err
	}
	if len(r.chain) == 0 {
		return fmt.Errorf("there is no data backup in %s", r.opt.From)
	}
	for _, f := range r.chain {
		r.total += f.Size
	}
	done := int64(0)
	for _, f := range r.chain {
		r.files = nil
		_, err := f.Read(func(kind byte, content []byte) error {
			switch kind {
			case backupCheckpoint:
				r.signed = content
			case backupCompanion:
				r.companion = content
			case backupFile:
				name, text, ok := bytes.Cut(content, []byte{0})
				if !ok || !slices.Contains(backedUp, string(name)) {
					return fmt.Errorf("%w: it holds a file that no ledger has", backup.ErrDamaged)
				}
				r.files = append(r.files, backedFile{string(name), text})
			case backupEntry, backupDocument, backupRow:
			default:
				return fmt.Errorf("it holds records of kind %q, which this program does not know: use the one that wrote it, or a newer one", kind)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("%w. Nothing was changed. The files before it can be restored without it: move it and what follows it to another "+
				"directory; what was recorded since is lost then", err)
		}
		done += f.Size
		r.opt.Progress("reading the backup", done, r.total)
	}
	newest := r.chain[len(r.chain)-1]
	r.report = RestoredLedger{Origin: newest.Origin, At: newest.At, Files: len(r.chain), Size: newest.To}
	return nil
}

// begin makes the directory to make it in, and removes what an interrupted restore left.
func (r *restorer) begin() (existed bool, err error) {
	list, err := os.ReadDir(r.opt.Dir)
	existed = err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return existed, err
	}
	if store.IsLedger(r.opt.Dir) {
		return existed, fmt.Errorf("there is a ledger in %s; nothing was changed. A ledger is restored into a new directory", r.opt.Dir)
	}
	ours := slices.Concat(backedUp, []string{restoring, "log", "vault", "root.key", signingKeysName, trustKeys})
	if len(list) > 0 && !slices.ContainsFunc(list, func(e fs.DirEntry) bool { return e.Name() == restoring }) {
		return existed, fmt.Errorf("%s is not empty; a ledger is restored into a new directory", r.opt.Dir)
	}
	for _, e := range list {
		if !slices.Contains(ours, e.Name()) {
			return existed, fmt.Errorf("%s holds %s, which no interrupted restore left there; a ledger is restored into a new directory", r.opt.Dir, e.Name())
		}
	}
	for _, e := range list {
		if err := destroyLeft(filepath.Join(r.opt.Dir, e.Name())); err != nil {
			return existed, err
		}
	}
	if _, err := os.Lstat(r.root); errors.Is(err, fs.ErrNotExist) {
		r.drawn = true
	}
	return existed, errors.Join(os.MkdirAll(r.opt.Dir, 0o700), os.Mkdir(r.dir, 0o700))
}

// giveUp removes what was made. Its root key opens a copy of everybody's keys, so it is
// destroyed first.
func (r *restorer) giveUp(existed bool) error {
	var err error
	if r.drawn {
		err = errors.Join(keyfile.Destroy(r.root), keyfile.Destroy(r.root+".next"))
	}
	err = errors.Join(err, destroyLeft(r.dir))
	if !existed {
		err = errors.Join(err, os.Remove(r.opt.Dir))
	}
	return err
}

// destroyLeft removes what a restore left, root keys and signing keys by overwriting them.
func destroyLeft(path string) error {
	err := filepath.WalkDir(path, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && (strings.HasPrefix(e.Name(), "root.key") || strings.HasPrefix(e.Name(), signingKeysName)) {
			err = keyfile.Destroy(path)
		}
		return err
	})
	return errors.Join(err, os.RemoveAll(path))
}

// makeLog makes the log, with the keys that sign it.
func (r *restorer) makeLog(ctx context.Context) (err error) {
	signer, err := readSigner(r.opt.SigningKeys)
	if err != nil {
		return err
	}
	if signer.Origin() != r.report.Origin {
		return fmt.Errorf("%s holds the keys of %s, the backup is of %s", r.opt.SigningKeys, signer.Origin(), r.report.Origin)
	}
	if err := r.importLog(ctx, r.dir, func(m *store.Import, _ *store.Snapshot) error { return m.Accept() }); err != nil {
		return err
	}
	keys, err := os.ReadFile(r.opt.SigningKeys)
	if err == nil {
		err = writeNew(filepath.Join(r.dir, signingKeysName), 0o600, keys)
	}
	if err != nil {
		return err
	}
	return r.withLog(func(*store.Store) error { return nil })
}

// withLog opens the restored log.
func (r *restorer) withLog(use func(*store.Store) error) error {
	log, err := newSigningKeys(r.dir, nil).open(store.Options{Dir: r.dir, Logger: r.opt.Logger})
	if err != nil {
		return fmt.Errorf("%w. The signing keys must be those that were in force when the backup was written: back up after each rotation, "+
			"and keep a copy of signing.keys", err)
	}
	return errors.Join(use(log), log.Close())
}

// importLog makes the log in a directory, with the files that were beside it, verifies
// it, holds it to what others hold, and hands it to use.
func (r *restorer) importLog(ctx context.Context, dir string, use func(*store.Import, *store.Snapshot) error) (err error) {
	for _, f := range r.files {
		mode := fs.FileMode(0o644)
		if f.name == "apikeys" {
			mode = 0o600
		}
		if err := writeNew(filepath.Join(dir, f.name), mode, f.content); err != nil {
			return err
		}
	}
	m, err := store.NewImport(store.Options{Dir: dir, Logger: r.opt.Logger})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	next := int64(0)
	for _, f := range r.chain {
		_, err := f.Read(func(kind byte, content []byte) error {
			switch kind {
			case backupDocument:
				m.Document(content)
			case backupEntry:
				if next++; next%4096 == 0 {
					r.opt.Progress("making the log", next, int64(r.report.Size))
				}
				return m.Entry(content)
			}
			return ctx.Err()
		})
		if err == nil && next != int64(f.To) {
			err = fmt.Errorf("%s: %w: it says that it holds entries up to %d, and holds them up to %d", f.Path, backup.ErrDamaged, f.To, next)
		}
		if err != nil {
			return err
		}
	}
	snap, err := m.Finish(r.signed, r.companion)
	if err != nil {
		return err
	}
	defer snap.Release()
	if err := verify(ctx, snap, r.opt.Progress); err != nil {
		return fmt.Errorf("the log of the backup does not verify: %w", err)
	}
	reason, err := loghistory.CheckDir(m, dir)
	if err == nil && reason == nil && r.opt.Held != nil {
		reason = r.opt.Held(m)
	}
	switch {
	case err != nil:
		return err
	case reason != nil:
		return fmt.Errorf("%w. This backup is too old, or of another history: take a newer one. Nothing was changed", reason)
	}
	return use(m, snap)
}

// verify verifies a log as auditors do. It trusts the log's first pair of keys; whose
// they are, the signing keys show, or a policy from elsewhere.
func verify(ctx context.Context, snap *store.Snapshot, progress func(string, int64, int64)) error {
	keys, err := snap.Keys()
	if err != nil {
		return err
	}
	ring, err := ledger.ParseKeyRing(keys)
	if err != nil {
		return err
	}
	policy, err := ledger.ParsePolicy(ledger.NewPolicy(ring.At(0)))
	if err != nil {
		return err
	}
	_, err = ledger.VerifyLog(ctx, snap, ledger.VerifyOptions{Policy: policy, Keys: keys, Progress: func(done, total ledger.Size) {
		progress("verifying the log", int64(done), int64(total))
	}})
	return err
}

// makeVault makes the vault beside the log, and checks both.
func (r *restorer) makeVault(ctx context.Context) error {
	record, err := decodeRecord(r.companion)
	if err != nil {
		return err
	}
	newest := r.chain[len(r.chain)-1]
	data := &vault.RestoreData{Origin: newest.Origin, Generation: newest.Generation, Group: record, Rows: r.rows}
	err = r.withLog(func(log *store.Store) error {
		snap := log.Snapshot()
		defer snap.Release()
		opt := r.opened()
		opt.KeyBackup = r.opt.KeyBackup
		report, err := vault.Restore(vault.RestoreOptions{Vault: opt.vault(), Backup: r.opt.KeyFile, Identity: r.opt.Identity, LogSize: snap.Size(),
			Leaf: func(i ledger.Index) (ledger.Hash, error) {
				text, err := snap.Entry(i)
				return ledger.LeafHash(text), err
			}, Data: data})
		r.report.Vault = &report
		return err
	})
	if err != nil {
		return err
	}
	r.report.Erased = r.report.Vault.Generation-1 > newest.Generation
	if err := r.opt.testOnlyStep("restore vault made"); err != nil {
		return err
	}
	s, err := Open(r.opened())
	if err != nil {
		return err
	}
	return errors.Join(r.agree(ctx, s), s.Close())
}

// opened are the options with which the ledger is opened where it is made.
func (r *restorer) opened() Options {
	opt := r.opt.Options
	opt.Dir, opt.RootKeyPath, opt.KeyBackup = r.dir, r.root, nil
	return opt
}

// agree records whose keys are gone, and checks everything.
func (r *restorer) agree(ctx context.Context, s *Service) error {
	var err error
	if r.report.Gone, err = s.RecordGone(ctx); err != nil {
		var no *refusal.Error
		if !errors.As(err, &no) || no.Code != refusal.FailedPrecondition {
			return err
		}
		r.report.Kept = err
	}
	r.report.Check, r.report.CheckErr = s.Check(func(done, total ledger.Size) {
		r.opt.Progress("checking", int64(done), int64(total))
	})
	if r.report.CheckErr == nil || r.opt.DespiteCheck {
		return nil
	}
	return fmt.Errorf("%w. Nothing was put in place. This is to be expected when an address was corrected or removed, or somebody was erased who had been "+
		"put under a hold, after the data backup was written: then restore again with --despite-check", errors.Join(r.report.CheckErr, r.report.Kept))
}

// rows gives the vault's rows of all files.
func (r *restorer) rows(each func(key, value []byte) error) error {
	done := int64(0)
	for _, f := range r.chain {
		_, err := f.Read(func(kind byte, content []byte) error {
			if kind != backupRow {
				return nil
			}
			if len(content) < 1 || len(content) < 1+int(content[0]) {
				return fmt.Errorf("%w: a row of %d bytes", backup.ErrDamaged, len(content))
			}
			size := 1 + int(content[0])
			return each(content[1:size], content[size:])
		})
		if err != nil {
			return err
		}
		done += f.Size
		r.opt.Progress("making the vault", done, r.total)
	}
	return nil
}

// RestoreCopy makes a static copy of the log of a data backup in dir, as
// [store.Snapshot.Export] does. It needs no keys, and the copy serves auditors and proves
// what it holds; nobody can record in it.
func RestoreCopy(ctx context.Context, from, dir string, held func(loghistory.Log) error, progress func(doing string, done, total int64)) (_ *RestoredLedger, err error) {
	if progress == nil {
		progress = func(string, int64, int64) {}
	}
	r := &restorer{opt: RestoreOptions{From: from, Held: held, Progress: progress, Options: Options{Logger: slog.New(slog.DiscardHandler)}}}
	if err := r.readChain(); err != nil {
		return nil, err
	}
	making := filepath.Clean(dir) + ".restoring"
	if err := errors.Join(os.RemoveAll(making), os.Mkdir(making, 0o700)); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(making)) }()
	err = r.importLog(ctx, making, func(_ *store.Import, snap *store.Snapshot) error { return snap.Export(dir) })
	if err != nil {
		return nil, fmt.Errorf("copying the log of a backup: %w", err)
	}
	return &r.report, nil
}
