package main

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
	"github.com/consentledger/consentledger/proto/consent/app/v1/appv1connect"
)

// echo answers with as many bytes as it was sent, or refuses.
type echo struct {
	appv1connect.UnimplementedConsentServiceHandler
}

func (echo) CheckConsent(_ context.Context, req *appv1.CheckConsentRequest) (*appv1.CheckConsentResponse, error) {
	if req.Purpose == "" {
		return nil, connect.NewError(connect.CodeInvalidArgument, context.Canceled)
	}
	return &appv1.CheckConsentResponse{Reason: req.Purpose}, nil
}

// TestGRPC makes calls of all sizes over one connection, more than its windows hold in
// either direction, and one that is refused.
func TestGRPC(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle(appv1connect.NewConsentServiceHandler(echo{}))
	server := httptest.NewUnstartedServer(mux)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	defer server.Close()
	c := new(client)
	defer c.close()
	want := int64(0)
	for _, size := range []int{1, 100, 16379, 16384, 70_000, 3 << 20, 5} {
		text := string(bytes.Repeat([]byte("x"), size))
		body, err := proto.Marshal(&appv1.CheckConsentRequest{Purpose: text})
		if err != nil {
			t.Fatal(err)
		}
		answer, err := c.post(server.URL, "key", "grpc", "CheckConsent", body)
		got := new(appv1.CheckConsentResponse)
		if err != nil || proto.Unmarshal(answer, got) != nil || got.Reason != text {
			t.Fatalf("%d bytes: %d bytes, %v", size, len(got.GetReason()), err)
		}
		if want += int64(len(answer)); c.bytes != want {
			t.Errorf("%d bytes of answers, want %d", c.bytes, want)
		}
	}
	if _, err := c.post(server.URL, "key", "grpc", "CheckConsent", nil); err == nil || err.Error() != `status "3": context canceled` {
		t.Errorf("a refusal is %v", err)
	}
}
