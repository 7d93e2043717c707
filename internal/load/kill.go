package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/consentledger/consentledger/internal/authn"
	"github.com/consentledger/consentledger/internal/load/storm"
	"github.com/consentledger/consentledger/internal/service"
)

// ledgerPrograms says what a run is about.
type ledgerPrograms struct {
	Ledgerd string   `help:"The program. Built from this repository, with verify, if left out." and:"programs"`
	Verify  string   `help:"The verifier." and:"programs"`
	Serve   []string `help:"Further flags for ledgerd serve, each as --serve=--flag=value." placeholder:"FLAG"`
}

// ready gives the programs, built into dir if they were not named.
func (p ledgerPrograms) ready(ctx context.Context, dir string) (storm.Programs, error) {
	if p.Ledgerd != "" {
		return storm.Programs{Ledgerd: p.Ledgerd, Verify: p.Verify}, nil
	}
	return storm.Build(ctx, dir)
}

// built builds ledgerd and verify into a temporary directory, for as long as use runs.
func built(ctx context.Context, use func(storm.Programs) error) error {
	dir, err := os.MkdirTemp("", "consent-ledger-load-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	programs, err := storm.Build(ctx, dir)
	if err != nil {
		return err
	}
	return use(programs)
}

// stormy is a run of clients against ledgerd as operators start it, on a new ledger.
type stormy struct {
	programs storm.Programs
	flags    []string // of serve
	dir      string   // the ledger is in dir/data
	app      string   // key of this role
	auditor  string

	storm    *storm.Storm
	reader   *storm.Caller
	compared *storm.Comparison
	verify   []time.Duration // how long each took
	since    string          // file with the checkpoint that was verified last; "" before
}

// inStorm makes a ledger in a new temporary directory and hands it to use. When use fails
// the directory stays, and the error says where.
func inStorm(ctx context.Context, programs ledgerPrograms, use func(*stormy) error) error {
	dir, err := os.MkdirTemp("", "consent-ledger-load-")
	if err != nil {
		return err
	}
	ready, err := programs.ready(ctx, dir)
	var s *stormy
	if err == nil {
		s, err = newStormy(ctx, ready, programs.Serve, dir)
	}
	if err == nil {
		if err = use(s); err != nil {
			return fmt.Errorf("%w\nThe ledger is kept in %s", err, dir)
		}
	}
	return errors.Join(err, os.RemoveAll(dir))
}

// newStormy makes a ledger in dir.
func newStormy(ctx context.Context, programs storm.Programs, flags []string, dir string) (*stormy, error) {
	s := &stormy{programs: programs, flags: flags, dir: dir, compared: storm.NewComparison()}
	if err := create(ctx, dir); err != nil {
		return nil, err
	}
	key, err := os.ReadFile(keyOf(dir))
	if err != nil {
		return nil, err
	}
	if s.auditor, err = authn.Add(filepath.Join(data(dir), "apikeys"), "auditor", authn.Auditor, authn.Options{}); err != nil {
		return nil, err
	}
	s.app = string(key)
	s.storm, s.reader = storm.New(s.app), storm.NewCaller(s.auditor)
	return s, nil
}

// launch starts the server.
func (s *stormy) launch() (*storm.Server, error) {
	return storm.LaunchServe(s.programs.Ledgerd, data(s.dir), s.flags...)
}

// hold holds the log that is served at url against what the clients were told, and
// against the checkpoint of the time before, as an auditor would. The clients must be
// at rest.
func (s *stormy) hold(ctx context.Context, url string) error {
	s.reader.At(url)
	if err := s.compared.Continue(s.storm, s.reader.Served(ctx)); err != nil {
		return err
	}
	begin := time.Now()
	if err := s.programs.VerifyLog(ctx, url+"/log", s.auditor, filepath.Join(data(s.dir), "trust.policy"), s.since); err != nil {
		return err
	}
	s.verify = append(s.verify, time.Since(begin))
	return s.keepCheckpoint(ctx, url)
}

// keepCheckpoint keeps what the log must contain the next time.
func (s *stormy) keepCheckpoint(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/log/checkpoint", nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+s.auditor)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	checkpoint, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("reading the checkpoint: %s: %w", resp.Status, errors.Join(err))
	}
	s.since = filepath.Join(s.dir, "kept.checkpoint")
	return os.WriteFile(s.since, checkpoint, 0o600)
}

// end repeats calls, ends the server and judges what it leaves.
func (s *stormy) end(ctx context.Context, server *storm.Server) error {
	if err := s.storm.RepeatAll(ctx, 1000); err != nil {
		return err
	}
	if err := s.hold(ctx, server.URL); err != nil {
		return err
	}
	if err := server.Stop(); err != nil {
		return err
	}
	if err := s.programs.Check(ctx, data(s.dir)); err != nil {
		return err
	}
	return opened(service.Options{Dir: data(s.dir)}, func(svc *service.Service) error {
		_, err := s.storm.Judge(svc)
		return err
	})
}

// print tells what came of it; nothing is missing and nothing stands twice, because that
// would have been an error.
func (s *stormy) print() {
	f := s.storm.Figures()
	fmt.Printf("%d answers said what was recorded; %d tries had none and were made again; %d people were erased\n", f.Told, f.Unanswered, f.Erased)
	fmt.Printf("%d entries: 0 acknowledged are missing, 0 stand twice, %d times verified since the checkpoint of the time before\n", s.compared.Size, len(s.verify))
	fmt.Printf("start until ready: %s; verify: %s\n", spread(f.Starts), spread(s.verify))
	if len(f.Drains) > 0 {
		fmt.Printf("SIGTERM to the end: %s; %d servers were started too early and refused\n", spread(f.Drains), f.Refused)
	}
}

// spread gives the median and the longest of some times.
func spread(times []time.Duration) string {
	if len(times) == 0 {
		return "never"
	}
	slices.Sort(times)
	return fmt.Sprintf("p50 %v, longest %v", times[len(times)/2].Round(time.Millisecond), times[len(times)-1].Round(time.Millisecond))
}

type killCmd struct {
	ledgerPrograms
	Kills   int `help:"How often the server is killed, every fourth time again while it starts." default:"200"`
	Clients int `help:"How many clients post meanwhile." default:"64"`
}

func (*killCmd) Help() string {
	return `Kills ledgerd with SIGKILL at random moments, also while it starts, and starts it again, while clients post at full speed
over JSON, Connect and gRPC and repeat what was not answered. After every kill the whole log is verified with verify, since
the checkpoint of the kill before, and held against everything that anybody was told: each answer stands there, and
nothing stands there twice. In the end ledgerd check looks at everything. The first thing that is wrong ends the run, with
exit code 1.

Example:

    go run ./internal/load kill --kills 200 --clients 64`
}

// Run kills, and prints figures.
func (c *killCmd) Run(ctx context.Context) error {
	return inStorm(ctx, c.ledgerPrograms, func(s *stormy) error {
		return s.endings(ctx, storm.Ending{Times: c.Kills, Clients: c.Clients})
	})
}

// endings ends the server again and again, and judges after each.
func (s *stormy) endings(ctx context.Context, e storm.Ending) error {
	bar := newProgress("endings", int64(e.Times))
	defer bar.finish()
	e.Launch = s.launch
	e.After = func(ctx context.Context, _ int, url string) error {
		defer bar.add(1)
		return s.hold(ctx, url)
	}
	server, err := s.storm.Endings(ctx, e)
	if server != nil {
		defer server.Kill()
	}
	if err != nil {
		return err
	}
	if err := s.end(ctx, server); err != nil {
		return err
	}
	bar.finish()
	fmt.Printf("%d endings under the load of %d clients\n", e.Times, e.Clients)
	s.print()
	return nil
}
