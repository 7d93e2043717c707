package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/consentledger/consentledger/internal/authn"
	"github.com/consentledger/consentledger/internal/server"
	"github.com/consentledger/consentledger/internal/service"
)

// demoCommand is `ledgerd demo`.
type demoCommand struct {
	Dir string `placeholder:"DIR" help:"Where to leave everything; must not exist or be empty. A fresh temporary directory if left out."`
}

// Help is printed by --help below the one sentence.
func (*demoCommand) Help() string {
	return `Makes a ledger, serves it on this machine, and plays a web shop that talks to it over HTTP: somebody asks for a
newsletter, confirms, is written to, withdraws, complains and is given a copy of everything; a machine clicks somebody's
link; somebody signs a card and is forgotten. Then it exports the log, has the program "verify" check the copy, forges one
character in another copy and shows that verify refuses it, and has it check the one file that a court was given. Every
answer is compared with what it has to be; the exit code is 0 only if all of it held.

Leaves DIR/data, DIR/export, DIR/trust.policy, DIR/access-report.json, DIR/erasure-receipt.txt, DIR/anna.asice,
DIR/tampered and DIR/server.log, and prints curl lines to go on with.

Example:

    ledgerd demo --dir /tmp/consent-demo`
}

func (c *demoCommand) run(ctx context.Context, std *streams) error {
	dir, err := demoDir(c.Dir)
	if err != nil {
		return err
	}
	s := &story{page: newPage(std.out), dir: dir}
	s.page.say("A shop wants to send a newsletter, and to be able to show years later, to somebody who does not trust it, that each reader "+
		"asked for it, confirmed it and had not withdrawn. This is how that goes. Everything happens on this machine and stays in %s.", dir)
	if s.verifier, err = findVerifier(ctx, dir, s.page); err != nil {
		return err
	}
	if err := s.tell(ctx); err != nil {
		return fmt.Errorf("the demo stopped: %w", err)
	}
	return s.page.err
}

// demoDir gives the absolute path of an empty directory.
func demoDir(dir string) (string, error) {
	if dir == "" {
		return os.MkdirTemp("", "consent-ledger-demo-")
	}
	list, err := os.ReadDir(dir)
	if err == nil && len(list) > 0 {
		return "", fmt.Errorf("%s is not empty; the demo needs a directory of its own", dir)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	return filepath.Abs(dir)
}

// story is one run of the demo.
type story struct {
	page     *page
	dir      string
	verifier string // the program verify
	app      client // speaks for the shop, the administrator and nobody else
	keys     struct{ admin, shop, auditor, legal string }
	address  string    // of the server, host:port
	mailed   time.Time // when the newsletter had gone out
}

func (s *story) path(elem ...string) string {
	return filepath.Join(append([]string{s.dir}, elem...)...)
}

// tell tells the story, act by act.
func (s *story) tell(ctx context.Context) error {
	if err := s.make(); err != nil {
		return err
	}
	if err := s.whileServing(ctx, func() error {
		for _, act := range []func() error{s.define, s.anna, s.carl, s.berta, s.bundle} {
			if err := act(); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return err
	}
	for _, act := range []func(context.Context) error{s.export, s.audit, s.forge, s.checkBundle} {
		if err := act(ctx); err != nil {
			return err
		}
	}
	s.goOn()
	return nil
}

// make makes the ledger and its keys, as `ledgerd init` and `ledgerd apikey` do.
func (s *story) make() (err error) {
	s.page.act("A new ledger")
	data := s.path("data")
	if s.keys.admin, err = createLedger(data, "ledger.example.com/demo", "example-shop"); err != nil {
		return err
	}
	for _, k := range []struct {
		key  *string
		name string
		role authn.Role
	}{{&s.keys.shop, "shop", authn.App}, {&s.keys.legal, "lawyer", authn.Legal}, {&s.keys.auditor, "auditor", authn.Auditor}} {
		if *k.key, err = authn.Add(apiKeys(data), k.name, k.role, authn.Options{}); err != nil {
			return err
		}
	}
	policy, err := os.ReadFile(filepath.Join(data, "trust.policy"))
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.path("trust.policy"), policy, 0o644); err != nil {
		return err
	}
	s.page.say(`"ledgerd init" made a log, which can only grow and is signed with two keys, and a vault, where personal ` +
		`data lie encrypted. "ledgerd apikey" made four API keys: for the administrator, the shop, its lawyer and the auditor. ` +
		`trust.policy holds the log's public keys; the auditor gets that file now, from us and not from the log.`)
	return nil
}

// whileServing serves the ledger on a free port while do plays the shop, and
// stops the server as an interrupt would.
func (s *story) whileServing(ctx context.Context, do func() error) error {
	logFile, err := os.OpenFile(s.path("server.log"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer logFile.Close()
	opt := service.Options{Dir: s.path("data"), Logger: slog.New(slog.NewJSONHandler(logFile, nil))}
	serving, err := startServing(opt, othersFlags{}, nil, server.Options{Listen: "127.0.0.1:0"})
	if err != nil {
		return err
	}
	s.address = serving.server.Addr().String()
	s.app = client{ctx: ctx, base: serving.url()}
	s.page.say(`"ledgerd serve" now answers at %s. From here on everything is plain HTTP and JSON.`, serving.url())
	serve, stop := context.WithCancel(ctx)
	stopped := make(chan error, 1)
	go func() { stopped <- serving.run(serve) }()
	err = do()
	stop()
	return errors.Join(err, <-stopped)
}
