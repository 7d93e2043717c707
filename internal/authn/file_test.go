package authn

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func newFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "apikeys")
	if err := Create(path); err != nil {
		t.Fatal(err)
	}
	return path
}

func mustAdd(t *testing.T, path, name string, role Role) string {
	t.Helper()
	key, err := Add(path, name, role, false)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestCreateNeverReplaces(t *testing.T) {
	path := newFile(t)
	before, _ := os.ReadFile(path)
	if err := Create(path); err == nil {
		t.Fatal("created twice")
	}
	after, _ := os.ReadFile(path)
	if !bytes.Equal(before, after) {
		t.Error("the file was changed")
	}
	other, _ := os.ReadFile(newFile(t))
	if bytes.Equal(before, other) {
		t.Error("two files have the same pepper")
	}
}

func TestTheFileHoldsNoKey(t *testing.T) {
	path := newFile(t)
	key := mustAdd(t, path, "shop-frontend", App)
	if len(key) != 47 || !strings.HasPrefix(key, "clk_") {
		t.Errorf("the key is %q, want clk_ and 43 characters", key)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(data, []byte(key[4:])) {
		t.Error("the file holds the key")
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
	if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
		t.Errorf("%d files beside the key file", len(entries)-1)
	}
}

func TestNames(t *testing.T) {
	path := newFile(t)
	for _, c := range []struct {
		name   string
		insist bool
		ok     bool
	}{
		{"shop-frontend", false, true}, {"a", false, true}, {"crm.v2", false, true}, {"shop-de", false, true},
		{"9", false, true}, {strings.Repeat("x", 64), false, true},
		{"", false, false}, {"Shop", false, false}, {"-shop", false, false}, {"shop app", false, false},
		{"shop\napp", false, false}, {strings.Repeat("x", 65), false, false}, {"müller", false, false}, {"a@b", false, false},
		{"ledger", false, false}, {"ledger", true, false},
		{"anna.muster", false, false}, {"anna_muster", false, false}, {"anna.m1.example.org", false, false},
		{"004915112345678", false, false}, {"0151-123-456", false, false},
		{"mail.relay", false, false}, {"mail.relay", true, true}, {"shop.example.org", true, true},
	} {
		_, err := Add(path, c.name, App, c.insist)
		if (err == nil) != c.ok {
			t.Errorf("Add(%q, insist %t): %v, want ok %t", c.name, c.insist, err, c.ok)
		}
	}
	for _, role := range []Role{"", "root", "App"} {
		if _, err := Add(path, "x"+string(role), role, false); err == nil {
			t.Errorf("role %q was accepted", role)
		}
	}
}

func TestANameNeverChangesItsRole(t *testing.T) {
	path := newFile(t)
	first := mustAdd(t, path, "shop", App)
	if _, err := Add(path, "shop", App, false); err == nil {
		t.Error("a second working key of one name")
	}
	if _, err := Add(path, "shop", Admin, false); err == nil {
		t.Error("the name was given to another role")
	}
	if err := Revoke(path, "shop"); err != nil {
		t.Fatal(err)
	}
	if err := Revoke(path, "shop"); err == nil {
		t.Error("revoked twice")
	}
	if err := Revoke(path, "nobody"); err == nil {
		t.Error("revoked a key that is not there")
	}
	if _, err := Add(path, "shop", Admin, false); err == nil {
		t.Error("the name was given to another role after revocation")
	}
	second := mustAdd(t, path, "shop", App)
	if first == second {
		t.Error("the same key twice")
	}
	keys, err := List(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(keys) != 2 || keys[0].Revoked.IsZero() || !keys[1].Revoked.IsZero() || keys[0].Created.IsZero() ||
		keys[1].Name != "shop" || keys[1].Role != App {
		t.Errorf("listed %+v", keys)
	}
}

func TestConcurrentEditsLoseNothing(t *testing.T) {
	path := newFile(t)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			if _, err := Add(path, fmt.Sprintf("app-%d", i), App, false); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if keys, err := List(path); err != nil || len(keys) != 16 {
		t.Errorf("%d keys, %v; want 16", len(keys), err)
	}
}

func TestAFileThatOthersMayReadIsRefused(t *testing.T) {
	for _, mode := range []os.FileMode{0o640, 0o604, 0o620, 0o644} {
		path := newFile(t)
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, addErr := Add(path, "shop", App, false)
		_, listErr := List(path)
		_, loadErr := Load(path, quiet)
		for _, err := range []error{addErr, listErr, loadErr, Revoke(path, "shop")} {
			if err == nil || !strings.Contains(err.Error(), "chmod 600") {
				t.Errorf("mode %04o: %v, want a refusal that says what to do", mode, err)
			}
		}
	}
}

func TestParsingIsStrict(t *testing.T) {
	path := newFile(t)
	mustAdd(t, path, "shop", App)
	mustAdd(t, path, "auditor", Auditor)
	if err := Revoke(path, "shop"); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := parseFile(data)
	if err != nil || !bytes.Equal(f.encode(), data) {
		t.Fatalf("%v; encoded again: %q, want %q", err, f.encode(), data)
	}
	good := string(data)
	for _, bad := range []string{
		"", "\n", good[:len(good)-1], good + "\n", strings.Replace(good, "v1", "v2", 1),
		strings.Replace(good, " app ", " root ", 1), strings.Replace(good, " app ", "  app ", 1),
		strings.Replace(good, "\nshop ", "\nledger ", 1), strings.Replace(good, "\n", "\r\n", 1),
		strings.Replace(good, "Z\n", "+00:00\n", 1), strings.Replace(good, "auditor auditor", "shop auditor", 1),
		strings.Replace(good, "Z\n", "Z Z\n", 1), strings.Replace(good, "shop app ", "shop app A", 1),
	} {
		if bad == good {
			t.Fatal("a case that changes nothing")
		}
		if _, err := parseFile([]byte(bad)); err == nil {
			t.Errorf("accepted %q", bad)
		}
	}
}

func FuzzParseFile(f *testing.F) {
	f.Add([]byte("consent-ledger/apikeys/v1 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\nshop app AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA 2026-11-21T22:36:10Z\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if parsed, err := parseFile(data); err == nil && !bytes.Equal(parsed.encode(), data) {
			t.Errorf("two spellings: %q and %q", data, parsed.encode())
		}
	})
}
