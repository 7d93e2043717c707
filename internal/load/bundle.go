package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/consentledger/consentledger/internal/evidence"
	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/ledger"
)

type bundleCmd struct {
	Dir     string `help:"A directory that fill, scale or bench has filled; some people are added." required:""`
	Records []int  `help:"How many consents a person has; one person each." default:"1,10,200"`
	Rounds  int    `help:"How often each is measured." default:"5"`
}

func (*bundleCmd) Help() string {
	return `Measures what a proof bundle costs in a filled log: its size, how long it takes to be exported, and to be verified by a
process of its own that knows nothing yet. Each consent was requested, mailed, confirmed and used three times; its mail,
addresses and browser are shown. Medians; beside them what "verify --help" takes, which starts and ends.

Example:

    go run ./internal/load fill --entries 1000000 --dir /tmp/million
    go run ./internal/load bundle --dir /tmp/million`
}

// legal is who exports.
var legal = service.Source{Name: "legal-desk", Role: "legal"}

// Run exports and verifies bundles of one person after the other.
func (c *bundleCmd) Run(ctx context.Context) error {
	tmp, err := os.MkdirTemp("", "consent-ledger-load-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	verifier := filepath.Join(tmp, "verify")
	build := exec.CommandContext(ctx, "go", "build", "-o", verifier, "./cmd/verify")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("building the verifier: %w", err)
	}
	policy := filepath.Join(data(c.Dir), "trust.policy")
	return opened(service.Options{Dir: data(c.Dir), MaxConfirmationMails: -1}, func(s *service.Service) error {
		_, size := s.Log().Checkpoint()
		fmt.Printf("%d entries\n%9s %9s %12s %12s %12s %12s %12s\n", size, "consents", "entries", "bytes", "first", "export", "verify", "start only")
		for _, n := range c.Records {
			p := bundled{s: s, file: filepath.Join(tmp, "bundle.asice"), email: fmt.Sprintf("bundle-%d-%d@mail.example", time.Now().UnixNano(), n)}
			if err := p.live(ctx, n); err != nil {
				return err
			}
			var exports, verifies, starts []time.Duration
			for range c.Rounds {
				took, err := p.export(ctx)
				if err != nil {
					return err
				}
				exports = append(exports, took)
				if took, err = timed(ctx, verifier, "bundle", p.file, "--policy", policy); err != nil {
					return err
				}
				verifies = append(verifies, took)
				if took, err = timed(ctx, verifier, "--help"); err != nil {
					return err
				}
				starts = append(starts, took)
			}
			info, err := os.Stat(p.file)
			if err != nil {
				return err
			}
			fmt.Printf("%9d %9d %12d %12v %12v %12v %12v\n", n, p.entries, info.Size(), exports[0].Round(time.Millisecond),
				median(exports), median(verifies), median(starts))
		}
		return nil
	})
}

func median(times []time.Duration) time.Duration {
	slices.Sort(times)
	return times[len(times)/2].Round(100 * time.Microsecond)
}

// timed runs a program that must succeed.
func timed(ctx context.Context, name string, args ...string) (time.Duration, error) {
	start := time.Now()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("%s: %w: %s", filepath.Base(name), err, out)
	}
	return time.Since(start), nil
}

// bundled is a person whose bundle is made.
type bundled struct {
	s           *service.Service
	email, file string
	entries     int
}

// live records what happens to a person with so many consents.
func (p *bundled) live(ctx context.Context, consents int) error {
	var ids []ledger.ConsentID
	for range consents {
		r := request(0)
		r.Subject.Email = p.email
		requested, err := p.s.RequestConsent(ctx, app, r)
		if err != nil {
			return err
		}
		id := requested.Consents[0].ID
		ids = append(ids, id)
		mail := fmt.Appendf(nil, "To: %s\r\nSubject: Bitte best\u00e4tigen\r\n\r\n%s\r\n", p.email, requested.Token)
		sent := service.SentMail{ConsentIDs: []ledger.ConsentID{id}, SHA256: ledger.TextHash(mail), Message: mail}
		if _, _, err := p.s.RecordConfirmationSent(ctx, app, sent); err != nil {
			return err
		}
		_, err = p.s.ConfirmConsent(ctx, app, service.Click{Token: requested.Token, Click: "button",
			Claims: map[string]string{"ip": "192.0.2.1", "user_agent": userAgent}})
		if err != nil {
			return err
		}
	}
	for n := range 3 {
		if _, _, err := p.s.RecordUses(ctx, app, service.Uses{Reference: fmt.Sprint("mailing ", n), ConsentIDs: ids}); err != nil {
			return err
		}
	}
	return nil
}

// export makes the person's bundle and says how long that took.
func (p *bundled) export(ctx context.Context) (time.Duration, error) {
	f, err := os.Create(p.file)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	start := time.Now()
	b, err := p.s.ExportBundle(ctx, legal, service.BundleRequest{Subject: service.Subject{Email: p.email},
		Disclose: []string{"email", "ip", "user_agent", "message"}, Recipient: "Landgericht Bonn", Reason: "2 O 17/26"})
	if err != nil {
		return 0, err
	}
	if err := evidence.WriteBundle(f, b, evidence.BundleOptions{Tool: "load"}); err != nil {
		return 0, err
	}
	p.entries = len(b.Entries)
	return time.Since(start), f.Close()
}
