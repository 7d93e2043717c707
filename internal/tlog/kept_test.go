package tlog_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/consentledger/consentledger/internal/testauthority"
	"github.com/consentledger/consentledger/internal/tlog"
)

// TestKept: the file keeps the checkpoint of the most entries, whoever stamped last.
func TestKept(t *testing.T) {
	x := testauthority.New(t, testauthority.Options{})
	k := newStamping(t, []tlog.Authority{authority(x, "x", false)})
	k.s.StampNow(t.Context())
	if kept, err := os.ReadFile(k.opt.File); err != nil || !bytes.Contains(kept, []byte("\n1\n")) {
		t.Errorf("%v\n%s", err, kept)
	}
	// One of more entries than the log has is the proof that it was set back.
	larger := bytes.Replace(readFile(t, k.opt.File), []byte("\n1\n"), []byte("\n99\n"), 1)
	if err := os.WriteFile(k.opt.File, larger, 0o600); err != nil {
		t.Fatal(err)
	}
	k.begin()
	k.s.StampNow(t.Context())
	if !bytes.Equal(readFile(t, k.opt.File), larger) {
		t.Error("a larger checkpoint was replaced")
	}
	// What is none proves nothing.
	if err := os.WriteFile(k.opt.File, []byte("?"), 0o600); err != nil {
		t.Fatal(err)
	}
	k.begin()
	k.s.StampNow(t.Context())
	if !bytes.Contains(readFile(t, k.opt.File), []byte("\n3\n")) {
		t.Error("what cannot be read was not replaced")
	}
	// A file that cannot be written is a fault of ours, and the stamp is not recorded.
	k.opt.File = filepath.Join(k.dir, "nowhere", "anchored.checkpoint")
	k.begin()
	n := k.size()
	if got := k.s.StampNow(t.Context()); got[0].Why != tlog.WhyLog || k.size() != n {
		t.Errorf("got %+v", got)
	}
}

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
