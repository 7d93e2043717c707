package tlog_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/internal/testauthority"
	"github.com/consentledger/consentledger/internal/tlog"
)

// BenchmarkRecording records one request for consent after the other, each durable
// before the next, in a ledger that is stamped once a second, which is sixty times as
// often as can be configured, and reports the median and the 99th percentile of one
// request: authorities must not show in them.
func BenchmarkRecording(b *testing.B) {
	for _, c := range []struct {
		name    string
		none    bool
		between func(http.Handler) http.Handler
	}{
		{name: "no authority", none: true},
		{name: "a dead authority"},
		{name: "a slow authority", between: slow(5 * time.Second)},
		{name: "a lying authority", between: changed(reply, func(b []byte) []byte { return flipLast(b) })},
		{name: "two good authorities"},
	} {
		b.Run(c.name, func(b *testing.B) {
			var asked []tlog.Authority
			if !c.none {
				x := testauthority.New(b, testauthority.Options{Between: c.between})
				asked = append(asked, authority(x, "x", false))
				if c.name == "a dead authority" {
					x.Stop()
				}
			}
			if c.name == "two good authorities" {
				asked = append(asked, authority(testauthority.New(b, testauthority.Options{}), "y", false))
			}
			k := newRequested(b, asked)
			var took []time.Duration
			for b.Loop() {
				before := time.Now()
				k.request(len(took))
				took = append(took, time.Since(before))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
			b.ReportMetric(float64(len(k.anchors())), "stamps")
		})
	}
}

// newRequested makes a ledger that takes requests for consent and is stamped once a
// second; nobody: it is not stamped.
func newRequested(b *testing.B, asked []tlog.Authority) *stamping {
	b.Helper()
	nobody := len(asked) == 0
	if nobody {
		asked = []tlog.Authority{{Name: "nobody", URL: "http://127.0.0.1:1"}}
	}
	k := newStamping(b, asked, func(opt *tlog.StamperOptions) {
		tlog.Pace(opt, time.Second)
		opt.RetryMin, opt.RetryMax = time.Second, time.Second
	})
	chief := service.Source{Name: "admin", Role: "admin"}
	if _, _, err := k.svc.DefinePurpose(b.Context(), chief, service.PurposeDefinition{ID: "news", Title: "News", Marketing: true}); err != nil {
		b.Fatal(err)
	}
	_, _, err := k.svc.PublishNotice(b.Context(), chief, service.NoticePublication{ID: "news-en", Language: "en", Text: "Yes.", Purposes: []string{"news"}})
	if err != nil {
		b.Fatal(err)
	}
	if !nobody {
		k.s.Start()
	}
	return k
}

func (k *stamping) request(i int) {
	k.Helper()
	_, err := k.svc.RequestConsent(k.Context(), service.Source{Name: "shop", Role: "app"}, service.ConsentRequest{
		Subject: service.Subject{Email: fmt.Sprintf("person%d@example.com", i)}, Purposes: []string{"news"}, Channel: "email",
		Notice: "news-en@1", Method: "web_form"})
	if err != nil {
		k.Fatal(err)
	}
}
