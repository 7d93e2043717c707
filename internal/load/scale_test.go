package main

import (
	"path/filepath"
	"testing"

	"github.com/consentledger/consentledger/internal/service"
)

// Filling that was ended in the middle goes on: everybody's story is told to its end,
// and who leaves is gone.
func TestScaleGoesOn(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	if err := create(ctx, dir); err != nil {
		t.Fatal(err)
	}
	c := &scaleCmd{Dir: dir, Callers: 8}
	err := opened(service.Options{Dir: data(dir), Memory: service.MinMemory}, func(s *service.Service) error {
		if _, err := c.fill(ctx, s, 30); err != nil {
			return err
		}
		told, err := readNumber(filepath.Join(dir, filled))
		if err != nil {
			return err
		}
		// The next 24 are interrupted: some have asked, some of them have confirmed.
		for n := told + 1; n <= told+24; n++ {
			if n%3 == 0 {
				continue
			}
			r, err := s.RequestConsent(ctx, app, request(n))
			if err == nil && outcome(n) != "pending" && n%3 == 1 {
				_, err = s.ConfirmConsent(ctx, app, service.Click{Token: r.Token})
			}
			if err != nil {
				return err
			}
		}
		size, err := c.fill(ctx, s, 150)
		if err != nil || size < 150 {
			t.Errorf("%d entries, %v; want 150 or more", size, err)
		}
		people, err := readNumber(filepath.Join(dir, filled))
		if err != nil || people <= told+24 {
			t.Errorf("%d people, %v; there were %d before", people, err, told)
		}
		for n := int64(1); n <= people; n++ {
			d, err := s.CheckConsent(ctx, service.Question{Subject: request(n).Subject, Purpose: "newsletter", Channel: "email"})
			if err != nil {
				return err
			}
			if d.Reason != outcome(n) {
				t.Errorf("person %d: %s, want %s", n, d.Reason, outcome(n))
			}
		}
		d, err := s.CheckConsent(ctx, service.Question{Subject: service.Subject{Email: "leaver-0-1@mail.example"}, Purpose: "newsletter", Channel: "email"})
		if err == nil && d.Reason != "unknown_subject" {
			t.Errorf("who left: %s", d.Reason)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
