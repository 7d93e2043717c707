package main

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"

	"github.com/consentledger/consentledger/internal/api/codec"
	"github.com/consentledger/consentledger/internal/authn"
	"github.com/consentledger/consentledger/internal/metrics"
	"github.com/consentledger/consentledger/internal/server"
	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/internal/tlog"
	"github.com/consentledger/consentledger/internal/wire"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/proto/consent/app/v1/appv1connect"
)

// target is the server under load, and the empty handler beside it.
type target struct {
	url, empty, key string
	pid             int
}

// startServer runs this program again as the server of a directory, of a new
// temporary one if dir is "", with these further flags.
func startServer(ctx context.Context, dir string, flags ...string) (*target, func(), error) {
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
	words, end, err := startSelf(ctx, 4, append([]string{"serve", "--dir", dir}, flags...)...)
	if err != nil {
		remove()
		return nil, nil, err
	}
	pid, err := strconv.Atoi(words[3])
	return &target{words[0], words[1], words[2], pid}, func() { end(); remove() }, err
}

// startSelf runs this program again with these arguments, waits for the line of so
// many words that it prints when it is ready, and gives them.
func startSelf(ctx context.Context, count int, args ...string) (words []string, stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Stderr = os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, nil, err
	}
	stop = func() {
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait()
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if words = strings.Fields(line); err != nil || len(words) != count {
		stop()
		return nil, nil, fmt.Errorf("%s did not start", args[0])
	}
	return words, stop, nil
}

type serveCmd struct {
	Dir           string `required:""`
	WitnessPolicy string
	Interval      time.Duration
	Profile       string
}

// Run serves a directory's ledger, its log to everybody, and the empty handler, each
// on a port of its own, behind the same keys, with ledgerd's request log and metrics,
// until it is interrupted.
func (c *serveCmd) Run(ctx context.Context) error {
	if c.Profile != "" {
		f, err := os.Create(c.Profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	key, err := os.ReadFile(keyOf(c.Dir))
	if err != nil {
		return err
	}
	return opened(service.Options{Dir: data(c.Dir)}, func(s *service.Service) error {
		out := os.Stderr
		if os.Getenv("LOAD_LOG") == "" {
			var err error
			if out, err = os.OpenFile(os.DevNull, os.O_WRONLY, 0); err != nil {
				return err
			}
			defer out.Close()
		}
		logger := slog.New(slog.NewJSONHandler(out, nil))
		keys, err := authn.Load(filepath.Join(data(c.Dir), "apikeys"), logger)
		if err != nil {
			return err
		}
		witnesses, err := c.collector(s.Log(), logger)
		if err != nil {
			return err
		}
		if witnesses != nil {
			defer witnesses.Close()
		}
		real, err := listen(wire.Handler(s, wire.Options{Witnesses: witnesses, Logger: logger, Version: "load"}), keys, logger)
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
		fmt.Printf("%s http://%s %s %d\n", url, idle.Addr(), key, os.Getpid())
		go idle.Run(ctx)
		err = real.Run(ctx)
		if r := s.Recording(); c.Profile != "" && r.Groups > 0 {
			fmt.Fprintf(os.Stderr, "the server recorded %d entries in %d commits, %.1f in each\n", r.Entries, r.Groups, float64(r.Entries)/float64(r.Groups))
		}
		return err
	})
}

// collector begins to ask the policy's witnesses; nil without a policy.
func (c *serveCmd) collector(log tlog.History, logger *slog.Logger) (*tlog.Collector, error) {
	if c.WitnessPolicy == "" {
		return nil, nil
	}
	text, err := os.ReadFile(c.WitnessPolicy)
	if err != nil {
		return nil, err
	}
	policy, err := ledger.ParsePolicy(text)
	if err != nil {
		return nil, err
	}
	return tlog.StartCollector(tlog.CollectorOptions{Log: log, Policy: policy, Interval: c.Interval, Logger: logger,
		File: filepath.Join(data(c.Dir), "cosigned.checkpoint")})
}

func listen(h http.Handler, keys *authn.Keys, logger *slog.Logger) (*server.Server, error) {
	return server.New(server.Options{Handler: h, Keys: keys, Logger: logger, Requests: metrics.New("load", wire.Paths()), Listen: "127.0.0.1:0", PublicLog: true,
		Ready: func() server.Readiness { return server.Readiness{Recording: true} }})
}
