package tlog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/consentledger/consentledger/internal/timestamp"
	"github.com/consentledger/consentledger/ledger"
)

// StampedLog is what a [Stamper] reads of a log; *[store.Store] has it.
type StampedLog interface {
	// Checkpoint gives the newest checkpoint, signed by the log alone, and its size.
	Checkpoint() ([]byte, ledger.Size)
	// ChangedSince reports whether an entry from size on is more than the log's own
	// state.committed and checkpoint.anchored.
	ChangedSince(size ledger.Size) (bool, error)
	// NewestAnchors calls yield for up to limit stamps, those of the largest sizes
	// first, with the entry and the token, until it gives false.
	NewestAnchors(limit int, yield func(e *ledger.Entry, token []byte) bool) error
}

// AnchorRecorder records stamps; *[service.Service] has it.
type AnchorRecorder interface {
	// RecordAnchor makes a stamp durable, and gives its entry's index.
	RecordAnchor(ctx context.Context, a Anchor) (ledger.Index, error)
	// Fault says why nothing is recorded at the moment, or nil.
	Fault() error
}

// Anchor is a stamp to be recorded, already verified.
type Anchor struct {
	Size       ledger.Size
	Checkpoint []byte // as the log alone signed it
	Token      []byte // over its SHA-256, in DER
	Stamped    time.Time
}

// Limits of stamping.
const (
	// MinStampInterval and MaxStampInterval bound the interval.
	MinStampInterval = time.Minute
	MaxStampInterval = 24 * time.Hour
	// MaxClockDifference is how far an authority's clock and ours may lie apart before
	// status says so. The stamp is recorded all the same: which clock is wrong is the
	// operator's question, and the authority's is the one that counts elsewhere.
	MaxClockDifference = 5 * time.Minute
	// lookBack is how many stamps are looked at, at the start, for the last of each authority.
	lookBack = 256
)

// StamperOptions say who stamps. All but the times are required.
type StamperOptions struct {
	Log         StampedLog
	Record      AnchorRecorder
	Authorities []Authority
	// File keeps the newest stamped checkpoint: a log that does not hold it any more was
	// set back.
	File string
	// Interval is the time between two stamps by an authority, if there is something new
	// to be stamped. Default 1 h.
	Interval time.Duration
	// Timeout is how long an authority may take for an answer. Default 30 s.
	Timeout time.Duration
	// RetryMin and RetryMax bound the pause after a failure, which doubles from one to
	// the next. Defaults 30 s and 30 min.
	RetryMin, RetryMax time.Duration
	Logger             *slog.Logger

	// testOnlyPace lets every interval pass and sets how often the log is looked at.
	testOnlyPace time.Duration
}

// lookInterval is how often a due authority looks whether there is something new.
const lookInterval = 10 * time.Second

func (o *StamperOptions) validate() error {
	if o.Interval == 0 {
		o.Interval = time.Hour
	}
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	if o.RetryMin == 0 {
		o.RetryMin = 30 * time.Second
	}
	if o.RetryMax == 0 {
		o.RetryMax = 30 * time.Minute
	}
	if o.Interval < MinStampInterval || o.Interval > MaxStampInterval {
		return fmt.Errorf("the time-stamp interval must be %v to %v", MinStampInterval, MaxStampInterval)
	}
	if len(o.Authorities) == 0 || len(o.Authorities) > MaxAuthorities {
		return fmt.Errorf("%d time-stamping authorities, want 1 to %d", len(o.Authorities), MaxAuthorities)
	}
	return nil
}

// Stamper has the log's newest checkpoint stamped by time-stamping authorities (RFC
// 3161), and the stamps recorded.
//
// Each authority is asked by a goroutine of its own, when the interval has passed
// since its last stamp and the log has got more since than what it writes itself.
// Nothing waits for a stamper; to the recorder a stamp is one small task. What comes
// back is verified before it is recorded: by the pinned certificate, at the token's
// own time, against the nonce.
//
// Its methods are safe for concurrent use.
type Stamper struct {
	opt         StamperOptions
	client      *authorityClient
	authorities []*askedAuthority
	ctx         context.Context // until it is closed
	stop        context.CancelFunc
	running     sync.WaitGroup
	kept        keptCheckpoint
}

// askedAuthority is one authority and how it stands with it.
type askedAuthority struct {
	Authority
	asking chan struct{} // one place: who has put something there asks

	mu      sync.Mutex
	last    lastStamp // guarded by mu
	err     error     // guarded by mu: of the last attempt
	fails   int       // guarded by mu: since the last stamp
	notFrom time.Time // guarded by mu: after a failure it is not asked before, by our clock
}

// lastStamp is an authority's newest stamp.
type lastStamp struct {
	size  ledger.Size // 0 for none
	time  time.Time   // the token's
	index ledger.Index
	// recorded is when it was, by our clock; clock is what clockDifference gives.
	recorded time.Time
	clock    time.Duration
}

// NewStamper checks the options and finds out what has been stamped before. It asks
// nobody until Start or StampNow; Close ends it.
func NewStamper(opt StamperOptions) (*Stamper, error) {
	if err := opt.validate(); err != nil {
		return nil, err
	}
	s := &Stamper{opt: opt, client: newAuthorityClient(opt.Timeout), kept: keptCheckpoint{path: opt.File}}
	s.ctx, s.stop = context.WithCancel(context.Background())
	for _, a := range opt.Authorities {
		s.authorities = append(s.authorities, &askedAuthority{Authority: a, asking: make(chan struct{}, 1)})
	}
	if err := s.load(); err != nil {
		return nil, fmt.Errorf("time stamps: %w", err)
	}
	return s, nil
}

// load finds the last stamp of each authority: the newest that verifies by its pins.
func (s *Stamper) load() error {
	missing := len(s.authorities)
	return s.opt.Log.NewestAnchors(lookBack, func(e *ledger.Entry, der []byte) bool {
		token, err := timestamp.ParseToken(der)
		for _, a := range s.authorities {
			if a.last.size > 0 || err != nil {
				continue
			}
			if stamp, err := timestamp.Verify(token, e.Checkpoint, a.Authority.Authority, nil); err == nil {
				missing--
				one := stamped{stamp: stamp, sent: e.Time, received: e.Time}
				a.last = lastStamp{e.Size, stamp.Time, e.Index, e.Time, one.clockDifference()}
			}
		}
		return missing > 0
	})
}

// Start lets each authority be asked when it is due.
func (s *Stamper) Start() {
	for _, a := range s.authorities {
		s.running.Go(func() { s.keep(a) })
	}
}

// Close ends all requests. The ledger must be open until then.
func (s *Stamper) Close() error {
	s.stop()
	s.running.Wait()
	return nil
}

// keep is the life of one authority's goroutine.
func (s *Stamper) keep(a *askedAuthority) {
	look := lookInterval
	if s.opt.testOnlyPace > 0 {
		look = s.opt.testOnlyPace
	}
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		if s.due(a, time.Now()) {
			s.stamp(s.ctx, a)
		}
		select {
		case <-s.ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// due says whether an authority is to be asked now.
func (s *Stamper) due(a *askedAuthority, now time.Time) bool {
	a.mu.Lock()
	last, notFrom := a.last, a.notFrom
	a.mu.Unlock()
	// A clock that was set back must not keep it waiting for longer than an interval.
	since := now.Sub(last.recorded)
	early := last.size > 0 && since >= 0 && since < s.opt.Interval && s.opt.testOnlyPace == 0
	if early || now.Before(notFrom) {
		return false
	}
	changed, err := s.opt.Log.ChangedSince(last.size)
	if err != nil {
		s.note(a, &failure{WhyLog, err})
	}
	return changed && err == nil
}

// Outcome is how one request ended.
type Outcome struct {
	Authority string
	// Index, Size and Time are those of the stamp, if Why is "".
	Index ledger.Index
	Size  ledger.Size
	Time  time.Time
	// Why is one of the Why constants, Detail more words about it; "" if it was stamped.
	Why, Detail string
}

// StampNow has the newest checkpoint stamped by every authority at once, due or not,
// and waits for all of them, each at most the timeout.
func (s *Stamper) StampNow(ctx context.Context) []Outcome {
	ctx, cancel := context.WithTimeout(ctx, s.opt.Timeout)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	list := make([]Outcome, len(s.authorities))
	var all sync.WaitGroup
	for i, a := range s.authorities {
		all.Go(func() {
			last, err := s.stamp(ctx, a)
			list[i] = Outcome{Authority: a.Name, Index: last.index, Size: last.size, Time: last.time, Why: whyOf(err), Detail: detailOf(err)}
		})
	}
	all.Wait()
	return list
}

// StampChanged is StampNow if the log has got more since the last stamp of any
// authority than what it writes itself; nil if not.
func (s *Stamper) StampChanged(ctx context.Context) ([]Outcome, error) {
	for _, a := range s.authorities {
		a.mu.Lock()
		size := a.last.size
		a.mu.Unlock()
		if changed, err := s.opt.Log.ChangedSince(size); err != nil {
			return nil, err
		} else if changed {
			return s.StampNow(ctx), nil
		}
	}
	return nil, nil
}

// stamp asks an authority once, records what it gives and takes down how it ended.
func (s *Stamper) stamp(ctx context.Context, a *askedAuthority) (lastStamp, error) {
	select {
	case a.asking <- struct{}{}:
	case <-ctx.Done():
		return lastStamp{}, failed(WhyBusy, "the request before is not answered yet")
	}
	defer func() { <-a.asking }()
	last, err := s.attempt(ctx, a)
	if err != nil && errors.Is(ctx.Err(), context.Canceled) {
		return last, err // whoever asked has gone: that is not the authority's fault
	}
	if err == nil {
		a.mu.Lock()
		a.last = last
		a.mu.Unlock()
	}
	s.note(a, err)
	return last, err
}

// attempt has the newest checkpoint stamped and the stamp recorded.
func (s *Stamper) attempt(ctx context.Context, a *askedAuthority) (lastStamp, error) {
	if err := s.opt.Record.Fault(); err != nil {
		return lastStamp{}, &failure{WhyNotRecorded, err}
	}
	signed, size := s.opt.Log.Checkpoint()
	got, err := s.client.stamp(ctx, &a.Authority, ledger.TextHash(signed))
	if err != nil {
		return lastStamp{}, err
	}
	// Before the entry: whoever cuts the entry off must still meet the checkpoint.
	if err := s.kept.keep(signed, size); err != nil {
		return lastStamp{}, &failure{WhyLog, err}
	}
	index, err := s.opt.Record.RecordAnchor(ctx, Anchor{size, signed, got.token.Bytes(), got.stamp.Time})
	if err != nil {
		return lastStamp{}, &failure{WhyNotRecorded, err}
	}
	return lastStamp{size, got.stamp.Time, index, time.Now(), got.clockDifference()}, nil
}

// note takes down how an attempt ended, and sets the pause before the next.
func (s *Stamper) note(a *askedAuthority, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if why, detail := whyOf(err), detailOf(err); why != whyOf(a.err) || detail != detailOf(a.err) {
		if why == "" {
			s.opt.Logger.Info("a time-stamping authority stamps again", "name", a.Name)
		} else {
			s.opt.Logger.Warn("a time-stamping authority does not stamp", "name", a.Name, "why", why, "detail", detail)
		}
	}
	a.err = err
	if err == nil {
		a.fails, a.notFrom = 0, time.Time{}
		return
	}
	a.fails++
	pause := s.opt.RetryMin << min(a.fails-1, 16)
	a.notFrom = time.Now().Add(min(pause, s.opt.RetryMax, s.opt.Interval))
}

// AuthorityStatus says how it stands with one authority.
type AuthorityStatus struct {
	Name      string
	URL       string // without user name and password
	Qualified bool
	// Size is the number of entries in its newest stamped checkpoint, 0 for none; Time is
	// when that was, by the authority's clock.
	Size ledger.Size
	Time time.Time
	// ClockDifference is how far the authority's clock was ahead of ours then, negative
	// if behind; 0 up to [MaxClockDifference].
	ClockDifference time.Duration
	// Why is why the last attempt failed, one of the Why constants; "" if it did not.
	// Detail says more where it can.
	Why, Detail string
	// Failures counts those since the last stamp.
	Failures int
}

// Status tells how it stands with the authorities, in the order of the configuration.
func (s *Stamper) Status() []AuthorityStatus {
	list := make([]AuthorityStatus, len(s.authorities))
	for i, a := range s.authorities {
		a.mu.Lock()
		list[i] = AuthorityStatus{Name: a.Name, URL: a.shown(), Qualified: a.Qualified, Size: a.last.size, Time: a.last.time,
			Why: whyOf(a.err), Detail: detailOf(a.err), Failures: a.fails}
		if a.last.clock.Abs() > MaxClockDifference {
			list[i].ClockDifference = a.last.clock
		}
		a.mu.Unlock()
	}
	return list
}

// Token asks every authority at once for a token over an imprint and gives the first that
// verifies, or nil if there is none when ctx ends. It is about no checkpoint of the log:
// nothing is recorded of it, nor of who does not answer.
func (s *Stamper) Token(ctx context.Context, imprint ledger.Hash) []byte {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	answers := make(chan []byte, len(s.authorities))
	for _, a := range s.authorities {
		go func() {
			got, err := s.client.stamp(ctx, &a.Authority, imprint)
			if err != nil {
				answers <- nil
				return
			}
			answers <- got.token.Bytes()
		}()
	}
	for range s.authorities {
		select {
		case token := <-answers:
			if token != nil {
				return token
			}
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}
