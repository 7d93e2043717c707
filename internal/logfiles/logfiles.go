// Package logfiles reads a log for a verification, from the directory that an
// export wrote or from a URL. Start with [Source.Verify], or with [Source.Open] for
// what is no verification of the whole log.
//
// It opens no network unless it is given a URL. Its errors wrap
// [ledger.ErrMissing] wherever they mean that there is no verdict.
package logfiles

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"github.com/consentledger/consentledger/ledger"
)

// maxWorkers bounds the memory: a worker holds a bundle of up to 4 MiB, and the
// rules, which one goroutine checks in order, keep no more of them busy.
const maxWorkers = 16

// Source says where a log lies. Where is required.
type Source struct {
	// Where is an export directory, or a URL that begins with http:// or https://.
	Where string
	// Key is an auditor's API key for a URL, "" for none. It is sent to no other host.
	Key string
	// Warn, if set, is told that the key travels unencrypted.
	Warn func(text string)
}

// Verify is [ledger.VerifyLog] of the log that lies there. Of opt it sets Workers,
// and it adjusts the garbage collector of the process, unless its environment
// does: together they keep the memory bounded. What no check covers it adds to
// the report, which is nil if the log cannot be opened.
func (s Source) Verify(ctx context.Context, opt ledger.VerifyOptions) (*ledger.LogReport, error) {
	mem, progress := newMemory(), opt.Progress
	opt.Progress = func(done, total ledger.Size) {
		mem.adjust()
		if progress != nil {
			progress(done, total)
		}
	}
	if s.isURL() {
		r, err := s.openRemote()
		if err != nil {
			return nil, err
		}
		opt.Workers = maxWorkers // they wait for answers, not for a processor
		report, err := ledger.VerifyLog(ctx, r, opt)
		return report, stopped(ctx, report, err)
	}
	d, err := openDirectory(s.Where)
	if err != nil {
		return nil, err
	}
	defer d.close()
	opt.Workers = min(runtime.GOMAXPROCS(0), maxWorkers)
	report, err := ledger.VerifyLog(ctx, d, opt)
	if err == nil || errors.Is(err, ledger.ErrNewer) {
		report.NotChecked = append(report.NotChecked, d.uncovered(report.Size)...)
	}
	return report, stopped(ctx, report, err)
}

// Open opens the log for reading single files of it; close ends that. Every error
// wraps [ledger.ErrMissing].
func (s Source) Open() (log ledger.LogReader, close func(), err error) {
	if s.isURL() {
		r, err := s.openRemote()
		if err != nil {
			return nil, nil, err
		}
		return r, r.client.CloseIdleConnections, nil
	}
	d, err := openDirectory(s.Where)
	if err != nil {
		return nil, nil, err
	}
	return d, d.close, nil
}

func (s Source) isURL() bool {
	scheme, _, ok := strings.Cut(s.Where, "://")
	return ok && (scheme == "http" || scheme == "https")
}

// stopped notes in the report of a check that did not reach the end of the log
// that it did not, and tells an interrupt from what was found.
func stopped(ctx context.Context, report *ledger.LogReport, err error) error {
	if err == nil || errors.Is(err, ledger.ErrNewer) {
		return err
	}
	report.NotChecked = append(report.NotChecked, "whatever comes after the point where the check stopped")
	if ctx.Err() != nil {
		return fmt.Errorf("%w: interrupted before the check was complete", ledger.ErrMissing)
	}
	return err
}

// Trust reads a trust policy and, if there is a name, a keys file; the name -
// stands for stdin. Its errors say nothing against a log: they mean that there is
// no verdict.
func Trust(policyFile, keysFile string, stdin io.Reader) (policy *ledger.Policy, keys []byte, err error) {
	text, err := ReadInput("policy", policyFile, ledger.MaxPolicySize, stdin)
	if err != nil {
		return nil, nil, err
	}
	if policy, err = ledger.ParsePolicy(text); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", policyFile, err)
	}
	if keysFile == "" {
		return policy, nil, nil
	}
	keys, err = ReadInput("keys", keysFile, ledger.MaxKeyRingSize, stdin)
	return policy, keys, err
}

// ReadInput reads a file that the user named, at most limit bytes; the name -
// stands for stdin. Every error wraps [ledger.ErrMissing].
func ReadInput(what, name string, limit int64, stdin io.Reader) ([]byte, error) {
	in := stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("%w: reading the %s: %w", ledger.ErrMissing, what, err)
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, limit+1))
	if err != nil {
		return nil, fmt.Errorf("%w: reading the %s: %w", ledger.ErrMissing, what, err)
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%w: the %s %s has more than %d bytes", ledger.ErrMissing, what, name, limit)
	}
	return b, nil
}
