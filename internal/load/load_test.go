package main

import (
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/consentledger/consentledger/internal/load/storm"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"load": main})
}

// TestScenarios runs every scenario, small and short: each judges the answers that
// it gets and counts errors.
func TestScenarios(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{Dir: "testdata/script", RequireExplicitExec: true})
}

// TestStorms runs what is about ledgerd itself, small and short.
func TestStorms(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds ledgerd, and says nothing about goroutines here")
	}
	t.Parallel()
	programs, err := storm.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/storms",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("LEDGERD", programs.Ledgerd)
			e.Setenv("VERIFY", programs.Verify)
			return nil
		},
		Condition: func(name string) (bool, error) {
			switch name {
			case "mounts":
				return mounts(t), nil
			case "strace":
				_, err := exec.LookPath("strace")
				return err == nil, nil
			}
			return false, nil
		},
	})
}

// mounts reports whether this machine lets us mount.
func mounts(t *testing.T) bool {
	if _, err := exec.LookPath("mkfs.xfs"); err != nil {
		return false
	}
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		return false
	}
	dir := t.TempDir()
	if err := syscall.Mount("none", dir, "tmpfs", 0, ""); err != nil {
		return false
	}
	return syscall.Unmount(dir, 0) == nil
}
