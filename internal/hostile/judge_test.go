package hostile

import (
	"errors"
	"strings"
	"testing"
)

// TestJudge: each thing that may go wrong in an attack is an error, and none where all
// went well.
func TestJudge(t *testing.T) {
	fine := func() *Report {
		return &Report{Attack: Attack{Answers: `40[04]|closed`}, Answers: map[string]int{"400": 3, "closed": 1}, Others: Served{Answered: 9},
			Before: Load{100 << 20, 50, 30}, Peak: Load{200 << 20, 5000, 4000}, After: Load{200 << 20, 60, 30}}
	}
	if err := fine().judge(); err != nil {
		t.Errorf("all went well: %v", err)
	}
	for want, spoil := range map[string]func(*Report){
		`2 times the answer was "200"`:        func(r *Report) { r.Answers["200"] = 2 },
		`1 times the answer was "4000"`:       func(r *Report) { r.Answers["4000"] = 1 },
		"the server said nothing":             func(r *Report) { clear(r.Answers) },
		"9 calls were answered and 1 not: no": func(r *Report) { r.Others.Failed, r.Others.Err = 1, errors.New("no") },
		"0 calls were answered":               func(r *Report) { r.Others.Answered = 0 },
		"1025 MiB of memory":                  func(r *Report) { r.Peak.Resident = 1025 << 20 },
		"50 goroutines became 115":            func(r *Report) { r.After.Goroutines = 115 },
	} {
		r := fine()
		spoil(r)
		if err := r.judge(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// TestRepeated: an answer that holds what was sent, or the key, and a log that holds it
// or who sent it, are noticed.
func TestRepeated(t *testing.T) {
	v := &Victim{Keys: map[string]string{"app": "clk_abc"}}
	for _, text := range []string{"there is no " + canaryMail, "Bearer clk_abc is wrong", "127.7.0.3 was refused", "guest.17@example.org"} {
		if v.search([]byte(text)) == nil {
			t.Errorf("the log may say: %s", text)
		}
	}
	if err := v.search([]byte("an API key is needed: Authorization: Bearer clk_…")); err != nil {
		t.Error(err)
	}
	for text, wrong := range map[string]bool{"no " + Canary + " here": true, "clk_abc": true, "invalid": false} {
		a := &assault{Victim: v, key: "clk_abc", answers: map[string]int{}}
		if a.answer("400", []byte(text)); (a.wrong != nil) != wrong {
			t.Errorf("an answer may say %q: %v", text, a.wrong)
		}
	}
}
