package main

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
)

// TestRate: with a rate latencies count from when calls were due, and what has not begun
// when twice the time is over is an error.
func TestRate(t *testing.T) {
	for _, c := range []struct {
		name            string
		rate            float64
		takes           time.Duration
		calls           int
		errors          int64
		middle, longest time.Duration
	}{
		{"it keeps up", 100, 5 * time.Millisecond, 100, 0, 5 * time.Millisecond, 5 * time.Millisecond},
		{"one client is late, and catches up", 100, 15 * time.Millisecond, 100, 0, 260 * time.Millisecond, 505 * time.Millisecond},
		{"it never catches up", 100, 110 * time.Millisecond, 19, 81, 1010 * time.Millisecond, 1910 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newResult()
			r.drive(t.Context(), []*client{new(client)}, c.rate, time.Second, func(context.Context, *client) (int, error) {
				time.Sleep(c.takes)
				return 1, nil
			})
			if len(r.sorted) != c.calls || r.errors != c.errors || (r.first != nil) != (c.errors > 0) {
				t.Errorf("%s: %d calls, %d errors, %v", c.name, len(r.sorted), r.errors, r.first)
			}
			if near := func(a, b time.Duration) bool { return (a - b).Abs() <= 15*time.Millisecond }; !near(r.at(.5), c.middle) || !near(r.at(1), c.longest) {
				t.Errorf("%s: p50 %v, longest %v", c.name, r.at(.5), r.at(1))
			}
		})
	}
}

// TestBodies: what is filled into an example is what would be encoded.
func TestBodies(t *testing.T) {
	confirm, ask := bodies("json", someToken, confirmation), question("json")
	text, err := confirm("clt_1-2_3")
	check(t, text, err, confirmation("clt_1-2_3"), new(appv1.ConfirmConsentRequest))
	var list [][]byte
	want := new(appv1.BatchCheckConsentsRequest)
	for _, n := range []int64{1, 1_000_000, somebody} {
		text, err := ask(n)
		one := &appv1.CheckConsentRequest{Subject: &appv1.Subject{Email: email(n)}, Purpose: "newsletter", Channel: "email"}
		check(t, text, err, one, new(appv1.CheckConsentRequest))
		list, want.Checks = append(list, text), append(want.Checks, one)
	}
	check(t, batch("json", "checks", list), nil, want, new(appv1.BatchCheckConsentsRequest))
	for i, one := range want.Checks {
		if list[i], err = proto.Marshal(one); err != nil {
			t.Fatal(err)
		}
	}
	got := new(appv1.BatchCheckConsentsRequest)
	if err := proto.Unmarshal(batch("proto", "checks", list), got); err != nil || !proto.Equal(got, want) {
		t.Errorf("a batch is %v, %v", got, err)
	}
}

func check(t *testing.T, text []byte, err error, want, got proto.Message) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if err := protojson.Unmarshal(text, got); err != nil || !proto.Equal(got, want) {
		t.Errorf("%s is %v, %v", text, got, err)
	}
}

// TestPostgreSQL inserts into a PostgreSQL of its own, and finds a row that was changed.
func TestPostgreSQL(t *testing.T) {
	if _, err := postgresPrograms(); err != nil {
		t.Skip(err)
	}
	if testing.Short() {
		t.Skip("it makes a cluster")
	}
	t.Parallel()
	p, err := startPostgreSQL(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	for _, row := range p.rows(2, 50) {
		r := newResult()
		if err := row.turn(t.Context(), r, time.Second); err != nil {
			t.Fatal(err)
		}
		if p.known[strings.TrimPrefix(row.what, "postgresql ")] == 0 || len(r.sorted) != r.items || r.at(.5) <= 0 {
			t.Errorf("%s: %+v of %v", row.what, r, p.known)
		}
	}
	if err := p.check(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := p.sql(t.Context(), "UPDATE chained SET email = 'somebody@else.example' WHERE index = 2"); err != nil {
		t.Fatal(err)
	}
	if err := p.check(t.Context()); err == nil || !strings.Contains(err.Error(), "1 do not follow") {
		t.Errorf("a changed row: %v", err)
	}
}
