package authn

import (
	"bytes"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// loadNow loads the file under the clock of the test's bubble.
func loadNow(t *testing.T, path string, log *slog.Logger) *Keys {
	t.Helper()
	k, err := Load(path, log)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func mustAuthenticate(t *testing.T, k *Keys, key string) {
	t.Helper()
	if _, _, ok := k.Authenticate(key); !ok {
		t.Error("a working key was refused")
	}
}

func lastUsed(t *testing.T, path, name string) time.Time {
	t.Helper()
	for _, k := range mustList(t, path) {
		if k.Name == name {
			return k.LastUsed
		}
	}
	t.Fatalf("there is no key %q", name)
	return time.Time{}
}

// writings counts how often the file of uses is replaced while do runs, looking
// every second.
func writings(path string, do func()) int {
	n := 0
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		last, _ := os.Stat(usesPath(path))
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Second):
			}
			if info, err := os.Stat(usesPath(path)); err == nil && (last == nil || !os.SameFile(last, info) || !info.ModTime().Equal(last.ModTime())) {
				last = info
				n++
			}
		}
	})
	do()
	close(stop)
	wg.Wait()
	return n
}

func TestLastUsedIsWrittenOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := newFile(t)
		shop, crm := mustAdd(t, path, "shop", App), mustAdd(t, path, "crm", App)
		mustAdd(t, path, "idle", App)
		k := loadNow(t, path, quiet)
		n := writings(path, func() {
			for range 600 { // ten minutes
				mustAuthenticate(t, k, shop)
				time.Sleep(time.Second)
			}
		})
		if n < 9 || n > 10 {
			t.Errorf("written %d times in ten minutes of calls", n)
		}
		mustAuthenticate(t, k, crm)
		at := now()
		time.Sleep(writeUsesAfter + time.Second) // the only call of crm, and nothing after it
		if got := lastUsed(t, path, "crm"); !got.Equal(at) {
			t.Errorf("crm was used at %v, listed %v", at, got)
		}
		if got := lastUsed(t, path, "shop"); !got.Equal(at.Add(-time.Second)) {
			t.Errorf("shop was used at %v, listed %v", at.Add(-time.Second), got)
		}
		if got := lastUsed(t, path, "idle"); !got.IsZero() {
			t.Errorf("idle was never used, listed %v", got)
		}
		if n := writings(path, func() { time.Sleep(time.Hour) }); n != 0 {
			t.Errorf("written %d times without a call", n)
		}
	})
}

func TestLastUsedIsWrittenAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := newFile(t)
		key, ended := mustAdd(t, path, "shop", App), mustAdd(t, path, "ended", App)
		if err := Revoke(path, "ended"); err != nil {
			t.Fatal(err)
		}
		k := loadNow(t, path, quiet)
		k.WriteUses()
		if _, err := os.Stat(usesPath(path)); err == nil {
			t.Error("written although nothing was used")
		}
		at := now()
		mustAuthenticate(t, k, key)
		k.Authenticate(ended)
		k.Authenticate(keyPrefix + strings.Repeat("A", 43))
		k.WriteUses()
		if got := lastUsed(t, path, "shop"); !got.Equal(at) {
			t.Errorf("used at %v, listed %v", at, got)
		}
		if got := lastUsed(t, path, "ended"); !got.IsZero() {
			t.Errorf("a key that was refused is listed as used at %v", got)
		}
		info, err := os.Stat(usesPath(path))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
		}
		if n := writings(path, func() { k.WriteUses(); time.Sleep(2 * time.Second) }); n != 0 {
			t.Error("written again although nothing was used since")
		}
		// A revoked key's last use stays.
		if err := Revoke(path, "shop"); err != nil {
			t.Fatal(err)
		}
		if got := lastUsed(t, path, "shop"); !got.Equal(at) {
			t.Errorf("after revocation: used at %v, listed %v", at, got)
		}
	})
}

// TestLastUsedNeverGoesBack: not after a crash, and not with the clock.
func TestLastUsedNeverGoesBack(t *testing.T) {
	path := newFile(t)
	key := mustAdd(t, path, "shop", App)
	k, c := load(t, path, quiet)
	c.t = time.Date(2026, 11, 22, 12, 0, 0, 5, time.UTC)
	mustAuthenticate(t, k, key)
	c.advance(-time.Minute)
	mustAuthenticate(t, k, key)
	c.advance(time.Minute)
	k.WriteUses()
	first := lastUsed(t, path, "shop")
	if want := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC); !first.Equal(want) {
		t.Fatalf("listed %v, want %v", first, want)
	}
	c.advance(-time.Hour)
	mustAuthenticate(t, k, key)
	k.WriteUses()
	again, other := load(t, path, quiet) // after a crash; its clock is behind, too
	other.t = c.t
	mustAuthenticate(t, again, key)
	again.WriteUses()
	if got := lastUsed(t, path, "shop"); !got.Equal(first) {
		t.Errorf("listed %v, before %v", got, first)
	}
	other.advance(2 * time.Hour)
	mustAuthenticate(t, again, key)
	again.WriteUses()
	if got := lastUsed(t, path, "shop"); !got.Equal(first.Add(time.Hour)) {
		t.Errorf("listed %v, want an hour after %v", got, first)
	}
}

// TestLastUsedIsNoReasonToFail: whatever is wrong with the file, keys are accepted,
// what is there is not replaced, list and log say what is wrong, and when that is
// over nothing was lost.
func TestLastUsedIsNoReasonToFail(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(path string) error
		says  string
	}{
		"damaged":     {func(p string) error { return os.WriteFile(p, []byte("damaged\n"), 0o600) }, "may be deleted"},
		"empty":       {func(p string) error { return os.WriteFile(p, nil, 0o600) }, "empty"},
		"newer":       {func(p string) error { return os.WriteFile(p, []byte(usesMagic+"v2\n?\n"), 0o600) }, "version v2"},
		"too open":    {func(p string) error { return os.WriteFile(p, nil, 0o644) }, "chmod 600"},
		"a directory": {func(p string) error { return os.Mkdir(p, 0o700) }, "regular file"},
		"too large":   {func(p string) error { return os.WriteFile(p, make([]byte, maxFileSize+1), 0o600) }, "larger"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				path := newFile(t)
				key := mustAdd(t, path, "shop", App)
				if err := c.spoil(usesPath(path)); err != nil {
					t.Fatal(err)
				}
				before, _ := os.ReadFile(usesPath(path))
				var log bytes.Buffer
				k := loadNow(t, path, slog.New(slog.NewTextHandler(&log, nil)))
				at := now()
				mustAuthenticate(t, k, key)
				time.Sleep(5 * writeUsesAfter)
				k.WriteUses()
				if n := strings.Count(log.String(), "cannot be written"); n != 1 || !strings.Contains(log.String(), c.says) {
					t.Errorf("the log says it %d times, want once with %q: %s", n, c.says, log.String())
				}
				keys, unread, err := List(path)
				if err != nil || len(keys) != 1 || unread == nil || !strings.Contains(unread.Error(), c.says) {
					t.Errorf("listed %d keys, %v, %v", len(keys), unread, err)
				}
				if after, _ := os.ReadFile(usesPath(path)); !bytes.Equal(before, after) {
					t.Errorf("it was replaced by %q", after)
				}
				if err := os.RemoveAll(usesPath(path)); err != nil {
					t.Fatal(err)
				}
				time.Sleep(writeUsesAfter + time.Second)
				if got := lastUsed(t, path, "shop"); !got.Equal(at) {
					t.Errorf("used at %v, listed %v", at, got)
				}
			})
		})
	}
}

func TestADirectoryThatIsGoneHurtsNobody(t *testing.T) {
	path := newFile(t)
	key := mustAdd(t, path, "shop", App)
	k := loadNow(t, path, quiet)
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	u := &uses{path: path + "/missing/used", log: quiet, pending: make(map[[32]byte]time.Time)}
	k.uses = u
	mustAuthenticate(t, k, key)
	k.WriteUses()
	if len(u.pending) != 1 {
		t.Error("what could not be written is lost")
	}
	u.timer.Stop()
}

func TestUsesAreParsedStrictly(t *testing.T) {
	all := map[[32]byte]time.Time{{1}: now(), {2}: now().Add(-time.Hour), {0xff}: now().Add(-time.Minute)}
	data := encodeUses(all)
	got, err := parseUses(data)
	if err != nil || !maps.EqualFunc(got, all, time.Time.Equal) || !bytes.Equal(encodeUses(got), data) {
		t.Fatalf("%v, %v; want %v", got, err, all)
	}
	lines := strings.SplitAfter(string(data), "\n")
	for name, bad := range map[string]string{
		"nothing":       "",
		"no checksum":   strings.Join(lines[:4], ""),
		"out of order":  string(seal(lines[0] + lines[2] + lines[1] + lines[3])),
		"twice":         string(seal(lines[0] + lines[1] + lines[1])),
		"two times":     string(seal(lines[0] + lines[1] + lines[1][:44] + "2030-01-01T00:00:00Z\n")),
		"no time":       string(seal(lines[0] + lines[1][:43] + "\n")),
		"no use":        string(seal(lines[0] + lines[1][:43] + " -\n")),
		"fraction":      string(seal(lines[0] + lines[1][:44] + "2030-01-01T00:00:00.5Z\n")),
		"a third field": string(seal(lines[0] + strings.Replace(lines[1], "\n", " x\n", 1))),
		"the keys":      string(seal(fileMagic + "v2 " + strings.Repeat("A", 43) + "\n")),
	} {
		if _, err := parseUses([]byte(bad)); err == nil {
			t.Errorf("%s: accepted %q", name, bad)
		}
	}
}

func FuzzParseUses(f *testing.F) {
	f.Add(encodeUses(map[[32]byte]time.Time{{1}: time.Unix(1795300000, 0).UTC()}))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, data := range [][]byte{data, seal(string(data))} {
			if all, err := parseUses(data); err == nil && !bytes.Equal(encodeUses(all), data) {
				t.Errorf("two spellings: %q and %q", data, encodeUses(all))
			}
		}
	})
}

func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := newFile(t)
		key, err := Add(path, "shop", App, Options{Expires: now().Add(90 * 24 * time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		k := loadNow(t, path, quiet)
		time.Sleep(90*24*time.Hour - time.Second)
		mustAuthenticate(t, k, key)
		time.Sleep(time.Second)
		if id, _, ok := k.Authenticate(key); ok || id != (Identity{}) {
			t.Errorf("an expired key was accepted as %v", id)
		}
		k.WriteUses()
	})
}

func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := newFile(t)
		slow, err := Add(path, "slow", App, Options{Rate: 5})
		if err != nil {
			t.Fatal(err)
		}
		free := mustAdd(t, path, "free", App)
		k := loadNow(t, path, quiet)
		passed := func(calls int) (n int) {
			for range calls {
				_, wait, ok := k.Authenticate(slow)
				if !ok || wait > time.Second {
					t.Fatalf("ok %t, wait %v", ok, wait)
				}
				if wait == 0 {
					n++
				}
			}
			return n
		}
		if n := passed(100); n != 5 {
			t.Errorf("at once %d calls pass, want 5", n)
		}
		time.Sleep(200 * time.Millisecond)
		if n := passed(100); n != 1 {
			t.Errorf("after a fifth of a second %d calls pass, want 1", n)
		}
		// Another edit of the file gives nothing back.
		mustAdd(t, path, "crm", App)
		time.Sleep(maxAgeKnown)
		if n := passed(100); n != 5 {
			t.Errorf("after a second %d calls pass, want 5", n)
		}
		_, wait, _ := k.Authenticate(slow)
		time.Sleep(wait - time.Nanosecond)
		if n := passed(1); n != 0 {
			t.Error("a call passes before the time that was told")
		}
		time.Sleep(time.Nanosecond)
		if n := passed(1); n != 1 {
			t.Error("no call passes after the time that was told")
		}
		for range 1000 {
			if _, wait, ok := k.Authenticate(free); !ok || wait != 0 {
				t.Fatalf("without a rate: %t, wait %v", ok, wait)
			}
		}
		k.WriteUses()
	})
}

// TestPaceAgainstCounting compares with every call that was let through: over no
// time are there more than the rate allows, and none waits without need.
func TestPaceAgainstCounting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.SampledFrom([]int{1, 2, 3, 7, 50, 999, MaxRate}).Draw(t, "rate")
		each := time.Second / time.Duration(rate)
		at := time.Unix(1795300000, 0)
		var p pace
		var passed []time.Time
		for _, gap := range rapid.SliceOfN(rapid.Int64Range(0, int64(3*each)), 1, 60).Draw(t, "gaps") {
			at = at.Add(time.Duration(gap))
			wait := p.take(at, rate)
			if wait == 0 {
				passed = append(passed, at)
				for i, first := range passed {
					calls, span := len(passed)-i, at.Sub(first)
					if float64(calls) > float64(rate)*(span.Seconds()+1)+1e-6 {
						t.Fatalf("%d calls in %v at %d/s", calls, span, rate)
					}
				}
				continue
			}
			// Whoever has to wait has had the calls of the second before it.
			recent := slices.IndexFunc(passed, func(x time.Time) bool { return x.After(at.Add(-time.Second - each)) })
			if recent < 0 || wait > time.Second {
				t.Fatalf("waits %v at %d/s after %d calls", wait, rate, len(passed))
			}
			later := p
			if w := later.take(at.Add(wait), rate); w != 0 {
				t.Fatalf("after waiting %v has to wait %v", wait, w)
			}
			if earlier := p; earlier.take(at.Add(wait-1), rate) == 0 {
				t.Fatalf("told to wait %v, which is too long", wait)
			}
		}
	})
}

// BenchmarkAuthenticate shows that the time is that of the file's length, and the
// same for keys that are unknown, revoked and expired. A file of 1,000 keys.
func BenchmarkAuthenticate(b *testing.B) {
	var f file
	keys := make([]string, 1000)
	for i := range keys {
		keys[i] = keyPrefix + b64.EncodeToString(bytes.Repeat([]byte{byte(i), byte(i >> 8)}, 16))
		f.keys = append(f.keys, record{Key{Name: "shop", Role: App, Created: now()}, f.hash(keys[i])})
	}
	f.keys[500].Revoked, f.keys[501].Expires = now(), now()
	k := &Keys{path: "", log: quiet, now: time.Now, file: &f, readAt: time.Now().Add(time.Hour),
		uses: &uses{path: b.TempDir() + "/used", log: quiet, pending: make(map[[32]byte]time.Time)}}
	for _, c := range []struct{ name, key string }{
		{"first", keys[0]}, {"last", keys[999]}, {"revoked", keys[500]}, {"expired", keys[501]},
		{"unknown", keyPrefix + strings.Repeat("A", 43)}, {"malformed", "Basic"},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				k.Authenticate(c.key)
			}
		})
	}
	if k.uses.timer != nil {
		k.uses.timer.Stop()
	}
}
