package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/consentledger/consentledger/internal/authn"
	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/ledger"
	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
)

// Sources that speak to the service without a server between.
var (
	app   = service.Source{Name: "load", Role: "app"}
	admin = service.Source{Name: "admin", Role: "admin"}
)

// data is where the ledger of a directory lies, and keyOf where its API key of
// role app.
func data(dir string) string  { return filepath.Join(dir, "data") }
func keyOf(dir string) string { return filepath.Join(dir, "key") }

// create makes a ledger in dir/data, with an API key beside it, and defines what
// the requests name.
func create(ctx context.Context, dir string) error {
	err := service.Create(data(dir), "load.example/ledger", "", func(making string) error {
		keys := filepath.Join(making, "apikeys")
		if err := authn.Create(keys); err != nil {
			return err
		}
		key, err := authn.Add(keys, app.Name, authn.App, authn.Options{})
		if err != nil {
			return err
		}
		return os.WriteFile(keyOf(dir), []byte(key), 0o600)
	})
	if err != nil {
		return err
	}
	return opened(service.Options{Dir: data(dir)}, func(s *service.Service) error {
		if _, _, err := s.DefinePurpose(ctx, admin, service.PurposeDefinition{ID: "newsletter", Title: "Newsletter", Marketing: true, DoubleOptIn: true}); err != nil {
			return err
		}
		_, _, err := s.PublishNotice(ctx, admin, service.NoticePublication{ID: "newsletter-de", Language: "de",
			Text: "Ja, ich möchte den Newsletter der Beispiel GmbH.", Purposes: []string{"newsletter"}})
		return err
	})
}

// opened opens a ledger for use.
func opened(opt service.Options, use func(*service.Service) error) error {
	s, err := service.Open(opt)
	if err != nil {
		return err
	}
	if err := use(s); err != nil {
		s.Close()
		return err
	}
	return s.Close()
}

func email(n int64) string { return fmt.Sprintf("person-%d@mail.example", n) }

const userAgent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

// request is a person's request with three claims.
func request(n int64) service.ConsentRequest {
	return service.ConsentRequest{
		Subject:  service.Subject{Email: email(n)},
		Purposes: []string{"newsletter"}, Channel: "email", Notice: "newsletter-de@1", Method: "web_form",
		Claims: map[string]string{"ip": fmt.Sprintf("192.0.2.%d", n%256), "user_agent": userAgent, "page_url": "https://shop.example/newsletter"},
	}
}

// message is the same request as it is posted.
func message(n int64) *appv1.RequestConsentRequest {
	r := request(n)
	return &appv1.RequestConsentRequest{Subject: &appv1.Subject{Email: r.Subject.Email}, Purposes: r.Purposes, Channel: r.Channel,
		Notice: r.Notice, Method: r.Method, Claims: r.Claims}
}

// tellStories tells the stories of so many people in the mix of a mailing system.
func tellStories(ctx context.Context, s *service.Service, callers int, people int64, mailed bool) error {
	return everybody(ctx, "people", callers, 1, people, func(n int64) error { return onePerson(ctx, s, n, mailed) })
}

// onePerson tells one person's story: everybody asks, most confirm, everybody who
// confirmed is mailed (if anybody is), some withdraw.
func onePerson(ctx context.Context, s *service.Service, n int64, mailed bool) error {
	r, err := s.RequestConsent(ctx, app, request(n))
	if err != nil || outcome(n) == "pending" {
		return err
	}
	if _, err := s.ConfirmConsent(ctx, app, service.Click{Token: r.Token, Claims: map[string]string{"user_agent": userAgent}}); err != nil {
		return err
	}
	ids := []ledger.ConsentID{r.Consents[0].ID}
	if mailed {
		if _, _, err := s.RecordUses(ctx, app, service.Uses{ConsentIDs: ids}); err != nil {
			return err
		}
	}
	if outcome(n) != "withdrawn" {
		return nil
	}
	_, err = s.WithdrawConsent(ctx, app, service.Withdrawal{ConsentIDs: ids, Method: "one_click"})
	return err
}

// entriesOfEight is how many entries the stories of eight people write, mailed: two who
// never click, one who withdraws, five who stay.
const entriesOfEight = 2*1 + 1*4 + 5*3

// outcome is how onePerson's story ends: what a check answers as the reason.
func outcome(n int64) string {
	switch {
	case n%4 == 0:
		return "pending"
	case n%8 == 1:
		return "withdrawn"
	}
	return "confirmed"
}

// everybody calls do for the people from first to last, callers at a time, and
// shows on a terminal how far it is. The first error ends it.
func everybody(ctx context.Context, doing string, callers int, first, last int64, do func(n int64) error) error {
	bar := newProgress(doing, last-first+1)
	defer bar.finish()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	next.Store(first - 1)
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for n := next.Add(1); n <= last && ctx.Err() == nil; n = next.Add(1) {
				if err := do(n); err != nil {
					cancel(err)
				}
				bar.add(1)
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// diskBytes gives the blocks that a directory's files take, in bytes: Badger's
// files are sparse, so their sizes tell nothing.
func diskBytes(dir string) (total int64, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			total += blocks(info)
		}
		return err
	})
	return total, err
}

func blocks(info fs.FileInfo) int64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Blocks * 512
	}
	return info.Size()
}

// written gives the bytes that this process has handed to the disk so far.
func written() (n int64) {
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return 0
	}
	if _, rest, ok := strings.Cut(string(text), "\nwrite_bytes: "); ok {
		fmt.Sscan(rest, &n)
	}
	return n
}
