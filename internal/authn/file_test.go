package authn

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
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
	key, err := Add(path, name, role, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func mustList(t *testing.T, path string) []Key {
	t.Helper()
	keys, unread, err := List(path)
	if err != nil || unread != nil {
		t.Fatal(err, unread)
	}
	return keys
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
		_, err := Add(path, c.name, App, Options{Insist: c.insist})
		if (err == nil) != c.ok {
			t.Errorf("Add(%q, insist %t): %v, want ok %t", c.name, c.insist, err, c.ok)
		}
	}
	for _, role := range []Role{"", "root", "App"} {
		if _, err := Add(path, "x"+string(role), role, Options{}); err == nil {
			t.Errorf("role %q was accepted", role)
		}
	}
}

func TestANameNeverChangesItsRole(t *testing.T) {
	path := newFile(t)
	first := mustAdd(t, path, "shop", App)
	if _, err := Add(path, "shop", App, Options{}); err == nil {
		t.Error("a second working key of one name")
	}
	if _, err := Add(path, "shop", Admin, Options{}); err == nil {
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
	if _, err := Add(path, "shop", Admin, Options{}); err == nil {
		t.Error("the name was given to another role after revocation")
	}
	second := mustAdd(t, path, "shop", App)
	if first == second {
		t.Error("the same key twice")
	}
	keys := mustList(t, path)
	if len(keys) != 2 || keys[0].Revoked.IsZero() || !keys[1].Revoked.IsZero() || keys[0].Created.IsZero() ||
		keys[1].Name != "shop" || keys[1].Role != App {
		t.Errorf("listed %+v", keys)
	}
}

// A key is replaced at once, or after a while; never one that does not work, and
// never for longer than it would have worked.
func TestReplace(t *testing.T) {
	path := newFile(t)
	first := mustAdd(t, path, "shop", App)
	for _, wrong := range []struct {
		name string
		role Role
		opt  Options
	}{
		{"nobody", App, Options{Replace: true}},
		{"shop", Admin, Options{Replace: true}},
		{"shop", App, Options{Overlap: time.Hour}},
		{"shop", App, Options{Replace: true, Overlap: -time.Second}},
		{"shop", App, Options{Replace: true, Overlap: MaxOverlap + 1}},
	} {
		if _, err := Add(path, wrong.name, wrong.role, wrong.opt); err == nil {
			t.Errorf("%+v was accepted", wrong)
		}
	}
	replace := func(opt Options) string {
		t.Helper()
		opt.Replace = true
		key, err := Add(path, "shop", App, opt)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	second := replace(Options{Overlap: time.Hour})
	third := replace(Options{Overlap: 2 * time.Hour, Expires: now().Add(24 * time.Hour)})
	k, c := load(t, path, quiet)
	work := func(when string, want ...bool) {
		t.Helper()
		for i, key := range []string{first, second, third} {
			if _, _, ok := k.Authenticate(key); ok != want[i] {
				t.Errorf("%s: key %d works: %t", when, i+1, ok)
			}
		}
	}
	work("at once", true, true, true)
	c.advance(time.Hour)
	work("after an hour", false, true, true)
	c.advance(time.Hour)
	work("after two", false, false, true)
	fourth := replace(Options{})
	c.advance(-2 * time.Hour)
	k.readAt = time.Time{}
	work("once all were replaced", false, false, false)
	if _, _, ok := k.Authenticate(fourth); !ok {
		t.Error("the fourth does not work")
	}
	if err := Revoke(path, "shop"); err != nil {
		t.Fatal(err)
	}
	k.readAt = time.Time{}
	work("once all were revoked", false, false, false)
	if _, err := Add(path, "shop", App, Options{Replace: true}); err == nil {
		t.Error("a revoked key was replaced")
	}
}

func TestConcurrentEditsLoseNothing(t *testing.T) {
	path := newFile(t)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			if _, err := Add(path, fmt.Sprintf("app-%d", i), App, Options{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if keys := mustList(t, path); len(keys) != 16 {
		t.Errorf("%d keys, want 16", len(keys))
	}
}

func TestAFileThatOthersMayReadIsRefused(t *testing.T) {
	for _, mode := range []os.FileMode{0o640, 0o604, 0o620, 0o644} {
		path := newFile(t)
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, addErr := Add(path, "shop", App, Options{})
		_, _, listErr := List(path)
		_, loadErr := Load(path, quiet)
		for _, err := range []error{addErr, listErr, loadErr, Revoke(path, "shop")} {
			if err == nil || !strings.Contains(err.Error(), "chmod 600") {
				t.Errorf("mode %04o: %v, want a refusal that says what to do", mode, err)
			}
		}
	}
}

// resealed gives the file with a change and a checksum that fits.
func resealed(t *testing.T, data []byte, from, to string) string {
	t.Helper()
	lines, _, ok := strings.Cut(string(data), "\nend ")
	changed := strings.Replace(lines+"\n", from, to, 1)
	if !ok || changed == lines+"\n" {
		t.Fatalf("%q in place of %q changes nothing", to, from)
	}
	return string(seal(changed))
}

// Whoever edits the file as root leaves it to its owner, who serves.
func TestTheFileKeepsItsOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	path := newFile(t)
	mustAdd(t, path, "shop", App)
	if err := os.Chown(path, 1000, 1001); err != nil {
		t.Fatal(err)
	}
	if err := Revoke(path, "shop"); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if st := info.Sys().(*syscall.Stat_t); st.Uid != 1000 || st.Gid != 1001 || info.Mode().Perm() != 0o600 {
		t.Errorf("it belongs to %d:%d, mode %v", st.Uid, st.Gid, info.Mode())
	}
}

func TestParsingIsStrict(t *testing.T) {
	path := newFile(t)
	mustAdd(t, path, "shop", App)
	if _, err := Add(path, "auditor", Auditor, Options{Expires: now().Add(90 * 24 * time.Hour), Rate: 50}); err != nil {
		t.Fatal(err)
	}
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
	bad := []string{"", "\n", good + "\n", strings.ReplaceAll(good, "\n", "\r\n")}
	for _, c := range [][2]string{
		{" app ", " root "}, {" app ", "  app "}, {"\nshop ", "\nledger "}, {"Z ", "+00:00 "},
		{"auditor auditor", "shop auditor"}, {"shop app ", "shop app A"}, {"Z - - ", "Z - "}, {"Z - - ", "Z - - - "},
		{"Z - - ", "Z  - "}, {"Z - - ", "Z 0001-01-01T00:00:00Z - "}, {" 50 -", " 050 -"}, {" 50 -", " 0 -"},
		{" 50 -", " -1 -"}, {" 50 -", " 1000001 -"}, {" 50 -", " 50/s -"}, {" 50 -", " +50 -"}, {" 50 -", " 50 Z"},
		{" 50 -", " 50 "}, {"v2 ", "v2  "}, {"v2 ", "v02 "}, {"v2 ", "v1 "}, {"v2 ", "2 "}, {"v2 ", "v2 A"}, {"consent", "Consent"},
	} {
		bad = append(bad, resealed(t, data, c[0], c[1]))
	}
	for _, b := range bad {
		if _, err := parseFile([]byte(b)); err == nil {
			t.Errorf("accepted %q", b)
		}
	}
}

// TestDamageIsNoticed: no bit of the file can change, and no part of it be lost,
// without being noticed; in its rate or its time a changed digit would be a digit.
func TestDamageIsNoticed(t *testing.T) {
	path := newFile(t)
	for i, name := range []string{"shop", "crm"} {
		if _, err := Add(path, name, App, Options{Expires: now().Add(time.Hour), Rate: 10 + i}); err != nil {
			t.Fatal(err)
		}
	}
	keys, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		data  []byte
		parse func([]byte) error
	}{
		"keys": {keys, func(b []byte) error { _, err := parseFile(b); return err }},
		"uses": {encodeUses(map[[32]byte]time.Time{{1}: now(), {2}: now()}), func(b []byte) error { _, err := parseUses(b); return err }},
	} {
		if err := c.parse(c.data); err != nil {
			t.Fatal(name, err)
		}
		for i := range c.data {
			for bit := range 8 {
				changed := bytes.Clone(c.data)
				changed[i] ^= 1 << bit
				if c.parse(changed) == nil {
					t.Errorf("%s: bit %d of byte %d changed unnoticed", name, bit, i)
				}
			}
			if c.parse(c.data[:i]) == nil {
				t.Errorf("%s: cut off at %d unnoticed", name, i)
			}
		}
	}
}

// old is a file as the first version wrote it; its first key is revoked.
const old = `consent-ledger/apikeys/v1 wDHUVBNaz6UyVzDdLnBcOYeKlRHGOaUxSW3Y2YCRHoc
shop app d__SUTOpqB7FeHVfAf5oQGI5VSgx0rpT3TMuQTfeK4k 2026-11-21T22:36:10Z 2026-11-22T08:00:00Z
shop app %s 2026-11-22T08:00:01Z
`

// oldHash is that of the second key, from
//
//	printf %s $KEY | openssl dgst -sha256 -mac HMAC -macopt hexkey:$PEPPER -binary | basenc --base64url
const oldHash = "mkA-tWAgWQf-Z6uEYh9CW2IjPxRxcdIjHTg8MvKPdlw"

// oldFile writes such a file, and gives the key of its second line.
func oldFile(t *testing.T) (path, key string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "apikeys")
	key = "clk_" + strings.Repeat("B", 42) + "A"
	data := fmt.Sprintf(old, oldHash)
	if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, key
}

func TestAnOldFileIsRead(t *testing.T) {
	path, key := oldFile(t)
	k, c := load(t, path, quiet)
	if id, _, ok := k.Authenticate(key); !ok || id != (Identity{"shop", App}) {
		t.Errorf("its key: %v %v", id, ok)
	}
	keys := mustList(t, path)
	if len(keys) != 2 || keys[0].Revoked.IsZero() || keys[1].ended(now()) || !keys[1].Expires.IsZero() || keys[1].Rate != 0 {
		t.Errorf("listed %+v", keys)
	}
	if data, _ := os.ReadFile(path); string(data) != fmt.Sprintf(old, oldHash) {
		t.Errorf("reading changed it to %q", data)
	}

	// The next edit makes the new version of it, and loses nothing.
	mustAdd(t, path, "crm", App)
	data, err := os.ReadFile(path)
	if err != nil || !bytes.HasPrefix(data, []byte("consent-ledger/apikeys/v2 wDHUVBNaz6UyVzDdLnBcOYeKlRHGOaUxSW3Y2YCRHoc\n")) {
		t.Errorf("after an edit: %q, %v", data, err)
	}
	if after := mustList(t, path); len(after) != 3 || !slices.Equal(after[:2], keys) {
		t.Errorf("after an edit it lists %+v, before %+v", after, keys)
	}
	c.advance(maxAgeKnown)
	if _, _, ok := k.Authenticate(key); !ok {
		t.Error("after an edit its key was refused")
	}
}

func TestAnOldFileIsReadStrictly(t *testing.T) {
	good := fmt.Sprintf(old, oldHash)
	if _, err := parseFile([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for _, c := range [][2]string{
		{" app ", " root "}, {" app ", "  app "}, {"\nshop ", "\nledger "}, {"Z\n", "+00:00\n"}, {"Z\n", "Z Z\n"}, {"Z\n", "Z -\n"},
		{"Z\n", "Z \n"}, {"shop app ", "shop auditor "}, {"v1 ", "v2 "}, {"\n", "\r\n"}, {"\nshop", "\n\nshop"},
	} {
		bad := strings.Replace(good, c[0], c[1], 1)
		if _, err := parseFile([]byte(bad)); bad == good || err == nil {
			t.Errorf("accepted %q", bad)
		}
	}
	if _, err := parseFile(seal(good)); err == nil {
		t.Error("accepted the old version with a checksum")
	}
}

// TestANewerFileIsRefusedAsSuch, and is not damaged by this program.
func TestANewerFileIsRefusedAsSuch(t *testing.T) {
	path := newFile(t)
	key := mustAdd(t, path, "shop", App)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	newer := strings.Replace(string(data), "v2", "v3", 1) // its checksum need not be ours
	var log bytes.Buffer
	k, c := load(t, path, slog.New(slog.NewTextHandler(&log, nil)))
	if err := os.WriteFile(path, []byte(newer), 0o600); err != nil {
		t.Fatal(err)
	}
	_, addErr := Add(path, "crm", App, Options{})
	_, _, listErr := List(path)
	_, loadErr := Load(path, quiet)
	for _, err := range []error{addErr, listErr, loadErr, Revoke(path, "shop")} {
		if err == nil || !strings.Contains(err.Error(), "version v3") || !strings.Contains(err.Error(), "newer") {
			t.Errorf("%v, want a refusal that names the version", err)
		}
	}
	if after, _ := os.ReadFile(path); string(after) != newer {
		t.Error("the file was changed")
	}
	c.advance(maxAgeKnown)
	if _, _, ok := k.Authenticate(key); !ok || !strings.Contains(log.String(), "version v3") {
		t.Errorf("a running server: accepted %t, log %q", ok, log.String())
	}
}

func TestExpiryAndRateAreChecked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // where it is midnight
		path := newFile(t)
		for i, c := range []struct {
			opt Options
			ok  bool
		}{
			{Options{Expires: now().Add(time.Second)}, true}, {Options{Expires: now().Add(time.Second - 1)}, false},
			{Options{Expires: now()}, false}, {Options{Expires: now().Add(-time.Hour)}, false},
			{Options{Expires: time.Date(9999, 12, 31, 23, 59, 59, 999, time.UTC)}, true},
			{Options{Expires: time.Date(9999, 12, 31, 23, 59, 59, 0, time.FixedZone("", -3600))}, false},
			{Options{Rate: 1}, true}, {Options{Rate: MaxRate}, true}, {Options{Rate: MaxRate + 1}, false}, {Options{Rate: -1}, false},
		} {
			if _, err := Add(path, fmt.Sprintf("app-%d", i), App, c.opt); (err == nil) != c.ok {
				t.Errorf("%+v: %v, want ok %t", c.opt, err, c.ok)
			}
		}
		if n := len(mustList(t, path)); n != 4 { // which reads what was written
			t.Errorf("%d keys, want 4", n)
		}
	})
}

// TestTheNameOfAnExpiredKey may have a new one, and revoking it ends both.
func TestTheNameOfAnExpiredKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := newFile(t)
		if _, err := Add(path, "shop", App, Options{Expires: now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour - time.Second)
		if _, err := Add(path, "shop", App, Options{}); err == nil {
			t.Error("a second key while the first works")
		}
		time.Sleep(time.Second)
		if _, err := Add(path, "shop", Legal, Options{}); err == nil {
			t.Error("another role")
		}
		key := mustAdd(t, path, "shop", App)
		k, err := Load(path, quiet)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, ok := k.Authenticate(key); !ok {
			t.Error("the new key does not work")
		}
		if err := Revoke(path, "shop"); err != nil {
			t.Fatal(err)
		}
		for _, k := range mustList(t, path) {
			if k.Revoked.IsZero() {
				t.Errorf("not revoked: %+v", k)
			}
		}
		time.Sleep(maxAgeKnown)
		if _, _, ok := k.Authenticate(key); ok {
			t.Error("the key that was revoked works")
		}
	})
}

func FuzzParseFile(f *testing.F) {
	f.Add([]byte(fmt.Sprintf(old, oldHash)))
	f.Add(seal("consent-ledger/apikeys/v2 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\nshop app AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA 2026-11-21T22:36:10Z - 50 -\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, data := range [][]byte{data, seal(string(data))} {
			parsed, err := parseFile(data)
			if err != nil {
				continue
			}
			again, err := parseFile(parsed.encode())
			if err != nil || !slices.Equal(again.keys, parsed.keys) || again.pepper != parsed.pepper {
				t.Errorf("%q became %q: %v", data, parsed.encode(), err)
			}
			if !bytes.HasPrefix(data, []byte(fileMagic+oldVersion)) && !bytes.Equal(parsed.encode(), data) {
				t.Errorf("two spellings: %q and %q", data, parsed.encode())
			}
		}
	})
}
