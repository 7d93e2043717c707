package main

import (
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/consentledger/consentledger/internal/load/storm"
)

// scriptWitnessing starts a witness on a free port, which quit ends:
// witnessing DIR FLAG...
func scriptWitnessing(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: witnessing DIR --logs FILE [FLAG...]")
	}
	flags := []string{"witness", "serve", "--data", ts.MkAbs(args[0]), "--listen", "127.0.0.1:0"}
	for _, a := range args[1:] {
		if !strings.HasPrefix(a, "-") {
			a = ts.MkAbs(a)
		}
		flags = append(flags, a)
	}
	c, err := storm.Launch("ledgerd", flags...)
	ts.Check(err)
	ts.Check(c.Ready())
	ts.Setenv("URL", c.URL)
	children.Store(ts, c)
	ts.Defer(c.Kill)
}

// scriptCosigns asks the witness to cosign a checkpoint, without a proof, and prints
// the answer: cosigns STATUS OLD|same FILE. The old size "same" is the checkpoint's.
func scriptCosigns(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: cosigns STATUS OLD|same FILE")
	}
	checkpoint := ts.ReadFile(args[2])
	old := args[1]
	if old == "same" {
		old = strings.Split(checkpoint, "\n")[1]
	}
	resp, err := http.Post(ts.Getenv("URL")+"/add-checkpoint", "text/plain", strings.NewReader("old "+old+"\n\n"+checkpoint))
	ts.Check(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	ts.Check(err)
	if got := strconv.Itoa(resp.StatusCode); got != args[0] {
		ts.Fatalf("the witness answers %s, want %s: %s", got, args[0], text)
	}
	_, err = ts.Stdout().Write(text)
	ts.Check(err)
}
