package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/consentledger/consentledger/internal/api/codec"
	"github.com/consentledger/consentledger/internal/authn"
	"github.com/consentledger/consentledger/internal/server"
	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/internal/wire"
	"github.com/consentledger/consentledger/proto/consent/app/v1/appv1connect"
)

// target is the server under load, and the empty handler beside it.
type target struct {
	url, empty, key string
}

// startServer runs this program again as the server of a directory, of a new
// temporary one if dir is "".
func startServer(ctx context.Context, dir string) (*target, func(), error) {
	remove := func() {}
	if dir == "" {
		made, err := os.MkdirTemp("", "consent-ledger-load-")
		if err != nil {
			return nil, nil, err
		}
		dir, remove = made, func() { os.RemoveAll(made) }
		if err := create(ctx, dir); err != nil {
			remove()
			return nil, nil, err
		}
	}
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.CommandContext(ctx, self, "serve", "--dir", dir)
	cmd.Stderr = os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		remove()
		return nil, nil, err
	}
	stop := func() {
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait()
		remove()
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	words := strings.Fields(line)
	if err != nil || len(words) != 3 {
		stop()
		return nil, nil, errors.New("the server did not start")
	}
	return &target{words[0], words[1], words[2]}, stop, nil
}

type serveCmd struct {
	Dir string `required:""`
}

// Run serves a directory's ledger and the empty handler, each on a port of its
// own, behind the same keys, until it is interrupted.
func (c *serveCmd) Run(ctx context.Context) error {
	key, err := os.ReadFile(keyOf(c.Dir))
	if err != nil {
		return err
	}
	return opened(service.Options{Dir: data(c.Dir)}, func(s *service.Service) error {
		logger := slog.New(slog.DiscardHandler)
		if os.Getenv("LOAD_LOG") != "" {
			logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
		}
		keys, err := authn.Load(filepath.Join(data(c.Dir), "apikeys"), logger)
		if err != nil {
			return err
		}
		real, err := listen(wire.Handler(s, nil, logger, "load"), keys, logger)
		if err != nil {
			return err
		}
		url := "http://" + real.Addr().String()
		mux := http.NewServeMux()
		mux.Handle(appv1connect.NewConsentServiceHandler(newEmpty(url, string(key)), codec.HandlerOptions(32<<20)...))
		idle, err := listen(mux, keys, logger)
		if err != nil {
			return err
		}
		fmt.Printf("%s http://%s %s\n", url, idle.Addr(), key)
		go idle.Run(ctx)
		return real.Run(ctx)
	})
}

func listen(h http.Handler, keys *authn.Keys, logger *slog.Logger) (*server.Server, error) {
	return server.New(server.Options{Handler: h, Keys: keys, Logger: logger, Listen: "127.0.0.1:0",
		Ready: func() server.Readiness { return server.Readiness{Recording: true} }})
}
