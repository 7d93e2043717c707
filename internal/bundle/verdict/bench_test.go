package verdict

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/consentledger/consentledger/internal/bundle"
	"github.com/consentledger/consentledger/ledger"
)

// A person with 1, 10 and 200 records, each requested, confirmed, used and withdrawn.
func BenchmarkVerify(b *testing.B) {
	for _, n := range []int{1, 10, 200} {
		b.Run(fmt.Sprintf("records=%d", n), func(b *testing.B) {
			l := newLog(b)
			var ids []ledger.ConsentID
			for range n {
				id := l.ask("newsletter")
				l.add(&ledger.Entry{Kind: ledger.ConfirmationSent, Source: "shop", About: id})
				l.confirm(id...)
				l.add(&ledger.Entry{Kind: ledger.ConsentUsed, Source: "shop", About: id})
				l.change(&ledger.Entry{Kind: ledger.ConsentWithdrawn}, id)
				ids = append(ids, id...)
			}
			l.anchor(0, "")
			m := l.export(ids, []string{"email"}, map[string]bundle.IndexedQuestion{"newsletter": {Reason: "withdrawn", Consent: &ids[n-1]}})
			file := m.written()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Verify(context.Background(), bytes.NewReader(file), int64(len(file)), Options{Policy: m.policy(), Stamps: stamps}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(file)), "B/file")
		})
	}
}
