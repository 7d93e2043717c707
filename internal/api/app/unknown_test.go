package app

import (
	"context"
	"errors"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/consentledger/consentledger/internal/authn"
	"github.com/consentledger/consentledger/internal/refusal"
	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
)

// TestUnknownTokens: what says that a token is unknown takes its time, however fast it
// was known, and is limited; whatever else a method answers passes as it is.
func TestUnknownTokens(t *testing.T) {
	u := &unknownTokens{authn.NewLimiter(2)}
	answer := func(rsp connect.AnyResponse, err error) (connect.AnyResponse, error) {
		return u.WrapUnary(func(context.Context, connect.AnyRequest) (connect.AnyResponse, error) { return rsp, err })(
			t.Context(), connect.NewRequest(&appv1.ConfirmConsentRequest{}))
	}
	fine := connect.NewResponse(&appv1.ConfirmConsentResponse{})
	for range 5 {
		if rsp, err := answer(fine, nil); rsp != fine || err != nil {
			t.Errorf("a good answer became %v, %v", rsp, err)
		}
		for _, other := range []error{refusal.NotFound("consent_ids[0]", "no such consent"), refusal.Invalid("token", "is none"), errors.New("broken")} {
			if _, err := answer(nil, other); err != other {
				t.Errorf("%v became %v", other, err)
			}
		}
	}
	for n, at := range []string{"token", "manage_token", "token", "manage_token"} {
		unknown := refusal.NotFound(at, "nobody has this token")
		begin := time.Now()
		_, err := answer(nil, unknown)
		if took := time.Since(begin); took < unknownTokenTakes {
			t.Errorf("%s: answered after %v", at, took)
		}
		var r *refusal.Error
		switch {
		case !errors.As(err, &r), n < 2 && err != unknown:
			t.Errorf("guess %d: %v", n+1, err)
		case n >= 2 && (r.Code != refusal.ResourceExhausted || r.At != at || r.Wait <= 0):
			t.Errorf("guess %d: %+v", n+1, r)
		}
	}
}
