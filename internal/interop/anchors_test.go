package interop

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/torchwood"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
	"golang.org/x/mod/sumdb/note"

	"github.com/consentledger/consentledger/internal/logfiles"
	"github.com/consentledger/consentledger/internal/testauthority"
	"github.com/consentledger/consentledger/internal/timestamp"
	"github.com/consentledger/consentledger/ledger"
)

// TestAnchors: two authorities, openssl behind HTTP, stamp the log of a running
// ledgerd. Of its export, openssl and tspclient verify every token over the
// checkpoint that lies beside it, torchwood that checkpoint; and Tessera and
// torchwood read the tree as if there were no anchors.
func TestAnchors(t *testing.T) {
	t.Parallel()
	s := &stamped{ledgerServer: makeLedger(t)}
	for range 2 {
		a := testauthority.New(t, testauthority.Options{})
		s.authorities, s.pins = append(s.authorities, a), append(s.pins, readPins(t, a.CAFile))
	}
	file := filepath.Join(t.TempDir(), "authorities")
	lines := s.authorities[0].Line("one") + strings.TrimSpace(s.authorities[1].Line("two")) + " qualified\n"
	if err := os.WriteFile(file, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	s.serve("--timestamp-authorities", file)
	s.record(3)
	s.ledgerd("anchor")
	s.record(300)
	s.ledgerd("anchor")
	s.record(1)
	before := s.verify(s.logURL())
	if n := len(before.Stamps); n < 4 {
		t.Errorf("%d stamps after two rounds of two authorities", n)
	}
	live := map[string][]byte{}
	for _, a := range before.Stamps {
		entry := s.ledgerServer.entry(a.Index)
		for _, name := range []string{"checkpoint", "stamp"} {
			path := anchorPath(t, line(t, entry, name))
			live[path] = s.file(path)
		}
	}
	s.stop()
	dir := filepath.Join(t.TempDir(), "export")
	s.ledgerd("export", "--data", s.data, "--out", dir, "--timestamp-authorities", file)
	for path, served := range live {
		if exported := readTimestamp(t, filepath.Join(dir, path)); len(served) == 0 || string(exported) != string(served) {
			t.Errorf("%s has %d bytes in the export, %d at the server", path, len(exported), len(served))
		}
	}
	if after := s.verify(dir); len(after.Stamps) < len(before.Stamps)+2 {
		t.Errorf("%d stamps before the export, %d in it", len(before.Stamps), len(after.Stamps))
	} else if in := after.Interval(after.Stamps[len(after.Stamps)-1].Index - 2); in.InLogAt == nil || in.NotInLogAt == nil {
		t.Errorf("the last entry before the export has the bounds %+v", in)
	}
	s.read(dir)
}

// stamped is a ledger of ledgerd's that authorities stamp.
type stamped struct {
	*ledgerServer
	authorities []*testauthority.Authority
	pins        [][]*x509.Certificate // of each
}

// verify lets our verifier check a log and demands that all stamps count.
func (s *stamped) verify(where string) *ledger.LogReport {
	s.Helper()
	policy, err := ledger.ParsePolicy([]byte(s.trust()))
	if err != nil {
		s.Fatal(err)
	}
	trust := timestamp.Trust{{Pins: s.pins[0]}, {Pins: s.pins[1], Qualified: true}}
	report, err := logfiles.Source{Where: where, Key: s.keys["auditor"]}.Verify(s.Context(), ledger.VerifyOptions{Policy: policy, Stamps: trust.Stamp})
	if err != nil || len(report.StampsNotCounted) > 0 {
		s.Fatalf("%+v, %v", report, err)
	}
	return report
}

// read lets others read an export with anchors.
func (s *stamped) read(dir string) {
	s.Helper()
	policy, err := torchwood.ParsePolicy([]byte(s.trust()))
	if err != nil {
		s.Fatal(err)
	}
	ours, err := ledger.ParsePolicy([]byte(s.trust()))
	if err != nil {
		s.Fatal(err)
	}
	ed, err := note.NewVerifier(ours.Keys().Ed25519.String())
	if err != nil {
		s.Fatal(err)
	}
	if err := fsck.New(origin, ed, client.FileFetcher{Root: dir}, bundleHashes, fsck.Opts{}).Check(s.Context()); err != nil {
		s.Errorf("Tessera: %v", err)
	}
	files, err := torchwood.NewTileFS(os.DirFS(dir))
	if err != nil {
		s.Fatal(err)
	}
	c, _, err := torchwood.VerifyCheckpoint(readTimestamp(s.T, filepath.Join(dir, "checkpoint")), policy)
	if err != nil {
		s.Fatalf("torchwood: %v", err)
	}
	torch, err := torchwood.NewClient(files)
	if err != nil {
		s.Fatal(err)
	}
	anchors := 0
	for i, entry := range torch.AllEntries(s.Context(), c.Tree, 0) {
		if strings.Contains(string(entry), "\nkind checkpoint.anchored\n") {
			anchors++
			s.anchor(dir, i, string(entry), policy)
		}
	}
	if err := torch.Err(); err != nil || anchors < 6 {
		s.Errorf("torchwood: %d anchors, %v", anchors, err)
	}
	if list, err := os.ReadDir(filepath.Join(dir, "anchors")); err != nil || len(list) < anchors+3 || len(list) > 2*anchors {
		s.Errorf("%d files of %d anchors, %v", len(list), anchors, err)
	}
}

// anchor lets others verify what one checkpoint.anchored names.
func (s *stamped) anchor(dir string, index int64, entry string, policy torchwood.Policy) {
	s.Helper()
	checkpoint := readTimestamp(s.T, filepath.Join(dir, anchorPath(s.T, line(s.T, entry, "checkpoint"))))
	token := readTimestamp(s.T, filepath.Join(dir, anchorPath(s.T, line(s.T, entry, "stamp"))))
	c, _, err := torchwood.VerifyCheckpoint(checkpoint, policy)
	if err != nil || fmt.Sprint(c.N) != line(s.T, entry, "size") || c.N > index {
		s.Errorf("entry %d: torchwood reads the stamped checkpoint as %v, %v", index, c, err)
	}
	accepted := 0
	for i, a := range s.authorities {
		for name, content := range map[string][]byte{"data": checkpoint, "other": append(checkpoint[:len(checkpoint):len(checkpoint)], '\n'), "token": token} {
			if err := os.WriteFile(filepath.Join(a.Dir, name), content, 0o600); err != nil {
				s.Fatal(err)
			}
		}
		if a.Accepts("other", "token") {
			s.Errorf("entry %d: openssl takes the token for other bytes", index)
		}
		if !a.Accepts("data", "token") {
			continue
		}
		accepted++
		parsed, err := timestamp.ParseToken(token)
		if err != nil {
			s.Fatal(err)
		}
		stamp, err := timestamp.Verify(parsed, sha256.Sum256(checkpoint), timestamp.Authority{Pins: s.pins[i]}, nil)
		if err != nil {
			s.Fatal(err)
		}
		if err := tspclientSays(s.T, token, s.pins[i], stamp); err != nil {
			s.Errorf("entry %d: %v", index, err)
		}
		if at := stamp.Time.Format("2006-01-02T15:04:05.000000Z"); at != line(s.T, entry, "stamped") {
			s.Errorf("entry %d: tspclient and we read %s, the entry says %s", index, at, line(s.T, entry, "stamped"))
		}
	}
	if accepted != 1 {
		s.Errorf("entry %d: openssl accepts the token by %d of the authorities", index, accepted)
	}
}

// line gives the value of an entry's line.
func line(t *testing.T, entry, name string) string {
	t.Helper()
	_, rest, ok := strings.Cut(entry, "\n"+name+" ")
	value, _, end := strings.Cut(rest, "\n")
	if !ok || !end {
		t.Fatalf("no line %s in\n%s", name, entry)
	}
	return value
}

// anchorPath is where the file with this SHA-256, in base64, lies.
func anchorPath(t *testing.T, sum string) string {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(sum)
	if err != nil || len(b) != sha256.Size {
		t.Fatalf("%q is no SHA-256: %v", sum, err)
	}
	return "anchors/" + hex.EncodeToString(b)
}
