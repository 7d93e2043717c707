package timestamp

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consentledger/consentledger/ledger"
)

// archived is a log of the golden vectors.
type archived map[string][]byte

func (a archived) ReadPath(_ context.Context, path string) ([]byte, error) {
	if b, ok := a[path]; ok {
		return b, nil
	}
	return nil, ledger.ErrMissing
}

// TestVectorsTSA judges the golden logs whose verdict is under a trusted authority, by
// what their tokens say. Package ledger, which reads no tokens, takes it for granted.
func TestVectorsTSA(t *testing.T) {
	dir := filepath.Join("..", "..", "testdata", "vectors", "logs")
	var rows []struct {
		Name, Policy, TSA, Verdict, Error, Mention, Reason string
		Files                                              []string
	}
	if err := json.Unmarshal(read(t, dir, "index.json"), &rows); err != nil {
		t.Fatal(err)
	}
	judged := map[string]int{}
	for _, v := range rows {
		if v.TSA == "" {
			continue
		}
		by, err := ParsePins(read(t, dir, v.TSA))
		if err != nil {
			t.Fatal(err)
		}
		policy, err := ledger.ParsePolicy(read(t, dir, v.Policy))
		if err != nil {
			t.Fatal(err)
		}
		rep, err := ledger.VerifyLog(t.Context(), unpacked(t, read(t, dir, v.Files[0])),
			ledger.VerifyOptions{Policy: policy, Stamps: Trust{{Pins: by}}.Stamp})
		if got := ledger.VerdictOf(err).String(); got != v.Verdict || err != nil && !strings.Contains(err.Error(), v.Error) {
			t.Errorf("%s: verdict %s (%v), want %s with %q: %s", v.Name, got, err, v.Verdict, v.Error, v.Reason)
		}
		text, err := json.Marshal(rep)
		if err != nil || !strings.Contains(string(text), v.Mention) {
			t.Errorf("%s: the report does not mention %s (%v):\n%s", v.Name, v.Mention, err, text)
		}
		judged[v.Verdict]++
	}
	if judged["VERIFIED"] == 0 || judged["INVALID"] == 0 {
		t.Errorf("judged %v", judged)
	}
}

func unpacked(t *testing.T, b []byte) archived {
	t.Helper()
	files := archived{}
	for r := tar.NewReader(bytes.NewReader(b)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		} else if err != nil {
			t.Fatal(err)
		}
		if files[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}
