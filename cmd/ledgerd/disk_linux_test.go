package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/consentledger/consentledger/internal/load/storm"
	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/internal/testledger"
	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
)

// within waits until something is so, and fails with what the server said if it is not
// within a minute.
func within(t *testing.T, server *child, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !so(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within a minute\n%s", what, server.Log)
		}
	}
}

// ready gives what a stranger is told at /readyz.
func ready(t *testing.T, server *child) string {
	t.Helper()
	answer, err := http.Get(server.URL + "/readyz")
	if err != nil {
		t.Fatalf("%v\n%s", err, server.Log)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// system runs a program of the system, or skips the test if it is not there.
func system(t *testing.T, name string, args ...string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("this test needs %s: %v", name, err)
	}
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// smallDisk is a file system of 64 MiB; ext4 takes some more for itself.
type smallDisk struct {
	name string
	// make mounts it at dir and gives how there is more room on it.
	make func(t *testing.T, dir string) (grow func())
}

var smallDisks = []smallDisk{
	{"tmpfs", func(t *testing.T, dir string) func() {
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64m"); err != nil {
			t.Skipf("mounting takes root: %v", err)
		}
		return func() {
			if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT, "size=128m"); err != nil {
				t.Fatal(err)
			}
		}
	}},
	{"ext4", func(t *testing.T, dir string) func() {
		image := filepath.Join(t.TempDir(), "image")
		if err := errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, 84<<20)); err != nil {
			t.Fatal(err)
		}
		system(t, "mkfs.ext4", "-q", "-m", "0", image)
		if os.Getuid() != 0 {
			t.Skip("mounting takes root")
		}
		out, err := exec.Command("losetup", "--find", "--show", image).Output()
		if err != nil {
			t.Skipf("there are no loop devices: %v", err)
		}
		device := strings.TrimSpace(string(out))
		t.Cleanup(func() { system(t, "losetup", "--detach", device) })
		system(t, "mount", device, dir)
		other := filepath.Join(dir, "other")
		if err := os.WriteFile(other, make([]byte, 16<<20), 0o600); err != nil {
			t.Fatal(err)
		}
		return func() {
			if err := os.Remove(other); err != nil {
				t.Fatal(err)
			}
		}
	}},
}

// onAllDisks, set in the environment, runs what takes longer than a test should.
const onAllDisks = "LEDGERD_TEST_ALL_DISKS"

// TestDiskFillsUp fills a disk of 64 MiB by what is recorded, under the load of eight
// clients: what can wait is refused, reading goes on, and recording goes on by itself
// when there is room. Then another program takes the last byte. Nothing
// that was acknowledged is lost.
func TestDiskFillsUp(t *testing.T) {
	for _, disk := range smallDisks {
		t.Run(disk.name, func(t *testing.T) {
			if disk.name != "tmpfs" && os.Getenv(onAllDisks) == "" {
				t.Skip("runs with " + onAllDisks)
			}
			made, key := newLedger(t)
			mount := t.TempDir()
			grow := disk.make(t, mount)
			t.Cleanup(func() { system(t, "umount", mount) })
			system(t, "cp", "-a", made, mount)
			dir := filepath.Join(mount, "data")
			server, err := startChild(dir, "--memory", "128MiB")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { server.Kill() })
			s := storm.New(key)
			s.At(server.URL)
			s.Begin(t.Context(), 8)
			within(t, server, "refused because the disk is nearly full", func() bool {
				return strings.Contains(ready(t, server), "MiB free and needs")
			})
			told := s.Figures().Told
			grow()
			within(t, server, "recording again", func() bool {
				return strings.Contains(ready(t, server), `"recording":true`) && s.Figures().Told > told+50
			})

			// At 50 MiB a second there is time to stop.
			filler, err := os.Create(filepath.Join(mount, "filler"))
			if err != nil {
				t.Fatal(err)
			}
			defer filler.Close()
			for block := make([]byte, 1<<20); err == nil; time.Sleep(20 * time.Millisecond) {
				_, err = filler.Write(block)
			}
			if !errors.Is(err, unix.ENOSPC) {
				t.Fatal(err)
			}
			within(t, server, "refused because the disk is full", func() bool { return strings.Contains(ready(t, server), "nothing is recorded") })
			if _, err := s.Client("json").ListConsents(t.Context(), &appv1.ListConsentsRequest{Subject: storm.Subject(storm.Email(0, 0))}); err != nil {
				t.Errorf("reading on a full disk: %v", err)
			}
			if err := server.Stop(); err == nil || !strings.Contains(err.Error(), "too full to close the database in order") {
				t.Errorf("ending on a full disk: %v", err)
			}
			if again, err := startChild(dir, "--memory", "128MiB"); err == nil {
				again.Kill()
				t.Error("it starts on a full disk")
			} else if !strings.Contains(err.Error(), "MiB free and the database needs at least") {
				t.Errorf("starting on a full disk: %v", err)
			}

			if err := os.Remove(filler.Name()); err != nil {
				t.Fatal(err)
			}
			filler.Close()
			if server, err = startChild(dir, "--memory", "128MiB"); err != nil {
				t.Fatal(err)
			}
			s.At(server.URL)
			told = s.Figures().Told
			within(t, server, "recording after there is room", func() bool { return s.Figures().Told > told+50 })
			s.End()
			if err := errors.Join(s.Failed(), server.Stop()); err != nil {
				t.Error(err)
			}
			judge(t, dir, s)
		})
	}
}

// judge holds a ledger that nobody has open against what clients were told.
func judge(t *testing.T, dir string, s *storm.Storm) {
	t.Helper()
	opened(t, dir, func(svc *service.Service) {
		if _, err := s.Judge(svc); err != nil {
			t.Error(err)
		}
		testledger.Verify(t, svc.Log())
	})
	t.Logf("%+v", s.Figures())
}

// TestSyncsFail lets every sync of a server fail, from some moment on under load: it
// says that recording has stopped, goes on reading, and nothing that it acknowledged is
// missing after the next start.
func TestSyncsFail(t *testing.T) {
	for _, errno := range []string{"EIO", "ENOSPC"} {
		t.Run(errno, func(t *testing.T) {
			if errno != "EIO" && os.Getenv(onAllDisks) == "" {
				t.Skip("runs with " + onAllDisks)
			}
			dir, key := newLedger(t)
			server, err := startChild(dir)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { server.Kill() })
			s := storm.New(key)
			s.At(server.URL)
			s.Begin(t.Context(), 8)
			within(t, server, "under load", func() bool { return s.Figures().Told > 50 })
			undo := failing(t, server, "fdatasync,fsync,msync:error="+errno)
			within(t, server, "stopped", func() bool { return strings.Contains(server.Log.String(), "recording has stopped") })
			if said := ready(t, server); !strings.Contains(said, "until the ledger has been restarted: a write to disk failed") {
				t.Errorf("/readyz says %s", said)
			}
			if _, err := s.Client("json").ListConsents(t.Context(), &appv1.ListConsentsRequest{Subject: storm.Subject(storm.Email(0, 0))}); err != nil {
				t.Errorf("reading: %v", err)
			}
			undo()
			if err := server.Stop(); err != nil {
				t.Error(err)
			}
			if server, err = startChild(dir); err != nil {
				t.Fatal(err)
			}
			s.At(server.URL)
			told := s.Figures().Told
			within(t, server, "recording after the start", func() bool { return s.Figures().Told > told+50 })
			s.End()
			if err := errors.Join(s.Failed(), server.Stop()); err != nil {
				t.Error(err)
			}
			judge(t, dir, s)
		})
	}
}

// failing lets system calls of a running server fail, as strace(1) is told, until undo.
func failing(t *testing.T, server *child, what string) (undo func()) {
	t.Helper()
	calls, _, _ := strings.Cut(what, ":")
	cmd := exec.Command("strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace="+calls, "-e", "inject="+what, "-p", fmt.Sprint(server.Process.Pid))
	if err := cmd.Start(); err != nil {
		t.Skipf("this test needs strace: %v", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	undo = func() {
		_ = cmd.Process.Signal(syscall.SIGINT) // it lets go of the server
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			t.Error("strace does not end")
		}
	}
	select {
	case err := <-ended:
		t.Skipf("strace cannot be used here: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	return undo
}
