package hostile

import (
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestMain lets attacks go on beside each other: most of their time is waiting.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "12"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// TestAttacks has a server with TLS and one without suffer every attack, a few at a
// time and each with little of it. `go run ./internal/load hostile` is the whole of it, one after
// the other.
func TestAttacks(t *testing.T) {
	program := filepath.Join(t.TempDir(), "ledgerd")
	if out, err := exec.Command("go", "build", "-o", program, "../../cmd/ledgerd").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for name, overTLS := range map[string]bool{"plain": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, err := Start(t.Context(), program, t.TempDir(), overTLS)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				// t.Context is over by now.
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				defer cancel()
				if err := v.Stop(ctx); err != nil {
					t.Error(err)
				}
			})
			t.Run("timing", func(t *testing.T) {
				t.Parallel()
				// What is asked is answered as it must be; how fast, is for a quiet machine.
				questions, err := v.Questions(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for _, q := range questions {
					if _, err := v.Time(t.Context(), q, 30); err != nil {
						t.Error(err)
					}
				}
			})
			for _, attack := range Attacks() {
				t.Run(attack.Name, func(t *testing.T) {
					t.Parallel()
					r, err := v.Suffer(t.Context(), attack, 0.02)
					t.Logf("%d sent: %v; %d other calls answered, the slowest in %v", r.Sent, r, r.Others.Answered, r.Others.Max)
					if err != nil {
						t.Error(err)
					}
				})
			}
		})
	}
}
