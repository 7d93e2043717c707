package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDemo runs the demo once, in this process, and then what it tells the
// reader to type.
func TestDemo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "it's a demo") // a name that a shell must quote
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"demo", "--dir", dir}, nil, &out, &errs); code != 0 || errs.Len() > 0 {
		t.Fatalf("exit code %d\n%s%s", code, &out, &errs)
	}
	t.Run("story", func(t *testing.T) { checkStory(t, out.String()) })
	t.Run("files", func(t *testing.T) { checkDemoFiles(t, dir) })
	t.Run("as printed", func(t *testing.T) { typeWhatIsPrinted(t, out.String()) })
	t.Run("check", func(t *testing.T) {
		var out, errs bytes.Buffer
		code := run(t.Context(), []string{"check", "--data", filepath.Join(dir, "data")}, nil, &out, &errs)
		if code != 0 || !strings.Contains(out.String(), "1 consent erased: no person and no key is there any more") {
			t.Errorf("exit code %d\n%s%s", code, &out, &errs)
		}
	})
	t.Run("deviation", func(t *testing.T) { expectTheWrong(t, dir) })
}

// checkStory checks that the phrases stand in the output in this order.
func checkStory(t *testing.T, out string) {
	if strings.Contains(out, "\x1b") {
		t.Error("there is colour in a pipe")
	}
	rest := regexp.MustCompile(`\n   (\S)`).ReplaceAllString(out, " $1") // paragraphs on one line each
	for _, phrase := range []string{
		"1. A new ledger",
		"kind purpose.defined", "validity_days 730\n       minimum_grade C\n", "authority, where to complain", "kind notice.published", "checkbox unticked",
		"kind consent.requested", "commit form_snapshot ", "NO, pending",
		"kind confirmation.sent", "notice confirm-en@1 ", "mail kept\n", "commit message ",
		"404 not_found",
		"Opening the page moves nothing", "NO, pending",
		"538s after the mail", "kind consent.confirmed", "click button\n", "already_confirmed and the same entry 9", "YES, confirmed, grade A:", "Grade A: ",
		"kind consent.used",
		"kind consent.withdrawn", "NO, withdrawn", "allowed_then YES", "allowed_in_hindsight YES", "allowed NO",
		"consent.requested ", "email a•••@example.org, form_snapshot text/html", "consent.withdrawn", "       commit message ",
		"kind request.received", "article art15\n", "who asks (identity)", "“Monthly newsletter” by e-mail: You withdrew it.", "the button on the page",
		"kind consent.confirmed", "commit scanner ", "Carl the newsletter by email? NO, grade_too_low, grade D:",
		"kind consent.given", "commit document ", "Berta the newsletter by post? YES, given, grade B:", "Berta the newsletter by email? NO, no_consent:",
		"kind subject.erased", "kind evidence.shredded", "$ verify receipt erasure-receipt.txt --policy trust.policy", "contents    recorded as destroyed 20",
		"existence   promised to be destroyed by 20", "Berta the newsletter by post? NO, unknown_subject", "Anna the newsletter by email? NO, withdrawn",
		`as "ledgerd bundle" does: anna.asice`,
		"they stand in none",
		"$ verify log export --policy trust.policy", "\n       VERIFIED\n", "no irregular facts", "Exit code 0.",
		"- time 20", "+ time 20", "$ verify log tampered --policy trust.policy", "\n       INVALID: ", "Exit code 1.",
		"$ verify bundle anna.asice --policy trust.policy", "VERIFIED, UNANCHORED", "newsletter", "YES: confirmed, by consent 6, grade A", "Exit code 0.",
		"All of it held.", "Try it yourself",
	} {
		_, after, ok := strings.Cut(rest, phrase)
		if !ok {
			t.Fatalf("the output has no %q where it should stand:\n%s", phrase, out)
		}
		rest = after
	}
}

func checkDemoFiles(t *testing.T, dir string) {
	for _, name := range []string{"data/head", "data/vault", "export/checkpoint", "trust.policy", "access-report.json", "erasure-receipt.txt", "anna.asice", "tampered/checkpoint", "server.log"} {
		if _, err := os.Stat(filepath.Join(dir, filepath.FromSlash(name))); err != nil {
			t.Error(err)
		}
	}
	names, err := filepath.Glob(filepath.Join(dir, "export/tile/entries/000.p/*"))
	if err != nil || len(names) != 1 {
		t.Fatalf("%d bundles of entries: %v", len(names), err)
	}
	good, err1 := os.ReadFile(names[0])
	bad, err2 := os.ReadFile(strings.Replace(names[0], "export", "tampered", 1))
	if err := errors.Join(err1, err2); err != nil || len(good) != len(bad) {
		t.Fatalf("%d and %d bytes: %v", len(good), len(bad), err)
	}
	differ := 0
	for i := range good {
		if good[i] != bad[i] {
			differ++
		}
	}
	if differ != 1 {
		t.Errorf("%d bytes are forged, want 1", differ)
	}
}

// typeWhatIsPrinted gives a shell the lines that the demo ends with. Only the
// program's own name is replaced, by that of this test.
func typeWhatIsPrinted(t *testing.T, out string) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is missing")
	}
	served := regexp.MustCompile(`(?m)^ +.*( serve --data .*)$`).FindStringSubmatch(out)
	curls := regexp.MustCompile(`(?m)^ +(curl .*|LEDGERD_KEY=.*)$`).FindAllStringSubmatch(out, -1)
	if served == nil || len(curls) != 3 {
		t.Fatalf("%d lines to type, and how to serve: %q", len(curls), served)
	}
	ctx, stop := context.WithCancel(t.Context())
	server := exec.CommandContext(ctx, "bash", "-c", "exec ledgerd"+served[1])
	server.Cancel = func() error { return server.Process.Signal(os.Interrupt) }
	stdout, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		stop()
		// Wait gives the context's error although the process ended well.
		if err := server.Wait(); server.ProcessState.ExitCode() != 0 {
			t.Errorf("the server: %v", err)
		}
	}()
	if n, err := stdout.Read(make([]byte, 256)); err != nil || n == 0 {
		t.Fatalf("the server did not start: %v", err)
	}
	for i, want := range []string{`"allowed":false,"reason":"withdrawn"`, `"purpose":"newsletter","channel":"email"`, "VERIFIED"} {
		got, err := exec.CommandContext(ctx, "bash", "-c", curls[i][1]).CombinedOutput()
		if err != nil || !strings.Contains(string(got), want) {
			t.Errorf("%s\nanswers, without %s: %v\n%s", curls[i][1], want, err, got)
		}
	}
}

// expectTheWrong shows that the story's comparisons can fail.
func expectTheWrong(t *testing.T, dir string) {
	var out bytes.Buffer
	s := &story{page: newPage(&out), dir: dir}
	if err := os.Remove(s.path("server.log")); err != nil {
		t.Fatal(err)
	}
	if err := s.make(); err == nil {
		t.Error("a ledger is made over the one that is there")
	}
	key, err := exec.Command("ledgerd", "apikey", "add", "--data", s.path("data"), "--role", "app", "--name", "second-shop").Output()
	if err != nil {
		t.Fatal(err)
	}
	s.keys.shop = strings.TrimSpace(string(key))
	err = s.whileServing(t.Context(), func() error {
		_, err := s.check(anna, "email", true, "confirmed")
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "expected true (confirmed), got false (withdrawn)") {
		t.Errorf("the wrong expectation held: %v", err)
	}
	if _, err := s.search("newsletter-en"); err == nil {
		t.Error("what stands in the log is not found there")
	}
}

// TestDemoRefusals: a directory that is in use, no verifier, and one that says
// yes to everything.
func TestDemoRefusals(t *testing.T) {
	var errs bytes.Buffer
	if code := run(t.Context(), []string{"demo", "--dir", "testdata"}, nil, &errs, &errs); code != 1 || !strings.Contains(errs.String(), "is not empty") {
		t.Errorf("a directory in use: exit code %d, %s", code, &errs)
	}
	program, err := exec.LookPath("ledgerd")
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := t.TempDir()
	b, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	self := filepath.Join(elsewhere, "ledgerd")
	if err := os.WriteFile(self, b, 0o755); err != nil {
		t.Fatal(err)
	}
	demo := func(want string) {
		t.Helper()
		cmd := exec.Command(self, "demo", "--dir", filepath.Join(t.TempDir(), "demo"))
		cmd.Dir = elsewhere // where there is no source
		out, err := cmd.CombinedOutput()
		if err == nil || cmd.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), want) {
			t.Errorf("%v, without %q:\n%s", err, want, out)
		}
	}
	demo("put verify beside ledgerd: go build -o DIR ./cmd/ledgerd ./cmd/verify")
	if err := os.WriteFile(filepath.Join(elsewhere, "verify"), []byte("#!/bin/sh\nprintf 'VERIFIED\\ncontents x\\nexistence x\\n'\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	demo("the exit code of verify: expected 1, got 0")
}
