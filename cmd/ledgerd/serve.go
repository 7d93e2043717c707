package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/consentledger/consentledger/internal/authn"
	"github.com/consentledger/consentledger/internal/metrics"
	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/server"
	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/internal/tlog"
	"github.com/consentledger/consentledger/internal/wire"
)

// serveCommand is `ledgerd serve`.
type serveCommand struct {
	ledgerFlags
	othersFlags
	adminFlags
	Config               configFile `env:"LEDGERD_CONFIG" placeholder:"FILE" help:"A file with a line \"name = value\" for each flag that is to be set, by its name without the dashes. The command line comes first, then the environment, then the file."`
	Listen               string     `default:"127.0.0.1:8080" env:"LEDGERD_LISTEN" placeholder:"ADDR" help:"Where to listen; port 0 picks a free one. Default: ${default}."`
	EraseWindow          span       `env:"LEDGERD_ERASE_WINDOW" placeholder:"TIME" help:"How long an erasure waits for others to share its work, at most 1m. Without it, only those share it that come while another is going on."`
	IndexLag             span       `default:"72h" env:"LEDGERD_INDEX_LAG" placeholder:"TIME" help:"How long after an erasure a guess at the address can be tested at most: 72h to 30d. Default: ${default}."`
	MaxConfirmationMails int        `default:"3" env:"LEDGERD_MAX_CONFIRMATION_MAILS" placeholder:"N" help:"How many confirmation mails a person may be sent on a channel within 24 hours, requests and resends together: 1 to 1000. Default: ${default}."`
	DatacentreRanges     string     `env:"LEDGERD_DATACENTRE_RANGES" placeholder:"FILE" help:"Networks from which machines click, not people: one CIDR per line, # begins a comment. Read at the start."`
	TimeZone             zone       `default:"UTC" env:"LEDGERD_TIME_ZONE" placeholder:"ZONE" help:"Where the controller is, such as Europe/Berlin: proof bundles give times in UTC and there. Default: ${default}."`
	LogOnly              bool       `env:"LEDGERD_LOG_ONLY" help:"Serve the log to auditors and nothing else, without the vault: when its keys are gone."`
	PublicLog            bool       `env:"LEDGERD_PUBLIC_LOG" help:"Let everybody read the log at /log/ without a key. It names nobody, but it tells when people consented, withdrew or were erased."`
	AcceptClock          bool       `env:"LEDGERD_ACCEPT_CLOCK" help:"Accept that the clock went back or jumped ahead since the last entry."`
	TLSCert              string     `name:"tls-cert" env:"LEDGERD_TLS_CERT" placeholder:"FILE" help:"Serve TLS with this certificate and those that lead to its root (PEM). Read anew when it is replaced, and on SIGHUP."`
	TLSKey               string     `name:"tls-key" env:"LEDGERD_TLS_KEY" placeholder:"FILE" help:"The certificate's private key (PEM), at most for its owner and group to read."`
	AllowPlainHTTP       bool       `name:"allow-plain-http" env:"LEDGERD_ALLOW_PLAIN_HTTP" help:"Let --listen be any address although this is plain HTTP: behind a proxy that speaks TLS, or in a private network."`
}

// Help is printed by --help below the one sentence.
func (*serveCommand) Help() string {
	return `Opens an existing ledger, never makes one, and answers JSON, Connect and gRPC on one port; GET /healthz and
/readyz need no key. The address is printed on the standard output when it is ready; the log goes to the standard
error as JSON and holds no personal data.

On an interrupt or SIGTERM what is being answered is finished first. After kill -9 or a power cut start it again:
nothing that was acknowledged is lost.

The log is at /log/ in the layout of C2SP tlog-tiles. Reading it takes an auditor's key in "Authorization: Bearer",
or none with --public-log, so that anybody's tools and caches can read it. What the log links although it holds
nothing personal stands in ledger/FORMAT.md, "What stays linkable".

With --tls-cert and --tls-key it speaks TLS 1.3 and 1.2 and nothing else, on any address. A renewed pair is served within
seconds; one that cannot be used is reported in the log, and the one before it goes on being served. Without them it
speaks plain HTTP, on loopback only unless --allow-plain-http is given.

With --witness-policy the log's checkpoints are brought to witnesses (C2SP tlog-witness), and auditors are given the
newest that satisfies the policy: about one publish interval old while the witnesses answer. Recording waits for none of
them. "ledgerd status" shows how each of them is.

A ledger that was set back to an older copy must not sign again: others hold what it has lost. So it is held to the
checkpoints that its directory keeps, and at the start each witness is asked, for 3 seconds at most, what it holds of
the log. Who holds more, or other entries, stops recording; reading goes on, and "ledgerd status" says what to do.
--since holds it to a checkpoint that you kept elsewhere, and is the surest of them: then nothing is served.

With --timestamp-authorities the log's newest checkpoint is stamped once per interval, and the stamp recorded: from then
on nobody, the operator included, can date entries before it or behind it. Recording waits for no authority. "ledgerd
anchor" asks for a stamp at once.

With --admin-listen an operator's tools read metrics at /metrics there, in the format of Prometheus, and profiles of the
running program at /debug/pprof/. That takes no key; so it is for loopback. Names and meanings of the metrics stand in
internal/metrics/METRICS.md. "ledgerd doctor" takes the same flags and says what is unwise about them.

A full disk stops nothing that is being read. Below a reserve, which grows with the ledger to about 1.3 GiB, only what
ends or limits consent is recorded (withdrawals, objections, restrictions, erasures and the like), below two thirds of
it nothing; /readyz and "ledgerd status" say so, and recording goes on by itself when there is room. On a full disk it
does not start: remove DIR/ballast, a file of up to 256 MiB that means nothing and is made again when there is room. A
commit of more than 10 seconds is reported; callers have their deadlines meanwhile, and the same idempotency key tells
them what became of their request.

--memory sizes caches and write buffers, and Go's memory limit (GOMEMLIMIT, if set, comes first). With 256MiB and less,
requests of more than about 400 kB of claims are refused; at 128MiB it is slow, and takes up to 170 MiB. It may be
changed at any start.

By itself it applies the purposes' periods once a day and replaces the key of the blind index after erasures.
--backup-target and --backup-key let every erasure write a key backup, without which older copies of the directory
open nothing any more; see also "ledgerd backup keys" and "ledgerd restore".

Confirmation mails are limited so that nobody floods a person by typing their address over and over. A click from
--datacentre-ranges is recorded as a scanner's and lowers the consent's evidence grade; the file is yours to keep up
to date, from the lists that hosters publish.

Examples:

    ledgerd serve --data /srv/consent
    ledgerd serve --data /srv/consent --max-confirmation-mails 5 --datacentre-ranges /etc/consent/datacentres
    ledgerd serve --data /srv/consent --witness-policy /etc/consent/witnessed.policy
    ledgerd serve --data /srv/consent --listen :8443 --tls-cert /etc/consent/tls.crt --tls-key /etc/consent/tls.key
    ledgerd serve --data /srv/consent --since /safe/kept.checkpoint
    ledgerd serve --data /srv/consent --timestamp-authorities /etc/consent/authorities
    ledgerd serve --data /srv/consent --time-zone Europe/Berlin
    ledgerd serve --data /srv/consent --backup-target /backup/consent --backup-key /media/usb/consent.identity
    ledgerd serve --data /srv/consent --memory 512MiB
    ledgerd serve --config /etc/consent/ledgerd.conf --admin-listen 127.0.0.1:9090
    LEDGERD_DATA=/srv/consent LEDGERD_ROOT_KEY=/secure/root.key ledgerd serve --listen 127.0.0.1:9000`
}

// Validate refuses what is no number of mails, and half of a certificate.
func (c *serveCommand) Validate() error {
	if err := checkTLSFlags(c.TLSCert, c.TLSKey, c.AllowPlainHTTP); err != nil {
		return err
	}
	if c.MaxConfirmationMails < 1 {
		return errors.New("--max-confirmation-mails must be at least 1")
	}
	return c.ledgerFlags.Validate()
}

// checkTLSFlags refuses half of a certificate, and plain HTTP with one.
func checkTLSFlags(certificate, key string, plainHTTP bool) error {
	switch {
	case (certificate == "") != (key == ""):
		return errors.New("--tls-cert and --tls-key go together")
	case certificate != "" && plainHTTP:
		return errors.New("--allow-plain-http and --tls-cert exclude each other")
	}
	return nil
}

func (c *serveCommand) run(ctx context.Context, std *streams) error {
	logger := slog.New(slog.NewJSONHandler(std.err, nil))
	opt := c.options(logger)
	opt.AcceptClock = c.AcceptClock
	c.Memory.limit()
	opt.EraseWindow, opt.IndexLag = time.Duration(c.EraseWindow), time.Duration(c.IndexLag)
	opt.MaxConfirmationMails = c.MaxConfirmationMails
	if c.DatacentreRanges != "" {
		var err error
		if opt.Datacentres, err = readNetworks(c.DatacentreRanges); err != nil {
			return err
		}
	}
	shown := metrics.New(version(), append(wire.Paths(), server.HealthPaths()...))
	operator, err := c.listen(shown, logger)
	if err != nil {
		return err
	}
	defer operator.Close()
	start := startServing
	if c.LogOnly {
		start = startLogOnly
	}
	listen := server.Options{Listen: c.Listen, AllowPlainHTTPBeyondLoopback: c.AllowPlainHTTP, PublicLog: c.PublicLog, Requests: shown,
		Memory: int64(c.Memory)}
	if c.TLSCert != "" {
		listen.TLS = &server.TLSFiles{Certificate: c.TLSCert, Key: c.TLSKey}
	}
	s, err := start(opt, c.othersFlags, c.TimeZone.Location, listen)
	if err != nil {
		return err
	}
	s.unfollow = shown.Follow(c.Data, s.measure)
	if _, err := fmt.Fprintf(std.out, "Serving %s at %s\n%s", s.what, s.url(), operator); err != nil {
		return errors.Join(err, s.close())
	}
	if c.TLSCert != "" {
		hangup := make(chan os.Signal, 1)
		signal.Notify(hangup, syscall.SIGHUP)
		defer signal.Stop(hangup)
		go s.reloadOn(ctx, hangup)
	}
	return s.run(ctx)
}

// serving is an open ledger, or its log alone, behind a listener.
type serving struct {
	what      string // is served, as the operator is told
	server    *server.Server
	witnesses *tlog.Collector // nil for none
	stamper   *tlog.Stamper   // nil for none
	measure   func() (metrics.Ledger, error)
	unfollow  func() // ends the use of measure; nil if nobody uses it
	ledger    io.Closer
}

// startServing opens a ledger, asks its witnesses and listens as srv says; run then
// serves. What others hold of the log is heard before anything is recorded.
func startServing(opt service.Options, others othersFlags, zone *time.Location, srv server.Options) (*serving, error) {
	opt.Later = true
	svc, err := service.Open(opt)
	if err != nil {
		return nil, service.Remedied(err)
	}
	s := &serving{what: svc.Log().Origin(), ledger: svc}
	if err := others.checkSince(svc.Log()); err != nil {
		return nil, errors.Join(err, s.closeLedger())
	}
	if s.witnesses, err = others.askWitnesses(svc, opt.Dir, opt.Logger); err != nil {
		return nil, errors.Join(err, s.closeLedger())
	}
	if err := svc.Begin(); err != nil {
		return nil, errors.Join(err, s.closeLedger())
	}
	if s.stamper, err = others.stamper(svc, opt.Dir, opt.Logger); err != nil {
		return nil, errors.Join(err, s.closeLedger())
	}
	if s.witnesses != nil {
		svc.UseCosigned(s.witnesses.Over(svc.Log()).Checkpoint)
	}
	srv.Handler = wire.Handler(svc, wire.Options{Witnesses: s.witnesses, Stamper: s.stamper, Zone: zone, Logger: opt.Logger, Version: version()})
	srv.Ready = func() server.Readiness { return readiness(svc.Fault()) }
	if s.server, err = listenFor(opt, srv); err != nil {
		return nil, errors.Join(err, s.closeLedger())
	}
	s.measure = s.measureLedger(svc)
	svc.StartUpkeep()
	if s.stamper != nil {
		s.stamper.Start()
	}
	return s, nil
}

// listenFor makes the server of a ledger, with its API keys.
func listenFor(opt service.Options, srv server.Options) (*server.Server, error) {
	keys, err := authn.Load(apiKeys(opt.Dir), opt.Logger)
	if err != nil {
		return nil, explainKeys(err)
	}
	srv.Keys, srv.Logger = keys, opt.Logger
	return server.New(srv)
}

// readiness tells a stranger whether the ledger records, and only what was
// written for strangers about why it does not.
func readiness(fault error) server.Readiness {
	if fault == nil {
		return server.Readiness{Recording: true}
	}
	var no *refusal.Error
	if errors.As(fault, &no) {
		return server.Readiness{Fault: no.Reason}
	}
	return server.Readiness{Fault: "nothing is recorded at the moment"}
}

func (s *serving) url() string {
	if s.server.CertificateEnd().IsZero() {
		return "http://" + s.server.Addr().String()
	}
	return "https://" + s.server.Addr().String()
}

// reloadOn looks at the certificate whenever told to, until ctx is done.
func (s *serving) reloadOn(ctx context.Context, told <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-told:
			_ = s.server.ReloadCertificate() // it tells the log
		}
	}
}

// run serves until ctx is done and everything that was being answered is
// answered. When something could not be, the ledger is left as a crash would
// leave it: closing it under a request that still reads is worse, and what was
// acknowledged is on disk either way.
func (s *serving) run(ctx context.Context) error {
	if s.stamper != nil { // a call that waits for an authority is not waited for
		defer context.AfterFunc(ctx, func() { _ = s.stamper.Close() })()
	}
	if err := s.server.Run(ctx); err != nil {
		return fmt.Errorf("%w; the ledger was not closed in order, the next start puts that right", err)
	}
	return s.closeLedger()
}

// closeLedger lets go of those who are asked to sign the log, and then of it.
func (s *serving) closeLedger() error {
	if s.unfollow != nil {
		s.unfollow()
	}
	var errs []error
	if s.stamper != nil {
		errs = append(errs, s.stamper.Close())
	}
	if s.witnesses != nil {
		errs = append(errs, s.witnesses.Close())
	}
	closed := make(chan error, 1)
	go func() { closed <- s.ledger.Close() }()
	select {
	case err := <-closed:
		return errors.Join(append(errs, err)...)
	case <-time.After(closingTime):
		return errors.Join(append(errs, fmt.Errorf("the disk has not taken what closing writes within %v: the ledger was not closed in order, "+
			"nothing that was acknowledged is lost; look at the disk and at the log above, the next start puts it right", closingTime))...)
	}
}

// closingTime is how long closing the ledger may take: on a disk that fails, the
// database would try again for ever.
const closingTime = 2 * time.Minute

// close ends what was never run.
func (s *serving) close() error { return errors.Join(s.server.Close(), s.closeLedger()) }
