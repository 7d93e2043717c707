package main

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// postgres is a PostgreSQL with a cluster of its own in a temporary directory, reached
// by a socket there. It syncs every commit, as it does if nobody says otherwise.
type postgres struct {
	bin    string // where its programs are
	dir    string
	as     *syscall.SysProcAttr // who runs it: it refuses root
	server *exec.Cmd
	known  map[string]int // rows that it acknowledged, by table
}

//go:embed postgresql.sql
var postgresSchema string

// postgresInsert is the event of RequestConsent as pgbench makes it.
const postgresInsert = `\set n random(1, 1000000000000)
INSERT INTO %s (email, purpose, channel, notice, method, claims) VALUES ('person-' || :n::text || '@mail.example', 'newsletter', 'email', 'newsletter-de@1', 'web_form',
 '{"ip": "192.0.2.7", "user_agent": "` + userAgent + `", "page_url": "https://shop.example/newsletter"}') RETURNING index;
`

// startPostgreSQL makes the cluster and starts it.
func startPostgreSQL(ctx context.Context) (p *postgres, err error) {
	p = &postgres{known: map[string]int{}, as: new(syscall.SysProcAttr)}
	if p.bin, err = postgresPrograms(); err != nil {
		return nil, err
	}
	if p.dir, err = os.MkdirTemp("", "consent-ledger-postgresql-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			p.stop()
			p = nil
		}
	}()
	if os.Geteuid() == 0 {
		if err := p.asUser("postgres"); err != nil {
			return p, err
		}
	}
	if _, err := p.run(ctx, "initdb", "-D", p.at("cluster"), "-U", "load", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"); err != nil {
		return p, err
	}
	p.server = p.command(ctx, "postgres", "-D", p.at("cluster"), "-k", p.dir, "-h", "", "-c", "max_connections=400",
		"-c", "fsync=on", "-c", "synchronous_commit=on", "-c", "full_page_writes=on")
	// It ends in order at SIGINT, without waiting for its clients.
	p.server.Cancel = func() error { return p.server.Process.Signal(os.Interrupt) }
	log, err := os.Create(p.at("log"))
	if err != nil {
		return p, err
	}
	defer log.Close()
	p.server.Stdout, p.server.Stderr = log, log
	if err := p.server.Start(); err != nil {
		p.server = nil
		return p, err
	}
	for begin := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if _, err = p.run(ctx, "pg_isready", "-h", p.dir, "-q"); err == nil {
			break
		} else if time.Since(begin) > 30*time.Second || ctx.Err() != nil {
			text, _ := os.ReadFile(p.at("log"))
			return p, fmt.Errorf("PostgreSQL did not start: %w: %s", err, text)
		}
	}
	if _, err := p.sql(ctx, postgresSchema); err != nil {
		return p, err
	}
	return p, nil
}

// postgresPrograms finds Debian's newest version, or what is in the PATH.
func postgresPrograms() (string, error) {
	if list, err := filepath.Glob("/usr/lib/postgresql/*/bin/pgbench"); err == nil && len(list) > 0 {
		return filepath.Dir(list[len(list)-1]), nil
	}
	if pgbench, err := exec.LookPath("pgbench"); err == nil {
		pgbench, err = filepath.EvalSymlinks(pgbench)
		return filepath.Dir(pgbench), err
	}
	return "", errors.New("PostgreSQL is not installed; install it with: apt-get install postgresql. Its own cluster is not used and may be stopped")
}

// asUser lets another user run it in its directory.
func (p *postgres) asUser(name string) error {
	u, err := user.Lookup(name)
	if err != nil {
		return err
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return err
	}
	p.as.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return os.Chown(p.dir, uid, gid)
}

func (p *postgres) at(name string) string { return filepath.Join(p.dir, name) }

func (p *postgres) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(p.bin, name), args...)
	cmd.Dir, cmd.SysProcAttr = p.dir, p.as
	return cmd
}

// run runs one of its programs and gives what it wrote to its standard output.
func (p *postgres) run(ctx context.Context, name string, args ...string) (string, error) {
	cmd := p.command(ctx, name, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", name, err, errs.Bytes())
	}
	return out.String(), nil
}

func (p *postgres) sql(ctx context.Context, text string) (string, error) {
	out, err := p.run(ctx, "psql", "-h", p.dir, "-U", "load", "-d", "postgres", "-qAt", "-v", "ON_ERROR_STOP=1", "-c", text)
	return strings.TrimSpace(out), err
}

func (p *postgres) stop() {
	if p.server != nil {
		p.server.Process.Signal(os.Interrupt)
		p.server.Wait()
	}
	os.RemoveAll(p.dir)
}

// rows are inserts with a hash chain and without.
func (p *postgres) rows(clients int, rate float64) (list []*tableRow) {
	for _, table := range []string{"chained", "plain"} {
		list = append(list, &tableRow{what: "postgresql " + table, clients: clients, turn: func(ctx context.Context, r *result, duration time.Duration) error {
			return p.turn(ctx, r, table, clients, rate, duration)
		}})
	}
	return list
}

// turn lets pgbench insert, for a whole number of seconds, and adds what it has measured.
// It counts from when the clients are connected, and with a rate latencies from when an
// insert was due. CPU times are not told: connecting takes most of them in short turns.
func (p *postgres) turn(ctx context.Context, r *result, table string, clients int, rate float64, duration time.Duration) error {
	if err := os.WriteFile(p.at("script"), fmt.Appendf(nil, postgresInsert, table), 0o644); err != nil {
		return err
	}
	args := []string{"-h", p.dir, "-U", "load", "-n", "-M", "prepared", "-f", p.at("script"), "-c", strconv.Itoa(clients), "-j", strconv.Itoa(min(clients, 2)),
		"-T", strconv.Itoa(max(1, int(duration.Round(time.Second).Seconds()))), "--log", "--log-prefix", p.at("took"), "postgres"}
	if rate > 0 {
		args = append([]string{"--rate", strconv.FormatFloat(rate, 'f', -1, 64)}, args...)
	}
	cmd := p.command(ctx, "pgbench", args...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("pgbench: %w: %s", err, errs.Bytes())
	}
	logs, err := filepath.Glob(p.at("took.*"))
	if err != nil {
		return err
	}
	count := 0
	for _, name := range logs {
		n, err := r.readPgbench(name)
		if err != nil {
			return err
		}
		count += n
	}
	took := duration // if nothing was done at all
	if count > 0 {
		_, rest, _ := strings.Cut(string(out), "\ntps = ")
		text, _, _ := strings.Cut(rest, " ")
		perSecond, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return fmt.Errorf("pgbench did not say how much it did: %s", out)
		}
		took = time.Duration(float64(count) / perSecond * float64(time.Second))
	}
	p.known[table] += count
	r.items += count
	r.elapsed += took
	r.rate = float64(r.items) / r.elapsed.Seconds()
	slices.Sort(r.sorted)
	return nil
}

// readPgbench adds the latencies of a log of pgbench, gives how many there are, and removes it.
func (r *result) readPgbench(name string) (count int, err error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer os.Remove(name)
	defer f.Close()
	for lines := bufio.NewReader(f); ; count++ {
		line, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return count, nil
		} else if err != nil {
			return 0, err
		}
		words := strings.Fields(line) // client, number, microseconds, …
		if len(words) < 3 {
			return 0, fmt.Errorf("a line of pgbench: %q", line)
		}
		micros, err := strconv.ParseInt(words[2], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("a line of pgbench: %q", line)
		}
		r.sorted = append(r.sorted, time.Duration(micros)*time.Microsecond)
	}
}

// check finds out that every row that was acknowledged is there, and that the chain is
// one.
func (p *postgres) check(ctx context.Context) error {
	got, err := p.sql(ctx, `SELECT (SELECT count(*) FROM plain), count(*), count(*) FILTER (WHERE index <> nth OR prev <> before OR hash <> event_hash(prev, index, recorded, email, purpose, channel, notice, method, claims)) FROM (
SELECT *, row_number() OVER (ORDER BY index) AS nth, coalesce(lag(hash) OVER (ORDER BY index), '') AS before FROM chained) AS c`)
	if err != nil {
		return err
	}
	var plain, chained, broken int
	if _, err := fmt.Sscanf(got, "%d|%d|%d", &plain, &chained, &broken); err != nil {
		return fmt.Errorf("PostgreSQL says %q: %w", got, err)
	}
	if broken != 0 || plain < p.known["plain"] || chained < p.known["chained"] {
		return fmt.Errorf("PostgreSQL: %d and %d rows, want at least %d and %d; %d do not follow the one before", plain, chained, p.known["plain"], p.known["chained"], broken)
	}
	fmt.Printf("postgresql: %d rows in one chain, %d without\n", chained, plain)
	return nil
}
