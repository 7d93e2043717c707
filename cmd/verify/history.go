package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/consentledger/consentledger/internal/logfiles"
	"github.com/consentledger/consentledger/ledger"
)

// trusted is what a receipt or a bundle is judged by.
type trusted struct {
	policy *ledger.Policy
	given  []byte // the keys file that the user gave
	keys   []byte // the key entries that are known: given, or the log's own

	// Of the log that it is held against, if there is one:
	source logfiles.Source
	log    ledger.LogReader // nil for none
	close  func()
	stamps func(token []byte, imprint ledger.Hash) (ledger.Stamp, error)

	retired bool // others have replaced the keys that signed it
}

// open reads what a receipt or a bundle is judged by. Its errors say nothing against
// that.
func open(ctx context.Context, std *streams, trust *trustFlags, stamps *stampFlags, log string) (*trusted, error) {
	t := &trusted{close: func() {}}
	var err error
	if t.policy, t.given, err = trust.load(std); err != nil {
		return nil, err
	}
	if t.stamps, err = stamps.judge(std); err != nil {
		return nil, err
	}
	if t.keys = t.given; log == "" {
		return t, nil
	}
	t.source = source(log, std)
	if t.log, t.close, err = t.source.Open(); err != nil {
		return nil, err
	}
	t.source.Warn = nil // it has been said
	t.keys = follow(ctx, t.log, t.policy, t.given)
	return t, nil
}

// history verifies the whole log, and that the checkpoints of a receipt, each of
// which the log has signed, are of its history.
func (t *trusted) history(ctx context.Context, std *streams, checkpoints [][]byte) (*ledger.LogReport, error) {
	var size ledger.Size
	var newest []byte
	for _, signed := range checkpoints {
		c, err := ledger.ParseKept(signed)
		if err != nil {
			return nil, err
		}
		if newest == nil || c.Size > size {
			size, newest = c.Size, signed
		}
	}
	report, err := verifyCopy(ctx, std, t.source, ledger.VerifyOptions{Policy: t.policy, Keys: t.given, Since: newest, Stamps: t.stamps})
	if err != nil {
		return report, fmt.Errorf("held against the log: %w", err)
	}
	policy, err := t.policy.WithKeys(t.keys)
	if err != nil {
		return report, err
	}
	for _, signed := range checkpoints {
		// The log, which may have grown since, has both in one history.
		if _, err := ledger.VerifyFork(ctx, ledger.ForkProof{First: signed, Second: newest}, policy, t.log); err != nil {
			return report, fmt.Errorf("held against the log: %w", err)
		}
	}
	return report, nil
}

// verifyCopy verifies the log that lies there, which must contain the checkpoint
// opt.Since.
//
// A copy that is shorter than the checkpoint contradicts it no more than in `verify
// fork`: it may be an old one, and a ledger with witnesses gives receipts and bundles
// before it publishes the checkpoint that holds them.
func verifyCopy(ctx context.Context, std *streams, from logfiles.Source, opt ledger.VerifyOptions) (*ledger.LogReport, error) {
	bar := newProgress(std.err)
	defer bar.finish()
	opt.Progress = bar.report
	report, err := from.Verify(ctx, opt)
	if !errors.Is(err, ledger.ErrDiverged) {
		return report, err
	}
	if since, parsed := ledger.ParseKept(opt.Since); parsed == nil && report.Size < since.Size {
		err = fmt.Errorf("%w: a copy of the log that holds %d entries; this one has %d. Take a newer one; the log itself was set back if it stays shorter",
			ledger.ErrMissing, since.Size, report.Size)
	}
	return report, err
}

// judge verifies a receipt by the user's policy. One that does not satisfy it,
// because witnesses had not cosigned yet or its keys are retired by now, is judged by
// the log's own signatures if there is a log to hold it against: that satisfies the
// policy, so what its history contains does, too. unsatisfied then says why.
func (t *trusted) judge(checkpoints [][]byte, verify func(*ledger.Policy) error) (unsatisfied, err error) {
	err = verify(t.policy)
	if t.log == nil || err != nil && !errors.Is(err, ledger.ErrPolicy) {
		return nil, err
	}
	own := t.ownPolicy(checkpoints)
	if own == nil || err == nil {
		return nil, err
	}
	if again := verify(own); again != nil {
		return nil, again
	}
	return err, nil
}

// ownPolicy gives the policy that trusts the log on its two signatures alone, by the
// keys that were in force at the smallest of these checkpoints; nil if they cannot be
// told. It notes whether others have replaced them.
func (t *trusted) ownPolicy(checkpoints [][]byte) *ledger.Policy {
	policy, err := t.policy.WithKeys(t.keys)
	if err != nil {
		return nil
	}
	size := ledger.Size(math.MaxInt64)
	for _, signed := range checkpoints {
		c, err := ledger.ParseKept(signed)
		if err != nil {
			return nil
		}
		size = min(size, c.Size)
	}
	keys := policy.KeysAt(size)
	t.retired = keys.Ed25519.String() != policy.KeysAt(math.MaxInt64).Ed25519.String()
	own, err := ledger.ParsePolicy(ledger.NewPolicy(keys))
	if err != nil {
		return nil
	}
	return own
}

// contradicted gives the verdict about a receipt or a bundle that cannot be held against
// the log, or that the log contradicts. Whoever kept a copy of keys that others have
// replaced can sign such a thing at any time: it accuses nobody unless the policy trusts
// them.
func (t *trusted) contradicted(unsatisfied, err error) error {
	switch {
	case !t.retired || !errors.Is(err, ledger.ErrDiverged):
		return err
	case unsatisfied != nil:
		return fmt.Errorf("%w; %v", unsatisfied, err)
	}
	return fmt.Errorf("%w; others have replaced the keys that signed it, and whoever kept a copy of them could have signed it since", err)
}

// inHistory is what history checks, in the words of a report.
const inHistory = "the whole log, and that what the receipt is of is in its history"

// covered takes out of what is not checked what the log's verification checked, and
// adds why the receipt alone does not satisfy the policy, if it does not.
func covered(notChecked []string, unsatisfied error) []string {
	if unsatisfied != nil {
		notChecked = append(notChecked, "the policy for the receipt alone, in place of which the log satisfies it: "+unsatisfied.Error())
	}
	return slices.DeleteFunc(notChecked, func(line string) bool {
		return strings.HasPrefix(line, "the rest of the log: ") || strings.HasPrefix(line, "that the receipt's checkpoints, ")
	})
}

// anchors says whose word an entry's history rests on: of the log's time stamps those
// over checkpoints with the entry, and the log's witnesses if the receipt has none.
func (t *trusted) anchors(witnesses []string, log *ledger.LogReport, index ledger.Index) string {
	if len(witnesses) == 0 {
		witnesses = log.Witnesses
	}
	stamps := slices.DeleteFunc(slices.Clone(log.Stamps), func(s ledger.Anchored) bool { return s.Size <= ledger.Size(index) })
	return t.policy.Anchors(witnesses, stamps)
}
