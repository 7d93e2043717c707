package hostile

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
)

// mayGuess is how many guesses of an address are answered within a minute; a run may see
// two of them.
const mayGuess = 100

func random() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // it does not fail
	return base64.RawURLEncoding.EncodeToString(b)
}

// guess makes guesses, 16 at a time, and then looks whether the address was told to stop,
// soon enough.
func (a *assault) guess(ctx context.Context, miss string, shot func() []byte) error {
	n := max(3*mayGuess, a.times(5000))
	err := together(16, func(int) error {
		for range n / 16 {
			if _, err := a.exchange(ctx, shot(), patience); err != nil {
				return err
			}
		}
		return nil
	})
	if missed := a.answers[miss]; err == nil && (missed < mayGuess || missed > 2*mayGuess || a.answers[tooMuch] == 0) {
		err = fmt.Errorf("%d guesses were answered with %s, want %d within a minute", missed, miss, mayGuess)
	}
	return err
}

func guessAttacks() []Attack {
	token := func(method, field string) func(ctx context.Context, a *assault) error {
		return func(ctx context.Context, a *assault) error {
			return a.guess(ctx, "404 not_found", func() []byte { return a.post(method, typeJSON, nil, fmt.Appendf(nil, `{%q:%q}`, field, random())) })
		}
	}
	return []Attack{
		{"guessing keys", "app", `401 unauthenticated|` + tooMuch + `|200`, func(ctx context.Context, a *assault) error {
			err := a.guess(ctx, "401 unauthenticated", func() []byte {
				return bytes.ReplaceAll(a.post("CheckConsent", typeJSON, nil, []byte(question)), []byte(a.key), []byte("clk_"+random()))
			})
			if err != nil {
				return err
			}
			return a.expect(ctx, "a key that works, from the same address", a.post("CheckConsent", typeJSON, nil, []byte(question)), `200`)
		}},
		{"guessing confirmation tokens", "app", `404 not_found|` + tooMuch, token("ConfirmConsent", "token")},
		{"guessing manage tokens", "app", `404 not_found|` + tooMuch, token("WithdrawConsent", "manage_token")},
	}
}
