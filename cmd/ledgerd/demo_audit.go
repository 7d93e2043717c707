package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/consentledger/consentledger/internal/service"
)

const verifyPackage = "github.com/consentledger/consentledger/cmd/verify"

// findVerifier gives the program verify: beside this one, or built from source.
// It is another program on purpose, because whoever checks the operator should
// not have to run the operator's code.
func findVerifier(ctx context.Context, dir string, page *page) (string, error) {
	name := "verify"
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), name)
		if info, err := os.Stat(beside); err == nil && info.Mode().IsRegular() {
			return beside, nil
		}
	}
	page.say("The auditor's program, verify, is built from source first; that takes some seconds.")
	built := filepath.Join(dir, "bin", name)
	out, err := exec.CommandContext(ctx, "go", "build", "-o", built, verifyPackage).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("the demo ends with the program verify, which is not beside ledgerd and could not be built here (%w%s). "+
			"In the source directory run `go run ./cmd/ledgerd demo`, or put verify beside ledgerd: go build -o DIR ./cmd/ledgerd ./cmd/verify",
			err, indent(string(out)))
	}
	return built, nil
}

func indent(text string) string {
	if text = strings.TrimSpace(text); text == "" {
		return ""
	}
	return ": " + strings.ReplaceAll(text, "\n", "; ")
}

// export copies the log for the auditor and looks for personal data in it.
func (s *story) export(ctx context.Context) error {
	s.page.act("The server stops, and the log is copied for an auditor")
	err := onStopped(ctx, service.Options{Dir: s.path("data"), Logger: slog.New(slog.DiscardHandler)}, func(svc *service.Service) error {
		return (&exportCommand{Out: s.path("export")}).export(svc, io.Discard)
	})
	if err != nil {
		return err
	}
	files, err := s.search(anna, berta, carl, "Berta Example")
	if err != nil {
		return err
	}
	s.page.say(`"ledgerd export" wrote plain files. We searched all %d files of export/, data/ (the vault, too), server.log and the `+
		`receipt for the three addresses and Berta's name: they stand in none.`, files)
	return nil
}

// search looks for texts in everything that the ledger wrote.
func (s *story) search(texts ...string) (files int, err error) {
	for _, root := range []string{s.path("export"), s.path("data"), s.path("server.log"), s.path(erasureReceipt)} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			files++
			content, err := os.ReadFile(path)
			for _, text := range texts {
				if err == nil && bytes.Contains(content, []byte(text)) {
					err = unexpected("personal data in "+path, "none", "an address")
				}
			}
			return err
		})
		if err != nil {
			return files, err
		}
	}
	if files < 10 {
		return files, unexpected("the files of the ledger and its copy", "at least 10", fmt.Sprint(files))
	}
	return files, nil
}

// audit runs the verifier over the copy.
func (s *story) audit(ctx context.Context) error {
	s.page.act("The auditor checks the copy with a separate program, offline")
	out, err := s.verify(ctx, "log", "export", 0)
	if err != nil {
		return err
	}
	s.page.quote(out)
	s.page.say("Exit code 0. It had nothing but export/ and trust.policy; every rule was checked again, none was taken on trust.")
	return nil
}

// verify runs `verify log` or `verify receipt` on what the demo left and compares
// its exit code.
func (s *story) verify(ctx context.Context, kind, name string, want int) (string, error) {
	args := []string{kind, s.path(name), "--policy", s.path("trust.policy")}
	s.page.print("   $ verify %s %s --policy trust.policy\n", kind, name)
	cmd := exec.CommandContext(ctx, s.verifier, args...)
	cmd.Env = []string{} // no key, no proxy, nothing to lean on
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return "", fmt.Errorf("running verify: %w", err)
	}
	if got := cmd.ProcessState.ExitCode(); got != want {
		return "", unexpected("the exit code of verify", fmt.Sprint(want), fmt.Sprintf("%d: %s", got, out.String()))
	}
	return out.String(), nil
}

// forge changes one character of an entry in another copy.
func (s *story) forge(ctx context.Context) error {
	s.page.act("Somebody forges one character")
	if err := os.CopyFS(s.path("tampered"), os.DirFS(s.path("export"))); err != nil {
		return err
	}
	was, is, err := s.forgeWithdrawal()
	if err != nil {
		return err
	}
	s.page.say("In a copy of the copy, tampered/, Anna's withdrawal is moved to another year, as if the shop had been allowed to write to her until then:")
	s.page.quote("- " + was + "\n+ " + is)
	out, err := s.verify(ctx, "log", "tampered", 1)
	if err != nil {
		return err
	}
	verdict, _, _ := strings.Cut(out, "\n")
	if !strings.HasPrefix(verdict, "INVALID") {
		return unexpected("the verdict on the forgery", "INVALID", verdict)
	}
	s.page.quote(verdict)
	s.page.say("Exit code 1. Whoever holds the signing keys could sign another history, but not one that fits a checkpoint that an auditor kept " +
		"(verify log --since).")
	return nil
}

// forgeWithdrawal changes the last digit of the year in which the withdrawal was
// recorded, in the one bundle of entries that so short a log has.
func (s *story) forgeWithdrawal() (was, is string, err error) {
	bundles, err := filepath.Glob(s.path("tampered", "tile", "entries", "000.p", "*"))
	if err != nil || len(bundles) != 1 {
		return "", "", errors.Join(err, unexpected("the bundles of entries", "1", fmt.Sprint(len(bundles))))
	}
	b, err := os.ReadFile(bundles[0])
	if err != nil {
		return "", "", err
	}
	kind := bytes.Index(b, []byte("\nkind consent.withdrawn\n"))
	begin := bytes.LastIndex(b[:max(kind, 0)], []byte("\ntime ")) + 1
	if kind < 0 || begin < 1 {
		return "", "", unexpected("the copied entries", "a withdrawal", "none")
	}
	was = string(b[begin:kind])
	digit := &b[begin+len("time 202")]
	*digit = '0' + (*digit-'0'+1)%10
	return was, string(b[begin:kind]), os.WriteFile(bundles[0], b, 0o644)
}
