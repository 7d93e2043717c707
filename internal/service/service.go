// Package service holds the use cases of the consent ledger: request, confirm,
// withdraw, check, erase and the others, one file each.
//
// Start with [Create] and [Open]. A use case that writes prepares what does not
// depend on state (it normalises, seals and commits), then hands a decision to
// the recorder, the one goroutine that writes; a use case that reads takes a
// snapshot of the log and looks people up in the vault. All methods of Service
// are safe for concurrent use.
//
// Promises: an answer without an error is durable, in the vault and in the log.
// A refusal (*refusal.Error) wrote nothing, unless it says unavailable: then a
// write may have failed in the middle, it is not known whether the request was
// recorded, and nothing more is recorded until the ledger has been opened anew
// ([Service.Fault]). Any other error comes from what could not be read.
package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/consentledger/consentledger/internal/backup"
	"github.com/consentledger/consentledger/internal/badgerdb"
	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// Options says which ledger to open and how. Dir is required.
type Options struct {
	// Dir is the ledger's directory, made by [Create].
	Dir string
	// RootKeyPath is the file of the vault's root key; DIR/root.key by default.
	RootKeyPath string
	// AcceptClock accepts a clock that went back or jumped ahead since the last
	// entry; without it recording stays stopped.
	AcceptClock bool
	// Logger gets what an operator must know, without personal data; nil
	// discards it.
	Logger *slog.Logger
	// StateEntries and StateInterval are those of [store.Options].
	StateEntries  int64
	StateInterval time.Duration
	// EraseWindow is how long an erasure waits for others to share its work; 0
	// means that only those share it which come while another one runs.
	EraseWindow time.Duration
	// IndexLag is how long after an erasure traces of the person may still show
	// in the blind index: 72 hours to 30 days, 0 means 72 hours.
	IndexLag time.Duration
	// MaxConfirmationMails is how many confirmation mails a person may be sent on a
	// channel within 24 hours, requests and resends together: at most 1,000, 0 means
	// 3. A negative number sets no limit, for those who have one of their own.
	MaxConfirmationMails int
	// Datacentres are networks from which machines click, not people. None may have
	// bits beyond its length, or be an IPv4 network spelt in IPv6.
	Datacentres []netip.Prefix
	// KeyBackup says where the keys are backed up; nil for nowhere.
	KeyBackup *vault.KeyBackup
	// Memory is about how many bytes of memory the ledger's databases are sized for: at
	// least [MinMemory], 0 means [DefaultMemory]. Less of it makes memtables, and so
	// what one request may hold, and caches smaller.
	Memory int64
	// Later leaves an erasure that a crash interrupted unfinished until
	// [Service.Begin], so that others can be asked first what they hold of the log.
	Later bool

	// testOnlyClock replaces the wall clock, testOnlyStep is called between the
	// steps of a commit, those of the log among them, and before keys are shredded.
	testOnlyClock func() time.Time
	testOnlyStep  func(step string) error
	// testOnlyFree replaces asking a disk for its room.
	testOnlyFree func(dir string) (int64, error)
	// testOnlySlow is how long a commit may take; 0 means 10 seconds.
	testOnlySlow time.Duration
}

// How much memory a ledger may be given.
const (
	MinMemory     = 128 << 20
	DefaultMemory = 1 << 30
)

// memory gives the sizes of a database's memtables and of the log's cache. At the
// default, two databases hold 2 to 5 memtables each, of 1.3 times 32 MiB, and the log
// 64 MiB of tables' blocks.
func (o *Options) memory() (memTable, cache int64) {
	n := cmp.Or(o.Memory, DefaultMemory)
	return min(max(n/32, badgerdb.MinMemTableBytes), badgerdb.MaxMemTableBytes), n / 16
}

// Service is an open ledger.
type Service struct {
	log      *store.Store
	signing  *signingKeys
	vault    *vault.Vault
	recorder *recorder
	space    *space
	eraser   *eraser
	upkeep   *upkeep
	logger   *slog.Logger
	dir      string
	memory   int64 // in bytes, that the ledger is sized for
	memTable int64 // size in bytes
	clock    *clock
	indexLag time.Duration

	maxMails    int
	datacentres networks

	retention retention
	watching  watching

	backedUp atomic.Pointer[backup.Head] // of the newest data backup; nil for none, and where it could not be read

	cosigned       func() ([]byte, ledger.Size) // see UseCosigned; nil where there are no witnesses
	cosignedWithin time.Duration
}

// ReplaceClock replaces the wall clock, so that a test of another package makes days
// pass.
func (o *Options) ReplaceClock(now func() time.Time) { o.testOnlyClock = now }

func (o *Options) vault() vault.Options {
	root := o.RootKeyPath
	if root == "" {
		root = filepath.Join(o.Dir, "root.key")
	}
	memTable, _ := o.memory()
	return vault.Options{Dir: filepath.Join(o.Dir, "vault"), RootKeyPath: root, Logger: o.Logger, KeyBackup: o.KeyBackup,
		MemTableBytes: memTable}
}

// checked refuses what no ledger can be opened with.
func (o *Options) checked() error {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.IndexLag == 0 {
		o.IndexLag = defaultIndexLag
	}
	if o.IndexLag < defaultIndexLag || o.IndexLag > maxIndexLag {
		return fmt.Errorf("the index lag is %v; it must lie between %v and %v", o.IndexLag, defaultIndexLag, maxIndexLag)
	}
	if o.Memory != 0 && o.Memory < MinMemory {
		return fmt.Errorf("%d bytes of memory are too few for a ledger; it needs at least %d", o.Memory, MinMemory)
	}
	if o.EraseWindow < 0 || o.EraseWindow > maxEraseWindow {
		return fmt.Errorf("the erase window is %v; it must lie between 0 and %v", o.EraseWindow, maxEraseWindow)
	}
	if o.MaxConfirmationMails == 0 {
		o.MaxConfirmationMails = defaultMaxMails
	}
	if o.MaxConfirmationMails > mostMaxMails {
		return fmt.Errorf("the limit on confirmation mails is %d; it must be at most %d", o.MaxConfirmationMails, mostMaxMails)
	}
	for _, p := range o.Datacentres {
		if !p.IsValid() || p != p.Masked() || p.Addr().Is4In6() {
			return fmt.Errorf("the data-centre network %v is not one", p)
		}
	}
	return nil
}

// maxEraseWindow bounds how long somebody who asks for an erasure waits.
const maxEraseWindow = time.Minute

func (o *Options) store(signer *ledger.Signer) store.Options {
	memTable, cache := o.memory()
	return store.Options{Dir: o.Dir, Signer: signer, Logger: o.Logger, StateEntries: o.StateEntries,
		StateInterval: o.StateInterval, MemTableBytes: memTable, CacheBytes: cache, TestOnlyStep: o.testOnlyStep}
}

// Open opens a ledger: the log, then the vault, then it makes the two agree as
// the log's newest group says, and finishes erasures that a crash interrupted. When
// its own directory keeps a checkpoint that the log does not contain, the ledger was
// set back: it opens to be read, and records nothing, see [Service.StopRecording].
func Open(opt Options) (*Service, error) {
	if err := opt.checked(); err != nil {
		return nil, err
	}
	signing := newSigningKeys(opt.Dir, opt.testOnlyStep)
	looked := opt.lookAtVault()
	defer looked.wait()
	storing := opt.store(nil)
	storing.Agree = looked.agree
	log, err := signing.open(storing)
	if err != nil {
		return nil, fmt.Errorf("opening the ledger in %s: %w", opt.Dir, err)
	}
	s := &Service{log: log, signing: signing, logger: opt.Logger, indexLag: opt.IndexLag,
		maxMails: opt.MaxConfirmationMails, datacentres: newNetworks(opt.Datacentres)}
	s.dir = opt.Dir
	s.memory = cmp.Or(opt.Memory, DefaultMemory)
	s.memTable, _ = opt.memory()
	s.retention.s = s
	if err := s.open(opt, looked); err != nil {
		if s.vault != nil {
			err = errors.Join(err, s.vault.Close())
		}
		return nil, errors.Join(fmt.Errorf("opening the ledger in %s: %w", opt.Dir, err), log.Close())
	}
	return s, nil
}

func (s *Service) open(opt Options, looked *vaultLook) error {
	if err := s.openVault(looked.opt); err != nil {
		return err
	}
	snap := s.log.Snapshot()
	chain := snap.Chain()
	snap.Release()
	var err error
	s.clock = newClock(opt.testOnlyClock, chain.Last(), opt.AcceptClock)
	if err := s.clock.stopped(); err != nil {
		s.logger.Error("recording is stopped", "reason", err.Error())
	}
	if s.space, err = newSpace(s, opt.Dir, opt.testOnlyFree); err != nil {
		return err
	}
	s.recorder = newRecorder(s, opt.testOnlyStep)
	s.recorder.commits.slow = cmp.Or(opt.testOnlySlow, slowCommit)
	if err := s.holdTo(opt.Dir); err != nil {
		return err
	}
	s.findBackup()
	s.eraser = newEraser(s, opt.EraseWindow)
	s.upkeep = newUpkeep(s)
	go s.recorder.run()
	if !opt.Later {
		if err := s.eraser.finish(); err != nil {
			s.recorder.close()
			return err
		}
	}
	go s.eraser.run()
	return nil
}

// Begin finishes what an open with Options.Later has left: from here on the ledger
// records by itself, too. It is called before anybody else uses the ledger.
func (s *Service) Begin() error { return s.eraser.finish() }

// vaultLook is what a look at the vault finds, before log or vault are opened for writing.
type vaultLook struct {
	opt   vault.Options // to open it with: what was read is not read again
	done  chan struct{} // closed when found and err are there
	found vault.Probed
	err   error
}

// lookAtVault begins to look at the vault, while others look at the log: in a large ledger
// each takes seconds.
func (o *Options) lookAtVault() *vaultLook {
	l := &vaultLook{opt: o.vault(), done: make(chan struct{})}
	l.opt.Seen = new(badgerdb.Seen)
	go func() {
		defer close(l.done)
		l.found, l.err = vault.Probe(l.opt)
	}()
	return l
}

func (l *vaultLook) wait() { <-l.done }

// agree compares the vault's newest group record with the one that the log repeats,
// before either is opened for writing: equal, go; one group ahead, that group will be
// dropped, because the log never had it; anything else is damage.
func (l *vaultLook) agree(origin string, companion []byte) error {
	want, err := decodeRecord(companion)
	if err != nil {
		return err
	}
	l.wait()
	have := l.found
	switch {
	case l.err != nil:
		return l.err
	case have.Origin != origin:
		return fmt.Errorf("%w: the vault belongs to another ledger", errApart)
	case have.Newest == want:
		return nil
	case have.Newest.Seq != want.Seq+1:
		return fmt.Errorf("%w: the vault's newest group is number %d, the log's is number %d", errApart, have.Newest.Seq, want.Seq)
	case have.Previous != want:
		return fmt.Errorf("%w: the vault is one group ahead, and the group before it is not the log's", errApart)
	case have.Kept != nil:
		return fmt.Errorf("%w: the vault is one group ahead: %w", errApart, have.Kept)
	}
	return nil
}

// openVault opens the vault that the log agreed with, see [vaultLook.agree].
func (s *Service) openVault(opt vault.Options) error {
	snap := s.log.Snapshot()
	defer snap.Release()
	want, err := decodeRecord(snap.Companion())
	if err != nil {
		return err
	}
	opt.Room = s.roomForKeys
	if s.vault, err = vault.Open(opt); err != nil {
		return err
	}
	if s.vault.Record() == want {
		return nil
	}
	return s.vault.DropNewestGroup()
}

// Close waits for what was accepted, then closes the ledger. Nothing may be
// using it.
func (s *Service) Close() error {
	s.upkeep.close()
	s.eraser.close()
	s.recorder.close()
	return errors.Join(s.vault.Close(), s.log.Close())
}

// Log is the ledger's log, for those who read it.
func (s *Service) Log() *store.Store { return s.log }

// Fault says why nothing is recorded at the moment, or not everything, or nil.
func (s *Service) Fault() error { return s.fault(false) }

func (s *Service) fault(urgent bool) error {
	if err := s.recorder.fault(); err != nil {
		return err
	}
	if err := s.clock.stopped(); err != nil {
		return err
	}
	if err := s.recorder.commits.refuse(); err != nil {
		return err
	}
	return s.space.look().refuse(urgent)
}

// Source is who posts: the name of an API key and its role.
type Source struct{ Name, Role string }

// Time limits on what a caller says happened.
var earliest = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// occurred checks a caller's time. How far ahead it may lie, the rules say.
func occurred(t time.Time) (time.Time, error) {
	if t.IsZero() {
		return t, nil
	}
	if t.Before(earliest) || t.Year() > 9999 {
		return t, refusal.Invalid("occurred_at", "must lie between the years 2000 and 9999")
	}
	return t.UTC().Truncate(time.Second), nil
}

// refuse turns a violation of the rules into a refusal; other errors stay.
func refuse(err error) error {
	var rule *ledger.RuleError
	if !errors.As(err, &rule) {
		return err
	}
	if rule.Rule == "occurred" {
		return refusal.Invalid("occurred_at", "lies more than %v ahead of the ledger's clock", ledger.MaxClockAhead)
	}
	if rule.Rule == "claim" { // a second declaration never gets that far
		return refusal.Invalid("claims", "has a name x.… that no administrator declared")
	}
	return refusal.Precondition(rule.Rule, "%s", rule.Detail)
}

// do hands a decision to the recorder and waits for its group's commit.
func (s *Service) do(ctx context.Context, src Source, decide func(*turn) error) error {
	return s.doAs(ctx, src, false, decide)
}

// doUrgent is do for what a person may demand at any time, and that nothing may keep
// waiting: what ends or limits consent, and to be forgotten.
func (s *Service) doUrgent(ctx context.Context, src Source, decide func(*turn) error) error {
	return s.doAs(ctx, src, true, decide)
}

// doAs is doUrgent or do, for calls of which some are urgent.
func (s *Service) doAs(ctx context.Context, src Source, urgent bool, decide func(*turn) error) error {
	return s.recorder.do(ctx, &task{source: src, decide: decide, urgent: urgent})
}
