package codec

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/consentledger/consentledger/internal/service"
	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
	"github.com/consentledger/consentledger/proto/consent/app/v1/appv1connect"
	evidencev1 "github.com/consentledger/consentledger/proto/consent/evidence/v1"
)

// TestDense: a body that is short and becomes very much is refused before it does.
func TestDense(t *testing.T) {
	const size = 4 << 20
	list := func(name, element string) []byte {
		return []byte(`{"` + name + `":[` + element + strings.Repeat(","+element, size/(len(element)+1)) + "]}")
	}
	for _, c := range []struct {
		name    string
		message proto.Message
		codec   interface{ Unmarshal([]byte, any) error }
		data    []byte
	}{
		{"empty messages", &appv1.BatchCheckConsentsRequest{}, binaryCodec{}, bytes.Repeat([]byte{0x0a, 0}, size/2)},
		{"empty messages in a message", &appv1.BatchImportConsentsRequest{}, binaryCodec{}, protowire.AppendBytes([]byte{0x0a}, bytes.Repeat([]byte{0x42, 0}, size/2))},
		{"empty strings", &appv1.RequestConsentRequest{}, binaryCodec{}, bytes.Repeat([]byte{0x12, 0}, size/2)},
		{"numbers", &appv1.RecordUsesRequest{}, binaryCodec{}, mustMarshal(t, &appv1.RecordUsesRequest{ConsentIds: make([]int64, size)})},
		{"empty messages in JSON", &appv1.BatchCheckConsentsRequest{}, jsonCodec{"json"}, list("checks", "{}")},
		{"no messages in JSON", &appv1.BatchCheckConsentsRequest{}, jsonCodec{"json"}, list("checks", "1")},
		{"empty strings in JSON", &appv1.RequestConsentRequest{}, jsonCodec{"json"}, list("purposes", `""`)},
		{"an unknown list in JSON", &evidencev1.SetHoldRequest{}, jsonCodec{"json"}, list("x", "0")},
		{"no JSON", &appv1.CheckConsentRequest{}, jsonCodec{"json"}, bytes.Repeat([]byte(`{"":`), size/4)},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := c.codec.Unmarshal(c.data, c.message)
		runtime.ReadMemStats(&after)
		if err == nil || !strings.Contains(err.Error(), " values in ") {
			t.Errorf("%s: %v", c.name, err)
		}
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20 {
			t.Errorf("%s: %d bytes were allocated to refuse it", c.name, grown)
		}
	}
}

// TestSparse: the shortest batches that mean something pass, and so do long values.
func TestSparse(t *testing.T) {
	var checks appv1.BatchCheckConsentsRequest
	var items appv1.BatchImportConsentsRequest
	for i := range 1000 {
		who := &appv1.Subject{ExternalId: fmt.Sprint(i)}
		checks.Checks = append(checks.Checks, &appv1.CheckConsentRequest{Subject: who, Purpose: "a", Channel: "sms"})
		item := &appv1.ImportItem{Subject: who, Purpose: "a", Channel: "sms", Claims: map[string]string{}}
		for n := range 30 {
			item.Claims[fmt.Sprint("claim", n)] = "1234567890"
		}
		items.Items = append(items.Items, item)
	}
	ids := make([]int64, service.MaxUses)
	for i := range ids {
		ids[i] = int64(i)
	}
	for _, m := range []proto.Message{
		&checks, &items, &appv1.RecordUsesRequest{ConsentIds: ids},
		&appv1.RequestConsentRequest{Claims: map[string]string{"form_snapshot": strings.Repeat(`,{"\`, 1<<20)}},
	} {
		for _, codec := range []interface {
			Marshal(any) ([]byte, error)
			Unmarshal([]byte, any) error
		}{binaryCodec{}, jsonCodec{"json"}} {
			data, err := codec.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			got := m.ProtoReflect().New().Interface()
			if err := codec.Unmarshal(data, got); err != nil {
				t.Errorf("%T as %T: %v", m, codec, err)
			} else if !proto.Equal(got, m) {
				t.Errorf("%T as %T has changed", m, codec)
			}
		}
	}
}

// TestBombs: what becomes too large is unpacked no further than to where that is known.
func TestBombs(t *testing.T) {
	const most = 1000
	mux := http.NewServeMux()
	mux.Handle(appv1connect.NewConsentServiceHandler(answers{}, HandlerOptions(most)...))
	srv := httptest.NewServer(mux)
	defer srv.Close()
	for _, c := range []struct {
		size   int
		status int
	}{{most, http.StatusOK}, {most + 1, http.StatusTooManyRequests}, {most + 2, http.StatusTooManyRequests}, {300_000, http.StatusTooManyRequests}} {
		var body bytes.Buffer
		z := gzip.NewWriter(&body)
		const question = `{"purpose":"newsletter"}`
		if _, err := io.WriteString(z, question+strings.Repeat(" ", c.size-len(question))); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+appv1connect.ConsentServiceCheckConsentProcedure, &body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Content-Encoding", "gzip")
		rsp, err := srv.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(rsp.Body)
		rsp.Body.Close()
		// Connect says how much it has unpacked.
		told := c.status == http.StatusOK || strings.Contains(string(answer), fmt.Sprintf("message size %d is larger", most+1))
		if err != nil || rsp.StatusCode != c.status || !told {
			t.Errorf("%d bytes: %s %s %v", c.size, rsp.Status, answer, err)
		}
	}
}
