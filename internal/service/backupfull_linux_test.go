package service

import (
	"bytes"
	"maps"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/consentledger/consentledger/internal/refusal"
)

// TestBackupTargetFull: a target that is full is said, keeps what it has, and takes the
// backup when there is room.
func TestBackupTargetFull(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounting a small file system needs root")
	}
	f := newBackedUp(t)
	f.close()
	if err := unix.Mount("tmpfs", f.target(), "tmpfs", 0, "size=256k,mode=700"); err != nil {
		t.Skipf("this machine mounts no tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(f.target(), unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	f.open()
	f.confirmed("a@example.com")
	f.backup(true)
	ask := asking("b@example.com")
	ask.Attachments = []Attachment{{Claim: "form_snapshot", FileName: "form.png", MediaType: "image/png", Bytes: bytes.Repeat([]byte("PICTURE "), 1<<16)}}
	if _, err := f.s.RequestConsent(ctx, shop, ask); err != nil {
		t.Fatal(err)
	}
	before := filesBelow(t, f.target())
	_, err := f.s.Backup(ctx, false)
	refused(t, err, refusal.ResourceExhausted, "")
	if err == nil || !strings.Contains(err.Error(), "the backup target is full") {
		t.Errorf("refused with %v", err)
	}
	if after := filesBelow(t, f.target()); !maps.Equal(after, before) {
		t.Errorf("the target holds %v, had %v", after, before)
	}
	f.confirmed("c@example.com") // recording goes on
	if err := unix.Mount("tmpfs", f.target(), "tmpfs", unix.MS_REMOUNT, "size=16m,mode=700"); err != nil {
		t.Fatal(err)
	}
	f.backup(false)
	g, _ := restored(t, f.restoring())
	g.checks("c@example.com", newsletter, "confirmed")
	g.checks("b@example.com", newsletter, "pending")
}
