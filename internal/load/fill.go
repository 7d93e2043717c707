package main

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/ledger"
)

// Run fills a ledger with the mix of a mailing system: everybody asks, most
// confirm, everybody who confirmed is mailed, some withdraw.
func (f *fillCmd) Run(ctx context.Context) error {
	data := filepath.Join(f.Dir, "data")
	if err := service.Create(data, "load.example/ledger", "", nil); err != nil {
		return err
	}
	s, err := service.Open(service.Options{Dir: data, StateInterval: time.Second})
	if err != nil {
		return err
	}
	if err := prepare(ctx, s); err != nil {
		return err
	}
	start := time.Now()
	if err := f.run(ctx, s); err != nil {
		return err
	}
	took := time.Since(start)
	snap := s.Log().Snapshot()
	size := snap.Size()
	fmt.Printf("%d entries through the recorder with %d callers: %.0f entries/s\n", size, f.Callers, float64(size)/took.Seconds())
	err = snap.Export(filepath.Join(f.Dir, "export"))
	snap.Release()
	if err != nil {
		return err
	}
	if err := s.Close(); err != nil {
		return err
	}
	for _, part := range []string{"log", "vault"} {
		n, err := diskBytes(filepath.Join(data, part))
		if err != nil {
			return err
		}
		fmt.Printf("%s: %d bytes on disk, %.0f per entry\n", part, n, float64(n)/float64(size))
	}
	fmt.Printf("next: go run ./cmd/verify log %s --policy %s\n", filepath.Join(f.Dir, "export"), filepath.Join(data, "trust.policy"))
	return nil
}

func (f *fillCmd) run(ctx context.Context, s *service.Service) error {
	app := service.Source{Name: "load", Role: "app"}
	var written, person atomic.Int64
	var once sync.Once
	var failed error
	var wg sync.WaitGroup
	for range f.Callers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for written.Load() < f.Entries && ctx.Err() == nil {
				n, err := onePerson(ctx, s, app, person.Add(1))
				if err != nil {
					once.Do(func() { failed = err })
					return
				}
				written.Add(n)
			}
		}()
	}
	wg.Wait()
	return failed
}

// onePerson gives the number of entries that one person's story wrote.
func onePerson(ctx context.Context, s *service.Service, app service.Source, n int64) (int64, error) {
	r, err := s.RequestConsent(ctx, app, request(n))
	if err != nil || n%4 == 0 {
		return 1, err // one in four never clicks
	}
	if _, err := s.ConfirmConsent(ctx, app, service.Click{Token: r.Token, Claims: map[string]string{"user_agent": userAgent}}); err != nil {
		return 1, err
	}
	ids := []ledger.ConsentID{r.Consents[0].ID}
	if _, _, err := s.RecordUses(ctx, app, service.Uses{ConsentIDs: ids}); err != nil || n%8 != 1 {
		return 3, err
	}
	_, err = s.WithdrawConsent(ctx, app, service.Withdrawal{ConsentIDs: ids, Method: "one_click"})
	return 4, err
}

const userAgent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

func request(n int64) service.ConsentRequest {
	return service.ConsentRequest{
		Subject:  service.Subject{Email: fmt.Sprintf("person-%d@mail.example", n)},
		Purposes: []string{"newsletter"}, Channel: "email", Notice: "newsletter-de@1", Method: "web_form",
		Claims: map[string]string{"ip": fmt.Sprintf("192.0.2.%d", n%256), "user_agent": userAgent, "page_url": "https://shop.example/newsletter"},
	}
}

// prepare defines what the requests name.
func prepare(ctx context.Context, s *service.Service) error {
	admin := service.Source{Name: "admin", Role: "admin"}
	if _, _, err := s.DefinePurpose(ctx, admin, service.PurposeDefinition{ID: "newsletter", Title: "Newsletter", Marketing: true, DoubleOptIn: true}); err != nil {
		return err
	}
	_, _, err := s.PublishNotice(ctx, admin, service.NoticePublication{ID: "newsletter-de", Language: "de",
		Text: "Ja, ich möchte den Newsletter der Beispiel GmbH.", Purposes: []string{"newsletter"}})
	return err
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
