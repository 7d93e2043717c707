// Package hostile plays callers who mean harm: it speaks HTTP over sockets of its own,
// says what no client says, and looks at what becomes of the server meanwhile.
//
// Start with [Start], which runs a ledger's server in a process of its own, and
// [Victim.Suffer], which has it attacked in one way of [Attacks] while somebody else uses
// it. A [Report] that is no error says that every answer was of a kind that it should be,
// that none repeats what was sent, that the other caller was answered, and that memory and
// goroutines went back. [Victim.Stop] then looks for what was sent in the log, the metrics
// and the profiles.
//
// It knows nothing of the ledger's code; only names of its API. Every attack comes from an
// address of its own on loopback, 127.7.0.0/16, which Linux has.
package hostile

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// Canary is in everything that attackers send where there is room for it. No answer
// and nothing that the server writes may hold it.
const Canary = "zqhostile7"

// canaryMail is it as an address.
const canaryMail = Canary + ".anna@example.org"

// Attack is one way of meaning harm.
type Attack struct {
	Name string
	// By is whose key of [Victim.Keys] the attacker has; "" for none.
	By string
	// Answers is what the server may say, all of it: statuses, codes, ends of
	// connections, as a regular expression for each whole answer.
	Answers string

	run func(context.Context, *assault) error
}

// Attacks are all of them.
func Attacks() []Attack {
	return slices.Concat(http1Attacks(), http2Attacks(), frameAttacks(), slowAttacks(), guessAttacks(), pathAttacks())
}

// Report is what became of an attack.
type Report struct {
	Attack  Attack
	Took    time.Duration
	Sent    int            // requests, frames or connections
	Answers map[string]int // how often each was given
	Others  Served         // how the other caller fared
	Before  Load           // the server, before it
	Peak    Load           // the most of each while it went on
	After   Load           // when it was over and goroutines had ended
	Log     int64          // bytes that it made the server log
}

// String lists the answers, the most frequent first.
func (r *Report) String() string {
	kinds := slices.SortedFunc(maps.Keys(r.Answers), func(a, b string) int { return r.Answers[b] - r.Answers[a] })
	for i, kind := range kinds {
		kinds[i] = fmt.Sprintf("%d× %s", r.Answers[kind], kind)
	}
	return strings.Join(kinds, ", ")
}

// The limits that an attack must not move the server over.
const (
	MaxResident     = 1 << 30 // bytes
	moreGoroutines  = 64      // than before, when it is over
	goroutinesEndIn = 20 * time.Second
)

// Suffer runs an attack; scale, from just above 0 to 1, is how much there is of it. An
// error says that the server did not stand it, or that it could not be run.
func (v *Victim) Suffer(ctx context.Context, attack Attack, scale float64) (*Report, error) {
	a := &assault{Victim: v, scale: scale, from: v.newAddress(), key: v.Keys[attack.By], answers: map[string]int{}}
	r := &Report{Attack: attack, Answers: a.answers}
	var err error
	if r.Before, err = v.load(ctx); err != nil {
		return r, err
	}
	logged := v.logged()
	watching, stop := context.WithCancel(ctx)
	var watchers sync.WaitGroup
	watchers.Go(func() { r.Others = v.useMeanwhile(watching) })
	watchers.Go(func() { r.Peak = v.watch(watching, r.Before) })
	begin := time.Now()
	err = attack.run(ctx, a)
	r.Took = time.Since(begin)
	stop()
	watchers.Wait()
	r.Sent, r.Log = a.sent, v.logged()-logged
	for deadline := time.Now().Add(goroutinesEndIn); err == nil; time.Sleep(50 * time.Millisecond) {
		r.After, err = v.load(ctx)
		if r.After.Goroutines <= r.Before.Goroutines+moreGoroutines || time.Now().After(deadline) {
			break
		}
	}
	return r, errors.Join(err, a.wrong, r.judge())
}

// judge says what is wrong about what became of it.
func (r *Report) judge() error {
	var wrong []error
	allowed := regexp.MustCompile(`^(?:` + r.Attack.Answers + `)$`)
	for kind, n := range r.Answers {
		if !allowed.MatchString(kind) {
			wrong = append(wrong, fmt.Errorf("%d times the answer was %q", n, kind))
		}
	}
	if len(r.Answers) == 0 {
		wrong = append(wrong, errors.New("the server said nothing"))
	}
	if r.Others.Failed > 0 || r.Others.Answered == 0 {
		wrong = append(wrong, fmt.Errorf("of another caller %d calls were answered and %d not: %w", r.Others.Answered, r.Others.Failed, r.Others.Err))
	}
	if r.Peak.Resident > MaxResident {
		wrong = append(wrong, fmt.Errorf("%d MiB of memory were used", r.Peak.Resident>>20))
	}
	if r.After.Goroutines > r.Before.Goroutines+moreGoroutines {
		wrong = append(wrong, fmt.Errorf("%d goroutines became %d, and stayed", r.Before.Goroutines, r.After.Goroutines))
	}
	return errors.Join(wrong...)
}

// assault is an attack that goes on.
type assault struct {
	*Victim
	scale float64
	from  string // the attacker's address
	key   string // the attacker's; "" for none

	mu      sync.Mutex // guards what follows
	sent    int
	answers map[string]int
	wrong   error // answers that hold what was sent
}

// times is how often something is done that is done n times at full scale.
func (a *assault) times(n int) int { return max(1, int(float64(n)*a.scale)) }

// sends counts what was sent.
func (a *assault) sends(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sent += n
}

// answer counts an answer, all of whose bytes are text.
func (a *assault) answer(kind string, text []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answers[kind]++
	if s := string(text); a.wrong == nil && (strings.Contains(s, Canary) || a.key != "" && strings.Contains(s, a.key)) {
		a.wrong = fmt.Errorf("an answer holds what was sent: %.200q", s)
	}
}

// together runs n of something at once and gives the first error.
func together(n int, do func(i int) error) error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = do(i) })
	}
	wg.Wait()
	return errors.Join(errs...)
}
